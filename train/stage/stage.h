/* stage.h: the part that all stage programs share: command line, config, memory plan, data set and loader, run folder,
   resuming, signals, log lines, held-out samples. stage_main does the left column from top to bottom and calls the
   stage's own functions (struct stage_program), on the right, where they stand:

     reads command line and config, meets the other ranks,      network
       starts the device
     plans the memory and prints the plan; --plan ends here     layout and work for the plan; layout again in memory
     opens run folder and data set, reads the newest state      load: all weights, or those that no state holds
     writes config.yaml, opens metrics and loader               warm_up
     makes steps until the last one or a signal                 step; report, one step late; measure; save; show
     saves a state unless the last step has                     save
     waits for the thread that writes it, frees everything      free

   A stage may run as several processes (ranks), which all go through the same calls. The first rank logs to stderr and
   writes metrics and samples; the others log to files of their own; all write their parts of a state. Steps count from
   0; numbers that are shown and saved say how many are done. The folder is RUN/NAME (run_folder.h). */
#ifndef TRAIN_STAGE_STAGE_H
#define TRAIN_STAGE_STAGE_H

#include "train/config/run_config.h"
#include "train/stage/batch_feed.h"
#include "train/stage/run_folder.h"
#include "train/state/state.h"

/* The functions that a stage brings. self is the pointer that stage_main was given. network, work, workspace, warm_up,
   save and measure may be NULL. */
struct stage_program {
    const struct config_section *section; /* its keys; its name is the program's */
    size_t settings;                      /* offset of its struct stage_config in struct run_config */
    int own_clips; /* 1: clips are never divided; every rank has samples of its own, whatever comm.sequence is */
    int (*network)(void *self); /* makes a network that is not the config's DiT, and sets stage.table */
    /* Lays out its memory and registers the arrays and integers that a state holds (train/state/state.h). */
    int (*layout)(void *self, struct arena *state, struct arena *activations);
    void (*work)(const void *self, struct step_work *work); /* counts what a step costs, for the plan */
    size_t (*workspace)(const void *self); /* bytes of scratch its network wants (kernels/workspace.h); NULL: the DiT */
    int (*load)(void *self, int resumed);  /* sets constants; loads all weights, or if resumed those no state holds */
    int (*warm_up)(void *self);            /* makes updates before the first step */
    int (*step)(void *self);               /* takes a batch and queues the work of step number stage.step */
    int (*report)(void *self, long step);  /* gives that step's account and figures to stage_report */
    int (*save)(void *self);               /* writes files of its own before every state */
    int (*show)(void *self);               /* makes samples (stage_show) */
    /* Measures the network on held-out clips (stage_each_held_out), the less the better; NULL: the stage has no such
       measure. Called between two steps. */
    int (*measure)(void *self, double *value);
    void (*free)(void *self); /* frees everything; members that were never laid out are zero */
};
/* Fills in a stage_program from functions of these names; `...`: those that not every stage has. settings_member: the
   stage's member of struct run_config. */
#define STAGE_PROGRAM(key, settings_member, ...)                                                                       \
    {                                                                                                                  \
        .section = &key##_section, .settings = offsetof(struct run_config, settings_member.stage), .layout = layout,   \
        .load = load, .step = one_step, .report = report, .show = show, .free = free_all, __VA_ARGS__                  \
    }
