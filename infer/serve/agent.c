/* agent.c: see agent.h. The session's side of an agent is guarded by the server's lock; the process's side belongs to
   the agents' thread, which reads and writes pipes without the lock. Sound and messages come through different pipes.
   The place in the sound to which an audio.end belongs is the number of samples that it gives, or else the end of what
   is in the sound's pipe when the message is read. */
#include "infer/serve/agent.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "infer/serve/lines.h"
#include "infer/serve/live.h"
#include "infer/serve/words.h"

enum {
    TICK_MS = 20,
    HEARD_MAX = AUDIO_RATE, /* samples that may wait for the process */
    TOLD_MAX = 1 << 16,     /* bytes of messages that may wait for it */
    SAID_PIECE = 1 << 16,   /* bytes of its sound that are read at once, and in a tick */
    MARKS = 64,             /* ends of turns that may lie ahead of the sound read so far */
    FAILURES = 5,           /* runs without a word, one after the other, after which it is given up */
    MESSAGES = 50,          /* messages of its own that are read in a second */
    LOG_LINE = 400,         /* bytes of a line of its standard error that are logged */
    LOG_LINES = 20          /* lines that are logged in a second */
};
/* Seconds. A process "with messages" has sent one in this run: it ends its turns itself. */
static const double start_again = 1; /* time between two starts */
static const double silence = 0.5;   /* time without sound that ends a turn of a process without messages */
static const double skipped = 2;     /* time for which interrupted sound of such a process is dropped */
static const double skipped_told =
    10;                         /* time for which it is dropped of a process with messages, if no audio.end comes */
static const double grace = 2;  /* time from SIGTERM to SIGKILL */
static const double look = 0.1; /* time between looks whether a process has ended */

/* Bytes that are being written into a pipe. */
struct piece {
    char bytes[4096];
    size_t length, at;
};
struct agent {
    struct agents *agents;
    struct agent *next;
    char id[TOKEN_LENGTH + 1]; /* id of the session */

    /* the session's side */
    struct live *live; /* NULL: the session is over */
    int16_t heard[HEARD_MAX];
    long heard_count;
    char told[TOLD_MAX];
    size_t told_bytes;
    int needed, interrupted, gave_up;
    long told_dropped;

    /* the process's side */
    struct agent_process process;
    int running;  /* 1: it runs, or it has ended and its pipes may still hold something */
    int spoke;    /* 1: in this run it has given sound or messages */
    int tells_us; /* 1: in this run it has sent messages, so it ends its turns itself */
    int failures;
    double started, looked, terminated; /* times; terminated 0: not yet */
    struct piece hears, is_told;
    struct lines tells, logs;
    unsigned char said[SAID_PIECE + 1];
    int odd;                     /* 1: said[0] is the first half of a sample */
    uint64_t said_bytes;         /* bytes of sound that were read in this run */
    uint64_t mark[MARKS], ended; /* places counted like said_bytes: ends of turns to come; the last end of all */
    int marks;
    uint64_t skip_to;   /* place before which sound is dropped */
    double skips_until; /* time until which all sound is dropped, unless the end of a turn comes first; 0: none is */
    double quiet_since;
    double second; /* beginning of the second for which log_lines and messages are counted */
    int log_lines, messages;
};
struct agents {
    struct server *server;
    struct agent_command command;
    pthread_t thread;
    int event; /* wakes the thread */
    int stop;
    struct agent *first;
};

/* ---- the session's side ---- */

static void wake(const struct agents *s) {
    uint64_t one = 1;
    while (write(s->event, &one, sizeof one) < 0 && errno == EINTR) continue;
}

struct agent *agent_open(struct agents *s, struct live *l) {
    struct agent *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    a->agents = s;
    a->live = l;
    a->needed = 1;
    for (int i = 0; i < AGENT_PIPES; i++) a->process.pipe[i] = -1;
    snprintf(a->id, sizeof a->id, "%s", l->id);
    a->next = s->first;
    s->first = a;
    wake(s);
    return a;
}

