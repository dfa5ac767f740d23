/* session.c: see session.h. */
#include "infer/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/philox.h"
#include "infer/sound_queue.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

/* Number of chunks of sound that the queues hold besides what a chunk's windows reach over, so that sound can be pushed
   in large pieces. */
enum { QUEUE_CHUNKS = 2 };

/* A reference that has been changed while streaming, in host memory, until its first chunk is decoded. */
struct look {
    uint64_t hash; /* the picture's */
    float *latent; /* as encoded, behind the picture in one piece of memory */
    float picture[];
};
struct session {
    struct shared_student *shared;
    int alone; /* 1: it is the student's only session: it uses the student's codec and closes the student */
    struct codec codec;
    struct rollout rollout;
    struct arena buffers;
    struct sound_queue sound;
    int begun;                         /* 1: the reference has gone through the network */
    struct look *next;                 /* reference from the next chunk on; NULL: the present one stays */
    int own[SESSION_SLOTS];            /* latent frames of the chunk in a slot */
    struct look *shows[SESSION_SLOTS]; /* reference with which a slot's chunk begins; NULL: it continues the last one */
    elem *text;                        /* device: the prompt, where it is not the student's own */
    struct rollout_noise noise;
    struct rollout_condition condition;
    float *encoded;                    /* host: the reference's latent frame */
    real *reference;                   /* device */
    elem *first_window[AUDIO_STREAMS]; /* device: the sound that the reference heard as the stream began */
    uint64_t shown;                    /* hash of the present reference's picture */
};

int session_find_prompt(const struct session *s, const char *prompt, float *text) {
    return shared_student_prompt(s->shared, prompt, text);
}

const struct student_description *session_student(const struct session *s) { return &s->shared->student.description; }
struct codec *session_codec(struct session *s) {
    return &s->shared->student.codec;
}

/* Video frames of sound that a chunk waits for beyond its last one. */
static int lookahead(const struct session *s) { return session_student(s)->rollout.causal.audio_lookahead; }

int session_chunk_frames(const struct session *s) { return shared_student_chunk_frames(s->shared); }

/* Latent frames of the chunk that is generated next. */
static int next_own(const struct session *s) {
    return causal_own(&session_student(s)->rollout.causal, s->rollout.next_chunk);
}

int session_next_frames(const struct session *s) { return FRAMES_PER_LATENT * next_own(s); }

static int layout(struct session *s) {
    TRY(rollout_layout_stream(&s->rollout, &s->shared->work, &s->buffers));
    const struct dit_config *c = &session_student(s)->dit;
    s->reference = ARENA_TAKE(&s->buffers, "reference", real, shared_student_latent_size(s->shared));
    s->text = ARENA_TAKE(&s->buffers, "prompt of a session", elem, c->text_len * c->text_dim);
    for (int k = 0; k < AUDIO_STREAMS; k++)
        s->first_window[k] = ARENA_TAKE(&s->buffers, "reference's sound", elem, AUDIO_WINDOW * c->audio_dim);
    return OK;
}

/* Plans a session's own buffers. */
static int plan_buffers(struct session *s) {
    arena_begin(&s->buffers, "KV cache");
    TRY(layout(s));
    rollout_free(&s->rollout);
    return OK;
}

static int plan_streams(const struct shared_student *shared, struct memory_plan *plan) {
    if (!shared->student.give_codec) TRY(student_plan_codec(&shared->student.description, NULL, plan));
    for (int k = 0; k < AUDIO_STREAMS; k++) TRY(sound_encoder_plan(&shared->sound, NULL, plan));
    return OK;
}

int session_plan(const struct shared_student *shared, struct memory_plan *plan) {
    struct session s = {.shared = (struct shared_student *)(uintptr_t)shared};
    if (!plan) return OK;
    int code = plan_buffers(&s);
    memory_plan_arena(plan, &s.buffers);
    arena_free(&s.buffers);
    return code ? code : plan_streams(shared, plan);
}

static int allocate(struct session *s) {
    TRY(plan_buffers(s));
    TRY(arena_commit(&s->buffers));
    return layout(s);
}