/* True pictures that a stage wants from its loader with each sample (data/picture_sample.h). */
struct stage_pictures {
    int frames;        /* latent frames beside the reference; 0: no pictures are wanted */
    double other;      /* probability that the reference is another window's */
    int height, width; /* pixels */
};
struct stage {
    const struct stage_program *program;
    void *self;
    struct run_config config;
    const struct stage_config *settings; /* the stage's own, inside config */
    char *config_text;
    int plan;  /* 1: --plan was given, and the program ends when the plan is printed */
    int ranks; /* processes of the job, or those that the plan is for (ranks=) */
    struct dit net;
    const struct param_table *table; /* parameters of the stage's network: net's, unless `network` sets others */
    struct comm comm;                /* all ranks of the job */
    int stop;                        /* number of the signal that ends the run, which all ranks agreed on; 0: none */
    int comm_code;                   /* error of the call in which the ranks agreed whether to stop */
    int error_is_remote;             /* 1: another rank failed, and prints the error */
    struct sequence sequence;        /* the ranks that divide the clips' tokens with this one */
    struct sharding shards;          /* how all networks are divided over the ranks */
    struct batch_split split;        /* this rank's samples of the batch */
    struct step_setup setup;         /* sizes and seed that the stage's step is laid out for */
    /* Settings of the loader, which a stage's `load` may change: probabilities that a condition is dropped or that a
       reference comes from another moment of its shot, and whether all samples bring such a reference beside. */
    double drop_text, drop_audio, drop_talk, drop_listen, far_share;
    int far_references;
    struct stage_pictures pictures; /* true pictures, which a stage's `network` may ask for */
    struct arena state_memory, activation_memory, batch_memory, workspace; /* device */
    struct arena staging_memory, offload_memory;                           /* host */
    size_t buffers;  /* bytes of host memory that loader and communication take outside the arenas */
    size_t planned;  /* bytes of all of that */
    size_t resident; /* bytes that the process had just before the arenas were allocated */
    struct run_folder folder;
    struct dataset *set;
    struct codec codec;
    struct loader *loader;
    struct train_state saved; /* networks, arrays and integers that a state holds */
    /* Integers of the state. */
    int64_t step;                  /* steps done */
    int64_t batches;               /* batches taken from the loader */
    int64_t rollbacks;             /* rollbacks of the whole run */
    int64_t data_sum;              /* checksum of the data set (dataset_sum); -1: not known yet */
    int64_t best_step, best_value; /* step with the least measure of held-out clips (-1: none yet); in billionths */
    int64_t best_waited;           /* measures since then */
    /* Faults. */
    int64_t saved_step; /* step of the last state; -1: there is none */
    long updates;       /* updates that this process has accounted for */
    long skips;         /* those of them that were skipped */
    int rolled_back;    /* rollbacks since the last state */
    int skipping;       /* 1: the last update was skipped */
    int fault;          /* 1: too many in a row were, and stage_roll_back is due */
    /* This rank's samples of the batch, on the host and on the device. They are the feed's and last until the next
       batch. */
    const struct loader_batch *batch;
    struct batch_feed feed;
    real *clips; /* [split, F, C, H, W] */
    real *far;   /* [split, C, H, W]: references from other moments of the clips, where far_references is set */
    struct condition_batch condition;
    int64_t measured_step; /* step of the last measure; -1: none yet */
    int best_unmarked;     /* 1: the link to the best state is still to be set, when that is written */
    /* Held-out clips that are shown. */
    int shown;
    struct device_batch held_out;
    struct device_batch development; /* held-out clips on their way through a measure; only with best_every */
    float *shown_pictures; /* host [shown, 4F-3, 3, height, width] in [-1, 1]: true pictures; NULL: there are none */
    float *negative;       /* host [text_len, text_dim]: prompt in place of the empty one; NULL: none */
    /* Times and warnings. */
    double started, waited;            /* when the present step began; seconds that it has waited for clips */
    double step_seconds, wait_seconds; /* means over the last steps of the whole time and of the waiting for clips */
    long timed;                        /* steps that these means are made of */
    int said_waiting;                  /* 1: the warning that the data are slow has been logged */
    double loss_mean, loss_least;      /* running mean of the loss; the least value that it had */
    long losses;                       /* number of losses that loss_mean has taken in */
    int alarmed;                       /* 1: stage_watch has logged its warning */
};

/* Runs the stage from the command line to its end; returns what main returns. */
int stage_main(struct stage *s, const struct stage_program *program, void *self, int argc, char **argv);

/* 1 when the run is to save and leave: SIGINT, SIGTERM or SIGUSR1 came to some rank, or the job has failed (the end
   returns that error). A collective: all ranks call it at the same places and get the same answer. */
int stage_stopped(struct stage *s);
/* Takes the next batch from the loader and queues its upload: s->batch, clips, far and condition. */
int stage_next_batch(struct stage *s);
/* Reports a warm-up after its update number `done` of at most `all`, which is number `updates` of that network, was
   queued: checks the update before it and logs now and then. what: "critic warm-up". ERR_NUMERIC when too many in a row
   were skipped. */
int stage_warmed(struct stage *s, const char *what, struct optimiser *optimiser, long updates, long done, long all);
/* Writes metrics and log line of a step (counted from 0) from its account; `extra` metrics stand beside loss,
   grad_norm, lr and ms. ERR_NUMERIC when too many updates in a row were skipped. */
int stage_report(struct stage *s, long step, const struct optimiser_report *account, const struct metric *extra,
                 int extra_count);

