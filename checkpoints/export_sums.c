/* export_sums.c: see export_sums.h. */
#include "checkpoints/export_sums.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "checkpoints/safetensors.h"

enum { CONFIG_BYTES_MAX = 1 << 20, SUM_TEXT = 64 };

/* ---- writing ---- */

static int file_sum(const char *folder, const char *name, char *text) {
    char path[FILE_PATH_MAX];
    uint64_t length;
    uint32_t crc;
    TRY(file_join(path, sizeof path, folder, name));
    TRY(file_checksum(path, &length, &crc));
    snprintf(text, SUM_TEXT, "length %llu crc32 %08x", (unsigned long long)length, (unsigned)crc);
    return OK;
}

static int add_file(cJSON *sums, const char *folder, const char *name) {
    char text[SUM_TEXT];
    TRY(file_sum(folder, name, text));
    return cJSON_AddStringToObject(sums, name, text) ? OK : error_set(ERR_DEVICE, "out of memory for the sums");
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static int is_part(const struct dirent *entry) {
    const char *ending = strrchr(entry->d_name, '.');
    return *entry->d_name != '.' && ending && (!strcmp(ending, ".safetensors") || !strcmp(ending, ".json"));
}

/* Adds the trunk's weights, index and config.json; writing the trunk has removed all others of its name. */
static int add_trunk(cJSON *sums, const char *folder) {
    char below[FILE_PATH_MAX], name[300];
    struct dirent **list;
    TRY(file_join(below, sizeof below, folder, "transformer"));
    int count = scandir(below, &list, is_part, by_name), code = OK;
    if (count < 0) return error_set(ERR_INPUT, "%s: cannot be listed", below);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "transformer/%s", list[i]->d_name);
        if (!code) code = add_file(sums, folder, name);
        free(list[i]);
    }
    free(list);
    return code;
}

/* Computes the CRC-32 of the JSON without its `sum` key, printed without white space, which is one form only. */
static int config_sum(const cJSON *root, char *text) {
    cJSON *copy = cJSON_Duplicate(root, 1);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "sum");
    char *bytes = copy ? cJSON_PrintUnformatted(copy) : NULL;
    cJSON_Delete(copy);
    if (!bytes) return error_set(ERR_DEVICE, "out of memory for the sums");
    snprintf(text, SUM_TEXT, "%08x", (unsigned)crc32_z(0, (const unsigned char *)bytes, strlen(bytes)));
    free(bytes);
    return OK;
}

int export_sums_add(cJSON *root, const char *folder) {
    static const char *const files[] = {"audio.safetensors", "codec.safetensors", "decoder.safetensors",
                                        "text.safetensors"};
    char path[FILE_PATH_MAX], text[SUM_TEXT];
    cJSON *sums = cJSON_AddObjectToObject(root, "sums");
    TRY(add_trunk(sums, folder));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        TRY(file_join(path, sizeof path, folder, files[i]));
        if (file_exists(path)) TRY(add_file(sums, folder, files[i]));
    }
    TRY(config_sum(root, text));
    return cJSON_AddStringToObject(root, "sum", text) ? OK : error_set(ERR_DEVICE, "out of memory for the sums");
}

/* ---- checking ---- */

int export_sums_check_config(const cJSON *root) {
    char text[SUM_TEXT];
    const cJSON *sum = cJSON_GetObjectItemCaseSensitive(root, "sum");
    if (!sum) return OK;
    TRY(config_sum(root, text));
    if (cJSON_IsString(sum) && !strcmp(sum->valuestring, text)) return OK;
    return error_set(ERR_INPUT,
                     "is damaged, or was changed since the export: its sum is %s, not \"sum\" (to use it "
                     "as it is, remove the key \"sum\")",
                     text);
}

/* Whether a name stays inside the folder. */
static int is_inside(const char *name) { return *name && *name != '/' && !strstr(name, ".."); }

/* Names the first tensor of a damaged file with a value that is not finite, in safetensors_read_part's words; "" when
   that is not the damage. */
static const char *spoilt_tensor(const char *folder, const char *name) {
    enum { PIECE = 1 << 14 };
    char path[FILE_PATH_MAX];
    float values[PIECE];
    struct safetensors file;
    int code = OK;
    if (file_join(path, sizeof path, folder, name) || safetensors_open(&file, path)) return "";
    for (int i = 0; i < file.count && !code; i++) {
        const struct safetensors_entry *e = &file.entries[i];
        int numbers = e->type <= ST_BF16 || e->type == ST_F64;
        for (size_t from = 0; numbers && from < e->count && !code; from += PIECE)
            code = safetensors_read_part(e, from, e->count - from < PIECE ? e->count - from : PIECE, values);
    }
    safetensors_close(&file);
    return code ? error_text() : "";
}

static int refuse_file(const char *folder, const char *name, const char *found, const char *expected) {
    const char *tensor = spoilt_tensor(folder, name);
    return error_set(ERR_INPUT, "%s/%s: is damaged, or is not the export's%s%s: %s, expected %s", folder, name,
                     *tensor ? ": " : "", tensor, found, expected);
}

static int check_files(const cJSON *sums, const char *folder) {
    char text[SUM_TEXT];
    const cJSON *item;
    if (!cJSON_IsObject(sums))
        return error_set(ERR_INPUT, "%s/config.json: sums: expected {\"FILE\": \"length BYTES crc32 SUM\", ...}",
                         folder);
    cJSON_ArrayForEach(item, sums) {
        if (!cJSON_IsString(item) || !is_inside(item->string))
            return error_set(ERR_INPUT, "%s/config.json: sums: %.80s: expected the sum of a file of this folder",
                             folder, item->string);
        TRY(file_sum(folder, item->string, text));
        if (strcmp(text, item->valuestring)) return refuse_file(folder, item->string, text, item->valuestring);
    }
    return OK;
}

int export_sums_check(const char *folder) {
    static int said;
    char path[FILE_PATH_MAX], *text;
    TRY(file_join(path, sizeof path, folder, "config.json"));
    TRY(file_read(path, CONFIG_BYTES_MAX, &text, NULL));
    cJSON *root = cJSON_Parse(text);
    free(text);
    int code = export_sums_check_config(root);
    if (code) error_context(code, "%s", path);
    const cJSON *sums = cJSON_GetObjectItemCaseSensitive(root, "sums");
    int covered = sums && cJSON_GetObjectItemCaseSensitive(root, "sum");
    if (!code && sums) code = check_files(sums, folder);
    cJSON_Delete(root);
    if (!code && !covered && !__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
        log_line("%s: an export %s: damage to it may go unseen; export it again to add sums", folder,
                 sums ? "whose config.json has no sum of its own" : "without sums");
    return code;
}
