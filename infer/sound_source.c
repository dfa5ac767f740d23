/* sound_source.c: see sound_source.h. */
#include "infer/sound_source.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/media/byte_source.h"
#include "data/media.h"

enum { PIECE = 1024, MARK_BYTES = 8 };

/* Reader of raw 16-bit samples. */
struct raw_sound {
    struct byte_source bytes;
    unsigned char part[4]; /* bytes of a sample frame that is not complete yet */
    int have;
};

struct sound_source {
    struct audio_reader *agent, *user; /* agent NULL: raw; user NULL: none, or agent's second channel */
    struct raw_sound raw;
    int channels; /* channels that are interleaved in `agent` or `raw` */
};

/* Says whether the first bytes belong to a file of sound or video; raw samples have none of these marks. */
static int is_container(const unsigned char *bytes, int count) {
    static const struct {
        int at;
        const char *mark;
    } marks[] = {{0, "RIFF"},
                 {0, "RIFX"},
                 {0, "RF64"},
                 {0, "FORM"},
                 {0, "fLaC"},
                 {0, "OggS"},
                 {0, "caff"},
                 {0, ".snd"},
                 {0, "ID3"},
                 {4, "ftyp"},
                 {0, "\x1a\x45\xdf\xa3"}};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        int length = (int)strlen(marks[i].mark);
        if (count >= marks[i].at + length && !memcmp(bytes + marks[i].at, marks[i].mark, (size_t)length)) return 1;
    }
    return 0;
}

static int open_standard_input(struct sound_source *s, const struct stream_options *o, enum audio_parties parties) {
    const unsigned char *first;
    TRY(byte_source_open(&s->raw.bytes, "-"));
    int count = byte_source_look(&s->raw.bytes, MARK_BYTES, &first);
    if (is_container(first, count)) return audio_open_bytes(&s->agent, &s->raw.bytes, parties);
    s->channels = o->channels;
    return OK;
}

int sound_open(struct sound_source **source, const struct stream_options *o) {
    struct sound_source *s = *source = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory");
    s->raw.bytes.file = -1;
    enum audio_parties parties = o->user[0] ? AUDIO_ONE_PARTY : AUDIO_PARTIES;
    int code = strcmp(o->audio, "-") ? audio_open(&s->agent, o->audio, parties) : open_standard_input(s, o, parties);
    if (!code && s->agent) s->channels = audio_reader_channels(s->agent);
    if (!code && o->user[0]) {
        if (s->channels == 2)
            code = error_set(ERR_USAGE, "user= is given although audio= has two channels, of which the right is the "
                                        "user's: leave out user=, or give a mono audio=");
        if (!code) code = audio_open(&s->user, o->user, AUDIO_ONE_PARTY);
    }
    if (code) {
        sound_close(s);
        *source = NULL;
    }
    return code;
}

void sound_close(struct sound_source *s) {
    if (!s) return;
    audio_close(s->agent);
    audio_close(s->user);
    if (!s->agent) byte_source_close(&s->raw.bytes);
    free(s);
}

int sound_parties(const struct sound_source *s) { return s->channels == 2 || s->user ? 2 : 1; }

/* Reads sample frames of raw sound: as many as there are, and at least one until the end. */
static long raw_next(struct sound_source *s, float *interleaved, long want) {
    unsigned char bytes[4 * PIECE];
    struct raw_sound *r = &s->raw;
    int frame = 2 * s->channels;
    long have = r->have;
    memcpy(bytes, r->part, (size_t)have);
    while (have < frame) {
        long n = byte_source_read(&r->bytes, bytes + have, (size_t)(want * frame - have));
        if (n <= 0) return n;
        have += n;
    }
    long frames = have / frame;
    for (long i = 0; i < frames * s->channels; i++)
        interleaved[i] = (float)(int16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8) / 32768.f;
    r->have = (int)(have % frame);
    memcpy(r->part, bytes + frames * frame, (size_t)r->have);
    return frames;
}

static long two_channels(struct sound_source *s, float *agent, float *user, long want) {
    float piece[2 * PIECE];
    long n = s->agent ? audio_next(s->agent, piece, want) : raw_next(s, piece, want);
    for (long i = 0; i < n; i++) {
        agent[i] = piece[2 * i];
        user[i] = piece[2 * i + 1];
    }
    return n;
}

long sound_next(struct sound_source *s, float *agent, float *user, long want) {
    if (want > PIECE) want = PIECE;
    if (s->channels == 2) return two_channels(s, agent, user, want);
    long n = s->agent ? audio_next(s->agent, agent, want) : raw_next(s, agent, want);
    if (n < 0 || !s->user) return n;
    long m = audio_next(s->user, user, n ? n : want);
    if (m < 0) return m;
    long longer = n > m ? n : m;
    memset(agent + n, 0, (size_t)(longer - n) * sizeof *agent);
    memset(user + m, 0, (size_t)(longer - m) * sizeof *user);
    return longer;
}
