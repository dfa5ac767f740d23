/* hard_gate.c: see hard_gate.h. */
#include "tools/evaluate/hard_gate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/evaluate/trial.h"

enum { DRAWS = 8, POPULATION = 64, FAR = 1000 };
#define DYE 40.0 /* degrees */

struct gate {
    const struct gate_settings *settings;
    int index;                   /* the dialogue's */
    struct trial trial;          /* its puppet is draw 0 */
    struct puppet *draws[DRAWS]; /* draw 0 is the trial's */
    struct puppet_canvas *canvas;
    struct puppet_looks looks[GATE_SOURCES];
    struct codec *codec;
    struct hard_trial hard;
    int strangers;                               /* number of those whose details GATE_STRANGER has shown */
    struct latent_history latents[GATE_SOURCES]; /* empty where is_kept says 0 */
    float *group, *other, *latent;               /* pictures of a latent frame, one more picture, and that latent */
    void (*beat)(void *);
    void *user;
};

/* ---- what is drawn ---- */

static void mean_details(struct puppet_looks *looks, uint64_t seed) {
    struct puppet_colour *const to[2] = {&looks->nails, &looks->iris};
    double sum[2][3] = {{0}};
    for (int i = 0; i < POPULATION; i++) {
        struct puppet_looks of;
        puppet_looks(&of, seed, i);
        puppet_details(&of, seed, i);
        const struct puppet_colour *const from[2] = {&of.nails, &of.iris};
        for (int k = 0; k < 2; k++) sum[k][0] += from[k]->r, sum[k][1] += from[k]->g, sum[k][2] += from[k]->b;
    }
    for (int k = 0; k < 2; k++)
        *to[k] = (struct puppet_colour){sum[k][0] / POPULATION, sum[k][1] / POPULATION, sum[k][2] / POPULATION};
}

/* Gives GATE_STRANGER the details of one more person. */
static void next_stranger(struct gate *g) {
    struct puppet_looks stranger = *puppet_person(g->trial.puppet);
    if (!stranger.detailed) return;
    puppet_details(&stranger, g->settings->seed, g->settings->first + FAR * (g->index + 1) + g->strangers++);
    g->looks[GATE_STRANGER].nails = stranger.nails;
    g->looks[GATE_STRANGER].iris = stranger.iris;
}

static void dress_sources(struct gate *g) {
    const struct puppet_looks *own = puppet_person(g->trial.puppet);
    for (int s = 0; s < GATE_SOURCES; s++) g->looks[s] = *own;
    puppet_dye(&g->looks[GATE_SPOILED], DYE);
    if (own->detailed) mean_details(&g->looks[GATE_POPULATION], g->settings->seed);
    next_stranger(g);
}

/* 1 at the first picture of a return (hard_world.h). */
static int returns_at(const struct gate *g, int f) {
    const int back = HARD_HANDS_BACK | HARD_EYES_BACK;
    return g->hard.moments[f] & ~(f ? g->hard.moments[f - 1] : 0) & back;
}

static struct puppet_pose mean_pose(const struct gate *g, int f) {
    struct puppet_pose mean = {0};
    float *sum = (float *)&mean;
    for (int d = 0; d < DRAWS; d++)
        for (size_t i = 0; i < sizeof mean / sizeof *sum; i++)
            sum[i] += ((const float *)&puppet_truth(g->draws[d])[f])[i] / DRAWS;
    return mean;
}

/* The pose of the oracle, but while nobody speaks head and eyes stand still and the mouth moves. */
static struct puppet_pose restless_pose(const struct gate *g, int f) {
    const float *talk = g->trial.talk, *listen = g->trial.listen;
    const struct puppet_pose *truth = puppet_truth(g->draws[1]);
    struct puppet_pose pose = truth[f];
    int began = f;
    while (began > 0 && !(talk[began] > 0.5f) && !(listen[began] > 0.5f)) began--;
    if (f - began < 4) return pose;
    pose = truth[began];
    memcpy(pose.hand_left, truth[f].hand_left, sizeof pose.hand_left);
    memcpy(pose.hand_right, truth[f].hand_right, sizeof pose.hand_right);
    pose.blink = f - began < VIDEO_RATE ? truth[f].blink : 0;
    pose.mouth = (float)(0.35 + 0.3 * sin(2 * M_PI * 4 * f / VIDEO_RATE));
    return pose;
}

