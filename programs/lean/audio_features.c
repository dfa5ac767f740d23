/* audio_features.c: writes the features and hidden states that wav2vec2 makes of a sound, or compares streamed features
   with those of the whole clip. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "checkpoints/sound_encoder.h"
#include "data/media.h"
#include "kernels/device.h"
#include "tools/audio_config.h"

struct settings {
    struct audio_config audio;
    double fps, via;
    int threads, hidden, compare;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    AUDIO_CONFIG_FIELDS("wav2vec2", "whole"),
    REAL("fps", fps, 1, 1000, "25", "Features a second; other rates than 25 need a whole clip."),
    REAL("via", via, 0, 1000, "0",
         "Rate to which states are brought first, before each feature takes the nearest of them; 0 goes straight to "
         "`fps`. For whole clips only; fps=16 via=30 is what Wan-S2V does."),
    FLAG("hidden", hidden, "yes", "Writes the hidden states too; for whole clips only."),
    FLAG("compare", compare, "no",
         "Prints how far the stream's features are from the whole clip's, and writes nothing; takes no OUT."),
    THREADS_FIELD,
};
static const struct command command = {
    .name = "audio_features",
    .does = "Writes what the speech encoder wav2vec2 makes of a sound.",
    .words = "WEIGHTS IN [OUT.safetensors]",
    .min_words = 2,
    .max_words = 3,
    .text = "IN is any file with sound, or a safetensors file with the tensor pcm [n], 16 kHz mono. OUT gets\n"
            "  features       [F, D]           one row for each video frame, made as audio_states, audio_resample and\n"
            "                                  the other audio_ keys say\n"
            "  hidden_states  [L + 1, T, dim]  every state at the transformer's own rate (whole clips only)\n"
            "audio_mode=whole, the default here, runs a clip as Hugging Face's Transformers does; audio_mode=stream\n"
            "as a live student hears it.\n",
    .keys = keys,
    .key_count = FIELDS(keys)};

struct sound {
    float *pcm;
    long samples;
};
struct cost {
    double wall, processor; /* seconds; processor: those of all threads, which a busy machine hardly lengthens */
};

static struct cost cost_now(void) { return (struct cost){clock_seconds(), (double)clock() / CLOCKS_PER_SEC}; }

static struct cost cost_since(struct cost start) {
    struct cost now = cost_now();
    return (struct cost){now.wall - start.wall, now.processor - start.processor};
}

/* ---- sound ---- */

static int read_tensor(struct sound *sound, const struct safetensors *file) {
    const struct safetensors_entry *e = safetensors_find(file, "pcm");
    if (!e) return error_set(ERR_INPUT, "there is no tensor pcm in it");
    if (e->ndim < 1 || (size_t)e->shape[e->ndim - 1] != e->count || e->count > (size_t)1 << 31)
        return error_set(ERR_INPUT, "pcm: expected one row of samples");
    for (int i = 0; file->metadata && file->metadata[i]; i += 2)
        if (!strcmp(file->metadata[i], "rate") && strcmp(file->metadata[i + 1], "16000"))
            return error_set(ERR_INPUT, "pcm: its rate is %.20s, expected 16000", file->metadata[i + 1]);
    sound->samples = (long)e->count;
    sound->pcm = malloc(sizeof *sound->pcm * (e->count + 1));
    return sound->pcm ? safetensors_read_float(e, sound->pcm) : error_set(ERR_DEVICE, "out of memory");
}

static int read_sound(struct sound *sound, const char *path) {
    const char *dot = strrchr(path, '.');
    if (dot && !strcmp(dot, ".safetensors")) {
        struct safetensors file;
        TRY(safetensors_open(&file, path));
        int code = read_tensor(sound, &file);
        safetensors_close(&file);
        if (code) return error_context(code, "%s", path);
    } else
        TRY(audio_read(path, -1, &sound->pcm, &sound->samples));
    if (!sound->samples) return error_set(ERR_INPUT, "%s: has no sound", path);
    return OK;
}

/* ---- features ---- */

static float *make_room(long rows, long dim) { return calloc((size_t)rows * (size_t)dim, sizeof(float)); }

/* Makes features through the streaming interface, in the encoder's mode: [n / 640 rounded up, dim]. */
static int stream_features(struct sound_encoder *encoder, const struct sound *sound, float *features, long frames,
                           struct cost *cost) {
    struct audio_encoder stream;
    TRY(sound_encoder_stream(encoder, &stream));
    struct cost start = cost_now();
    int got = audio_encoder_push(&stream, sound->pcm, sound->samples, features, (int)frames);
    int more = got < 0 ? got : audio_encoder_flush(&stream, features + (long)got * stream.dim, (int)frames - got);
    *cost = cost_since(start);
    audio_encoder_close(&stream);
    if (more < 0) return -more;
    return got + more == frames ? OK : error_set(ERR_DEVICE, "%d features of %ld", got + more, frames);
}

