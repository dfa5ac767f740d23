/* light_decoder.c: distils a light decoder from the codec that the data set's latents come from.
   usage: light_decoder CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/light_decoder; beside every checkpoint decoder.safetensors, the averaged weights, which `decoder: FILE` in a
   config and `stream decoder=FILE` take. Metrics: loss, grad_norm, lr, ms, skipped, pixel, gradient, consistency (parts of
   the loss), and with the samples psnr (held-out clips, decibels to the codec's own decode). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "checkpoints/decoder_file.h"
#include "model/params/transfer.h"
#include "train/method/light_decoder_step.h"
#include "train/stage/stage.h"

struct program {
    struct stage stage;
    struct decoder_net net;
    struct light_step step;
    real *target;             /* device [share, 4F-3, 3, height, width] */
    float *decoded;           /* host, as target: what the codec makes of a batch */
    float *truth, *made;      /* host [shown, 4F-3, 3, height, width], in [-1, 1] */
    float *values;            /* host [table.total]: the weights that are written */
    char path[FILE_PATH_MAX]; /* of decoder.safetensors */
};

static size_t clip_pixels(const struct program *p) { return (size_t)(p->step.planes * p->step.height * p->step.width); }
static long share_pixels(const struct program *p) { return (long)clip_pixels(p) * p->step.share.count; }

/* ---- the network ---- */

/* With the sizes of the file that it starts from, whose tensors must be there. */
static int network_of_file(struct program *p, const char *path) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = decoder_file_create(&p->net, &file), channels = p->stage.config.model.in_channels;
    if (!code && decoder_net_channels(&p->net) != channels)
        code = error_set(ERR_INPUT, "decodes %d channels, model.in_channels is %d", decoder_net_channels(&p->net),
                         channels);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

static int make_network(void *self) {
    struct program *p = self;
    const struct light_config *c = &p->stage.config.light;
    const struct decoder_config sizes = {.kind = DECODER_LIGHT, .light = c->net};
    TRY(c->from[0] ? network_of_file(p, c->from) : decoder_net_create(&p->net, &sizes));
    p->stage.table = p->net.table;
    return sharding_divide(&p->stage.shards, p->net.table);
}

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(light_step_layout(&p->step, &p->net, &c->light, c->frames, c->model.height, c->model.width, (uint64_t)c->seed,
                          &p->stage.shards, state, activations));
    train_state_network(&p->stage.saved, "decoder", &p->step.optimiser);
    p->target = ARENA_TAKE(activations, "target pixels", real, share_pixels(p));
    return OK;
}

static size_t workspace(const void *self) {
    const struct program *p = self;
    const struct run_config *c = &p->stage.config;
    return decoder_net_workspace(&p->net, p->stage.share.largest, c->frames, c->model.height, c->model.width);
}

/* Weights from the seed, or from a file. */
static int fresh(struct program *p) {
    const char *from = p->stage.config.light.from;
    struct optimiser *o = &p->step.optimiser;
    TRY(light_step_fresh(&p->step, &p->stage.codec));
    if (!from[0]) return OK;
    struct safetensors file;
    TRY(safetensors_open(&file, from));
    int code = decoder_file_read(p->values, &p->net, &file);
    safetensors_close(&file);
    if (code) return error_context(code, "%s", from);
    for (int i = 0; i < p->net.table->slices; i++)
        optimiser_write(o, OPTIMISER_MASTER, i, p->values + p->net.table->slice_offset[i]);
    optimiser_start(o);
    return OK;
}

static int check_codec(struct program *p) {
    const struct codec *codec = &p->stage.codec;
    if (codec->decoder.decode)
        return error_set(ERR_USAGE, "decoder: a decoder is distilled from the codec's own; leave it out");
    if (codec->height != p->step.height || codec->width != p->step.width)
        return error_set(ERR_USAGE,
                         "light_decoder: scale0..2 and patch make %ld x %ld pixels, the %s codec's are %d x %d",
                         p->step.height, p->step.width, codec->name, codec->height, codec->width);
    return light_step_prepare(&p->step, codec);
}

/* ---- pixels ---- */

static int next_target(struct program *p) {
    long n = share_pixels(p);
    TRY(stage_decode(&p->stage, p->stage.clips, p->step.share.count, p->decoded));
    for (long i = 0; i < n; i++) p->decoded[i] = (p->decoded[i] + 1) / 2;
    transfer_to_real(p->target, p->decoded, n);
    return OK;
}

