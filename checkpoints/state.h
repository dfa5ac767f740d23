/* state.h: training state in HDF5 (docs/formats.md): whole tensors under their names, scalars, and a resolved config.
   It depends neither on the backend nor on the number of ranks. Beside FILE a small FILE.sum holds length and checksum
   of the whole file; it is verified before the HDF5 library opens the file, for the library can crash on damaged ones.
   A writer killed at any moment leaves the old file or the new one whole: FILE.tmp is written and synced, then
   FILE.sum.new, then FILE.tmp becomes FILE and FILE.sum.new becomes FILE.sum; between the two renames FILE matches one
   of the two sums, and readers accept either. Host memory. The values of large tensors may be written by several
   processes that share the folder: the first makes room for them (state_room_*) and lays the file out, then each puts
   its values in their place (state_part_*), and the first finishes. The file is the same however the values were
   divided. */
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
/* Make room for float values: one data set, or, in a group such as "student/master", one for each parameter of the
   table, with the parameter's name. */
int state_room_floats(struct state_writer *w, const char *name, int ndim, const long *shape);
int state_room_params(struct state_writer *w, const char *group, const struct param_table *table);
/* Ends the part of the writing in which names are added: gives FILE.tmp its length, claimed from the disk where the
   file system can. From now on parts may be put. */
int state_lay_out(struct state_writer *w);
int state_finish(struct state_writer *w); /* file and sum are whole when it returns OK; on error nothing is left */
void state_abandon(struct state_writer *w);

/* A process's own values for the file at `path`. Any process may use it, between the first one's state_lay_out and
   state_finish. */
struct state_part;
int state_part_open(struct state_part **p, const char *path);
/* Writes values first .. first + count - 1 of a data set, in the order of its elements. */
int state_part_put(struct state_part *p, const char *name, size_t first, size_t count, const float *values);
/* Writes elements at .. at + count - 1 of a slice of the table; padding is skipped. */
int state_part_put_slice(struct state_part *p, const char *group, const struct param_table *table, int slice, size_t at,
                         size_t count, const float *values);
int state_part_close(struct state_part *p); /* OK: the values are on the disk */
void state_part_abandon(struct state_part *p);

/* state_open verifies length and checksum, which reads the whole file. seen: identity of a file that this process has
   verified, so that it is not verified again while it stays the same; zeros: none yet. */
struct state_reader;
int state_open(struct state_reader **r, const char *path);                                  /* ERR_INPUT: not whole */
int state_open_seen(struct state_reader **r, const char *path, struct file_identity *seen); /* NULL: as state_open */
void state_close(struct state_reader *r);
int state_has(const struct state_reader *r, const char *name);
/* Read a group's parameters, whole or slice by slice; the error text lists all missing, surplus and mis-shaped tensors.
   `take` gets each slice's values, [elements of the slice] with zeros for padding, in memory of the call; an error that
   it returns ends the reading. */
int state_get_params(struct state_reader *r, const char *group, const struct param_table *table, float *values);
typedef int state_slice_sink(void *self, int slice, const float *values);
int state_each_slice(struct state_reader *r, const char *group, const struct param_table *table, state_slice_sink *take,
                     void *self);
int state_get_floats(struct state_reader *r, const char *name, float *values, size_t count);
int state_get_integer(struct state_reader *r, const char *name, int64_t *value);
int state_get_text(struct state_reader *r, const char *name, char **text); /* malloc'd */

/* Checks length and checksum of a file against its sums; ERR_INPUT says what is wrong. seen: as in state_open_seen, or
   NULL. */
int state_verify(const char *path, struct file_identity *seen);
/* Run folders: FOLDER/checkpoints/step_00001234.h5. Finds the newest whole state ("" when there is none); damaged ones
   are skipped with a line in the log. seen: gets the identity of the one found; NULL: not wanted. */
int state_newest(const char *folder, char *path, size_t size, struct file_identity *seen);
/* The best state of a run folder, which checkpoints/best.h5, a link beside the states, points to. state_mark_best sets
   the link to the state of a step, whether or not that is written yet. state_best finds it, path "": the folder has
   none, or it is no folder. ERR_INPUT: the link cannot be made; the state that it points to is gone or damaged. */
int state_mark_best(const char *folder, long step);
int state_best(const char *folder, char *path, size_t size);
/* Keeps the `keep` (at least 1) states written last, those of every `every`-th step (0: none), the best one and those
   with a FILE.keep beside them; removes all others and what killed writers left. */
int state_prune(const char *folder, int keep, long every);

#endif