/* Makes the features of a whole clip at another rate than 25, or by way of the rate `via`: [frames, D]. */
static int clip_features(struct sound_encoder *encoder, const struct settings *o, const struct sound *sound,
                         float *features, long frames) {
    const struct wav2vec2 *net = &encoder->file.net;
    int state[WAV2VEC2_STATES_MAX], count, mean;
    long dim = net->config.dim, rows = frames, made = wav2vec2_frames(net, sound->samples);
    TRY(audio_states(o->audio.recipe.states, net->config.layers, state, WAV2VEC2_STATES_MAX, &count, &mean));
    int before = o->audio.recipe.resample == AUDIO_BEFORE;
    if (o->via > 0) rows = (long)((double)made * net->hop / AUDIO_RATE * o->via);
    if (rows < 1) rows = 1;
    float *states = make_room(count * rows, dim), *joined = make_room(rows, encoder->dim);
    int code = states && joined ? OK : error_set(ERR_DEVICE, "out of memory for %ld frames", rows);
    if (!code)
        code = wav2vec2_clip(net, &encoder->params, sound->pcm, sound->samples, before ? rows : 0, state, count, rows,
                             states);
    if (!code) audio_join_states(joined, states, count, mean, rows, dim);
    for (long f = 0; f < frames && !code; f++) {
        long row = o->via > 0 ? lrint((double)f / o->fps * o->via) : f;
        memcpy(features + f * encoder->dim, joined + (row < rows ? row : rows - 1) * encoder->dim,
               sizeof *features * (size_t)encoder->dim);
    }
    free(states);
    free(joined);
    return code;
}

static int hidden_states(struct sound_encoder *encoder, const struct sound *sound, float **states, long *rows) {
    const struct wav2vec2 *net = &encoder->file.net;
    int state[WAV2VEC2_LAYERS_MAX + 1], count = net->config.layers + 1;
    for (int i = 0; i < count; i++) state[i] = i;
    *rows = wav2vec2_frames(net, sound->samples);
    if (!*rows) *rows = 1; /* a sound that is too short for a row is continued by silence */
    *states = make_room(count * *rows, net->config.dim);
    if (!*states) return error_set(ERR_DEVICE, "out of memory for the hidden states");
    return wav2vec2_clip(net, &encoder->params, sound->pcm, sound->samples, 0, state, count, 0, *states);
}

static int check_finite(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return error_set(ERR_NUMERIC, "a feature is not finite");
    return OK;
}

/* ---- the file ---- */

static struct safetensors_entry entry_of(const char *name, const float *data, int ndim, const long *shape) {
    struct safetensors_entry e = {.name = (char *)name, .type = ST_F32, .ndim = ndim, .count = 1, .data = data};
    for (int k = 0; k < ndim; k++) e.count *= (size_t)(e.shape[k] = shape[k]);
    e.bytes = e.count * sizeof *data;
    return e;
}

static int write_all(struct sound_encoder *encoder, const struct settings *o, const struct sound *sound,
                     const char *path, const float *features, long frames) {
    char recipe[AUDIO_RECIPE_TEXT];
    float *states = NULL;
    long rows = 0;
    int count = 1, code = OK;
    audio_recipe_print(&encoder->recipe, recipe);
    const char *const metadata[] = {"audio_recipe", recipe, NULL};
    struct safetensors_entry entries[2] = {entry_of("features", features, 2, (long[]){frames, encoder->dim})};
    if (o->hidden && o->audio.recipe.mode == AUDIO_WHOLE) {
        const struct wav2vec2_config *c = &encoder->file.net.config;
        code = hidden_states(encoder, sound, &states, &rows);
        entries[count++] = entry_of("hidden_states", states, 3, (long[]){c->layers + 1, rows, c->dim});
    }
    for (int i = 0; i < count && !code; i++) code = check_finite(entries[i].data, entries[i].count);
    if (!code) code = safetensors_write(path, entries, count, metadata);
    free(states);
    return code;
}

