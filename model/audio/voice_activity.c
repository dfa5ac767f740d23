/* voice_activity.c: see voice_activity.h. A frame's level is measured behind a high-pass, which removes offset and most
   of the mains' hum. The room's level is one that no 10 ms fell below for VOICE_ROOM_FRAMES; speech never keeps up a
   level for that long, because it pauses for plosives and between words. A frame is speech if it stands out from the
   room and is not far below the voice's own level; the thresholds at which speech ends are lower than those at which it
   begins. In a whole clip, breaths around speech are then taken out. */
#include "model/audio/voice_activity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sorting.h"
#include "model/audio/encoder.h"

enum {
    BLOCK = 160,
    HANG = 3,
    REACH = 3,
    GAP = 6,
    SHORTEST = 2,
    LEAD = 12
}; /* BLOCK in samples, the others in frames */
static const double ABOVE_ROOM = 9, ABOVE_ROOM_STILL = 4, BELOW_VOICE = 30, BELOW_VOICE_STILL = 40, SOFT = 21; /* dB */
static const double HEARD = -60, SOFTEST_VOICE = -50, NOTHING = -100; /* dB of full scale */
static const double PEAK_RISE = 4, PEAK_FALL = 0.02;                  /* dB a frame */

struct level {
    float frame, lowest; /* level of the frame; of its quietest 10 ms; dB of full scale */
};

/* Two second-order sections of a high-pass at 120 Hz (Butterworth, order 4, bilinear): with k = tan(pi 120 / 16000)
   and damping d = 1.84776, 0.76537: b = 1 / (1 + d k + k^2), a1 = 2 (k^2 - 1) b, a2 = (1 - d k + k^2) b; the numerator
   is b (1 - 2 z + z^2). */
static const struct section {
    double b, a1, a2;
} sections[2] = {{0.957762458584102, -1.91446109059219, 0.916588743744223},
                 {0.981747121293864, -1.96240377524982, 0.964584709925638}};

static double high_pass(double state[2][2], double x) {
    for (int i = 0; i < 2; i++) {
        const struct section *s = &sections[i];
        double y = s->b * x + state[i][0];
        state[i][0] = -2 * s->b * x - s->a1 * y + state[i][1];
        state[i][1] = s->b * x - s->a2 * y;
        x = y;
    }
    return x;
}

/* Sets the state in which a constant sound x passes as silence, so that a recording with an offset does not begin with
   a click. */
static void settle(double state[2][2], double x) {
    memset(state, 0, 4 * sizeof(double));
    state[0][0] = -sections[0].b * x;
    state[0][1] = sections[0].b * x;
}

static double decibels(double square) { return square > 1e-10 ? 10 * log10(square) : NOTHING; }

static struct level measure(double state[2][2], const float *pcm) {
    double all = 0, lowest = 1e30;
    for (int block = 0; block < AUDIO_SAMPLES_PER_FRAME / BLOCK; block++) {
        double sum = 0;
        for (int i = 0; i < BLOCK; i++) {
            double x = pcm[block * BLOCK + i];
            if (!(fabs(x) < 1e3)) x = 0; /* NaN, infinity or nonsense */
            double y = high_pass(state, x);
            sum += y * y;
        }
        all += sum;
        lowest = fmin(lowest, sum);
    }
    return (struct level){(float)decibels(all / AUDIO_SAMPLES_PER_FRAME), (float)decibels(lowest / BLOCK)};
}

static double begin_level(double room, double voice) { return fmax(room + ABOVE_ROOM, voice - BELOW_VOICE); }
static double end_level(double room, double voice) { return fmax(room + ABOVE_ROOM_STILL, voice - BELOW_VOICE_STILL); }

/* ---- a stream ---- */

void voice_activity_reset(struct voice_activity *vad) {
    memset(vad, 0, sizeof *vad);
    vad->peak = SOFTEST_VOICE;
    vad->loudest = NOTHING;
}

int voice_activity_unheard(const struct voice_activity *vad) { return vad->loudest < HEARD; }

float voice_activity_push(struct voice_activity *vad, const float *pcm) {
    if (!vad->frames) settle(vad->pass, pcm[0]);
    struct level level = measure(vad->pass, pcm);
    vad->quiet[vad->frames++ % VOICE_ROOM_FRAMES] = level.lowest;
    double room = level.lowest;
    for (long i = 0; i < vad->frames && i < VOICE_ROOM_FRAMES; i++) room = fmin(room, vad->quiet[i]);
    vad->loudest = fmax(vad->loudest, level.frame);
    vad->peak = fmax(fmax(vad->peak - PEAK_FALL, SOFTEST_VOICE), fmin(level.frame, vad->peak + PEAK_RISE));
    if (level.frame > begin_level(room, vad->peak)) {
        vad->active = 1;
        vad->pause = 0;
    } else if (level.frame > end_level(room, vad->peak)) {
        vad->pause = 0;
    } else if (++vad->pause > HANG) {
        vad->active = 0;
    }
    return vad->active ? 1.f : 0.f;
}

/* ---- a whole clip ---- */

