/* self_forcing.c: see self_forcing.h. */
#include "train/method/self_forcing.h"

#include <string.h>

#include "base/error.h"
#include "base/philox.h"
#include "kernels/device.h"

const char *const exit_names[] = {"last", "random", NULL};

int self_forcing_layout(struct self_forcing *s, const struct dit *net, const struct rollout_config *config,
                        const struct batch_split *split, int F, int longest, struct arena *arena) {
    const struct causal_config *causal = &config->causal;
    int kept = F + causal->ring;
    if (!longest) longest = F;
    if (longest < F || !causal_chunks(causal, F) || !causal_chunks(causal, longest))
        return error_set(ERR_USAGE, "rollout: %d latent frames, expected 0 or 1 + %d + a multiple of %d, at least %d",
                         longest, causal_own(causal, 1), causal->chunk, F);
    if (longest > F && causal_own(causal, 1) < causal->chunk)
        return error_set(ERR_USAGE, "rollout: longer than a clip only where the first chunk is as long as others, "
                                    "because a clip late in a rollout begins with a whole chunk");
    self_forcing_free(s);
    s->net = net;
    s->F = F;
    s->chunks = causal_chunks(causal, F);
    s->room = (longest - F) / causal->chunk;
    s->size = (long)net->config.in_channels * net->config.height * net->config.width;
    s->clip = s->size * F;
    TRY(rollout_layout(&s->rollout, net, config, split->largest, longest < kept ? longest : kept, arena));
    s->x = ARENA_TAKE(arena, "rolled-out clips", real, (size_t)split->count * s->clip);
    s->exit_input = ARENA_TAKE(arena, "inputs of the exit passes", real, (size_t)split->largest * s->clip);
    return OK;
}

int self_forcing_acts_layout(struct self_forcing *s, enum dit_memory memory, struct arena *arena) {
    return dit_acts_layout(&s->acts, s->net, s->rollout.batch, s->rollout.config.causal.chunk, memory, arena);
}

int self_forcing_spoil_layout(struct self_forcing *s, const char *key, const struct spoil_config *config,
                              struct arena *arena) {
    const struct rollout *r = &s->rollout;
    return history_spoil_layout(&s->spoil, key, config, &s->net->config, &r->config.causal, r->batch, s->chunks, arena);
}

void self_forcing_free(struct self_forcing *s) {
    history_spoil_free(&s->spoil);
    if (s->acts) dit_acts_free(s->acts);
    rollout_free(&s->rollout);
    memset(s, 0, sizeof *s);
}

/* Where chunk i (1 ..) starts in a sample's clip. */
static long chunk_start(const struct self_forcing *s, int chunk) {
    return causal_first(&s->rollout.config.causal, chunk) * s->size;
}

real *self_forcing_clips(const struct self_forcing *s) { return s->x + s->part.first * s->clip; }

/* The sound of chunk i (1 ..) of the rollout: windows of the clip's sound. The chunks before the clip go through them
   again and again, so that the clip's first chunk hears the first window. */
static struct rollout_condition chunk_condition(const struct self_forcing *s, const struct condition_batch *condition,
                                                int chunk) {
    struct rollout_condition c = condition_batch_rollout(condition);
    int away = chunk - 1 - s->before, rounds = away < 0 ? (away + 1) / s->chunks - 1 : 0;
    int place = away - rounds * s->chunks; /* number of the chunk of the clip whose sound this one hears */
    c.window_first = (chunk - 1 - place) * s->rollout.config.causal.chunk;
    return c;
}

/* Spoils the entry of the chunk just made in the cache. All ranks run this pass, whether or not one of their samples is
   spoiled, because they may share weights. */
static int spoil_entry(struct self_forcing *s, const struct params *params, const struct rollout_condition *condition,
                       const struct spoil_address *address) {
    struct rollout_entry entry = rollout_entry(&s->rollout);
    int frames = causal_own(&s->rollout.config.causal, s->rollout.next_chunk - 1);
    int first = rollout_next_frame(&s->rollout) - frames;
    for (int b = 0; b < s->part.count; b++) s->spoil.clean[b] = 1 - entry.sigma;
    history_spoil_apply(&s->spoil, entry.input, entry.z, address, s->part.sample0, s->part.count, first, frames);
    return rollout_replace_entry(&s->rollout, params, condition);
}

/* Number of the chunk whose entry is spoiled; 0: none. */
static int spoiled_chunk(const struct self_forcing *s, const struct spoil_address *address) {
    if (s->spoil.config.probability == 0) return 0;
    return history_spoil_chunk(&s->spoil.config, &s->rollout.config.causal, s->before, address);
}

int self_forcing_rollout(struct self_forcing *s, const struct params *params, const struct part *part,
                         const real *reference, long stride, const struct condition_batch *condition,
                         const struct rollout_noise *noise, int exit, int before) {
    struct rollout_condition c = condition_batch_rollout(condition);
    struct rollout_noise mine = *noise;
    struct spoil_address address = {noise->seed, noise->step, noise->purpose, noise->sample0};
    s->part = *part;
    s->exit = exit;
    s->before = before;
    mine.sample0 += part->sample0;
    real *x = self_forcing_clips(s);
    mem_copy_rows(x, sizeof(real) * (size_t)s->clip, reference, sizeof(real) * (size_t)stride,
                  sizeof(real) * (size_t)s->size, (size_t)part->count);
    rollout_batch(&s->rollout, part->count);
    TRY(rollout_begin(&s->rollout, params, x, s->clip, &c));
    int spoiled = spoiled_chunk(s, &address);
    for (int i = 1; i <= before + s->chunks; i++) {
        /* Chunks before the clip use the place of its first one, which is then written over them. */
        long at = chunk_start(s, i > before ? i - before : 1);
        c = chunk_condition(s, condition, i);
        TRY(rollout_chunk(&s->rollout, params, &c, &mine, exit, x + at, s->clip, s->exit_input + at, s->clip));
        if (i == spoiled) TRY(spoil_entry(s, params, &c, &address));
    }
    return OK;
}

int self_forcing_backward(struct self_forcing *s, const struct params *params, const struct condition_batch *condition,
                          const real *g) {
    struct params pass = *params;
    for (int i = 1; i <= s->chunks; i++) {
        long at = chunk_start(s, i);
        int chunk = s->before + i;
        struct rollout_condition c = chunk_condition(s, condition, chunk);
        pass.last = params->last && i == s->chunks;
        const real *input = s->exit_input + at;
        TRY(rollout_rerun(&s->rollout, &pass, s->acts, &c, chunk, s->exit, input, s->clip, NULL, 0));
        TRY(rollout_rerun_backward(&s->rollout, &pass, s->acts, &c, chunk, s->exit, input, s->clip, g + at, s->clip));
    }
    return OK;
}

int self_forcing_exit(int mode, int passes, uint64_t seed, uint64_t step) {
    struct random_address address = {.seed = seed, .step = step, .purpose = RANDOM_EXIT};
    return mode == EXIT_RANDOM ? (int)random_below(&address, 0, passes) : passes - 1;
}

int self_forcing_before(const struct self_forcing *s, uint64_t seed, uint64_t step, int index) {
    struct random_address address = {
        .seed = seed, .step = step, .purpose = RANDOM_EXIT, .pass = 1, .frame = (uint32_t)index};
    return (int)random_below(&address, 0, s->room + 1);
}
