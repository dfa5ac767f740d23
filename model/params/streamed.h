/* streamed.h: a network whose weights do not all fit on the device: some slices stay there, the others come from
   elsewhere each time that they are wanted, ahead of use. It works behind the hooks of params.h, so no network knows of
   it, and results have the same bits as with all weights on the device. For passes that use the slices in rising order,
   over and over, as inference does; there are no gradients.

   On a device that copies beside its work there are two buffers. While block i computes, the next streamed block is
   copied on a stream of its own into the buffer that the last one has left:

     device's work    | block 1 |  block 2  |  block 3  |  block 4  |       blocks 2 and 4 stay, 1, 3 and 5 are streamed
     copies           | block 3 into B      | block 5 into A        |

   The streamed blocks are spread evenly, so that the copy of one has the time of several blocks. Where all work runs on
   the host there is one buffer, filled when the slice is wanted. Slice 0 (embeddings) and the last slice (head) always
   stay. */
#ifndef MODEL_PARAMS_STREAMED_H
#define MODEL_PARAMS_STREAMED_H

#include "kernels/arena.h"
#include "model/params/params.h"

/* Where streamed slices come from. read: queues the copy of a slice, padding included, to device memory on the current
   stream. soon: says that the slice is wanted next (NULL: no one wants to know). */
struct slice_store {
    int (*read)(void *self, int slice, elem *device_to);
    void (*soon)(void *self, int slice);
    void *self;
};

enum { STREAMED_BUFFERS = 2 };
struct streamed_buffer {
    elem *memory;
    int slice, held, pending; /* slice in it (-1: none); acquired, not yet released; copy not yet waited for */
    struct device_event *filled, *left; /* the copy is done; the last user is done */
};
struct streamed {
    const struct param_table *table;
    int buffers;                              /* 0: every slice stays */
    int streamed;                             /* number of slices that are streamed */
    unsigned char *away;                      /* [slices] 1: streamed */
    size_t *place;                            /* [slices] offset in `resident`, or, of a streamed slice, in `host` */
    size_t resident_size, host_size, largest; /* elements: of slices that stay, of those streamed, of the largest of
                                                 those */
    elem *resident, *host;                    /* device; pinned host memory, NULL with another store */
    struct streamed_buffer buffer[STREAMED_BUFFERS];
    struct slice_store store;
    struct device_stream *copies;
    long copied; /* slices that were copied so far */
    int code;    /* first failure, with its text */
    char text[256];
};
/* Chooses the slices that stay, within `bytes` of device memory (buffers included; 0: everything stays). Allocates
   tables by malloc only. ERR_USAGE: that is too little, and the text says the least in MiB. */
int streamed_plan(struct streamed *s, const struct param_table *table, size_t bytes);
/* Takes the device memory: slices that stay, buffers. Called twice (arena.h). */
void streamed_layout(struct streamed *s, struct arena *arena);
/* Takes host memory for the slices that are streamed, which become the store. Without it the caller sets s->store. */
void streamed_layout_host(struct streamed *s, struct arena *arena);
/* Makes streams and events; call it when the memory is there. */
int streamed_open(struct streamed *s);
void streamed_close(struct streamed *s);
/* Where a slice's values are kept, for whoever loads them: device memory, or NULL with *host set to host memory, which
   is NULL too where another store has them. */
elem *streamed_home(const struct streamed *s, int slice, elem **host);
/* The network's parameters, without gradients. */
struct params streamed_params(struct streamed *s);

#endif
