/* shapes.c: see shapes.h. Device memory is planned and laid out as ever, but what would fill it does nothing: pages
   that nobody touches cost nothing. */
#include "tests/cuda/shapes.h"
#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "model/audio/wav2vec2.h"
#include "model/codec/decoder_net.h"
#include "model/codec/vae.h"
#include "model/dit/dit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 512, CHUNK = 3, CLIP = 21, HISTORY = 10, TEXT = 512, AUDIO = 16 };

static struct {
    const char *of;
    int count;
    struct asked list[MOST];
} asked;

static void note(struct asked call) {
    call.of = asked.of;
    for (int i = 0; i < asked.count; i++) {
        struct asked old = asked.list[i];
        old.of = call.of;
        if (!memcmp(&old, &call, sizeof call)) return;
    }
    if (asked.count == MOST) abort();
    asked.list[asked.count++] = call;
}

/* ---- kernels that note (the others: quiet_kernels.sh) ---- */

static void note_conv(enum ask what, const struct conv_shape *shape, int beta, int bias) {
    struct asked call;
    memset(&call, 0, sizeof call);
    call.what = what, call.shape = *shape, call.beta = beta, call.bias = bias;
    note(call);
}

void conv_forward(elem *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape, real beta) {
    (void)y, (void)x, (void)w;
    note_conv(ASK_CONV, shape, beta != 0, b != NULL);
}
void conv_forward_real(real *y, const elem *x, const elem *w, const elem *b, const struct conv_shape *shape) {
    (void)y, (void)x, (void)w;
    note_conv(ASK_CONV_REAL, shape, 0, b != NULL);
}
void conv_backward_input(elem *dx, const elem *dy, const elem *w, const struct conv_shape *shape, real beta) {
    (void)dx, (void)dy, (void)w;
    note_conv(ASK_CONV_INPUT, shape, beta != 0, 0);
}
void conv_backward_weight(real *dw, real *db, const elem *dy, const elem *x, const struct conv_shape *shape) {
    (void)db, (void)dy, (void)x;
    if (dw) note_conv(ASK_CONV_WEIGHT, shape, 1, 0);
}

static void note_attention(enum ask what, const struct attention_range *ranges, int count, long B, long S, long H,
                           long D) {
    for (int r = 0; r < count; r++) {
        struct asked call;
        memset(&call, 0, sizeof call);
        call.what = what, call.B = B, call.S = S, call.K = ranges[r].length, call.H = H, call.D = D;
        call.ranges = count;
        note(call);
    }
}

void attention_forward(elem *o, real *lse, const elem *q, const struct attention_range *ranges, int count, long B,
                       long S, long H, long D, real scale) {
    (void)o, (void)lse, (void)q, (void)scale;
    note_attention(ASK_ATTENTION, ranges, count, B, S, H, D);
}
void attention_backward(elem *dq, const elem *dout, const elem *o, const real *lse, const elem *q,
                        const struct attention_range *ranges, int count, long B, long S, long H, long D, real scale) {
    (void)dq, (void)dout, (void)o, (void)lse, (void)q, (void)scale;
    note_attention(ASK_ATTENTION_BACKWARD, ranges, count, B, S, H, D);
}

/* In the place of device.h's own (the linker's --wrap). */
void __wrap_mem_zero(void *to, size_t bytes);
void __wrap_mem_copy(void *to, const void *from, size_t bytes);
void __wrap_mem_upload(void *to, const void *from, size_t bytes);
void __wrap_mem_copy_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows);
void __wrap_mem_zero(void *to, size_t bytes) { (void)to, (void)bytes; }
void __wrap_mem_copy(void *to, const void *from, size_t bytes) { (void)to, (void)from, (void)bytes; }
void __wrap_mem_upload(void *to, const void *from, size_t bytes) { (void)to, (void)from, (void)bytes; }
void __wrap_mem_copy_rows(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows) {
    (void)to, (void)to_pitch, (void)from, (void)from_pitch, (void)bytes, (void)rows;
}

/* ---- networks ---- */

static _Alignas(64) char weights[64]; /* where those of every network would begin */

static struct params params_of(const struct param_table *table, int grads) {
    return (struct params){
        .table = table, .weights = (elem *)(void *)weights, .grads = grads ? (real *)(void *)weights : NULL};
}

static int must(int code) {
    if (code) printf("%s: %s\n", asked.of, error_text()), exit(1);
    return code;
}

static void autoencoder(const char *name, void (*configure)(struct vae_config *), int height, int width) {
    struct vae_config config;
    struct vae vae;
    asked.of = name;
    configure(&config);
    must(vae_create(&vae, &config));
    struct params params = params_of(&vae.table, 0);
    for (int direction = 0; direction < 2; direction++) {
        struct vae_stream s;
        real nothing = 0;
        must(vae_stream_plan(&s, &vae, direction, height, width, 1));
        must(vae_stream_open(&s));
        for (int pass = 0; pass < 3; pass++)
            (direction == VAE_ENCODE ? vae_encode : vae_decode)(&s, &params, &nothing, 1, &nothing);
        vae_stream_close(&s);
    }
    vae_destroy(&vae);
}

static void lay_out_decoder(struct decoder_acts *acts, const struct decoder_net *net, enum decoder_memory memory,
                            int frames, int h, int w, struct arena *arena) {
    memset(arena, 0, sizeof *arena);
    arena_begin(arena, "decoder");
    must(decoder_acts_layout(acts, net, memory, 1, frames, h, w, arena));
    must(arena_commit(arena));
    must(decoder_acts_layout(acts, net, memory, 1, frames, h, w, arena));
}