/* ---- files and samples ---- */

static int first_rank(const struct program *p) { return p->stage.shards.rank == 0; }

/* All ranks give their pieces; the first one writes. */
static int write_decoder(void *self) {
    struct program *p = self;
    struct optimiser *o = &p->step.optimiser;
    for (int i = 0; i < p->net.table->slices; i++)
        TRY(optimiser_read(o, o->ema ? OPTIMISER_EMA : OPTIMISER_MASTER, i,
                           first_rank(p) ? p->values + p->net.table->slice_offset[i] : NULL));
    TRY(device_sync());
    return first_rank(p) ? decoder_file_save(p->path, &p->net, p->values) : OK;
}

static double psnr(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]) / 4;
    return 10 * log10((double)n / (sum + 1e-30));
}

/* The held-out clips through the codec's own decoder and, from the file just written, through this one. */
static int show(void *self) {
    struct program *p = self;
    TRY(write_decoder(p));
    if (!first_rank(p)) return OK;
    struct stage *s = &p->stage;
    comm_busy(&s->comm, "showing held-out clips");
    int frames = video_frames(s->config.frames);
    struct codec_decoder none = {.state = NULL};
    double start = clock_seconds();
    TRY(stage_decode(s, s->held_out.clips, s->shown, p->truth));
    double own = clock_seconds() - start;
    TRY(decoder_file_use(&s->codec, p->path));
    start = clock_seconds();
    int code = stage_decode(s, s->held_out.clips, s->shown, p->made);
    double light = clock_seconds() - start;
    codec_use_decoder(&s->codec, &none);
    TRY(code);
    size_t n = (size_t)s->shown * clip_pixels(p);
    for (size_t i = 0; i < n; i++) p->truth[i] = p->truth[i] < -1 ? -1 : p->truth[i] > 1 ? 1 : p->truth[i];
    struct metric figure = {"psnr", psnr(p->made, p->truth, n)};
    TRY(metrics_write(s->folder.metrics, (long)s->step, &figure, 1));
    log_line("step %ld: held-out clips %.2f dB from the %s codec's decode; %.0f frames/s, the codec's own %.0f",
             (long)s->step, figure.value, s->codec.name, s->shown * frames / light, s->shown * frames / own);
    TRY(stage_show_frames(s, "light", p->truth, p->made));
    comm_busy(&s->comm, NULL);
    return OK;
}

/* ---- the run ---- */

static int report(void *self, long step) {
    struct program *p = self;
    struct optimiser_report account;
    struct light_figures f;
    optimiser_report(&p->step.optimiser, step, &account);
    if (!mailbox_read(&p->step.mail, step, &f)) return error_set(ERR_DEVICE, "figures of step %ld are lost", step);
    struct metric list[] = {
        {"pixel", (double)f.pixel}, {"gradient", (double)f.gradient}, {"consistency", (double)f.consistency}};
    return stage_report(&p->stage, step, &account, list, 3);
}

static int one_step(void *self) {
    struct program *p = self;
    TRY(stage_next_batch(&p->stage));
    TRY(next_target(p));
    return light_step_run(&p->step, p->stage.clips, p->target, (long)p->stage.step);
}

static int allocate_host(struct program *p) {
    size_t shown = (size_t)p->stage.shown * clip_pixels(p);
    p->decoded = malloc((size_t)share_pixels(p) * sizeof *p->decoded);
    p->truth = malloc(shown * sizeof *p->truth);
    p->made = malloc(shown * sizeof *p->made);
    p->values = malloc(p->net.table->total * sizeof *p->values);
    if (!p->decoded || !p->truth || !p->made || !p->values) return error_set(ERR_DEVICE, "out of memory for pixels");
    return file_join(p->path, sizeof p->path, p->stage.folder.path, "decoder.safetensors");
}

static int load(void *self, int resumed) {
    struct program *p = self;
    TRY(check_codec(p));
    TRY(allocate_host(p));
    return resumed ? OK : fresh(p);
}

static void free_all(void *self) {
    struct program *p = self;
    light_step_free(&p->step);
    decoder_net_destroy(&p->net);
    free(p->decoded);
    free(p->truth);
    free(p->made);
    free(p->values);
}

static const struct stage_program program = STAGE_PROGRAM(
    light_decoder, light, .network = make_network, .workspace = workspace, .save = write_decoder, .own_clips = 1);

int main(int argc, char **argv) {
    static struct program p;
    return stage_main(&p.stage, &program, &p, argc, argv);
}
