/* student.c: see student.h. */
#include "checkpoints/student.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/codec_file.h"
#include "checkpoints/decoder_file.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/wan_config.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

enum { DECODER_BYTES_MAX = 1 << 30 };

static int write_text(const char *path, char *text) {
    int code = text ? file_write(path, text, strlen(text)) : error_set(ERR_DEVICE, "out of memory for %s", path);
    free(text);
    return code;
}

/* Writes the folder that other tools load: weights under the name that they look for, with sizes beside them. */
static int write_trunk(const char *folder, const struct dit_config *config, const struct param_table *table,
                       const struct weights_source *source, const struct weights_format *format) {
    char path[FILE_PATH_MAX], trunk[FILE_PATH_MAX];
    TRY(file_join(trunk, sizeof trunk, folder, "transformer"));
    TRY(file_make_folders(trunk));
    TRY(file_join(path, sizeof path, trunk, "config.json"));
    TRY(weights_save(trunk, "diffusion_pytorch_model", table, source, WEIGHTS_TRUNK, format));
    return write_text(path, format->naming == NAMING_DIFFUSERS ? wan_config_print_diffusers(config)
                                                               : wan_config_print_original(config));
}

/* Copies the decoder's file, or removes the one of an earlier student that had one. */
static int write_decoder(const char *folder, const struct student_description *d) {
    char path[FILE_PATH_MAX], *bytes;
    size_t length;
    TRY(file_join(path, sizeof path, folder, STUDENT_DECODER));
    if (!d->decoder[0]) {
        unlink(path);
        return OK;
    }
    TRY(file_read(d->decoder, DECODER_BYTES_MAX, &bytes, &length));
    int code = file_write(path, bytes, length);
    free(bytes);
    return code;
}

int student_write(const char *folder, const struct student_description *d, const struct param_table *table,
                  const struct weights_source *source, const struct weights_format *format, const struct codec *codec,
                  const struct prompt_rows prompts[2]) {
    const struct weights_format audio = {
        .naming = NAMING_ORIGINAL, .type = format->type, .quantised = format->quantised};
    char path[FILE_PATH_MAX];
    TRY(file_make_folders(folder));
    TRY(file_join(path, sizeof path, folder, "config.json"));
    if (unlink(path) && errno != ENOENT) return error_set(ERR_INPUT, "%s: %s", path, strerror(errno));
    TRY(write_trunk(folder, &d->dit, table, source, format));
    TRY(weights_save(folder, "audio", table, source, WEIGHTS_AUDIO, &audio));
    TRY(file_join(path, sizeof path, folder, "codec.safetensors"));
    if (codec_is_external(codec->name))
        unlink(path);
    else
        TRY(codec_file_write(path, codec));
    TRY(write_decoder(folder, d));
    TRY(file_join(path, sizeof path, folder, "text.safetensors"));
    TRY(prompt_file_write(path, prompts, 2, d->dit.text_dim, ST_F32, 0, NULL));
    return student_config_write(folder, d);
}

/* Adds to an error that the weights are outside the student's folder, and how to name another place. */
static int elsewhere(int code) {
    return code ? error_context(code, "codec of the student (codec_weights=FILE names another place)") : OK;
}

/* Where the codec is. path: of its weights or tensors. A decoder in its place leaves its own decoder out. */
static struct codec_source source_of(const struct student_description *d, const char *path) {
    return (struct codec_source){d->codec, path, d->codec_checksum, d->codec_tiles,
                                 d->decoder[0] ? VAE_ENCODER_ALONE : VAE_BOTH};
}

int student_plan_codec(const struct student_description *d, struct memory_plan *shared, struct memory_plan *stream) {
    const struct codec_source source = source_of(d, d->codec_weights);
    const struct codec sizes = {.height = d->pixel_height,
                                .width = d->pixel_width,
                                .channels = d->dit.in_channels,
                                .h = d->dit.height,
                                .w = d->dit.width};
    if (codec_is_external(d->codec))
        TRY(elsewhere(codec_file_plan(&source, d->pixel_height, d->pixel_width, shared, stream)));
    return d->decoder[0] ? decoder_file_plan(&sizes, d->decoder, shared, stream) : OK;
}