static int open_session(struct session *s, uint64_t seed) {
    const struct shared_student *shared = s->shared;
    const struct dit_config *c = &session_student(s)->dit;
    int chunk = session_student(s)->rollout.causal.chunk;
    TRY(allocate(s));
    if (!shared->direct) TRY(rollout_record(&s->rollout));
    TRY(sound_queue_open(&s->sound, &s->shared->sound,
                         shared_student_chunk_reach(shared) + QUEUE_CHUNKS * session_chunk_frames(s)));
    if (!s->alone) TRY(codec_share(&s->codec, &shared->student.codec));
    s->encoded = malloc((size_t)shared_student_latent_size(shared) * sizeof *s->encoded);
    if (!s->encoded) return error_set(ERR_DEVICE, "out of memory for a latent frame");
    s->noise = (struct rollout_noise){.seed = seed, .purpose = RANDOM_STREAM};
    s->condition = (struct rollout_condition){
        .text = shared->text,
        .audio = {shared->window[AUDIO_TALK], shared->window[AUDIO_LISTEN]},
        .audio_stride = (long)chunk * AUDIO_WINDOW * c->audio_dim,
    };
    return OK;
}

static int open_with(struct session **session, struct shared_student *shared, int alone, uint64_t seed,
                     struct memory_plan *plan) {
    TRY(session_plan(shared, plan));
    struct session *s = *session = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory for a session");
    s->shared = shared;
    s->alone = alone;
    int code = open_session(s, seed);
    if (code) {
        s->alone = 0; /* so that the caller's student is not closed */
        session_close(s);
        *session = NULL;
    }
    return code;
}

int session_open_shared(struct session **session, struct shared_student *shared, uint64_t seed,
                        struct memory_plan *plan) {
    return open_with(session, shared, 0, seed, plan);
}

int session_open(struct session **session, const char *folder, const struct session_options *options,
                 struct memory_plan *plan) {
    struct shared_student *shared;
    *session = NULL;
    TRY(shared_student_open(&shared, folder, options, plan));
    int code = open_with(session, shared, 1, options->seed, plan);
    if (code) shared_student_close(shared);
    return code;
}

static void forget_looks(struct session *s) {
    free(s->next);
    s->next = NULL;
    for (int i = 0; i < SESSION_SLOTS; i++) {
        free(s->shows[i]);
        s->shows[i] = NULL;
    }
}

void session_close(struct session *s) {
    if (!s) return;
    sound_queue_close(&s->sound);
    forget_looks(s);
    rollout_free(&s->rollout);
    arena_free(&s->buffers);
    if (s->codec.operations) codec_close(&s->codec);
    if (s->alone) shared_student_close(s->shared);
    free(s->encoded);
    free(s);
}

/* Makes an error code of what codec_encode or codec_decode returned. */
static int codec_gave(int count, int expected) {
    if (count < 0) return -count;
    return count == expected ? OK : error_set(ERR_DEVICE, "the codec gave %d frames, not %d", count, expected);
}

static struct codec *decoder_of(struct session *s) { return s->alone ? &s->shared->student.codec : &s->codec; }

static size_t picture_size(const struct session *s) {
    return 3 * (size_t)session_student(s)->pixel_height * (size_t)session_student(s)->pixel_width;
}

static uint64_t hash_of(const struct session *s, const float *picture) {
    return hash_bytes(HASH_START, picture, picture_size(s) * sizeof *picture);
}

/* Encodes with the student's codec also where sessions share it: its encoder keeps nothing from one call to the
   next. */
int session_begin(struct session *s, const float *reference, unsigned char *first) {
    struct codec *encoder = &s->shared->student.codec, *decoder = decoder_of(s);
    sound_queue_reset(&s->sound);
    s->begun = 0;
    forget_looks(s);
    s->shown = hash_of(s, reference);
    rollout_rewind(&s->rollout);
    codec_encode_reset(encoder);
    codec_decode_begin(decoder, reference);
    TRY(codec_gave(codec_encode(encoder, reference, 1, s->encoded), 1));
    transfer_to_real(s->reference, s->encoded, shared_student_latent_size(s->shared));
    TRY(codec_gave(codec_decode_bytes(decoder, s->reference, 1, first), 1));
    return device_sync();
}

/* ---- changes ---- */

int session_set_reference(struct session *s, const float *reference) {
    const struct student_description *d = session_student(s);
    if (d->rollout.causal.sink < 1)
        return error_set(ERR_USAGE, "the reference cannot be changed: without a sink the network does not keep it");
    struct codec *encoder = &s->shared->student.codec;
    free(s->next);
    s->next = NULL;
    uint64_t hash = hash_of(s, reference);
    if (hash == s->shown) return OK; /* the decoder's past need not be lost for it */
    size_t picture = picture_size(s), numbers = picture + (size_t)shared_student_latent_size(s->shared);
    struct look *look = malloc(sizeof *look + numbers * sizeof *look->picture);
    if (!look) return error_set(ERR_DEVICE, "out of memory for a reference");
    look->hash = hash;
    look->latent = look->picture + picture;
    memcpy(look->picture, reference, picture * sizeof *reference);
    codec_encode_reset(encoder);
    int code = codec_gave(codec_encode(encoder, reference, 1, look->latent), 1);
    if (code) {
        free(look);
        return code;
    }
    s->next = look;
    return OK;
}

