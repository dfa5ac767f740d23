/* state.h: training state in HDF5 (docs/formats.md): whole tensors under their names, scalars, and a resolved config,
   so that it depends on neither backend nor number of ranks. Beside FILE a small FILE.sum holds length and checksum of
   the whole file; it is verified before the HDF5 library opens the file, for the library can crash on damaged ones. A
   kill at any moment leaves the old file or the new one whole: FILE.tmp is written and synced, then FILE.sum.new, then
   FILE.tmp becomes FILE and FILE.sum.new becomes FILE.sum; in between a reader finds FILE to match one of the two
   sums. Host memory. The values of large tensors may be written by several processes that share the folder: one makes
   room for them (state_room_*) and lays the file out, each then puts its values in their place (state_part_*), the one
   finishes. Whoever wrote what, the file is the same. */
#ifndef CHECKPOINTS_STATE_H
#define CHECKPOINTS_STATE_H

#include <stdint.h>
#include "base/fileio.h"
#include "model/params/params.h"

struct state_writer;
int state_create(struct state_writer **w, const char *path);
int state_put_floats(struct state_writer *w, const char *name, const float *values, int ndim, const long *shape);
int state_put_integer(struct state_writer *w, const char *name, int64_t value);
int state_put_text(struct state_writer *w, const char *name, const char *text);
/* Room for float values; group "student/master": one data set a parameter of the table, named by the parameter. */
int state_room_floats(struct state_writer *w, const char *name, int ndim, const long *shape);
int state_room_params(struct state_writer *w, const char *group, const struct param_table *table);
/* After the last of the above: FILE.tmp has its length, claimed from the disk where that can be, and takes parts. */
int state_lay_out(struct state_writer *w);
int state_finish(struct state_writer *w); /* file and sum are whole when it returns OK; on error nothing is left */
void state_abandon(struct state_writer *w);

/* Between state_lay_out and state_finish of the file of this path, in any process. */
struct state_part;
int state_part_open(struct state_part **p, const char *path);
/* Values first .. first + count - 1 of a data set, in the order of its elements. */
int state_part_put(struct state_part *p, const char *name, size_t first, size_t count, const float *values);
/* Elements at .. at + count - 1 of a slice of the table (padding, which no parameter has, is passed over). */
int state_part_put_slice(struct state_part *p, const char *group, const struct param_table *table, int slice, size_t at,
                         size_t count, const float *values);
int state_part_close(struct state_part *p); /* OK: what was put is on the disk */
void state_part_abandon(struct state_part *p);

/* seen: a state that was found whole, so that a process that opens it again need not read all of it again for as long
   as the file is the same; zeroed: none was. */
struct state_reader;
int state_open(struct state_reader **r, const char *path); /* verifies length and checksum first */
int state_open_seen(struct state_reader **r, const char *path, struct file_identity *seen); /* NULL: as state_open */
void state_close(struct state_reader *r);
int state_has(const struct state_reader *r, const char *name);
/* Missing, surplus and mis-shaped tensors are all listed in the error text. Whole, or slice by slice, in memory of the
   call's own: `take` is given values [the slice's size], padding zero; its error ends the reading. */
int state_get_params(struct state_reader *r, const char *group, const struct param_table *table, float *values);
typedef int state_slice_sink(void *self, int slice, const float *values);
int state_each_slice(struct state_reader *r, const char *group, const struct param_table *table, state_slice_sink *take,
                     void *self);
int state_get_floats(struct state_reader *r, const char *name, float *values, size_t count);
int state_get_integer(struct state_reader *r, const char *name, int64_t *value);
int state_get_text(struct state_reader *r, const char *name, char **text); /* malloc'd */

/* Length and checksum of a file against its sums; ERR_INPUT says what is wrong. seen: of this file, or NULL. */
int state_verify(const char *path, struct file_identity *seen);
/* Run folders: FOLDER/checkpoints/step_00001234.h5. The newest whole one ("" when there is none); damaged ones are
   skipped with a line in the log. seen: is of the one found; NULL: not wanted. */
int state_newest(const char *folder, char *path, size_t size, struct file_identity *seen);
/* Keeps the `keep` (at least 1) written last, those of every `every`-th step (0: none) and those beside which there is
   a FILE.keep; removes the others and what killed writers left. */
int state_prune(const char *folder, int keep, long every);

#endif
