/* tiny_dataset.c: not a test but what tests/e2e train on: a data set of coloured discs whose mouth opens with the
   audio, drawn here so that it needs no video or speech library, at the sizes of a config.
   usage: tiny_dataset CONFIG.yaml OUT.h5 PIXELS TRAIN_ROWS HELD_OUT_ROWS */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/philox.h"
#include "data/dataset.h"
#include "train/config/run_config.h"

struct maker {
    struct dataset_shape shape;
    int clip, group; /* what the codec's fit reads next */
};
enum { FIT_CLIPS = 24, FIT_GROUPS = 4 };

static double draw(int clip, int index) {
    struct random_address a = {.seed = 5, .purpose = RANDOM_TEST, .sample = (uint32_t)clip};
    return random_uniform(&a, (uint32_t)index);
}

/* How far the mouth of a clip is open in a frame: 0 .. 1. */
static double opening(int clip, int frame) {
    return 0.5 + 0.5 * sin(0.35 * frame * (0.5 + draw(clip, 1)) + 6 * draw(clip, 2));
}

static double colour(int clip, int frame, int channel, double u, double v) {
    double cu = u - 0.4 - 0.2 * draw(clip, 3), cv = v - 0.4 - 0.2 * draw(clip, 4);
    if (fabs(cu) < 0.12 && fabs(cv - 0.12) < 0.02 + 0.07 * opening(clip, frame)) return channel ? -0.9 : -0.2;
    if (cu * cu + cv * cv < 0.08) return 1.2 * draw(clip, 20 + channel) - 0.4;
    return 1.6 * draw(clip, 10 + channel) - 0.8 + 0.2 * (u - 0.5);
}

static void draw_frame(const struct maker *m, int clip, int frame, float *pixels) {
    int height = m->shape.pixel_height, width = m->shape.pixel_width;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                *pixels++ = (float)colour(clip, frame, c, (x + 0.5) / width, (y + 0.5) / height);
}

static int next_group(void *user, float *group) {
    struct maker *m = user;
    if (m->clip == FIT_CLIPS) return 0;
    size_t size = (size_t)3 * m->shape.pixel_height * m->shape.pixel_width;
    for (int i = 0; i < 4; i++) draw_frame(m, m->clip, 4 * m->group + i, group + i * size);
    if (++m->group == FIT_GROUPS) m->group = 0, m->clip++;
    return 1;
}

/* Talk features follow the mouth with a little noise; nobody else speaks. */
static void make_audio(const struct maker *m, int clip, struct dataset_row *row) {
    const struct dataset_shape *s = &m->shape;
    memset(row->audio, 0, sizeof(float) * (size_t)(s->A * s->T * s->D));
    for (int t = 0; t < s->T; t++) {
        row->talk[t] = 1;
        row->listen[t] = 0;
        for (int d = 0; d < s->D; d++)
            row->audio[t * s->D + d] =
                (float)(cos(0.7 * d) * (2 * opening(clip, t) - 1) + 0.1 * draw(clip, 1000 + t * s->D + d));
    }
}

static int append(const struct maker *m, struct codec *codec, struct dataset_writer *writer, int clip, int held_out,
                  float *pixels, struct dataset_row *row) {
    size_t frame = (size_t)3 * m->shape.pixel_height * m->shape.pixel_width;
    for (int t = 0; t < m->shape.T; t++) draw_frame(m, clip, t, pixels + t * frame);
    codec_encode_reset(codec);
    codec_encode(codec, pixels, 1, row->latents);
    codec_encode(codec, pixels + frame, m->shape.T - 1, row->latents + m->shape.C * m->shape.H * m->shape.W);
    make_audio(m, clip, row);
    row->clip = row->identity = row->utterance = clip;
    row->split = held_out ? SPLIT_HELD_OUT : SPLIT_TRAIN;
    return dataset_append(writer, row);
}

static int write_rows(const struct maker *m, struct codec *codec, const char *path, int train, int held_out) {
    const struct dataset_shape *s = &m->shape;
    size_t frame = (size_t)3 * s->pixel_height * s->pixel_width;
    float *pixels = malloc(sizeof(float) * frame * (size_t)s->T);
    float *text = malloc(sizeof(float) * (size_t)(s->text_len * s->text_dim));
    struct dataset_row row = {.prompt = 1,
                              .latents = malloc(sizeof(float) * (size_t)(s->F * s->C * s->H * s->W)),
                              .audio = malloc(sizeof(float) * (size_t)(s->A * s->T * s->D)),
                              .talk = malloc(sizeof(float) * (size_t)s->T),
                              .listen = malloc(sizeof(float) * (size_t)s->T)};
    struct dataset_writer *writer;
    int code = error_set(ERR_DEVICE, "out of memory");
    if (pixels && text && row.latents && row.audio && row.talk && row.listen) {
        for (int i = 0; i < s->text_len * s->text_dim; i++) text[i] = (float)(draw(0, 100 + i) - 0.5);
        const struct prompt_rows prompts[] = {{"", 0, NULL}, {"stored tokens", s->text_len, text}};
        code = dataset_create(&writer, path, s, codec);
        for (int i = 0; !code && i < 2; i++) code = dataset_add_prompt(writer, &prompts[i]);
        for (int i = 0; !code && i < train + held_out; i++)
            code = append(m, codec, writer, i, i >= train, pixels, &row);
        if (!code) code = dataset_finish(writer);
    }
    free(pixels);
    free(text);
    free(row.latents);
    free(row.audio);
    free(row.talk);
    free(row.listen);
    return code;
}

static int make(char **argv) {
    struct run_config config;
    struct codec codec;
    TRY(run_config_load(&config, argv[1], NULL, 0));
    const struct dit_config *c = &config.model;
    int pixels = atoi(argv[3]);
    struct codec_fit fit = {pixels, pixels, pixels / c->height, c->in_channels, 0.5, 1};
    struct maker m = {.shape = {.F = config.frames,
                                .C = c->in_channels,
                                .H = c->height,
                                .W = c->width,
                                .T = 1 + 4 * (config.frames - 1),
                                .A = 2,
                                .D = c->audio_dim,
                                .text_len = c->text_len,
                                .text_dim = c->text_dim,
                                .pixel_height = pixels,
                                .pixel_width = pixels,
                                .codec = "pca",
                                .audio_encoder = "logmel"}};
    TRY(codec_fit(&codec, "pca", &fit, next_group, &m));
    int code = write_rows(&m, &codec, argv[2], atoi(argv[4]), atoi(argv[5]));
    codec_close(&codec);
    return code;
}

int main(int argc, char **argv) {
    if (argc != 6) {
        fprintf(stderr, "usage: tiny_dataset CONFIG.yaml OUT.h5 PIXELS TRAIN_ROWS HELD_OUT_ROWS\n");
        return ERR_USAGE;
    }
    int code = make(argv);
    return code ? args_exit("tiny_dataset", code) : 0;
}
