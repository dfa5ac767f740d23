/* big_student.c: writes a student of Wan2.2-TI2V-5B's size with random weights in bf16, in shards as published, for
   the rehearsal at real size (scripts/rehearsal.sh): big_student FOLDER [LAYERS [bf16|int8|fp8]]. Names and shapes
   are those of the parameter table; LAYERS below 30 make a smaller one. The codec is a pca of small pictures, so that
   a processor can run a chunk. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/student.h"
#include "kernels/device.h"

enum { SIDE = 128, PATCH = 16, CHANNELS = 48, VECTOR = 12 * PATCH * PATCH, LAYERS = 30 };

static const struct dit_config size = {.dim = 3072,
                                       .ffn_dim = 14336,
                                       .heads = 24,
                                       .layers = LAYERS,
                                       .in_channels = CHANNELS,
                                       .out_channels = CHANNELS,
                                       .height = SIDE / PATCH,
                                       .width = SIDE / PATCH,
                                       .freq_dim = 256,
                                       .text_len = 512,
                                       .text_dim = 4096,
                                       .audio_dim = 64,
                                       .audio_tokens = 16,
                                       .audio_width = 768,
                                       .audio_hidden = 512,
                                       .audio_every = 2,
                                       .rope_theta_t = 10000,
                                       .rope_theta_hw = 10000,
                                       .eps = 1e-6};

/* Number `i` of sequence `kind`, even in [-1, 1): a finaliser of 64 bits (Steele et al. 2014) over its address. */
static float noise(uint64_t kind, uint64_t i) {
    uint64_t x = (kind << 40) + i + 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (float)((double)(int64_t)(x ^ x >> 31) * 0x1p-63);
}

/* Values of the size that the table starts with, so that activations stay finite; gains about 1. */
static int give(void *self, const struct param *p, size_t from, size_t count, float *values) {
    (void)self;
    float scale = p->init == INIT_NORMAL ? (float)(1.7 * p->deviation) : 0.02f, mean = p->init == INIT_ONE ? 1 : 0;
    for (size_t i = 0; i < count; i++) values[i] = mean + scale * noise((uint64_t)p->number, from + i);
    return OK;
}

/* A codec whose components are random directions of a patch. */
static int open_codec(struct codec *codec) {
    static float basis[CHANNELS * VECTOR], mean[VECTOR], scale[CHANNELS];
    for (int i = 0; i < CHANNELS * VECTOR; i++) basis[i] = noise(1 << 20, (uint64_t)i) / sqrtf(VECTOR / 3.0f);
    for (int i = 0; i < CHANNELS; i++) scale[i] = 1;
    const struct codec_tensor tensors[] = {{"pca.basis", 2, {CHANNELS, VECTOR}, basis},
                                           {"pca.mean", 1, {VECTOR}, mean},
                                           {"pca.scale", 1, {CHANNELS}, scale}};
    return codec_open(codec, "pca", SIDE, SIDE, tensors, 3);
}

static int write_student(const char *folder, struct dit *net, enum quantised_type type, struct codec *codec) {
    struct student_description d = {.dit = net->config,
                                    .rollout = {.causal = {3, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                .steps = 3,
                                                .sigma = {1, 0.909090909, 0.714285714}},
                                    .codec = "pca",
                                    .pixel_height = SIDE,
                                    .pixel_width = SIDE,
                                    .audio_encoder = "logmel",
                                    .audio_recipe = "logmel version=1",
                                    .stage = "distill",
                                    .idle = -1};
    d.dit.weights = type;
    const struct weights_source source = {give, NULL};
    const struct weights_format format = {
        .naming = NAMING_DIFFUSERS, .type = ST_BF16, .quantised = type, .shard_bytes = (size_t)5e9};
    static float text[512 * 4096];
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) text[i] = noise(2 << 20, i);
    const struct prompt_rows prompts[2] = {{"a person talks", size.text_len, text}, {"", 0, NULL}};
    return student_write(folder, &d, &net->table, &source, &format, codec, prompts);
}

static int run(const char *folder, int layers, enum quantised_type type) {
    struct dit_config config = size;
    struct codec codec = {0};
    struct dit net = {0};
    config.layers = layers;
    TRY(device_init(1));
    TRY(open_codec(&codec));
    int code = dit_create(&net, &config, 0);
    if (!code) code = write_student(folder, &net, type, &codec);
    if (!code) printf("%d tensors, %zu parameters\n", net.table.count, net.table.values);
    dit_destroy(&net);
    codec_close(&codec);
    return code;
}

int main(int argc, char **argv) {
    enum quantised_type type = argc < 4                   ? QUANTISED_NONE
                               : !strcmp(argv[3], "int8") ? QUANTISED_INT8
                               : !strcmp(argv[3], "fp8")  ? QUANTISED_FP8
                                                          : QUANTISED_NONE;
    if (argc < 2 || argc > 4 || (argc == 4 && !type && strcmp(argv[3], "bf16"))) {
        fprintf(stderr, "usage: big_student FOLDER [LAYERS [bf16|int8|fp8]]\n");
        return ERR_USAGE;
    }
    int code = run(argv[1], argc > 2 ? atoi(argv[2]) : LAYERS, type);
    if (code) fprintf(stderr, "big_student: %s\n", error_text());
    return code;
}
