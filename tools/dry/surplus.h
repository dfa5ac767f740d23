/* surplus.h: lists what this design launches and moves beyond the minimum (minimum.h): each item with its reason,
   derived from sizes. A dry run must count minimum and surplus together: one launch more, or 1 % more bytes, is a
   regression. An item that has been removed from the design is removed here. */
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
