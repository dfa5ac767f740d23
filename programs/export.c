/* export.c: writes a stage's weights as a student's folder (checkpoints/student.h): safetensors, config, codec, text.
   Adapters are merged; lora_out= writes them apart as well, with names as naming= says (checkpoints/adapter_file.h).
   The average (EMA) is taken when the stage keeps one. The teacher is exported the same way. Diffusers loads the trunk:
   WanTransformer3DModel.from_pretrained(FOLDER, subfolder="transformer"). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "checkpoints/adapter_file.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/state.h"
#include "checkpoints/student.h"
#include "data/dataset.h"
#include "kernels/device.h"
#include "model/params/transfer.h"
#include "train/stage/negative_prompt.h"
#include "train/config/run_config.h"
#include "train/stage/set_codec.h"
#include "train/state/state.h"

struct export_options {
    char stage[32], out[FILE_PATH_MAX], lora_out[FILE_PATH_MAX], text[FILE_PATH_MAX], prompt[4096];
    int weights, naming, type;
    double shard_mb;
};
static const char *const weights_names[] = {"average", "raw", NULL};
static const char *const naming_names[] = {"diffusers", "original", NULL};
static const char *const type_names[] = {"f32", "bf16", "f16", "int8", "fp8", NULL};
#define FIELDS_OF struct export_options
static const struct config_field keys[] = {
    TEXT("stage", stage, NULL, "The stage whose weights are exported, such as teacher or refine: a folder of the run."),
    TEXT("out", out, NULL, "Folder of the student that is written."),
    CHOICE("weights", weights, weights_names, "average",
           "Which weights: the average (EMA) where the stage keeps one, or the raw ones."),
    CHOICE("naming", naming, naming_names, "diffusers", "Whose names the trunk's tensors have."),
    CHOICE("type", type, type_names, "f32",
           "Number type of the tensors. int8 and fp8 are for streaming alone: the linear layers' weights in the blocks "
           "become numbers of one byte with a scale for each output channel; all else is f32."),
    REAL("shard_mb", shard_mb, 0, 1e9, "0",
         "Largest size of a file of the trunk, megabytes; a larger trunk is written in several. 0 writes one file."),
    TEXT("prompt", prompt, "",
         "Prompt that the student is streamed with; empty takes that of the first training window."),
    TEXT("text", text, "",
         "File of prompts' embeddings (text_embed writes it) with that prompt, where the data set does not have it."),
    TEXT("lora_out", lora_out, "",
         "Safetensors file to which the adapters are written as well; the folder has the merged weights. Empty: none."),
};

static struct weights_format format_of(const struct export_options *o) {
    static const enum safetensors_type stored[] = {ST_F32, ST_BF16, ST_F16, ST_F32, ST_F32};
    static const enum quantised_type quantised[] = {[3] = QUANTISED_INT8, [4] = QUANTISED_FP8};
    return (struct weights_format){.naming = o->naming ? NAMING_ORIGINAL : NAMING_DIFFUSERS,
                                   .type = stored[o->type],
                                   .quantised = quantised[o->type],
                                   .shard_bytes = (size_t)(o->shard_mb * 1e6)};
}

static void describe(struct student_description *d, const struct run_config *config, const struct dataset_shape *shape,
                     const struct export_options *o) {
    memset(d, 0, sizeof *d);
    d->dit = config->model;
    d->dit.weights = format_of(o).quantised;
    d->pixel_height = shape->pixel_height;
    d->pixel_width = shape->pixel_width;
    snprintf(d->codec, sizeof d->codec, "%s", shape->codec);
    snprintf(d->decoder, sizeof d->decoder, "%s", config->decoder);
    snprintf(d->audio_encoder, sizeof d->audio_encoder, "%s", shape->audio_encoder);
    snprintf(d->stage, sizeof d->stage, "%s", o->stage);
}

/* Reads the stage's weights to the host: [table->total]. */
static int read_weights(const char *from, const char *network, enum weights_choice source,
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

/* ---- adapters apart ---- */

static int write_adapters(struct state_reader *r, const struct weights_origin *from, const struct param_table *table,
                          const char *path, enum weights_naming naming) {
    struct lora_config config;
    struct weights_origin base;
    struct lora lora;
    float *own;
    int adapted;
    TRY(weights_adapters(r, from->path, from->group, &adapted, &config, &base));
    if (!adapted)
        return error_set(ERR_USAGE, "lora_out: %s was trained whole and has no adapters; leave lora_out away",
                         from->path);
    int code = weights_adapters_read(r, from->group, table, &config, &lora, &own);
    if (!code) code = adapter_file_write(path, &lora, own, naming);
    if (!code) log_line("%d tensors of adapters over %s to %s", lora.adapters.count, base.path, path);
    free(own);
    lora_destroy(&lora);
    return code;
}

static int export_adapters(const char *from, const char *network, enum weights_choice source,
                           const struct param_table *table, const char *path, enum weights_naming naming) {
    struct weights_origin origin;
    struct state_reader *r;
    TRY(weights_origin_of_state(&origin, from, network, source));
    TRY(state_open_seen(&r, origin.path, &origin.seen));
    int code = write_adapters(r, &origin, table, path, naming);
    state_close(r);
    return code;
}

/* ---- the prompts ---- */

struct export_prompts { /* two prompts: the one that the student is streamed with, and the empty one */
    struct prompt_rows rows[2];
    float *values[2]; /* their embeddings, which the rows point to */
    char *text;
};

static void prompts_free(struct export_prompts *p) {
    free(p->values[0]);
    free(p->values[1]);
    free(p->text);
}

/* Takes prompt `number` of the data set as the k-th prompt. */
static int take_from_set(struct export_prompts *p, int k, struct dataset *set, int number) {
    const struct dataset_shape *s = dataset_shape(set);
    p->values[k] = malloc(sizeof **p->values * (size_t)s->text_len * (size_t)s->text_dim);
    if (!p->values[k]) return error_set(ERR_DEVICE, "out of memory for the prompts");
    p->rows[k] =
        (struct prompt_rows){dataset_prompt_text(set, number), dataset_prompt_length(set, number), p->values[k]};
    return dataset_text(set, number, p->values[k]);
}

/* Takes the data set's prompt with a cleaned text, or, without a text, that of the first training window. */
static int find_in_set(struct dataset *set, const char *clean, int *number) {
    struct dataset_row row = {.prompt = dataset_prompts(set) - 1};
    if (dataset_rows(set, SPLIT_TRAIN)) dataset_columns(set, SPLIT_TRAIN, 0, &row);
    *number = row.prompt;
    if (!clean) return OK;
    for (*number = 0; *number < dataset_prompts(set); ++*number)
        if (!strcmp(dataset_prompt_text(set, *number), clean)) return OK;
    return error_set(ERR_INPUT, "the data set has no prompt \"%.80s\" (text=FILE names a file that has)", clean);
}

static int take_from_file(struct export_prompts *p, const struct prompt_file *file, const char *prompt) {
    const struct prompt_entry *entry[2] = {NULL, prompt_file_empty(file)};
    TRY(prompt_file_find(file, prompt, &entry[0]));
    for (int k = 0; k < 2; k++) {
        if (!entry[k]) continue; /* the data set's empty prompt stays */
        free(p->values[k]);
        TRY(prompt_file_read(file, entry[k], &p->values[k]));
        p->rows[k].rows = p->values[k];
        p->rows[k].length = entry[k]->length;
    }
    if (!p->text && !(p->text = strdup(entry[0]->text ? entry[0]->text : entry[0]->name)))
        return error_set(ERR_DEVICE, "out of memory for the prompts");
    p->rows[0].text = p->text;
    return OK;
}

static int find_prompts(struct export_prompts *p, struct dataset *set, const struct export_options *o) {
    const struct dataset_shape *s = dataset_shape(set);
    int number = 0;
    const char *prompt = *o->prompt ? o->prompt : NULL;
    if (prompt) TRY(prompt_clean(prompt, &p->text));
    TRY(take_from_set(p, 1, set, 0));
    if (!*o->text) {
        TRY(find_in_set(set, p->text, &number));
        return take_from_set(p, 0, set, number);
    }
    struct prompt_file file;
    TRY(prompt_file_open(&file, o->text));
    int code = take_from_file(p, &file, prompt);
    for (int k = 0; k < 2 && !code; k++)
        if (file.dim != s->text_dim || p->rows[k].length > s->text_len)
            code = error_set(ERR_INPUT, "%s: a prompt of [%ld, %d], the network takes [%d, %d] at most", o->text,
                             p->rows[k].length, file.dim, s->text_len, s->text_dim);
    prompt_file_close(&file);
    return code;
}

/* Puts the prompt that guidance has in place of no text in the place of the empty one. */
static int take_negative(struct export_prompts *p, const struct run_config *config) {
    float *rows;
    TRY(negative_prompt_load(config, &rows));
    if (!rows) return OK;
    free(p->values[1]);
    p->values[1] = rows;
    p->rows[1].rows = rows;
    p->rows[1].length = config->model.text_len;
    return OK;
}

/* Computes the share of the training windows' video frames in which nobody speaks: both masks are 0. */
static int count_idle(struct dataset *set, double *share) {
    const int frames = dataset_shape(set)->T;
    const long rows = dataset_rows(set, SPLIT_TRAIN);
    float *masks = malloc(2 * (size_t)frames * sizeof *masks);
    struct dataset_row row = {.talk = masks, .listen = masks ? masks + frames : NULL};
    long idle = 0;
    int code = masks ? OK : error_set(ERR_DEVICE, "out of memory for masks");
    for (long i = 0; i < rows && !code; i++) {
        code = dataset_read(set, SPLIT_TRAIN, i, &row);
        for (int n = 0; n < frames && !code; n++) idle += row.talk[n] <= 0 && row.listen[n] <= 0;
    }
    free(masks);
    *share = rows ? (double)idle / ((double)rows * frames) : 0;
    return code;
}

/* Says by which passes the student makes a chunk: those that the state's last update trained, or for a state that was
   chosen as the best those that it was measured by, with which the stage ends. */
static int take_rollout(struct student_description *d, const struct run_config *config, const char *stage,
                        const char *state) {
    char folder[FILE_PATH_MAX], best[FILE_PATH_MAX] = "";
    TRY(file_join(folder, sizeof folder, config->run, stage));
    if (config->states == STATES_BEST) TRY(state_best(folder, best, sizeof best));
    d->rollout = run_config_rollout(config, stage, strcmp(state, best) ? d->step - 1 : LONG_MAX);
    return OK;
}

static int export_stage(const struct run_config *config, const struct export_options *o) {
    const enum weights_choice kind = o->weights ? WEIGHTS_RAW : WEIGHTS_AVERAGE;
    const struct weights_format format = format_of(o);
    const char *network = run_config_network(o->stage);
    struct dataset *set;
    if (!network) return error_set(ERR_USAGE, "stage: %s has no network to export", o->stage);
    TRY(dataset_open(&set, config->data));
    const struct dataset_shape *shape = dataset_shape(set);
    struct student_description d;
    describe(&d, config, shape, o);
    TRY(dataset_note(set, "audio_recipe", d.audio_recipe, sizeof d.audio_recipe));
    TRY(dataset_note(set, "audio_weights", d.audio_weights, sizeof d.audio_weights));
    TRY(count_idle(set, &d.idle));
    struct dit net = {.sequence = NULL};
    struct codec codec = {.state = NULL};
    char from[FILE_PATH_MAX];
    int code = run_config_source(config, "", o->stage, from, sizeof from);
    if (!code) code = dit_create(&net, &config->model, 0);
    float *values = code ? NULL : calloc(net.table.total, sizeof *values);
    struct export_prompts prompts = {.text = NULL};
    if (!code && !values) code = error_set(ERR_DEVICE, "out of memory for the weights");
    if (!code) code = read_weights(from, network, kind, &net.table, values, &d.step);
    if (!code) code = take_rollout(&d, config, o->stage, from);
    if (!code && *o->lora_out) code = export_adapters(from, network, kind, &net.table, o->lora_out, format.naming);
    if (!code) code = find_prompts(&prompts, set, o);
    if (!code) code = take_negative(&prompts, config);
    if (!code) code = set_codec_describe(&codec, set, config->codec_weights);
    if (!code) {
        snprintf(d.codec_weights, sizeof d.codec_weights, "%s", codec.weights);
        snprintf(d.codec_checksum, sizeof d.codec_checksum, "%s", codec.checksum);
    }
    struct weights_host host = {.table = &net.table, .values = values};
    struct weights_source source = weights_from_host(&host);
    if (!code) code = student_write(o->out, &d, &net.table, &source, &format, &codec, prompts.rows);
    if (!code)
        log_line("%s, step %ld: %zu parameters to %s, passes of a chunk: %d; nobody speaks in %.1f %% of the training "
                 "frames",
                 o->stage, d.step, net.table.values, o->out, d.rollout.steps, 1e2 * d.idle);
    codec_close(&codec);
    free(values);
    prompts_free(&prompts);
    dit_destroy(&net);
    dataset_close(set);
    return code;
}

int main(int argc, char **argv) {
    struct command command = {
        .name = "export",
        .does = "Writes a stage's weights as a student's folder, which stream and other tools load.",
        .words = "CONFIG.yaml",
        .min_words = 1,
        .max_words = 1,
        .text = "CONFIG.yaml and its keys are those of the run, whose data set and codec the student takes along.\n"
                "Diffusers loads the trunk: WanTransformer3DModel.from_pretrained(OUT, subfolder=\"transformer\").\n",
        .keys = keys,
        .key_count = FIELDS(keys),
        .renamed = "lora=lora_out"};
    static struct export_options o;
    static struct run_config config;
    struct args args;
    command.config = run_config_fields(&command.config_count);
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("export", code);
    code = run_config_load(&config, args.words[0], args.overrides, args.override_count);
    if (!code) code = device_init(config.threads);
    if (!code) code = export_stage(&config, &o);
    return args_exit("export", code);
}
