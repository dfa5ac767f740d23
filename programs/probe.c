/* probe.c: tests what refinement's discriminator can tell, without a generator.
   usage: probe CONFIG.yaml [key=value ...]
   The discriminator of `refine` (its trunk from the teacher, its heads, levels, losses, penalties, optimiser and
   warm-up) is trained on pairs of real clips and real clips that are spoiled in one way (tools/probe/spoil.h), once for
   each way and scope, and then judges held-out pairs. Prints the area under the curve by way and branch and writes
   RUN/probe.json. A discriminator that cannot tell a blurred hand from a sharp one cannot teach a student either. */
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "kernels/device.h"
#include "kernels/workspace.h"
#include "tools/probe/area.h"
#include "tools/probe/pairs.h"
#include "train/config/run_config.h"
#include "train/method/discriminator_step.h"
#include "train/stage/batch_feed.h"
#include "train/stage/set_codec.h"
#include "train/state/state.h"

struct settings {
    char spoil[256], scope[64];
    long updates;
    int pairs;
    double require, hue;
    double box[4];
    int box_count;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT(
        "spoil", spoil, "hands,noise,person,hue,sound,none",
        "Ways in which clips are spoiled, with commas between. hands: blurred there; noise: 0.05 of the way from black "
        "to white; person: another one in the second half; hue: drifts evenly; sound: 8 frames late; none."),
    TEXT("scope", scope, "",
         "Scopes of the discriminator, with commas between: clip, frame; empty: refine.discriminator.scope."),
    LONG("updates", updates, 0, 1e9, "0",
         "Updates of the whole discriminator after the warm-up of its heads; 0: as many as refine makes, its warm-up "
         "and its steps times its ratio."),
    INT("pairs", pairs, 2, 1000000, "64", "Largest number of held-out pairs that are judged."),
    REAL(
        "require", require, 0, 1, "0",
        "Least area under the curve of the branch that a fault is for (hands, noise: local; person, hue: global). "
        "Where one is smaller, or clips that are not spoiled are told apart, the exit code is 4. 0: none is required."),
    REAL("hue", hue, 1, 180, "60", "Degrees by which the hues of a clip drift from its reference to its end."),
    REALS("hands", box, box_count, 0, 1, "[0.1, 0.7, 0.9, 1]",
          "Region of the hands: left, top, right, bottom as fractions of the picture."),
};

/* The branch that is to see a way of spoiling; -1: none must. */
static const int right_branch[SPOILS] = {BRANCH_LOCAL, BRANCH_LOCAL, BRANCH_GLOBAL, BRANCH_GLOBAL, -1, -1};
static const char *const branch_names[BRANCHES] = {"local", "global"};

struct result {
    int done;
    struct bootstrap_interval area[BRANCHES];
    struct discriminator_report last; /* Figures of the last training update. */
};
struct probe {
    struct settings settings;
    struct run_config config;
    int wanted[SPOILS], scopes[SCOPE_FRAME + 1];
    long updates;
    struct dataset *set;
    struct codec codec;
    struct dit net;
    struct discriminator_step step;
    struct arena state, activations, workspace;
    struct device_batch side[SIDES];
    struct pair_maker maker;
    long rounds;                     /* posted so far */
    int judged;                      /* held-out pairs */
    double *logits[SIDES][BRANCHES]; /* [judged, F - 1], [judged] */
    int *clip;                       /* [judged] */
    struct result result[SCOPE_FRAME + 1][SPOILS];
};

/* ---- settings ---- */

/* Marks the names of a list with commas between. ERR_USAGE: one of them is not known. */
static int read_list(const char *key, const char *list, const char *const *names, int *wanted) {
    char text[256], *rest = text;
    snprintf(text, sizeof text, "%s", list);
    for (char *name; (name = strsep(&rest, ","));) {
        int i = 0;
        name += strspn(name, " ");
        while (names[i] && strcmp(names[i], name)) i++;
        if (!names[i]) return error_set(ERR_USAGE, "%s=%s: there is no %s", key, list, name);
        wanted[i] = 1;
    }
    return OK;
}

