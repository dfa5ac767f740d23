/* live_work.c: makes a session's chunks, on the device thread. See live.h. For each chunk the sound of its video frames
   is decided under the lock; then network and codec work without it; then the pictures are handed to the encoder
   thread. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/progress.h"
#include "infer/serve/live.h"
#include "infer/serve/words.h"

enum { CLOSE_INTERNAL = 4006 };

/* ---- what is said and heard in a chunk ---- */

static void note_turn(struct live *l, long frame, const struct lane_frame *f) {
    struct turn_in_play *t = l->turn_count ? &l->turns[l->turn_count - 1] : NULL;
    if (!t || t->turn != f->turn) {
        t = &l->turns[l->turn_count++];
        *t = (struct turn_in_play){.turn = f->turn, .first_us = (int64_t)frame * FRAME_US};
        l->server->metrics.turns++;
    }
    t->frames++;
    t->end_us = (int64_t)(frame + 1) * FRAME_US;
    t->ended = f->last;
}

double live_decide_speech(struct live *l, long from, long count) {
    double came = 0;
    int speaks = live_can_speak(l, count);
    for (long i = 0; i < count; i++) {
        struct lane_frame *f = live_lane(l, from + i);
        memset(f, 0, sizeof *f);
        int ended;
        long frames;
        uint32_t turn = speech_next(&l->speech, &frames, &ended);
        if (!speaks || !frames) continue; /* silence: the rest of the turn's sound comes too late for this chunk */
        f->turn = turn;
        came = speech_take(&l->speech, f->pcm, &f->last);
        note_turn(l, from + i, f);
        if (!f->last) continue;
        live_settle_turns(l); /* takes turns without sound off the queue */
        speaks = live_can_speak(l, count - i - 1);
    }
    live_settle_turns(l);
    return came;
}

/* Writes the agent's sound as the network hears it, at 16 kHz. */
static void hear_agent(struct live *l, long from, long count, float *agent) {
    float pcm[SPEECH_FRAME_MAX];
    int n = l->wishes.agent_rate / VIDEO_RATE;
    for (long i = 0; i < count; i++, agent += AUDIO_SAMPLES_PER_FRAME) {
        const struct lane_frame *f = live_lane(l, from + i);
        for (int k = 0; k < n; k++) pcm[k] = (float)f->pcm[k] / 32768.f;
        if (n == AUDIO_SAMPLES_PER_FRAME)
            memcpy(agent, pcm, sizeof *pcm * AUDIO_SAMPLES_PER_FRAME);
        else
            resample_push(&l->agent_filter, pcm, n, agent);
    }
}

/* Takes the user's sound, when the last of it came, and the mask of where the avatar listens to it. 1: it does so
   somewhere. */
static int hear_user(struct live *l, long count, float *user, float *listen, double *came) {
    int somewhere = 0;
    microphone_take(&l->microphone, user, count * AUDIO_SAMPLES_PER_FRAME, came);
    for (long i = 0; i < count; i++) {
        float voice = voice_activity_push(&l->user_voice, user + i * AUDIO_SAMPLES_PER_FRAME);
        listen[i] = l->listens || (l->wishes.manual > 0 ? l->listening : voice > 0) ? 1 : 0;
        somewhere |= listen[i] > 0;
    }
    return somewhere;
}

static void set_state(struct live *l, enum live_state state, uint32_t turn, long from) {
    if (state == l->state && turn == l->state_turn) return;
    l->state = state;
    l->state_turn = turn;
    live_tell(l, words_state(live_state_names[state], turn, (int64_t)from * FRAME_US));
}

/* Sets the state that a chunk begins: speaking if any of its frames speaks. */
static void note_state(struct live *l, long from, long count, int listens) {
    for (long n = from; n < from + count; n++) {
        uint32_t turn = live_lane(l, n)->turn;
        if (!turn) continue;
        set_state(l, LIVE_SPEAKING, turn, n);
        return;
    }
    set_state(l, listens ? LIVE_LISTENING : LIVE_IDLE, 0, from);
}

/* ---- pictures ---- */

