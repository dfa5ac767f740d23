/* pipeline.c: see pipeline.h. */
#include "infer/pipeline.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/workspace.h"

/* Bytes of scratch for the decoder's kernels; it is their own, because the network's kernels run at the same time. */
enum { DECODER_WORKSPACE = WORKSPACE_LEAST };

struct times { /* times and size of the chunk in a slot of the session */
    double begun, network;
    int count; /* video frames of the chunk */
};
struct pipeline {
    struct session *session;
    pipeline_sink take;
    void *user;
    struct times times[SESSION_SLOTS];
    unsigned char *frames;                   /* frames of a chunk */
    struct arena arena, host;                /* host: arena of the frames, which are copied from the device */
    struct device_stream *network, *decoder; /* NULL if not overlapped */
    void *workspace;
    int threaded;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    long generated, decoded; /* chunks */
    int stop, code;
    char text[256]; /* text of the first error */
    int workers;    /* how many of network and decoder are at work */
    double busy, busy_since, both, both_since;
};

/* ---- what both threads keep ---- */

/* Counts the time in which one or both work. by: +1 where a worker begins, -1 where it ends. With the lock held. */
static void count_worker(struct pipeline *p, int by) {
    double now = clock_seconds();
    if (p->workers == 0) p->busy_since = now;
    if (p->workers == 2) p->both += now - p->both_since;
    p->workers += by;
    if (p->workers == 0) p->busy += now - p->busy_since;
    if (p->workers == 2) p->both_since = now;
}

static void begin_work(struct pipeline *p) {
    pthread_mutex_lock(&p->lock);
    count_worker(p, +1);
    pthread_mutex_unlock(&p->lock);
}

