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

int dialogue_stream(struct session *session, const float *reference, const struct dialogue_sound *sound,
                    frame_receiver take, void *user, struct stream_times *times) {
    const struct student_description *d = session_student(session);
    size_t picture = 3 * (size_t)d->pixel_height * (size_t)d->pixel_width;
    int chunk = session_chunk_frames(session);
    float *frames = malloc((size_t)chunk * picture * sizeof *frames);
    if (!frames) return error_set(ERR_DEVICE, "out of memory for a chunk of frames");
    long pushed = 0, out = 1;
    int code = session_begin(session, reference, (unsigned char *)frames); /* the reference's picture is not wanted */
    while (!code && out < sound->frames) {
        if (pushed < sound->frames) {
            const long samples = AUDIO_SAMPLES_PER_FRAME;
            const float *talk = sound->talk ? sound->talk + pushed : NULL;
            const float *listen = sound->listen ? sound->listen + pushed : NULL;
            const float *user_pcm = sound->user ? sound->user + pushed * samples : NULL;
            long taken = session_push(session, sound->agent + pushed * samples, user_pcm, samples, talk, listen);
            if (taken < 0) code = (int)-taken;
            if (taken == samples) pushed++;
        } else {
            session_end(session);
        }
        if (code || !session_ready(session)) continue; /* once all sound is pushed, every chunk that begins is ready */
        double spent[2];
        code = session_take_pixels(session, frames, spent);
        if (times) {
            times->network += spent[0];
            times->codec += spent[1];
            times->frames += chunk;
            if (out == 1) {
                times->first += spent[0] + spent[1];
                times->streams++;
            }
        }
        for (int i = 0; i < chunk && !code && out < sound->frames; i++, out++)
            code = take(user, out, frames + (size_t)i * picture);
    }
    free(frames);
    return code;
}
