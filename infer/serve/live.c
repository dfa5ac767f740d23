/* live.c: see live.h. Begins and ends a session, sees to its connection, and says when the device has work for it. */
#include "infer/serve/live.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "infer/serve/words.h"

enum {
    SHORT_FRAMES = 2, /* frames that a turn which goes on may lack of a chunk, because its sound comes with jitter */
    REFERENCE_SECONDS = 30,
    SILENT_SECONDS = 300,
    STUCK_SECONDS = 30,
    CLOSE_TIMEOUT = 4001,
    CLOSE_SILENT = 4002,
    CLOSE_STUCK = 4003
};
const char *const live_state_names[] = {"idle", "listening", "speaking"};

void live_say(struct live *l, char *text) {
    if (text && l->connection) outbox_text(&l->outbox, text);
    free(text);
    server_poke(l->server);
}

void live_tell(struct live *l, char *text) {
    char *copy = l->agent && text ? strdup(text) : NULL;
    if (copy) agent_tell(l->agent, copy, 0);
    live_say(l, text);
}

struct lane_frame *live_lane(struct live *l, long frame) {
    return &l->lane[frame % l->lane_frames];
}

static void random_name(char name[TOKEN_LENGTH + 1]) {
    unsigned char bytes[TOKEN_LENGTH / 2];
    while (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) continue;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(name + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- beginning and end ---- */

static int allocate(struct live *l) {
    const struct server *s = l->server;
    size_t pictures = (size_t)(1 + s->chunk) * s->picture;
    l->lane_frames = 4 * s->chunk + 2 * s->ahead + 2;
    l->lane = calloc((size_t)l->lane_frames, sizeof *l->lane);
    l->slot.rgb = malloc(pictures);
    l->shown = malloc(s->picture);
    return l->lane && l->slot.rgb && l->shown ? OK : error_set(ERR_DEVICE, "out of memory for a session");
}

static int open_live(struct live *l) {
    TRY(allocate(l));
    if (pthread_create(&l->thread, NULL, live_encode, l)) return error_set(ERR_DEVICE, "cannot start a thread");
    l->threaded = 1;
    return OK;
}

int live_create(struct live **out, struct server *server, const struct wishes *wishes, int admitted) {
    struct live *l = *out = calloc(1, sizeof *l);
    if (!l) return error_set(ERR_DEVICE, "out of memory for a session");
    l->server = server;
    l->wishes = *wishes;
    l->admitted = admitted;
    l->place = -1;
    l->created = l->heard = l->wrote = clock_seconds();
    random_name(l->id);
    random_name(l->token);
    outbox_open(&l->outbox);
    speech_open(&l->speech, wishes->agent_rate);
    talk_reset(&l->talk);
    live_change_open(&l->change);
    pthread_cond_init(&l->work, NULL);
    playback_begin(&l->playback, 0, l->created);
    l->playback.assumed = wishes->assumed;
    if (wishes->seed < 0 && getrandom(&l->wishes.seed, sizeof l->wishes.seed, 0)) l->wishes.seed &= INT64_MAX;
    int code = open_live(l);
    if (code) {
        live_destroy(l);
        *out = NULL;
    }
    return code;
}

void live_destroy(struct live *l) {
    if (l->threaded) {
        pthread_mutex_lock(&l->server->lock);
        l->stop = 1;
        pthread_cond_signal(&l->work);
        pthread_mutex_unlock(&l->server->lock);
        pthread_join(l->thread, NULL);
    }
    video_encoder_close(l->encoder);
    outbox_clear(&l->outbox);
    speech_close(&l->speech);
    pthread_cond_destroy(&l->work);
    free(l->lane);
    free(l->slot.rgb);
    free(l->shown);
    free(l->reference);
    free(l->upload);
    live_change_free(&l->change);
    free(l->clip.rgb);
    free(l);
}

void live_end(struct live *l, int close_code, const char *code, const char *message) {
    if (l->phase == LIVE_ENDED) return;
    log_line("event=session.ended session=%s close=%d error=%s seconds=%.1f message=\"%s\"", l->id, close_code,
             code ? code : "none", clock_seconds() - l->created, message ? message : "");
    if (l->connection) l->server->part(l->connection, code ? words_error(code, message, 1) : NULL, close_code);
    l->connection = NULL;
    l->phase = LIVE_ENDED;
    live_agent_close(l);
    l->server->metrics.finished++;
    l->server->metrics.pictures_dropped += l->outbox.dropped;
    server_poke(l->server);
}

/* ---- the connection ---- */

static void say_created(struct live *l, int resumed) {
    const struct server *s = l->server;
    l->told |= l->connection != NULL;
    live_say(l, words_created(&(struct words_created){
                    .session = l->id,
                    .token = l->token,
                    .agent = l->agent ? s->agent_name : "",
                    .codec = video_codec_names[video_encoder_codec(l->encoder)],
                    .decoder = video_encoder_decoder(l->encoder),
                    .resumed = resumed,
                    .resume_seconds = (int)s->options.keep,
                    .width = s->student.pixel_width,
                    .height = s->student.pixel_height,
                    .agent_rate = l->wishes.agent_rate,
                    .user_rate = l->wishes.user_rate,
                    .chunk_us = (int64_t)s->chunk * FRAME_US,
                    .ahead_us = (int64_t)s->ahead * FRAME_US,
                    .lead_us = live_lead(l),
                    .next_agent = l->expected[UNIT_AGENT],
                    .next_user = l->expected[UNIT_USER],
                }));
    live_say(l, words_state(live_state_names[l->state], l->state_turn, (int64_t)l->end * FRAME_US));
}

void live_break_off(struct live *l) {
    outbox_drop_units(&l->outbox);
    for (int k = 0; k < UNIT_KINDS; k++) l->need_first[k] = 1;
    l->need_key = 1;
    l->not_before = l->end;
    playback_begin(&l->playback, (int64_t)l->end * FRAME_US, clock_seconds());
}

void live_attach(struct live *l, void *connection, int resumed) {
    l->connection = connection;
    l->attached = l->heard = l->wrote = clock_seconds();
    live_break_off(l);
    if (!resumed) return;
    l->resumed = 1;
    if (!l->upload_whole) l->upload_bytes = 0; /* the client cannot know how much had come, so it sends all again */
    live_change_resume(l);
    l->server->metrics.resumed++;
    log_line("event=session.resumed session=%s away=%.1f", l->id, l->heard - l->detached);
    l->place = -1;
    if (l->phase == LIVE_WAITING) return; /* it keeps the token that it was told */
    random_name(l->token);
    say_created(l, 1);
}

void live_detach(struct live *l) {
    l->connection = NULL;
    l->detached = clock_seconds();
    outbox_clear(&l->outbox);
    log_line("event=session.detached session=%s", l->id);
    if (!l->told) live_end(l, 1000, NULL, NULL); /* it has no token to come back with */
}

void live_admit(struct live *l) {
    l->admitted = 1;
    log_line("event=session.admitted session=%s waited=%.1f", l->id, clock_seconds() - l->created);
    live_prepare(l);
}

void live_prepare(struct live *l) {
    if (l->phase != LIVE_WAITING || !l->admitted || !l->reference) return;
    l->phase = LIVE_PREPARED;
    live_agent_open(l);
    live_break_off(l); /* until now the server's idle clip was shown, or nothing */
    l->looping = 0;
    say_created(l, 0);
    server_poke(l->server);
}

/* ---- turns ---- */

/* Moves turns that ended without any sound to the turns in play; they are over when those before them are. */
static void pass_silent(struct live *l) {
    uint32_t turn;
    while (l->turn_count < LIVE_TURNS && (turn = speech_pass(&l->speech))) {
        int64_t end = l->turn_count ? l->turns[l->turn_count - 1].end_us : 0;
        l->turns[l->turn_count++] = (struct turn_in_play){.turn = turn, .first_us = -1, .end_us = end, .ended = 1};
    }
}

void live_settle_turns(struct live *l) {
    for (int i = 0; i < l->turn_count; i++) {
        int waits = 0;
        for (int k = 0; k < l->speech.count; k++) waits |= l->speech.turns[k].turn == l->turns[i].turn;
        if (!waits) l->turns[i].ended = 1;
    }
    pass_silent(l);
}

static void report_finished(struct live *l, int64_t position) {
    int kept = 0;
    for (int i = 0; i < l->turn_count; i++) {
        const struct turn_in_play *t = &l->turns[i];
        if (t->ended && position >= t->end_us)
            live_tell(l, words_finished(t->turn, (int64_t)t->frames * FRAME_US, 0, 0));
        else
            l->turns[kept++] = *t;
    }
    l->turn_count = kept;
    pass_silent(l); /* there may be room for silent turns now */
}

int64_t live_wall_us(double at) {
    struct timespec t;
    if (at <= 0) return 0;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - (int64_t)(1e6 * (clock_seconds() - at));
}

void live_say_clock(struct live *l, int64_t client_us) {
    live_say(l, words_clock(live_wall_us(clock_seconds()), (int64_t)l->end * FRAME_US, client_us));
}

/* Sees to time-outs. 1: the session ended, or its connection did. */
static int time_out(struct live *l, double now) {
    if (!l->connection) {
        if (now - l->detached < l->server->options.keep) return 0;
        live_end(l, 1000, NULL, "nobody came back");
    } else if (now - l->heard > SILENT_SECONDS) {
        live_end(l, CLOSE_SILENT, NULL, "the client is silent");
    } else if (l->phase == LIVE_WAITING && l->admitted && now - l->attached > REFERENCE_SECONDS) {
        live_end(l, CLOSE_TIMEOUT, NULL, "no reference came");
    } else if (l->outbox.first && now - l->wrote > STUCK_SECONDS) {
        l->server->part(l->connection, NULL, CLOSE_STUCK);
        live_detach(l);
    } else {
        return 0;
    }
    return 1;
}

void live_tick(struct live *l, double now) {
    if (l->phase == LIVE_ENDED || time_out(l, now)) return;
    live_change_tick(l, now);
    if (!l->outbox.first) l->wrote = now;
    if (l->phase != LIVE_RUNNING || !l->connection) return;
    report_finished(l, playback_position(&l->playback, now));
    if (now - l->clock_at < 1) return;
    l->clock_at = now;
    live_say_clock(l, -1);
}

/* ---- when the device has work for it ---- */

int64_t live_lead(const struct live *l) {
    const struct server *s = l->server;
    int wished = l->wishes.lead_ms > 0 ? l->wishes.lead_ms : 0;
    return pacing_lead((int64_t)s->chunk * FRAME_US, s->chunk_seconds, s->busy_sessions, (int64_t)wished * 1000);
}

int64_t live_lead_now(const struct live *l) {
    const struct server *s = l->server;
    if (live_can_speak(l, live_wanted(l))) return live_lead(l);
    return pacing_lead((int64_t)s->chunk * FRAME_US, s->chunk_seconds, s->busy_sessions, 0);
}

long live_wanted(const struct live *l) {
    const struct server *s = l->server;
    return l->begun ? s->chunk : 1 + s->first_chunk + s->ahead;
}

int live_can_speak(const struct live *l, long wanted) {
    long frames;
    int ended;
    uint32_t turn = speech_next(&l->speech, &frames, &ended);
    if (!turn || !frames) return 0;
    int goes_on = l->turn_count && l->turns[l->turn_count - 1].turn == turn;
    if (!goes_on && l->turn_count == LIVE_TURNS) return 0; /* waits until one of those in play has been played */
    return ended || frames >= wanted - (goes_on ? SHORT_FRAMES : 0);
}

int live_wants_student(const struct live *l) {
    if (!l->admitted) return 0;
    if (!l->server->loops || l->listening || l->listens || l->state == LIVE_LISTENING) return 1;
    struct live *lanes = (struct live *)l;
    for (long n = l->end; n < l->heard_end; n++)
        if (live_lane(lanes, n)->turn) return 1;
    return live_can_speak(l, live_wanted(l));
}

int live_cuts_clip(const struct live *l) { return l->looping && l->phase == LIVE_RUNNING && live_wants_student(l); }

struct candidate live_candidate(const struct live *l, double now) {
    const struct candidate nothing = {PACING_NEVER, PACING_NEVER};
    int64_t end = (int64_t)l->end * FRAME_US;
    if (l->busy) return nothing;
    if (l->phase == LIVE_ENDED) return (struct candidate){0, -PACING_NEVER}; /* first, because it frees its place */
    double deadline = playback_deadline(&l->playback, end);
    if (l->phase == LIVE_PREPARED) return (struct candidate){0, deadline};
    int shows = l->phase == LIVE_RUNNING || (!l->admitted && l->server->clip.count);
    if (!shows || !l->connection || l->slot.count) return nothing;
    if (live_cuts_clip(l)) return (struct candidate){0, fmin(now, deadline)}; /* goes before all that are not late */
    return (struct candidate){playback_due(&l->playback, end, live_lead_now(l)), deadline};
}
