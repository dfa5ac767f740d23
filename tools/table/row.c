/* row.c: see row.h. */
#include "tools/table/row.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/text.h"

enum { FILE_BYTES_MAX = 64 << 20 };

/* ---- reading ---- */

static int parse(const char *path, cJSON **root) {
    char *text;
    size_t length;
    TRY(file_read(path, FILE_BYTES_MAX, &text, &length));
    *root = strlen(text) == length && text_is_utf8(text) ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
    free(text);
    if (cJSON_IsObject(*root)) return OK;
    cJSON_Delete(*root);
    return error_set(ERR_INPUT, "%s: expected an object of JSON", path);
}

/* Checks that every figure of a source is an array [*dialogues] of finite numbers and nulls; *dialogues 0: not known
   yet. */
static int check_figures(const cJSON *source, int *dialogues) {
    const cJSON *figure, *value;
    cJSON_ArrayForEach(figure, source) {
        int count = cJSON_IsArray(figure) ? cJSON_GetArraySize(figure) : 0;
        if (!*dialogues) *dialogues = count;
        if (count < 1 || count > ROW_DIALOGUES_MAX || count != *dialogues)
            return error_set(ERR_INPUT, "%s: expected an array of %d numbers", figure->string, *dialogues);
        cJSON_ArrayForEach(value, figure) {
            if (!cJSON_IsNull(value) && !(cJSON_IsNumber(value) && isfinite(value->valuedouble)))
                return error_set(ERR_INPUT, "%s: expected numbers and nulls", figure->string);
        }
    }
    return cJSON_IsObject(source) && source->child ? OK : error_set(ERR_INPUT, "expected figures of every dialogue");
}

static int check_sources(struct table_row *row) {
    const cJSON *source;
    if (!cJSON_IsObject(row->sources) || !cJSON_GetObjectItemCaseSensitive(row->sources, "student"))
        return error_set(ERR_INPUT, "figures: expected those of the student");
    cJSON_ArrayForEach(source, row->sources) {
        int code = check_figures(source, &row->dialogues);
        if (code) return error_context(code, "%s", source->string);
    }
    return OK;
}

/* What a report calls the sources that a row keeps. */
static const char *const kept[][2] = {
    {"refined", "student"}, {"refined_reseeded", "reseeded"},       {"no_sink", "no_sink"},
    {"no_rapr", "no_rapr"}, {"no_sink_no_rapr", "no_sink_no_rapr"}, {"shuffled", "shuffled"}};

static int take_report(struct table_row *row, cJSON *root) {
    const cJSON *persons = cJSON_GetObjectItemCaseSensitive(root, "persons");
    cJSON *all = cJSON_GetObjectItemCaseSensitive(root, "by_dialogue");
    snprintf(row->persons, sizeof row->persons, "%s", cJSON_IsString(persons) ? persons->valuestring : "");
    const cJSON *features =
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, "features"), "checksum");
    snprintf(row->features, sizeof row->features, "%s", cJSON_IsString(features) ? features->valuestring : "");
    row->sources = cJSON_CreateObject();
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        cJSON *figures = cJSON_DetachItemFromObjectCaseSensitive(all, kept[i][0]);
        if (figures) cJSON_AddItemToObject(row->sources, kept[i][1], figures);
    }
    return check_sources(row);
}

int row_from_report(struct table_row *row, const char *report) {
    cJSON *root;
    memset(row, 0, sizeof *row);
    TRY(parse(report, &root));
    int code = take_report(row, root);
    cJSON_Delete(root);
    return code ? error_context(code, "%s", report) : OK;
}

/* The texts of a row, which must be there and hold no character that would leave their place in a table. */
static const struct {
    const char *key;
    size_t at, size;
} texts[] = {{"row", offsetof(struct table_row, name), ROW_NAME},
             {"stage", offsetof(struct table_row, stage), ROW_NAME},
             {"what", offsetof(struct table_row, what), ROW_TEXT},
             {"against", offsetof(struct table_row, against), ROW_NAME},
             {"commit", offsetof(struct table_row, commit), ROW_TEXT},
             {"machine", offsetof(struct table_row, machine), ROW_TEXT},
             {"persons", offsetof(struct table_row, persons), ROW_NAME},
             {"features", offsetof(struct table_row, features), ROW_TEXT}};
enum { TEXTS = sizeof texts / sizeof *texts };

static int is_plain(const char *text) {
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < 32 || *at == '|' || *at == '"' || *at == '\\' || *at == '`') return 0;
    return 1;
}

static int read_texts(struct table_row *row, const cJSON *root) {
    for (int i = 0; i < TEXTS; i++) {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(root, texts[i].key);
        if (!cJSON_IsString(text) || strlen(text->valuestring) >= texts[i].size || !is_plain(text->valuestring))
            return error_set(ERR_INPUT, "%s: expected a text of at most %zu bytes, without bars and quotes",
                             texts[i].key, texts[i].size - 1);
        strcpy((char *)row + texts[i].at, text->valuestring);
    }
    return *row->name ? OK : error_set(ERR_INPUT, "row: expected a name");
}

