/* dataset.h: the HDF5 data set (docs/formats.md). A row is a window of 1 + 4(F-1) video frames, encoded alone, so that
   latent 0 is an image latent. Host memory throughout. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stdint.h>
#include "model/codec.h"

enum dataset_split { SPLIT_TRAIN, SPLIT_HELD_OUT };

struct dataset_shape {
    int F, C, H, W;     /* latent frames, channels, latent height and width */
    int T;              /* video frames: 1 + 4(F-1) */
    int A;              /* audio tracks: 1 mixed, 2 agent and user */
    int D;              /* features a video frame */
    int text_len, text_dim;
    int pixel_height, pixel_width;
    char codec[32], audio_encoder[32];
};
struct dataset_row {    /* pointers into a caller's buffers of the sizes of dataset_shape */
    float *latents;     /* [F, C, H, W] */
    float *audio;       /* [A, T, D] */
    float *talk, *listen; /* [T] */
    int clip, identity, utterance, split;
};

struct dataset;
int dataset_open(struct dataset **set, const char *path);
void dataset_close(struct dataset *set);
const struct dataset_shape *dataset_shape(const struct dataset *set);
long dataset_rows(const struct dataset *set, enum dataset_split split);
/* Row i of a split. Thread-safe (one lock around HDF5). */
int dataset_read(struct dataset *set, enum dataset_split split, long i, struct dataset_row *row);
int dataset_text(struct dataset *set, float *text); /* [text_len, text_dim] */
int dataset_codec(struct dataset *set, struct codec *codec); /* opens the codec stored with the set */

/* Writing. The file grows row by row; rows already there stay (prepare restarts where it stopped). */
struct dataset_writer;
int dataset_create(struct dataset_writer **writer, const char *path, const struct dataset_shape *shape,
                   const struct codec *codec, const float *text);
int dataset_append(struct dataset_writer *writer, const struct dataset_row *row);
int dataset_finish(struct dataset_writer *writer); /* flush, rename from the temporary name */

#endif
