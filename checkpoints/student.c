/* student.c: see student.h. */
#include "checkpoints/student.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/codec_file.h"
#include "checkpoints/light_decoder_file.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/wan_config.h"
#include "kernels/device.h"

enum { CONFIG_BYTES_MAX = 1 << 20, DECODER_BYTES_MAX = 1 << 30, FORMAT_VERSION = 1 };
#define DECODER_FILE "decoder.safetensors"

/* One table for both directions: key, where it lives, and the values a sane file may hold. */
struct integer_field {
    const char *group, *key;
    size_t offset;
    int min, max;
};
#define DIT(field, min, max)                                                                                           \
    { "dit", #field, offsetof(struct student_description, dit.field), min, max }
#define CAUSAL(field, min, max)                                                                                        \
    { "rollout", #field, offsetof(struct student_description, rollout.causal.field), min, max }
static const struct integer_field integers[] = {
    DIT(dim, 2, 1 << 16),
    DIT(ffn_dim, 2, 1 << 18),
    DIT(heads, 1, 1024),
    DIT(layers, 1, 1024),
    DIT(in_channels, 1, 4096),
    DIT(out_channels, 1, 4096),
    DIT(height, 2, 4096),
    DIT(width, 2, 4096),
    DIT(freq_dim, 2, 1 << 16),
    DIT(text_len, 1, 1 << 16),
    DIT(text_dim, 1, 1 << 16),
    DIT(audio_dim, 0, 1 << 16),
    DIT(audio_tokens, 0, 4096),
    DIT(audio_width, 0, 1 << 16),
    DIT(audio_hidden, 0, 1 << 16),
    DIT(audio_every, 1, 1024),
    CAUSAL(chunk, 1, HISTORY_MAX / 2),
    CAUSAL(sink, 0, HISTORY_MAX / 2),
    CAUSAL(ring, 1, HISTORY_MAX / 2),
    CAUSAL(rapr_cap, 0, 1 << 20),
    {"rollout", "clean_pass", offsetof(struct student_description, rollout.clean_pass), 0, 1},
    {"video", "height", offsetof(struct student_description, pixel_height), 2, 1 << 16},
    {"video", "width", offsetof(struct student_description, pixel_width), 2, 1 << 16},
};
static const char *const rapr_names[] = {"off", "end", "start", "context"};
enum { INTEGERS = sizeof integers / sizeof *integers, RAPR_NAMES = sizeof rapr_names / sizeof *rapr_names };

static cJSON *group_of(cJSON *root, const char *name) {
    cJSON *group = cJSON_GetObjectItemCaseSensitive(root, name);
    return group ? group : cJSON_AddObjectToObject(root, name);
}

static char *description_print(const struct student_description *d) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "format", FORMAT_VERSION);
    cJSON_AddStringToObject(root, "stage", d->stage);
    cJSON_AddNumberToObject(root, "step", (double)d->step);
    for (int i = 0; i < INTEGERS; i++)
        cJSON_AddNumberToObject(group_of(root, integers[i].group), integers[i].key,
                                *(const int *)((const char *)d + integers[i].offset));
    cJSON *dit = group_of(root, "dit"), *rollout = group_of(root, "rollout");
    cJSON_AddNumberToObject(dit, "rope_theta_t", d->dit.rope_theta_t);
    cJSON_AddNumberToObject(dit, "rope_theta_hw", d->dit.rope_theta_hw);
    cJSON_AddNumberToObject(dit, "eps", d->dit.eps);
    cJSON_AddNumberToObject(dit, "clean_floor", d->dit.clean_floor);
    if (d->dit.deaf) cJSON_AddNumberToObject(dit, "deaf", d->dit.deaf);
    cJSON_AddStringToObject(rollout, "rapr", rapr_names[d->rollout.causal.rapr]);
    cJSON_AddItemToObject(rollout, "sigma", cJSON_CreateDoubleArray(d->rollout.sigma, d->rollout.steps));
    cJSON_AddStringToObject(group_of(root, "video"), "codec", d->codec);
    if (codec_is_external(d->codec)) {
        cJSON_AddStringToObject(group_of(root, "video"), "codec_weights", d->codec_weights);
        cJSON_AddStringToObject(group_of(root, "video"), "codec_checksum", d->codec_checksum);
    }
    if (d->decoder[0]) cJSON_AddStringToObject(group_of(root, "video"), "decoder", DECODER_FILE);
    cJSON_AddStringToObject(group_of(root, "audio"), "encoder", d->audio_encoder);
    cJSON_AddStringToObject(group_of(root, "audio"), "recipe", *d->audio_recipe ? d->audio_recipe : d->audio_encoder);
    if (*d->audio_weights) cJSON_AddStringToObject(group_of(root, "audio"), "weights", d->audio_weights);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

static int write_text(const char *path, char *text) {
    int code = text ? file_write(path, text, strlen(text)) : error_set(ERR_DEVICE, "out of memory for %s", path);
    free(text);
    return code;
}

/* The folder that other tools load: weights under the name they look for, sizes beside them. */
static int write_trunk(const char *folder, const struct dit_config *config, const struct param_table *table,
                       const struct weights_giver *source, const struct weights_format *format) {
    char path[FILE_PATH_MAX], trunk[FILE_PATH_MAX];
    TRY(file_join(trunk, sizeof trunk, folder, "transformer"));
    TRY(file_make_folders(trunk));
    TRY(file_join(path, sizeof path, trunk, "config.json"));
    TRY(weights_save(trunk, "diffusion_pytorch_model", table, source, WEIGHTS_TRUNK, format));
    return write_text(path, format->naming == NAMING_DIFFUSERS ? wan_config_print_diffusers(config)
                                                               : wan_config_print_original(config));
}

/* A copy of the light decoder's file; none is left of an earlier student that had one. */
static int write_decoder(const char *folder, const struct student_description *d) {
    char path[FILE_PATH_MAX], *bytes;
    size_t length;
    TRY(file_join(path, sizeof path, folder, DECODER_FILE));
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
                  const struct weights_giver *source, const struct weights_format *format, const struct codec *codec,
                  const struct prompt_rows prompts[2]) {
    const struct weights_format audio = {.naming = NAMING_ORIGINAL, .type = format->type};
    char path[1024];
    TRY(file_make_folders(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (unlink(path) && errno != ENOENT) return error_set(ERR_INPUT, "%s: %s", path, strerror(errno));
    TRY(write_trunk(folder, &d->dit, table, source, format));
    TRY(weights_save(folder, "audio", table, source, WEIGHTS_AUDIO, &audio));
    snprintf(path, sizeof path, "%s/codec.safetensors", folder);
    if (codec_is_external(codec->name))
        unlink(path);
    else
        TRY(codec_file_write(path, codec));
    TRY(write_decoder(folder, d));
    snprintf(path, sizeof path, "%s/text.safetensors", folder);
    TRY(prompt_file_write(path, prompts, 2, d->dit.text_dim, ST_F32, 0, NULL));
    snprintf(path, sizeof path, "%s/config.json", folder);
    return write_text(path, description_print(d));
}

static int integer_at(const cJSON *root, const char *group, const char *key, int min, int max, int *out) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, group), key);
    if (!cJSON_IsNumber(item) || item->valuedouble < min || item->valuedouble > max ||
        item->valuedouble != floor(item->valuedouble))
        return error_set(ERR_INPUT, "%s.%s: expected an integer from %d to %d", group, key, min, max);
    *out = (int)item->valuedouble;
    return OK;
}

