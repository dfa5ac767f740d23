/* forward_input.c: not a test but what tests/e2e give to bin/forward: numbers of the sizes asked for, frame 0 at t = 0.
   usage: forward_input OUT.safetensors SAMPLES CHANNELS FRAMES HEIGHT WIDTH TEXT_LEN TEXT_DIM AUDIO_DIM
   AUDIO_DIM 0: no talk and listen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/philox.h"
#include "checkpoints/safetensors.h"

static float *numbers(size_t n, int tensor) {
    float *values = malloc(n * sizeof *values);
    const struct random_address address = {.seed = 3, .purpose = RANDOM_TEST, .sample = (uint32_t)tensor};
    for (size_t i = 0; values && i < n; i++) values[i] = (float)(3 * random_uniform(&address, (uint32_t)i) - 1.5);
    return values;
}

static void entry(struct safetensors_entry *e, const char *name, int ndim, const long *shape, int tensor) {
    *e = (struct safetensors_entry){.name = (char *)name, .type = ST_F32, .ndim = ndim, .count = 1};
    for (int i = 0; i < ndim; i++) {
        e->shape[i] = shape[i];
        e->count *= (size_t)shape[i];
    }
    e->bytes = e->count * sizeof(float);
    e->data = numbers(e->count, tensor);
    if (!e->data) exit(ERR_DEVICE);
}

int main(int argc, char **argv) {
    long n[8];
    if (argc != 10) return args_exit("forward_input", error_set(ERR_USAGE, "expected 9 arguments"));
    for (int i = 0; i < 8; i++) n[i] = atol(argv[2 + i]);
    long B = n[0], F = n[2], T = 1 + 4 * (F - 1);
    struct safetensors_entry e[5];
    entry(&e[0], "latents", 5, (long[]){B, n[1], F, n[3], n[4]}, 0);
    entry(&e[1], "timestep", 2, (long[]){B, F}, 1);
    entry(&e[2], "text", 3, (long[]){B, n[5], n[6]}, 2);
    entry(&e[3], "talk", 3, (long[]){B, T, n[7]}, 3);
    entry(&e[4], "listen", 3, (long[]){B, T, n[7]}, 4);
    float *t = (float *)e[1].data;
    for (long i = 0; i < B * F; i++) t[i] = i % F ? (float)(100 + 300 * (i / F)) : 0;
    int code = safetensors_write(argv[1], e, n[7] ? 5 : 3, NULL);
    for (int i = 0; i < 5; i++) free((void *)e[i].data);
    return code ? args_exit("forward_input", code) : 0;
}