void agent_leave(struct agent *a) {
    a->live = NULL;
    wake(a->agents);
}

void agent_hear(struct agent *a, const float *pcm, long samples) {
    if (samples > HEARD_MAX) {
        pcm += samples - HEARD_MAX;
        samples = HEARD_MAX;
    }
    long over = a->heard_count + samples - HEARD_MAX;
    if (over > 0) {
        a->heard_count -= over;
        memmove(a->heard, a->heard + over, (size_t)a->heard_count * sizeof *a->heard);
    }
    for (long i = 0; i < samples; i++) {
        float v = pcm[i] * 32768;
        a->heard[a->heard_count++] = (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v);
    }
}

void agent_tell(struct agent *a, char *message, int needs) {
    size_t length = message ? strlen(message) : 0;
    if (length && a->told_bytes + length + 1 <= TOLD_MAX) {
        memcpy(a->told + a->told_bytes, message, length);
        a->told_bytes += length;
        a->told[a->told_bytes++] = '\n';
    } else if (!a->told_dropped++) {
        log_line("event=agent.not_reading session=%s message=\"it does not read descriptor 3; messages are dropped\"",
                 a->id);
    }
    a->needed |= needs;
    free(message);
    wake(a->agents);
}

void agent_interrupt(struct agent *a) {
    a->interrupted = 1;
    agent_tell(a, words_only("interrupt"), 0);
}

int agent_gave_up(const struct agent *a) { return a->gave_up; }

/* ---- into the pipes ---- */

/* Moves what waits into the pieces to be written, as far as there is room; sound by whole samples, so that dropping
   never cuts one. */
static void fetch(struct agent *a) {
    if (a->hears.at == a->hears.length && a->heard_count) {
        size_t most = sizeof a->hears.bytes / sizeof *a->heard, have = (size_t)a->heard_count;
        size_t n = have < most ? have : most;
        memcpy(a->hears.bytes, a->heard, n * sizeof *a->heard);
        memmove(a->heard, a->heard + n, (have - n) * sizeof *a->heard);
        a->heard_count -= (long)n;
        a->hears.length = n * sizeof *a->heard;
        a->hears.at = 0;
    }
    if (a->is_told.at == a->is_told.length && a->told_bytes) {
        size_t n = a->told_bytes < sizeof a->is_told.bytes ? a->told_bytes : sizeof a->is_told.bytes;
        memcpy(a->is_told.bytes, a->told, n);
        memmove(a->told, a->told + n, a->told_bytes - n);
        a->told_bytes -= n;
        a->is_told.length = n;
        a->is_told.at = 0;
    }
}

static void write_piece(struct agent *a, enum agent_pipe pipe, struct piece *p) {
    if (p->at == p->length || a->process.pipe[pipe] < 0) return;
    ssize_t n = write(a->process.pipe[pipe], p->bytes + p->at, p->length - p->at);
    if (n > 0)
        p->at += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR)
        agent_process_close(&a->process, pipe);
}

/* ---- out of the log ---- */

static void count_anew(struct agent *a, double now) {
    if (now - a->second < 1) return;
    if (a->log_lines > LOG_LINES) log_line("event=agent.log session=%s dropped=%d", a->id, a->log_lines - LOG_LINES);
    a->second = now;
    a->log_lines = a->messages = 0;
}

static void log_text(struct agent *a, char *text) {
    if (a->log_lines++ >= LOG_LINES) return;
    size_t end = strlen(text);
    if (end > LOG_LINE)
        for (end = LOG_LINE; end && (text[end] & 0xc0) == 0x80;) end--;
    text[end] = 0;
    int is_text = text_is_utf8(text);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127) *c = ' ';
        if (*c == '"') *c = '\'';
        if ((unsigned char)*c > 127 && !is_text) *c = '?';
    }
    log_line("event=agent.log session=%s text=\"%s\"", a->id, text);
}