static int read_settings(struct probe *p) {
    const struct refine_config *c = &p->config.refine;
    const double *box = p->settings.box;
    TRY(read_list("spoil", p->settings.spoil, spoil_names, p->wanted));
    if (p->settings.scope[0])
        TRY(read_list("scope", p->settings.scope, discriminator_scope_names, p->scopes));
    else
        p->scopes[c->discriminator.scope] = 1;
    if (p->settings.box_count != 4 || box[0] >= box[2] || box[1] >= box[3])
        return error_set(ERR_USAGE, "hands: expected left, top, right, bottom, each less than its opposite");
    p->updates = p->settings.updates ? p->settings.updates : c->warmup + c->stage.steps * c->ratio;
    return OK;
}

/* ---- memory and data ---- */

static int open_data(struct probe *p) {
    const struct dit_config *c = &p->config.model;
    const struct dataset_shape wanted = {.F = p->config.frames,
                                         .C = c->in_channels,
                                         .H = c->height,
                                         .W = c->width,
                                         .D = c->audio_dim,
                                         .text_len = c->text_len,
                                         .text_dim = c->text_dim};
    const double *box = p->settings.box;
    const struct spoil_box hands = {box[0], box[1], box[2], box[3]};
    int batch = p->config.refine.stage.batch;
    TRY(dataset_open(&p->set, p->config.data));
    TRY(dataset_expect(p->set, &wanted));
    long held_out = dataset_rows(p->set, SPLIT_HELD_OUT), most = p->settings.pairs;
    p->judged = (int)((held_out < most ? held_out : most) / batch * batch);
    if (!p->judged)
        return error_set(ERR_INPUT, "%s: has %ld held-out clips, expected a batch (refine.batch=%d) at least",
                         p->config.data, held_out, batch);
    TRY(set_codec_open(&p->codec, p->set, p->config.codec_weights));
    TRY(pair_maker_open(&p->maker, p->set, &p->codec, &hands, p->settings.hue, run_config_seed(&p->config, "refine"),
                        batch));
    p->clip = calloc((size_t)p->judged, sizeof *p->clip);
    for (int s = 0; s < SIDES; s++)
        for (int b = 0; b < BRANCHES; b++) {
            size_t each = b == BRANCH_LOCAL ? (size_t)p->config.frames - 1 : 1;
            p->logits[s][b] = calloc((size_t)p->judged * each, sizeof(double));
            if (!p->logits[s][b] || !p->clip) return error_set(ERR_DEVICE, "out of memory for logits");
        }
    return OK;
}

static int layout(struct probe *p, const struct refine_config *config) {
    const struct dit_config *c = &p->config.model;
    int B = config->stage.batch, F = p->config.frames;
    const struct step_setup setup = {
        .net = &p->net, .F = F, .seed = run_config_seed(&p->config, "refine"), .rollout = &p->config.rollout};
    TRY(discriminator_step_layout(&p->step, &setup, config, config->head_warmup + p->updates, NULL, &p->state,
                                  &p->activations));
    TRY(discriminator_step_acts_layout(&p->step, &p->activations));
    for (int s = 0; s < SIDES; s++) device_batch_layout(&p->side[s], c, NULL, B, F, &p->activations);
    size_t scratch = dit_workspace(c, p->step.split.largest, F, 0, 1);
    arena_take(&p->workspace, "workspace of kernels", scratch > WORKSPACE_LEAST ? scratch : WORKSPACE_LEAST);
    return device_sync();
}

static void close_scope(struct probe *p) {
    discriminator_step_free(&p->step);
    device_workspace(NULL, 0);
    arena_free(&p->state);
    arena_free(&p->activations);
    arena_free(&p->workspace);
}

