/* forward.c: runs one forward of a DiT on the tensors of a file, so that it can be compared with other
   implementations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/finite.h"
#include "base/log.h"
#include "checkpoints/network_weights.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

struct settings {
    int threads;
    long weights_mib;
};

enum { WORKSPACE_MIB = 64, FRAMES_MAX = 1024 };

struct inputs {
    int B, F, text_len;
    float *latents;                 /* host [B, F, C, H, W] */
    float *t;                       /* [B, F] */
    float *text;                    /* [B, text_len, text_dim] */
    float *features[AUDIO_STREAMS]; /* [B, T, D] */
};

struct program {
    struct safetensors file;
    struct dit_config config;
    struct dit net;
    struct inputs in;
    struct network_weights weights;
    struct arena memory;
    struct dit_acts *acts;
    /* device */
    real *latents, *velocity, *t, *text_real, *features;
    elem *text, *windows[AUDIO_STREAMS];
    void *workspace;
    float *out; /* host [B, C, F, H, W] */
};

static long values_of_clip(const struct program *p) {
    return (long)p->in.F * p->config.in_channels * p->config.height * p->config.width;
}

/* ---- the file ---- */

static int find(const struct safetensors *file, const char *name, int ndim, const struct safetensors_entry **e) {
    *e = safetensors_find(file, name);
    if (!*e) return error_set(ERR_INPUT, "has no %s", name);
    if ((*e)->ndim != ndim) return error_set(ERR_INPUT, "%s: has %d axes, expected %d", name, (*e)->ndim, ndim);
    if (!(*e)->count) return error_set(ERR_INPUT, "%s: is empty", name);
    return OK;
}

static int expect_axis(const struct safetensors_entry *e, int axis, long size) {
    if (e->shape[axis] == size) return OK;
    return error_set(ERR_INPUT, "%s: axis %d is %ld, expected %ld", e->name, axis, e->shape[axis], size);
}

/* Reads all values of a tensor; *values is malloc'd. */
static int read_values(const struct safetensors_entry *e, float **values) {
    *values = malloc(e->count * sizeof **values);
    return *values ? safetensors_read_float(e, *values) : error_set(ERR_DEVICE, "out of memory for %s", e->name);
}

/* Swaps the file's order, channels before frames, with the network's, frames before channels. */
static void swap_axes(float *to, const float *from, long B, long first, long second, long size) {
    for (long b = 0; b < B; b++)
        for (long i = 0; i < first; i++)
            for (long k = 0; k < second; k++)
                memcpy(to + ((b * second + k) * first + i) * size, from + ((b * first + i) * second + k) * size,
                       (size_t)size * sizeof *to);
}

static int read_latents(struct program *p) {
    const struct safetensors_entry *e;
    TRY(find(&p->file, "latents", 5, &e));
    TRY(expect_axis(e, 1, p->config.in_channels));
    for (int axis = 3; axis < 5; axis++)
        if (e->shape[axis] % 2 || e->shape[axis] > 4096)
            return error_set(ERR_INPUT, "latents: axis %d is %ld, expected an even number up to 4096", axis,
                             e->shape[axis]);
    if (e->shape[0] > 4096 || e->shape[2] > FRAMES_MAX)
        return error_set(ERR_INPUT, "latents: more than 4096 samples or %d frames", FRAMES_MAX);
    p->in.B = (int)e->shape[0];
    p->in.F = (int)e->shape[2];
    p->config.height = (int)e->shape[3];
    p->config.width = (int)e->shape[4];
    float *values;
    int code = read_values(e, &values);
    p->in.latents = code ? NULL : malloc(e->count * sizeof(float));
    if (!code && !p->in.latents) code = error_set(ERR_DEVICE, "out of memory for latents");
    if (!code)
        swap_axes(p->in.latents, values, p->in.B, p->config.in_channels, p->in.F,
                  (long)p->config.height * p->config.width);
    free(values);
    return code;
}

static int read_timestep(struct program *p) {
    const struct safetensors_entry *e = safetensors_find(&p->file, "timestep");
    if (!e) return error_set(ERR_INPUT, "has no timestep");
    long F = p->in.F, P = dit_tokens(&p->config), columns = e->ndim == 2 ? e->shape[1] : 1;
    if (e->ndim < 1 || e->ndim > 2 || e->shape[0] != p->in.B || (e->ndim == 2 && columns != F && columns != F * P))
        return error_set(ERR_INPUT, "timestep: expected [%d], [%d, %ld] or [%d, %ld]", p->in.B, p->in.B, F, p->in.B,
                         F * P);
    float *values;
    int code = read_values(e, &values);
    p->in.t = code ? NULL : malloc((size_t)p->in.B * (size_t)F * sizeof(float));
    if (!code && !p->in.t) code = error_set(ERR_DEVICE, "out of memory for timestep");
    for (long i = 0; i < p->in.B * columns && !code; i++) {
        long b = i / columns, column = i % columns, f = columns == F * P ? column / P : column;
        float first = values[columns == F * P ? b * columns + f * P : i];
        if (!(values[i] >= 0 && values[i] <= 1000))
            code = error_set(ERR_INPUT, "timestep: %g is not within 0 to 1000", (double)values[i]);
        else if (values[i] != first)
            code = error_set(ERR_INPUT, "timestep: the tokens of frame %ld differ", f);
        for (long k = columns == 1 ? 0 : f; k < (columns == 1 ? F : f + 1) && !code; k++)
            p->in.t[b * F + k] = values[i];
    }
    free(values);
    return code;
}

