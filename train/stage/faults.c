/* faults.c: what a stage does about updates that were skipped, data sets that were exchanged and checkpoints that could
   not be written (stage.h). The accounts of the updates are the same on all ranks, so these decisions are too. */
#include "base/error.h"
#include "base/log.h"
#include "train/method/band_energy.h"
#include "train/stage/stage.h"

#include <string.h>

static void log_skip(const struct stage *s, long step, const struct optimiser_report *account) {
    if (account->spiked)
        log_line("step %ld: gradient norm %.3g is more than %g times the mean %.3g: update skipped", step + 1,
                 account->norm, s->config.faults.spike, account->typical);
    else
        log_line("step %ld: loss or gradient is not finite: update skipped", step + 1);
}

int stage_check_skips(struct stage *s, long step, const struct optimiser_report *account) {
    const struct fault_config *c = &s->config.faults;
    s->updates++;
    s->skips += account->skipped != 0;
    if (account->skipped) log_skip(s, step, account);
    s->skipping = account->skipped_in_row > 0;
    if (account->skipped_in_row < c->max_skipped_in_row || s->fault) return OK;
    int can_return = c->on_fault == FAULT_ROLL_BACK && s->saved_step >= 0 && s->rolled_back < c->rollbacks;
    if (!can_return)
        return error_set(ERR_NUMERIC,
                         "step %ld: loss or gradient was not finite, or a spike, %ld times in a row%s: lower the "
                         "learning rate and start again from an earlier state (docs/troubleshooting.md)",
                         step + 1, account->skipped_in_row, s->rolled_back ? ", again after going back" : "");
    s->fault = 1;
    return OK;
}

/* ---- alarms: one line when a run has gone wrong though every update was finite ---- */

/* Bounds of the energy of generated latents over that of real ones; beyond them they are no pictures any more: a band
   has burst, or all are flat. */
static const double energy_burst = 5, energy_flat = 0.05;
static const double loss_risen = 2; /* bound of the mean loss over the least mean so far */

static int is_energy(const char *name) {
    for (int i = 0; i < ENERGY_BANDS; i++)
        if (!strcmp(name, band_energy_names[i])) return 1;
    return 0;
}

/* Finds the energy bands among the metrics of a step (generated over real energy): their number, 0 where it has none,
   and their least and largest value. */
static int energies_of(const struct metric *list, int count, double *least_band, double *most_band) {
    int found = 0;
    for (int i = 0; i < count; i++) {
        if (!is_energy(list[i].name)) continue;
        if (!found || list[i].value < *least_band) *least_band = list[i].value;
        if (!found || list[i].value > *most_band) *most_band = list[i].value;
        found++;
    }
    return found;
}

static void watch_energies(struct stage *s, long step, double least_band, double most_band) {
    int burst = !(most_band <= energy_burst), flat = most_band < energy_flat;
    if (!burst && !flat) return;
    s->alarmed = 1;
    log_line(
        "warning: step %ld: generated latents have %.3g to %.3g times the energy of real ones: the student has %s; "
        "take an earlier state and a smaller learning rate (docs/troubleshooting.md)",
        step + 1, least_band, most_band, burst ? "burst" : "gone flat");
}

/* Compares a mean over some fifty steps with the least value that it had. */
static void watch_loss(struct stage *s, long step, double loss) {
    enum { FIRST = 10, MANY = 50 };
    s->loss_mean += (loss - s->loss_mean) / (s->losses < MANY ? (double)(s->losses + 1) : MANY);
    if (++s->losses < FIRST) return;
    if (s->losses == FIRST || s->loss_mean < s->loss_least) s->loss_least = s->loss_mean;
    if (s->loss_mean < loss_risen * s->loss_least) return;
    s->alarmed = 1;
    log_line(
        "warning: step %ld: the mean loss is %.3g and was %.3g before: the run diverges; take an earlier state and a "
        "smaller learning rate (docs/troubleshooting.md)",
        step + 1, s->loss_mean, s->loss_least);
}