static void read_log(struct agent *a) {
    int pipe = a->process.pipe[AGENT_LOGS];
    if (pipe < 0) return;
    int end = lines_fill(&a->logs, pipe) < 0;
    for (char *line; (line = lines_next(&a->logs));) log_text(a, line);
    char *rest = end ? lines_rest(&a->logs) : NULL;
    if (rest) log_text(a, rest);
    if (end) agent_process_close(&a->process, AGENT_LOGS);
}

/* ---- out of the words ---- */

/* Place of the end of the sound that is in the pipe now and has not been read. */
static uint64_t sound_end(const struct agent *a) {
    int waits = 0, pipe = a->process.pipe[AGENT_SAYS];
    if (pipe >= 0) ioctl(pipe, FIONREAD, &waits);
    return a->said_bytes + (uint64_t)waits;
}

/* Marks the end of a turn: the end of the sound that has been written so far, or an earlier place that it gives. */
static void mark_end(struct agent *a, int64_t samples) {
    uint64_t end = sound_end(a), said = a->ended + 2 * (uint64_t)samples;
    if (samples >= 0 && said < end) end = said > a->said_bytes ? said : a->said_bytes;
    a->ended = a->mark[a->marks++] = end;
    if (a->skips_until > 0) a->skip_to = a->ended;
    a->skips_until = 0;
}

/* Drops the sound that has been written so far. */
static void forget(struct agent *a) {
    a->ended = a->skip_to = sound_end(a);
    a->skips_until = 0;
    a->marks = 0;
}

static void take_message(struct agent *a, const char *line) {
    struct message m;
    struct server *s = a->agents->server;
    if (message_parse(&m, line, strlen(line))) {
        char why[LOG_LINE];
        snprintf(why, sizeof why, "descriptor 4: %s", error_text());
        log_text(a, why);
        return;
    }
    if (m.type != MESSAGE_UNKNOWN) a->spoke = a->tells_us = 1;
    if (m.type == MESSAGE_END) mark_end(a, m.samples);
    if (m.type == MESSAGE_INTERRUPT) forget(a);
    pthread_mutex_lock(&s->lock);
    if (a->live) live_agent_message(a->live, &m);
    pthread_mutex_unlock(&s->lock);
    message_free(&m);
}

static void read_words(struct agent *a) {
    int pipe = a->process.pipe[AGENT_TELLS];
    if (pipe < 0) return;
    int end = lines_fill(&a->tells, pipe) < 0;
    for (char *line; a->marks < MARKS && a->messages < MESSAGES && (line = lines_next(&a->tells)); a->messages++)
        take_message(a, line);
    if (end) agent_process_close(&a->process, AGENT_TELLS);
}

/* ---- out of the sound ---- */

/* Begins to drop what was interrupted: all that is in the pipe, and what follows, unless the turn has its end there. */
static void skip(struct agent *a, double now) {
    uint64_t end = sound_end(a);
    a->skip_to = end;
    a->skips_until = end > a->ended ? now + (a->tells_us ? skipped_told : skipped) : 0;
    a->quiet_since = now;
}

/* Takes n new bytes, which lie behind said[0..odd). With the lock held. */
static void take_sound(struct agent *a, size_t n, double now) {
    uint64_t from = a->said_bytes;
    a->said_bytes += n;
    if (a->interrupted) skip(a, now);
    a->interrupted = 0;
    int drops = a->skips_until > 0 || from < a->skip_to;
    a->spoke = 1;
    n += (size_t)a->odd;
    if (!drops && a->live && n > 1) live_agent_sound(a->live, a->said, (long)(n / 2));
    a->odd = n & 1;
    if (a->odd) a->said[0] = a->said[n - 1];
}

/* Ends the turns whose end the sound has reached, or of which nothing more comes. With the lock held. */
static void end_turns(struct agent *a, double now) {
    while (a->marks && a->mark[0] <= a->said_bytes) {
        memmove(a->mark, a->mark + 1, sizeof *a->mark * (size_t)--a->marks);
        a->odd = 0;
        if (a->live) live_agent_pause(a->live);
    }
    if (a->tells_us || now - a->quiet_since < silence) return;
    a->skips_until = 0;
    if (a->live) live_agent_pause(a->live);
}