static int read_text(struct program *p) {
    const struct safetensors_entry *e;
    TRY(find(&p->file, "text", 3, &e));
    TRY(expect_axis(e, 0, p->in.B));
    TRY(expect_axis(e, 2, p->config.text_dim));
    if (e->shape[1] > 1 << 16) return error_set(ERR_INPUT, "text: has %ld rows, at most %d", e->shape[1], 1 << 16);
    p->config.text_len = p->in.text_len = (int)e->shape[1];
    return read_values(e, &p->in.text);
}

static int read_audio(struct program *p) {
    static const char *const names[AUDIO_STREAMS] = {"talk", "listen"};
    const struct safetensors_entry *e;
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        if (!safetensors_find(&p->file, names[s])) continue;
        if (!p->config.audio_dim) return error_set(ERR_INPUT, "%s: the model has no audio modules", names[s]);
        TRY(find(&p->file, names[s], 3, &e));
        TRY(expect_axis(e, 0, p->in.B));
        TRY(expect_axis(e, 1, video_frames(p->in.F)));
        TRY(expect_axis(e, 2, p->config.audio_dim));
        TRY(read_values(e, &p->in.features[s]));
    }
    return OK;
}

static int read_inputs(struct program *p, const char *path) {
    static const char *const known[] = {"latents", "timestep", "text", "talk", "listen"};
    TRY(safetensors_open(&p->file, path));
    int code = OK;
    for (int i = 0; i < p->file.count && !code; i++) {
        int k = 0;
        while (k < 5 && strcmp(p->file.entries[i].name, known[k])) k++;
        if (k == 5)
            code = error_set(ERR_INPUT, "%.80s: expected latents, timestep, text, talk or listen",
                             p->file.entries[i].name);
    }
    if (!code) code = read_latents(p);
    if (!code) code = read_timestep(p);
    if (!code) code = read_text(p);
    if (!code) code = read_audio(p);
    return code ? error_context(code, "%s", path) : OK;
}

/* ---- the network ---- */

static int load_model(struct program *p, const char *path, long mib) {
    int audio;
    TRY(dit_create(&p->net, &p->config, 0));
    TRY(network_weights_plan(&p->weights, &p->net.table, mib, WEIGHTS_PLAIN));
    TRY(network_weights_load(&p->weights, path, &audio));
    if (!audio) return error_set(ERR_INPUT, "%s: has no audio modules, though its config.json says so", path);
    log_line("%s: %zu parameters", path, p->net.table.values);
    return OK;
}

static int layout(struct program *p) {
    struct arena *m = &p->memory;
    long clip = values_of_clip(p), B = p->in.B, text = B * p->in.text_len * p->config.text_dim;
    long frames = B * p->in.F, D = p->config.audio_dim;
    dit_acts_free(p->acts);
    p->acts = NULL;
    p->workspace = arena_take(m, "workspace of kernels", (size_t)WORKSPACE_MIB << 20);
    p->latents = ARENA_TAKE(m, "latents", real, B * clip);
    p->velocity = ARENA_TAKE(m, "velocity", real, B * clip / p->config.in_channels * p->config.out_channels);
    p->t = ARENA_TAKE(m, "timesteps", real, frames);
    p->text_real = ARENA_TAKE(m, "text", real, text);
    p->text = ARENA_TAKE(m, "text, elem", elem, text);
    p->features = ARENA_TAKE(m, "audio features", real, B * video_frames(p->in.F) * D);
    for (int s = 0; s < AUDIO_STREAMS; s++)
        p->windows[s] = ARENA_TAKE(m, "audio windows", elem, frames * AUDIO_WINDOW * D);
    return dit_acts_layout(&p->acts, &p->net, p->in.B, p->in.F, DIT_FORWARD_ONLY, m);
}

static void upload_audio(struct program *p) {
    long D = p->config.audio_dim, T = video_frames(p->in.F);
    for (int s = 0; s < AUDIO_STREAMS && D; s++) {
        if (p->in.features[s])
            transfer_to_real(p->features, p->in.features[s], p->in.B * T * D);
        else
            mem_zero(p->features, (size_t)(p->in.B * T * D) * sizeof(real));
        audio_windows(p->windows[s], p->features, NULL, p->in.B, T, D, 0, p->in.F, 0, (struct audio_reach){0});
    }
}

