/* workspace.h: scratch (device_workspace) that kernels want for their fastest way, from sizes alone: for plans, which
   are made before anything runs and on machines without the device. */
#ifndef KERNELS_WORKSPACE_H
#define KERNELS_WORKSPACE_H

#include <stddef.h>

/* What all kernels but attention are content with: the library of products is offered 32 MiB, sums over rows leave as
   much of partial sums. */
enum { WORKSPACE_LEAST = 64 << 20 };

/* Sizes of one call of attention (kernels.h): so many keys in all, in the longest range (ranges that lie side by side
   in memory count as one), so many ranges. */
struct attention_sizes {
    long B, S, H, D, keys, longest;
    int ranges;
};
/* Bytes for attention's forward, or for its backward, which wants more; with device_deterministic on, more again. 0 on
   backends whose kernels take none. With less, slower kernels of the backend's own do the work. */
size_t attention_workspace(const struct attention_sizes *sizes, int backward);
/* Bytes for the gradients of a convolution from ci to co channels of so many positions, in and out, over all samples. 0
   on backends whose kernels take none; more than WORKSPACE_LEAST only where channels are no multiple of 8. */
size_t conv_workspace(long positions, long ci, long co);

#endif