static int real_at(const cJSON *root, const char *group, const char *key, double min, double max, double *out) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, group), key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= min && item->valuedouble <= max))
        return error_set(ERR_INPUT, "%s.%s: expected a number from %g to %g", group, key, min, max);
    *out = item->valuedouble;
    return OK;
}

static int text_at(const cJSON *root, const char *group, const char *key, char *out, size_t size) {
    const cJSON *parent = group ? cJSON_GetObjectItemCaseSensitive(root, group) : root;
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(parent, key);
    if (!cJSON_IsString(item) || strlen(item->valuestring) >= size)
        return error_set(ERR_INPUT, "%s%s%s: expected a name", group ? group : "", group ? "." : "", key);
    snprintf(out, size, "%s", item->valuestring);
    return OK;
}

/* The recipe, which must be of the encoder; older exports have none. */
static int audio_parse(struct student_description *d, const cJSON *root) {
    const cJSON *audio = cJSON_GetObjectItemCaseSensitive(root, "audio");
    struct audio_recipe recipe;
    snprintf(d->audio_recipe, sizeof d->audio_recipe, "%s", d->audio_encoder);
    if (cJSON_HasObjectItem(audio, "recipe"))
        TRY(text_at(root, "audio", "recipe", d->audio_recipe, sizeof d->audio_recipe));
    if (cJSON_HasObjectItem(audio, "weights"))
        TRY(text_at(root, "audio", "weights", d->audio_weights, sizeof d->audio_weights));
    TRY(audio_recipe_parse(&recipe, d->audio_recipe));
    if (strcmp(recipe.encoder, d->audio_encoder))
        return error_set(ERR_INPUT, "audio.recipe: is of %s, the encoder is %s", recipe.encoder, d->audio_encoder);
    return OK;
}

