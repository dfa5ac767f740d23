/* wan_config.h: reads and writes the config.json of a Wan transformer, in the style of the original checkpoints
   (WanModel) or of Diffusers (WanTransformer3DModel). */
#ifndef CHECKPOINTS_WAN_CONFIG_H
#define CHECKPOINTS_WAN_CONFIG_H

#include "checkpoints/fault_list.h"
#include "model/dit/dit.h"

/* What a file states; fields that it does not state are 0. */
struct wan_config {
    int diffusers; /* 1: Diffusers' style of keys; 0: the original */
    int dim, ffn_dim, heads, layers, in_channels, out_channels, freq_dim, text_len, text_dim;
    double eps;
};
/* Reads a file. *found 0: there is none, or it is of something else, with no key of either style. ERR_INPUT: it is not
   JSON, a value is out of range, or it needs a feature that the network here lacks (image branch, other patches). */
int wan_config_read(const char *path, struct wan_config *config, int *found);
/* Copies what the file states into the network's config. */
void wan_config_fill(const struct wan_config *from, struct dit_config *to);
/* Adds a fault for every size that both state and that differs: "ffn_dim is 14336, HAVE_NAME 768". */
void wan_config_compare(const struct wan_config *config, const struct dit_config *have, const char *have_name,
                        struct fault_list *faults);
/* Return the file's text, malloc'd; NULL: out of memory. Diffusers' form has exactly the keys of WanTransformer3DModel
   in Diffusers 0.35.1. */
char *wan_config_print_original(const struct dit_config *config);
char *wan_config_print_diffusers(const struct dit_config *config);

#endif
