/* pretrained.c: see pretrained.h. */
#include "checkpoints/pretrained.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "checkpoints/export_sums.h"
#include "checkpoints/student_config.h"

/* Whether the folder is an export of ours: it has config.json beside the trunk's folder or, in the first version,
   beside the trunk's file. */
static int is_export(const char *path) {
    char config[FILE_PATH_MAX], trunk[FILE_PATH_MAX];
    if (file_join(config, sizeof config, path, "config.json") || !file_exists(config)) return 0;
    if (!file_join(trunk, sizeof trunk, path, "transformer") && file_exists(trunk)) return 1;
    return !file_join(trunk, sizeof trunk, path, "transformer.safetensors") && file_exists(trunk);
}

/* Finds the file or folder of the trunk. */
static int trunk_path(const char *path, char *trunk, size_t size) {
    if (!is_export(path))
        return (size_t)snprintf(trunk, size, "%s", path) < size
                   ? OK
                   : error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    TRY(file_join(trunk, size, path, "transformer"));
    return file_exists(trunk) ? OK : file_join(trunk, size, path, "transformer.safetensors");
}

int pretrained_config(const char *path, struct dit_config *config) {
    struct student_description description;
    struct checkpoint c;
    if (is_export(path)) {
        TRY(student_describe(&description, path));
        *config = description.dit;
        return OK;
    }
    TRY(checkpoint_open(&c, path));
    int code = checkpoint_dit_config(&c, config);
    checkpoint_close(&c);
    return code;
}

int pretrained_expect(const char *path, const struct dit_config *config) {
    char trunk[FILE_PATH_MAX];
    struct checkpoint c;
    TRY(trunk_path(path, trunk, sizeof trunk));
    TRY(checkpoint_open(&c, trunk));
    int code = checkpoint_expect(&c, config);
    checkpoint_close(&c);
    return code;
}

static int has_audio(const struct param_table *table) {
    for (int i = 0; i < table->count; i++)
        if (weights_belongs(&table->list[i], WEIGHTS_AUDIO)) return 1;
    return 0;
}

static int load(const struct weights_sink *sink, const struct param_table *table, const char *path, int audio,
                int *audio_found) {
    struct checkpoint c;
    TRY(checkpoint_open(&c, path));
    *audio_found = checkpoint_find(&c, "audio_proj.norm.weight") != NULL;
    int code = weights_load(sink, table, &c, audio && *audio_found ? WEIGHTS_ALL : WEIGHTS_TRUNK);
    checkpoint_close(&c);
    return code;
}

static int load_audio(const struct weights_sink *sink, const struct param_table *table, const char *path) {
    struct checkpoint c;
    TRY(checkpoint_open(&c, path));
    int code = weights_load(sink, table, &c, WEIGHTS_AUDIO);
    checkpoint_close(&c);
    return code;
}

/* Refuses a quantised student where its weights are to be trained. */
static int expect_type(const struct param_table *table, const char *path) {
    struct student_description d;
    TRY(student_describe(&d, path));
    for (int i = 0; d.dit.weights && i < table->count; i++)
        if (dit_param_quantises(&table->list[i]) && !table->list[i].type)
            return error_set(ERR_INPUT, "%s: its weights are quantised, for streaming; training takes the full export",
                             path);
    return OK;
}

int pretrained_load(const struct weights_sink *sink, const struct param_table *table, const char *path, int *audio) {
    char trunk[FILE_PATH_MAX], modules[FILE_PATH_MAX];
    int wanted = has_audio(table), found;
    if (is_export(path)) TRY(export_sums_check(path));
    if (is_export(path)) TRY(expect_type(table, path));
    TRY(trunk_path(path, trunk, sizeof trunk));
    TRY(load(sink, table, trunk, wanted, &found));
    *audio = !wanted || found;
    if (*audio || !is_export(path)) return OK;
    TRY(file_join(modules, sizeof modules, path, "audio.safetensors"));
    if (!file_exists(modules)) return OK;
    TRY(load_audio(sink, table, modules));
    *audio = 1;
    return OK;
}

int pretrained_files_open(struct pretrained_files *files, const char *path) {
    char trunk[FILE_PATH_MAX], modules[FILE_PATH_MAX];
    memset(files, 0, sizeof *files);
    TRY(trunk_path(path, trunk, sizeof trunk));
    TRY(checkpoint_open(&files->part[0], trunk));
    files->count = 1;
    if (!is_export(path)) return OK;
    int code = file_join(modules, sizeof modules, path, "audio.safetensors");
    if (!code && file_exists(modules) && !(code = checkpoint_open(&files->part[1], modules))) files->count = 2;
    if (code) pretrained_files_close(files);
    return code;
}

void pretrained_files_close(struct pretrained_files *files) {
    for (int i = 0; i < files->count; i++) checkpoint_close(&files->part[i]);
    memset(files, 0, sizeof *files);
}

const struct checkpoint *pretrained_files_with(const struct pretrained_files *files, const char *name) {
    for (int i = 0; i < files->count; i++)
        if (checkpoint_find(&files->part[i], name)) return &files->part[i];
    return NULL;
}
