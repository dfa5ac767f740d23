/* text_encoder.h: a UMT5 encoder in a safetensors checkpoint (shards.h: one file, or several with an index), in Wan's
   original names or in those of Transformers. F32, BF16, F16.
   The file may be larger than the memory: it stays in its memory map, and one layer's weights at a time are converted
   into one buffer. Anonymous memory: the largest layer, the activations of the texts at hand, and a piece of 4 MiB.
   Sizes come from the tensors' shapes; a config.json beside the file (as Transformers writes it) adds the buckets'
   largest distance and the norms' epsilon, and must agree with the shapes. */
#ifndef CHECKPOINTS_TEXT_ENCODER_H
#define CHECKPOINTS_TEXT_ENCODER_H

#include "checkpoints/shards.h"
#include "model/text/umt5.h"

struct text_encoder {
    struct umt5 net;
    struct shards shards;
    int transformers; /* 1: names as Transformers has them */
};
/* ERR_INPUT lists what is missing, surplus or of another shape. Nothing large is allocated. Decoders are passed
   over. */
int text_encoder_open(struct text_encoder *encoder, const char *path);
void text_encoder_close(struct text_encoder *encoder);
/* Texts one after the other: length[i] >= 1 token numbers each; out [sum of lengths, dim], host. ERR_INPUT: a number
   that the table does not have. */
int text_encoder_encode(struct text_encoder *encoder, const int *ids, const int *length, int count, float *out);
/* The memory that encoding would take, by name, to a file. */
void text_encoder_plan(const struct text_encoder *encoder, long tokens, long longest, FILE *out);

/* The name of a parameter of model/text/umt5.h in Transformers; ERR_INPUT: no room. */
int text_encoder_transformers_name(const char *original, char *name, size_t size);

#endif
