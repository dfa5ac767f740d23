/* stage.h: what all stage programs share: command line, config, memory plan, data set and loader, run folder, resuming,
   signals, log line, held-out samples. stage_main keeps the order, and calls what the stage brings (struct
   stage_program) in its place:

     command line, config, device, the ranks' meeting           network
     the memory's plan; with --plan the end                     layout, work; then layout again, in memory
     run folder, data set, the newest state                     load: fresh, or what a resumed stage reads anew
     config.yaml, metrics, loader                               warm_up
     steps until the last, or a signal:                         step; report, one step late; save; show
     what is not saved                                          save
     the writing thread's end, everything freed                 free

   A stage may be several processes (ranks): all go through the same calls. The first one logs to stderr, writes
   metrics, samples and states; the others log to files of their own. Steps count from 0; the number shown and saved is
   how many are done. Folder: RUN/NAME (run_folder.h). */
#ifndef TRAIN_STAGE_STAGE_H
#define TRAIN_STAGE_STAGE_H

#include "train/config/run_config.h"
#include "train/stage/batch_feed.h"
#include "train/stage/run_folder.h"
#include "train/state/state.h"

/* What a stage does; self: what stage_main was given. NULL where it has nothing to do: network, work, warm_up, save. */
struct stage_program {
    const struct config_section *section; /* its name is the program's */
    size_t settings;                      /* offset of its struct stage_config in struct run_config */
    int own_clips; /* its network's clips are not divided: every rank has samples of its own, whatever comm.sequence */
    int (*network)(void *self); /* makes a network that is not the config's DiT, and sets stage.table */
    int (*layout)(void *self, struct arena *state, struct arena *activations); /* and registers what is saved */
    void (*work)(const void *self, struct step_work *work);                    /* what a step costs, for the plan */
    size_t (*workspace)(
        const void *self); /* bytes that its network wants (kernels/workspace.h); NULL: the config's DiT */
    int (*load)(void *self, int resumed); /* constants, and weights: when it has resumed those that no state holds */
    int (*warm_up)(void *self);           /* before the first step */
    int (*step)(void *self);              /* takes a batch and queues the work of step stage.step */
    int (*report)(void *self, long step); /* that step's account and figures to stage_report */
    int (*save)(void *self);              /* what is written before every state, beside it */
    int (*show)(void *self);              /* samples */
    void (*free)(void *self);             /* also of what was never laid out */
};
/* With the functions that every stage has, by these names; `...`: its others. settings: its member of struct
   run_config. */
#define STAGE_PROGRAM(key, settings_member, ...)                                                                       \
    {                                                                                                                  \
        .section = &key##_section, .settings = offsetof(struct run_config, settings_member.stage), .layout = layout,   \
        .load = load, .step = one_step, .report = report, .show = show, .free = free_all, __VA_ARGS__                  \
    }
/* Samples with true pictures that a stage wants of its loader (data/picture_sample.h). */
struct stage_pictures {
    int frames;        /* latent frames after the reference; 0: none is wanted */
    double other;      /* probability that the reference is another window's */
    int height, width; /* pixels */
};
struct stage {
    const struct stage_program *program;
    void *self;
    struct run_config config;
    const struct stage_config *settings; /* in config */
    char *config_text;
    int plan;  /* --plan: stop when the plan is printed */
    int ranks; /* of the job, or of the plan (ranks=) */
    struct dit net;
    const struct param_table *table; /* of the stage's network: net's, unless the program says another */
    struct comm comm;                /* of all ranks */
    int stop;                        /* the signal that ends the run, agreed; 0: none */
    int comm_code;                   /* of the agreement */
    int error_is_remote;             /* the error was another rank's, which prints it */
    struct sequence sequence;        /* of those that divide the clips' tokens between them */
    struct sharding shards;          /* of all networks */
    struct batch_split split;        /* this rank's samples */
    struct step_setup setup;         /* for the layout of the stage's step */
    double drop_text, drop_audio, drop_talk, drop_listen; /* of the loader: 0, or set by load, */
    double far_share;                                     /* as these */
    int far_references;
    struct stage_pictures pictures;                                        /* of the loader: none, or set by network */
    struct arena state_memory, activation_memory, batch_memory, workspace; /* device */
    struct arena staging_memory, offload_memory;                           /* host */
    size_t buffers;           /* bytes on the host that loader and communication take by themselves */
    size_t planned, resident; /* of all of that; of the process just before the arenas were allocated */
    struct run_folder folder;
    struct dataset *set;
    struct codec codec;
    struct loader *loader;
    struct train_state saved; /* what the stage saves; the plan puts the step and its like there */
    int64_t step;             /* steps done */
    int64_t batches;          /* batches taken from the loader */
    int64_t saved_step;       /* -1: none */
    int64_t rollbacks;        /* of the whole run: saved */
    int64_t data_sum;         /* of the data set (dataset_sum): saved; -1: not known yet */
    long updates, skips;      /* of this process: updates that were accounted for, those of them that were skipped */
    int rolled_back;          /* since the last state */
    int skipping, fault;      /* the last update was skipped; too many were: stage_roll_back is due */
    /* the share of the batch, on the host and on the device: of the feed, until the next one */
    const struct loader_batch *batch;
    struct batch_feed feed;
    real *clips; /* [split, F, C, H, W] */
    real *far;   /* [split, C, H, W]: references from elsewhere in the clips, where they are asked for */
    struct condition_batch condition;
    /* held-out clips that are shown */
    int shown;
    struct device_batch held_out;
    float *shown_pictures;  /* host [shown, 4F-3, 3, height, width] in [-1, 1]: their true pictures, where the
                                          data set has them; else NULL */
    float *negative;        /* host [text_len, text_dim]: in place of the empty prompt; NULL: none */
    double started, waited; /* when the step under way began; seconds that it has waited for clips */
    double step_seconds, wait_seconds; /* means of the last steps: whole, and waiting for clips */
    long timed;                        /* steps that these means are made of */
    int said_waiting;                  /* the warning that the data are slow has been logged */
    double loss_mean, loss_least;      /* of the last steps; the least that it was */
    long losses;                       /* that loss_mean has taken in */
    int alarmed;                       /* stage_watch has logged its warning */
};

