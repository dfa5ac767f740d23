/* distribution_matching_state.c: registers what distribution matching adds to a stage's state: the critic and the kept
   rollouts (distribution_matching.h, replay.h). It stands apart from the step files because those open no file and link
   no library that does. */
#include "base/error.h"
#include "train/method/distribution_matching.h"
#include "train/state/state.h"

static int save_replay(struct replay *r, struct train_state *state) {
    int n = r->slots;
    train_state_integer(state, "replay/pushed", &r->pushed);
    TRY(train_state_rows(state, "replay/clips", r->x, n, r->clips));
    TRY(train_state_rows(state, "replay/text", r->text_values, n, r->text));
    TRY(train_state_rows(state, "replay/talk_features", r->feature_values[AUDIO_TALK], n, r->features));
    TRY(train_state_rows(state, "replay/listen_features", r->feature_values[AUDIO_LISTEN], n, r->features));
    TRY(train_state_rows(state, "replay/talk_mask", r->mask_values[AUDIO_TALK], n, r->mask));
    return train_state_rows(state, "replay/listen_mask", r->mask_values[AUDIO_LISTEN], n, r->mask);
}

int distribution_matching_save_with(struct distribution_matching *m, struct train_state *state) {
    train_state_network(state, "critic", &m->critic);
    return save_replay(&m->replay, state);
}
