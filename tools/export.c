/* export.c: a stage's weights as a student's folder (checkpoints/student.h): safetensors, config, codec, text.
     export CONFIG --stage distill [--weights average|raw] [--naming original|diffusers] [--type f32|bf16] --out FOLDER
   The average (EMA) is taken when the stage keeps one. The teacher is exported the same way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "checkpoints/student.h"
#include "data/dataset.h"
#include "kernels/device.h"
#include "model/transfer.h"
#include "train/run_config.h"
#include "train/train_state.h"

struct export_options {
    const char *stage, *out, *weights, *naming, *type;
};

static int choice(const char *option, const char *value, const char *first, const char *second, int *out) {
    *out = strcmp(value, first) != 0;
    if (*out && strcmp(value, second))
        return error_set(ERR_USAGE, "--%s %s: expected %s or %s", option, value, first, second);
    return OK;
}

static void describe(struct student_description *d, const struct run_config *config, const struct dataset_shape *shape,
                     const struct export_options *o) {
    memset(d, 0, sizeof *d);
    d->dit = config->model;
    d->rollout = config->rollout;
    d->pixel_height = shape->pixel_height;
    d->pixel_width = shape->pixel_width;
    snprintf(d->codec, sizeof d->codec, "%s", shape->codec);
    snprintf(d->audio_encoder, sizeof d->audio_encoder, "%s", shape->audio_encoder);
    snprintf(d->stage, sizeof d->stage, "%s", o->stage);
}

/* The stage's weights on the host: [table->total]. */
static int read_weights(const char *from, const char *network, enum weights_source source,
                        const struct param_table *table, float *values, long *step) {
    struct arena arena;
    arena_begin(&arena, "exported weights");
    ARENA_TAKE(&arena, "master", real, table->total);
    TRY(arena_commit(&arena));
    real *master = ARENA_TAKE(&arena, "master", real, table->total);
    int code = train_state_load_weights(from, network, source, table, master, step);
    if (!code) {
        transfer_from_real(values, master, (long)table->total);
        code = device_sync();
    }
    arena_free(&arena);
    return code;
}

static int export_stage(const struct run_config *config, const struct export_options *o) {
    int raw, diffusers, bf16;
    TRY(choice("weights", o->weights, "average", "raw", &raw));
    TRY(choice("naming", o->naming, "original", "diffusers", &diffusers));
    TRY(choice("type", o->type, "f32", "bf16", &bf16));
    struct dataset *set;
    TRY(dataset_open(&set, config->data));
    const struct dataset_shape *shape = dataset_shape(set);
    struct student_description d;
    describe(&d, config, shape, o);
    d.naming = diffusers ? NAMING_DIFFUSERS : NAMING_ORIGINAL;
    struct dit net;
    struct codec codec = {.state = NULL};
    char from[RUN_PATH + 32];
    snprintf(from, sizeof from, "%s/%s", config->run, o->stage);
    int code = dit_create(&net, &config->model, 0);
    float *values = code ? NULL : calloc(net.table.total, sizeof *values);
    float *text = calloc((size_t)shape->text_len * (size_t)shape->text_dim, sizeof *text);
    if (!code && (!values || !text)) code = error_set(ERR_DEVICE, "out of memory for the weights");
    const char *network = strcmp(o->stage, "teacher") ? "student" : "teacher";
    if (!code) code = read_weights(from, network, raw ? WEIGHTS_RAW : WEIGHTS_AVERAGE, &net.table, values, &d.step);
    if (!code) code = dataset_text(set, text);
    if (!code) code = dataset_codec(set, &codec);
    if (!code) code = student_write(o->out, &d, &net.table, values, bf16 ? ST_BF16 : ST_F32, &codec, text);
    if (!code) log_line("%s, step %ld: %zu parameters to %s", o->stage, d.step, net.table.values, o->out);
    codec_close(&codec);
    free(values);
    free(text);
    dit_destroy(&net);
    dataset_close(set);
    return code;
}

int main(int argc, char **argv) {
    struct export_options o = {.stage = NULL, .out = NULL, .weights = "average", .naming = "original", .type = "f32"};
    const struct args_option options[] = {
        {"stage", "STAGE", NULL, &o.stage, "teacher, ode_init, distill or refine"},
        {"out", "FOLDER", NULL, &o.out, "where the student goes"},
        {"weights", "WHICH", NULL, &o.weights, "average (default; EMA when there is one) or raw"},
        {"naming", "NAMES", NULL, &o.naming, "original (default) or diffusers names of the trunk"},
        {"type", "TYPE", NULL, &o.type, "f32 (default) or bf16"},
    };
    enum { OPTIONS = sizeof options / sizeof *options };
    struct args args;
    int code = args_parse(&args, argc, argv, options, OPTIONS, 1, 1);
    if (code) return args_fail("export", code);
    if (args.help) {
        args_help("export CONFIG.yaml --stage STAGE --out FOLDER [key=value ...]", options, OPTIONS, stdout);
        return 0;
    }
    struct run_config config;
    if (!o.stage || !o.out) code = error_set(ERR_USAGE, "--stage and --out must be given");
    if (!code) code = run_config_load(&config, args.words[0], args.overrides, args.override_count);
    if (!code) code = device_init(config.threads);
    if (!code) code = export_stage(&config, &o);
    return code ? args_fail("export", code) : 0;
}