/* Before the first chunk, has the reference go through the network again, with the prompt that there is then. */
static void reread_reference(struct session *s) {
    if (s->rollout.next_chunk == 1) s->begun = 0;
}

void session_set_prompt(struct session *s, const float *text) {
    const struct dit_config *c = &session_student(s)->dit;
    transfer_to_elem(s->text, text, (long)c->text_len * c->text_dim);
    s->condition.text = s->text;
    s->shared->text_used = NULL; /* what lies there may be of the same address */
    reread_reference(s);
}

int session_set_guidance(struct session *s, double talk, double listen) {
    if (!(talk >= 0 && talk <= SESSION_GUIDANCE_MAX && listen >= 0 && listen <= SESSION_GUIDANCE_MAX))
        return error_set(ERR_INPUT, "guidance: expected 0 to %d, got talk %g and listen %g", SESSION_GUIDANCE_MAX, talk,
                         listen);
    rollout_guide(&s->rollout, talk, listen);
    return OK;
}

void session_as_trained(struct session *s) {
    s->condition.text = s->shared->text;
    reread_reference(s);
    rollout_guide(&s->rollout, 1, 1);
}

void session_seed(struct session *s, uint64_t seed) { s->noise.seed = seed; }

void session_end(struct session *s) { sound_queue_end(&s->sound); }

int session_ready(const struct session *s) {
    long first = video_frames(rollout_next_frame(&s->rollout));
    if (s->sound.ended) return first < s->sound.end_frame;
    return sound_queue_known(&s->sound) >= first + session_next_frames(s) + lookahead(s);
}

/* Makes the windows of latent frames first .. first+count-1 from the queues; beyond what is known the last frame is
   repeated. */
static void make_windows(struct session *s, long first, int count) {
    struct shared_student *h = s->shared;
    int dim = session_student(s)->dit.audio_dim;
    const struct audio_reach reach = causal_reach(&session_student(s)->rollout.causal);
    long begin = video_frames(first) - AUDIO_MARGIN, end = audio_reach_end(reach, first),
         known = sound_queue_known(&s->sound);
    if (begin < s->sound.start) begin = s->sound.start;
    if (end > known) end = known;
    if (end <= begin) begin = end - 1;
    long T = end - begin;
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        if (session_student(s)->dit.mute_input >> k & 1) {
            mem_zero(h->window[k], (size_t)(count * AUDIO_WINDOW * dim) * sizeof(elem));
            continue;
        }
        transfer_to_real(h->features, sound_queue_features(&s->sound, k, begin), T * dim);
        transfer_to_real(h->mask, sound_queue_mask(&s->sound, k, begin), T);
        audio_windows(h->window[k], h->features, h->mask, 1, T, dim, first, count, begin, reach);
    }
    s->condition.window_first = (int)first;
}

static size_t window_bytes(const struct session *s) {
    return (size_t)(AUDIO_WINDOW * session_student(s)->dit.audio_dim) * sizeof(elem);
}

/* Runs the reference through the network, with the first chunk's sound, as in training. */
static int begin_rollout(struct session *s) {
    make_windows(s, 0, 1);
    for (int k = 0; k < AUDIO_STREAMS; k++) mem_copy(s->first_window[k], s->shared->window[k], window_bytes(s));
    s->begun = 1;
    return rollout_begin(&s->rollout, &s->shared->student.params, s->reference, shared_student_latent_size(s->shared),
                         &s->condition);
}

/* Puts the next reference in the old one's place, with the sound that the old one heard: it is there as if the stream
   had begun with it. */
static int change_reference(struct session *s, int slot) {
    long size = shared_student_latent_size(s->shared);
    transfer_to_real(s->reference, s->next->latent, size);
    free(s->shows[slot]);
    s->shows[slot] = s->next;
    s->shown = s->next->hash;
    s->next = NULL;
    if (!s->begun) return OK;
    for (int k = 0; k < AUDIO_STREAMS; k++) mem_copy(s->shared->window[k], s->first_window[k], window_bytes(s));
    s->condition.window_first = 0;
    return rollout_change_reference(&s->rollout, &s->shared->student.params, s->reference, size, &s->condition);
}

