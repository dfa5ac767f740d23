/* live_encode.c: a session's own thread, which decodes its reference and encodes its pictures. See live.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/media.h"
#include "infer/serve/live.h"
#include "infer/serve/persons.h"
#include "infer/serve/reference.h"
#include "infer/serve/words.h"

enum { CLOSE_REFUSED = 4000, CLOSE_INTERNAL = 4006 };

/* ---- the reference ---- */

int live_read_picture(const struct server *s, const struct live_picture *from, float *picture) {
    const struct student_description *d = &s->student;
    char path[sizeof s->options.persons + PERSON_NAME_MAX + 2];
    int height, width;
    if (from->kind == REFERENCE_UPLOAD) {
        TRY(reference_check(from->bytes, from->length, &height, &width));
        return reference_read(from->bytes, from->length, d->pixel_height, d->pixel_width, picture);
    }
    if (from->kind == REFERENCE_PERSON) {
        if (!person_path(path, sizeof path, s->options.persons, from->person))
            return error_set(ERR_INPUT, "no such person");
        return image_read(path, d->pixel_height, d->pixel_width, picture);
    }
    if (!s->reference) return error_set(ERR_INPUT, "the server has no reference of its own: bring one");
    memcpy(picture, s->reference, s->picture * sizeof *picture);
    return OK;
}

static int reference_is_there(const struct live *l) {
    if (l->phase != LIVE_WAITING || l->reference) return 0;
    return l->wishes.reference != REFERENCE_UPLOAD || l->upload_whole;
}

static void take_reference(struct live *l) {
    /* nobody else touches these until `reference` is set */
    const struct live_picture from = {l->wishes.reference, l->wishes.person, l->upload, l->upload_bytes};
    pthread_mutex_unlock(&l->server->lock);
    float *picture = malloc(l->server->picture * sizeof *picture);
    int code =
        picture ? live_read_picture(l->server, &from, picture) : error_set(ERR_DEVICE, "out of memory for a reference");
    pthread_mutex_lock(&l->server->lock);
    free(l->upload);
    l->upload = NULL;
    if (code) {
        free(picture);
        live_end(l, CLOSE_REFUSED, "bad_reference", error_text());
        return;
    }
    l->reference = picture;
    live_prepare(l);
}

/* ---- pictures ---- */

static struct unit unit_of(struct live *l, int kind, long frame, int flags) {
    const struct lane_frame *f = live_lane(l, frame);
    struct unit u = {.kind = kind, .flags = flags, .turn = f->turn, .time_us = (int64_t)frame * FRAME_US};
    if (l->need_first[kind]) u.flags |= UNIT_FIRST;
    if (f->last) u.flags |= UNIT_LAST;
    l->need_first[kind] = 0;
    return u;
}

static void announce_turn(struct live *l, long frame) {
    for (int i = 0; i < l->turn_count; i++)
        if (l->turns[i].first_us == (int64_t)frame * FRAME_US)
            live_tell(l, words_started(l->turns[i].turn, l->turns[i].first_us));
}

static void send_sound(struct live *l, long frame, int flags) {
    const struct lane_frame *f = live_lane(l, frame);
    struct unit u = unit_of(l, UNIT_AGENT, frame, flags & UNIT_CLIP);
    unsigned char bytes[2 * SPEECH_FRAME_MAX];
    u.length = (uint32_t)(2 * l->wishes.agent_rate / VIDEO_RATE);
    for (uint32_t i = 0; i < u.length / 2; i++) {
        bytes[2 * i] = (unsigned char)f->pcm[i];
        bytes[2 * i + 1] = (unsigned char)((uint16_t)f->pcm[i] >> 8);
    }
    outbox_unit(&l->outbox, &u, bytes, NULL);
}

/* Tells the client what happened to a chunk up to now, when its first picture is coded. */
static void say_times(struct live *l, const struct picture_slot *slot) {
    const struct chunk_times *t = &slot->times;
    live_say(l, words_chunk(&(struct words_chunk){
                    .from_us = (int64_t)slot->first * FRAME_US,
                    .user_us = live_wall_us(t->user),
                    .agent_us = live_wall_us(t->agent),
                    .lead_us = t->lead_us,
                    .due_us = live_wall_us(t->due),
                    .begun_us = live_wall_us(t->begun),
                    .made_us = live_wall_us(t->made),
                    .coded_us = live_wall_us(clock_seconds()),
                }));
}

