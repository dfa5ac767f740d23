/* test_recordings.c: recordings of the device (kernels/recordings.h). A recorded stream gives the bits of one whose
   passes are all queued as they are; how many recordings there are is bounded by the ring's period times the passes of
   a chunk, and once they are there every pass of the steady state is replayed; what cannot be recorded runs as it is.
   On a backend that records nothing all of it runs as it is, with the same results. */
#include "tests/small_rollout.h"

#include "base/philox.h"
#include "kernels/recordings.h"

enum { LAYERS = 1, C = 3, STEPS = 2, CHUNKS = 9 };

static int records; /* whether this backend does */

static int start(void **state) {
    (void)state;
    if (device_init(2)) return 1;
    records = device_record_begin();
    if (records) device_graph_destroy(device_record_end());
    return device_sync();
}

/* ---- work by key ---- */

struct job {
    real *x, *from; /* [8], [4] */
    int upload, calls;
};

static struct job open_job(struct recordings **recordings) {
    struct job job = {.x = device_alloc(8 * sizeof *job.x), .from = device_alloc(4 * sizeof *job.from)};
    assert_true(job.x && job.from);
    mem_zero(job.x, 8 * sizeof *job.x);
    CHECK(recordings_open(recordings, 2, sizeof(int)));
    return job;
}

/* No attempt at recording left a failure. */
static void close_job(struct job *job, struct recordings *recordings) {
    CHECK(device_sync());
    recordings_close(recordings);
    device_free(job->x);
    device_free(job->from);
}

static int job_work(void *user) {
    struct job *job = user;
    const real one[4] = {1, 1, 1, 1};
    job->calls++;
    if (job->upload) mem_upload(job->x, one, sizeof one);
    real_axpby(job->x, 2, job->from, 1, 4);
    mem_copy(job->x + 4, job->x, 4 * sizeof *job->x);
    return OK;
}

static void expect(const struct job *job, double value) {
    real host[8];
    mem_download(host, job->x, sizeof host);
    for (int i = 0; i < 8; i++) assert_true(host[i] == (real)value);
}

/* x += 2 from, with what `from` holds at the time of each run. */
static void a_recording_reads_memory_anew(void **state) {
    (void)state;
    struct recordings *recordings;
    struct job job = open_job(&recordings);
    double sum = 0;
    for (int run = 1, key = 7; run <= 5; run++) {
        real_fill(job.from, (real)run, 4);
        sum += 2 * run;
        CHECK(recordings_run(recordings, &key, sizeof key, job_work, &job));
        expect(&job, sum);
    }
    struct recording_counts counts = recordings_counts(recordings);
    assert_int_equal(counts.direct + counts.recorded + counts.replayed, 5);
    assert_int_equal(counts.replayed, records ? 3 : 0);
    assert_int_equal(counts.kept, records);
    assert_int_equal(job.calls, records ? 2 : 5); /* once as it is, once recorded */
    close_job(&job, recordings);
}

/* An upload reads host memory of its moment: no recording holds it, and nothing of the attempt was done. */
static void what_cannot_be_recorded(void **state) {
    (void)state;
    struct recordings *recordings;
    struct job job = open_job(&recordings);
    job.upload = 1;
    real_fill(job.from, 3, 4);
    for (int run = 0, key = 7; run < 4; run++) {
        CHECK(recordings_run(recordings, &key, sizeof key, job_work, &job));
        expect(&job, 7);
    }
    assert_int_equal(recordings_counts(recordings).direct, 4);
    assert_int_equal(recordings_counts(recordings).kept, 0);
    close_job(&job, recordings);
}

static int failing_work(void *user) {
    job_work(user);
    return error_set(ERR_USAGE, "it does not work");
}

static void full_tables_and_failures(void **state) {
    (void)state;
    struct recordings *recordings;
    struct job job = open_job(&recordings);
    real_fill(job.from, 1, 4);
    for (int run = 0; run < 4; run++)
        for (int key = 0; key < 3; key++) CHECK(recordings_run(recordings, &key, sizeof key, job_work, &job));
    expect(&job, 24);
    assert_int_equal(recordings_counts(recordings).kept, records ? 2 : 0); /* the third key found no room */
    recordings_close(recordings);
    CHECK(recordings_open(&recordings, 2, sizeof(int)));
    for (int run = 0, key = 1; run < 3; run++)
        assert_int_equal(recordings_run(recordings, &key, sizeof key, failing_work, &job), ERR_USAGE);
    assert_int_equal(recordings_counts(recordings).kept, 0);
    close_job(&job, recordings);
}