/* Decodes whole clips of latents [clips, F, C, H, W] (device) to host pixels [clips, 4F-3, 3, height, width]. */
int stage_decode(struct stage *s, const real *latents, int clips, float *pixels);
/* Decodes latents [shown, F, C, h, w] of the clips that are shown; the decoder sees their references' true pictures
   where the data set has them. */
int stage_decode_shown(struct stage *s, const real *latents, float *pixels);
/* Writes a contact sheet and a video of generated latents [shown, F, C, H, W] (device) beside the truth. */
int stage_show(struct stage *s, const char *label, const real *latents);
/* Writes them of finished video frames, truth and made [shown, 4F-3, 3, height, width], host in [-1, 1]. */
int stage_show_frames(struct stage *s, const char *label, const float *truth, const float *made);

/* 1: the config asks for measures of held-out clips (best_every). */
int stage_measures(const struct stage *s);
/* Number of batches of held-out clips that a stage is measured by: as many whole ones as there are, one at least. */
int stage_held_out_batches(const struct stage *s);
/* Gives `take` the held-out clips that a stage is measured by, development_clips of them, `shown` at a time: always the
   same ones, in the same order; number: that of the batch. */
int stage_each_held_out(struct stage *s, int (*take)(void *user, const struct device_batch *clips, int number),
                        void *user);

/* Load a network's weights from another stage: from `path`, a value of the config, or from RUN/STAGE when that is
   empty. stage_load_master: into an optimiser's master weights, to train on; stage_load_frozen: to read only. */
int stage_load_master(const struct stage *s, const char *path, const char *stage, const char *network,
                      enum weights_choice source, struct optimiser *optimiser);
int stage_load_frozen(const struct stage *s, const char *path, const char *stage, const char *network,
                      struct frozen_weights *weights);

/* ---- stage.c and faults.c, for each other ---- */

/* Does what s->fault asks for: reads the last state again, which was saved before the updates in question, and goes on
   with batches that were not seen yet. */
int stage_roll_back(struct stage *s);

/* Checks that all ranks have the same data set and that it is the one that the state was trained on (unless
   data_changed=yes). All ranks call it, at the start and after a rollback. ERR_INPUT on all of them; the text has both
   checksums. */
int stage_check_data(struct stage *s);
/* Logs how many updates of this process were skipped; ERR_NUMERIC when most were. */
int stage_count_skips(const struct stage *s);

/* Decides what follows from the skips in a step's account: sets s->fault where the run is to roll back; ERR_NUMERIC
   where it ends. */
int stage_check_skips(struct stage *s, long step, const struct optimiser_report *account);
/* Logs once that a run has gone wrong though every update was finite: generated latents have burst or gone flat
   (metrics named energy_*), or, in stages without those, the mean loss is twice its least. */
void stage_watch(struct stage *s, long step, const struct optimiser_report *account, const struct metric *list,
                 int count);
/* Handles the end of an asynchronous write: returns `code`, or logs it and returns OK where faults.checkpoint is
   go_on. */
int stage_checkpoint_ended(struct stage *s, int code);
/* Opens loader and metrics again, from s->batches and s->step on. */
int stage_restart_data(struct stage *s);

/* ---- best.c, for stage.c ---- */

/* ERR_USAGE: it does, and the stage has none. */
int stage_best_check(const struct stage *s);
/* 1: a measure is due after this step; a number of measures in a row were no better, and the stage is to end. */
int stage_best_due(const struct stage *s);
int stage_early(const struct stage *s);
/* Measures, writes the metric `development`, logs, and decides whether this step is the best one (best_step). All ranks
   call it. */
int stage_judge(struct stage *s);
/* Sets the link to the best state, if that is due and the state is written. */
int stage_mark_best(struct stage *s);

/* ---- job.c, for stage.c ---- */

/* Joins the other processes of the job; starts the device. Only the first rank's lines go to stderr from here on. */
int stage_join(struct stage *s);
/* comm_agree: returns OK only where every rank has code OK. Called after what any rank may fail at while the others
   would wait. */
int stage_agree(struct stage *s, int code);
/* The first rank makes the run folder and holds its lock; the others follow. */
int stage_open_folder(struct stage *s);
/* From here on SIGINT, SIGTERM and SIGUSR1 are only noted, for stage_stopped. */
void stage_catch_signals(void);
/* Ends the other ranks with this rank's error `code` and prints its text, unless another rank's error is the reason and
   that rank prints it. Returns code. */
int stage_leave(struct stage *s, int code);

#endif