static int description_parse(struct student_description *d, const cJSON *root) {
    char rapr[32];
    memset(d, 0, sizeof *d);
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    if (!cJSON_IsNumber(format) || format->valueint != FORMAT_VERSION)
        return error_set(ERR_INPUT, "format: expected %d", FORMAT_VERSION);
    for (int i = 0; i < INTEGERS; i++)
        TRY(integer_at(root, integers[i].group, integers[i].key, integers[i].min, integers[i].max,
                       (int *)((char *)d + integers[i].offset)));
    TRY(real_at(root, "dit", "rope_theta_t", 1, 1e9, &d->dit.rope_theta_t));
    TRY(real_at(root, "dit", "rope_theta_hw", 1, 1e9, &d->dit.rope_theta_hw));
    TRY(real_at(root, "dit", "eps", 0, 1, &d->dit.eps));
    if (cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, "dit"), "clean_floor")) /* 0 where it is missing */
        TRY(real_at(root, "dit", "clean_floor", 0, 1, &d->dit.clean_floor));
    if (cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, "dit"), "deaf"))
        TRY(integer_at(root, "dit", "deaf", 0, 3, &d->dit.deaf));
    TRY(text_at(root, "video", "codec", d->codec, sizeof d->codec));
    if (codec_is_external(d->codec)) {
        TRY(text_at(root, "video", "codec_weights", d->codec_weights, sizeof d->codec_weights));
        TRY(text_at(root, "video", "codec_checksum", d->codec_checksum, sizeof d->codec_checksum));
    }
    const cJSON *video = cJSON_GetObjectItemCaseSensitive(root, "video");
    if (cJSON_GetObjectItemCaseSensitive(video, "decoder"))
        TRY(text_at(root, "video", "decoder", d->decoder, sizeof d->decoder));
    TRY(text_at(root, "audio", "encoder", d->audio_encoder, sizeof d->audio_encoder));
    TRY(audio_parse(d, root));
    TRY(text_at(root, NULL, "stage", d->stage, sizeof d->stage));
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(root, "step");
    d->step = cJSON_IsNumber(step) ? (long)step->valuedouble : 0;
    TRY(text_at(root, "rollout", "rapr", rapr, sizeof rapr));
    int mode = 0;
    while (mode < RAPR_NAMES && strcmp(rapr, rapr_names[mode])) mode++;
    if (mode == RAPR_NAMES) return error_set(ERR_INPUT, "rollout.rapr: expected off, end, start or context");
    d->rollout.causal.rapr = (enum rapr_mode)mode;
    const cJSON *sigma = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, "rollout"), "sigma");
    d->rollout.steps = cJSON_GetArraySize(sigma);
    if (!cJSON_IsArray(sigma) || d->rollout.steps < 1 || d->rollout.steps > ROLLOUT_STEPS_MAX)
        return error_set(ERR_INPUT, "rollout.sigma: expected a list of 1 to %d levels", ROLLOUT_STEPS_MAX);
    for (int i = 0; i < d->rollout.steps; i++) {
        const cJSON *level = cJSON_GetArrayItem(sigma, i);
        double above = i ? d->rollout.sigma[i - 1] : 1 + 1e-9;
        if (!cJSON_IsNumber(level) || !(level->valuedouble > 0 && level->valuedouble < above))
            return error_set(ERR_INPUT, "rollout.sigma: expected levels in (0, 1], each below the one before");
        d->rollout.sigma[i] = level->valuedouble;
    }
    return OK;
}

