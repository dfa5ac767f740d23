/* trajectories.c: see trajectories.h. */
#include "train/state/trajectories.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/state.h"
#include "model/params/transfer.h"

int trajectory_store_open(struct trajectory_store *t, const char *stage_folder, const struct run_config *config) {
    const struct dit_config *m = &config->model;
    memset(t, 0, sizeof *t);
    t->config = config;
    t->levels = config->rollout.steps;
    t->values = (size_t)config->frames * m->in_channels * m->height * m->width;
    if (snprintf(t->folder, sizeof t->folder, "%s/trajectories", stage_folder) >= (int)sizeof t->folder)
        return error_set(ERR_USAGE, "%s: the path is too long", stage_folder);
    TRY(file_make_folders(t->folder));
    t->host = malloc((size_t)(t->levels + 1) * t->values * sizeof *t->host);
    return t->host ? OK : error_set(ERR_DEVICE, "out of memory for trajectories");
}

void trajectory_store_close(struct trajectory_store *t) {
    free(t->host);
    memset(t, 0, sizeof *t);
}

static void path_of(const struct trajectory_store *t, long number, char *path, size_t size) {
    snprintf(path, size, "%s/clip_%06ld.h5", t->folder, number);
}

int trajectory_store_count(const struct trajectory_store *t) {
    char path[FILE_PATH_MAX], sum[FILE_PATH_MAX + 8];
    for (long n = 0;; n++) {
        path_of(t, n, path, sizeof path);
        snprintf(sum, sizeof sum, "%s.sum", path);
        if (!file_exists(path) || !file_exists(sum)) return (int)(n / t->config->ode_init.stage.batch);
    }
}

int trajectory_steps(const struct run_config *config, const struct sampler *sampler, int *step) {
    for (int n = 0; n < config->rollout.steps; n++) {
        double best = 2;
        for (int i = 0; i < sampler->config.steps; i++) {
            double distance = fabs(sampler->sigma[i] - config->rollout.sigma[n]);
            if (distance < best) best = distance, step[n] = i;
        }
        if (best > 1e-6)
            return error_set(ERR_USAGE, "ode_init.sampler: no step at rollout.sigma %.6g; the nearest is %.6g",
                             config->rollout.sigma[n], sampler->sigma[step[n]]);
    }
    return OK;
}

/* ---- one file: arrays and numbers by name, written and read by one list ---- */

struct entry {
    const char *name;
    real *device;
    size_t count;
};
enum { ENTRIES = 5, FACTS = 10 };

static void list_entries(const struct condition_batch *c, struct entry entries[ENTRIES]) {
    size_t features = (size_t)c->B * c->T * c->audio_dim, mask = (size_t)c->B * c->T;
    const struct entry list[ENTRIES] = {{"text", c->text_real, (size_t)c->B * c->text_len * c->text_dim},
                                        {"talk_features", c->features[AUDIO_TALK], features},
                                        {"listen_features", c->features[AUDIO_LISTEN], features},
                                        {"talk_mask", c->mask[AUDIO_TALK], mask},
                                        {"listen_mask", c->mask[AUDIO_LISTEN], mask}};
    memcpy(entries, list, sizeof list);
}

/* Lists the settings that a file must have been recorded with. */
static void list_facts(const struct run_config *config, float facts[FACTS]) {
    const struct ode_init_config *o = &config->ode_init;
    const float list[FACTS] = {
        (float)o->stage.batch,      (float)config->frames,          (float)o->sampler.steps, (float)o->sampler.shift,
        (float)o->sampler.guidance, (float)config->rollout.steps,   (float)config->seed,     (float)o->sampler.solver,
        (float)o->sampler.schedule, (float)o->sampler.text_guidance};
    memcpy(facts, list, sizeof list);
}

/* Scale of the guidance by the other party's sound. */
static float listen_of(const struct run_config *c) {
    const struct sampler_config *s = &c->ode_init.sampler;
    return (float)(s->listen_guidance < 0 ? s->guidance : s->listen_guidance);
}

/* Writes "FILE PROMPT" of the prompt that guidance has in place of no text; "" where that is the empty one. */
static void name_negative(const struct run_config *c, char name[RUN_PATH + PROMPT_TEXT]) {
    int used = c->negative.file[0] && c->ode_init.sampler.text_guidance != 1;
    snprintf(name, RUN_PATH + PROMPT_TEXT, "%s%s%s", used ? c->negative.file : "", used ? " " : "",
             used ? c->negative.prompt : "");
}

static int put(struct trajectory_store *t, struct state_writer *w, const struct condition_batch *condition) {
    struct entry entries[ENTRIES];
    float facts[FACTS], sigma[ROLLOUT_STEPS_MAX + 1] = {0}, listen = listen_of(t->config);
    char negative[RUN_PATH + PROMPT_TEXT];
    long shape[2] = {t->levels + 1, (long)t->values}, facts_shape[1] = {FACTS};
    for (int i = 0; i < t->levels; i++) sigma[i] = (float)t->config->rollout.sigma[i];
    list_facts(t->config, facts);
    name_negative(t->config, negative);
    list_entries(condition, entries);
    TRY(state_put_floats(w, "made_with", facts, 1, facts_shape));
    TRY(state_put_floats(w, "listen_guidance", &listen, 1, (const long[]){1}));
    TRY(state_put_text(w, "negative", negative));
    TRY(state_put_floats(w, "sigma", sigma, 1, shape));
    TRY(state_put_floats(w, "states", t->host, 2, shape));
    for (int i = 0; i < ENTRIES; i++) {
        long count[1] = {(long)entries[i].count};
        float *values = malloc(entries[i].count * sizeof *values);
        if (!values) return error_set(ERR_DEVICE, "out of memory for trajectories");
        transfer_from_real(values, entries[i].device, count[0]);
        int code = state_put_floats(w, entries[i].name, values, 1, count);
        free(values);
        TRY(code);
    }
    return OK;
}