static int open_scope(struct probe *p, int scope) {
    struct arena *all[] = {&p->state, &p->activations, &p->workspace};
    struct refine_config config = p->config.refine;
    config.discriminator.scope = scope;
    arena_begin(&p->state, "networks and optimisers");
    arena_begin(&p->activations, "activations");
    arena_begin(&p->workspace, "workspace");
    TRY(layout(p, &config));
    for (int i = 0; i < 3; i++) TRY(arena_commit(all[i]));
    TRY(layout(p, &config));
    device_workspace(p->workspace.base, p->workspace.size);
    discriminator_step_prepare(&p->step);
    p->rounds = 0;
    return OK;
}

/* Starts the discriminator afresh, as refine does. */
static int new_discriminator(struct probe *p) {
    const struct refine_config *c = &p->config.refine;
    struct discriminator_step *d = &p->step;
    char from[FILE_PATH_MAX];
    TRY(run_config_source(&p->config, c->teacher, "teacher", from, sizeof from));
    if (d->frozen) TRY(train_state_load_frozen(from, "teacher", d->frozen));
    discriminator_step_new_heads(d);
    TRY(train_state_load_master(from, "teacher", WEIGHTS_AVERAGE, &p->net.table, &d->optimiser));
    optimiser_start(&d->optimiser);
    return OK;
}

/* ---- training and judging ---- */

static int next_pairs(struct probe *p, enum dataset_split split, enum spoil spoil, long batch) {
    TRY(pair_maker_next(&p->maker, split, spoil, (uint64_t)batch * (uint64_t)p->maker.count));
    for (int s = 0; s < SIDES; s++) device_batch_upload(&p->side[s], &p->maker.batch[s], NULL);
    return OK;
}

static struct judged_clips clips_of(const struct probe *p, enum pair_side side) {
    return (struct judged_clips){p->side[side].clips, &p->side[side].condition};
}

/* Posts the figures of a round and reads them at once. */
static int read_round(struct probe *p, struct discriminator_report *report) {
    TRY(discriminator_step_end(&p->step, (uint64_t)p->rounds));
    if (discriminator_step_report(&p->step, (uint64_t)p->rounds++, report)) return device_sync();
    return error_set(ERR_DEVICE, "figures of a round are lost");
}

static int train(struct probe *p, enum spoil spoil, const char *name, struct discriminator_report *last) {
    enum { LOGGED = 25 };
    long heads = p->config.refine.head_warmup, all = heads + p->updates;
    discriminator_schedule(&p->step, 0, all);
    for (long update = 0; update < all; update++) {
        struct optimiser_report account;
        if (update == heads && heads) {
            discriminator_heads_warm(&p->step);
            discriminator_schedule(&p->step, heads, all);
        }
        TRY(next_pairs(p, SPLIT_TRAIN, spoil, update));
        const struct judged_clips real_clips = clips_of(p, SIDE_REAL), fake_clips = clips_of(p, SIDE_FAKE);
        TRY(discriminator_update(&p->step, &real_clips, &fake_clips, (uint64_t)update, 0, update, update < heads));
        TRY(read_round(p, last));
        optimiser_report(&p->step.optimiser, update, &account);
        if (account.skipped)
            return error_set(ERR_NUMERIC, "%s: update %ld: loss or gradient is not finite", name, update + 1);
        if ((update + 1) % LOGGED == 0 || update + 1 == all)
            log_line("%s: update %ld of %ld, loss %.4f, margins %.3f (frames), %.3f (clips)", name, update + 1, all,
                     account.loss, last->branch_margin[BRANCH_LOCAL], last->branch_margin[BRANCH_GLOBAL]);
    }
    return OK;
}

/* Copies the logits of a judged batch, whose first pair is number `first`. */
static void keep_batch(struct probe *p, int first) {
    int B = p->maker.count, frames = p->config.frames - 1;
    const real *at = p->step.host + FIGURE_LOGITS;
    memcpy(p->clip + first, p->maker.clip, (size_t)B * sizeof *p->clip);
    for (int s = 0; s < SIDES; s++) {
        for (int i = 0; i < B * frames; i++) p->logits[s][BRANCH_LOCAL][first * frames + i] = (double)*at++;
        for (int i = 0; i < B; i++) p->logits[s][BRANCH_GLOBAL][first + i] = (double)*at++;
    }
}