/* Blends new pictures in after a jump between clip and student. */
static void fade(struct live *l, unsigned char *rgb) {
    if (l->has_shown && l->fade > 0) {
        int old = l->fade--;
        for (size_t i = 0; i < l->server->picture; i++)
            rgb[i] = (unsigned char)((l->shown[i] * old + rgb[i] * (LIVE_FADE + 1 - old)) / (LIVE_FADE + 1));
    }
    if (l->server->loops) memcpy(l->shown, rgb, l->server->picture);
    l->has_shown = 1;
}

/* Hands the pictures in the slot over to the encoder thread. With the lock held. */
static void hand_over(struct live *l, long first, int count, int flags, const struct chunk_times *times) {
    l->slot.first = first;
    l->slot.flags = flags;
    l->slot.times = *times;
    l->slot.count = count;
    pthread_cond_signal(&l->work);
}

static void fail(struct live *l) {
    live_end(l, CLOSE_INTERNAL, "internal", error_text());
    l->broken = 1;
}

/* Tells the client of a change that was made with the chunk that begins here. */
static void say_changed(struct live *l, const struct live_change *change, long first) {
    if (!change->ready) return;
    live_say(l, words_changed((int64_t)first * FRAME_US));
    if (change->reference) l->need_key = 1; /* another person: a key frame costs no more than the difference */
}

/* ---- a chunk of the clip ---- */

static const struct clip *clip_of(const struct live *l) { return l->clip.count ? &l->clip : &l->server->clip; }

/* Makes the clip of another reference, from whose picture it begins. No cross-fade mixes two persons. */
static int renew_clip(struct live *l) {
    l->clip_old = 0;
    l->fade = 0;
    l->loop_at = 0;
    return server_make_clip(l->server, l->session, l->reference, &l->clip);
}

static void show_clip(struct live *l) {
    struct chunk_times times = {0};
    int count = l->server->chunk, listens;
    long first = l->end;
    if (!l->looping) {
        l->loop_at = 0;
        l->fade = l->has_shown ? LIVE_FADE : 0;
    }
    l->looping = 1;
    l->begun = 0;
    for (long n = l->heard_end; n < first + count; n++) memset(live_lane(l, n), 0, sizeof *l->lane);
    if (l->heard_end < first + count) l->heard_end = first + count;
    float *user = l->server->user, *listen = l->server->listen;
    listens = hear_user(l, count, user, listen, &times.user);
    note_state(l, first, count, listens && l->admitted);
    l->end += count;
    l->busy = 1;
    struct live_change change = live_change_take(l);
    pthread_mutex_unlock(&l->server->lock);
    int code = live_change_make(l, &change);
    if (!code && l->clip_old) code = renew_clip(l);
    for (int i = 0; i < count && !code; i++) {
        unsigned char *rgb = l->slot.rgb + (size_t)i * l->server->picture;
        memcpy(rgb, clip_frame(clip_of(l), l->loop_at++, l->server->picture), l->server->picture);
        fade(l, rgb);
    }
    pthread_mutex_lock(&l->server->lock);
    l->busy = 0;
    if (code) {
        fail(l);
        return;
    }
    say_changed(l, &change, first);
    hand_over(l, first, count, UNIT_CLIP, &times);
}

/* ---- a chunk of the student ---- */

/* The sound of a chunk that the student hears; host memory of the server's. */
struct chunk_sound {
    const float *agent, *user, *listen;
    long frames;
};

/* Begins the student with the reference, whose own picture comes first. */
static int begin_student(struct live *l, unsigned char *first) {
    return session_begin(l->session, l->reference, first);
}

static int push_sound(struct live *l, const struct chunk_sound *c) {
    for (long i = 0; i < c->frames; i++) {
        long at = i * AUDIO_SAMPLES_PER_FRAME;
        long taken =
            session_push(l->session, c->agent + at, c->user + at, AUDIO_SAMPLES_PER_FRAME, NULL, c->listen + i);
        if (taken < 0) return (int)-taken;
    }
    return session_ready(l->session) ? OK : error_set(ERR_DEVICE, "the sound of a chunk does not make it ready");
}

static int compute(struct live *l, const struct chunk_sound *c, struct live_change *change, int begins) {
    size_t picture = l->server->picture;
    unsigned char *frames = l->slot.rgb;
    TRY(live_change_make(l, change));
    if (begins) {
        TRY(begin_student(l, frames));
        frames += picture;
    }
    TRY(push_sound(l, c));
    int count = session_next_frames(l->session);
    TRY(session_take(l->session, frames, NULL));
    for (int i = 0; i < begins + count; i++) fade(l, l->slot.rgb + (size_t)i * picture);
    return OK;
}

