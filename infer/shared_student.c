/* shared_student.c: see shared_student.h. */
#include "infer/shared_student.h"

#include <stdlib.h>

#include "base/error.h"
#include "infer/student_fields.h"
#include "kernels/device.h"
#include "model/params/transfer.h"

const char *const graphs_choices[] = {"on", "off", NULL};

int shared_student_chunk_frames(const struct shared_student *s) {
    return FRAMES_PER_LATENT * s->student.description.rollout.causal.chunk;
}

int shared_student_chunk_reach(const struct shared_student *s) {
    return AUDIO_MARGIN + shared_student_chunk_frames(s) + s->student.description.rollout.causal.audio_lookahead;
}

long shared_student_latent_size(const struct shared_student *s) {
    const struct dit_config *c = &s->student.description.dit;
    return (long)c->in_channels * c->height * c->width;
}

static int layout(struct shared_student *s) {
    const struct dit_config *c = &s->student.description.dit;
    const struct rollout_config *r = &s->student.description.rollout;
    struct arena *a = &s->buffers;
    TRY(rollout_layout_work(&s->work, &s->student.net, r, 1, s->cache_type, a));
    s->text = ARENA_TAKE(a, "text", elem, c->text_len * c->text_dim);
    for (int k = 0; k < AUDIO_STREAMS; k++)
        s->window[k] = ARENA_TAKE(a, "audio windows", elem, r->causal.chunk * AUDIO_WINDOW * c->audio_dim);
    s->features = ARENA_TAKE(a, "features", real, shared_student_chunk_reach(s) * c->audio_dim);
    s->mask = ARENA_TAKE(a, "mask", real, shared_student_chunk_reach(s));
    for (int i = 0; i < SESSION_SLOTS; i++)
        s->slot[i] = ARENA_TAKE(a, "chunks", real, r->causal.chunk * shared_student_latent_size(s));
    if (!device_overlaps()) return OK; /* kernels on the host need no workspace */
    s->workspace_bytes = dit_workspace(c, 1, r->causal.chunk, r->causal.sink + r->causal.ring, 0);
    s->workspace = arena_take(a, "workspace of kernels", s->workspace_bytes);
    return OK;
}

/* Opens the audio encoder that the student was trained with. */
static int open_sound(struct shared_student *s, const struct session_options *options) {
    const struct student_description *d = &s->student.description;
    const char *named = options->audio_weights;
    return sound_encoder_open_text(&s->sound, *d->audio_recipe ? d->audio_recipe : d->audio_encoder, d->dit.audio_dim,
                                   named && *named ? named : d->audio_weights);
}

/* Changes the sink; the ring gets the frames that the sink loses, as far as the cap leaves positions for them. */
static void change_sink(struct causal_config *causal, int sink) {
    int freed = causal->sink - sink;
    causal->sink = sink;
    causal->ring += freed;
    for (; freed > 0 && causal_check(causal); freed--) causal->ring--;
}

void session_options_apply(const struct session_options *options, struct student_description *d) {
    if (options->rapr >= 0) d->rollout.causal.rapr = (enum rapr_mode)options->rapr;
    if (options->sink >= 0) change_sink(&d->rollout.causal, options->sink);
    if (options->codec_weights && *options->codec_weights)
        snprintf(d->codec_weights, sizeof d->codec_weights, "%s", options->codec_weights);
    d->codec_tiles = (struct codec_tiles){options->codec_tile, -1};
    if (options->decoder && *options->decoder) snprintf(d->decoder, sizeof d->decoder, "%s", options->decoder);
}

static int prepare(struct shared_student *s, const char *folder, const struct session_options *options) {
    TRY(student_open(&s->student, folder));
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    if (options->weights_mib) TRY(student_limit(&s->student, options->weights_mib));
    s->direct = options->direct || s->student.weights.streamed.streamed;
    s->cache_type = options->cache_type;
    session_options_apply(options, &s->student.description);
    s->student.text_file = options->text;
    s->student.prompt = options->prompt;
    s->student.give_codec = options->give_codec;
    s->student.giver = options->giver;
    arena_begin(&s->buffers, "workspace of a chunk");
    TRY(layout(s));
    return open_sound(s, options);
}

int shared_student_prepare(struct shared_student **shared, const char *folder, const struct session_options *options) {
    struct shared_student *s = *shared = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory for a student");
    int code = prepare(s, folder, options);
    if (code) {
        shared_student_close(s);
        *shared = NULL;
    }
    return code;
}

int shared_student_plan(const struct shared_student *s, struct memory_plan *plan) {
    if (!plan) return OK;
    network_weights_print(&s->student.weights, plan);
    memory_plan_arena(plan, &s->buffers);
    const struct dit_config *c = &s->student.description.dit;
    size_t widened = dit_quantised_room(c, 1, s->student.description.rollout.causal.chunk);
    if (widened) memory_plan_bytes(plan, "operands of quantised products", widened);
    memory_plan_host(plan, "the prompt, the empty one (host)", 2 * sizeof(float) * (size_t)(c->text_len * c->text_dim));
    if (!s->student.give_codec) TRY(student_plan_codec(&s->student.description, plan, NULL));
    return sound_encoder_plan(&s->sound, plan, NULL);
}

int shared_student_load(struct shared_student *s, const char *folder) {
    const struct dit_config *c = &s->student.description.dit;
    rollout_free(&s->work); /* the plan needed it; it is laid out again in memory */
    TRY(arena_commit(&s->buffers));
    TRY(layout(s));
    shared_student_use(s);
    TRY(student_load(&s->student, folder));
    transfer_to_elem(s->text, s->student.text, (long)c->text_len * c->text_dim);
    return OK;
}

int shared_student_open(struct shared_student **shared, const char *folder, const struct session_options *options,
                        struct memory_plan *plan) {
    TRY(shared_student_prepare(shared, folder, options));
    int code = shared_student_plan(*shared, plan);
    if (!code) code = shared_student_load(*shared, folder);
    if (code) {
        shared_student_close(*shared);
        *shared = NULL;
    }
    return code;
}

int shared_student_prompt(const struct shared_student *s, const char *prompt, float *text) {
    return student_prompt(&s->student, s->folder, prompt, text);
}

void shared_student_use(struct shared_student *s) {
    if (s->workspace) device_workspace(s->workspace, s->workspace_bytes);
}

void shared_student_close(struct shared_student *s) {
    if (!s) return;
    sound_encoder_close(&s->sound);
    rollout_free(&s->work);
    if (s->workspace) device_workspace(NULL, 0);
    arena_free(&s->buffers);
    student_close(&s->student);
    free(s);
}