static int judge(struct probe *p, enum spoil spoil, struct bootstrap_interval area[BRANCHES]) {
    struct discriminator_report report;
    for (int first = 0; first < p->judged; first += p->maker.count) {
        long batch = first / p->maker.count;
        TRY(next_pairs(p, SPLIT_HELD_OUT, spoil, batch));
        const struct judged_clips real_clips = clips_of(p, SIDE_REAL), fake_clips = clips_of(p, SIDE_FAKE);
        TRY(discriminator_judge(&p->step, &real_clips, &fake_clips, (uint64_t)batch));
        TRY(read_round(p, &report));
        keep_batch(p, first);
    }
    for (int b = 0; b < BRANCHES; b++) {
        const struct judged_logits logits = {.pairs = p->judged,
                                             .each = b == BRANCH_LOCAL ? p->config.frames - 1 : 1,
                                             .real_ones = p->logits[SIDE_REAL][b],
                                             .fake_ones = p->logits[SIDE_FAKE][b],
                                             .clip = p->clip};
        TRY(area_interval(&logits, (uint64_t)p->config.seed, &area[b]));
    }
    return OK;
}

/* 1 where a branch is trained in a scope. */
static int has_branch(const struct probe *p, int scope, int branch) {
    const struct refine_config *c = &p->config.refine;
    return branch == BRANCH_LOCAL ? c->local_weight > 0 : c->global_weight > 0 && scope == SCOPE_CLIP;
}

static int probe_scope(struct probe *p, int scope) {
    TRY(open_scope(p, scope));
    for (int k = 0; k < SPOILS; k++) {
        struct result *r = &p->result[scope][k];
        char name[64];
        if (!p->wanted[k]) continue;
        snprintf(name, sizeof name, "%s, scope %s", spoil_names[k], discriminator_scope_names[scope]);
        TRY(new_discriminator(p));
        TRY(train(p, (enum spoil)k, name, &r->last));
        TRY(judge(p, (enum spoil)k, r->area));
        r->done = 1;
        log_line("%s: area under the curve %.3f (frames), %.3f (clips)", name, r->area[BRANCH_LOCAL].value,
                 r->area[BRANCH_GLOBAL].value);
    }
    return OK;
}

/* ---- the report ---- */

static void print_table(const struct probe *p) {
    printf("%-8s %-6s", "spoiled", "scope");
    for (int b = 0; b < BRANCHES; b++) printf("  %-24s", branch_names[b]);
    printf("  for\n");
    for (int k = 0; k < SPOILS; k++)
        for (int s = 0; s <= SCOPE_FRAME; s++) {
            const struct result *r = &p->result[s][k];
            if (!r->done) continue;
            printf("%-8s %-6s", spoil_names[k], discriminator_scope_names[s]);
            for (int b = 0; b < BRANCHES; b++) {
                char cell[48] = "-";
                if (has_branch(p, s, b))
                    snprintf(cell, sizeof cell, "%.3f (%.3f to %.3f)", r->area[b].value, r->area[b].low,
                             r->area[b].high);
                printf("  %-24s", cell);
            }
            printf("  %s\n", right_branch[k] < 0 ? "-" : branch_names[right_branch[k]]);
        }
}

static cJSON *interval_of(const struct bootstrap_interval *i) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "area", i->value);
    cJSON_AddNumberToObject(o, "low", i->low);
    cJSON_AddNumberToObject(o, "high", i->high);
    return o;
}