static void decoder(const char *name, const struct decoder_config *config, int h, int w) {
    struct decoder_net net;
    struct decoder_acts acts = {NULL, NULL};
    struct arena arena;
    real nothing = 0;
    asked.of = name;
    must(decoder_net_create(&net, config));
    struct params params = params_of(net.table, 1);
    lay_out_decoder(&acts, &net, DECODER_STREAM, CHUNK, h, w, &arena);
    decoder_stream_begin(&net, &acts, NULL);
    for (int pass = 0; pass < 3; pass++) decoder_stream_decode(&net, &params, &acts, &nothing, CHUNK, &nothing);
    decoder_acts_free(&acts), arena_free(&arena);
    lay_out_decoder(&acts, &net, DECODER_TRAIN, CHUNK, h, w, &arena);
    decoder_net_forward(&net, &params, &acts, 1, &nothing, NULL, &nothing);
    decoder_net_backward(&net, &params, &acts, &nothing);
    decoder_acts_free(&acts), arena_free(&arena);
    decoder_net_destroy(&net);
}

static void light(const char *name, int channels, int patch, int h, int w) {
    const struct decoder_config config = {.kind = DECODER_LIGHT,
                                          .light = {.channels = channels,
                                                    .first = 256,
                                                    .level = {128, 64, 64},
                                                    .blocks = 3,
                                                    .grow = {1, 2, 2},
                                                    .scale = {2, 2, 2},
                                                    .patch = patch,
                                                    .clamp = 3}};
    decoder(name, &config, h, w);
}

static void residual(const char *name, int channels, int patch, int h, int w) {
    const struct decoder_config config = {.kind = DECODER_RESIDUAL,
                                          .residual = {channels, {64, 48, 32}, {2, 1, 1}, patch}};
    decoder(name, &config, h, w);
}

/* Its convolutions are products of unfolded rows; attention is over a window of `rows` features. */
static void speech(long rows) {
    struct wav2vec2 net;
    asked.of = "wav2vec2";
    must(wav2vec2_create(&net, &wav2vec2_base));
    struct wav2vec2_buffers b;
    struct arena arena;
    struct params params = params_of(&net.table, 0);
    int state = net.config.layers;
    struct wav2vec2_tap tap = {.state = &state, .count = 1, .rows = rows, .step = 1, .out = (real *)(void *)weights};
    memset(&arena, 0, sizeof arena);
    for (int pass = 0; pass < 2; pass++) {
        if (!pass) arena_begin(&arena, "wav2vec2");
        wav2vec2_layout(&b, &net, rows, rows, &arena);
        if (!pass) must(arena_commit(&arena));
    }
    wav2vec2_transform(&net, &params, &b, (real *)(void *)weights, rows, &tap);
    arena_free(&arena);
    wav2vec2_destroy(&net);
}

/* A transformer's calls, by its sizes: `frames` of queries against so many ranges of frames. */
static void self_attention(long frames, const long *before, int ranges, long tokens, long heads, int backward) {
    struct attention_range range[4];
    memset(range, 0, sizeof range);
    for (int r = 0; r < ranges; r++) range[r].length = (r < ranges - 1 ? before[r] : frames) * tokens;
    note_attention(ASK_ATTENTION, range, ranges, 1, frames * tokens, heads, 128);
    if (backward) note_attention(ASK_ATTENTION_BACKWARD, range, ranges, 1, frames * tokens, heads, 128);
}

static void cross_attention(long B, long S, long keys, long heads) {
    struct attention_range range = {.length = keys};
    note_attention(ASK_ATTENTION, &range, 1, B, S, heads, 128);
    note_attention(ASK_ATTENTION_BACKWARD, &range, 1, B, S, heads, 128);
}

static void transformer(const char *name, long tokens, long heads) {
    static const long history[][3] = {{HISTORY}, {1, HISTORY - 1}, {4, 4, 2}, {1}, {4}, {7}};
    static const int parts[] = {1, 2, 3, 1, 1, 1};
    asked.of = name;
    self_attention(CLIP, NULL, 1, tokens, heads, 1);
    self_attention(1, NULL, 1, tokens, heads, 0);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        self_attention(CHUNK, history[i], parts[i] + 1, tokens, heads, 1);
    long whole = HISTORY + CHUNK; /* history and chunk side by side */
    struct attention_range range = {.length = whole * tokens};
    note_attention(ASK_ATTENTION, &range, 1, 1, CHUNK * tokens, heads, 128);
    note_attention(ASK_ATTENTION_BACKWARD, &range, 1, 1, CHUNK * tokens, heads, 128);
    cross_attention(1, CLIP * tokens, TEXT, heads), cross_attention(1, CHUNK * tokens, TEXT, heads);
    cross_attention(CLIP, tokens, AUDIO, heads), cross_attention(CHUNK, tokens, AUDIO, heads);
}

int shapes_ask(const struct asked **list) {
    *list = asked.list;
    if (asked.count) return asked.count;
    must(device_init(1));
    transformer("5B, 928 x 704", 22 * 29, 24);
    transformer("1.3B, 832 x 480", 26 * 60, 12);
    autoencoder("wan22, 928 x 704", vae_config_wan22, 928, 704);
    autoencoder("wan21, 832 x 480", vae_config_wan21, 832, 480);
    light("light decoder, 928 x 704", 48, 2, 58, 44);
    light("light decoder, 832 x 480", 16, 1, 104, 60);
    residual("residual decoder, 64 x 64", 48, 2, 8, 8);
    speech(200);
    device_shutdown();
    return asked.count;
}
