/* readers.c: see readers.h. What a reader hands on is summed; what is not finite is the fault that the harness looks
   for. */
#include "tests/mutations/readers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/finite.h"
#include "base/text.h"
#include "checkpoints/decoder_file.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/state.h"
#include "checkpoints/student.h"
#include "checkpoints/text_encoder.h"
#include "checkpoints/vae_file.h"
#include "checkpoints/wav2vec2_file.h"
#include "data/dataset.h"
#include "data/media.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "tools/prepare/config.h"
#include "tools/prepare/sidecar.h"

enum { SIDE = 16, FRAMES_READ = 8, MASK_FRAMES = 60, LAYERS_MAX = 8, VALUES_MAX = 1 << 26 };

static void add(uint32_t *sum, const void *bytes, size_t count) { *sum = (uint32_t)crc32_z(*sum, bytes, count); }

/* Values that a network would compute with. */
static int add_values(uint32_t *sum, const float *values, size_t count) {
    add(sum, values, count * sizeof *values);
    return finite_fault(values, count) < 0 ? OK : error_set(ERR_NUMERIC, "a value that was taken is not finite");
}

static int add_weights(uint32_t *sum, const elem *weights, size_t count) {
    float *values = malloc(sizeof *values * (count + 1));
    if (!values) return error_set(ERR_DEVICE, "out of memory");
    transfer_from_elem(values, weights, (long)count);
    int code = device_sync();
    if (!code) code = add_values(sum, values, count);
    free(values);
    return code;
}

static const char *inside(const char *folder, const char *name) {
    static char path[4][FILE_PATH_MAX];
    static int turn;
    char *text = path[turn++ % 4];
    snprintf(text, FILE_PATH_MAX, "%s/%s", folder, name);
    return text;
}

/* ---- ours, with sums ---- */

static int read_student(const char *folder, uint32_t *sum) {
    struct student s;
    struct codec_tensor tensors[16];
    int code = student_open(&s, folder);
    if (!code) code = student_load(&s, folder);
    if (!code) {
        size_t text = (size_t)s.description.dit.text_len * (size_t)s.description.dit.text_dim;
        s.description.decoder[0] = 0; /* a path */
        add(sum, &s.description, sizeof s.description);
        code = add_weights(sum, s.params.weights, s.net.table.total);
        if (!code) code = add_values(sum, s.text, text);
        if (!code) code = add_values(sum, s.empty, text);
        int count = codec_tensors(&s.codec, tensors, 16);
        for (int i = 0; i < count && !code; i++) {
            size_t values = 1;
            for (int d = 0; d < tensors[i].ndim; d++) values *= (size_t)tensors[i].shape[d];
            code = add_values(sum, tensors[i].data, values);
        }
    }
    student_close(&s);
    return code;
}

static int add_rows(uint32_t *sum, struct dataset *set, enum dataset_split split, float *memory) {
    const struct dataset_shape *s = dataset_shape(set);
    size_t latents = (size_t)s->F * s->C * s->H * s->W, audio = (size_t)s->A * s->T * s->D, T = (size_t)s->T;
    for (long i = 0; i < dataset_rows(set, split); i++) {
        struct dataset_row row = {
            memory, memory + latents, memory + latents + audio, memory + latents + audio + T, 0, 0, 0, 0, 0, NULL, 0};
        TRY(dataset_read(set, split, i, &row));
        TRY(add_values(sum, memory, latents + audio + 2 * T));
        const int columns[] = {row.clip, row.shot, row.identity, row.utterance, row.split, row.prompt};
        add(sum, columns, sizeof columns);
    }
    return OK;
}

static int add_set(uint32_t *sum, struct dataset *set) {
    const struct dataset_shape *s = dataset_shape(set);
    size_t row = (size_t)s->F * s->C * s->H * s->W + (size_t)s->A * s->T * s->D + 2 * (size_t)s->T,
           text = (size_t)s->text_len * s->text_dim;
    float *memory = malloc(sizeof *memory * (row > text ? row : text));
    if (!memory) return error_set(ERR_DEVICE, "out of memory");
    add(sum, s, sizeof *s);
    int code = add_rows(sum, set, SPLIT_TRAIN, memory);
    if (!code) code = add_rows(sum, set, SPLIT_HELD_OUT, memory);
    for (int i = 0; i < dataset_prompts(set) && !code; i++) {
        add(sum, dataset_prompt_text(set, i), strlen(dataset_prompt_text(set, i)));
        code = dataset_text(set, i, memory);
        if (!code) code = add_values(sum, memory, text);
    }
    free(memory);
    return code;
}

static int read_dataset(const char *folder, uint32_t *sum) {
    struct dataset *set;
    struct codec codec;
    TRY(dataset_open(&set, inside(folder, "data.h5")));
    int code = add_set(sum, set);
    if (!code && !(code = dataset_codec(set, &codec))) codec_close(&codec);
    dataset_close(set);
    return code;
}

