/* export.c: a stage's weights as a student's folder (checkpoints/student.h): safetensors, config, codec, text.
     export CONFIG --stage distill [--weights average|raw] [--naming diffusers|original] [--type f32|bf16|f16]
            [--shard-mb N] --out FOLDER
   The average (EMA) is taken when the stage keeps one. The teacher is exported the same way. Diffusers loads the trunk:
   WanTransformer3DModel.from_pretrained(FOLDER, subfolder="transformer"). */
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
#include "train/set_codec.h"
#include "train/train_state.h"

struct export_options {
    const char *stage, *out, *weights, *naming, *type, *shard;
};

static int choice(const char *option, const char *value, const char *const *names, int *out) {
    for (*out = 0; names[*out]; ++*out)
        if (!strcmp(value, names[*out])) return OK;
    return error_set(ERR_USAGE, "--%s %s: expected %s, %s%s%s", option, value, names[0], names[1],
                     names[2] ? " or " : "", names[2] ? names[2] : "");
}

static int parse_format(const struct export_options *o, struct weights_format *format) {
    static const char *const namings[] = {"original", "diffusers", NULL}, *const types[] = {"f32", "bf16", "f16", NULL};
    static const enum safetensors_type stored[] = {ST_F32, ST_BF16, ST_F16};
    int naming, type;
    char *end;
    TRY(choice("naming", o->naming, namings, &naming));
    TRY(choice("type", o->type, types, &type));
    double megabytes = strtod(o->shard, &end);
    if (end == o->shard || *end || !(megabytes >= 0 && megabytes < 1e9))
        return error_set(ERR_USAGE, "--shard-mb %s: expected a number of megabytes, 0 for one file", o->shard);
    *format = (struct weights_format){.naming = naming ? NAMING_DIFFUSERS : NAMING_ORIGINAL,
                                      .type = stored[type],
                                      .shard_bytes = (size_t)(megabytes * 1e6)};
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
    static const char *const kinds[] = {"average", "raw", NULL};
    int raw;
    struct weights_format format;
    TRY(choice("weights", o->weights, kinds, &raw));
    TRY(parse_format(o, &format));
    struct dataset *set;
    TRY(dataset_open(&set, config->data));
    const struct dataset_shape *shape = dataset_shape(set);
    struct student_description d;
    describe(&d, config, shape, o);
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
    if (!code) code = set_codec_describe(&codec, set, config->codec_weights);
    if (!code) {
        snprintf(d.codec_weights, sizeof d.codec_weights, "%s", codec.weights);
        snprintf(d.codec_checksum, sizeof d.codec_checksum, "%s", codec.checksum);
    }
    struct weights_host host = {.table = &net.table, .values = values};
    struct weights_giver source = weights_from_host(&host);
    if (!code) code = student_write(o->out, &d, &net.table, &source, &format, &codec, text);
    if (!code) log_line("%s, step %ld: %zu parameters to %s", o->stage, d.step, net.table.values, o->out);
    codec_close(&codec);
    free(values);
    free(text);
    dit_destroy(&net);
    dataset_close(set);
    return code;
}

int main(int argc, char **argv) {
    struct export_options o = {
        .stage = NULL, .out = NULL, .weights = "average", .naming = "diffusers", .type = "f32", .shard = "0"};
    const struct args_option options[] = {
        {"stage", "STAGE", NULL, &o.stage, "teacher, ode_init, distill or refine"},
        {"out", "FOLDER", NULL, &o.out, "where the student goes"},
        {"weights", "WHICH", NULL, &o.weights, "average (default; EMA when there is one) or raw"},
        {"naming", "NAMES", NULL, &o.naming, "diffusers (default) or original names of the trunk"},
        {"type", "TYPE", NULL, &o.type, "f32 (default), bf16 or f16"},
        {"shard-mb", "N", NULL, &o.shard, "largest file of the trunk in megabytes; 0 (default): one file"},
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
