/* bench_dit.c: the transformer at full width, as a training block and as a live stream, against this device's measured
   limits.
   part= names what is measured alone; without it all of these but kernels are:
     limits      the device's limits: the largest matrix products, a copy
     blocks      one block (with embeddings and head) over 21 latent frames, forward and forward + backward; with
                 deterministic=yes by algorithms that always add in the same order
     operations  the operations of a block over 21 latent frames of 928 x 704 pixels, and of the light decoder, each
                 against the limits
     stream      tools/bench/stream.h: chunks of 3 latent frames through all 30 layers in 3 passes, the light decoder,
                 the first frame
     dry         launches, bytes and operations of a stream's chunk and of a training block, counted without computing
                 anything, against the least that they can be (tools/dry/); needs no device
     kernels     the six calls that most of a stream's and of a training step's time goes to, each once for a profiler
                 (device_profile), after one that it does not see
   Sizes are those of the pictures; blocks and stream without size= are over 928 x 704, and blocks over 480 x 832 too.
   Every figure is printed as soon as it is there, after at most about a second. A part ends with the table of who
   served what (kernels/served.h), where the backend has several ways. tiny=yes takes small shapes, to try the program
   itself. Operations are counted by dit_flops; a backward counts twice its forward. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "kernels/arena.h"
#include "kernels/device.h"
#include "kernels/kernels.h"
#include "tools/dry/passes.h"
#include "tools/bench/operations.h"
#include "tools/bench/stream.h"

enum { BLOCK_FRAMES = 21 };
static const double BOX_SECONDS = 1; /* time that the measuring of one figure may take */

/* ---- a training block ---- */

static int acts_open(struct dit_acts **acts, struct arena *arena, const struct dit *net, int frames) {
    arena_begin(arena, "block");
    TRY(dit_acts_layout(acts, net, 1, frames, DIT_SAVE_ALL, arena));
    dit_acts_free(*acts);
    TRY(arena_commit(arena));
    return dit_acts_layout(acts, net, 1, frames, DIT_SAVE_ALL, arena);
}

static int run_block(const struct limits *l, const struct dit *net, const struct params *params, const char *name,
                     int frames) {
    struct bench_inputs inputs = {0};
    struct arena arena;
    struct dit_acts *acts = NULL;
    int *positions = calloc((size_t)frames, sizeof *positions), code = OK;
    if (!positions) return error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < frames; i++) positions[i] = i;
    memset(&arena, 0, sizeof arena);
    code = bench_inputs_open(&inputs, &net->config, frames);
    if (!code) code = acts_open(&acts, &arena, net, frames);
    if (!code) {
        const struct dit_config *c = &net->config;
        long clip = (long)frames * c->in_channels * c->height * c->width;
        struct dit_input in = {.batch = 1,
                               .frames = frames,
                               .positions = positions,
                               .latents = inputs.latents,
                               .latent_stride = clip,
                               .t = inputs.t,
                               .text = inputs.text,
                               .audio = {inputs.audio[0], inputs.audio[1]},
                               .audio_stride = (long)frames * AUDIO_WINDOW * c->audio_dim};
        struct dit_gradients gradients = {.dvelocity = inputs.velocity, .dvelocity_stride = clip};
        double work = dit_flops(c, 1, frames, 0);
        char line[96];
        snprintf(line, sizeof line, "block %s, %d tokens: forward", name, frames * dit_tokens(c));
        MEASURE(l, line, ARITHMETIC, work, {
            dit_condition_reset(acts, 1, 1);
            if (!code) code = dit_forward(net, params, acts, &in, inputs.velocity, clip);
        });
        snprintf(line, sizeof line, "block %s: forward and backward", name);
        MEASURE(l, line, ARITHMETIC, 3 * work, {
            dit_condition_reset(acts, 1, 1);
            if (!code) code = dit_forward(net, params, acts, &in, inputs.velocity, clip);
            if (!code) code = dit_backward(net, params, acts, &in, &gradients);
        });
        if (!code) code = device_sync();
    }
    dit_acts_free(acts);
    arena_free(&arena);
    bench_inputs_close(&inputs);
    free(positions);
    return code;
}

static int bench_block(const struct limits *l, const struct bench_case *what) {
    const struct dit_config config = bench_config(what, 1);
    struct dit net;
    struct params params = {0};
    char name[32];
    snprintf(name, sizeof name, "%d x %d", what->width, what->height);
    TRY(dit_create(&net, &config, 0));
    int code = bench_weights_open(&params, &net.table, 1);
    if (!code) code = run_block(l, &net, &params, name, what->tiny ? 4 : BLOCK_FRAMES);
    bench_weights_close(&params);
    dit_destroy(&net);
    return code;
}

/* ---- parts ---- */

struct request {
    struct bench_case what;
    int sized, deterministic; /* sized: a size was asked for */
};

static int part_limits(const struct request *r, struct limits *l) {
    struct operands o;
    long edge = r->what.tiny ? 256 : 8192;
    TRY(operands_open(&o, edge * edge));
    measure_limits(l, &o, edge);
    operands_close(&o);
    return device_sync();
}

static int part_blocks(const struct request *r, struct limits *l) {
    struct bench_case what = r->what;
    TRY(bench_block(l, &what));
    if (r->sized) return OK;
    what.width = 480, what.height = 832;
    return bench_block(l, &what);
}

static int part_operations(const struct request *r, struct limits *l) {
    struct operands o;
    TRY(operands_open(&o, r->what.tiny ? 1 << 18 : BLOCK_FRAMES * 22L * 29 * 14336));
    bench_dit_operations(l, &o, r->what.tiny);
    operands_close(&o);
    return device_sync();
}

