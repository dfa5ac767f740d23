/* network.h: networks at full width with random weights on the device, and random inputs for them: what bench_dit
   measures blocks and streams of. */
#ifndef TOOLS_BENCH_NETWORK_H
#define TOOLS_BENCH_NETWORK_H

#include "model/dit/rollout.h"

/* The transformers that are in use: Wan2.2-TI2V-5B over latents of 16 x 16 pixels, Wan2.1-T2V-1.3B over those of 8 x 8.
   */
enum bench_net { BENCH_5B, BENCH_1_3B, BENCH_NETS };
extern const char *const bench_net_names[BENCH_NETS + 1]; /* "5b", "1.3b", NULL */

/* What is measured: a network, the pictures' size in pixels, and whether all of it is small (to try a program). */
struct bench_case {
    enum bench_net net;
    int width, height, tiny;
};
/* "928x704" -> width and height. ERR_USAGE: no such text, or a side that is no multiple of two latents. */
int bench_case_size(struct bench_case *what, const char *text);
/* The network with talk and listen attention; tiny: sizes a sixteenth and at most 2 layers. */
struct dit_config bench_config(const struct bench_case *what, int layers);

/* How its student streams: chunks of 3 latent frames in 3 passes, a pinned chunk behind the reference, 6 frames of
   ring. */
enum { BENCH_LAYERS = 30 };
struct rollout_config bench_rollout(void);

/* Random weights on the device, a slice at a time; grads: room for gradients, zero. ERR_DEVICE: out of memory. */
int bench_weights_open(struct params *params, const struct param_table *table, int grads);
void bench_weights_close(struct params *params);

/* Random inputs of `frames` latent frames, on the device. ERR_DEVICE: out of memory. */
struct bench_inputs {
    real *latents, *velocity, *t;
    elem *text, *audio[AUDIO_STREAMS];
};
int bench_inputs_open(struct bench_inputs *in, const struct dit_config *c, int frames);
void bench_inputs_close(struct bench_inputs *in);

#endif
