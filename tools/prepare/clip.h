/* clip.h: one clip to windows in a file of its own (a piece), and to a sample for the fit of the codec. */
#ifndef TOOLS_PREPARE_CLIP_H
#define TOOLS_PREPARE_CLIP_H

#include <stdint.h>
#include <stdio.h>
#include "checkpoints/sound_encoder.h"
#include "model/codec/codec.h"
#include "tools/prepare/clip_list.h"

/* A clip's windows in a file of their own, until all are gathered. */
struct piece_head {
    char magic[8];
    int32_t rows, row_floats;
    double seconds;
    double talk;           /* share of talking frames, summed over the rows */
    double square;         /* squared codec error, summed .. */
    double pixels;         /* .. over so many values */
    int32_t missing, cuts; /* frames that the clip has no picture for; places where it was split at a cut */
    int32_t traits;        /* bits of enum clip_trait */
    uint32_t sum;          /* CRC-32 of the rows and then of this head with 0 in its place */
};
/* Reads a clip, encodes its windows and writes the piece. *rejected is set when the error is the clip's own fault.
   `beat` is called for every frame. */
int prepare_clip(const struct prepare_config *config, const struct clip_entry *entry, struct codec *codec,
                 struct sound_encoder *sound, const char *piece, struct piece_head *head, int *rejected,
                 void (*beat)(void *), void *user);
/* ERR_INPUT when the piece is not there, not whole or changed: all of it is read once for its sum. */
int piece_open(const char *path, const struct prepare_config *config, FILE **file, struct piece_head *head);
/* Floats of one row: latents, audio, talk, listen; and bytes of its pictures behind them, 0 where none are kept. */
size_t piece_row_floats(const struct prepare_config *config);
size_t piece_row_pictures(const struct prepare_config *config);
/* The next row of an open piece, and which of the clip's shots it is of. ERR_INPUT: it cannot be read. */
int piece_read(FILE *file, const struct prepare_config *config, float *floats, unsigned char *pictures, int *shot);

/* Groups of four frames for the fit of the codec, 8 bits a value, from the start of a clip: at most `groups`. Every
   config->frames-th is one frame four times, as a window's first latent sees it. */
int prepare_sample(const struct prepare_config *config, const struct clip_entry *entry, int groups, const char *piece,
                   int *rejected, void (*beat)(void *), void *user);

#endif
