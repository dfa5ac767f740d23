/* text_encoder.h: a UMT5 encoder in a safetensors checkpoint (shards.h: one file, or several with an index), in Wan's
   original names or in those of Transformers. F32, BF16, F16.
   The file may be larger than the memory, because it stays in its memory map, and one layer's weights at a time are
   converted into one buffer. Memory taken: the largest layer, the activations of the texts, and 4 MiB. Sizes come from
   the tensors' shapes; a config.json beside the file (as Transformers writes it) adds the buckets' largest distance and
   the norms' epsilon, and must agree with the shapes. */
#ifndef CHECKPOINTS_TEXT_ENCODER_H
#define CHECKPOINTS_TEXT_ENCODER_H

#include "checkpoints/shards.h"
#include "model/text/umt5.h"

struct text_encoder {
    struct umt5 net;
    struct shards shards;
    int transformers; /* 1: names of Transformers; 0: Wan's */
};
/* Opens a checkpoint; allocates nothing large. ERR_INPUT lists tensors that are missing, surplus or of another shape.
   Tensors of UMT5's decoder are ignored. */
int text_encoder_open(struct text_encoder *encoder, const char *path);
void text_encoder_close(struct text_encoder *encoder);
/* Encodes texts that lie one behind the other in ids, text i with length[i] >= 1 token numbers; out [sum of lengths,
   dim], host. ERR_INPUT: a number that the table does not have. */
int text_encoder_encode(struct text_encoder *encoder, const int *ids, const int *length, int count, float *out);
/* Prints the memory that encoding would take, by purpose. */
void text_encoder_plan(const struct text_encoder *encoder, long tokens, long longest, FILE *out);

/* Writes the name that Transformers has for a parameter of model/text/umt5.h. ERR_INPUT: `name` is too small. */
int text_encoder_transformers_name(const char *original, char *name, size_t size);

#endif
