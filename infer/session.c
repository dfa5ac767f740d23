/* session.c: see session.h. */
#include "infer/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/progress.h"
#include "base/error.h"
#include "base/philox.h"
#include "infer/sound_queue.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

/* Chunks that the queues hold besides what a chunk's windows reach over, so that sound can be pushed in large pieces. */
enum { QUEUE_CHUNKS = 2 };

struct session {
    struct student student;
    struct rollout rollout;
    struct arena buffers;
    struct sound_queue sound;
    int begun; /* the reference has gone through the network */
    struct rollout_noise noise;
    struct rollout_condition condition;
    float *encoded; /* host: the reference's latent frame */
    elem *text, *window[AUDIO_STREAMS];
    real *features, *mask, *reference, *slot[SESSION_SLOTS]; /* slot: a chunk's latents, from network to codec */
    void *workspace;
    size_t workspace_bytes;
};

const struct student_description *session_student(const struct session *s) { return &s->student.description; }
struct codec *session_codec(struct session *s) {
    return &s->student.codec;
}

int session_chunk_frames(const struct session *s) {
    return FRAMES_PER_LATENT * s->student.description.rollout.causal.chunk;
}

/* Video frames that the windows of a chunk reach over. */
static int chunk_reach(const struct session *s) { return AUDIO_MARGIN + session_chunk_frames(s) + AUDIO_MARGIN; }

static long latent_size(const struct session *s) {
    const struct dit_config *c = &s->student.description.dit;
    return (long)c->in_channels * c->height * c->width;
}

static int layout(struct session *s) {
    const struct dit_config *c = &s->student.description.dit;
    const struct rollout_config *r = &s->student.description.rollout;
    struct arena *a = &s->buffers;
    TRY(rollout_layout(&s->rollout, &s->student.net, r, 1, r->causal.ring, a));
    s->text = ARENA_TAKE(a, "text", elem, c->text_len * c->text_dim);
    for (int k = 0; k < AUDIO_STREAMS; k++)
        s->window[k] = ARENA_TAKE(a, "audio windows", elem, r->causal.chunk * AUDIO_WINDOW * c->audio_dim);
    s->features = ARENA_TAKE(a, "features", real, chunk_reach(s) * c->audio_dim);
    s->mask = ARENA_TAKE(a, "mask", real, chunk_reach(s));
    s->reference = ARENA_TAKE(a, "reference", real, latent_size(s));
    for (int i = 0; i < SESSION_SLOTS; i++)
        s->slot[i] = ARENA_TAKE(a, "chunks", real, r->causal.chunk * latent_size(s));
    if (!device_overlaps()) return OK; /* kernels on the host want none */
    s->workspace_bytes = dit_workspace(c, 1, r->causal.chunk, r->causal.sink + r->causal.ring, 0);
    s->workspace = arena_take(a, "workspace of kernels", s->workspace_bytes);
    return OK;
}

static int allocate(struct session *s, FILE *plan) {
    arena_begin(&s->buffers, "stream buffers");
    TRY(layout(s));
    rollout_free(&s->rollout);
    if (plan) {
        arena_print(&s->student.weights, plan, 0);
        arena_print(&s->buffers, plan, 0);
        TRY(student_print_codec(&s->student, plan));
    }
    TRY(arena_commit(&s->buffers));
    return layout(s);
}

/* The audio encoder that the student was trained with. */
static int open_sound(struct session *s, const struct session_options *options, FILE *plan) {
    const struct student_description *d = &s->student.description;
    const char *named = options->audio_weights;
    TRY(sound_queue_open(&s->sound, *d->audio_recipe ? d->audio_recipe : d->audio_encoder, d->dit.audio_dim,
                         named && *named ? named : d->audio_weights,
                         chunk_reach(s) + QUEUE_CHUNKS * session_chunk_frames(s)));
    if (plan && s->sound.encoder.weights.base) arena_print(&s->sound.encoder.weights, plan, 0);
    return OK;
}

/* The ring takes over what the sink held, as far as the cap leaves positions for it. */
static void change_sink(struct causal_config *causal, int sink) {
    int freed = causal->sink - sink;
    causal->sink = sink;
    causal->ring += freed;
    for (; freed > 0 && causal_check(causal); freed--) causal->ring--;
}

static int open_session(struct session *s, const char *folder, const struct session_options *options, FILE *plan) {
    TRY(student_open(&s->student, folder));
    const struct dit_config *c = &s->student.description.dit;
    struct causal_config *causal = &s->student.description.rollout.causal;
    if (options->rapr >= 0) causal->rapr = (enum rapr_mode)options->rapr;
    if (options->sink >= 0) change_sink(causal, options->sink);
    if (options->codec_weights && *options->codec_weights)
        snprintf(s->student.description.codec_weights, sizeof s->student.description.codec_weights, "%s",
                 options->codec_weights);
    if (options->decoder && *options->decoder)
        snprintf(s->student.description.decoder, sizeof s->student.description.decoder, "%s", options->decoder);
    s->student.text_file = options->text;
    s->student.prompt = options->prompt;
    TRY(allocate(s, plan));
    if (s->workspace) device_workspace(s->workspace, s->workspace_bytes);
    if (!options->direct) TRY(rollout_record(&s->rollout));
    TRY(student_load(&s->student, folder));
    transfer_to_elem(s->text, s->student.text, (long)c->text_len * c->text_dim);
    TRY(open_sound(s, options, plan));
    s->encoded = malloc((size_t)latent_size(s) * sizeof *s->encoded);
    if (!s->encoded) return error_set(ERR_DEVICE, "out of memory for a latent frame");
    s->noise = (struct rollout_noise){.seed = options->seed, .purpose = RANDOM_STREAM};
    s->condition = (struct rollout_condition){
        .text = s->text,
        .audio = {s->window[AUDIO_TALK], s->window[AUDIO_LISTEN]},
        .audio_stride = (long)causal->chunk * AUDIO_WINDOW * c->audio_dim,
    };
    return OK;
}

