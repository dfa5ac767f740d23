/* dialogue.h: streams a whole dialogue through a session: both parties' sound is in memory, and every picture is handed
   out as soon as it is made. Programs that measure or keep what a student makes use it; for live sound, which comes
   piece by piece, there is session.h. All buffers are host memory of the caller. */
#ifndef INFER_DIALOGUE_H
#define INFER_DIALOGUE_H

#include "infer/session.h"

/* The sound that the student hears, and masks with one value for each video frame. */
struct dialogue_sound {
    long frames;                /* video frames, the reference's own included */
    const float *agent, *user;  /* [frames * AUDIO_SAMPLES_PER_FRAME]; user NULL: nobody else speaks */
    const float *talk, *listen; /* [frames]; NULL: voice activity decides */
};
/* Receives video frame `frame` (1 .. frames-1), planar [3, H, W] in [-1, 1], not rounded to 8 bits; a code other than
   OK stops the stream. */
typedef int (*frame_receiver)(void *user, long frame, const float *picture);
/* One video frame's sound and masks; the pointers hold until the next piece is asked for. */
struct sound_piece {
    const float *agent, *user;  /* [AUDIO_SAMPLES_PER_FRAME]; user NULL: nobody else speaks */
    const float *talk, *listen; /* one value; NULL: voice activity decides */
};
/* Gives the sound of video frame `frame`. Frames are asked for in order; one that the session could not take yet is
   asked for again. A code other than OK stops the stream. */
typedef int (*piece_giver)(void *user, long frame, struct sound_piece *piece);

struct stream_times {
    double network, codec, first; /* seconds; first: network and codec of the first chunks */
    long streams, frames;
};
/* Adds `from` to `to`. */
void stream_times_add(struct stream_times *to, const struct stream_times *from);
/* Streams the whole dialogue from the reference, planar [3, H, W] in [-1, 1]. The times are added to *times, if not
   NULL. */
int dialogue_stream(struct session *session, const float *reference, const struct dialogue_sound *sound,
                    frame_receiver take, void *user, struct stream_times *times);
/* The same for sound that is too long for memory: `frames` video frames, the reference's own included, whose sound
   give(giver, ...) hands out frame by frame. */
int dialogue_stream_pieces(struct session *session, const float *reference, long frames, piece_giver give, void *giver,
                           frame_receiver take, void *user, struct stream_times *times);

/* Computes the mask that a session finds by voice activity in the same sound: mask [frames] from pcm
   [frames * AUDIO_SAMPLES_PER_FRAME]. */
void dialogue_voice_mask(float *mask, const float *pcm, long frames);

#endif