int trajectory_store_write(struct trajectory_store *t, long number, const real *states, size_t stride,
                           const struct condition_batch *condition) {
    char path[FILE_PATH_MAX];
    struct state_writer *w;
    for (int i = 0; i <= t->levels; i++)
        transfer_from_real(t->host + (size_t)i * t->values, states + (size_t)i * stride, (long)t->values);
    path_of(t, number, path, sizeof path);
    TRY(state_create(&w, path));
    int code = put(t, w, condition);
    if (code) {
        state_abandon(w);
        return code;
    }
    return state_finish(w);
}

/* Compares the negative prompt. Older recordings hold none. */
static int check_negative(const struct trajectory_store *t, struct state_reader *r) {
    char wanted[RUN_PATH + PROMPT_TEXT], *found = NULL;
    name_negative(t->config, wanted);
    if (state_has(r, "negative")) TRY(state_get_text(r, "negative", &found));
    int same = !strcmp(found ? found : "", wanted);
    int code =
        same ? OK
             : error_set(
                   ERR_INPUT,
                   "recorded with negative prompt \"%s\", the config has \"%s\" (delete the folder to record anew)",
                   found ? found : "", wanted);
    free(found);
    return code;
}

/* Compares the guidance by the other party's sound. Older recordings hold none and had that of all sound. */
static int check_listen(const struct trajectory_store *t, struct state_reader *r) {
    float found = (float)t->config->ode_init.sampler.guidance, wanted = listen_of(t->config);
    if (state_has(r, "listen_guidance")) TRY(state_get_floats(r, "listen_guidance", &found, 1));
    if (found == wanted) return OK;
    return error_set(ERR_INPUT,
                     "recorded with ode_init.sampler.listen_guidance %g, the config has %g (delete the folder to "
                     "record anew)",
                     found, wanted);
}

static int check(const struct trajectory_store *t, struct state_reader *r) {
    static const char *const keys[FACTS] = {"ode_init.batch",
                                            "frames",
                                            "ode_init.sampler.steps",
                                            "ode_init.sampler.shift",
                                            "ode_init.sampler.guidance",
                                            "number of levels in rollout.sigma",
                                            "seed",
                                            "ode_init.sampler.solver",
                                            "ode_init.sampler.schedule",
                                            "ode_init.sampler.text_guidance"};
    float facts[FACTS], wanted[FACTS], sigma[ROLLOUT_STEPS_MAX + 1];
    list_facts(t->config, wanted);
    TRY(state_get_floats(r, "made_with", facts, FACTS));
    for (int i = 0; i < FACTS; i++)
        if (facts[i] != wanted[i])
            return error_set(ERR_INPUT, "recorded with %s %g, the config has %g (delete the folder to record anew)",
                             keys[i], facts[i], wanted[i]);
    TRY(check_listen(t, r));
    TRY(check_negative(t, r));
    TRY(state_get_floats(r, "sigma", sigma, (size_t)t->levels + 1));
    for (int i = 0; i < t->levels; i++)
        if (fabs(sigma[i] - t->config->rollout.sigma[i]) > 1e-6)
            return error_set(ERR_INPUT, "state %d is at level %.6g, rollout.sigma has %.6g", i, sigma[i],
                             t->config->rollout.sigma[i]);
    return OK;
}

static int get(struct trajectory_store *t, struct state_reader *r, real *states, size_t stride,
               struct condition_batch *condition) {
    struct entry entries[ENTRIES];
    TRY(check(t, r));
    TRY(state_get_floats(r, "states", t->host, (size_t)(t->levels + 1) * t->values));
    for (int i = 0; i <= t->levels; i++)
        transfer_to_real(states + (size_t)i * stride, t->host + (size_t)i * t->values, (long)t->values);
    list_entries(condition, entries);
    for (int i = 0; i < ENTRIES; i++) {
        float *values = malloc(entries[i].count * sizeof *values);
        if (!values) return error_set(ERR_DEVICE, "out of memory for trajectories");
        int code = state_get_floats(r, entries[i].name, values, entries[i].count);
        if (!code) transfer_to_real(entries[i].device, values, (long)entries[i].count);
        free(values);
        TRY(code);
    }
    condition_batch_refresh(condition);
    return OK;
}

int trajectory_store_read(struct trajectory_store *t, long number, real *states, size_t stride,
                          struct condition_batch *condition) {
    char path[FILE_PATH_MAX];
    struct state_reader *r;
    path_of(t, number, path, sizeof path);
    TRY(state_open(&r, path));
    int code = get(t, r, states, stride, condition);
    state_close(r);
    return code ? error_context(code, "%s", path) : OK;
}