/* Opens the codec from its tensors in the folder, or from weights elsewhere. */
static int load_codec(const char *folder, const struct student_description *d, struct codec *codec) {
    char path[FILE_PATH_MAX];
    int external = codec_is_external(d->codec);
    TRY(file_join(path, sizeof path, folder, "codec.safetensors"));
    const struct codec_source source = source_of(d, external ? d->codec_weights : path);
    int code = codec_file_open(codec, &source, d->pixel_height, d->pixel_width);
    return external ? elsewhere(code) : code;
}

int student_open_codec(struct codec *codec, const char *folder, const struct student_description *d) {
    TRY(load_codec(folder, d, codec));
    return d->decoder[0] ? decoder_file_use(codec, d->decoder) : OK;
}

/* Reads a prompt and, into `empty` if that is not NULL, the empty one; a file without it leaves `empty`. */
static int read_prompts(const struct student *s, const char *folder, const char *prompt, float *text, float *empty) {
    const struct dit_config *c = &s->description.dit;
    const struct prompt_entry *entry, *none;
    struct prompt_file file;
    char path[FILE_PATH_MAX];
    TRY(file_join(path, sizeof path, folder, "text.safetensors"));
    TRY(prompt_file_open(&file, s->text_file ? s->text_file : path));
    int code = prompt_file_find(&file, prompt, &entry);
    if (!code) code = prompt_file_fill(&file, entry, c->text_len, c->text_dim, text);
    if (!code && empty && (none = prompt_file_empty(&file)))
        code = prompt_file_fill(&file, none, c->text_len, c->text_dim, empty);
    prompt_file_close(&file);
    return code;
}

int student_prompt(const struct student *s, const char *folder, const char *prompt, float *text) {
    return read_prompts(s, folder, prompt, text, NULL);
}

static int load_text(struct student *s, const char *folder) {
    size_t count = (size_t)s->description.dit.text_len * (size_t)s->description.dit.text_dim;
    s->text = malloc(count * sizeof *s->text);
    s->empty = calloc(count, sizeof *s->empty);
    if (!s->text || !s->empty) return error_set(ERR_DEVICE, "out of memory for the text");
    return read_prompts(s, folder, s->prompt, s->text, s->empty);
}

int student_open(struct student *s, const char *folder) {
    memset(s, 0, sizeof *s);
    TRY(student_describe(&s->description, folder));
    TRY(dit_create(&s->net, &s->description.dit, 0));
    return network_weights_plan(&s->weights, &s->net.table, 0, WEIGHTS_COPIED);
}

int student_limit(struct student *s, long mib) {
    network_weights_close(&s->weights);
    return network_weights_plan(&s->weights, &s->net.table, mib, WEIGHTS_COPIED);
}

int student_load(struct student *s, const char *folder) {
    const struct student_description *d = &s->description;
    const struct dit_config *c = &d->dit;
    int audio;
    TRY(network_weights_load(&s->weights, folder, &audio));
    s->params = s->weights.params;
    if (!audio) return error_set(ERR_INPUT, "%s: has no audio.safetensors", folder);
    TRY(load_text(s, folder));
    TRY(s->give_codec ? s->give_codec(s->giver, &s->codec) : student_open_codec(&s->codec, folder, d));
    if (s->codec.channels != c->in_channels || s->codec.h != c->height || s->codec.w != c->width)
        return error_set(ERR_INPUT, "%s: the codec makes %dx%dx%d latents, the network takes %dx%dx%d", folder,
                         s->codec.channels, s->codec.h, s->codec.w, c->in_channels, c->height, c->width);
    return OK;
}

void student_close(struct student *s) {
    codec_close(&s->codec);
    network_weights_close(&s->weights);
    dit_destroy(&s->net);
    free(s->text);
    free(s->empty);
    memset(s, 0, sizeof *s);
}
