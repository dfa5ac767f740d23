/* tracks.c: see tracks.h. */
#include "tools/evaluate/tracks.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "tools/evaluate/measures.h"

const struct followed_tracks followed_tracks[FOLLOWED] = {
    [FOLLOWED_MOUTH] = {"mouth", TRACK_MOUTH, 1},
    [FOLLOWED_HANDS] = {"hands", TRACK_LEFT_X, 4},
    [FOLLOWED_NOD] = {"nod", TRACK_NOD, 1},
};

static void know_frame(struct known_tracks *t, int i, const struct puppet_pose *pose, float height, float width) {
    t->known[TRACK_MOUTH][i] = pose->mouth;
    t->known[TRACK_LEFT_X][i] = width * pose->hand_left[0];
    t->known[TRACK_LEFT_Y][i] = height * pose->hand_left[1];
    t->known[TRACK_RIGHT_X][i] = width * pose->hand_right[0];
    t->known[TRACK_RIGHT_Y][i] = height * pose->hand_right[1];
    t->known[TRACK_NOD][i] = height * pose->eyes[1];
}

int known_tracks_open(struct known_tracks *t, const struct puppet *puppet, int height, int width) {
    memset(t, 0, sizeof *t);
    int frames = puppet_frames(puppet) - 1, arrays = TRACKS + FOLLOWED;
    float *room = malloc((size_t)arrays * (size_t)(frames + 1) * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "out of memory for the known tracks");
    t->frames = frames;
    for (int k = 0; k < TRACKS; k++) t->known[k] = room + (size_t)k * (size_t)frames;
    for (int k = 0; k < FOLLOWED; k++) t->used[k] = room + (size_t)(TRACKS + k) * (size_t)frames;
    const float *talk = puppet_mask(puppet, PUPPET_AGENT) + 1, *listen = puppet_mask(puppet, PUPPET_USER) + 1;
    for (int i = 0; i < frames; i++) {
        know_frame(t, i, &puppet_truth(puppet)[i + 1], (float)height, (float)width);
        t->used[FOLLOWED_HANDS][i] = talk[i];
        t->used[FOLLOWED_NOD][i] = listen[i] > 0.5f && !(talk[i] > 0.5f);
    }
    lip_frames(t->used[FOLLOWED_MOUTH], t->known[TRACK_MOUTH], talk, frames);
    return OK;
}

void known_tracks_close(struct known_tracks *t) {
    free(t->known[0]);
    memset(t, 0, sizeof *t);
}

int follow_add(struct follow_sums *sums, struct shift_sums *shifts, const struct known_tracks *t,
               const float *const *measured, int count) {
    for (int f = 0; f < FOLLOWED; f++)
        for (int k = followed_tracks[f].first; k < followed_tracks[f].first + followed_tracks[f].count; k++) {
            regression_add(&sums->regression[f], measured[k], t->known[k], t->used[f], count);
            lag_sums_add(&sums->lags[f], measured[k], t->known[k], t->used[f], count);
            TRY(shift_sums_add(&shifts[f], measured[k], t->known[k], t->used[f], count));
        }
    return OK;
}
