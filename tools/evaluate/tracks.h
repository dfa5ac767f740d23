/* tracks.h: the tracks that are followed in a dialogue's pictures and known from the puppet's truth: the mouth's
   opening while talking, both hands while talking, the head's nod while only listening. Lengths are in pixels; arrays
   have a value a video frame, from frame 1 on (frame 0 is the reference). Host memory. */
#ifndef TOOLS_EVALUATE_TRACKS_H
#define TOOLS_EVALUATE_TRACKS_H

#include "data/puppet.h"
#include "tools/evaluate/synchrony.h"

enum track { TRACK_MOUTH, TRACK_LEFT_X, TRACK_LEFT_Y, TRACK_RIGHT_X, TRACK_RIGHT_Y, TRACK_NOD, TRACKS };
enum followed { FOLLOWED_MOUTH, FOLLOWED_HANDS, FOLLOWED_NOD, FOLLOWED };
/* The tracks of each, and the word with which keys of reports begin. */
struct followed_tracks {
    const char *name;
    int first, count;
};
extern const struct followed_tracks followed_tracks[FOLLOWED];

struct known_tracks {
    int frames;            /* number of the dialogue's frames, less the reference */
    float *known[TRACKS];  /* [frames]; mouth 0..1; others in pixels */
    float *used[FOLLOWED]; /* [frames]: 1 where a frame counts */
};
/* ERR_DEVICE: out of memory. */
int known_tracks_open(struct known_tracks *tracks, const struct puppet *puppet, int height, int width);
void known_tracks_close(struct known_tracks *tracks);

/* Sums over dialogues, which consist of doubles; start from zeros. */
struct follow_sums {
    struct regression regression[FOLLOWED];
    struct lag_sums lags[FOLLOWED];
};
/* Adds a dialogue. measured [TRACKS][count]: its first `count` frames, count <= frames; shifts [FOLLOWED] are added to
   as well. ERR_DEVICE: out of memory. */
int follow_add(struct follow_sums *sums, struct shift_sums *shifts, const struct known_tracks *tracks,
               const float *const *measured, int count);

#endif
