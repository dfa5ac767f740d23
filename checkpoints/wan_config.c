/* wan_config.c: see wan_config.h. */
#include "checkpoints/wan_config.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"

enum { BYTES_MAX = 1 << 20, SIZE_LARGEST = 1 << 20, ROPE_POSITIONS = 1024 };

/* One table for both styles and all directions. "dim" has no key of its own in Diffusers: heads times
   attention_head_dim. */
static const struct field {
    const char *original, *diffusers; /* keys; NULL: the style has none */
    size_t here, there;               /* offsets in struct wan_config, struct dit_config */
} fields[] = {
#define FIELD(original, diffusers, name)                                                                               \
    { original, diffusers, offsetof(struct wan_config, name), offsetof(struct dit_config, name) }
    FIELD("dim", NULL, dim),
    FIELD("ffn_dim", "ffn_dim", ffn_dim),
    FIELD("num_heads", "num_attention_heads", heads),
    FIELD("num_layers", "num_layers", layers),
    FIELD("in_dim", "in_channels", in_channels),
    FIELD("out_dim", "out_channels", out_channels),
    FIELD("freq_dim", "freq_dim", freq_dim),
    FIELD("text_len", NULL, text_len),
    FIELD(NULL, "text_dim", text_dim),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static int *size_at(const void *base, size_t offset) { return (int *)((char *)base + offset); }

/* ---- reading ---- */

static int read_size(const cJSON *root, const char *key, int *size) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    if (!item || cJSON_IsNull(item)) return OK;
    if (!cJSON_IsNumber(item) || item->valuedouble < 1 || item->valuedouble > SIZE_LARGEST ||
        item->valuedouble != floor(item->valuedouble))
        return error_set(ERR_INPUT, "%s: expected a whole number from 1 to %d", key, SIZE_LARGEST);
    *size = (int)item->valuedouble;
    return OK;
}

/* Checks a feature of the model family that the network here has in one form only. */
static int check_feature(const cJSON *root, const char *key, int as_here, const char *expected) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    return !item || as_here ? OK
                            : error_set(ERR_INPUT, "%s: expected %s; the network here has no other", key, expected);
}

static int check_features(const cJSON *root) {
    static const char *const none[] = {"image_dim", "added_kv_proj_dim", "pos_embed_seq_len"};
    for (int i = 0; i < 3; i++)
        TRY(check_feature(root, none[i], cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(root, none[i])),
                          "null (no image branch)"));
    const cJSON *patch = cJSON_GetObjectItemCaseSensitive(root, "patch_size");
    int same = cJSON_IsArray(patch) && cJSON_GetArraySize(patch) == 3;
    for (int i = 0; i < 3 && same; i++) {
        const cJSON *side = cJSON_GetArrayItem(patch, i);
        same = cJSON_IsNumber(side) && side->valuedouble == (i ? 2 : 1);
    }
    TRY(check_feature(root, "patch_size", same, "[1, 2, 2]"));
    const cJSON *qk = cJSON_GetObjectItemCaseSensitive(root, "qk_norm");
    same = cJSON_IsTrue(qk) || (cJSON_IsString(qk) && !strcmp(qk->valuestring, "rms_norm_across_heads"));
    TRY(check_feature(root, "qk_norm", same, "rms_norm_across_heads"));
    return check_feature(root, "cross_attn_norm",
                         cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "cross_attn_norm")), "true");
}

static int parse(struct wan_config *c, const cJSON *root, int *found) {
    int diffusers = cJSON_HasObjectItem(root, "num_attention_heads"), head = 0;
    c->diffusers = diffusers;
    if (!diffusers && !(cJSON_HasObjectItem(root, "num_heads") && cJSON_HasObjectItem(root, "dim"))) return OK;
    for (int i = 0; i < FIELDS; i++) {
        const char *key = diffusers ? fields[i].diffusers : fields[i].original;
        if (key) TRY(read_size(root, key, size_at(c, fields[i].here)));
    }
    if (diffusers) {
        TRY(read_size(root, "attention_head_dim", &head));
        if (head && c->heads && (long)head * c->heads > SIZE_LARGEST)
            return error_set(ERR_INPUT, "num_attention_heads: %d heads of %d are too wide", c->heads, head);
        c->dim = head * c->heads;
    }
    const cJSON *eps = cJSON_GetObjectItemCaseSensitive(root, "eps");
    if (eps && !(cJSON_IsNumber(eps) && eps->valuedouble > 0 && eps->valuedouble < 1))
        return error_set(ERR_INPUT, "eps: expected a number above 0");
    c->eps = eps ? eps->valuedouble : 0;
    *found = 1;
    return check_features(root);
}

