/* stage.h: what all stage programs share: command line, config, memory plan, data set and loader, run folder, resuming,
   signals, log line, held-out samples. A stage's own file keeps the order of things in its hands:

     stage_open -> stage_memory -> stage_begin -> fresh start, unless it resumed -> stage_ready ->
     stage_train: { its step, with stage_next_batch; its report; what is due of stage_save and samples }
     -> stage_finish -> stage_settle -> stage_close

   A stage may be several processes (ranks): all go through the same calls. The first one logs to stderr, writes metrics,
   samples and states; the others log to files of their own.
   Steps count from 0; the number shown and saved is how many are done. Folder: RUN/NAME (run_folder.h). */
#ifndef TRAIN_STAGE_STAGE_H
#define TRAIN_STAGE_STAGE_H

#include "train/stage/batch_feed.h"
#include "train/stage/run_folder.h"
#include "train/optimiser/share.h"
#include "train/method/step_work.h"
#include "train/state/state.h"

struct stage_options {
    const char *name; /* "teacher" */
    const char *does; /* one sentence, for its help */
    size_t settings;  /* offset of its struct stage_config in struct run_config */
    void (*work)(const void *program, struct step_work *work); /* what a step costs, for the plan */
    int own_clips; /* its network's clips are not divided: every rank has samples of its own, whatever comm.sequence */
    double drop_text, drop_audio; /* set after the config is read, before stage_begin */
};
struct stage {
    struct stage_options options;
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
    int told;                        /* the error was another rank's, which prints it */
    struct sequence sequence;        /* of those that divide the clips' tokens between them */
    struct sharding shards;          /* of all networks */
    struct share share;              /* this rank's samples */
    struct arena state_memory, activation_memory, batch_memory, workspace; /* device */
    struct arena staging_memory, offload_memory;                           /* host */
    size_t buffers;           /* bytes on the host that loader and communication take by themselves */
    size_t planned, resident; /* of all of that; of the process just before the arenas were allocated */
    struct run_folder folder;
    struct dataset *set;
    struct codec codec;
    struct loader *loader;
    struct train_state saved; /* what the stage saves; stage_open puts step and batches there */
    int64_t step;             /* steps done */
    int64_t batches;          /* batches taken from the loader */
    int64_t saved_step;       /* -1: none */
    int64_t rollbacks;        /* of the whole run: saved */
    int rolled_back;          /* since the last state */
    int skipping, fault;      /* the last update was skipped; too many were: stage_roll_back is due */
    /* the share of the batch, on the host and on the device: of the feed, until the next one */
    const struct loader_batch *batch;
    struct batch_feed feed;
    real *clips; /* [share, F, C, H, W] */
    struct condition_batch condition;
    /* held-out clips that are shown */
    int shown;
    struct device_batch held_out;
    float *negative;              /* host [text_len, text_dim]: in place of the empty prompt; NULL: none */
    double started, step_seconds; /* of the step under way; mean seconds of the last steps */
    long timed;                   /* steps that step_seconds is made of */
};

/* Reads the command line and the config; starts the device; builds the network's table. *go_on 0: help or version was
   printed. */
int stage_open(struct stage *s, const struct stage_options *options, int argc, char **argv, int *go_on);
/* Plans, prints the plan, allocates (unless --plan): layout is called once for the plan and once for the memory; it lays
   out and tells s->saved what the stage saves. */
int stage_memory(struct stage *s, int (*layout)(void *program, struct arena *state, struct arena *activations),
                 void *program);
/* Opens folder, data set, held-out samples; resumes from the newest state when there is one (*resumed). */
int stage_begin(struct stage *s, int *resumed);
/* After the fresh start or the resume: config, metrics, loader. */
int stage_ready(struct stage *s);
/* Before anything is freed, also after an error: a checkpoint under way is written to its end. */
void stage_settle(struct stage *s);
/* Frees everything. code: what the run ended with; an error is told to the other ranks and printed. Returns what main
   returns: `code`, or exit_code where it is OK. */
int stage_close(struct stage *s, int code, int exit_code);

/* SIGINT, SIGTERM or SIGUSR1 came to some rank, or the job has failed (stage_finish returns that): save and leave. All
   ranks ask at the same places and hear the same. */
int stage_stopped(struct stage *s);
int stage_next_batch(struct stage *s);
/* What a program does in its steps. */
struct stage_steps {
    void *program;
    int (*step)(void *program);              /* takes a batch and queues the work of step s->step */
    int (*report)(void *program, long step); /* that step's account and figures to stage_report */
    int (*keep)(void *program);              /* saves and shows what is due (stage_save_due, stage_sample_due) */
};
/* All steps that are left, until a signal comes. */
int stage_train(struct stage *s, const struct stage_steps *steps);
/* Metrics and log line of a step (counted from 0) from its account; `extra` metrics beside loss, grad_norm, lr, ms.
   ERR_NUMERIC when too many updates in a row were skipped. */
int stage_report(struct stage *s, long step, const struct optimiser_report *account, const struct metric *extra,
                 int extra_count);
int stage_sample_due(const struct stage *s);
int stage_save_due(const struct stage *s);
int stage_save(struct stage *s);
/* Saves what is not saved. *exit_code: 0, or 128 + the signal that ended the run early. */
int stage_finish(struct stage *s, int *exit_code);

/* Whole clips of latents [clips, F, C, H, W] (device) through the codec's decoder: host pixels
   [clips, 4F-3, 3, height, width]. */
int stage_decode(struct stage *s, const real *latents, int clips, float *pixels);
/* Contact sheet and video of generated latents [shown, F, C, H, W] (device) beside the truth. */
int stage_show(struct stage *s, const char *label, const real *latents);
/* The same of finished video frames, truth and made [shown, 4F-3, 3, height, width], host in [-1, 1]. */
int stage_show_frames(struct stage *s, const char *label, const float *truth, const float *made);

/* `path` of the config, or RUN/stage when it is empty. */
int stage_source(const struct stage *s, const char *path, const char *stage, char *out, size_t size);

/* ---- for stage_train.c ---- */

/* More steps to do, and no signal came. */
int stage_goes_on(struct stage *s);
/* The steps begin: what came before does not count as their time. */
void stage_start_clock(struct stage *s);
/* The step is queued: counts it and its time. */
void stage_count(struct stage *s);
/* s->fault: back to the last state, which was saved before the updates in question; on with batches that were not seen
   yet. */
int stage_roll_back(struct stage *s);

/* ---- stage.c and stage_faults.c, for each other ---- */

/* What is to be done about the account's skips. ERR_NUMERIC where the run ends; s->fault where it goes back. */
int stage_check_skips(struct stage *s, long step, const struct optimiser_report *account);
/* An asynchronous write ended with `code`; the loader and the metrics from s->batches and s->step on. */
int stage_checkpoint_ended(struct stage *s, int code);
int stage_restart_data(struct stage *s);

/* ---- stage_job.c, for stage.c ---- */

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