static int make_features(struct sound_encoder *encoder, const struct settings *o, const struct sound *sound,
                         const char *out) {
    struct cost cost = {0, 0};
    double length = (double)sound->samples / AUDIO_RATE;
    long frames = (long)ceil(length * o->fps - 1e-9);
    int straight = o->fps == VIDEO_RATE && o->via == 0;
    if (!straight && o->audio.recipe.mode == AUDIO_STREAM)
        return error_set(ERR_USAGE, "fps, via: a stream has 25 features a second; others need audio_mode=whole");
    float *features = make_room(frames, encoder->dim);
    if (!features) return error_set(ERR_DEVICE, "out of memory for %ld frames", frames);
    struct audio_encoder stream;
    int code = sound_encoder_stream(encoder, &stream); /* loads the weights */
    if (!code) audio_encoder_close(&stream);
    if (!code && straight) code = stream_features(encoder, sound, features, frames, &cost);
    if (!code && !straight) code = clip_features(encoder, o, sound, features, frames);
    if (!code) code = write_all(encoder, o, sound, out, features, frames);
    if (!code) log_line("%.2f s of sound: %ld features of %d to %s", length, frames, encoder->dim, out);
    if (!code && straight)
        log_line("made in %.2f s: real-time factor %.3f, of processor time %.3f (%d threads)", cost.wall,
                 cost.wall / length, cost.processor / length, device_threads());
    free(features);
    return code;
}

/* ---- how far a stream is from a whole clip ---- */

/* Relative distance of a from b: the root of the sum of squares of a - b over that of b, in the columns first ..
   first + width - 1 of all rows. */
static double distance(const float *a, const float *b, long rows, long dim, long first, long width) {
    double error = 0, size = 0;
    for (long r = 0; r < rows; r++)
        for (long i = first; i < first + width; i++) {
            double want = b[r * dim + i], off = a[r * dim + i] - want;
            error += off * off;
            size += want * want;
        }
    return size > 0 ? sqrt(error / size) : 0;
}

static void report(const struct sound_encoder *encoder, const float *stream, const float *whole, long frames) {
    enum { WARM = 4 * VIDEO_RATE };
    int state[WAV2VEC2_STATES_MAX], count, mean;
    long dim = encoder->dim, width = encoder->file.net.config.dim, late = frames > WARM ? WARM : 0;
    audio_states(encoder->recipe.states, encoder->file.net.config.layers, state, WAV2VEC2_STATES_MAX, &count, &mean);
    printf("stream against whole clip, relative to the root of the mean square\n");
    printf("%-10s %-12s %s\n", "state", "all frames", "after 4 s");
    for (int k = 0; k < (mean ? 1 : count); k++) {
        char name[32];
        snprintf(name, sizeof name, mean ? "mean" : "%d", state[k]);
        printf("%-10s %-12.4f %.4f\n", name, distance(stream, whole, frames, dim, k * width, width),
               distance(stream + late * dim, whole + late * dim, frames - late, dim, k * width, width));
    }
    printf("%-10s %-12.4f %.4f\n", "all", distance(stream, whole, frames, dim, 0, dim),
           distance(stream + late * dim, whole + late * dim, frames - late, dim, 0, dim));
}

static int compare(struct sound_encoder *encoder, const struct sound *sound) {
    long frames = (sound->samples + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME;
    float *made[2];
    struct cost cost[2];
    int code = OK;
    for (int mode = 0; mode < 2; mode++) {
        made[mode] = make_room(frames, encoder->dim);
        if (!made[mode]) code = error_set(ERR_DEVICE, "out of memory for %ld frames", frames);
        encoder->recipe.mode = mode ? AUDIO_WHOLE : AUDIO_STREAM;
        if (!code) code = stream_features(encoder, sound, made[mode], frames, &cost[mode]);
    }
    if (!code) {
        report(encoder, made[0], made[1], frames);
        double length = (double)sound->samples / AUDIO_RATE;
        for (int mode = 0; mode < 2; mode++)
            printf("%-10s real-time factor %.3f, of processor time %.3f (%d threads)\n", mode ? "whole clip" : "stream",
                   cost[mode].wall / length, cost[mode].processor / length, device_threads());
    }
    free(made[0]);
    free(made[1]);
    return code;
}

static int run(struct settings *o, const struct args *args, struct sound *sound, struct sound_encoder *encoder) {
    if (args->word_count != (o->compare ? 2 : 3))
        return error_set(ERR_USAGE, "expected WEIGHTS IN%s", o->compare ? "" : " OUT.safetensors");
    if (strcmp(o->audio.recipe.encoder, "wav2vec2"))
        return error_set(ERR_USAGE, "audio_encoder: %s has no hidden states", o->audio.recipe.encoder);
    TRY(device_init(o->threads));
    TRY(read_sound(sound, args->words[1]));
    TRY(sound_encoder_open(encoder, &o->audio.recipe, 0, args->words[0]));
    return o->compare ? compare(encoder, sound) : make_features(encoder, o, sound, args->words[2]);
}

int main(int argc, char **argv) {
    struct args args;
    struct settings o;
    struct sound sound = {NULL, 0};
    struct sound_encoder encoder = {.dim = 0};
    int code = args_parse(&args, &command, &o, argc, argv);
    if (!code && !args.done) code = run(&o, &args, &sound, &encoder);
    sound_encoder_close(&encoder);
    free(sound.pcm);
    return args_exit("audio_features", code);
}