static struct level *measure_clip(long frames, const float *pcm, long samples) {
    struct level *levels = malloc(sizeof *levels * (size_t)(frames + 1));
    double state[2][2];
    settle(state, samples ? pcm[0] : 0);
    for (long f = 0; levels && f < frames; f++) {
        float piece[AUDIO_SAMPLES_PER_FRAME];
        for (long i = 0, at = f * AUDIO_SAMPLES_PER_FRAME; i < AUDIO_SAMPLES_PER_FRAME; i++, at++)
            piece[i] = at < samples ? pcm[at]
                       : samples    ? pcm[samples - 1]
                                    : 0; /* repeating the last sample makes no click */
        levels[f] = measure(state, piece);
    }
    return levels;
}

/* Finds the room's level at each frame: the highest one that VOICE_ROOM_FRAMES in a row, which include the frame, never
   fall below. */
static void find_room(float *room, const struct level *levels, long frames) {
    long window = frames < VOICE_ROOM_FRAMES ? frames : VOICE_ROOM_FRAMES;
    for (long f = 0; f < frames; f++) room[f] = (float)NOTHING;
    for (long start = 0; start + window <= frames; start++) {
        float lowest = levels[start].lowest;
        for (long i = 1; i < window; i++) lowest = fminf(lowest, levels[start + i].lowest);
        for (long i = 0; i < window; i++) room[start + i] = fmaxf(room[start + i], lowest);
    }
}

/* Returns the voice's level: the 90th percentile of the frames that stand out from the room; NOTHING where there are
   none. scratch [frames]. */
static double find_voice(float *scratch, const struct level *levels, const float *room, long frames) {
    long count = 0;
    for (long f = 0; f < frames; f++)
        if (levels[f].frame > room[f] + ABOVE_ROOM) scratch[count++] = levels[f].frame;
    sort_floats(scratch, (size_t)count);
    return count ? scratch[count * 9 / 10] : NOTHING;
}

/* Marks frames above one level as speech, and on both sides of them, for at most REACH frames, those above a lower
   one. */
static void mark(float *mask, const struct level *levels, const float *room, double voice, long frames) {
    for (long f = 0; f < frames; f++) mask[f] = 0;
    for (int side = 1; side >= -1; side -= 2) {
        int left = 0; /* frames that may still be marked */
        for (long i = 0; i < frames; i++) {
            long f = side > 0 ? i : frames - 1 - i;
            if (levels[f].frame > begin_level(room[f], voice))
                left = REACH + 1;
            else if (!(levels[f].frame > end_level(room[f], voice)))
                left = 0;
            if (left > 0) mask[f] = 1, left--;
        }
    }
}

/* Gives runs of `value` that are at most `longest` frames long the other value, where that stands on both sides. */
static void close_runs(float *mask, long frames, float value, long longest) {
    for (long f = 0, begin = 0; f <= frames; f++) {
        if (f < frames && mask[f] == value) continue;
        if (begin > 0 && f < frames && f > begin && f - begin <= longest)
            for (long i = begin; i < f; i++) mask[i] = 1 - value;
        begin = f + 1;
    }
}

/* Takes breaths and the smack of lips out of a run of speech: frames that are SOFT below the run's loudest one and more
   than REACH away from a louder one. Soft parts longer than LEAD stay, because somebody speaks softly there, and so do
   those between louder frames that are no longer than GAP. */
static void trim_run(float *mask, const struct level *levels, long begin, long end) {
    float loudest = levels[begin].frame;
    for (long f = begin; f < end; f++) loudest = fmaxf(loudest, levels[f].frame);
    long from = begin; /* first of the soft frames */
    for (long f = begin; f <= end; f++) {
        if (f < end && levels[f].frame < loudest - SOFT) continue;
        long first = from > begin ? from + REACH : from, last = f < end ? f - REACH : f;
        int inside = from > begin && f < end;
        if (last - first > (inside ? GAP : 0) && last - first <= LEAD)
            memset(mask + first, 0, sizeof *mask * (size_t)(last - first));
        from = f + 1;
    }
}

/* Trims all runs, and drops short ones that lie far below the voice altogether. */
static void trim_runs(float *mask, const struct level *levels, double voice, long frames) {
    for (long begin = 0, end; begin < frames; begin = end + 1) {
        float loudest = (float)NOTHING;
        for (end = begin; end < frames && mask[end] > 0; end++) loudest = fmaxf(loudest, levels[end].frame);
        if (end == begin) continue;
        if (end - begin <= LEAD && loudest < voice - SOFT)
            memset(mask + begin, 0, sizeof *mask * (size_t)(end - begin));
        else
            trim_run(mask, levels, begin, end);
    }
}

int voice_activity_clip(float *mask, long frames, const float *pcm, long samples) {
    struct level *levels = measure_clip(frames, pcm, samples);
    float *room = malloc(sizeof *room * (size_t)(frames + 1));
    if (!levels || !room) {
        free(levels);
        free(room);
        return -error_set(ERR_DEVICE, "out of memory for a talk mask");
    }
    double loudest = NOTHING;
    for (long f = 0; f < frames; f++) loudest = fmax(loudest, levels[f].frame);
    find_room(room, levels, frames);
    double voice = fmax(find_voice(mask, levels, room, frames), SOFTEST_VOICE);
    mark(mask, levels, room, voice, frames);
    close_runs(mask, frames, 1, SHORTEST - 1);
    close_runs(mask, frames, 0, GAP);
    trim_runs(mask, levels, voice, frames);
    if (loudest < HEARD) memset(mask, 0, sizeof *mask * (size_t)frames);
    free(levels);
    free(room);
    return loudest >= HEARD;
}
