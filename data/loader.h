/* loader.h: batches of windows, prefetched by one thread. The row that a sample takes is a pure function of (seed,
   step, sample): sample number step * batch + sample walks through the split in an order that is drawn anew for each
   epoch, so that a resume needs only the step. The same holds for the dropout of conditions. */
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include "data/dataset.h"

struct loader_config {
    uint64_t seed;
    int batch;        /* samples of a step, over all ranks */
    int first, count; /* samples of the batch that this loader delivers; count 0: all */
    enum dataset_split split;
    /* Probabilities that a sample gets the empty prompt; that both its masks are 0; that its talk mask is 0; that its
       listen mask is 0. Drawn independently, so that all combinations occur. */
    double drop_text, drop_audio, drop_talk, drop_listen;
    int picture_frames;     /* latent frames of a sample with true pictures (picture_sample.h); 0: none is wanted */
    double other_reference; /* probability that its reference is of another window of the shot */
    int far;                /* 1: references from elsewhere are wanted beside the clips */
    double far_share;       /* probability that such a one is in frame 0's place */
    int latents;            /* 0: conditions and frame 0 only are wanted (data-free stages); the other frames are 0 */
};
struct loader_batch { /* host memory of the loader, valid until the next loader_next; B = count */
    float *latents;   /* [B, F, C, H, W] */
    float *far; /* [B, C, H, W]: frame 0 of another window of the same shot, drawn; a shot of one window: its own */
    float *talk_audio, *listen_audio; /* [B, T, D]: audio[0] and audio[A-1], not yet masked */
    float *talk, *listen;             /* [B, T] masks, dropout applied */
    float *text;                      /* [B, text_len, text_dim], dropout applied */
    const float *empty;               /* [text_len, text_dim] the empty prompt */
    int *clip, *identity, *utterance; /* [B] */
    float *sample_latents; /* [B, 1 + picture_frames, C, H, W]; this and the next two only with picture_frames */
    unsigned char *sample_pictures; /* [B, 1 + 4 picture_frames, 3, pixel height, pixel width] */
    int *sample_joined;             /* [B] 1: the sample follows its reference in the clip */
    uint64_t step;
};
struct loader;
/* Opens a loader, which starts its thread. The set stays the caller's and must outlive the loader. ERR_USAGE: a value
   is out of range; ERR_INPUT: the split is empty. */
int loader_open(struct loader **loader, struct dataset *set, const struct loader_config *config, uint64_t first_step);
/* Returns the batch of the next step (first_step, first_step + 1, ...). A row that cannot be read is an error at its
   step. */
int loader_next(struct loader *loader, const struct loader_batch **batch);
void loader_close(struct loader *loader);
/* Bytes of host memory of a loader with `count` samples in a batch and picture_frames latent frames with pictures. */
size_t loader_memory(const struct dataset_shape *shape, int count, int picture_frames);

/* Returns the row, of a split of `rows` rows, that sample number n = step * batch + sample takes. */
long loader_row(uint64_t seed, uint64_t n, long rows);

#endif