/* A reader that opens is one whose file is what was written, to the last byte. */
static int read_state(const char *folder, uint32_t *sum) {
    struct state_reader *r;
    char *text;
    int64_t step;
    TRY(state_open(&r, inside(folder, "state.h5")));
    int code = state_get_integer(r, "step", &step);
    if (!code && !(code = state_get_text(r, "config", &text))) {
        add(sum, text, strlen(text));
        free(text);
    }
    add(sum, &step, sizeof step);
    state_close(r);
    return code;
}

/* ---- others' ---- */

static int take(void *self, const struct param *p, size_t from, size_t count, const float *values) {
    (void)p;
    (void)from;
    return add_values(self, values, count);
}

static int read_transformer(const char *folder, uint32_t *sum) {
    struct dit_config config;
    struct dit net;
    int audio;
    TRY(pretrained_config(folder, &config));
    if (!config.height) config.height = config.width = 4;
    if (config.layers > LAYERS_MAX || !config.dim) return error_set(ERR_INPUT, "too large for this test");
    TRY(dit_create(&net, &config, 0));
    const struct weights_sink sink = {.take = take, .self = sum};
    int code = net.table.values > VALUES_MAX ? error_set(ERR_INPUT, "too large for this test")
                                             : pretrained_load(&sink, &net.table, folder, &audio);
    dit_destroy(&net);
    return code;
}

static int read_vae(const char *folder, uint32_t *sum) {
    struct vae_weights weights;
    uint32_t checksum;
    TRY(vae_file_open(&weights, folder, VAE_BOTH, &checksum));
    int code = add_weights(sum, weights.weights, weights.net.table.total);
    vae_weights_close(&weights);
    return code;
}

static int read_wav2vec2(const char *folder, uint32_t *sum) {
    struct wav2vec2_file f;
    TRY(wav2vec2_file_open(&f, folder));
    size_t total = f.net.table.total;
    elem *weights = total > VALUES_MAX ? NULL : device_alloc(total * sizeof *weights);
    if (weights) mem_zero(weights, total * sizeof *weights);
    int code = weights ? wav2vec2_file_load(&f, weights) : error_set(ERR_INPUT, "too large for this test");
    if (!code) code = add_weights(sum, weights, total);
    device_free(weights);
    wav2vec2_file_close(&f);
    return code;
}

static int read_text_encoder(const char *folder, uint32_t *sum) {
    const int ids[] = {3, 7, 1}, length = 3;
    struct text_encoder e;
    TRY(text_encoder_open(&e, folder));
    float *out = e.net.table.values > VALUES_MAX ? NULL : malloc(sizeof *out * 3 * (size_t)e.net.config.dim);
    int code = out ? text_encoder_encode(&e, ids, &length, 1, out) : error_set(ERR_INPUT, "too large for this test");
    if (!code) code = add_values(sum, out, 3 * (size_t)e.net.config.dim);
    free(out);
    text_encoder_close(&e);
    return code == ERR_NUMERIC && strstr(error_text(), "embedding") ? ERR_INPUT : code; /* it was refused */
}

static int add_decoder(uint32_t *sum, const struct safetensors *file) {
    struct decoder_net net;
    TRY(decoder_file_create(&net, file));
    float *values = malloc(sizeof *values * (net.table->total + 1));
    int code = values ? decoder_file_read(values, &net, file) : error_set(ERR_DEVICE, "out of memory");
    if (!code) code = add_values(sum, values, net.table->total);
    free(values);
    decoder_net_destroy(&net);
    return code;
}

static int read_decoder(const char *folder, uint32_t *sum) {
    struct safetensors file;
    TRY(safetensors_open(&file, inside(folder, "decoder.safetensors")));
    int code = add_decoder(sum, &file);
    safetensors_close(&file);
    return code;
}

static int read_prompts(const char *folder, uint32_t *sum) {
    struct prompt_file f;
    float *rows;
    TRY(prompt_file_open(&f, inside(folder, "text.safetensors")));
    int code = OK;
    for (int i = 0; i < f.count && !code; i++) {
        if ((code = prompt_file_read(&f, &f.entries[i], &rows))) break;
        code = add_values(sum, rows, (size_t)f.entries[i].length * (size_t)f.dim);
        free(rows);
    }
    prompt_file_close(&f);
    return code;
}

static int read_mask(const char *path, uint32_t *sum) {
    float talk[MASK_FRAMES], listen[MASK_FRAMES];
    TRY(sidecar_read(path, MASK_FRAMES, talk, listen));
    TRY(add_values(sum, talk, MASK_FRAMES));
    return add_values(sum, listen, MASK_FRAMES);
}
static int read_csv(const char *folder, uint32_t *sum) { return read_mask(inside(folder, "a.mask.csv"), sum); }
static int read_json(const char *folder, uint32_t *sum) { return read_mask(inside(folder, "a.mask.json"), sum); }

