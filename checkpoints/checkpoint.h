/* checkpoint.h: a Wan transformer's checkpoint as other tools wrote it: the naming of its tensors (original or
   Diffusers), the prefix that repackaging put in front ("model.diffusion_model."), and the sizes of its network.
   Wan 2.1's image branch (k_img, img_emb) is refused by name. Tensors are found by their original names. */
#ifndef CHECKPOINTS_CHECKPOINT_H
#define CHECKPOINTS_CHECKPOINT_H

#include "checkpoints/shards.h"
#include "model/dit/dit.h"

enum weights_naming { NAMING_ORIGINAL, NAMING_DIFFUSERS };

struct checkpoint {
    struct shards shards;
    enum weights_naming naming;
    char prefix[128]; /* usually "" */
    /* Makes Diffusers' name from an original one, for checkpoints of other networks (vae_file.h); NULL: transformers'
       names. */
    int (*rename)(const void *user, const char *original, char *out, size_t size);
    const void *rename_user;
};
/* Opens a checkpoint at anything that shards_open takes. ERR_INPUT names the file and what is wrong. */
int checkpoint_open(struct checkpoint *c, const char *path);
void checkpoint_close(struct checkpoint *c);
/* Writes to `key` the name that a tensor has in this checkpoint. */
int checkpoint_key(const struct checkpoint *c, const char *original, char *key, size_t size);
const struct safetensors_entry *checkpoint_find(const struct checkpoint *c, const char *original); /* NULL: none */
/* Returns 1 for tensors that files have and no network uses (Diffusers' norm_added_q). */
int checkpoint_ignores(const char *key);

/* Reads the network's sizes from the tensors' shapes and from the config.json beside them, which must agree. The number
   of heads comes from config.json; without it heads are 128 wide, as in all of Wan's. height and width are 0, because
   no network states them. Audio sizes are 0 when the file has no audio modules. */
int checkpoint_dit_config(const struct checkpoint *c, struct dit_config *config);
/* Compares the checkpoint's network with `config`. ERR_INPUT lists all sizes that differ, with both values. Audio is
   not compared. */
int checkpoint_expect(const struct checkpoint *c, const struct dit_config *config);

#endif
