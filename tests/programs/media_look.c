/* media_look.c: not a test but the eyes and ears of tests/e2e/media.sh: one line on what is seen and heard in a file as
   our readers read it.
   usage: media_look pictures FILE [PNG]
              frames, missing ones and the first that is not; the first one's four corners as r, g, b, w; the extent of
              what is lighter than grey; its level (0 to 255) where the sixth of seven patches is; the most that lines
              differ from the next one in any frame (combing); traits. PNG: the first picture, 64 x 64
          media_look sound FILE
              channels, frames of the mix, the frames at which talk begins and ends, share of talk
          media_look sync FILE
              how far flashes and their beeps lie apart, milliseconds: the widest, and the largest step to the next */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "data/media/deinterlace.h"
#include "data/media.h"
#include "model/audio/encoder.h"
#include "model/audio/voice_activity.h"

enum { SIDE = 64, PLANE = SIDE * SIDE };

static char colour(const float *frame, int y, int x) {
    int bits = 0;
    for (int c = 0; c < 3; c++) bits |= (frame[c * PLANE + y * SIDE + x] > -0.3f) << c; /* white may be grey */
    return "krgybmcw"[bits];
}

static int keep_png(const char *path, const float *frame) {
    unsigned char rgb[3 * PLANE];
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = (unsigned char)((frame[c * PLANE + i] + 1) * 127.5f + 0.5f);
    return png_write(path, rgb, SIDE, SIDE);
}

/* Width and height of the box around what is lighter than grey. */
static void light_extent(const float *frame, int *wide, int *high) {
    int low[2] = {SIDE, SIDE}, top[2] = {-1, -1};
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            if (frame[y * SIDE + x] < 0) continue;
            int at[2] = {x, y};
            for (int k = 0; k < 2; k++) {
                if (at[k] < low[k]) low[k] = at[k];
                if (at[k] > top[k]) top[k] = at[k];
            }
        }
    *wide = top[0] - low[0] + 1;
    *high = top[1] - low[1] + 1;
}

/* Mean difference of a line from the next one, in levels of 255. */
static double combing(const float *frame) {
    double sum = 0;
    for (int i = 0; i < PLANE - SIDE; i++)
        sum += frame[i] > frame[i + SIDE] ? frame[i] - frame[i + SIDE] : frame[i + SIDE] - frame[i];
    return 127.5 * sum / (PLANE - SIDE);
}

static int look(const char *path, const char *png) {
    struct video_reader *r;
    float frame[3 * PLANE], first[3 * PLANE] = {0};
    int count = 0, missing = 0, begin = -1, got;
    double comb = 0;
    TRY(video_open(&r, path, SIDE, SIDE));
    video_tone_map(r);
    video_filter(r, deinterlace_make());
    while ((got = video_read(r, frame)) > 0) {
        if (combing(frame) > comb) comb = combing(frame);
        if (!count) memcpy(first, frame, sizeof first);
        if (video_missing(r)) missing++;
        if (begin < 0 && !video_missing(r)) begin = count;
        count++;
    }
    int traits = video_traits(r), wide, high;
    video_close(r);
    if (got < 0) return -got;
    light_extent(first, &wide, &high);
    printf("frames %d missing %d first %d corners %c%c%c%c light %dx%d patch %.0f comb %.1f%s%s\n", count, missing,
           begin, colour(first, 4, 4), colour(first, 4, SIDE - 5), colour(first, SIDE - 5, 4),
           colour(first, SIDE - 5, SIDE - 5), wide, high, (first[32 * SIDE + 50] + 1) * 127.5, comb,
           traits & VIDEO_HDR ? " hdr" : "", traits & VIDEO_INTERLACED ? " interlaced" : "");
    return png ? keep_png(png, first) : OK;
}

static int listen_to(const char *path) {
    float *pcm;
    long samples;
    int channels;
    TRY(audio_channels(path, &channels));
    TRY(audio_read(path, -1, &pcm, &samples));
    long frames = (samples + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME, talking = 0;
    float *mask = calloc((size_t)frames + 1, sizeof *mask);
    if (!mask) return error_set(ERR_DEVICE, "out of memory");
    voice_activity_clip(mask, frames, pcm, samples);
    printf("channels %d frames %ld talk", channels, frames);
    for (long f = 0; f < frames; f++) {
        talking += mask[f] > 0;
        if (mask[f] > 0 && (!f || !(mask[f - 1] > 0))) printf(" %ld", f);
        if (mask[f] > 0 && !(mask[f + 1] > 0)) printf("-%ld", f);
    }
    printf(" share %.3f\n", (double)talking / (double)frames);
    free(mask);
    free(pcm);
    return OK;
}

/* ---- flashes and beeps of media_make ---- */

enum { EVENTS_MAX = 4096 };
struct events {
    double at[EVENTS_MAX]; /* seconds */
    int count;
};
static void note(struct events *e, double at) {
    if (e->count < EVENTS_MAX && (!e->count || at > e->at[e->count - 1] + 0.5)) e->at[e->count++] = at;
}

static int find_flashes(const char *path, struct events *events) {
    struct video_reader *r;
    float frame[3 * PLANE];
    int got;
    TRY(video_open(&r, path, SIDE, SIDE));
    for (long f = 0; (got = video_read(r, frame)) > 0; f++) /* the red quadrant turns white */
        if (frame[PLANE + 10 * SIDE + 10] > 0) note(events, (double)f / VIDEO_RATE);
    video_close(r);
    return got < 0 ? -got : OK;
}

static int find_beeps(const char *path, struct events *events) {
    struct audio_reader *r;
    float pcm[AUDIO_SAMPLES_PER_FRAME];
    long n, at = 0;
    TRY(audio_open(&r, path, AUDIO_ONE_PARTY));
    while ((n = audio_next(r, pcm, AUDIO_SAMPLES_PER_FRAME)) > 0)
        for (long i = 0; i < n; i++, at++)
            if (pcm[i] > 0.25f) note(events, (double)at / AUDIO_RATE);
    audio_close(r);
    return n < 0 ? (int)-n : OK;
}

static int measure_sync(const char *path) {
    static struct events flashes, beeps;
    TRY(find_flashes(path, &flashes));
    TRY(find_beeps(path, &beeps));
    double widest = 0, step = 0, before = 0;
    int pairs = 0;
    for (int f = 0, b = 0; f < flashes.count && b < beeps.count;) {
        double apart = beeps.at[b] - flashes.at[f];
        if (apart > 0.5 || apart < -0.5) {
            apart > 0 ? f++ : b++;
            continue;
        }
        if (apart * apart > widest * widest) widest = apart;
        if (pairs && (apart - before) * (apart - before) > step * step) step = apart - before;
        before = apart;
        pairs++, f++, b++;
    }
    printf("pairs %d of %d apart %.1f step %.1f\n", pairs, flashes.count, 1000 * widest, 1000 * step);
    return OK;
}

int main(int argc, char **argv) {
    if (argc < 3) return args_exit("media_look", error_set(ERR_USAGE, "expected pictures|sound|sync FILE"));
    int code = !strcmp(argv[1], "sound")  ? listen_to(argv[2])
               : !strcmp(argv[1], "sync") ? measure_sync(argv[2])
                                          : look(argv[2], argc > 3 ? argv[3] : NULL);
    return args_exit("media_look", code);
}