/* Number of bytes that may be read: as many as there is room for, and not beyond a mark. */
static size_t readable(const struct agent *a, long room) {
    uint64_t most = SAID_PIECE, next = a->said_bytes < a->skip_to ? a->skip_to : UINT64_MAX;
    if (a->marks && a->mark[0] > a->said_bytes && a->mark[0] < next) next = a->mark[0];
    int drops = a->skips_until > 0 || a->said_bytes < a->skip_to;
    if (!drops && most > 2 * (uint64_t)room) most = 2 * (uint64_t)room;
    return next - a->said_bytes < most ? (size_t)(next - a->said_bytes) : (size_t)most;
}

/* Reads sound. Returns 1 while there may be more at once. */
static int read_sound(struct agent *a, long room, double now) {
    struct server *s = a->agents->server;
    int pipe = a->process.pipe[AGENT_SAYS];
    if (now > a->skips_until) a->skips_until = 0;
    size_t most = readable(a, room);
    ssize_t n = pipe < 0 || !most ? 0 : read(pipe, a->said + a->odd, most);
    int empty = n < 0 && (errno == EAGAIN || errno == EINTR), end = pipe < 0 || (most && n <= 0 && !empty);
    if (n > 0 || !most) a->quiet_since = now; /* not reading for lack of room is no silence */
    if (pipe >= 0 && end) agent_process_close(&a->process, AGENT_SAYS);
    pthread_mutex_lock(&s->lock);
    if (n > 0) take_sound(a, (size_t)n, now);
    end_turns(a, now);
    pthread_mutex_unlock(&s->lock);
    return !end && !empty;
}

/* ---- beginning and end of a process ---- */

static void fail(struct agent *a, const char *why) {
    struct server *s = a->agents->server;
    int gives_up = ++a->failures == FAILURES;
    if (gives_up) log_line("event=agent.gave_up session=%s runs=%d message=\"%s\"", a->id, FAILURES, why);
    pthread_mutex_lock(&s->lock);
    a->gave_up = gives_up;
    s->metrics.agents_failed++;
    if (a->live) live_agent_gone(a->live);
    pthread_mutex_unlock(&s->lock);
}

static void start(struct agent *a, double now) {
    a->started = a->looked = a->quiet_since = now;
    a->hears.length = a->hears.at = a->is_told.length = a->is_told.at = 0;
    a->tells.length = a->tells.at = a->logs.length = a->logs.at = 0;
    a->tells.cut = a->logs.cut = a->odd = a->marks = a->spoke = a->tells_us = 0;
    a->said_bytes = a->ended = a->skip_to = 0;
    a->skips_until = a->terminated = 0;
    if (agent_process_start(&a->process, &a->agents->command)) {
        log_line("event=agent.failed session=%s message=\"%s\"", a->id, error_text());
        fail(a, "it cannot be started");
        return;
    }
    a->running = 1;
    log_line("event=agent.started session=%s pid=%d", a->id, (int)a->process.pid);
}

static void reap(struct agent *a) {
    int pid = (int)a->process.pid, code = agent_process_reap(&a->process);
    log_line("event=agent.ended session=%s pid=%d code=%d seconds=%.1f", a->id, pid, code,
             clock_seconds() - a->started);
}

static void close_pipes(struct agent *a) {
    for (int i = 0; i < AGENT_PIPES; i++) agent_process_close(&a->process, (enum agent_pipe)i);
}

/* Finishes a run: the process has ended and all that it said has been read, so its turn is over too. */
static void finish(struct agent *a) {
    struct server *s = a->agents->server;
    read_words(a);
    read_log(a);
    close_pipes(a);
    a->running = 0;
    pthread_mutex_lock(&s->lock);
    if (a->live) live_agent_pause(a->live);
    pthread_mutex_unlock(&s->lock);
    if (a->spoke)
        a->failures = 0;
    else
        fail(a, "it ends without a word");
}