static int read_config(const char *folder, uint32_t *sum) {
    struct prepare_config config;
    (void)sum;
    return prepare_config_load(&config, inside(folder, "prepare.yaml"), NULL, 0);
}

static int add_pictures(uint32_t *sum, const char *path) {
    static float frame[3 * SIDE * SIDE];
    struct video_reader *video;
    int result = 0;
    TRY(video_open(&video, path, SIDE, SIDE));
    for (int i = 0; i < FRAMES_READ && (result = video_read(video, frame)) > 0; i++)
        if ((result = -add_values(sum, frame, sizeof frame / sizeof *frame))) break;
    video_close(video);
    return result < 0 ? -result : OK;
}

static int add_sound(uint32_t *sum, const char *path) {
    float *pcm = NULL;
    long samples;
    TRY(audio_read(path, -1, &pcm, &samples));
    int code = samples ? add_values(sum, pcm, (size_t)samples) : OK;
    free(pcm);
    return code;
}

static int read_mp4(const char *folder, uint32_t *sum) {
    TRY(add_pictures(sum, inside(folder, "clip.mp4")));
    return add_sound(sum, inside(folder, "clip.mp4"));
}
static int read_mkv(const char *folder, uint32_t *sum) {
    TRY(add_pictures(sum, inside(folder, "clip.mkv")));
    return add_sound(sum, inside(folder, "clip.mkv"));
}
static int read_png(const char *folder, uint32_t *sum) { return add_pictures(sum, inside(folder, "picture.png")); }
static int read_wav(const char *folder, uint32_t *sum) { return add_sound(sum, inside(folder, "sound.wav")); }

const struct mutation_reader mutation_readers[] = {
    {"student", read_student, 1, 100},
    {"data", read_dataset, 1, 100},
    {"state", read_state, 1, 100},
    {"transformer", read_transformer, 0, 100},
    {"vae", read_vae, 0, 5},
    {"wav2vec2", read_wav2vec2, 0, 100},
    {"umt5", read_text_encoder, 0, 100},
    {"light", read_decoder, 0, 100},
    {"residual", read_decoder, 0, 100},
    {"prompts", read_prompts, 0, 100},
    {"csv", read_csv, 0, 100},
    {"json", read_json, 0, 100},
    {"yaml", read_config, 0, 100},
    {"mp4", read_mp4, 0, 20},
    {"mkv", read_mkv, 0, 20},
    {"png", read_png, 0, 100},
    {"wav", read_wav, 0, 100},
};
const int mutation_reader_count = sizeof mutation_readers / sizeof *mutation_readers;

/* ---- samples ---- */

static int write_net(const char *path, const struct decoder_config *config) {
    struct decoder_net net;
    TRY(decoder_net_create(&net, config));
    float *values = malloc(sizeof *values * net.table->total);
    for (size_t i = 0; values && i < net.table->total; i++) values[i] = (float)(i % 31) / 31 - 0.5f;
    int code = values ? decoder_file_save(path, &net, values) : error_set(ERR_DEVICE, "out of memory");
    free(values);
    decoder_net_destroy(&net);
    return code;
}

static int write_light(const char *path) {
    const struct decoder_config config = {.kind = DECODER_LIGHT,
                                          .light = {.channels = 6,
                                                    .first = 8,
                                                    .level = {8, 6, 4},
                                                    .blocks = 1,
                                                    .grow = {1, 2, 2},
                                                    .scale = {2, 2, 1},
                                                    .patch = 2,
                                                    .clamp = 3}};
    return write_net(path, &config);
}

static int write_residual(const char *path) {
    const struct decoder_config config = {
        .kind = DECODER_RESIDUAL, .residual = {.channels = 6, .width = {5, 4, 3}, .blocks = {1, 0, 1}, .patch = 2}};
    return write_net(path, &config);
}

int mutation_samples(const char *folder) {
    static const char csv[] = "\xef\xbb\xbfstart,end,who\r\n0.0,1.2,talk\r\n# note\r\n\"0.8\",1.55,\"listen\"\r\n";
    static const char json[] = "{\"talk\": [[0, 1.2], [1.3, 2]], \"listen\": [[0.8, 1.0]], \"by\": \"hand\"}\n";
    TRY(file_make_folders(inside(folder, "light")));
    TRY(file_make_folders(inside(folder, "residual")));
    TRY(file_make_folders(inside(folder, "csv")));
    TRY(file_make_folders(inside(folder, "json")));
    TRY(write_light(inside(folder, "light/decoder.safetensors")));
    TRY(write_residual(inside(folder, "residual/decoder.safetensors")));
    TRY(file_write(inside(folder, "csv/a.mask.csv"), csv, sizeof csv - 1));
    return file_write(inside(folder, "json/a.mask.json"), json, sizeof json - 1);
}
