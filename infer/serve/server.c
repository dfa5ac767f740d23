/* server.c: see server.h. */
#include "infer/serve/server.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/media.h"
#include "infer/serve/live.h"
#include "infer/serve/words.h"
#include "infer/student_fields.h"
#include "kernels/device.h"
#include "model/audio/encoder.h"

enum { CLIP_CHUNKS = 2, MEASURED_CHUNKS = 8, CLOSE_GOING = 1001 };
static const double measured_seconds = 0.25; /* work after which measuring stops, though not before one chunk */

/* ---- pictures ---- */

const unsigned char *clip_frame(const struct clip *clip, long at, size_t picture) {
    int period = clip->count > 1 ? 2 * clip->count - 2 : 1;
    long k = at % period;
    return clip->rgb + (size_t)(k < clip->count ? k : period - k) * picture;
}

/* Makes a chunk of listening to silence; *seconds: time that it took. */
static int quiet_chunk(struct session *session, unsigned char *frames, double *seconds) {
    const float silence[AUDIO_SAMPLES_PER_FRAME] = {0}, talk = 0, listen = 1;
    double begin = clock_seconds();
    while (!session_ready(session)) {
        long taken = session_push(session, silence, NULL, AUDIO_SAMPLES_PER_FRAME, &talk, &listen);
        if (taken <= 0) return taken < 0 ? (int)-taken : error_set(ERR_DEVICE, "the student takes no sound");
    }
    TRY(session_take(session, frames, NULL));
    *seconds = clock_seconds() - begin;
    return OK;
}

int server_make_clip(struct server *s, struct session *session, const float *reference, struct clip *clip) {
    double seconds;
    clip->count = 0;
    free(clip->rgb);
    clip->rgb = malloc((size_t)(1 + CLIP_CHUNKS * s->chunk) * s->picture);
    if (!clip->rgb) return error_set(ERR_DEVICE, "out of memory for the idle clip");
    TRY(session_begin(session, reference, clip->rgb));
    int made = 1;
    for (int k = 0; k < CLIP_CHUNKS; k++) {
        int frames = session_next_frames(session);
        TRY(quiet_chunk(session, clip->rgb + (size_t)made * s->picture, &seconds));
        made += frames;
    }
    clip->count = made;
    return OK;
}

/* ---- sessions of the student ---- */

static struct session_options student_options(const struct serve_options *o) {
    return (struct session_options){.sink = -1, .rapr = -1, STUDENT_SESSION_OPTIONS(o)};
}

int server_plan(const struct serve_options *options, const char *folder, struct memory_plan *plan) {
    struct shared_student *shared;
    const struct session_options student = student_options(options);
    struct memory_plan each = {.out = plan->out, .detail = plan->detail};
    TRY(shared_student_prepare(&shared, folder, &student));
    fprintf(plan->out, "for all sessions:\n");
    int code = shared_student_plan(shared, plan);
    memory_plan_total(plan);
    fprintf(plan->out, "for each session:\n");
    if (!code) code = session_plan(shared, &each);
    memory_plan_total(&each);
    shared_student_close(shared);
    return code;
}

static int load_student(struct server *s, const char *folder, struct memory_plan *plan) {
    const struct session_options options = student_options(&s->options);
    return shared_student_open(&s->shared, folder, &options, plan);
}

int server_take_session(struct server *s, struct session **session) {
    if (s->pooled) {
        *session = s->pool[--s->pooled];
        return OK;
    }
    return session_open_shared(session, s->shared, 0, NULL);
}

void server_give_session(struct server *s, struct session *session) {
    if (!session) return;
    session_as_trained(session);
    if (s->pooled < s->capacity)
        s->pool[s->pooled++] = session;
    else
        session_close(session);
}

/* ---- the start ---- */

/* Measures the median work of a chunk, after two that warm up. */
static int measure(struct server *s, struct session *session) {
    double seconds[MEASURED_CHUNKS], spent = 0, warm;
    int n = 0;
    for (int i = 0; i < 2; i++) TRY(quiet_chunk(session, s->unseen, &warm));
    while (n < MEASURED_CHUNKS && (n < 1 || spent < measured_seconds)) {
        TRY(quiet_chunk(session, s->unseen, &seconds[n]));
        spent += seconds[n++];
    }
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && seconds[k] < seconds[k - 1]; k--) {
            double swap = seconds[k];
            seconds[k] = seconds[k - 1];
            seconds[k - 1] = swap;
        }
    s->chunk_seconds = seconds[n / 2];
    s->real_time_factor = s->chunk_seconds * VIDEO_RATE / s->chunk;
    int measured = schedule_capacity(s->real_time_factor);
    s->capacity = s->options.sessions ? s->options.sessions : measured;
    s->passes_most = measured > s->capacity ? measured : s->capacity;
    return OK;
}

