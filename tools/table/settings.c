/* settings.c: see settings.h. */
#include "tools/table/settings.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "tools/prepare/config.h"
#include "train/config/run_config.h"

/* Keys that change no figure: whole keys, sections ("comm.") and the last parts of keys of stages (".keep"). */
static const char *const idle[] = {"run",    "data",          "data_changed",  "codec_weights",    "decoder",
                                   "seed",   "threads",       "threads_adapt", "samples",          "comm.",
                                   "shard.", "workspace_mib", ".log_every",    ".sample_every",    ".save_every",
                                   ".keep",  ".keep_every",   ".recompute",    "faults.checkpoint"};
/* Keys that came when rows had been kept already. With their default values they do what was done without them; so they
   count only with others, and rows that are older keep their numbers. */
static const char *const younger[] = {
    "ode_init.loss",          "refine.passes",     "ode_init.history_spoil.",  "distill.history_spoil.",
    "refine.history_spoil.",  "vary.place_step",   "evaluate.vary.place_step", "evaluate.cache_type",
    "causal.audio_lookahead", "causal.first_chunk"};
static const char *const idle_of_data[] = {"out", "workers", "patience", "codec_weights", "codec_from"};

static int is_in(const char *const *list, size_t count, const char *key) {
    size_t length = strlen(key);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(list[i]);
        int whole = !strcmp(key, list[i]), section = list[i][n - 1] == '.' && !strncmp(key, list[i], n),
            end = list[i][0] == '.' && length > n && !strcmp(key + length - n, list[i]);
        if (whole || section || end) return 1;
    }
    return 0;
}

static uint64_t hash_value(uint64_t hash, const struct config_field *field, const void *values) {
    const char *at = (const char *)values + field->offset;
    switch (field->type) {
    case CONFIG_INT:
    case CONFIG_BOOL:
    case CONFIG_CHOICE:
        return hash_bytes(hash, at, sizeof(int));
    case CONFIG_LONG:
        return hash_bytes(hash, at, sizeof(long));
    case CONFIG_REAL:
        return hash_bytes(hash, at, sizeof(double));
    case CONFIG_STRING:
        return hash_bytes(hash, at, strlen(at) + 1);
    case CONFIG_REALS: {
        int count = *(const int *)((const char *)values + field->count_offset);
        return hash_bytes(hash_number(hash, (uint64_t)count), at, (size_t)count * sizeof(double));
    }
    }
    return hash;
}

static int is_younger(const struct config_field *field) {
    return is_in(younger, sizeof younger / sizeof *younger, field->key);
}

static uint64_t hash_layout(uint64_t hash, const struct config_field *fields, int count) {
    for (int i = 0; i < count; i++)
        if (!is_younger(&fields[i])) hash = hash_number(hash, (uint64_t)fields[i].type + 1);
    return hash;
}

/* The section of a key: "distill" of "distill.steps", "" of "seed". */
static void section_of(const char *key, char section[64]) {
    size_t dot = strcspn(key, ".");
    memset(section, 0, 64);
    if (key[dot] && dot < 64) memcpy(section, key, dot);
}

/* 1: the key is younger than kept rows and has its default value. */
static int is_as_before(const struct config_field *field, const void *values, const void *defaults) {
    return is_younger(field) && hash_value(HASH_START, field, values) == hash_value(HASH_START, field, defaults);
}

static int hash_run(struct settings_numbers *numbers, const struct run_config *config, const char *last) {
    static struct run_config defaults;
    int count, behind = 0;
    TRY(run_config_load(&defaults, NULL, NULL, 0));
    const struct config_field *fields = run_config_fields(&count);
    char section[64], before[64] = "";
    for (int i = 0; i < count; i++) {
        section_of(fields[i].key, section);
        int changed = strcmp(section, before) != 0, is_stage = run_config_network(section) != NULL;
        if (changed && !strcmp(before, last)) behind = 1;
        memcpy(before, section, sizeof before);
        if ((is_stage && behind) || is_in(idle, sizeof idle / sizeof *idle, fields[i].key)) continue;
        if (is_as_before(&fields[i], config, &defaults)) continue;
        uint64_t *to = strcmp(section, "evaluate") ? &numbers->method : &numbers->measured;
        *to = hash_value(*to, &fields[i], config);
    }
    numbers->layout = hash_layout(numbers->layout, fields, count);
    return OK;
}

static int hash_data(uint64_t *hash, const struct prepare_config *data) {
    static struct prepare_config defaults;
    const char *const needed[] = {"source=puppet", "out=data.h5"}; /* these two have no default */
    TRY(config_load(&defaults, prepare_fields, prepare_field_count, NULL, needed, 2));
    for (int i = 0; i < prepare_field_count; i++)
        if (!is_in(idle_of_data, sizeof idle_of_data / sizeof *idle_of_data, prepare_fields[i].key) &&
            !is_as_before(&prepare_fields[i], data, &defaults))
            *hash = hash_value(*hash, &prepare_fields[i], data);
    return OK;
}

int settings_numbers(struct settings_numbers *numbers, const struct run_config *config, const char *last,
                     const struct prepare_config *data, int data_count) {
    if (!run_config_network(last)) return error_set(ERR_USAGE, "last: there is no stage %s that makes a student", last);
    *numbers = (struct settings_numbers){HASH_START, HASH_START, HASH_START};
    TRY(hash_run(numbers, config, last));
    numbers->layout = hash_layout(numbers->layout, prepare_fields, prepare_field_count);
    for (int d = 0; d < data_count; d++) TRY(hash_data(&numbers->measured, &data[d]));
    return OK;
}
