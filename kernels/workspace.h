/* workspace.h: bytes of scratch (device_workspace) that kernels want for their fastest way, computed from sizes alone,
   because plans are made before anything runs and on machines without the device. */
#ifndef KERNELS_WORKSPACE_H
#define KERNELS_WORKSPACE_H

#include <stddef.h>

/* Bytes that are enough for all kernels but attention: the library of products is offered 32 MiB, and sums over rows
   leave at most as much of partial sums. */
enum { WORKSPACE_LEAST = 64 << 20 };

/* Sizes of one call of attention, with the letters of kernels.h. `keys` counts the keys of all `ranges` ranges,
   `longest` those of the longest; ranges that lie side by side in memory count as one. */
struct attention_sizes {
    long B, S, H, D, keys, longest;
    int ranges;
};
/* Bytes for attention's forward (backward 0) or backward (1), which wants more, and more again with
   device_deterministic on. 0 on backends whose kernels take none. With less scratch, slower kernels of
   the backend's own do the work. */
size_t attention_workspace(const struct attention_sizes *sizes, int backward);
/* Bytes for the gradients of a convolution from ci to co channels that takes `positions` positions,
   over all samples, to as many. 0 on backends whose kernels take none; more than WORKSPACE_LEAST only
   where ci or co is no multiple of 8. */
size_t conv_workspace(long positions, long ci, long co);

#endif
