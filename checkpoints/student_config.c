/* student_config.c: see student_config.h. */
#include "checkpoints/student_config.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/old_names.h"
#include "base/foreign.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/export_sums.h"
#include "model/codec/codec.h"

enum { CONFIG_BYTES_MAX = 1 << 20, FORMAT_VERSION = 1 };

/* One table for reading and writing: key, offset in the struct, and the range of values. */
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
enum { INTEGERS = sizeof integers / sizeof *integers };
/* Integers that older exports do not have. One that is `standard` is not written, and one that is missing is that. */
static const struct optional_integer {
    struct integer_field field;
    int standard;
} optional[] = {{CAUSAL(audio_lookahead, 0, AUDIO_MARGIN), AUDIO_MARGIN},
                {CAUSAL(first_chunk, 0, HISTORY_MAX / 2), 0},
                {DIT(reference_gate, 0, 1), 0}};
enum { OPTIONAL = sizeof optional / sizeof *optional };

static int *integer_of(struct student_description *d, const struct integer_field *field) {
    return (int *)((char *)d + field->offset);
}
static int value_of(const struct student_description *d, const struct integer_field *field) {
    return *(const int *)((const char *)d + field->offset);
}

static const char *const weights_names[] = {"int8", "fp8", NULL}; /* in the order of enum quantised_type, behind none */

static cJSON *group_of(cJSON *root, const char *name) {
    cJSON *group = cJSON_GetObjectItemCaseSensitive(root, name);
    return group ? group : cJSON_AddObjectToObject(root, name);
}

static cJSON *print(const struct student_description *d) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "format", FORMAT_VERSION);
    cJSON_AddStringToObject(root, "stage", d->stage);
    cJSON_AddNumberToObject(root, "step", (double)d->step);
    for (int i = 0; i < INTEGERS; i++)
        cJSON_AddNumberToObject(group_of(root, integers[i].group), integers[i].key, value_of(d, &integers[i]));
    for (int i = 0; i < OPTIONAL; i++) {
        const struct integer_field *f = &optional[i].field;
        if (value_of(d, f) != optional[i].standard)
            cJSON_AddNumberToObject(group_of(root, f->group), f->key, value_of(d, f));
    }
    cJSON *dit = group_of(root, "dit"), *rollout = group_of(root, "rollout");
    cJSON_AddNumberToObject(dit, "rope_theta_t", d->dit.rope_theta_t);
    cJSON_AddNumberToObject(dit, "rope_theta_hw", d->dit.rope_theta_hw);
    cJSON_AddNumberToObject(dit, "eps", d->dit.eps);
    cJSON_AddNumberToObject(dit, "clean_floor", d->dit.clean_floor);
    if (d->dit.weights) cJSON_AddStringToObject(dit, "weights", weights_names[d->dit.weights - 1]);
    if (d->dit.mute_input) cJSON_AddNumberToObject(dit, "mute_input", d->dit.mute_input);
    cJSON_AddStringToObject(rollout, "rapr", rapr_names[d->rollout.causal.rapr]);
    cJSON_AddStringToObject(rollout, "sink_pos", sink_pos_names[d->rollout.causal.sink_pos]);
    cJSON_AddItemToObject(rollout, "sigma", cJSON_CreateDoubleArray(d->rollout.sigma, d->rollout.steps));
    cJSON_AddStringToObject(group_of(root, "video"), "codec", d->codec);
    if (codec_is_external(d->codec)) {
        cJSON_AddStringToObject(group_of(root, "video"), "codec_weights", d->codec_weights);
        cJSON_AddStringToObject(group_of(root, "video"), "codec_checksum", d->codec_checksum);
    }
    if (d->decoder[0]) cJSON_AddStringToObject(group_of(root, "video"), "decoder", STUDENT_DECODER);
    cJSON_AddStringToObject(group_of(root, "audio"), "encoder", d->audio_encoder);
    cJSON_AddStringToObject(group_of(root, "audio"), "recipe", *d->audio_recipe ? d->audio_recipe : d->audio_encoder);
    if (*d->audio_weights) cJSON_AddStringToObject(group_of(root, "audio"), "weights", d->audio_weights);
    if (d->idle >= 0) cJSON_AddNumberToObject(group_of(root, "training"), "idle", d->idle);
    return root;
}

int student_config_write(const char *folder, const struct student_description *d) {
    char path[FILE_PATH_MAX];
    TRY(file_join(path, sizeof path, folder, "config.json"));
    cJSON *root = print(d);
    int code = export_sums_add(root, folder);
    char *text = code ? NULL : cJSON_Print(root);
    cJSON_Delete(root);
    if (!code && !text) code = error_set(ERR_DEVICE, "out of memory for %s", path);
    if (!code) code = file_write(path, text, strlen(text));
    free(text);
    return code;
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

/* Returns the index of a key's text among `names`, which end with NULL. */
static int choice_at(const cJSON *root, const char *group, const char *key, const char *const names[], int *out) {
    char name[32];
    TRY(text_at(root, group, key, name, sizeof name));
    for (*out = 0; names[*out]; ++*out)
        if (!strcmp(name, names[*out])) return OK;
    return error_set(ERR_INPUT, "%s.%s: unknown value \"%s\" (known: %s, ...)", group, key, name, names[0]);
}

/* Reads the recipe, which must name the same encoder; older exports have none. */
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

/* Refuses a file with keys that have been renamed since, whose values would otherwise be ignored without notice. */
static int refuse_old_names(const cJSON *root) {
    char key[200], now[200];
    const cJSON *group, *item;
    cJSON_ArrayForEach(group, root) if (cJSON_IsObject(group)) {
        cJSON_ArrayForEach(item, group) {
            snprintf(key, sizeof key, "%s.%s", group->string, item->string);
            if (old_name(key, now, sizeof now))
                return error_set(ERR_INPUT, "%s: this key is called %s now: export the student again", key, now);
        }
    }
    return OK;
}

/* Reads the type of the blocks' linear weights; where the key is missing they are not quantised. */
static int weights_parse(struct student_description *d, const cJSON *root) {
    int type;
    if (!cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, "dit"), "weights")) return OK;
    TRY(choice_at(root, "dit", "weights", weights_names, &type));
    d->dit.weights = (enum quantised_type)(type + 1);
    return OK;
}

