/* ode_loss.h: the loss of one update of ode_init, with its gradients, for tests that compare or differentiate it. */
#ifndef TESTS_DOUBLE_ODE_LOSS_H
#define TESTS_DOUBLE_ODE_LOSS_H

#include "kernels/device.h"
#include "tests/check.h"
#include "train/method/ode_step.h"

/* The loss of update 7 on these conditions; the gradients are left in the step's optimiser. */
static inline double ode_loss_of(struct ode_step *step, const struct condition_batch *condition) {
    real loss;
    optimiser_begin(&step->student);
    CHECK(ode_step_gradient(step, condition, 7));
    CHECK(device_sync());
    mem_download(&loss, step->student.loss, sizeof loss);
    return (double)loss;
}

#endif