void stage_watch(struct stage *s, long step, const struct optimiser_report *account, const struct metric *list,
                 int count) {
    double least_band, most_band;
    if (s->alarmed || account->skipped) return;
    if (energies_of(list, count, &least_band, &most_band))
        watch_energies(s, step, least_band, most_band);
    else
        watch_loss(s, step, account->loss);
}

int stage_warmed(struct stage *s, const char *what, struct optimiser *optimiser, long updates, long done, long all) {
    enum { LOGGED = 5 };
    struct optimiser_report account;
    s->saved_step = -1;
    optimiser_report(optimiser, updates - 2, &account);
    if (account.skipped_in_row >= s->config.faults.max_skipped_in_row)
        return error_set(ERR_NUMERIC, "%s: loss or gradient was not finite %ld times in a row: lower the learning rate",
                         what, account.skipped_in_row);
    if (done % LOGGED == 0) log_line("%s %ld/%ld  loss %.4f  norm %.3f", what, done, all, account.loss, account.norm);
    return OK;
}

int stage_count_skips(const struct stage *s) {
    if (!s->skips) return OK;
    if (2 * s->skips > s->updates)
        return error_set(ERR_NUMERIC,
                         "%ld of %ld updates were skipped: most of this run taught nothing; lower the learning rate",
                         s->skips, s->updates);
    log_line("%s: %ld of %ld updates were skipped", s->program->section->name, s->skips, s->updates);
    return OK;
}

/* Compares the ranks' data sets: on several hosts each may have another file at that path. */
static int check_ranks(struct stage *s) {
    double sum = dataset_sum(s->set), ends[2] = {sum, -sum};
    if (s->comm.size <= 1) return OK;
    TRY(comm_values(&s->comm, COMM_MAX, ends, 2));
    if (ends[0] == -ends[1]) return OK;
    return error_set(ERR_INPUT, "%s: the ranks have different data sets: rank %d's sum is %08x, another's %08x",
                     s->config.data, s->comm.rank, (unsigned)sum, (unsigned)(ends[0] == sum ? -ends[1] : ends[0]));
}

static int check_state(struct stage *s) {
    int64_t now = dataset_sum(s->set), then = s->data_sum;
    s->data_sum = now;
    if (then < 0 || then == now) return OK;
    if (!s->config.data_changed)
        return error_set(ERR_INPUT,
                         "%s: is another data set than the one that %s was trained on: its sum is %08x, the state's "
                         "%08x (data_changed=yes goes on with it)",
                         s->config.data, s->folder.path, (unsigned)now, (unsigned)then);
    log_line("%s: another data set: its sum is %08x, the state's %08x", s->program->section->name, (unsigned)now,
             (unsigned)then);
    return OK;
}

int stage_check_data(struct stage *s) {
    int code = check_ranks(s);
    if (!code) code = check_state(s);
    return stage_agree(s, s->comm.rank ? OK : code); /* the error is the same on all ranks: the first prints it */
}

int stage_roll_back(struct stage *s) {
    int64_t batches = s->batches, rollbacks = s->rollbacks + 1;
    long from = (long)s->step;
    int found;
    TRY(stage_agree(s, stage_checkpoint_ended(s, train_state_wait(&s->saved))));
    TRY(train_state_resume(&s->saved, s->folder.path, &found));
    if (!found) return error_set(ERR_INPUT, "%s: no whole state to go back to", s->folder.path);
    log_line("step %ld: updates were skipped %d times in a row: back to step %ld, on with other batches", from,
             s->config.faults.max_skipped_in_row, (long)s->step);
    TRY(stage_check_data(s));
    s->batches = batches;
    s->rollbacks = rollbacks;
    s->rolled_back++;
    s->saved_step = s->step;
    s->fault = s->skipping = 0;
    return stage_agree(s, stage_restart_data(s));
}

int stage_checkpoint_ended(struct stage *s, int code) {
    /* ERR_DEVICE: the job or the device has failed, and the writing thread met it first. */
    if (!code || code == ERR_DEVICE) return code;
    if (s->config.faults.checkpoint == CHECKPOINT_STOP) return error_context(code, "checkpoint");
    log_line("checkpoint: %s: the run goes on without it (faults.checkpoint: go_on)", error_text());
    return OK;
}
