/* frame_sink.c: see frame_sink.h. */
#include "infer/frame_sink.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "data/media.h"

enum { PIECE = 1024 };

struct frame_sink {
    struct video_writer *video; /* NULL: raw or nowhere */
    int raw;                    /* 1: writes raw frames to standard output */
    int height, width, parties;
    pthread_mutex_t lock; /* guards video */
};

static void sink_free(struct frame_sink *s) {
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int sink_open(struct frame_sink **sink, const char *out, int height, int width, int parties) {
    struct frame_sink *s = *sink = calloc(1, sizeof *s);
    int code = s ? OK : error_set(ERR_DEVICE, "out of memory");
    if (code) return code;
    *s = (struct frame_sink){.height = height, .width = width, .parties = parties};
    pthread_mutex_init(&s->lock, NULL);
    if (!strcmp(out, "-")) {
        s->raw = 1;
    } else if (strcmp(out, "null")) {
        code = video_create(&s->video, out, height, width, parties);
    }
    if (code) {
        sink_free(s);
        *sink = NULL;
    }
    return code;
}

/* Writes a whole frame, also when signals interrupt it (base/interrupt.h). */
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

int sink_frame(struct frame_sink *s, const unsigned char *rgb) {
    if (s->raw) return write_bytes(rgb, 3 * (size_t)s->height * (size_t)s->width);
    if (!s->video) return OK;
    pthread_mutex_lock(&s->lock);
    int code = video_write_rgb(s->video, rgb);
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
