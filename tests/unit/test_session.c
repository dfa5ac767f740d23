/* test_session.c: what a live session makes of sound that comes in pieces equals, to the bit, the rollout of training
   over the same clip: features, masks, audio windows (latent frame 0, both ends), history and noise. Also: a dialogue
   without masks, a decoder that sees the reference's picture, the ablations that a session offers, and the decoder in a
   thread and stream of its own beside the network; students of other chunks, and how far they hear. */
#include "tests/small_net.h"

#include <pthread.h>

#include "base/philox.h"
#include "base/pixels.h"
#include "checkpoints/decoder_file.h"
#include "checkpoints/prompt_file.h"
#include "infer/pipeline.h"
#include "model/audio/encoder.h"
#include "model/params/transfer.h"
#include "model/audio/voice_activity.h"
#include "tests/folder.h"
#include "train/method/self_forcing.h"

enum { C = 3, CHUNKS = 5, F = 1 + C * CHUNKS, T = 1 + 4 * (F - 1), SAMPLES = T * AUDIO_SAMPLES_PER_FRAME };
enum { PATCH = 4, HEIGHT = 8, WIDTH = 16, CHANNELS = 6, VECTOR = 12 * PATCH * PATCH, PICTURE = 3 * HEIGHT * WIDTH };

static char folder[FOLDER_MAX];

struct world {
    struct dit net;
    struct small_net small;
    struct codec codec;
    struct student_description description;
    int latents; /* latent frames of the clip in use, at most F */
    float pcm[2][SAMPLES], mask[2][T], text[15], picture[PICTURE];
    unsigned char frames[T][PICTURE], expected[T][PICTURE]; /* [H, W, 3] */
    float taken[T][PICTURE], pixels[T][PICTURE]; /* the same as planes in [-1, 1]; taken: of every second chunk */
    unsigned char rounded[T];                    /* 1: the frame was taken as bytes */
};
static struct world w;

static double noise(int kind, long i) {
    struct random_address a = {.seed = 9, .purpose = RANDOM_TEST, .sample = (uint32_t)kind};
    return 2 * random_uniform(&a, (uint32_t)i) - 1;
}

/* A codec whose components are a patch's single numbers, turned a little so that none is alone. */
static void open_codec(void) {
    static float basis[CHANNELS * VECTOR], mean[VECTOR], scale[CHANNELS];
    for (int i = 0; i < CHANNELS * VECTOR; i++) basis[i] = (float)(0.2 * noise(0, i));
    for (int i = 0; i < CHANNELS; i++) scale[i] = 0.5f + (float)i / CHANNELS;
    const struct codec_tensor tensors[] = {{"pca.basis", 2, {CHANNELS, VECTOR}, basis},
                                           {"pca.mean", 1, {VECTOR}, mean},
                                           {"pca.scale", 1, {CHANNELS}, scale}};
    CHECK(codec_open(&w.codec, "pca", HEIGHT, WIDTH, tensors, 3));
}

static long clip_frames(void) { return video_frames(w.latents); }
static long clip_samples(void) { return clip_frames() * AUDIO_SAMPLES_PER_FRAME; }

/* Writes the student as its description says now. */
static void write_folder(void) {
    real *master = small_host(w.small.master, (long)w.small.total);
    float *values = malloc(w.small.total * sizeof *values);
    for (size_t i = 0; i < w.small.total; i++) values[i] = (float)master[i];
    struct weights_host host = {.table = &w.net.table, .values = values};
    struct weights_source source = weights_from_host(&host);
    const struct weights_format format = {.naming = NAMING_DIFFUSERS, .type = ST_F32};
    const struct prompt_rows prompts[2] = {{"a person talks", w.description.dit.text_len, w.text}, {"", 0, NULL}};
    CHECK(student_write(folder, &w.description, &w.net.table, &source, &format, &w.codec, prompts));
    free(values);
    free(master);
}