int session_open(struct session **session, const char *folder, const struct session_options *options, FILE *plan) {
    struct session *s = *session = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory for a session");
    int code = open_session(s, folder, options, plan);
    if (code) {
        session_close(s);
        *session = NULL;
    }
    return code;
}

void session_close(struct session *s) {
    if (!s) return;
    sound_queue_close(&s->sound);
    rollout_free(&s->rollout);
    if (s->workspace) device_workspace(NULL, 0);
    arena_free(&s->buffers);
    student_close(&s->student);
    free(s->encoded);
    free(s);
}

/* What codec_encode or codec_decode returned, as an error code. */
static int codec_gave(int count, int expected) {
    if (count < 0) return -count;
    return count == expected ? OK : error_set(ERR_DEVICE, "the codec gave %d frames, not %d", count, expected);
}

int session_begin(struct session *s, const float *reference, float *first) {
    sound_queue_reset(&s->sound);
    s->begun = 0;
    rollout_rewind(&s->rollout);
    codec_encode_reset(&s->student.codec);
    codec_decode_reset(&s->student.codec);
    TRY(codec_gave(codec_encode(&s->student.codec, reference, 1, s->encoded), 1));
    transfer_to_real(s->reference, s->encoded, latent_size(s));
    TRY(codec_gave(codec_decode(&s->student.codec, s->reference, 1, first), 1));
    return device_sync();
}

long session_push(struct session *s, const float *agent, const float *user, long samples, const float *talk,
                  const float *listen) {
    return sound_queue_push(&s->sound, agent, user, samples, talk, listen);
}

void session_end(struct session *s) { sound_queue_end(&s->sound); }

int session_ready(const struct session *s) {
    long first = video_frames(rollout_next_frame(&s->rollout));
    if (s->sound.ended) return first < s->sound.end_frame;
    return sound_queue_known(&s->sound) >= first + session_chunk_frames(s) + AUDIO_MARGIN;
}

/* Windows of latent frames first .. first+count-1 from the queues; ends beyond what is known repeat the last frame. */
static void make_windows(struct session *s, long first, int count) {
    int dim = s->student.description.dit.audio_dim;
    long begin = video_frames(first) - AUDIO_MARGIN, end = begin + chunk_reach(s), known = sound_queue_known(&s->sound);
    if (begin < s->sound.start) begin = s->sound.start;
    if (end > known) end = known;
    if (end <= begin) begin = end - 1;
    long T = end - begin;
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        if (s->student.description.dit.deaf >> k & 1) {
            mem_zero(s->window[k], (size_t)(count * AUDIO_WINDOW * dim) * sizeof(elem));
            continue;
        }
        transfer_to_real(s->features, sound_queue_features(&s->sound, k, begin), T * dim);
        transfer_to_real(s->mask, sound_queue_mask(&s->sound, k, begin), T);
        audio_windows(s->window[k], s->features, s->mask, 1, T, dim, first, count, begin);
    }
    s->condition.window_first = (int)first;
}

/* The reference goes through the network with the first chunk's sound, as it does in training. */
static int begin_rollout(struct session *s) {
    make_windows(s, 0, 1);
    s->begun = 1;
    return rollout_begin(&s->rollout, &s->student.params, s->reference, latent_size(s), &s->condition);
}

int session_generate(struct session *s, int slot) {
    int chunk = s->student.description.rollout.causal.chunk;
    if (s->sound.failure) return s->sound.failure;
    if (!s->begun) TRY(begin_rollout(s));
    make_windows(s, rollout_next_frame(&s->rollout), chunk);
    TRY(rollout_chunk(&s->rollout, &s->student.params, &s->condition, &s->noise,
                      s->student.description.rollout.steps - 1, s->slot[slot], chunk * latent_size(s), NULL, 0));
    TRY(device_sync());
    sound_queue_drop(&s->sound, video_frames(rollout_next_frame(&s->rollout)) - AUDIO_MARGIN);
    return OK;
}

int session_decode(struct session *s, int slot, float *frames) {
    int chunk = s->student.description.rollout.causal.chunk;
    TRY(codec_gave(codec_decode(&s->student.codec, s->slot[slot], chunk, frames), session_chunk_frames(s)));
    return device_sync();
}

int session_take(struct session *s, float *frames, double *seconds) {
    double begin = clock_seconds();
    TRY(session_generate(s, 0));
    double middle = clock_seconds();
    TRY(session_decode(s, 0, frames));
    if (seconds) {
        seconds[0] = middle - begin;
        seconds[1] = clock_seconds() - middle;
    }
    return OK;
}

struct recording_counts session_recordings(const struct session *s) {
    return rollout_recordings(&s->rollout);
}

struct session_wait session_wait(const struct session *s) {
    return (struct session_wait){.chunk = (1 + session_chunk_frames(s)) / (double)VIDEO_RATE,
                                 .ahead = AUDIO_MARGIN / (double)VIDEO_RATE,
                                 .encoder_ahead = sound_queue_behind(&s->sound) / (double)VIDEO_RATE};
}
