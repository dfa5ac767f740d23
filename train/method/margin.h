/* margin.h: how far a discriminator is ahead of the generator: a running mean of the margin D(real) - D(fake), from 0
   on, by which the generator is held still while it would learn from a discriminator that knows nothing.
   A round is the work between two letters of figures (mailbox.h). The host hears of a round when it has queued the
   next, so what is known at a round is the mean after the round two before it: the same whether the run was stopped in
   between or not, and on all ranks, which hear the same. Means are kept in millionths, as integers that a state
   holds. */
#ifndef TRAIN_METHOD_MARGIN_H
#define TRAIN_METHOD_MARGIN_H

#include <stdint.h>

struct margin {
    int64_t after[2]; /* millionths: the mean after the last round of this parity that was heard of */
};
/* The margin of a round; rounds are heard in order. What is not finite changes nothing. */
void margin_hear(struct margin *m, uint64_t round, double value);
/* What is known when the work of `round` is decided on: 0 in the first two. */
double margin_known(const struct margin *m, uint64_t round);

#endif