/* Runs the stage from the command line to its end; returns what main returns. */
int stage_main(struct stage *s, const struct stage_program *program, void *self, int argc, char **argv);

/* SIGINT, SIGTERM or SIGUSR1 came to some rank, or the job has failed (which the end returns): save and leave. All
   ranks ask at the same places and hear the same. */
int stage_stopped(struct stage *s);
int stage_next_batch(struct stage *s);
/* After update number `done` of at most `all` before the first step, which is update number `updates` of the network:
   reports those before the last. ERR_NUMERIC when too many in a row were skipped. */
int stage_warmed(struct stage *s, const char *what, struct optimiser *optimiser, long updates, long done, long all);
/* Metrics and log line of a step (counted from 0) from its account; `extra` metrics beside loss, grad_norm, lr, ms.
   ERR_NUMERIC when too many updates in a row were skipped. */
int stage_report(struct stage *s, long step, const struct optimiser_report *account, const struct metric *extra,
                 int extra_count);

/* Whole clips of latents [clips, F, C, H, W] (device) through the codec's decoder: host pixels
   [clips, 4F-3, 3, height, width]. */
int stage_decode(struct stage *s, const real *latents, int clips, float *pixels);
/* The same of latents [shown, F, C, h, w] for the clips that are shown, whose references' true pictures the decoder
   sees where the data set has them. */
int stage_decode_shown(struct stage *s, const real *latents, float *pixels);
/* Contact sheet and video of generated latents [shown, F, C, H, W] (device) beside the truth. */
int stage_show(struct stage *s, const char *label, const real *latents);
/* The same of finished video frames, truth and made [shown, 4F-3, 3, height, width], host in [-1, 1]. */
int stage_show_frames(struct stage *s, const char *label, const float *truth, const float *made);

/* A network's weights from another stage: from `path` of the config, or RUN/STAGE when it is empty. Master weights to
   start from; weights to read only. */
int stage_load_master(const struct stage *s, const char *path, const char *stage, const char *network,
                      enum weights_choice source, struct optimiser *optimiser);
int stage_load_frozen(const struct stage *s, const char *path, const char *stage, const char *network,
                      struct frozen_weights *weights);

/* ---- stage.c and faults.c, for each other ---- */

/* s->fault: back to the last state, which was saved before the updates in question; on with batches that were not seen
   yet. */
int stage_roll_back(struct stage *s);

/* At the start and after a rollback, by all ranks together: they have one data set, and it is the one that the state
   was trained on, unless data_changed=yes. ERR_INPUT, on all of them, names both sums. */
int stage_check_data(struct stage *s);
/* Says how many updates of this process were skipped; ERR_NUMERIC when most were. */
int stage_count_skips(const struct stage *s);

/* What is to be done about the account's skips. ERR_NUMERIC where the run ends; s->fault where it goes back. */
int stage_check_skips(struct stage *s, long step, const struct optimiser_report *account);
/* Logs once that a run has gone wrong though every update was finite: generated latents that burst or go flat (figures
   named energy_*), or, in stages without, a mean loss of twice its least. */
void stage_watch(struct stage *s, long step, const struct optimiser_report *account, const struct metric *list,
                 int count);
/* An asynchronous write ended with `code`; the loader and the metrics from s->batches and s->step on. */
int stage_checkpoint_ended(struct stage *s, int code);
int stage_restart_data(struct stage *s);

/* ---- job.c, for stage.c ---- */

/* Joins the other processes of the job; starts the device. Only the first rank's lines go to stderr from here on. */
int stage_join(struct stage *s);
/* comm_agree, for what any rank may fail at while the others wait. */
int stage_agree(struct stage *s, int code);
/* The first rank makes the run folder and holds its lock; the others follow. */
int stage_open_folder(struct stage *s);
void stage_catch_signals(void);
/* Tells the others of the error and prints it, unless it was another's. Returns code. */
int stage_leave(struct stage *s, int code);

#endif