static const struct {
    const char *key;
    size_t at;
} numbers[] = {{"layout", offsetof(struct table_row, settings.layout)},
               {"method", offsetof(struct table_row, settings.method)},
               {"measured", offsetof(struct table_row, settings.measured)}};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static int read_numbers(struct table_row *row, const cJSON *root) {
    const cJSON *seed = cJSON_GetObjectItemCaseSensitive(root, "seed"),
                *seconds = cJSON_GetObjectItemCaseSensitive(root, "seconds");
    if (!cJSON_IsNumber(seed) || !(fabs(seed->valuedouble) < 9e15) || seed->valuedouble != floor(seed->valuedouble))
        return error_set(ERR_INPUT, "seed: expected a whole number");
    row->seed = (long)seed->valuedouble;
    row->seconds = cJSON_IsNumber(seconds) && seconds->valuedouble > 0 ? seconds->valuedouble : 0;
    for (int i = 0; i < NUMBERS; i++) {
        const cJSON *text = cJSON_GetObjectItemCaseSensitive(root, numbers[i].key);
        uint64_t value;
        char end;
        if (!cJSON_IsString(text) || strlen(text->valuestring) != 16 ||
            sscanf(text->valuestring, "%" SCNx64 "%c", &value, &end) != 1)
            return error_set(ERR_INPUT, "%s: expected 16 hexadecimal digits", numbers[i].key);
        memcpy((char *)row + numbers[i].at, &value, sizeof value);
    }
    return OK;
}

int row_read(struct table_row *row, const char *path) {
    cJSON *root;
    memset(row, 0, sizeof *row);
    TRY(parse(path, &root));
    int code = read_texts(row, root);
    if (!code) code = read_numbers(row, root);
    row->sources = cJSON_DetachItemFromObjectCaseSensitive(root, "figures");
    if (!code) code = check_sources(row);
    cJSON_Delete(root);
    if (code) row_close(row);
    return code ? error_context(code, "%s", path) : OK;
}

void row_close(struct table_row *row) {
    cJSON_Delete(row->sources);
    row->sources = NULL;
}

/* ---- writing ---- */

static char *print(const struct table_row *row) {
    cJSON *root = cJSON_CreateObject();
    for (int i = 0; i < TEXTS; i++) cJSON_AddStringToObject(root, texts[i].key, (const char *)row + texts[i].at);
    cJSON_AddNumberToObject(root, "seed", (double)row->seed);
    cJSON_AddNumberToObject(root, "seconds", row->seconds);
    for (int i = 0; i < NUMBERS; i++) {
        char text[32];
        uint64_t value;
        memcpy(&value, (const char *)row + numbers[i].at, sizeof value);
        snprintf(text, sizeof text, "%016" PRIx64, value);
        cJSON_AddStringToObject(root, numbers[i].key, text);
    }
    cJSON_AddItemReferenceToObject(root, "figures", row->sources);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

int row_write(const struct table_row *row, const char *path) {
    for (int i = 0; i < TEXTS; i++)
        if (!is_plain((const char *)row + texts[i].at))
            return error_set(ERR_USAGE, "%s: expected a text without bars and quotes, found %s", texts[i].key,
                             (const char *)row + texts[i].at);
    char *text = print(row);
    if (!text) return error_set(ERR_DEVICE, "out of memory for a row");
    int code = file_write(path, text, strlen(text));
    free(text);
    return code;
}

/* ---- use ---- */

int row_expect(const struct table_row *row, const char *path, long seed, const struct settings_numbers *settings) {
    const char *other = row->seed != seed                              ? "seed"
                        : row->settings.layout != settings->layout     ? "table of keys"
                        : row->settings.method != settings->method     ? "values of the method's keys"
                        : row->settings.measured != settings->measured ? "data set or evaluation"
                                                                       : NULL;
    return other ? error_set(ERR_INPUT, "%s: was made with other settings: %s", path, other) : OK;
}

/* Adds the numbers of a source's figure to sum [dialogues], and 1 to count where there is one. */
static void add_values(const struct table_row *row, const char *source, const char *figure, double *sum, int *count) {
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(row->sources, source), *value;
    int i = 0;
    cJSON_ArrayForEach(value, cJSON_GetObjectItemCaseSensitive(all, figure)) {
        if (cJSON_IsNumber(value)) sum[i] += value->valuedouble, count[i]++;
        i++;
    }
}

int row_values(const struct table_row *row, const char *source, const char *figure, double *values) {
    int count[ROW_DIALOGUES_MAX] = {0}, all = 0;
    memset(values, 0, sizeof *values * (size_t)row->dialogues);
    add_values(row, source, figure, values, count);
    if (!strcmp(source, "student")) add_values(row, "reseeded", figure, values, count);
    for (int d = 0; d < row->dialogues; d++) {
        values[d] = count[d] ? values[d] / count[d] : NAN;
        all += count[d];
    }
    return all > 0;
}
