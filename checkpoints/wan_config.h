/* wan_config.h: config.json of a Wan transformer, in the style of the original checkpoints (WanModel) or of Diffusers
   (WanTransformer3DModel): sizes in and out. */
#ifndef CHECKPOINTS_WAN_CONFIG_H
#define CHECKPOINTS_WAN_CONFIG_H

#include "checkpoints/fault_list.h"
#include "model/dit/dit.h"

/* Fields that the file does not give are 0. */
struct wan_config {
    int diffusers; /* the style; it says how the keys are called */
    int dim, ffn_dim, heads, layers, in_channels, out_channels, freq_dim, text_len, text_dim;
    double eps;
};
/* *found 0: there is no such file, or it is of something else (no key of either style). ERR_INPUT: not JSON, a value
   out of range, or a feature that the network here lacks (image branch, other patches). */
int wan_config_read(const char *path, struct wan_config *config, int *found);
/* What the file gives, into the network's config. */
void wan_config_fill(const struct wan_config *from, struct dit_config *to);
/* Adds a fault for every size given twice and differently: "ffn_dim is 14336, HAVE_NAME 768". */
void wan_config_compare(const struct wan_config *config, const struct dit_config *have, const char *have_name,
                        struct fault_list *faults);
/* malloc'd text; NULL when memory is out. diffusers: exactly the keys of WanTransformer3DModel in Diffusers 0.35.1. */
char *wan_config_print_original(const struct dit_config *config);
char *wan_config_print_diffusers(const struct dit_config *config);

#endif
