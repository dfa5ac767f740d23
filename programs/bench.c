/* bench.c: measures what this machine reaches, against what it can. It prints
     where a training step's time goes, by operation, at the demo's size and at 151 million parameters;
     for every operation of a step, at the sizes of the demo and at larger ones, the median of several runs, the rate,
       and its share of the measured limit, which is for arithmetic what the units do in registers (kernels/peak.h) and
       for memory a streaming copy by all threads;
     the network as a whole: forward, forward and backward, a training step of the teacher; both halves of a video
       autoencoder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "comm/comm.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "model/codec/vae_codec.h"
#include "tools/bench/operations.h"
#include "tools/bench/step_report.h"
#include "train/config/run_config.h"

/* ---- the network ---- */

/* Sizes of the whole network: the demo's, which are the config's defaults, and one of 151 million parameters. */
enum step_size { STEP_NONE, STEP_DEMO, STEP_LARGE };
static const char *const large_keys[] = {"model.dim=768", "model.ffn_dim=3072", "model.heads=12", "model.layers=12",
                                         "teacher.batch=4"};

/* One teacher and a batch of noise. */
struct whole {
    struct run_config config;
    struct dit net;
    struct teacher_step step;
    struct condition_batch condition;
    struct arena arena;
    real *clips, *t;
};

static int whole_layout(struct whole *w) {
    const struct dit_config *c = &w->config.model;
    int B = w->config.teacher.stage.batch, F = w->config.frames;
    const struct step_setup setup = {.net = &w->net, .F = F, .seed = 1};
    TRY(teacher_step_layout(&w->step, &setup, &w->config.teacher, &w->arena, &w->arena));
    TRY(teacher_step_acts_layout(&w->step, &w->arena));
    condition_batch_layout(&w->condition, c, NULL, B, F, &w->arena);
    w->clips = ARENA_TAKE(&w->arena, "clips", real, (size_t)B * F * c->in_channels * c->height * c->width);
    w->t = ARENA_TAKE(&w->arena, "levels", real, (size_t)B * F);
    return OK;
}

static int whole_open(struct whole *w, enum step_size size) {
    TRY(run_config_load(&w->config, NULL, large_keys, size == STEP_LARGE ? (int)FIELDS(large_keys) : 0));
    TRY(dit_create(&w->net, &w->config.model, 0));
    arena_begin(&w->arena, "bench");
    TRY(whole_layout(w));
    TRY(arena_commit(&w->arena));
    TRY(whole_layout(w));
    teacher_step_prepare(&w->step);
    teacher_step_fresh(&w->step);
    const struct dit_config *c = &w->config.model;
    int B = w->config.teacher.stage.batch, F = w->config.frames;
    random_normal(w->clips, 1, 0, RANDOM_TEST, 0, 0, B, 0, F, (long)c->in_channels * c->height * c->width);
    real_fill(w->t, 500, (long)B * F);
    random_init(w->condition.text_real, 1, 0, 1, (long)B * c->text_len * c->text_dim);
    for (int s = 0; s < AUDIO_STREAMS; s++) {
        random_init(w->condition.features[s], 1, s, 1, (long)B * w->condition.T * c->audio_dim);
        real_fill(w->condition.mask[s], 1, (long)B * w->condition.T);
    }
    condition_batch_refresh(&w->condition);
    return device_sync();
}

static void whole_close(struct whole *w) {
    teacher_step_free(&w->step);
    dit_destroy(&w->net);
    arena_free(&w->arena);
}

static int bench_whole(const struct limits *l) {
    struct whole w = {0};
    int code = whole_open(&w, STEP_DEMO);
    if (code == OK) {
        int B = w.config.teacher.stage.batch, F = w.config.frames;
        const struct dit_config *c = &w.config.model;
        long clip = (long)F * c->in_channels * c->height * c->width, step = 0;
        double work = dit_flops(c, B, F, 0);
        struct params params = optimiser_params(&w.step.optimiser);
        struct dit_input in = condition_batch_clip(&w.condition, 0, w.clips, clip, w.t);
        struct dit_gradients gradients = {.dvelocity = w.clips, .dvelocity_stride = clip};
        printf("teacher: %zu parameters, %d tokens, %.1f GFLOP a step\n", w.net.table.values, B * F * dit_tokens(c),
               3e-9 * work);
        MEASURE(l, "forward", ARITHMETIC, work, {
            dit_condition_reset(w.step.acts, 1, 1);
            if (code == OK) code = dit_forward(&w.net, &params, w.step.acts, &in, w.step.flow.velocity, clip);
        });
        MEASURE(l, "forward and backward", ARITHMETIC, 3 * work, {
            dit_condition_reset(w.step.acts, 1, 1);
            if (code == OK) code = dit_forward(&w.net, &params, w.step.acts, &in, w.step.flow.velocity, clip);
            if (code == OK) code = dit_backward(&w.net, &params, w.step.acts, &in, &gradients);
        });
        MEASURE(l, "training step", ARITHMETIC, 3 * work, {
            if (code == OK) code = teacher_step_run(&w.step, w.clips, &w.condition, step++);
        });
        if (code == OK) code = device_sync();
    }
    whole_close(&w);
    return code;
}