static int part_stream(const struct request *r, struct limits *l) { return bench_stream(l, &r->what); }

static int part_dry(const struct request *r, struct limits *l) {
    (void)l;
    return dry_print(&r->what);
}

static int part_kernels(const struct request *r, struct limits *l) {
    struct operands o;
    (void)l;
    TRY(operands_open(&o, r->what.tiny ? 1 << 18 : BLOCK_FRAMES * 22L * 29 * 14336));
    bench_profiled(&o, r->what.tiny);
    operands_close(&o);
    return device_sync();
}

static const struct part {
    const char *name;
    int (*run)(const struct request *r, struct limits *limits);
    int against_limits, deterministic_too, of_all;
} parts[] = {{"limits", part_limits, 0, 1, 1}, {"operations", part_operations, 1, 0, 1},
             {"blocks", part_blocks, 1, 1, 1}, {"stream", part_stream, 0, 0, 1},
             {"dry", part_dry, 0, 0, 1},       {"kernels", part_kernels, 0, 0, 0}};
enum { PARTS = sizeof parts / sizeof *parts };

/* Runs `only`, after the limits where it is held against them. NULL: all parts, or all that can be deterministic. */
static int run_parts(const struct request *r, const struct part *only) {
    struct limits limits = {0};
    for (int i = 0; i < PARTS; i++) {
        const struct part *p = &parts[i];
        int wanted = only ? p == only || (only->against_limits && p->run == part_limits)
                          : p->of_all && (!r->deterministic || p->deterministic_too);
        if (!wanted) continue;
        TRY(p->run(r, &limits));
        bench_served();
    }
    return OK;
}

static int bench_all(const struct request *r, const struct part *only) {
    void *workspace = NULL;
    size_t room = (size_t)(r->what.tiny ? 16 : 512) << 20;
    printf("%s, %s, %d threads%s\n", device_name(), TYPE_NAME, device_threads(),
           r->deterministic ? ", deterministic" : "");
    if (!(workspace = device_alloc(room))) return error_set(ERR_DEVICE, "out of memory for the workspace");
    device_workspace(workspace, room);
    int code = run_parts(r, only);
    device_workspace(NULL, 0);
    device_free(workspace);
    return code;
}

struct settings {
    int net, threads, deterministic, tiny;
    char part[32], size[32];
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("part", part, "", "Part that is measured alone; empty measures all of them but kernels."),
    CHOICE("net", net, bench_net_names, "5b",
           "Shape of the network that blocks and stream measure: Wan2.2-TI2V-5B's or Wan2.1-T2V-1.3B's."),
    TEXT("size", size, "",
         "Size of the pictures for blocks and stream, WIDTHxHEIGHT; empty takes 928x704 (5b) or 832x480, and for "
         "blocks 480x832 as well."),
    THREADS_FIELD,
    FLAG("deterministic", deterministic, "no",
         "Measures training blocks alone, with algorithms that give the same bits every time."),
    FLAG("tiny", tiny, "no", "Takes small shapes, to try the program itself."),
};
static const char parts_text[] =
    "The parts are:\n"
    "  limits      the largest matrix products and a copy: what this device can do\n"
    "  operations  the operations of a block and of the light decoder, against the limits\n"
    "  blocks      a training block over 21 latent frames, forward and backward, against the limits\n"
    "  stream      chunks of a live stream through all layers, the light decoder, the first frame\n"
    "  dry         launches, bytes and operations, counted without a device, against the least possible\n"
    "  kernels     the six costliest calls, each once for a profiler\n";
static const struct command command = {.name = "bench_dit",
                                       .does =
                                           "Measures the blocks of a full-size network, and a live stream through it.",
                                       .words = "",
                                       .text = parts_text,
                                       .keys = keys,
                                       .key_count = FIELDS(keys)};

/* Reads from the keys what is to be measured, and the part that is measured alone (NULL: all of them). */
static int read_request(struct request *r, const struct part **only, const struct settings *o) {
    int p = 0;
    *r = (struct request){.deterministic = o->deterministic, .sized = *o->size != 0};
    r->what.tiny = o->tiny;
    r->what.net = (enum bench_net)o->net;
    while (*o->part && p < PARTS && strcmp(o->part, parts[p].name)) p++;
    if (p == PARTS) return error_set(ERR_USAGE, "part: there is none called \"%s\"; --help lists them", o->part);
    *only = *o->part ? &parts[p] : NULL;
    if (*only && r->deterministic && !parts[p].deterministic_too)
        return error_set(ERR_USAGE, "part: %s has no deterministic form", o->part);
    return bench_case_size(&r->what, *o->size ? o->size : o->net == BENCH_5B ? "928x704" : "832x480");
}

static int run(const struct settings *o) {
    struct request r;
    const struct part *only = NULL;
    TRY(read_request(&r, &only, o));
    if (only && only->run == part_dry) return dry_print(&r.what);
    bench_time_box(BOX_SECONDS);
    device_deterministic(r.deterministic);
    TRY(device_init(o->threads));
    TRY(bench_all(&r, only));
    device_shutdown();
    return OK;
}

int main(int argc, char **argv) {
    struct args args;
    struct settings o;
    setvbuf(stdout, NULL, _IOLBF, 0); /* so that no printed line is lost, whatever ends the program */
    int code = args_parse(&args, &command, &o, argc, argv);
    if (!code && !args.done) code = run(&o);
    return args_exit("bench_dit", code);
}