static int read_default_reference(struct server *s) {
    const struct student_description *d = &s->student;
    if (!*s->options.reference) return OK;
    s->reference = malloc(s->picture * sizeof *s->reference);
    if (!s->reference) return error_set(ERR_DEVICE, "out of memory for the reference");
    return image_read(s->options.reference, d->pixel_height, d->pixel_width, s->reference);
}

static int allocate(struct server *s) {
    size_t heard = (size_t)(1 + s->chunk + s->ahead);
    s->unseen = malloc((size_t)s->chunk * s->picture);
    s->agent = malloc(heard * AUDIO_SAMPLES_PER_FRAME * sizeof *s->agent);
    s->user = malloc(heard * AUDIO_SAMPLES_PER_FRAME * sizeof *s->user);
    s->listen = malloc(heard * sizeof *s->listen);
    return s->unseen && s->agent && s->user && s->listen ? OK : error_set(ERR_DEVICE, "out of memory for chunks");
}

/* Says whether the student learned to be idle: it hears both parties, and saw enough frames where neither spoke. */
static int learned_idle(const struct student_description *d) { return !d->dit.mute_input && student_idles(d); }

/* Begins a session on a grey picture, so that it can be measured without a reference. */
static int begin_grey(const struct server *s, struct session *session) {
    float *grey = calloc(s->picture, sizeof *grey);
    int code = grey ? session_begin(session, grey, s->unseen) : error_set(ERR_DEVICE, "out of memory for a picture");
    free(grey);
    return code;
}

/* Opens a first session, which tells the sizes, makes the idle clip and is measured. */
static int try_out(struct server *s, struct memory_plan *plan) {
    struct session *session;
    TRY(session_open_shared(&session, s->shared, 0, plan));
    struct session_wait wait = session_wait(session);
    s->student = *session_student(session);
    s->picture = 3 * (size_t)s->student.pixel_height * (size_t)s->student.pixel_width;
    s->chunk = session_chunk_frames(session);
    s->first_chunk = FRAMES_PER_LATENT * causal_own(&s->student.rollout.causal, 1);
    s->ahead = (int)lround((wait.ahead + wait.encoder_ahead) * VIDEO_RATE);
    s->loops = s->options.idle == IDLE_LOOP || (s->options.idle == IDLE_AUTO && !learned_idle(&s->student));
    int code = allocate(s);
    if (!code) code = read_default_reference(s);
    if (!code && s->reference) code = server_make_clip(s, session, s->reference, &s->clip);
    if (!code && !s->reference) code = begin_grey(s, session);
    if (!code) code = measure(s, session);
    if (!code)
        code =
            video_encoder_check((enum encoder_name)s->options.encoder, s->student.pixel_height, s->student.pixel_width);
    if (!code && !(s->pool = calloc((size_t)s->capacity, sizeof(struct session *))))
        code = error_set(ERR_DEVICE, "out of memory for sessions");
    if (code)
        session_close(session);
    else
        server_give_session(s, session);
    return code;
}

/* ---- the device thread ---- */

static void wait_for_work(struct server *s, double until) {
    struct timespec t;
    double wait = until - clock_seconds();
    clock_gettime(CLOCK_MONOTONIC, &t);
    wait = wait < 0 ? 0 : wait > 1 ? 1 : wait;
    long nanoseconds = t.tv_nsec + (long)(wait * 1e9);
    t.tv_sec += nanoseconds / 1000000000;
    t.tv_nsec = nanoseconds % 1000000000;
    pthread_cond_timedwait(&s->device, &s->lock, &t);
}

static void free_live(struct server *s, int index) {
    struct live *l = s->lives[index];
    memmove(s->lives + index, s->lives + index + 1, sizeof *s->lives * (size_t)(s->count - index - 1));
    s->count--;
    pthread_mutex_unlock(&s->lock);
    if (l->broken)
        session_close(l->session);
    else
        server_give_session(s, l->session);
    live_destroy(l);
    pthread_mutex_lock(&s->lock);
}

/* Does the most urgent piece of work, or waits for some. With the lock held. */
static void work_once(struct server *s) {
    static struct candidate candidates[SERVER_LIVES_MAX];
    double now = clock_seconds();
    s->busy_sessions = 0;
    for (int i = 0; i < s->count; i++) s->busy_sessions += s->lives[i]->admitted && s->lives[i]->connection;
    for (int i = 0; i < s->count; i++) candidates[i] = live_candidate(s->lives[i], now);
    int i = schedule_pick(candidates, s->count, now);
    if (i < 0)
        wait_for_work(s, schedule_wake(candidates, s->count));
    else if (s->lives[i]->phase == LIVE_ENDED)
        free_live(s, i);
    else
        live_work(s->lives[i]);
}

