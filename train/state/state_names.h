/* train_state_names.h: the names in a state that writing (train_state.c) and reading (train_state_read.c) share. */
#ifndef TRAIN_STATE_STATE_NAMES_H
#define TRAIN_STATE_STATE_NAMES_H

enum { STATE_NAME_MAX = 128, STATE_COUNTS = 3 };
/* by enum optimiser_array; the fields of struct optim_state */
static const char *const state_array_names[] = {"master", "m", "v", "ema"};
static const char *const state_count_names[STATE_COUNTS] = {"updates", "skipped", "skipped_in_row"};

#endif
