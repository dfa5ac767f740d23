/* live_change.c: what a client changes while streaming: its way from a message to the next chunk. See live.h.

     session.change, pieces of a picture   network thread   -> asked, upload
     asked, upload                         session's thread -> reference, prompt, talk, listen
     these                                 device thread    -> the session of the student, before its next chunk

   All that a message says takes effect with the same chunk. What is wrong with it is said, and changes nothing. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/progress.h"
#include "infer/serve/live.h"
#include "infer/serve/reference.h"
#include "infer/serve/words.h"

enum { UPLOAD_SECONDS = 30 };

static const struct change_request nothing = {.reference = REFERENCE_STAYS, .talk = -1, .listen = -1};

void live_change_open(struct live_change *c) { *c = (struct live_change){.asked = nothing, .talk = 1, .listen = 1}; }

static void forget_asked(struct live_change *c) {
    free(c->asked.prompt);
    free(c->upload);
    c->asked = nothing;
    c->upload = NULL;
    c->upload_bytes = 0;
    c->waits = c->uploaded = c->reserved = 0;
}

void live_change_free(struct live_change *c) {
    forget_asked(c);
    free(c->reference);
    free(c->prompt);
    c->reference = c->prompt = NULL;
}

int live_passes(const struct live *l) {
    int passes = rollout_guided_passes(l->change.talk, l->change.listen);
    return passes > l->change.reserved ? passes : l->change.reserved;
}

/* ---- what the client asks for ---- */

static void refuse(struct live *l, const char *code, const char *why) { live_say(l, words_error(code, why, 0)); }

/* Counts a message. 1: there have been too many. */
static int too_many(struct live_change *c) {
    double now = clock_seconds(), used = c->used - LIVE_CHANGES_A_SECOND * (now - c->asked_at);
    used = used > 0 ? used : 0;
    if (used + 1 > LIVE_CHANGES_AT_ONCE) return 1;
    c->used = used + 1;
    c->asked_at = now;
    return 0;
}

/* Reserves the passes of the guidance asked for. 0: the device has no time for them. */
static int reserve(struct live *l, const struct change_request *r) {
    const struct server *s = l->server;
    struct live_change *c = &l->change;
    double talk = r->talk >= 0 ? r->talk : c->asked.talk >= 0 ? c->asked.talk : c->talk;
    double listen = r->listen >= 0 ? r->listen : c->asked.listen >= 0 ? c->asked.listen : c->listen;
    int before = live_passes(l), after = rollout_guided_passes(talk, listen);
    if (after > before && server_passes(s) - before + after > s->passes_most) return 0;
    if (after > c->reserved) c->reserved = after;
    return 1;
}

/* Adds a request to what waits, and takes over its prompt. */
static void add(struct live_change *c, struct change_request *r) {
    if (r->talk >= 0) c->asked.talk = r->talk;
    if (r->listen >= 0) c->asked.listen = r->listen;
    if (r->prompt) {
        free(c->asked.prompt);
        c->asked.prompt = r->prompt;
        r->prompt = NULL;
    }
    c->waits = 1;
    if (r->reference == REFERENCE_STAYS) return;
    free(c->upload);
    c->upload = NULL;
    c->upload_bytes = 0;
    c->uploaded = 0;
    c->asked.reference = r->reference;
    strcpy(c->asked.person, r->person);
}

void live_change_ask(struct live *l, struct message *m) {
    struct change_request *r = &m->change;
    if (too_many(&l->change))
        refuse(l, "change_busy", "more changes than 8 at once or 2 a second; this one was dropped");
    else if (*m->fault)
        refuse(l, "bad_change", m->fault);
    else if (l->phase == LIVE_WAITING)
        refuse(l, "bad_change", "the session has not begun: changes come after session.created");
    else if (r->reference != REFERENCE_STAYS && l->server->student.rollout.causal.sink < 1)
        refuse(l, "bad_change", "this student has no sink, so that its reference cannot change");
    else if (!reserve(l, r))
        refuse(l, "change_busy", "the device has no time left for the passes that this guidance takes");
    else
        add(&l->change, r);
    pthread_cond_signal(&l->work);
}