/* Times the teacher's training step alone, for scripts/bench_step.sh, which compares it with PyTorch's. */
static int time_steps(const struct whole *w, struct teacher_step *step, double seconds) {
    enum { RUNS_MAX = 400 };
    double times[RUNS_MAX], least = INFINITY, begun = 0;
    int runs = 0;
    for (long i = 0; i < RUNS_MAX + 2; i++) {
        double start = bench_now();
        TRY(teacher_step_run(step, w->clips, &w->condition, i));
        TRY(device_sync());
        if (i == 1) begun = bench_now(); /* the first two steps fill caches and make the library's plans */
        if (i < 2) continue;
        times[runs] = bench_now() - start;
        least = fmin(least, times[runs++]);
        if (bench_now() - begun > seconds) break;
    }
    printf("%s, %s, %d threads, %zu parameters, %d rows: training step least %.1f ms, median %.1f ms\n", device_name(),
           TYPE_NAME, device_threads(), w->net.table.values,
           w->config.teacher.stage.batch * w->config.frames * dit_tokens(&w->config.model), 1e3 * least,
           1e3 * bench_median(times, runs));
    return OK;
}

/* Measures where a step's time goes, in the fastest of the steps that fit into `seconds`, of which there are at least
   two. */
static int profile_steps(const struct limits *l, const struct whole *w, struct teacher_step *step, double seconds) {
    struct step_times least = {.seconds = INFINITY}, times;
    double begun = bench_now();
    TRY(teacher_step_run(step, w->clips, &w->condition,
                         0)); /* a first step fills caches and makes the library's plans */
    for (long i = 1; i < 3 || bench_now() - begun < seconds; i++) {
        step_times_begin(&times);
        int code = teacher_step_run(step, w->clips, &w->condition, i);
        TRY(step_times_end(&times));
        TRY(code);
        if (times.seconds < least.seconds) least = times;
    }
    step_times_print(l, &least);
    return OK;
}

static int bench_profile(const struct limits *l, enum step_size size, double seconds) {
    struct whole w = {0};
    int code = whole_open(&w, size);
    if (code == OK) {
        printf("a training step, %zu parameters:\n", w.net.table.values);
        code = profile_steps(l, &w, &w.step, seconds);
    }
    whole_close(&w);
    return code;
}

/* Times steps for `seconds`, then says where the time goes. */
static int bench_step(enum step_size size, double seconds) {
    struct limits limits = {0};
    struct operands o;
    struct whole w = {0};
    TRY(operands_open(&o, 16 << 20));
    measure_limits(&limits, &o, 0);
    operands_close(&o);
    int code = whole_open(&w, size);
    if (code == OK) code = time_steps(&w, &w.step, seconds);
    if (code == OK) code = profile_steps(&limits, &w, &w.step, seconds / 4);
    whole_close(&w);
    return code;
}

/* Times a pass of a video autoencoder's encoder or decoder: one latent frame, four frames of 64 x 64 pixels. */
static int bench_half(const struct limits *l, const struct vae_weights *w, enum vae_direction direction) {
    enum { SIDE = 64 };
    const struct params params = {.table = &w->net.table, .weights = w->weights};
    struct vae_stream s;
    TRY(vae_stream_plan(&s, &w->net, direction, SIDE, SIDE, 1));
    int code = vae_stream_open(&s), latent = SIDE / vae_stride(&w->net.config);
    real *pixels = device_alloc(FRAMES_PER_LATENT * 3 * SIDE * SIDE * sizeof *pixels);
    real *latents = device_alloc((size_t)(latent * latent * w->net.config.z) * sizeof *latents);
    if (!code && pixels && latents) {
        real_fill(pixels, 0.5f, (long)FRAMES_PER_LATENT * 3 * SIDE * SIDE);
        real_fill(latents, 0.5f, (long)latent * latent * w->net.config.z);
        s.started = 1;
        MEASURE(l, direction == VAE_ENCODE ? "encode a latent frame" : "decode a latent frame", ARITHMETIC, s.flops[1],
                (direction == VAE_ENCODE ? vae_encode(&s, &params, pixels, 1, latents)
                                         : vae_decode(&s, &params, latents, 1, pixels)));
    }
    device_free(pixels);
    device_free(latents);
    vae_stream_close(&s);
    return code ? code : device_sync();
}

/* Times Wan 2.2's autoencoder at an eighth of its widths. */
static int bench_codec(const struct limits *l) {
    struct vae_weights w;
    struct vae_config config;
    vae_config_wan22(&config);
    config.encoder_base /= 8;
    config.decoder_base /= 8;
    TRY(vae_weights_open(&w, &config, VAE_BOTH));
    real *master = device_alloc(w.net.table.total * sizeof *master);
    int code = master ? OK : error_set(ERR_DEVICE, "out of memory for the codec's weights");
    if (!code) {
        printf("video autoencoder: %zu parameters\n", w.net.table.values);
        random_init(master, 1, 0, (real)0.03, (long)w.net.table.total);
        elem_from_real(w.weights, master, (long)w.net.table.total);
        code = bench_half(l, &w, VAE_ENCODE);
    }
    if (!code) code = bench_half(l, &w, VAE_DECODE);
    device_free(master);
    vae_weights_close(&w);
    return code;
}