static void draw(struct gate *g, enum gate_source source, int f, float *picture) {
    const struct puppet_pose *of = puppet_truth(g->draws[source == GATE_COPY ? 0 : source == GATE_TWIN ? 2 : 1]);
    struct puppet_pose pose = of[f];
    if (source == GATE_MEAN) pose = mean_pose(g, f);
    if (source == GATE_SPOILED) pose = restless_pose(g, f);
    if (source == GATE_STRANGER && returns_at(g, f)) next_stranger(g);
    puppet_canvas_dress(g->canvas, &g->looks[source]);
    puppet_canvas_draw(g->canvas, &pose, picture);
    if (source != GATE_GHOSTS) return;
    puppet_canvas_draw(g->canvas, &puppet_truth(g->draws[2])[f], g->other);
    size_t size = 3 * (size_t)g->trial.height * (size_t)g->trial.width;
    for (size_t i = 0; i < size; i++) picture[i] = 0.5f * (picture[i] + g->other[i]);
}

/* ---- through the codec ---- */

static int encode(struct gate *g, int count) {
    if (codec_encode(g->codec, g->group, count, g->latent) == 1) return OK;
    return error_set(ERR_DEVICE, "the codec gave no latent frame");
}
static int decode(struct gate *g, int count) {
    if (codec_decode_host(g->codec, g->latent, 1, g->group) == count) return OK;
    return error_set(ERR_DEVICE, "the codec gave no whole group");
}

/* What is measured of each source. */
static const int wanted[GATE_SOURCES] = {[GATE_COPY] = HARD_ALL,
                                         [GATE_ORACLE] = HARD_ALL,
                                         [GATE_POPULATION] = HARD_HANDS_BACK | HARD_EYES_BACK,
                                         [GATE_STRANGER] = HARD_HANDS_BACK | HARD_EYES_BACK,
                                         [GATE_GHOSTS] = HARD_GESTURE,
                                         [GATE_MEAN] = HARD_GESTURE,
                                         [GATE_SPOILED] = HARD_IDLE | HARD_HUE};

/* 1: all latents of a source are kept, to be compared. */
static int is_kept(enum gate_source source) { return source <= GATE_TWIN || source == GATE_MEAN; }

/* 1 where a latent frame's pictures must be made: something is measured there, or the codec remembers. */
static int is_wanted(const struct gate *g, enum gate_source source, int first) {
    int bits = 0;
    for (int i = 0; i < FRAMES_PER_LATENT; i++) bits |= g->hard.moments[first + i];
    if (source == GATE_SPOILED && first % 32 == 1) return 1; /* a sample of its talk is enough */
    return is_kept(source) || (bits & wanted[source]) || !codec_linear(g->codec).size;
}

/* Draws a source, copies it by the codec and follows it. */
static int follow(struct gate *g, enum gate_source source, struct hard_track *track) {
    struct trial *t = &g->trial;
    size_t size = 3 * (size_t)t->height * (size_t)t->width;
    struct person_places places = {0};
    int kept = is_kept(source);
    memcpy(g->group, t->reference, size * sizeof *g->group);
    codec_encode_reset(g->codec);
    codec_decode_begin(g->codec, t->reference);
    TRY(encode(g, 1));
    TRY(decode(g, 1));
    if (kept) TRY(latent_history_open(&g->latents[source], &t->grid, t->frames));
    if (kept) latent_history_add(&g->latents[source], &t->grid, g->latent);
    for (int f = 1; f + FRAMES_PER_LATENT <= t->frames; f += FRAMES_PER_LATENT) {
        if (!is_wanted(g, source, f)) continue;
        for (int i = 0; i < FRAMES_PER_LATENT; i++) draw(g, source, f + i, g->group + (size_t)i * size);
        TRY(encode(g, FRAMES_PER_LATENT));
        if (kept) latent_history_add(&g->latents[source], &t->grid, g->latent);
        if (!wanted[source] && codec_linear(g->codec).size) continue;
        TRY(decode(g, FRAMES_PER_LATENT));
        for (int i = 0; i < FRAMES_PER_LATENT; i++) {
            const float *picture = g->group + (size_t)i * size;
            const struct clip clip = {.frames = picture, .count = 1, .height = t->height, .width = t->width};
            measure_person(&clip, t->reference, &t->marks, &places);
            hard_take(track, f + i, picture, &places);
        }
        if (f % 100 < FRAMES_PER_LATENT) g->beat(g->user);
    }
    return OK;
}

