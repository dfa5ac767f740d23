/* frame_sink.c: see frame_sink.h. */
#include "infer/frame_sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/finite.h"
#include "data/media.h"

enum { PIECE = 1024 };

struct frame_sink {
    struct video_writer *video; /* NULL: raw or nowhere */
    unsigned char *raw;         /* [H, W, 3]; NULL: nowhere */
    int height, width, parties;
    pthread_mutex_t lock; /* of video */
};

static void sink_free(struct frame_sink *s) {
    pthread_mutex_destroy(&s->lock);
    free(s->raw);
    free(s);
}

int sink_open(struct frame_sink **sink, const char *out, int height, int width, int parties) {
    struct frame_sink *s = *sink = calloc(1, sizeof *s);
    int code = s ? OK : error_set(ERR_DEVICE, "out of memory");
    if (code) return code;
    *s = (struct frame_sink){.height = height, .width = width, .parties = parties};
    pthread_mutex_init(&s->lock, NULL);
    if (!strcmp(out, "-")) {
        s->raw = malloc((size_t)(3 * height * width));
        if (!s->raw) code = error_set(ERR_DEVICE, "out of memory for a frame");
    } else if (strcmp(out, "null")) {
        code = video_create(&s->video, out, height, width, parties);
    }
    if (code) {
        sink_free(s);
        *sink = NULL;
    }
    return code;
}

/* Also when signals interrupt it (base/interrupt.h): a frame is written whole. */
static int write_bytes(const unsigned char *bytes, size_t count) {
    while (count) {
        ssize_t n = write(STDOUT_FILENO, bytes, count);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(ERR_INPUT, "standard output: %s", strerror(errno));
        bytes += n;
        count -= (size_t)n;
    }
    return OK;
}

static int write_raw(struct frame_sink *s, const float *frame) {
    long pixels = (long)s->height * s->width;
    for (long i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++) {
            float v = (frame[c * pixels + i] + 1) * 127.5f + 0.5f;
            s->raw[3 * i + c] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    return write_bytes(s->raw, 3 * (size_t)pixels);
}

int sink_frame(struct frame_sink *s, const float *frame) {
    if (finite_fault(frame, 3 * (size_t)s->height * (size_t)s->width) >= 0)
        return error_set(ERR_NUMERIC,
                         "a picture is not finite: the weights or the input make numbers that are too large");
    if (!s->video) return s->raw ? write_raw(s, frame) : OK;
    pthread_mutex_lock(&s->lock);
    int code = video_write(s->video, frame);
    pthread_mutex_unlock(&s->lock);
    return code;
}

static int write_sound(struct frame_sink *s, const float *agent, const float *user, long samples) {
    if (s->parties == 1) return video_write_audio(s->video, agent, samples);
    float piece[2 * PIECE];
    for (long done = 0; done < samples;) {
        long n = samples - done < PIECE ? samples - done : PIECE;
        for (long i = 0; i < n; i++) {
            piece[2 * i] = agent[done + i];
            piece[2 * i + 1] = user[done + i];
        }
        TRY(video_write_audio(s->video, piece, n));
        done += n;
    }
    return OK;
}

int sink_sound(struct frame_sink *s, const float *agent, const float *user, long samples) {
    if (!s->video) return OK;
    pthread_mutex_lock(&s->lock);
    int code = write_sound(s, agent, user, samples);
    pthread_mutex_unlock(&s->lock);
    return code;
}

int sink_finish(struct frame_sink *s) {
    int code = s->video ? video_finish(s->video) : OK;
    sink_free(s);
    return code;
}

void sink_discard(struct frame_sink *s) {
    if (!s) return;
    if (s->video) video_discard(s->video);
    sink_free(s);
}