static int run_forward(struct program *p) {
    arena_begin(&p->memory, "activations");
    TRY(layout(p));
    TRY(arena_commit(&p->memory));
    TRY(layout(p));
    device_workspace(p->workspace, (size_t)WORKSPACE_MIB << 20);
    long clip = values_of_clip(p), out_clip = clip / p->config.in_channels * p->config.out_channels, B = p->in.B;
    long text = B * p->in.text_len * p->config.text_dim, D = p->config.audio_dim;
    transfer_to_real(p->latents, p->in.latents, B * clip);
    transfer_to_real(p->t, p->in.t, B * p->in.F);
    transfer_to_real(p->text_real, p->in.text, text);
    elem_from_real(p->text, p->text_real, text);
    upload_audio(p);
    int positions[FRAMES_MAX];
    for (int f = 0; f < p->in.F; f++) positions[f] = f;
    const struct dit_input in = {.batch = p->in.B,
                                 .frames = p->in.F,
                                 .positions = positions,
                                 .latents = p->latents,
                                 .latent_stride = clip,
                                 .t = p->t,
                                 .text = p->text,
                                 .audio = {D ? p->windows[0] : NULL, D ? p->windows[1] : NULL},
                                 .audio_stride = p->in.F * AUDIO_WINDOW * D};
    TRY(dit_forward(&p->net, &p->weights.params, p->acts, &in, p->velocity, out_clip));
    float *values = malloc((size_t)(B * out_clip) * sizeof *values);
    p->out = malloc((size_t)(B * out_clip) * sizeof *p->out);
    int code = values && p->out ? OK : error_set(ERR_DEVICE, "out of memory for the velocity");
    if (!code) {
        transfer_from_real(values, p->velocity, B * out_clip);
        code = device_sync();
        swap_axes(p->out, values, B, p->in.F, p->config.out_channels, (long)p->config.height * p->config.width);
    }
    free(values);
    return code;
}

static int write_velocity(const struct program *p, const char *path) {
    const char *const metadata[] = {"backend", device_name(), "type", TYPE_NAME, NULL};
    struct safetensors_entry e = {
        .name = (char *)"velocity",
        .type = ST_F32,
        .ndim = 5,
        .shape = {p->in.B, p->config.out_channels, p->in.F, p->config.height, p->config.width},
        .data = p->out};
    e.count = 1;
    for (int i = 0; i < 5; i++) e.count *= (size_t)e.shape[i];
    e.bytes = e.count * sizeof(float);
    if (finite_fault(p->out, e.count) >= 0)
        return error_set(ERR_NUMERIC, "the velocity is not finite: weights or input are too large");
    return safetensors_write(path, &e, 1, metadata);
}

static int run(struct program *p, const struct settings *o, const char *model, const char *in, const char *out) {
    TRY(pretrained_config(model, &p->config));
    TRY(read_inputs(p, in));
    TRY(load_model(p, model, o->weights_mib));
    TRY(run_forward(p));
    return write_velocity(p, out);
}

static void free_all(struct program *p) {
    device_workspace(NULL, 0);
    dit_acts_free(p->acts);
    arena_free(&p->memory);
    network_weights_close(&p->weights);
    dit_destroy(&p->net);
    free(p->in.latents);
    free(p->in.t);
    free(p->in.text);
    for (int s = 0; s < AUDIO_STREAMS; s++) free(p->in.features[s]);
    free(p->out);
    safetensors_close(&p->file);
}

/* ---- the program ---- */

#define FIELDS_OF struct settings
static const struct config_field keys[] = {THREADS_FIELD, WEIGHTS_MIB_FIELD};
static const struct command command = {
    .name = "forward",
    .does = "Runs one forward of a diffusion transformer on the tensors of a file, to compare it with other programs.",
    .words = "MODEL IN.safetensors OUT.safetensors",
    .min_words = 3,
    .max_words = 3,
    .text =
        "MODEL is an exported student's folder or any Wan checkpoint (docs/checkpoints.md). IN holds these tensors,\n"
        "of any floating type:\n"
        "  latents       [B, C, F, H, W], as PyTorch has them; H and W are even\n"
        "  timestep      0 to 1000: [B], [B, F] for each frame, or [B, F H/2 W/2] for each token, where the tokens of\n"
        "                a frame are equal\n"
        "  text          [B, L, text_dim]; all L rows are attended to, so pad them as in the model's training\n"
        "  talk, listen  [B, 1 + 4 (F - 1), audio_dim]: features of each video frame times their mask; left out they\n"
        "                are silence\n"
        "OUT gets the tensor velocity, F32, shaped like latents; its metadata name backend and number type.\n",
    .keys = keys,
    .key_count = FIELDS(keys)};

int main(int argc, char **argv) {
    static struct program p;
    struct settings o;
    struct args args;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("forward", code);
    code = device_init(o.threads);
    if (!code) code = run(&p, &o, args.words[0], args.words[1], args.words[2]);
    free_all(&p);
    return args_exit("forward", code);
}
