/* checkpoint.h: a Wan transformer's checkpoint as it is found: the naming of its tensors (original or Diffusers), the
   prefix that a repack put in front ("model.diffusion_model."), and the sizes of the network it is of.
   Wan 2.1's image branch (k_img, img_emb) is refused by name. Tensors are found by their original names. */
#ifndef CHECKPOINTS_CHECKPOINT_H
#define CHECKPOINTS_CHECKPOINT_H

#include "checkpoints/shards.h"
#include "model/dit/dit.h"

enum weights_naming { NAMING_ORIGINAL, NAMING_DIFFUSERS };

struct checkpoint {
    struct shards shards;
    enum weights_naming naming;
    char prefix[128]; /* "" as a rule */
    /* Diffusers' name of a tensor, for checkpoints of other networks (vae_file.h); NULL: a transformer's. */
    int (*rename)(const void *user, const char *original, char *out, size_t size);
    const void *rename_user;
};
/* path: what shards.h opens. ERR_INPUT names the file and what is wrong. */
int checkpoint_open(struct checkpoint *c, const char *path);
void checkpoint_close(struct checkpoint *c);
/* The name that a tensor has in this checkpoint. */
int checkpoint_key(const struct checkpoint *c, const char *original, char *key, size_t size);
const struct safetensors_entry *checkpoint_find(const struct checkpoint *c, const char *original); /* NULL: none */
/* 1: nobody needs this tensor, although files have it (Diffusers' unused norm_added_q). */
int checkpoint_ignores(const char *key);

/* Sizes of the network, from the tensors' shapes and the config.json beside them; the two must agree. The number of
   heads comes from config.json, else heads of 128 as all of Wan's. height and width are not a network's: 0. Audio sizes
   are of the audio modules in the file, 0 without. */
int checkpoint_dit_config(const struct checkpoint *c, struct dit_config *config);
/* ERR_INPUT when the checkpoint is of a network of other sizes than `config`, with all sizes that differ, theirs and
   the run's. Audio is not compared. */
int checkpoint_expect(const struct checkpoint *c, const struct dit_config *config);

#endif
