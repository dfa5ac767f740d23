/* margin.h: the running mean, which begins at 0, of a discriminator's margin D(real) - D(fake). It tells how well the
   discriminator can tell clips apart; refine holds the generator still while the margin is too small to learn from.
   A round is the work between two posts of figures (mailbox.h). The host reads a round's margin when it has queued the
   next round, so a decision at round n uses the mean after round n - 2. That is the same on all ranks, and the same
   whether the run was stopped in between or not. Means are integers, in millionths, because a state holds integers. */
#ifndef TRAIN_METHOD_MARGIN_H
#define TRAIN_METHOD_MARGIN_H

#include <stdint.h>

struct margin {
    int64_t after[2]; /* millionths: mean after the last round read, by the parity of that round */
};
/* Takes the margin of a round into the mean; rounds come in order. A value that is not finite changes nothing. */
void margin_hear(struct margin *m, uint64_t round, double value);
/* The mean that decisions at `round` use: the one after round - 2; 0 in the first two rounds. */
double margin_known(const struct margin *m, uint64_t round);

#endif