static void look_for_end(struct agent *a, double now) {
    if (!a->process.pid || now - a->looked < look) return;
    a->looked = now;
    if (agent_process_ended(&a->process)) reap(a);
}

/* Ends the agent of a session that is over. 1: it may be freed. */
static int end(struct agent *a, double now) {
    if (a->process.pid && a->terminated <= 0) {
        close_pipes(a);
        agent_process_signal(&a->process, SIGTERM);
        a->terminated = now;
    }
    if (a->process.pid && now - a->terminated > grace) agent_process_signal(&a->process, SIGKILL);
    if (a->process.pid && agent_process_ended(&a->process)) reap(a);
    if (a->process.pid) return 0;
    if (a->running) close_pipes(a);
    return 1;
}

/* ---- the thread ---- */

static void serve(struct agent *a, double now) {
    struct server *s = a->agents->server;
    count_anew(a, now);
    read_words(a);
    pthread_mutex_lock(&s->lock);
    int starts = !a->running && a->needed && !a->gave_up && (a->started <= 0 || now - a->started >= start_again);
    long room = a->live ? live_agent_room(a->live) : 0;
    if (a->interrupted && a->running) skip(a, now);
    a->interrupted = 0;
    if (starts) a->needed = 0;
    s->metrics.agents_started += starts;
    if (a->running) fetch(a);
    pthread_mutex_unlock(&s->lock);
    if (starts) start(a, now);
    if (!a->running) return;
    write_piece(a, AGENT_HEARS, &a->hears);
    write_piece(a, AGENT_IS_TOLD, &a->is_told);
    read_log(a);
    look_for_end(a, now);
    int more = read_sound(a, room, now);
    if (!a->process.pid && !more) finish(a);
}

/* Serves every agent once. Returns how many there are. */
static int serve_all(struct agents *s) {
    int count = 0;
    double now = clock_seconds();
    pthread_mutex_lock(&s->server->lock);
    struct agent **at = &s->first;
    while (*at) { /* an agent that is opened meanwhile is put at the front */
        struct agent *a = *at;
        int over = !a->live;
        pthread_mutex_unlock(&s->server->lock);
        int gone = over && end(a, now);
        if (!over) serve(a, now);
        pthread_mutex_lock(&s->server->lock);
        if (gone) {
            while (*at != a) at = &(*at)->next;
            *at = a->next;
            free(a);
        } else {
            at = &a->next;
            count++;
        }
    }
    count += s->first != NULL && !count;
    pthread_mutex_unlock(&s->server->lock);
    return count;
}

static void *run(void *argument) {
    struct agents *s = argument;
    for (int count = 0;;) {
        uint64_t events;
        struct pollfd event = {.fd = s->event, .events = POLLIN};
        if (poll(&event, 1, count ? TICK_MS : -1) > 0 && read(s->event, &events, sizeof events) < 0 && errno != EINTR)
            continue;
        count = serve_all(s);
        pthread_mutex_lock(&s->server->lock);
        int stop = s->stop && !count;
        pthread_mutex_unlock(&s->server->lock);
        if (stop) return NULL;
    }
}

int agents_open(struct agents **agents, struct server *server, const struct agent_command *command) {
    struct agents *s = *agents = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory for agents");
    s->server = server;
    s->command = *command;
    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->event >= 0 && !pthread_create(&s->thread, NULL, run, s)) return OK;
    if (s->event >= 0) close(s->event);
    free(s);
    *agents = NULL;
    return error_set(ERR_DEVICE, "cannot start a thread for agents");
}

void agents_close(struct agents *s) {
    if (!s) return;
    pthread_mutex_lock(&s->server->lock);
    s->stop = 1;
    pthread_mutex_unlock(&s->server->lock);
    wake(s);
    pthread_join(s->thread, NULL);
    close(s->event);
    free(s);
}