/* Measures the time to the session's first picture, or to the first one after an interruption, if this is one. */
static void time_picture(struct live *l) {
    struct metrics *m = &l->server->metrics;
    double now = clock_seconds();
    if (l->first_frame <= 0 && l->phase == LIVE_RUNNING) {
        l->first_frame = now - l->created;
        metrics_time(&m->first_frame, l->first_frame);
        log_line("event=session.first_frame session=%s ms=%.1f", l->id, 1e3 * l->first_frame);
    }
    if (l->interrupted > 0) metrics_time(&m->interrupt, now - l->interrupted);
    l->interrupted = 0;
}

/* Sends a frame's units, unless its client is away or the frame was interrupted. With the lock held. */
static void send_frame(struct live *l, long frame, int key, const unsigned char *bytes, size_t length) {
    const struct picture_slot *slot = &l->slot;
    if (!l->connection || frame < l->not_before) {
        l->need_key = 1; /* the encoder has coded a picture that the client never gets */
        return;
    }
    int begins = frame == slot->first && !(slot->flags & UNIT_CLIP);
    if (begins) say_times(l, slot);
    announce_turn(l, frame);
    send_sound(l, frame, slot->flags);
    struct unit u = unit_of(l, UNIT_VIDEO, frame, slot->flags | (key ? UNIT_KEY : 0));
    u.length = (uint32_t)length;
    outbox_unit(&l->outbox, &u, bytes, begins ? &(struct parcel_times){slot->times.begun, slot->times.user} : NULL);
    if (l->outbox.starved) l->need_key = 1;
    time_picture(l);
    l->server->wake(l->server->network);
}

static int encode_frame(struct live *l, int i) {
    const unsigned char *bytes;
    size_t length;
    int key = l->need_key;
    l->need_key = 0;
    pthread_mutex_unlock(&l->server->lock);
    double begin = clock_seconds();
    int code = video_encoder_push(l->encoder, l->slot.rgb + (size_t)i * l->server->picture, &key, &bytes, &length);
    double seconds = clock_seconds() - begin;
    pthread_mutex_lock(&l->server->lock);
    if (code) return code;
    metrics_time(&l->server->metrics.encode, seconds);
    l->server->metrics.pictures++;
    send_frame(l, l->slot.first + i, key, bytes, length);
    return OK;
}

static void encode_slot(struct live *l) {
    int code = OK;
    for (int i = 0; i < l->slot.count && !code && !l->stop; i++)
        if (l->slot.first + i >= l->not_before) code = encode_frame(l, i);
    l->slot.count = 0;
    if (code) live_end(l, CLOSE_INTERNAL, "internal", error_text());
    server_poke(l->server);
}

/* Opens the encoder. Without the lock: a GPU's encoder takes a good part of a second to begin. */
static void open_encoder(struct live *l) {
    const struct student_description *d = &l->server->student;
    const struct wishes *w = &l->wishes;
    struct video_encoder *encoder;
    int code = video_encoder_open(&encoder, (enum encoder_name)l->server->options.encoder, w->codecs, w->codec_count,
                                  d->pixel_height, d->pixel_width);
    pthread_mutex_lock(&l->server->lock);
    l->encoder = encoder;
    if (code == ERR_USAGE)
        live_end(l, CLOSE_REFUSED, "unsupported", error_text());
    else if (code)
        live_end(l, CLOSE_INTERNAL, "internal", error_text());
    else
        log_line("event=session.encoder session=%s encoder=%s codec=%s", l->id,
                 encoder_names[video_encoder_name(encoder)], video_codec_names[video_encoder_codec(encoder)]);
    pthread_mutex_unlock(&l->server->lock);
}

void *live_encode(void *argument) {
    struct live *l = argument;
    open_encoder(l);
    pthread_mutex_lock(&l->server->lock);
    while (!l->stop) {
        if (l->phase == LIVE_ENDED)
            pthread_cond_wait(&l->work, &l->server->lock);
        else if (reference_is_there(l))
            take_reference(l);
        else if (l->slot.count)
            encode_slot(l);
        else if (live_change_to_read(l))
            live_change_read(l);
        else
            pthread_cond_wait(&l->work, &l->server->lock);
    }
    pthread_mutex_unlock(&l->server->lock);
    return NULL;
}