int wan_config_read(const char *path, struct wan_config *config, int *found) {
    char *text;
    size_t bytes;
    memset(config, 0, sizeof *config);
    *found = 0;
    if (!path[0] || !file_exists(path)) return OK;
    TRY(file_read(path, BYTES_MAX, &text, &bytes));
    cJSON *root = cJSON_ParseWithLength(text, bytes);
    free(text);
    int code = cJSON_IsObject(root) ? parse(config, root, found) : error_set(ERR_INPUT, "is not a JSON object");
    cJSON_Delete(root);
    return code ? error_context(code, "%s", path) : OK;
}

void wan_config_fill(const struct wan_config *from, struct dit_config *to) {
    for (int i = 0; i < FIELDS; i++) {
        int given = *size_at(from, fields[i].here);
        if (given) *size_at(to, fields[i].there) = given;
    }
    if (from->eps > 0) to->eps = from->eps;
}

void wan_config_compare(const struct wan_config *c, const struct dit_config *have, const char *have_name,
                        struct fault_list *faults) {
    for (int i = 0; i < FIELDS; i++) {
        int given = *size_at(c, fields[i].here), other = *size_at(have, fields[i].there);
        const char *key = c->diffusers ? fields[i].diffusers : fields[i].original;
        if (!key) key = "num_attention_heads x attention_head_dim"; /* Diffusers has no key for the width */
        if (given && other && given != other) fault_add(faults, "%s is %d, %s %d", key, given, have_name, other);
    }
    if (c->eps > 0 && have->eps > 0 && fabs(c->eps - have->eps) > 1e-3 * have->eps)
        fault_add(faults, "eps is %g, %s %g", c->eps, have_name, have->eps);
}

/* ---- writing ---- */

static cJSON *begin_text(const char *class_name, const struct dit_config *d) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "_class_name", class_name);
    cJSON_AddStringToObject(root, "_diffusers_version", "0.35.1");
    cJSON_AddNumberToObject(root, "eps", d->eps);
    return root;
}

static char *end_text(cJSON *root) {
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

char *wan_config_print_original(const struct dit_config *d) {
    cJSON *root = begin_text("WanModel", d);
    for (int i = 0; i < FIELDS; i++)
        if (fields[i].original) cJSON_AddNumberToObject(root, fields[i].original, *size_at(d, fields[i].there));
    cJSON_AddStringToObject(root, "model_type", "ti2v");
    return end_text(root);
}

char *wan_config_print_diffusers(const struct dit_config *d) {
    static const int patch[] = {1, 2, 2};
    cJSON *root = begin_text("WanTransformer3DModel", d);
    for (int i = 0; i < FIELDS; i++)
        if (fields[i].diffusers) cJSON_AddNumberToObject(root, fields[i].diffusers, *size_at(d, fields[i].there));
    cJSON_AddNumberToObject(root, "attention_head_dim", d->dim / d->heads);
    cJSON_AddItemToObject(root, "patch_size", cJSON_CreateIntArray(patch, 3));
    cJSON_AddNumberToObject(root, "rope_max_seq_len", ROPE_POSITIONS);
    cJSON_AddStringToObject(root, "qk_norm", "rms_norm_across_heads");
    cJSON_AddTrueToObject(root, "cross_attn_norm");
    cJSON_AddNullToObject(root, "added_kv_proj_dim");
    cJSON_AddNullToObject(root, "image_dim");
    cJSON_AddNullToObject(root, "pos_embed_seq_len");
    return end_text(root);
}
