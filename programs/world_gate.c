/* world_gate.c: judges the world of a puppet's data set before anything is trained on it: world_gate DATA.h5
   [key=value ...]. It draws held-out dialogues, passes them through the set's codec and prints
     1. how much of the motion the voices leave open: half must be;
     2. for each measure of the hard world what it says of an oracle (other draws of the truth) and of a control that is
        wrong in one known way, and how many standard errors, by a bootstrap over dialogues, lie between.
   Exit code 4: less than half of the motion is open, or a measure is not able to tell its control from the oracle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "data/dataset.h"
#include "kernels/device.h"
#include "tools/evaluate/bootstrap.h"
#include "tools/evaluate/data_world.h"
#include "tools/evaluate/hard_gate.h"
#include "tools/evaluate/trial.h"
#include "tools/worker_pool.h"

struct settings {
    int dialogues, threads;
    double seconds, open, separation;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    INT("dialogues", dialogues, 2, 1000, "20",
        "Number of held-out dialogues, each of another person. With the 14 that configs/hard.yaml evaluates, the "
        "distance of hands lies 4.8 standard errors apart, and all others more than 5."),
    REAL("seconds", seconds, 10, 3600, "64",
         "Length of a dialogue, seconds; measures that need a longer one are left out: above 60 there are all."),
    REAL("open", open, 0, 1, "0.5", "Least share of the motion's variance that the voices must leave open."),
    REAL("separation", separation, 0, 1e3, "5",
         "Least distance of each control from the oracle, in standard errors over dialogues."),
    THREADS_FIELD,
};
static const struct command command = {
    .name = "world_gate",
    .does = "Judges the world of a puppet's data set before training: what is open, and what its measures can tell.",
    .words = "DATA.h5",
    .min_words = 1,
    .max_words = 1,
    .keys = keys,
    .key_count = FIELDS(keys)};

/* Which control each measure must tell from the oracle. */
static const struct contest {
    enum hard_figure_number figure;
    enum gate_source control;
    const char *is;
    double seconds; /* a dialogue must be longer */
} contests[] = {{HARD_NAILS, GATE_POPULATION, "mean colours of all persons", 0},
                {HARD_NAILS, GATE_STRANGER, "another person's each time", 0},
                {HARD_IRIS, GATE_POPULATION, "mean colours of all persons", 0},
                {HARD_IRIS, GATE_STRANGER, "another person's each time", 0},
                {HARD_GHOSTS, GATE_GHOSTS, "two draws, half and half", 0},
                {HARD_LIFTS, GATE_MEAN, "mean of eight draws", 0},
                {HARD_SPREAD, GATE_MEAN, "the same from every seed", 0},
                {HARD_HUE_5, GATE_SPOILED, "hues turned by 40 degrees", 5},
                {HARD_HUE_20, GATE_SPOILED, "hues turned by 40 degrees", 20},
                {HARD_HUE_60, GATE_SPOILED, "hues turned by 40 degrees", 60},
                {HARD_IDLE_MOUTH, GATE_SPOILED, "a mouth that moves", 0},
                {HARD_IDLE_BLINKS, GATE_SPOILED, "no blinks", 0},
                {HARD_IDLE_SWAY, GATE_SPOILED, "a head that stands still", 0}};
enum { CONTESTS = sizeof contests / sizeof *contests };

/* The Frechet distances from the copy: other draws of the truth, two a dialogue as evaluate streams it, must be nearer
   than the mean of several. Their own distance is what a perfect sampler would have. */
static const struct distance_contest {
    const char *what;
    enum latent_kind kind;
    enum region region;
} distances[] = {{"Frechet distance: whole", LATENT_APPEARANCE, REGION_WHOLE},
                 {"Frechet distance: mouth", LATENT_APPEARANCE, REGION_MOUTH},
                 {"Frechet distance: hands", LATENT_APPEARANCE, REGION_HANDS},
                 {"Frechet distance of motion: whole", LATENT_MOTION, REGION_WHOLE}};
enum { DISTANCES = sizeof distances / sizeof *distances };
enum { TRUTH, ORACLE, CONTROL, APART, KINDS };

struct judgement {
    const char *data;
    struct settings settings;
    struct gate_settings gate;
    struct dataset *set;
    struct codec codec;
    int opened;                  /* 1: this worker has its codec */
    struct gate_result *results; /* [dialogues], shared by the workers */
};

static void beat(void *job) { worker_pool_beat(job); }

static int work(void *user, int index, struct job *job, int *rejected) {
    struct judgement *j = user;
    *rejected = 0;
    if (!j->opened) {
        TRY(device_init(1));
        TRY(dataset_open(&j->set, j->data));
        TRY(dataset_codec(j->set, &j->codec));
        j->opened = 1;
    }
    return gate_dialogue(&j->gate, index, &j->codec, &j->results[index], beat, job);
}

static int run_dialogues(struct judgement *j) {
    const double patience = 1200;
    struct worker_pool pool;
    int count = j->settings.dialogues,
        workers = j->settings.threads ? j->settings.threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    TRY(worker_pool_open(&pool, count));
    int code = worker_pool_run(&pool, workers, "dialogues", patience, work, j);
    for (int i = 0; i < count && !code; i++)
        if (atomic_load(&pool.jobs[i].state) != JOB_DONE)
            code = error_set(ERR_DEVICE, "dialogue %d: %s", i, pool.jobs[i].text);
    worker_pool_close(&pool);
    return code;
}

/* The shares of every region; then of every contest, and of every distance, the truth, oracle and control, and how far
   these two are apart. */
enum { FIGURES = REGIONS + KINDS * (CONTESTS + DISTANCES) };