void live_change_picture(struct live *l, const struct unit *u, const unsigned char *payload) {
    struct live_change *c = &l->change;
    if (c->asked.reference != REFERENCE_UPLOAD || c->uploaded) return;
    int large = c->upload_bytes + u->length > REFERENCE_BYTES_MAX;
    unsigned char *bytes = large ? NULL : realloc(c->upload, c->upload_bytes + u->length + 1);
    if (!bytes) {
        forget_asked(c);
        refuse(l, "bad_change", large ? "the reference has more than 8 MiB" : "out of memory for a reference");
        return;
    }
    c->upload = bytes;
    memcpy(bytes + c->upload_bytes, payload, u->length);
    c->upload_bytes += u->length;
    c->uploaded = (u->flags & UNIT_LAST) != 0;
    if (c->uploaded) pthread_cond_signal(&l->work);
}

/* 1: a picture that was announced is not there yet. */
static int uploads(const struct live_change *c) {
    return c->waits && c->asked.reference == REFERENCE_UPLOAD && !c->uploaded;
}

void live_change_resume(struct live *l) {
    if (uploads(&l->change)) forget_asked(&l->change);
}

void live_change_tick(struct live *l, double now) {
    if (!uploads(&l->change) || now - l->change.asked_at < UPLOAD_SECONDS) return;
    forget_asked(&l->change);
    refuse(l, "bad_change", "no reference came within 30 s");
}

/* ---- what the session's own thread reads ---- */

int live_change_to_read(const struct live *l) { return l->change.waits && !uploads(&l->change); }

/* Reads what `from` asks for into it; without the lock. */
static int read_asked(const struct server *s, struct live_change *from) {
    const struct change_request *r = &from->asked;
    const struct dit_config *d = &s->student.dit;
    if (r->prompt) {
        from->prompt = malloc((size_t)d->text_len * (size_t)d->text_dim * sizeof *from->prompt);
        if (!from->prompt) return error_set(ERR_DEVICE, "out of memory for a prompt");
        TRY(shared_student_prompt(s->shared, r->prompt, from->prompt));
    }
    if (r->reference == REFERENCE_STAYS) return OK;
    from->reference = malloc(s->picture * sizeof *from->reference);
    if (!from->reference) return error_set(ERR_DEVICE, "out of memory for a reference");
    const struct live_picture picture = {r->reference, r->person, from->upload, from->upload_bytes};
    return live_read_picture(s, &picture, from->reference);
}

static void take_values(float **to, float **from) {
    if (!*from) return;
    free(*to);
    *to = *from;
    *from = NULL;
}

/* Adds what was read to what is ready for the next chunk. */
static void add_ready(struct live_change *c, struct live_change *from) {
    take_values(&c->reference, &from->reference);
    take_values(&c->prompt, &from->prompt);
    if (from->asked.talk >= 0) c->talk = from->asked.talk;
    if (from->asked.listen >= 0) c->listen = from->asked.listen;
    c->ready = 1;
}

void live_change_read(struct live *l) {
    struct live_change *c = &l->change,
                       taken = {.asked = c->asked, .upload = c->upload, .upload_bytes = c->upload_bytes};
    int reserved = c->reserved;
    c->asked.prompt = NULL;
    c->upload = NULL;
    forget_asked(c);
    c->reserved = reserved; /* until it is read */
    pthread_mutex_unlock(&l->server->lock);
    int code = read_asked(l->server, &taken);
    pthread_mutex_lock(&l->server->lock);
    if (code)
        refuse(l, "bad_change", error_text());
    else
        add_ready(c, &taken);
    if (!c->waits) c->reserved = 0;
    live_change_free(&taken);
}

/* ---- what the device makes of it ---- */

struct live_change live_change_take(struct live *l) {
    struct live_change *c = &l->change, taken = *c;
    taken.asked = nothing;
    taken.upload = NULL;
    c->reference = c->prompt = NULL;
    c->ready = 0;
    return taken;
}

int live_change_make(struct live *l, struct live_change *c) {
    int code = OK;
    if (c->prompt) session_set_prompt(l->session, c->prompt);
    if (c->ready) code = session_set_guidance(l->session, c->talk, c->listen);
    if (c->reference) {
        free(l->reference);
        l->reference = c->reference; /* taken over */
        l->clip_old = l->server->loops;
        l->fade = 0;
        if (l->begun && !code) code = session_set_reference(l->session, l->reference);
    }
    free(c->prompt);
    c->prompt = NULL;
    return code;
}