static int optional_parse(struct student_description *d, const cJSON *root) {
    for (int i = 0; i < OPTIONAL; i++) {
        const struct integer_field *f = &optional[i].field;
        *integer_of(d, f) = optional[i].standard;
        if (cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, f->group), f->key))
            TRY(integer_at(root, f->group, f->key, f->min, f->max, integer_of(d, f)));
    }
    return OK;
}

static int description_parse(struct student_description *d, const cJSON *root) {
    int rapr;
    memset(d, 0, sizeof *d);
    TRY(refuse_old_names(root));
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    if (!cJSON_IsNumber(format) || format->valueint != FORMAT_VERSION)
        return error_set(ERR_INPUT, "format: expected %d", FORMAT_VERSION);
    for (int i = 0; i < INTEGERS; i++)
        TRY(integer_at(root, integers[i].group, integers[i].key, integers[i].min, integers[i].max,
                       integer_of(d, &integers[i])));
    TRY(optional_parse(d, root));
    TRY(real_at(root, "dit", "rope_theta_t", 1, 1e9, &d->dit.rope_theta_t));
    TRY(real_at(root, "dit", "rope_theta_hw", 1, 1e9, &d->dit.rope_theta_hw));
    TRY(real_at(root, "dit", "eps", 0, 1, &d->dit.eps));
    if (cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, "dit"),
                            "clean_floor")) /* optional; 0 where it is missing */
        TRY(real_at(root, "dit", "clean_floor", 0, 1, &d->dit.clean_floor));
    if (cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, "dit"), "mute_input"))
        TRY(integer_at(root, "dit", "mute_input", 0, 3, &d->dit.mute_input));
    TRY(weights_parse(d, root));
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
    d->idle = -1;
    if (cJSON_HasObjectItem(root, "training")) TRY(real_at(root, "training", "idle", 0, 1, &d->idle));
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(root, "step");
    d->step = cJSON_IsNumber(step) ? (long)step->valuedouble : 0;
    TRY(choice_at(root, "rollout", "rapr", rapr_names, &rapr));
    d->rollout.causal.rapr = (enum rapr_mode)rapr;
    if (cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(root, "rollout"),
                            "sink_pos")) /* optional; native where it is missing */
        TRY(choice_at(root, "rollout", "sink_pos", sink_pos_names, &d->rollout.causal.sink_pos));
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

int student_idles(const struct student_description *d) { return d->idle >= STUDENT_IDLE_LEAST; }

/* 1: the folder is laid out as a student's: config.json and the trunk's folder lie beside each other. */
static int is_laid_out(const char *path) {
    char config[FILE_PATH_MAX], trunk[FILE_PATH_MAX];
    return !file_join(config, sizeof config, path, "config.json") && file_exists(config) &&
           !file_join(trunk, sizeof trunk, path, "transformer") && file_exists(trunk);
}

/* Names a transformer of another tool for what it is, when it was taken for a student: `code` is the error of that. */
static int refuse_bare(const char *path, int code) {
    char text[512];
    struct checkpoint c;
    snprintf(text, sizeof text, "%s", error_text());
    if (is_laid_out(path) || checkpoint_open(&c, path)) return error_set(code, "%s", text);
    int bare = checkpoint_find(&c, "patch_embedding.weight") && !checkpoint_find(&c, "audio_proj.norm.weight");
    checkpoint_close(&c);
    if (!bare) return error_set(code, "%s", text);
    return error_set(ERR_INPUT,
                     "%s: a transformer without talk and listen modules, so no student to stream; a teacher can start "
                     "from it (teacher.init=%s)",
                     path, path);
}

static int describe(struct student_description *description, const char *folder) {
    char path[FILE_PATH_MAX];
    char *text;
    size_t bytes;
    TRY(file_join(path, sizeof path, folder, "config.json"));
    int code = file_read(path, CONFIG_BYTES_MAX, &text, &bytes);
    if (code && foreign_refuse(folder, FOREIGN_OTHER, "the folder of an exported student")) return ERR_INPUT;
    TRY(code);
    cJSON *root = cJSON_ParseWithLength(text, bytes);
    free(text);
    code = root ? description_parse(description, root) : error_set(ERR_INPUT, "not JSON");
    if (!code) code = export_sums_check_config(root);
    cJSON_Delete(root);
    if (!code && description->decoder[0])
        code = file_join(description->decoder, sizeof description->decoder, folder, STUDENT_DECODER);
    return code ? error_context(code, "%s", path) : OK;
}

int student_describe(struct student_description *description, const char *folder) {
    int code = describe(description, folder);
    return code == ERR_INPUT ? refuse_bare(folder, code) : code;
}