static int run_source(struct gate *g, enum gate_source source, struct gate_result *result) {
    struct hard_track track;
    TRY(hard_track_open(&track, &g->hard));
    int code = follow(g, source, &track);
    if (!code && source == GATE_COPY) code = hard_trial_set_copy(&g->hard, &track);
    if (!code) hard_sums_add(&result->sums[source], &track);
    hard_track_close(&track);
    return code;
}

/* Oracle and twin are two rollouts of a perfect sampler; those of a regression are one. */
static void add_spreads(struct gate *g, struct gate_result *result) {
    double between[REGIONS] = {0}, truth[REGIONS] = {0};
    latent_spread_add(between, &g->trial.grid, &g->latents[GATE_ORACLE], &g->latents[GATE_TWIN]);
    latent_spread_add(truth, &g->trial.grid, &g->latents[GATE_ORACLE], &g->latents[GATE_COPY]);
    result->sums[GATE_ORACLE].spread = between[REGION_WHOLE];
    for (int s = 0; s < GATE_SOURCES; s++) result->sums[s].truth_spread = truth[REGION_WHOLE];
    for (int r = 0; r < REGIONS; r++) result->undecided[r] = truth[r];
    latent_energy_add(result->motion, &g->trial.grid, &g->latents[GATE_COPY]);
}

/* Adds the Frechet distances from the copy of two other draws of the truth, and of the mean of several. */
static int add_distances(struct gate *g, struct gate_result *result) {
    struct latent_moments copy = {NULL, NULL}, own = {NULL, NULL};
    int code = latent_moments_open(&copy, &g->trial.grid, &g->latents[GATE_COPY], 0);
    for (int s = GATE_ORACLE; s <= GATE_MEAN && !code; s++) {
        if (!is_kept((enum gate_source)s)) continue;
        code = latent_moments_open(&own, &g->trial.grid, &g->latents[s], 0);
        if (!code)
            code = latent_sums_add(&result->latents[s == GATE_TWIN ? GATE_ORACLE : s], &g->trial.grid, &own, &copy);
        latent_moments_close(&own);
    }
    latent_moments_close(&copy);
    return code;
}

static int open_gate(struct gate *g, int index) {
    const struct gate_settings *s = g->settings;
    const struct picture_view plain = {0};
    int height = g->codec->height, width = g->codec->width;
    TRY(trial_open_world(&g->trial, s->world, s->seed, s->first, index, s->seconds, height, width));
    latent_grid(&g->trial.grid, g->codec, &g->trial.marks);
    g->draws[0] = g->trial.puppet;
    for (int d = 1; d < DRAWS; d++) TRY(puppet_open_draw(&g->draws[d], g->trial.puppet, d));
    TRY(hard_trial_open(&g->hard, g->trial.puppet, g->trial.reference, &g->trial.marks, height, width));
    dress_sources(g);
    size_t size = 3 * (size_t)height * (size_t)width;
    g->group = malloc(FRAMES_PER_LATENT * size * sizeof *g->group);
    g->other = malloc(size * sizeof *g->other);
    g->latent = malloc((size_t)g->codec->channels * (size_t)g->codec->h * (size_t)g->codec->w * sizeof *g->latent);
    if (!g->group || !g->other || !g->latent) return error_set(ERR_DEVICE, "out of memory for a dialogue's pictures");
    return puppet_canvas_open(&g->canvas, height, width, puppet_person(g->trial.puppet), &plain);
}

static void close_gate(struct gate *g) {
    for (int d = 1; d < DRAWS; d++) puppet_close(g->draws[d]);
    for (int s = 0; s < GATE_SOURCES; s++) latent_history_close(&g->latents[s]);
    hard_trial_close(&g->hard);
    trial_close(&g->trial);
    puppet_canvas_close(g->canvas);
    free(g->group);
    free(g->other);
    free(g->latent);
}

int gate_dialogue(const struct gate_settings *settings, int index, struct codec *codec, struct gate_result *result,
                  void (*beat)(void *), void *user) {
    struct gate gate = {.settings = settings, .index = index, .codec = codec, .beat = beat, .user = user};
    memset(result, 0, sizeof *result);
    int code = open_gate(&gate, index);
    for (int s = 0; s < GATE_SOURCES && !code; s++) code = run_source(&gate, (enum gate_source)s, result);
    if (!code) add_spreads(&gate, result);
    if (!code) code = add_distances(&gate, result);
    close_gate(&gate);
    return code;
}