/* Follows the time that chunks take, each with a weight of a sixteenth; one that was held up counts as at most twice
   the present value. */
static void follow_work(struct server *s, double seconds) {
    double most = 2 * s->chunk_seconds;
    s->chunk_seconds += ((seconds < most ? seconds : most) - s->chunk_seconds) / 16;
}

static void count_chunk(struct live *l, const struct chunk_times *times, double deadline) {
    struct metrics *m = &l->server->metrics;
    metrics_time(&m->waited, times->begun - times->due);
    metrics_time(&m->chunk, times->made - times->begun);
    follow_work(l->server, times->made - times->begun);
    m->chunks++;
    m->chunks_late += deadline > 0 && times->made > deadline;
}

/* Time since which the chunk that is begun now was due. */
static double due_since(const struct live *l, double begun) {
    double due = live_candidate(l, begun).due;
    return due > 0 && due < begun ? due : begun;
}

/* Breaks off the idle clip, so that a turn need not wait for its end: what the client has of it is not continued, and
   the cross-fade begins with the picture that it sees now. */
static void cut_clip(struct live *l) {
    int64_t left = (int64_t)l->end * FRAME_US - playback_position(&l->playback, clock_seconds());
    long unseen = (long)(left / FRAME_US), seen = l->loop_at - 1 - (unseen > 0 ? unseen : 0);
    memcpy(l->shown, clip_frame(clip_of(l), seen > 0 ? seen : 0, l->server->picture), l->server->picture);
    live_break_off(l);
}

static void run_student(struct live *l, double begun) {
    struct server *s = l->server;
    struct chunk_times times = {.begun = begun, .due = due_since(l, begun), .lead_us = live_lead_now(l)};
    int begins = !l->begun, count = begins ? 1 + s->first_chunk : s->chunk;
    long first = l->end, wanted = live_wanted(l);
    if (live_cuts_clip(l)) cut_clip(l);
    int plays = l->playback.at != PACING_NEVER;
    double deadline = plays ? playback_deadline(&l->playback, (int64_t)first * FRAME_US) : 0;
    if (begins) {
        l->heard_end = first;
        l->fade = l->has_shown ? LIVE_FADE : 0;
    }
    l->looping = 0;
    long from = l->heard_end;
    times.agent = live_decide_speech(l, from, wanted);
    hear_agent(l, from, wanted, s->agent);
    note_state(l, from, wanted, hear_user(l, wanted, s->user, s->listen, &times.user));
    if (l->listens) l->listens--;
    l->heard_end += wanted;
    l->end += count;
    l->busy = 1;
    struct live_change change = live_change_take(l);
    pthread_mutex_unlock(&s->lock);
    int code = compute(l, &(struct chunk_sound){s->agent, s->user, s->listen, wanted}, &change, begins);
    times.made = clock_seconds();
    pthread_mutex_lock(&s->lock);
    l->busy = 0;
    if (code) {
        fail(l);
        return;
    }
    l->begun = 1;
    count_chunk(l, &times, deadline);
    say_changed(l, &change, first);
    hand_over(l, first, count, 0, &times);
}

/* ---- the beginning ---- */

/* Makes the session's own idle clip from its reference. */
static int make_clip(struct live *l) {
    if (!l->server->loops) return OK;
    return server_make_clip(l->server, l->session, l->reference, &l->clip);
}

static void prepare(struct live *l) {
    struct server *s = l->server;
    l->busy = 1;
    pthread_mutex_unlock(&s->lock);
    int code = server_take_session(s, &l->session);
    if (!code) session_seed(l->session, (uint64_t)l->wishes.seed);
    if (!code) code = make_clip(l);
    pthread_mutex_lock(&s->lock);
    l->busy = 0;
    if (code) {
        fail(l);
        return;
    }
    if (l->phase == LIVE_PREPARED) l->phase = LIVE_RUNNING;
    s->metrics.created++;
}

void live_work(struct live *l) {
    double begun = clock_seconds();
    if (l->phase == LIVE_PREPARED)
        prepare(l);
    else if (live_wants_student(l))
        run_student(l, begun);
    else
        show_clip(l);
}
