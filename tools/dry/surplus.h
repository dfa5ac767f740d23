/* surplus.h: what this design launches and moves beyond the minimum (minimum.h): each item with its reason, derived
   from sizes. Minimum and surplus together are what a dry run must count: a launch more, or 1 % of bytes, is a
   regression; an item that is worked away is taken off here. */
#ifndef TOOLS_DRY_SURPLUS_H
#define TOOLS_DRY_SURPLUS_H

#include "model/dit/rollout.h"
#include "tools/record/traffic.h"

enum { SURPLUS_MAX = 16 };
struct surplus {
    const char *what;
    struct traffic traffic;
};
/* Both fill items [SURPLUS_MAX] and return their number. */
int surplus_chunk(struct surplus *items, const struct dit_config *config, const struct rollout_config *rollout);
int surplus_training(struct surplus *items, const struct dit_config *config, int frames);

#endif