/* Ends a worker's work on a chunk, which it has made or at which it failed. */
static void end_work(struct pipeline *p, long *chunks, int code) {
    pthread_mutex_lock(&p->lock);
    count_worker(p, -1);
    if (code && !p->code) {
        p->code = code;
        snprintf(p->text, sizeof p->text, "%s", error_text());
    }
    if (!code) ++*chunks;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

/* Returns the first error of either thread. With the lock held. */
static int first_error(const struct pipeline *p) { return p->code ? error_set(p->code, "%s", p->text) : OK; }

/* ---- the decoder ---- */

static int decode(struct pipeline *p, int slot) {
    double begin = clock_seconds();
    TRY(session_decode(p->session, slot, p->frames));
    struct pipeline_chunk chunk = {p->frames, p->times[slot].count, p->times[slot].begun, p->times[slot].network,
                                   clock_seconds() - begin};
    return p->take(p->user, &chunk);
}

static void decode_next(struct pipeline *p) {
    begin_work(p);
    end_work(p, &p->decoded, decode(p, (int)(p->decoded % SESSION_SLOTS)));
}

static void *work(void *argument) {
    struct pipeline *p = argument;
    device_thread();
    device_stream_use(p->decoder);
    if (p->workspace) device_workspace(p->workspace, DECODER_WORKSPACE);
    for (;;) {
        pthread_mutex_lock(&p->lock);
        while (!p->stop && !p->code && p->decoded == p->generated) pthread_cond_wait(&p->changed, &p->lock);
        int end = p->stop || p->code;
        pthread_mutex_unlock(&p->lock);
        if (end) break;
        decode_next(p);
    }
    device_stream_use(NULL);
    return NULL;
}

/* ---- the network ---- */

/* Waits until a slot is free. */
static int wait_for_slot(struct pipeline *p) {
    pthread_mutex_lock(&p->lock);
    while (!p->code && p->generated - p->decoded == SESSION_SLOTS) pthread_cond_wait(&p->changed, &p->lock);
    int code = first_error(p);
    if (!code) count_worker(p, +1);
    pthread_mutex_unlock(&p->lock);
    return code;
}

int pipeline_run(struct pipeline *p) {
    TRY(wait_for_slot(p));
    int slot = (int)(p->generated % SESSION_SLOTS);
    struct times *times = &p->times[slot];
    times->begun = clock_seconds();
    times->count = session_next_frames(p->session);
    int code = session_generate(p->session, slot);
    times->network = clock_seconds() - times->begun;
    end_work(p, &p->generated, code);
    if (!code && !p->threaded) decode_next(p);
    pthread_mutex_lock(&p->lock);
    code = first_error(p);
    pthread_mutex_unlock(&p->lock);
    return code;
}

int pipeline_finish(struct pipeline *p) {
    pthread_mutex_lock(&p->lock);
    while (!p->code && p->decoded < p->generated) pthread_cond_wait(&p->changed, &p->lock);
    int code = first_error(p);
    pthread_mutex_unlock(&p->lock);
    return code;
}

/* ---- the rehearsal ---- */

enum { REHEARSALS = 2 }; /* libraries make their plans in the first, passes are recorded in the second */

static int show_nobody(void *user, const struct pipeline_chunk *chunk) {
    (void)user, (void)chunk;
    return OK;
}

/* Streams some chunks of silence. first: room for the reference's frame. */
static int rehearse_clip(struct pipeline *p, const float *reference, unsigned char *first, int chunks) {
    const float silence[AUDIO_SAMPLES_PER_FRAME] = {0};
    TRY(session_begin(p->session, reference, first));
    while (chunks > 0 && !interrupt_requested()) {
        long taken = session_push(p->session, silence, silence, AUDIO_SAMPLES_PER_FRAME, NULL, NULL);
        if (taken < 0) return (int)-taken;
        for (; chunks > 0 && session_ready(p->session); chunks--) TRY(pipeline_run(p));
    }
    return pipeline_finish(p);
}

int pipeline_rehearse(struct pipeline *p) {
    const struct student_description *d = session_student(p->session);
    size_t size = 3 * (size_t)d->pixel_height * (size_t)d->pixel_width;
    float *grey = calloc(size, sizeof *grey);
    unsigned char *first = malloc(size);
    pipeline_sink take = p->take;
    int code = grey && first ? OK : error_set(ERR_DEVICE, "out of memory for a rehearsal");
    p->take = show_nobody;
    for (int i = 0; i < REHEARSALS && !code; i++) code = rehearse_clip(p, grey, first, session_chunk_kinds(p->session));
    p->take = take;
    p->busy = p->both = 0;
    free(grey);
    free(first);
    return code;
}

double pipeline_busy(const struct pipeline *p) { return p->busy; }

double pipeline_both(const struct pipeline *p) { return p->both; }

/* ---- open and close ---- */

/* Lays out the frames of a chunk, and the workspace of a decoder that works beside the network. */
static void lay_out(struct pipeline *p, const struct student_description *d, int overlapped) {
    size_t n =
        3 * (size_t)d->pixel_height * (size_t)d->pixel_width * FRAMES_PER_LATENT * (size_t)d->rollout.causal.chunk;
    p->frames = arena_take(&p->host, "frames", n);
    if (overlapped && device_overlaps())
        p->workspace = arena_take(&p->arena, "workspace of kernels", DECODER_WORKSPACE);
}

static void plan_arenas(struct pipeline *p, const struct student_description *d, int overlapped,
                        struct memory_plan *plan) {
    arena_begin(&p->arena, "decoder's workspace");
    arena_begin_host(&p->host, "a chunk's frames (host)");
    lay_out(p, d, overlapped);
    if (p->arena.used) memory_plan_arena(plan, &p->arena);
    memory_plan_arena(plan, &p->host);
}

void pipeline_plan(const struct student_description *d, int overlapped, struct memory_plan *plan) {
    struct pipeline p = {0};
    plan_arenas(&p, d, overlapped, plan);
    arena_free(&p.arena);
    arena_free(&p.host);
}

static int allocate(struct pipeline *p, int overlapped, struct memory_plan *plan) {
    const struct student_description *d = session_student(p->session);
    plan_arenas(p, d, overlapped, plan);
    TRY(arena_commit(&p->host));
    if (p->arena.used) TRY(arena_commit(&p->arena));
    lay_out(p, d, overlapped);
    return OK;
}

static int open_thread(struct pipeline *p) {
    p->network = device_stream_create();
    p->decoder = device_stream_create_urgent();
    if (!p->network || !p->decoder) return error_set(ERR_DEVICE, "no streams for network and decoder");
    TRY(device_sync()); /* the network's stream reads what was made on the default one */
    if (pthread_create(&p->thread, NULL, work, p)) return error_set(ERR_DEVICE, "cannot start a thread");
    p->threaded = 1;
    device_stream_use(p->network);
    return OK;
}

void pipeline_decode_into(struct pipeline *p, unsigned char *frames) {
    arena_free(&p->host);
    p->frames = frames;
}

int pipeline_open(struct pipeline **pipeline, struct session *session, int overlapped, pipeline_sink take, void *user,
                  struct memory_plan *plan) {
    struct pipeline *p = *pipeline = calloc(1, sizeof *p);
    if (!p) return error_set(ERR_DEVICE, "out of memory for a pipeline");
    *p = (struct pipeline){.session = session, .take = take, .user = user};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    int code = allocate(p, overlapped, plan);
    if (!code && overlapped) code = open_thread(p);
    if (code) {
        pipeline_close(p);
        *pipeline = NULL;
    }
    return code;
}

void pipeline_close(struct pipeline *p) {
    if (!p) return;
    if (p->threaded) {
        pthread_mutex_lock(&p->lock);
        p->stop = 1;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
        device_stream_use(NULL);
    }
    device_stream_destroy(p->network);
    device_stream_destroy(p->decoder);
    arena_free(&p->arena);
    arena_free(&p->host);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