/* Has the text's keys and values worked out again if those that lie there are of another text. */
static void use_text(struct session *s) {
    if (s->shared->text_used != s->condition.text) dit_condition_reset(s->rollout.acts, 1, 0);
    s->shared->text_used = s->condition.text;
}

/* The reference goes through the network as soon as the sound that it hears is there, so that the first picture need
   not wait for it. */
long session_push(struct session *s, const float *agent, const float *user, long samples, const float *talk,
                  const float *listen) {
    long taken = sound_queue_push(&s->sound, agent, user, samples, talk, listen);
    if (taken < 0 || s->begun || sound_queue_known(&s->sound) <= AUDIO_MARGIN) return taken;
    use_text(s);
    int code = begin_rollout(s);
    return code ? -code : taken;
}

int session_generate(struct session *s, int slot) {
    const struct rollout_config *config = &session_student(s)->rollout;
    if (s->sound.failure) return s->sound.failure;
    if (s->next) TRY(change_reference(s, slot));
    use_text(s);
    if (!s->begun) TRY(begin_rollout(s));
    int own = s->own[slot] = next_own(s);
    make_windows(s, rollout_next_frame(&s->rollout), own);
    TRY(rollout_chunk(&s->rollout, &s->shared->student.params, &s->condition, &s->noise, config->steps - 1,
                      s->shared->slot[slot], own * shared_student_latent_size(s->shared), NULL, 0));
    TRY(device_sync());
    sound_queue_drop(&s->sound, video_frames(rollout_next_frame(&s->rollout)) - AUDIO_MARGIN);
    return OK;
}

/* Begins the decoder's clip anew where a chunk begins with another reference, whose own picture is not shown. */
static int show_look(struct session *s, int slot) {
    struct look *look = s->shows[slot];
    if (!look) return OK;
    struct codec *decoder = decoder_of(s);
    codec_decode_begin(decoder, look->picture);
    int code = codec_gave(codec_decode_host(decoder, look->latent, 1, look->picture), 1);
    free(look);
    s->shows[slot] = NULL;
    return code;
}

int session_decode(struct session *s, int slot, unsigned char *frames) {
    int own = s->own[slot];
    TRY(show_look(s, slot));
    TRY(codec_gave(codec_decode_bytes(decoder_of(s), s->shared->slot[slot], own, frames), FRAMES_PER_LATENT * own));
    return device_sync();
}

static int decode_pixels(struct session *s, int slot, float *frames) {
    int own = s->own[slot];
    TRY(show_look(s, slot));
    TRY(codec_gave(codec_decode(decoder_of(s), s->shared->slot[slot], own, frames), FRAMES_PER_LATENT * own));
    return device_sync();
}

/* Writes the time since *since to seconds[part], if seconds is not NULL, and sets *since to now. */
static void note_seconds(double *seconds, int part, double *since) {
    double now = clock_seconds();
    if (seconds) seconds[part] = now - *since;
    *since = now;
}

int session_take(struct session *s, unsigned char *frames, double *seconds) {
    double since = clock_seconds();
    TRY(session_generate(s, 0));
    note_seconds(seconds, 0, &since);
    TRY(session_decode(s, 0, frames));
    note_seconds(seconds, 1, &since);
    return OK;
}

int session_take_pixels(struct session *s, float *frames, double *seconds) {
    double since = clock_seconds();
    TRY(session_generate(s, 0));
    note_seconds(seconds, 0, &since);
    TRY(decode_pixels(s, 0, frames));
    note_seconds(seconds, 1, &since);
    return OK;
}

int session_unheard(const struct session *s) {
    const struct voice_activity *vad = &s->sound.party[AUDIO_TALK].vad;
    return vad->frames > 0 && voice_activity_unheard(vad);
}

int session_chunk_kinds(const struct session *s) { return rollout_chunk_kinds(&session_student(s)->rollout.causal); }

struct recording_counts session_recordings(const struct session *s) {
    return rollout_recordings(&s->rollout);
}

struct session_wait session_wait(const struct session *s) {
    const struct causal_config *causal = &session_student(s)->rollout.causal;
    return (struct session_wait){.chunk = video_frames(causal_first(causal, 2)) / (double)VIDEO_RATE,
                                 .ahead = lookahead(s) / (double)VIDEO_RATE,
                                 .encoder_ahead = sound_queue_behind(&s->sound) / (double)VIDEO_RATE};
}
