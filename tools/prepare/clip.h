/* clip.h: turns a clip into windows, in a file of its own (a piece), and into a sample that the codec is fitted to. */
#ifndef TOOLS_PREPARE_CLIP_H
#define TOOLS_PREPARE_CLIP_H

#include <stdint.h>
#include <stdio.h>
#include "checkpoints/sound_encoder.h"
#include "model/codec/codec.h"
#include "tools/prepare/clip_list.h"

/* Head of a piece, the file that holds a clip's windows until all are gathered. */
struct piece_head {
    char magic[8];
    int32_t rows, row_floats;
    double seconds;
    double talk;           /* share of talking frames, summed over the rows */
    double square;         /* sum of squared codec errors */
    double pixels;         /* number of values in that sum */
    int32_t missing, cuts; /* number of frames without a picture, of cuts at which the clip was split */
    int32_t traits;        /* bits of enum clip_trait */
    uint32_t sum;          /* CRC-32 of the rows and then of this head with 0 in its place */
};
/* Reads a clip, encodes its windows and writes the piece. *rejected is set when the error is the clip's own fault.
   `beat`, the worker's sign of life, is called for every frame. */
int prepare_clip(const struct prepare_config *config, const struct clip_entry *entry, struct codec *codec,
                 struct sound_encoder *sound, const char *piece, struct piece_head *head, int *rejected,
                 void (*beat)(void *), void *user);
/* Opens a piece. ERR_INPUT when it is not there, not whole or changed: all of it is read once for its checksum. */
int piece_open(const char *path, const struct prepare_config *config, FILE **file, struct piece_head *head);
/* Number of floats of a row: latents, audio, talk, listen; number of bytes of its pictures behind them, 0 where none
   are kept. */
size_t piece_row_floats(const struct prepare_config *config);
size_t piece_row_pictures(const struct prepare_config *config);
/* Reads the next row of an open piece, and the number of its shot in the clip. ERR_INPUT: it cannot be read. */
int piece_read(FILE *file, const struct prepare_config *config, float *floats, unsigned char *pictures, int *shot);

/* Writes groups of four frames that the codec is fitted to, 8 bits a value, from the start of a clip: at most `groups`.
   Every config->frames-th group is one frame four times, as a window's first latent sees it. */
int prepare_sample(const struct prepare_config *config, const struct clip_entry *entry, int groups, const char *piece,
                   int *rejected, void (*beat)(void *), void *user);

#endif