/* Mean distance of a source's dialogues from their copies. */
static double distance(const struct gate_result *all, enum gate_source source, const struct distance_contest *of) {
    const struct latent_sums *sums = &all->latents[source];
    return sums->frechet[of->kind][of->region] / sums->dialogues;
}

static void compute_distances(const struct gate_result *all, double *out) {
    for (int d = 0; d < DISTANCES; d++) {
        double *own = out + KINDS * d;
        own[TRUTH] = 0;
        own[ORACLE] = distance(all, GATE_ORACLE, &distances[d]);
        own[CONTROL] = distance(all, GATE_MEAN, &distances[d]);
        own[APART] = own[CONTROL] - own[ORACLE];
    }
}

static void compute(void *user, const int *drawn, int count, double *out) {
    const struct judgement *j = user;
    struct gate_result all = {0};
    for (int i = 0; i < count; i++) {
        const struct gate_result *of = &j->results[drawn[i]];
        for (int s = 0; s < GATE_SOURCES; s++) {
            hard_sums_merge(&all.sums[s], &of->sums[s]);
            latent_sums_merge(&all.latents[s], &of->latents[s]);
        }
        for (int r = 0; r < REGIONS; r++) all.undecided[r] += of->undecided[r], all.motion[r] += of->motion[r];
    }
    for (int r = 0; r < REGIONS; r++) out[r] = all.undecided[r] / all.motion[r];
    for (int c = 0; c < CONTESTS; c++) {
        const struct hard_figure *figure = &hard_figures[contests[c].figure];
        double *own = out + REGIONS + KINDS * c;
        own[TRUTH] = figure->of(&all.sums[GATE_COPY], &all.sums[GATE_COPY], figure->which);
        own[ORACLE] = figure->of(&all.sums[GATE_ORACLE], &all.sums[GATE_COPY], figure->which);
        own[CONTROL] = figure->of(&all.sums[contests[c].control], &all.sums[GATE_COPY], figure->which);
        own[APART] = fabs(own[CONTROL] - own[ORACLE]);
    }
    compute_distances(&all, out + REGIONS + KINDS * CONTESTS);
}

/* A difference in standard errors; the 95 % interval is 3.92 of them wide where it is a normal distribution's. */
static double separation(const struct bootstrap_interval *apart) {
    double error = (apart->high - apart->low) / 3.92;
    if (!isfinite(apart->value) || !(apart->value > 0)) return 0;
    return error > 0 ? apart->value / error : INFINITY;
}

/* Prints the line of a contest; returns 1 if it fails. */
static int judge_contest(const struct judgement *j, const struct bootstrap_interval *own, const char *what,
                         const char *control) {
    double apart = separation(&own[APART]);
    int fails = !(apart >= j->settings.separation);
    printf("%-44s %-28s %8.3f %8.3f %8.3f %7.1f%s\n", what, control, own[TRUTH].value, own[ORACLE].value,
           own[CONTROL].value, apart, fails ? "  FAILS" : "");
    return fails;
}

/* Prints the table; returns the number of what fails. */
static int judge(const struct judgement *j, const struct bootstrap_interval *figures) {
    int failures = !(figures[REGION_WHOLE].value >= j->settings.open);
    printf("\nworld %s, %d dialogues of %g s\n\nmotion that the voices leave open, share of its variance:",
           puppet_worlds[j->gate.world], j->settings.dialogues, j->settings.seconds);
    for (int r = 0; r < REGIONS; r++)
        printf("%s %s %.2f (%.2f to %.2f)", r ? "," : "", region_names[r], figures[r].value, figures[r].low,
               figures[r].high);
    printf("\nthe whole must have %.2f: %s\n\n%-44s %-28s %8s %8s %8s %7s\n", j->settings.open,
           failures ? "FAILS" : "good", "measure, through the codec", "control", "truth", "oracle", "control", "apart");
    for (int c = 0; c < CONTESTS; c++) {
        if (j->settings.seconds <= contests[c].seconds) continue;
        failures +=
            judge_contest(j, figures + REGIONS + KINDS * c, hard_figures[contests[c].figure].what, contests[c].is);
    }
    for (int d = 0; d < DISTANCES; d++)
        failures +=
            judge_contest(j, figures + REGIONS + KINDS * (CONTESTS + d), distances[d].what, "mean of eight draws");
    printf("apart: standard errors over dialogues between oracle and control; %g are needed\n", j->settings.separation);
    return failures;
}

static int run(struct judgement *j) {
    struct bootstrap_interval figures[FIGURES];
    size_t bytes = (size_t)j->settings.dialogues * sizeof *j->results;
    TRY(data_world(j->data, &j->gate.world, &j->gate.seed));
    j->gate.first = TRIAL_DEVELOPMENT;
    j->gate.seconds = j->settings.seconds;
    j->results = worker_memory(bytes);
    if (!j->results) return error_set(ERR_DEVICE, "out of memory for the results");
    int code = run_dialogues(j);
    if (!code) code = bootstrap(j->gate.seed, j->settings.dialogues, compute, j, figures, FIGURES);
    int failures = code ? 0 : judge(j, figures);
    worker_memory_free(j->results, bytes);
    if (failures)
        return error_set(ERR_NUMERIC, "%s: the world fails in %d of %d points", j->data, failures,
                         CONTESTS + DISTANCES + 1);
    return code;
}

int main(int argc, char **argv) {
    static struct judgement j; /* the workers are forked: nothing may use the device before */
    struct args args;
    int code = args_parse(&args, &command, &j.settings, argc, argv);
    if (code || args.done) return args_exit("world_gate", code);
    j.data = args.words[0];
    return args_exit("world_gate", run(&j));
}
