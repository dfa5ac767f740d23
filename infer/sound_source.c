/* sound_source.c: see sound_source.h. */
#include "infer/sound_source.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/media.h"

enum { PIECE = 1024 };

struct sound_source {
    struct audio_reader *agent, *user; /* NULL: standard input; NULL: none */
    int channels;                      /* interleaved in `agent` or on standard input */
};

int sound_open(struct sound_source **source, const struct stream_options *o) {
    struct sound_source *s = *source = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory");
    int code = OK;
    s->channels = o->channels;
    if (strcmp(o->audio, "-")) {
        int channels = 0;
        code = audio_channels(o->audio, &channels);
        if (!code && !channels) code = error_set(ERR_INPUT, "%s: no sound in it", o->audio);
        s->channels = channels >= 2 && !o->user[0] ? 2 : 1;
        if (!code) code = audio_open(&s->agent, o->audio, s->channels);
    }
    if (!code && o->user[0]) {
        if (s->channels == 2) code = error_set(ERR_USAGE, "user= and a two-channel audio= are both given");
        if (!code) code = audio_open(&s->user, o->user, 1);
    }
    if (code) {
        sound_close(s);
        *source = NULL;
    }
    return code;
}

void sound_close(struct sound_source *s) {
    if (!s) return;
    if (s->agent) audio_close(s->agent);
    if (s->user) audio_close(s->user);
    free(s);
}

int sound_parties(const struct sound_source *s) { return s->channels == 2 || s->user ? 2 : 1; }

static long raw_next(struct sound_source *s, float *interleaved, long want) {
    int16_t raw[2 * PIECE];
    size_t got = fread(raw, sizeof *raw * (size_t)s->channels, (size_t)want, stdin);
    if (!got && ferror(stdin)) return -error_set(ERR_INPUT, "standard input: %s", strerror(errno));
    for (size_t i = 0; i < got * (size_t)s->channels; i++) interleaved[i] = (float)raw[i] / 32768.f;
    return (long)got;
}

static long two_channels(struct sound_source *s, float *agent, float *user, long want) {
    float piece[2 * PIECE];
    if (want > PIECE) want = PIECE;
    long n = s->agent ? audio_next(s->agent, piece, want) : raw_next(s, piece, want);
    for (long i = 0; i < n; i++) {
        agent[i] = piece[2 * i];
        user[i] = piece[2 * i + 1];
    }
    return n;
}

long sound_next(struct sound_source *s, float *agent, float *user, long want) {
    if (s->channels == 2) return two_channels(s, agent, user, want);
    if (want > PIECE) want = PIECE;
    long n = s->agent ? audio_next(s->agent, agent, want) : raw_next(s, agent, want);
    if (n < 0 || !s->user) return n;
    long m = audio_next(s->user, user, n ? n : want);
    if (m < 0) return m;
    long longer = n > m ? n : m;
    memset(agent + n, 0, (size_t)(longer - n) * sizeof *agent);
    memset(user + m, 0, (size_t)(longer - m) * sizeof *user);
    return longer;
}
