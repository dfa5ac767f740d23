/* dialogue.c: see dialogue.h. */
#include "infer/dialogue.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/media_rates.h"
#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

void stream_times_add(struct stream_times *to, const struct stream_times *from) {
    to->network += from->network;
    to->codec += from->codec;
    to->first += from->first;
    to->streams += from->streams;
    to->frames += from->frames;
}

void dialogue_voice_mask(float *mask, const float *pcm, long frames) {
    struct voice_activity vad;
    voice_activity_reset(&vad);
    for (long f = 0; f < frames; f++) mask[f] = voice_activity_push(&vad, pcm + f * AUDIO_SAMPLES_PER_FRAME);
}

/* A piece_giver of sound in memory. */
static int give_piece(void *user, long frame, struct sound_piece *piece) {
    const struct dialogue_sound *sound = user;
    const long at = frame * AUDIO_SAMPLES_PER_FRAME;
    *piece = (struct sound_piece){.agent = sound->agent + at,
                                  .user = sound->user ? sound->user + at : NULL,
                                  .talk = sound->talk ? sound->talk + frame : NULL,
                                  .listen = sound->listen ? sound->listen + frame : NULL};
    return OK;
}

int dialogue_stream(struct session *session, const float *reference, const struct dialogue_sound *sound,
                    frame_receiver take, void *user, struct stream_times *times) {
    struct dialogue_sound copy = *sound;
    return dialogue_stream_pieces(session, reference, sound->frames, give_piece, &copy, take, user, times);
}

/* Pushes the sound of frame *pushed, or ends the sound behind the last. */
static int push_piece(struct session *session, long frames, piece_giver give, void *giver, long *pushed) {
    struct sound_piece piece;
    if (*pushed >= frames) {
        session_end(session);
        return OK;
    }
    TRY(give(giver, *pushed, &piece));
    long taken = session_push(session, piece.agent, piece.user, AUDIO_SAMPLES_PER_FRAME, piece.talk, piece.listen);
    if (taken == AUDIO_SAMPLES_PER_FRAME) ++*pushed;
    return taken < 0 ? (int)-taken : OK;
}

static void add_times(struct stream_times *times, const double spent[2], int chunk, int first) {
    times->network += spent[0];
    times->codec += spent[1];
    times->frames += chunk;
    if (!first) return;
    times->first += spent[0] + spent[1];
    times->streams++;
}

int dialogue_stream_pieces(struct session *session, const float *reference, long frames, piece_giver give, void *giver,
                           frame_receiver take, void *user, struct stream_times *times) {
    const struct student_description *d = session_student(session);
    size_t picture = 3 * (size_t)d->pixel_height * (size_t)d->pixel_width;
    float *made = malloc((size_t)session_chunk_frames(session) * picture * sizeof *made);
    if (!made) return error_set(ERR_DEVICE, "out of memory for a chunk of frames");
    long pushed = 0, out = 1;
    int code = session_begin(session, reference, (unsigned char *)made); /* the reference's picture is not wanted */
    while (!code && out < frames) {
        code = push_piece(session, frames, give, giver, &pushed);
        if (code || !session_ready(session)) continue; /* once all sound is pushed, every chunk that begins is ready */
        int chunk = session_next_frames(session);
        double spent[2];
        code = session_take_pixels(session, made, spent);
        if (times) add_times(times, spent, chunk, out == 1);
        for (int i = 0; i < chunk && !code && out < frames; i++, out++)
            code = take(user, out, made + (size_t)i * picture);
    }
    free(made);
    return code;
}