static int write_report(const struct probe *p) {
    char path[FILE_PATH_MAX];
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "updates", (double)p->updates);
    cJSON_AddNumberToObject(root, "head_warmup", (double)p->config.refine.head_warmup);
    cJSON_AddNumberToObject(root, "pairs", p->judged);
    for (int s = 0; s <= SCOPE_FRAME; s++)
        for (int k = 0; k < SPOILS; k++) {
            const struct result *r = &p->result[s][k];
            const char *scope = discriminator_scope_names[s];
            if (!r->done) continue;
            cJSON *in = cJSON_GetObjectItem(root, scope);
            cJSON *o = cJSON_AddObjectToObject(in ? in : cJSON_AddObjectToObject(root, scope), spoil_names[k]);
            for (int b = 0; b < BRANCHES; b++)
                if (has_branch(p, s, b)) cJSON_AddItemToObject(o, branch_names[b], interval_of(&r->area[b]));
            cJSON_AddNumberToObject(o, "margin_local", r->last.branch_margin[BRANCH_LOCAL]);
            cJSON_AddNumberToObject(o, "margin_global", r->last.branch_margin[BRANCH_GLOBAL]);
        }
    char *text = cJSON_Print(root);
    int code = text ? file_join(path, sizeof path, p->config.run, "probe.json")
                    : error_set(ERR_DEVICE, "out of memory for the report");
    if (!code) code = file_write(path, text, strlen(text));
    free(text);
    cJSON_Delete(root);
    return code;
}

/* Whether one result is as it must be. */
static int check_result(const struct probe *p, int scope, int k) {
    const struct bootstrap_interval *area = p->result[scope][k].area;
    int right = right_branch[k];
    for (int b = 0; b < BRANCHES; b++) {
        int blind = k == SPOIL_NONE || (scope == SCOPE_FRAME && right == BRANCH_GLOBAL);
        if (has_branch(p, scope, b) && blind && area[b].low > 0.5)
            return error_set(ERR_NUMERIC, "%s, scope %s: the %s branch tells apart what is alike: %.3f (%.3f to %.3f)",
                             spoil_names[k], discriminator_scope_names[scope], branch_names[b], area[b].value,
                             area[b].low, area[b].high);
    }
    if (right < 0 || !has_branch(p, scope, right) || area[right].value >= p->settings.require) return OK;
    return error_set(ERR_NUMERIC, "%s, scope %s: the %s branch has %.3f, require=%g", spoil_names[k],
                     discriminator_scope_names[scope], branch_names[right], area[right].value, p->settings.require);
}

static int check(const struct probe *p) {
    for (int s = 0; s <= SCOPE_FRAME && p->settings.require > 0; s++)
        for (int k = 0; k < SPOILS; k++)
            if (p->result[s][k].done) TRY(check_result(p, s, k));
    return OK;
}

/* ---- from the command line to the end ---- */

static int run(struct probe *p) {
    TRY(read_settings(p));
    TRY(device_init(p->config.threads));
    TRY(open_data(p));
    TRY(dit_create(&p->net, &p->config.model, 0));
    for (int s = 0; s <= SCOPE_FRAME; s++) {
        if (!p->scopes[s]) continue;
        int code = probe_scope(p, s);
        close_scope(p);
        TRY(code);
    }
    print_table(p);
    TRY(write_report(p));
    return check(p);
}

static void close_probe(struct probe *p) {
    pair_maker_close(&p->maker);
    for (int s = 0; s < SIDES; s++)
        for (int b = 0; b < BRANCHES; b++) free(p->logits[s][b]);
    free(p->clip);
    if (p->codec.state) codec_close(&p->codec);
    if (p->set) dataset_close(p->set);
    dit_destroy(&p->net);
}

int main(int argc, char **argv) {
    struct command command = {
        .name = "probe",
        .does =
            "Tests which faults of spoiled real clips refinement's discriminator learns to tell, without a student.",
        .words = "CONFIG.yaml",
        .min_words = 1,
        .max_words = 1,
        .text = "Trains the discriminator of the run's config as refine does, on real clips beside spoiled ones, and "
                "judges held-out pairs. Prints the area under the curve by fault and branch; writes RUN/probe.json.",
        .keys = keys,
        .key_count = FIELDS(keys),
        .section = "refine",
        .describe = run_config_describe};
    static struct probe p;
    struct args args;
    command.config = run_config_fields(&command.config_count);
    int code = args_parse(&args, &command, &p.settings, argc, argv);
    if (code || args.done) return args_exit("probe", code);
    code = run_config_load(&p.config, args.words[0], args.overrides, args.override_count);
    if (!code) code = run(&p);
    close_probe(&p);
    return args_exit("probe", code);
}