int student_describe(struct student_description *description, const char *folder) {
    char path[1024];
    snprintf(path, sizeof path, "%s/config.json", folder);
    char *text;
    size_t bytes;
    TRY(file_read(path, CONFIG_BYTES_MAX, &text, &bytes));
    cJSON *root = cJSON_ParseWithLength(text, bytes);
    free(text);
    int code = root ? description_parse(description, root) : error_set(ERR_INPUT, "not JSON");
    cJSON_Delete(root);
    if (!code && description->decoder[0])
        code = file_join(description->decoder, sizeof description->decoder, folder, DECODER_FILE);
    return code ? error_context(code, "%s", path) : OK;
}

/* An error about weights that the student does not hold. */
static int elsewhere(int code) {
    return code ? error_context(code, "codec of the student (codec_weights=FILE names another place)") : OK;
}

int student_print_codec(const struct student *s, FILE *out) {
    const struct student_description *d = &s->description;
    const struct codec_source source = {d->codec, d->codec_weights, d->codec_checksum};
    if (!codec_is_external(d->codec)) return OK;
    return elsewhere(codec_file_print(&source, d->pixel_height, d->pixel_width, out));
}

/* Its tensors are here, or its weights somewhere else. */
static int load_codec(const char *folder, const struct student_description *d, struct codec *codec) {
    char path[FILE_PATH_MAX];
    int external = codec_is_external(d->codec);
    TRY(file_join(path, sizeof path, folder, "codec.safetensors"));
    const struct codec_source source = {d->codec, external ? d->codec_weights : path, d->codec_checksum};
    int code = codec_file_open(codec, &source, d->pixel_height, d->pixel_width);
    return external ? elsewhere(code) : code;
}

static int load_text(struct student *s, const char *folder) {
    const struct dit_config *c = &s->description.dit;
    const struct prompt_entry *entry, *empty;
    struct prompt_file file;
    char path[1024];
    size_t count = (size_t)c->text_len * (size_t)c->text_dim;
    s->text = malloc(count * sizeof *s->text);
    s->empty = calloc(count, sizeof *s->empty);
    if (!s->text || !s->empty) return error_set(ERR_DEVICE, "out of memory for the text");
    snprintf(path, sizeof path, "%s/text.safetensors", folder);
    TRY(prompt_file_open(&file, s->text_file ? s->text_file : path));
    int code = prompt_file_find(&file, s->prompt, &entry);
    if (!code) code = prompt_file_fill(&file, entry, c->text_len, c->text_dim, s->text);
    if (!code && (empty = prompt_file_empty(&file)))
        code = prompt_file_fill(&file, empty, c->text_len, c->text_dim, s->empty);
    prompt_file_close(&file);
    return code;
}

int student_open(struct student *s, const char *folder) {
    memset(s, 0, sizeof *s);
    TRY(student_describe(&s->description, folder));
    TRY(dit_create(&s->net, &s->description.dit, 0));
    arena_begin(&s->weights, "student weights");
    ARENA_TAKE(&s->weights, "weights", elem, s->net.table.total);
    return OK;
}

int student_load(struct student *s, const char *folder) {
    const struct student_description *d = &s->description;
    const struct dit_config *c = &d->dit;
    int audio;
    TRY(arena_commit(&s->weights));
    s->params = (struct params){.table = &s->net.table};
    s->params.weights = ARENA_TAKE(&s->weights, "weights", elem, s->net.table.total);
    mem_zero(s->params.weights, s->net.table.total * sizeof(elem)); /* the padding */
    struct weights_arena arena = {.table = &s->net.table, .weights = s->params.weights};
    const struct weights_taker taker = weights_to_arena(&arena);
    TRY(pretrained_load(&taker, &s->net.table, folder, &audio));
    if (!audio) return error_set(ERR_INPUT, "%s: has no audio.safetensors", folder);
    TRY(load_text(s, folder));
    TRY(load_codec(folder, d, &s->codec));
    if (s->codec.channels != c->in_channels || s->codec.h != c->height || s->codec.w != c->width)
        return error_set(ERR_INPUT, "%s: the codec makes %dx%dx%d latents, the network takes %dx%dx%d", folder,
                         s->codec.channels, s->codec.h, s->codec.w, c->in_channels, c->height, c->width);
    return d->decoder[0] ? light_file_use(&s->codec, d->decoder) : OK;
}

void student_close(struct student *s) {
    codec_close(&s->codec);
    arena_free(&s->weights);
    dit_destroy(&s->net);
    free(s->text);
    free(s->empty);
    memset(s, 0, sizeof *s);
}
