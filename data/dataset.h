/* dataset.h: the HDF5 data set (docs/formats.md). A row is a window of 1 + 4(F-1) video frames, encoded alone, so
   that latent 0 is an image latent. Host memory throughout. The file: attributes format, version, fps, audio_rate,
   codec, audio_encoder and free notes; group codec with the codec's tensors (or attributes codec_weights and
   codec_checksum: model/codec/codec.h); the prompts: attribute text_len, text [R, text_dim] with the rows of one
   after the other, text_start [P+1], prompts [P] their texts, the first the empty one; one group a bucket, named
   TxHxW (video frames, pixel height and width), with latents [N, F, C, H, W], audio [N, A, T, D], talk [N, T], listen
   [N, T] and the columns clip, shot, identity, utterance, split and prompt [N]; a set made with pictures has pictures
   [N, T, 3, H, W] as well, the windows' true pictures, 8 bits a value, deflated. Shots are a clip's parts between
   cuts, from 0 on; a file without that column has one shot a clip. One bucket is read here. Sums: sums [N, F+3]
   over every row's latent frames, audio, talk and listen, with pictures [N, 2F+3], which adds the pictures of every
   latent frame; text_sums [P] over every prompt's rows, the attribute sum over all the rest; they are checked when a
   set is opened and when a row is read. Values are finite. Older files are read too: those of version 3 have no
   pictures, those of version 2 no sums, which is said, and those of version 1 none either, whose rows all have the
   prompt text [text_len, text_dim] and whose empty prompt has no rows. Errors: ERR_INPUT for files that are damaged,
   not data sets, or of sizes that contradict each other. */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <stddef.h>
#include <stdint.h>
#include "model/codec/codec.h"
#include "model/text/prompt.h"

enum dataset_split { SPLIT_TRAIN, SPLIT_HELD_OUT };

struct dataset_shape {
    int F, C, H, W; /* latent frames, channels, latent height and width */
    int T;          /* video frames: 1 + 4(F-1) */
    int A;          /* audio tracks: 1 mixed, 2 agent and user */
    int D;          /* features of a video frame */
    int text_len, text_dim;
    int pixel_height, pixel_width;
    int pictures; /* 1: rows have their windows' true pictures */
    char codec[32], audio_encoder[32];
    char codec_weights[FILE_PATH_MAX],
        codec_checksum[24]; /* that file and its checksum, where a codec's weights have one of their own; else "" */
};
struct dataset_row {      /* one row; buffers are the caller's, of dataset_shape's sizes; NULL: not wanted */
    float *latents;       /* [F, C, H, W] */
    float *audio;         /* [A, T, D] */
    float *talk, *listen; /* [T] */
    int clip, identity, utterance, split, prompt;
    unsigned char *pictures; /* [T, 3, pixel height, pixel width]; for dataset_append, where the shape says so */
    int shot;                /* number of the shot within its clip */
};

struct dataset;
int dataset_open(struct dataset **set, const char *path);
void dataset_close(struct dataset *set);
const struct dataset_shape *dataset_shape(const struct dataset *set);
/* Returns the sum that tells one data set from another: it covers everything, rows through their own sums. In files
   without sums it leaves out the rows' values. */
uint32_t dataset_sum(const struct dataset *set);
long dataset_rows(const struct dataset *set, enum dataset_split split);
/* Checks a data set against what a program needs: every field of `wanted` that is not 0 or empty must equal the file's.
   ERR_INPUT names both values. */
int dataset_expect(const struct dataset *set, const struct dataset_shape *wanted);
/* Reads row i of a split, with its first latent_frames latents (the rest of row->latents stays as it is). ERR_INPUT
   names the row and its clip when it is damaged or holds a value that is not finite. Thread-safe, by a lock for each
   set and by HDF5's own (which Debian's library has). */
int dataset_read(struct dataset *set, enum dataset_split split, long i, struct dataset_row *row);
int dataset_read_frames(struct dataset *set, enum dataset_split split, long i, int latent_frames,
                        struct dataset_row *row);
/* Reads the true pictures of `frames` latent frames of row i, from latent frame `first` on: bytes [pictures, 3, pixel
   height, pixel width], where latent frame 0 has one picture and every later one four. ERR_INPUT: as dataset_read, or
   the set has no pictures. Thread-safe. */
int dataset_read_pictures(struct dataset *set, enum dataset_split split, long i, int first, int frames,
                          unsigned char *pictures);
/* Bytes of one picture. */
static inline size_t dataset_picture_bytes(const struct dataset_shape *shape) {
    return 3 * (size_t)shape->pixel_height * (size_t)shape->pixel_width;
}
/* Fills in only a row's columns (clip, identity and so on), which are in memory. */
void dataset_columns(const struct dataset *set, enum dataset_split split, long i, struct dataset_row *row);
/* Returns the number of prompts; prompt 0 is the empty one. */
int dataset_prompts(const struct dataset *set);
const char *dataset_prompt_text(const struct dataset *set, int prompt);
int dataset_prompt_length(const struct dataset *set, int prompt);
/* Reads a prompt's rows, followed by zeros, into text [text_len, text_dim]. Thread-safe. */
int dataset_text(struct dataset *set, int prompt, float *text);
int dataset_codec(struct dataset *set, struct codec *codec); /* opens the codec that the set holds (not external) */

/* Reads a note that the writer left; "" when there is none of that name. */
int dataset_note(struct dataset *set, const char *name, char *text, size_t size);

/* Writes a new file, row by row, under a temporary name (PATH.tmp). It gets its own name when dataset_finish returns
   OK; until then an older file of that name stays. */
struct dataset_writer;
int dataset_create(struct dataset_writer **writer, const char *path, const struct dataset_shape *shape,
                   const struct codec *codec);
/* Adds a prompt. They are numbered in the order in which they are added, the empty one ("") first; rows refer to the
   numbers. ERR_USAGE: too many tokens. */
int dataset_add_prompt(struct dataset_writer *writer, const struct prompt_rows *prompt);
/* Appends a row. ERR_INPUT names the row and its clip: a value is not finite. */
int dataset_append(struct dataset_writer *writer, const struct dataset_row *row);
int dataset_leave_note(struct dataset_writer *writer, const char *name, const char *text);
/* Completes the file; frees the writer even when it fails. */
int dataset_finish(struct dataset_writer *writer);
void dataset_discard(struct dataset_writer *writer);

#endif
