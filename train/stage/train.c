/* stage_train.c: the steps of a stage (stage.h). What a step's account says is read one step late, so that the host never
   waits for the device; before a state is saved or samples are shown all of it has been read. */
#include "base/error.h"
#include "train/stage/stage.h"

/* Reports the steps up to `step` that are not reported yet. */
static int report_to(const struct stage_steps *steps, long *reported, long step) {
    while (*reported < step) TRY(steps->report(steps->program, ++*reported));
    return OK;
}

int stage_train(struct stage *s, const struct stage_steps *steps) {
    long reported = (long)s->step - 1;
    stage_start_clock(s);
    while (stage_goes_on(s)) {
        TRY(steps->step(steps->program));
        stage_count(s);
        TRY(report_to(steps, &reported, (long)s->step - 2));
        if (stage_save_due(s) || stage_sample_due(s)) TRY(report_to(steps, &reported, (long)s->step - 1));
        if (s->fault) {
            TRY(stage_roll_back(s));
            reported = (long)s->step - 1;
            continue;
        }
        TRY(steps->keep(steps->program));
        stage_start_clock(s);
    }
    return report_to(steps, &reported, (long)s->step - 1);
}