/* ---- streams ---- */

/* A clip; its chunks into w->out. */
static void roll(struct small_rollout *w, uint64_t seed, int chunks) {
    struct rollout_noise noise = {.seed = seed, .purpose = RANDOM_TEST};
    CHECK(rollout_begin(&w->rollout, &w->small.params, w->reference, w->frame, &w->condition));
    for (int i = 0; i < chunks; i++)
        CHECK(rollout_chunk(&w->rollout, &w->small.params, &w->condition, &noise, STEPS - 1,
                            w->out + (1 + i * C) * w->frame, w->clip, NULL, 0));
}

static void recorded_equals_direct(const struct rollout_config *config, enum kv_type type) {
    struct small_rollout direct, recorded;
    /* the ring has room for one chunk more than the history, and starts over after so many chunks */
    int period = (config->causal.ring + 2 * C - 1) / C, passes = STEPS + config->clean_pass;
    small_stream_open(&direct, config, LAYERS, 1, CHUNKS, type);
    small_stream_open(&recorded, config, LAYERS, 1, CHUNKS, type);
    CHECK(rollout_record(&recorded.rollout));
    for (int clip = 0; clip < 2; clip++) {
        roll(&direct, 5 + (uint64_t)clip, CHUNKS);
        roll(&recorded, 5 + (uint64_t)clip, CHUNKS);
        assert_same_bits(recorded.out, direct.out, sizeof(real) * (size_t)direct.clip);
        struct recording_counts counts = rollout_recordings(&recorded.rollout);
        assert_int_equal(counts.direct + counts.recorded + counts.replayed, (clip + 1) * CHUNKS * passes);
        if (!records) continue;
        /* the first clip sees each pass of the steady state twice, and those of the growing history once */
        assert_int_equal(counts.kept, (clip + 1) * period * passes);
        assert_int_equal(counts.direct, 2 * period * passes); /* each key once, never again */
    }
    small_rollout_close(&direct);
    small_rollout_close(&recorded);
}

static void recorded_streams(void **state) {
    (void)state;
    const struct rollout_config standard = {
        .causal = {C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0}, .steps = STEPS, .sigma = {1, 0.6}};
    struct rollout_config absolute = standard; /* positions without end: they are not part of a pass */
    absolute.causal.rapr = RAPR_OFF;
    absolute.clean_pass = 1;
    for (enum kv_type type = KV_FULL; type <= KV_FP8; type++) {
        recorded_equals_direct(&standard, type);
        recorded_equals_direct(&absolute, type);
    }
}

/* After two clips of rollout_chunk_kinds chunks nothing of a third is done for the first or second time. */
static void a_rehearsal_leaves_nothing_to_record(void **state) {
    (void)state;
    static const struct causal_config kinds[] = {{C, 4, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 1, 6, RAPR_END, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 0, 5, RAPR_CONTEXT, 9, SINK_NATIVE, AUDIO_MARGIN, 0},
                                                 {C, 4, 4, RAPR_START, 9, SINK_NATIVE, AUDIO_MARGIN, 0}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        const struct rollout_config config = {.causal = kinds[k], .steps = STEPS, .sigma = {1, 0.6}};
        struct small_rollout w;
        int rehearsed = rollout_chunk_kinds(&config.causal);
        small_rollout_open(&w, &config, LAYERS, 1, 2 * rehearsed, KV_STREAM, DIT_FORWARD_ONLY);
        CHECK(rollout_record(&w.rollout));
        for (int clip = 0; clip < 2; clip++) roll(&w, 5, rehearsed);
        struct recording_counts before = rollout_recordings(&w.rollout);
        roll(&w, 5, 2 * rehearsed);
        struct recording_counts after = rollout_recordings(&w.rollout);
        if (records) assert_int_equal(after.replayed - before.replayed, 2 * rehearsed * STEPS);
        rollout_direct(&w.rollout);
        assert_int_equal(rollout_recordings(&w.rollout).kept, 0);
        small_rollout_close(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_recording_reads_memory_anew),
                                       cmocka_unit_test(what_cannot_be_recorded),
                                       cmocka_unit_test(full_tables_and_failures), cmocka_unit_test(recorded_streams),
                                       cmocka_unit_test(a_rehearsal_leaves_nothing_to_record)};
    return cmocka_run_group_tests(tests, start, NULL);
}