static void *run_device(void *argument) {
    struct server *s = argument;
    device_thread();
    shared_student_use(s->shared);
    pthread_mutex_lock(&s->lock);
    while (!s->stop || s->count) work_once(s);
    pthread_mutex_unlock(&s->lock);
    while (s->pooled) session_close(s->pool[--s->pooled]);
    return NULL;
}

static int open_agents(struct server *s) {
    struct agent_command command;
    if (!*s->options.agent) return OK;
    TRY(agent_command_open(&command, s->options.agent));
    s->agent_name = command.arguments[0][0] == '/' ? "command" : s->options.agent;
    return agents_open(&s->agents, s, &command);
}

static void no_network(void *network) { (void)network; }

int server_open(struct server *s, const char *folder, struct memory_plan *plan) {
    s->wake = no_network;
    pthread_condattr_t monotonic;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->device, &monotonic);
    pthread_condattr_destroy(&monotonic);
    TRY(open_agents(s));
    TRY(load_student(s, folder, plan));
    TRY(try_out(s, plan));
    if (pthread_create(&s->thread, NULL, run_device, s)) return error_set(ERR_DEVICE, "cannot start a thread");
    s->threaded = 1;
    return OK;
}

void server_end_sessions(struct server *s) {
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->count; i++) live_end(s->lives[i], CLOSE_GOING, NULL, "the server stops");
    pthread_mutex_unlock(&s->lock);
}

void server_close(struct server *s) {
    if (s->threaded) {
        server_end_sessions(s);
        pthread_mutex_lock(&s->lock);
        s->stop = 1;
        pthread_cond_signal(&s->device);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    agents_close(s->agents);
    while (s->pooled) session_close(s->pool[--s->pooled]);
    shared_student_close(s->shared);
    free(s->pool);
    free(s->clip.rgb);
    free(s->reference);
    free(s->unseen);
    free(s->agent);
    free(s->user);
    free(s->listen);
}

/* ---- who is admitted ---- */

void server_poke(struct server *s) {
    pthread_cond_signal(&s->device);
    s->wake(s->network);
}

static int count_lives(const struct server *s, int admitted) {
    int count = 0;
    for (int i = 0; i < s->count; i++) count += s->lives[i]->phase != LIVE_ENDED && s->lives[i]->admitted == admitted;
    return count;
}

int server_passes(const struct server *s) {
    int passes = 0;
    for (int i = 0; i < s->count; i++)
        if (s->lives[i]->phase != LIVE_ENDED && s->lives[i]->admitted) passes += live_passes(s->lives[i]);
    return passes;
}

static int places_left(const struct server *s) {
    int places = s->capacity - count_lives(s, 1), passes = s->passes_most - server_passes(s);
    return places < passes ? places : passes;
}

enum server_room server_room(const struct server *s) {
    if (s->stop || s->count == SERVER_LIVES_MAX) return SERVER_FULL;
    int queued = count_lives(s, 0);
    if (!queued && places_left(s) > 0) return SERVER_ROOM;
    return queued < s->options.queue ? SERVER_QUEUE : SERVER_FULL;
}

struct live *server_resume(struct server *s, const char *token) {
    for (int i = 0; i < s->count; i++)
        if (s->lives[i]->phase != LIVE_ENDED && !strcmp(s->lives[i]->token, token)) return s->lives[i];
    return NULL;
}

/* Admits the first of the queue while there is room, and tells the others their place. */
static void move_queue(struct server *s) {
    int room = places_left(s), place = 0;
    for (int i = 0; i < s->count; i++) {
        struct live *l = s->lives[i];
        if (l->phase == LIVE_ENDED || l->admitted) continue;
        if (room-- > 0) {
            live_admit(l);
            continue;
        }
        if (l->place != place && l->connection) {
            l->place = place;
            l->told = 1;
            live_say(l, words_queued(place, l->token));
        }
        place++;
    }
}

void server_tick(struct server *s, double now) {
    for (int i = 0; i < s->count; i++) live_tick(s->lives[i], now);
    move_queue(s);
}

void server_look(const struct server *s, struct metrics_now *now) {
    now->capacity = s->capacity;
    now->real_time_factor = s->real_time_factor;
    now->live = count_lives(s, 1);
    now->queued = count_lives(s, 0);
    for (int i = 0; i < s->count; i++) {
        now->detached += s->lives[i]->admitted && !s->lives[i]->connection;
        now->outbox_bytes += s->lives[i]->outbox.bytes;
        now->user_seconds += (double)s->lives[i]->microphone.waiting / AUDIO_RATE;
    }
}
