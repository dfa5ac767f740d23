/* network.h: makes networks at full width with random weights on the device, and random inputs for them, of which
   bench_dit measures blocks and streams. */
#ifndef TOOLS_BENCH_NETWORK_H
#define TOOLS_BENCH_NETWORK_H

#include "model/dit/rollout.h"

/* The transformers that are in use: Wan2.2-TI2V-5B over latents of 16 x 16 pixels,
   Wan2.1-T2V-1.3B over those of 8 x 8. */
enum bench_net { BENCH_5B, BENCH_1_3B, BENCH_NETS };
extern const char *const bench_net_names[BENCH_NETS + 1]; /* "5b", "1.3b", NULL */

/* A measured case: a network, the size of its pictures in pixels, and whether all of it is small (to try a program). */
struct bench_case {
    enum bench_net net;
    int width, height, tiny;
};
/* Reads width and height from "928x704". ERR_USAGE: the text is wrong, or a side is no multiple of two latents. */
int bench_case_size(struct bench_case *what, const char *text);
/* Config of the network, with talk and listen attention; tiny: a sixteenth of its sizes and at most 2 layers. */
struct dit_config bench_config(const struct bench_case *what, int layers);

/* Rollout of its student: chunks of 3 latent frames in 3 passes, a pinned chunk behind
   the reference, a ring of 6 frames. */
enum { BENCH_LAYERS = 30 };
struct rollout_config bench_rollout(void);

/* Makes random weights on the device, a slice at a time; grads 1: also room for
   gradients, which are zero. ERR_DEVICE: out of memory. */
int bench_weights_open(struct params *params, const struct param_table *table, int grads);
void bench_weights_close(struct params *params);

/* Random inputs for `frames` latent frames, on the device. ERR_DEVICE: out of memory. */
struct bench_inputs {
    real *latents, *velocity, *t;
    elem *text, *audio[AUDIO_STREAMS];
};
int bench_inputs_open(struct bench_inputs *in, const struct dit_config *c, int frames);
void bench_inputs_close(struct bench_inputs *in);

#endif