static int write_student(void **state) {
    (void)state;
    w.latents = F;
    if (folder_make(folder, "test_session") || device_init(2)) return 1;
    open_codec();
    struct dit_config dit = small_config(2);
    dit.in_channels = dit.out_channels = CHANNELS;
    dit.height = HEIGHT / PATCH;
    dit.width = WIDTH / PATCH;
    CHECK(dit_create(&w.net, &dit, 0));
    small_open(&w.small, &w.net.table, 0.15);
    w.description =
        (struct student_description){.dit = dit,
                                     .rollout = {.causal = {C, 1 + C, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 .steps = 3,
                                                 .sigma = {1, 0.857, 0.6}},
                                     .codec = "pca",
                                     .pixel_height = HEIGHT,
                                     .pixel_width = WIDTH,
                                     .audio_encoder = "logmel",
                                     .stage = "distill"};
    for (int k = 0; k < 2; k++) {
        for (long i = 0; i < SAMPLES; i++) w.pcm[k][i] = (float)(0.3 * noise(1 + k, i) * noise(3 + k, i / 2000));
        for (int t = 0; t < T; t++) w.mask[k][t] = noise(5 + k, t / 4) > -0.3;
    }
    for (int i = 0; i < PICTURE; i++) w.picture[i] = (float)noise(7, i);
    for (int i = 0; i < dit.text_len * dit.text_dim; i++) w.text[i] = (float)noise(8, i);
    write_folder();
    return 0;
}

static int remove_student(void **state) {
    (void)state;
    codec_close(&w.codec);
    small_close(&w.small);
    dit_destroy(&w.net);
    return folder_remove(folder);
}

static struct session *open_with_decoder(int sink, int rapr, const char *decoder) {
    struct session_options options = {.seed = 5, .sink = sink, .rapr = rapr, .decoder = decoder};
    struct session *s;
    CHECK(session_open(&s, folder, &options, NULL));
    return s;
}

static struct session *open_session(int sink, int rapr) { return open_with_decoder(sink, rapr, NULL); }

/* Takes the chunk of these many frames; every second chunk as pixels that are not rounded yet. */
static void take(struct session *s, long out, int frames, int bytes) {
    for (long t = out; t < out + frames; t++) w.rounded[t] = (unsigned char)bytes;
    if (bytes) {
        CHECK(session_take(s, w.frames[out], NULL));
        return;
    }
    CHECK(session_take_pixels(s, w.taken[out], NULL));
    for (long t = out; t < out + frames; t++) rgb_from_planar(w.frames[t], w.taken[t], PICTURE / 3);
}

/* The clip through a session, `piece` samples at a time, into w.frames. */
static void stream(struct session *s, long piece, const float *talk, const float *listen) {
    long out = 1;
    int chunks = 0;
    CHECK(session_begin(s, w.picture, w.frames[0]));
    for (long at = 0, samples = clip_samples(); at < samples;) {
        long n = samples - at < piece ? samples - at : piece, frame = at / AUDIO_SAMPLES_PER_FRAME;
        at += session_push(s, w.pcm[0] + at, w.pcm[1] + at, n, talk ? talk + frame : NULL,
                           listen ? listen + frame : NULL);
        if (at == samples) session_end(s);
        while (session_ready(s)) {
            int frames = session_next_frames(s);
            assert_true(out + frames <= clip_frames());
            take(s, out, frames, chunks++ % 2);
            out += frames;
        }
    }
    assert_int_equal(out, clip_frames());
}

/* All the sound that goes in before a chunk is due, and the chunk; 0: the clip is over. */
static int stream_on(struct session *s, long *at, unsigned char (*frames)[PICTURE]) {
    while (!session_ready(s)) {
        if (*at == SAMPLES) return 0;
        long n = SAMPLES - *at < 1000 ? SAMPLES - *at : 1000;
        *at += session_push(s, w.pcm[0] + *at, w.pcm[1] + *at, n, NULL, NULL);
        if (*at == SAMPLES) session_end(s);
    }
    CHECK(session_take(s, *frames, NULL));
    return 1;
}

/* The same through a pipeline. */
struct shown {
    long out;      /* video frames that came out */
    int fail_from; /* chunks from here on are refused; 0: none */
    int rehearses; /* before the clip */
    int in_thread; /* taken by another thread than the one that opened the pipeline */
    pthread_t opener;
};

static int show(void *user, const struct pipeline_chunk *chunk) {
    struct shown *shown = user;
    shown->in_thread = !pthread_equal(pthread_self(), shown->opener);
    if (shown->fail_from && shown->out > 4 * C * (shown->fail_from - 1))
        return error_set(ERR_INPUT, "chunk %d is refused", shown->fail_from);
    if (chunk->count != 4 * C || shown->out + 4 * C > T || chunk->network <= 0 || chunk->decoder < 0)
        return error_set(ERR_DEVICE, "a bad chunk");
    memcpy(w.frames[shown->out], chunk->frames, 4 * C * sizeof w.frames[0]);
    shown->out += 4 * C;
    return OK;
}

/* Returns the code that the pipeline ended with. */
static int stream_pipelined(struct session *s, int overlapped, struct shown *shown) {
    struct pipeline *p;
    *shown = (struct shown){
        .out = 1, .fail_from = shown->fail_from, .rehearses = shown->rehearses, .opener = pthread_self()};
    CHECK(pipeline_open(&p, s, overlapped, show, shown, NULL));
    if (shown->rehearses) {
        CHECK(pipeline_rehearse(p));
        assert_true(pipeline_busy(p) == 0 && pipeline_both(p) == 0); /* no time of the clip's */
    }
    assert_int_equal(shown->out, 1);
    CHECK(session_begin(s, w.picture, w.frames[0]));
    int code = OK;
    for (long frame = 0; frame < T && !code; frame++) {
        long at = frame * AUDIO_SAMPLES_PER_FRAME;
        assert_int_equal(session_push(s, w.pcm[0] + at, w.pcm[1] + at, AUDIO_SAMPLES_PER_FRAME, w.mask[0] + frame,
                                      w.mask[1] + frame),
                         AUDIO_SAMPLES_PER_FRAME);
        if (frame == T - 1) session_end(s);
        while (!code && session_ready(s)) code = pipeline_run(p);
    }
    if (!code) code = pipeline_finish(p);
    if (!code) assert_true(pipeline_busy(p) > 0);
    pipeline_close(p);
    return code;
}

/* ---- the same by training's path ---- */

static void track_features(int track, float *features) {
    struct audio_encoder encoder;
    int dim = w.description.dit.audio_dim;
    CHECK(audio_encoder_open(&encoder, "logmel", dim));
    int frames = (int)clip_frames();
    int done = audio_encoder_push(&encoder, w.pcm[track], (int)clip_samples(), features, frames);
    done += audio_encoder_flush(&encoder, features + done * dim, frames - done);
    assert_int_equal(done, frames);
    audio_encoder_close(&encoder);
}

static void layout(struct self_forcing *r, struct condition_batch *c, real **reference, struct arena *arena) {
    struct batch_split split;
    CHECK(batch_split_of(&split, 1, 1, 0, 1));
    CHECK(self_forcing_layout(r, &w.net, &w.description.rollout, &split, w.latents, 0, arena));
    condition_batch_layout(c, &w.description.dit, &w.description.rollout.causal, 1, w.latents, arena);
    *reference = ARENA_TAKE(arena, "reference", real, r->size);
}

static void roll_out(const float *talk, const float *listen) {
    static float features[2][T * 4];
    struct self_forcing r = {0};
    static struct condition_batch c;
    struct arena arena;
    real *reference;
    arena_begin(&arena, "test");
    layout(&r, &c, &reference, &arena);
    CHECK(arena_commit(&arena));
    layout(&r, &c, &reference, &arena);
    assert_int_equal(w.description.dit.audio_dim, 4);
    for (int k = 0; k < 2; k++) track_features(k, features[k]);
    struct condition_host host = {.features = {features[0], features[1]}, .mask = {talk, listen}, .text = w.text};
    condition_batch_upload(&c, &host);
    float *latents = malloc(sizeof(float) * (size_t)r.clip);
    codec_encode_reset(&w.codec);
    assert_int_equal(codec_encode(&w.codec, w.picture, 1, latents), 1);
    transfer_to_real(reference, latents, r.size);
    struct rollout_noise random = {.seed = 5, .purpose = RANDOM_STREAM};
    struct part part = part_whole(1);
    CHECK(self_forcing_rollout(&r, &w.small.params, &part, reference, r.size, &c, &random, 2, 0));
    codec_decode_begin(&w.codec, w.picture);
    int made = codec_decode(&w.codec, r.x, 1, w.pixels[0]);
    for (int i = 1; i <= r.chunks; i++)
        made += codec_decode(&w.codec, r.x + causal_first(&w.description.rollout.causal, i) * r.size,
                             causal_own(&w.description.rollout.causal, i), w.pixels[made]);
    assert_int_equal(made, clip_frames());
    for (int t = 0; t < made; t++) rgb_from_planar(w.expected[t], w.pixels[t], PICTURE / 3);
    free(latents);
    self_forcing_free(&r);
    arena_free(&arena);
    CHECK(device_sync());
}

static void expect_same_frames(void) {
    for (int t = 0; t < clip_frames(); t++)
        if (memcmp(w.frames[t], w.expected[t], sizeof w.frames[t])) fail_msg("video frame %d differs", t);
}

static void expect_same_pixels(void) {
    int between = 0;
    for (int t = 1; t < clip_frames(); t++)
        if (!w.rounded[t] && memcmp(w.taken[t], w.pixels[t], sizeof w.taken[t]))
            fail_msg("pixels of video frame %d differ", t);
    for (int i = 0; i < PICTURE; i++)
        between += w.frames[clip_frames() - 1][i] > 0 && w.frames[clip_frames() - 1][i] < 255;
    assert_true(between > PICTURE / 4); /* bytes that are held within say little */
}

static void stream_equals_training(void **state) {
    (void)state;
    static const long pieces[] = {AUDIO_SAMPLES_PER_FRAME, 500, 7000, SAMPLES};
    roll_out(w.mask[0], w.mask[1]);
    struct session *s = open_session(-1, -1);
    for (int i = 0; i < 4; i++) { /* one after the other: nothing of a clip is left for the next */
        stream(s, pieces[i], w.mask[0], w.mask[1]);
        expect_same_frames();
        expect_same_pixels();
    }
    session_close(s);
}

/* Writes the student with other chunks, and takes a clip that they fill. */
static void set_chunks(const struct causal_config *causal) {
    w.description.rollout.causal = *causal;
    w.latents = F;
    while (!causal_chunks(causal, w.latents)) w.latents--;
    write_folder();
}

static void set_standard(void) {
    set_chunks(&(struct causal_config){C, 1 + C, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0});
}

/* Chunks of one frame, a first chunk of one or two, and every look-ahead. */
static void other_chunks_stream_as_trained(void **state) {
    (void)state;
    static const struct causal_config kinds[] = {{1, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {1, 2, 6, RAPR_END, 9, SINK_NATIVE, 0, 0},
                                                 {C, 1 + C, 6, RAPR_END, 9, SINK_NATIVE, 1, 0},
                                                 {C, 2, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 1},
                                                 {C, 2, 6, RAPR_END, 9, SINK_NATIVE, 0, 1},
                                                 {C, 3, 6, RAPR_START, 9, SINK_NATIVE, 1, 2},
                                                 {C, 0, 6, RAPR_END, 9, SINK_NATIVE, 1, 1}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        set_chunks(&kinds[k]);
        roll_out(w.mask[0], w.mask[1]);
        struct session *s = open_session(-1, -1);
        struct session_wait wait = session_wait(s);
        assert_int_equal(lround(25 * wait.chunk), 1 + 4 * causal_own(&kinds[k], 1));
        assert_int_equal(lround(25 * wait.ahead), kinds[k].audio_lookahead);
        static const long pieces[] = {AUDIO_SAMPLES_PER_FRAME, SAMPLES};
        for (int i = 0; i < 2; i++) {
            stream(s, pieces[i], w.mask[0], w.mask[1]);
            expect_same_frames();
            expect_same_pixels();
        }
        session_close(s);
    }
    set_standard();
}

/* Streams the clip with other sound and masks from video frame `from` on; returns how many of the frames before `end`
   are not those of `plain`. */
static int frames_that_hear(struct session *s, unsigned char (*plain)[PICTURE], long from, long end) {
    static float pcm[2][SAMPLES], mask[2][T];
    struct audio_encoder encoder;
    CHECK(audio_encoder_open(&encoder, "logmel", w.description.dit.audio_dim));
    long ahead = encoder.lookahead, differ = 0;
    audio_encoder_close(&encoder);
    memcpy(pcm, w.pcm, sizeof pcm);
    memcpy(mask, w.mask, sizeof mask);
    for (int k = 0; k < 2; k++) {
        for (long i = from * AUDIO_SAMPLES_PER_FRAME + ahead; i < SAMPLES; i++) w.pcm[k][i] = (float)noise(30 + k, i);
        for (long t = from; t < T; t++) w.mask[k][t] = 1 - w.mask[k][t];
    }
    stream(s, SAMPLES, w.mask[0], w.mask[1]);
    memcpy(w.pcm, pcm, sizeof pcm);
    memcpy(w.mask, mask, sizeof mask);
    for (long t = 0; t < end; t++) differ += memcmp(plain[t], w.frames[t], sizeof plain[t]) != 0;
    return (int)differ;
}

/* Sound beyond a chunk's look-ahead changes no bit of it; the last picture within it does, and so does every picture
   that a student hears who was trained without a limit. */
static void sound_beyond_the_look_ahead_is_not_heard(void **state) {
    (void)state;
    static unsigned char plain[T][PICTURE];
    for (int ahead = 0; ahead <= AUDIO_MARGIN; ahead++)
        for (int kind = 0; kind < 3; kind++) {
            const struct causal_config kinds[] = {{1, 4, 6, RAPR_END, 9, SINK_NATIVE, ahead, 0},
                                                  {C, 1 + C, 6, RAPR_END, 9, SINK_NATIVE, ahead, 0},
                                                  {C, 2, 6, RAPR_END, 9, SINK_NATIVE, ahead, 1}};
            set_chunks(&kinds[kind]);
            struct session *s = open_session(-1, -1);
            stream(s, SAMPLES, w.mask[0], w.mask[1]);
            memcpy(plain, w.frames, sizeof plain);
            for (int chunk = 1; chunk <= 3; chunk += 2) {
                long end = video_frames(causal_first(&kinds[kind], chunk + 1)); /* first video frame behind it */
                assert_int_equal(frames_that_hear(s, plain, end + ahead, end), 0);
                assert_true(frames_that_hear(s, plain, end + ahead - 1, end) > 0);
            }
            session_close(s);
        }
    set_standard();
}

static void write_decoder(const char *path) {
    const struct decoder_config sizes = {.kind = DECODER_RESIDUAL,
                                         .residual = {CHANNELS, {6, 5, 4}, {1, 1, 1}, PATCH / RESIDUAL_GROWTH}};
    struct decoder_net net;
    CHECK(decoder_net_create(&net, &sizes));
    float *values = calloc(net.table->total, sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < net.table->total; i++) values[i] = (float)(0.2 * noise(20, (long)i));
    CHECK(decoder_file_save(path, &net, values));
    free(values);
    decoder_net_destroy(&net);
}

/* A session gives its decoder the reference's picture, at every begin. */
static void the_decoder_sees_the_reference(void **state) {
    (void)state;
    const struct codec_decoder none = {.state = NULL};
    static float unseen[PICTURE];
    char path[sizeof folder + 32];
    snprintf(path, sizeof path, "%s/other.safetensors", folder);
    write_decoder(path);
    CHECK(decoder_file_use(&w.codec, path));
    roll_out(w.mask[0], w.mask[1]);
    struct session *s = open_with_decoder(-1, -1, path);
    for (int i = 0; i < 2; i++) {
        stream(s, SAMPLES, w.mask[0], w.mask[1]);
        expect_same_frames();
    }
    session_close(s);
    codec_decode_begin(&w.codec, NULL);
    float latent[CHANNELS * (HEIGHT / PATCH) * (WIDTH / PATCH)];
    codec_encode_reset(&w.codec);
    assert_int_equal(codec_encode(&w.codec, w.picture, 1, latent), 1);
    assert_int_equal(codec_decode_host(&w.codec, latent, 1, unseen), 1);
    assert_true(memcmp(unseen, w.frames[0], sizeof unseen));
    codec_use_decoder(&w.codec, &none);
}

/* Three sessions of one student, the third begun while the others are under way, all taken in turns: each makes what it
   would make alone. */
static void sessions_of_one_student_do_not_know_of_each_other(void **state) {
    (void)state;
    enum { SESSIONS = 3 };
    static unsigned char frames[SESSIONS][T][PICTURE];
    struct shared_student *shared;
    struct session *s[SESSIONS], *alone;
    struct session_options options = {.sink = -1, .rapr = -1};
    long at[SESSIONS] = {0}, out[SESSIONS];
    CHECK(shared_student_open(&shared, folder, &options, NULL));
    for (int i = 0; i < SESSIONS; i++) CHECK(session_open_shared(&s[i], shared, 5 + (uint64_t)i, NULL));
    for (int i = 0; i < SESSIONS; i++) out[i] = -1;
    for (int round = 0, busy = 1; busy; round++) {
        busy = round < 2;
        for (int i = round < 2 ? 1 : SESSIONS - 1; i >= 0; i--) { /* the last two rounds late */
            if (out[i] < 0) {
                CHECK(session_begin(s[i], w.picture, frames[i][0]));
                out[i] = 1;
            } else if (stream_on(s[i], &at[i], frames[i] + out[i])) {
                out[i] += 4 * C;
                busy = 1;
            }
            busy |= out[i] < T;
        }
    }
    for (int i = 0; i < SESSIONS; i++) {
        assert_int_equal(out[i], T);
        session_close(s[i]);
        options.seed = 5 + (uint64_t)i;
        CHECK(session_open(&alone, folder, &options, NULL));
        stream(alone, 1000, NULL, NULL);
        session_close(alone);
        assert_memory_equal(frames[i], w.frames, sizeof w.frames);
    }
    assert_true(memcmp(frames[0], frames[1], sizeof frames[0])); /* the noise is their own */
    shared_student_close(shared);
}

/* Streams the clip on two sessions of one student by turns. The first takes changes before the chunk that begins at
   video frame `at`: another picture if not NULL; another prompt (restyled 1) or guidance (2). */
static void stream_changed(struct session *s[2], long at, const float *picture, int restyled,
                           unsigned char frames[2][T][PICTURE]) {
    float text[64] = {0};
    long read[2] = {0};
    for (int i = 0; i < 2; i++) CHECK(session_begin(s[i], w.picture, frames[i][0]));
    for (long out = 1; out < T; out += 4 * C) {
        if (out == at && picture) CHECK(session_set_reference(s[0], picture));
        if (out == at && restyled == 1) session_set_prompt(s[0], text);
        if (out == at && restyled == 2) CHECK(session_set_guidance(s[0], 2, 0.5));
        for (int i = 0; i < 2; i++) assert_true(stream_on(s[i], &read[i], frames[i] + out));
    }
}

/* What is before a change, and another session, know nothing of it; the same picture changes nothing; a session that is
   taken back to what was trained makes what it ever made. */
static void a_change_is_a_session_s_own(void **state) {
    (void)state;
    enum { AT = 1 + 4 * C };
    static unsigned char plain[2][T][PICTURE], frames[2][T][PICTURE];
    float other[PICTURE];
    struct shared_student *shared;
    struct session *s[2];
    const struct session_options options = {.sink = -1, .rapr = -1};
    assert_true(w.description.dit.text_len * w.description.dit.text_dim <= 64);
    for (int i = 0; i < PICTURE; i++) other[i] = (float)noise(9, i);
    CHECK(shared_student_open(&shared, folder, &options, NULL));
    for (int i = 0; i < 2; i++) CHECK(session_open_shared(&s[i], shared, 5 + (uint64_t)i, NULL));
    stream_changed(s, AT, NULL, 0, plain);
    stream_changed(s, AT, w.picture, 0, frames);
    assert_memory_equal(frames, plain, sizeof plain);
    for (int restyled = 0; restyled < 3; restyled++) {
        stream_changed(s, AT, restyled ? NULL : other, restyled, frames);
        assert_memory_equal(frames[0], plain[0], AT * sizeof frames[0][0]);
        assert_memory_not_equal(frames[0][AT], plain[0][AT], 4 * C * sizeof frames[0][0]);
        assert_memory_equal(frames[1], plain[1], sizeof plain[1]);
        session_as_trained(s[0]);
    }
    stream_changed(s, AT, NULL, 0, frames);
    assert_memory_equal(frames, plain, sizeof plain);
    assert_int_equal(session_set_guidance(s[0], 5.1, 1), ERR_INPUT);
    for (int i = 0; i < 2; i++) session_close(s[i]);
    shared_student_close(shared);
}

static void decoder_beside_the_network(void **state) {
    (void)state;
    struct session *s = open_session(-1, -1);
    struct shown shown = {.out = 1};
    roll_out(w.mask[0], w.mask[1]);
    for (int overlapped = 0; overlapped < 2; overlapped++)
        for (int run = 0; run < 3; run++) {
            memset(w.frames, 0, sizeof w.frames);
            CHECK(stream_pipelined(s, overlapped, &shown));
            assert_int_equal(shown.out, T);
            assert_int_equal(shown.in_thread, overlapped);
            expect_same_frames();
        }
    session_close(s);
}

/* A rehearsal shows nothing and leaves nothing behind, but whatever the device records: no pass of the clip is new. */
static void a_rehearsal_changes_nothing(void **state) {
    (void)state;
    roll_out(w.mask[0], w.mask[1]);
    for (int overlapped = 0; overlapped < 2; overlapped++) {
        struct session *s = open_session(-1, -1);
        struct shown shown = {.rehearses = 1};
        memset(w.frames, 0, sizeof w.frames);
        CHECK(stream_pipelined(s, overlapped, &shown));
        assert_int_equal(shown.out, T);
        expect_same_frames();
        struct recording_counts counts = session_recordings(s);
        if (counts.kept) assert_int_equal(counts.direct, counts.recorded);
        session_close(s);
    }
}

/* Whoever shows the frames fails: the pipeline says so, whichever thread it was in, and ends. */
static void failure_of_the_decoder(void **state) {
    (void)state;
    struct session *s = open_session(-1, -1);
    for (int overlapped = 0; overlapped < 2; overlapped++) {
        struct shown shown = {.fail_from = 2};
        assert_int_equal(stream_pipelined(s, overlapped, &shown), ERR_INPUT);
        assert_string_equal(error_text(), "chunk 2 is refused");
        assert_int_equal(shown.out, 1 + 4 * C);
    }
    session_close(s);
}

/* What is under way when a stream is given up is dropped. */
static void pipeline_given_up(void **state) {
    (void)state;
    struct session *s = open_session(-1, -1);
    struct shown shown = {.out = 1};
    struct pipeline *p;
    CHECK(session_begin(s, w.picture, w.frames[0]));
    CHECK(pipeline_open(&p, s, 1, show, &shown, NULL));
    long taken = session_push(s, w.pcm[0], w.pcm[1], SAMPLES, w.mask[0], w.mask[1]);
    assert_true(taken > 0 && session_ready(s));
    CHECK(pipeline_run(p));
    pipeline_close(p);
    assert_true(shown.out == 1 || shown.out == 1 + 4 * C);
    session_close(s);
}

static void masks_come_from_the_voices(void **state) {
    (void)state;
    static float heard[2][T];
    for (int k = 0; k < 2; k++) {
        struct voice_activity vad;
        voice_activity_reset(&vad);
        for (int t = 0; t < T; t++) heard[k][t] = voice_activity_push(&vad, w.pcm[k] + t * AUDIO_SAMPLES_PER_FRAME);
    }
    roll_out(heard[0], heard[1]);
    struct session *s = open_session(-1, -1);
    stream(s, AUDIO_SAMPLES_PER_FRAME, NULL, NULL);
    expect_same_frames();
    session_close(s);
}

/* Switched off at streaming: the configurations are possible, and they change the picture once the ring has moved
   on. */
static void ablations_can_be_streamed(void **state) {
    (void)state;
    roll_out(w.mask[0], w.mask[1]);
    static const int sinks[] = {0, -1, 0, 1}, modes[] = {-1, RAPR_OFF, RAPR_OFF, -1};
    for (int i = 0; i < 4; i++) {
        struct session *s = open_session(sinks[i], modes[i]);
        stream(s, AUDIO_SAMPLES_PER_FRAME, w.mask[0], w.mask[1]);
        assert_memory_equal(w.frames[0], w.expected[0], (1 + 4 * C) * sizeof w.frames[0]);
        assert_memory_not_equal(w.frames[T - 1], w.expected[T - 1], sizeof w.frames[0]);
        session_close(s);
    }
}

/* What a student opened with this file and prompt has for its text; code: what loading returns. */
static void check_text(const char *file, const char *prompt, int code, const float *rows, int length) {
    const struct dit_config dit = w.description.dit;
    struct student student;
    CHECK(student_open(&student, folder));
    student.text_file = file;
    student.prompt = prompt;
    assert_int_equal(student_load(&student, folder), code);
    int n = dit.text_len * dit.text_dim;
    for (int i = 0; !code && i < n; i++) assert_true(student.text[i] == (i < length * dit.text_dim ? rows[i] : 0));
    student_close(&student);
}

static void other_prompts(void **state) {
    (void)state;
    const struct dit_config dit = w.description.dit;
    char file[FILE_PATH_MAX];
    float rows[64];
    const struct prompt_rows prompts[] = {{"a person smiles", 1, rows}, {"a person listens", 2, rows}, {"", 0, NULL}};
    assert_true(3 * dit.text_dim <= 64 && dit.text_len >= 2);
    for (int i = 0; i < 64; i++) rows[i] = (float)i / 8 + 1;
    snprintf(file, sizeof file, "%s/other.safetensors", folder);
    CHECK(prompt_file_write(file, prompts, 3, dit.text_dim, ST_BF16, 1, NULL));
    check_text(NULL, NULL, OK, w.text, dit.text_len);
    check_text(NULL, "a  person talks", OK, w.text, dit.text_len);
    check_text(NULL, "a person smiles", ERR_INPUT, NULL, 0); /* the student has no such prompt */
    check_text(file, NULL, OK, rows, 2);
    check_text(file, "a person smiles", OK, rows, 1);
    check_text(file, "nobody", ERR_INPUT, NULL, 0);
    CHECK(prompt_file_write(file, prompts, 1, dit.text_dim - 1, ST_F32, 0, NULL));
    check_text(file, NULL, ERR_INPUT, NULL, 0); /* its text has another width */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(stream_equals_training),
                                       cmocka_unit_test(other_chunks_stream_as_trained),
                                       cmocka_unit_test(sound_beyond_the_look_ahead_is_not_heard),
                                       cmocka_unit_test(the_decoder_sees_the_reference),
                                       cmocka_unit_test(sessions_of_one_student_do_not_know_of_each_other),
                                       cmocka_unit_test(a_change_is_a_session_s_own),
                                       cmocka_unit_test(decoder_beside_the_network),
                                       cmocka_unit_test(a_rehearsal_changes_nothing),
                                       cmocka_unit_test(failure_of_the_decoder),
                                       cmocka_unit_test(pipeline_given_up),
                                       cmocka_unit_test(masks_come_from_the_voices),
                                       cmocka_unit_test(ablations_can_be_streamed),
                                       cmocka_unit_test(other_prompts)};
    return cmocka_run_group_tests(tests, write_student, remove_student);
}