static void bench_operations(const struct limits *l, const struct operands *o) {
    printf("demo sizes:\n");
    const long N = 3328, d = 192, ffn = 768;
    bench_linear(l, o, N, d, d);
    bench_linear(l, o, N, ffn, d);
    bench_gelu(l, o, N, d, ffn);
    bench_attention(l, o, "self", 16, 208, 208, 6, 32);
    bench_attention(l, o, "chunk", 8, 48, 208, 6, 32);
    bench_attention(l, o, "text", 16, 208, 8, 6, 32);
    bench_attention(l, o, "audio", 208, 16, 4, 6, 32);
    bench_streams(l, o, N, d, 16, 6);
    printf("larger sizes:\n");
    bench_linear(l, o, 1560, 1536, 1536);
    bench_gelu(l, o, 1560, 1536, 8960);
    bench_attention(l, o, "self", 1, 1560, 1560, 12, 128);
    bench_streams(l, o, 4096, 3072, 256, 24);
}

static int bench_all(int whole_only) {
    struct limits limits = {0};
    struct operands o;
    printf("%s, %s, %d threads\nlimits:\n", device_name(), TYPE_NAME, device_threads());
    TRY(operands_open(&o, 16 << 20));
    measure_limits(&limits, &o, 2048);
    TRY(bench_profile(&limits, STEP_DEMO, 3));
    if (!whole_only) {
        TRY(bench_profile(&limits, STEP_LARGE, 3));
        bench_operations(&limits, &o);
    }
    operands_close(&o);
    TRY(device_sync());
    TRY(bench_whole(&limits));
    return bench_codec(&limits);
}

/* ---- several processes: scripts/launch.sh -n N bin/bench ---- */

/* Measures the bytes a second of a buffer that is summed over all ranks; a rank sends and receives 2 (N-1)/N of
   them. */
static int bench_sums(struct comm *comm) {
    enum { RUNS = 12 };
    for (long mib = 1; mib <= 64; mib *= 8) {
        long n = (mib << 20) / (long)sizeof(real);
        double times[RUNS];
        real *x = device_alloc((size_t)n * sizeof *x);
        if (!x) return error_set(ERR_DEVICE, "out of memory");
        mem_zero(x, (size_t)n * sizeof *x);
        for (int i = 0; i < RUNS; i++) {
            TRY(comm_barrier(comm));
            double start = bench_now();
            TRY(comm_all_reduce(comm, x, n));
            TRY(device_sync());
            times[i] = bench_now() - start;
        }
        device_free(x);
        double seconds = bench_median(times, RUNS);
        if (comm->rank == 0)
            printf("all-reduce of %2ld MiB over %d ranks %24s %9.3f ms %8.2f GB/s\n", mib, comm->size, "",
                   1e3 * seconds, 1e-9 * (double)(mib << 20) / seconds);
    }
    return OK;
}

static int bench_ranks(struct comm *comm, int threads) {
    int code = device_init(threads ? threads : 1);
    if (!code) code = bench_sums(comm);
    if (code)
        comm_abort(comm, code);
    else
        comm_close(comm);
    return code;
}

/* ---- the program ---- */

struct settings {
    int threads, cpu_time, whole, step;
    double seconds;
};
static const char *const step_sizes[] = {"none", "demo", "large", NULL};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    THREADS_FIELD,
    FLAG("cpu_time", cpu_time, "no",
         "Counts processor time instead of wall time, which suits one thread on a busy machine."),
    FLAG("whole", whole, "no", "Measures the limits and whole networks only."),
    CHOICE("step", step, step_sizes, "none",
           "Times the teacher's training step alone, at the demo's size or at 151 million parameters (large), and says "
           "where its time goes."),
    REAL("seconds", seconds, 0, 1e4, "10", "Seconds for which step= repeats the training step."),
};
static const struct command command = {
    .name = "bench",
    .does = "Measures what this machine reaches in every operation of a training step, against what it can.",
    .words = "",
    .text = "Started as several processes (streamavatar launch -n N bench) it measures the sums between them alone.\n",
    .keys = keys,
    .key_count = FIELDS(keys)};

static int run(const struct settings *o) {
    struct comm comm;
    if (o->cpu_time) bench_use_processor_time();
    TRY(comm_open(&comm, &(struct comm_options){.transport = "auto"}));
    if (comm.size > 1) return bench_ranks(&comm, o->threads);
    TRY(device_init(o->threads));
    TRY(o->step ? bench_step((enum step_size)o->step, o->seconds) : bench_all(o->whole));
    bench_served();
    device_shutdown();
    return OK;
}

int main(int argc, char **argv) {
    struct args args;
    struct settings o;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (!code && !args.done) code = run(&o);
    return args_exit("bench", code);
}
