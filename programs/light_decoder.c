/* light_decoder.c: trains a decoder for the codec that the data set's latents come from, on that codec's own decode or
   on the windows' true pictures (light_decoder.target).
   usage: light_decoder CONFIG.yaml [key=value ...] [--plan]
   Writes RUN/light_decoder; beside every checkpoint decoder.safetensors, the averaged weights, which `decoder: FILE` in
   a config and `stream decoder=FILE` take. Metrics: loss, grad_norm, lr, ms, skipped, pixel, gradient, consistency (the
   parts of the loss), and, when samples are shown, psnr (held-out clips against the target, decibels); where the target
   is the true pictures also codec_psnr (the codec's own decode against them). */
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
    real *latents;            /* device [split, F, C, h, w]: those of true pictures; else the batch's are taken */
    real *target;             /* device [split, 4F-3, 3, height, width] */
    real *joined;             /* device [split] */
    float *pixels;            /* host, as target */
    float *joined_host;       /* host [split] */
    float *truth, *made;      /* host [shown, 4F-3, 3, height, width], in [-1, 1] */
    float *values;            /* host [table.total]: the weights that are written */
    char path[FILE_PATH_MAX]; /* path of decoder.safetensors */
};

static int of_pictures(const struct program *p) { return p->stage.config.light.target == LIGHT_PICTURES; }
/* Latent frames of a sample: whole clips of the codec's decode, or a reference and some of the clip's later ones. */
static int sample_frames(const struct program *p) {
    const struct run_config *c = &p->stage.config;
    return of_pictures(p) && c->light.frames ? 1 + c->light.frames : c->frames;
}
static long share_pixels(const struct program *p) {
    return p->step.planes * p->step.height * p->step.width * p->step.split.count;
}
/* Number of values in the pictures of the clips that are shown, which are whole windows. */
static size_t shown_pixels(const struct program *p) {
    return (size_t)p->stage.shown * (size_t)(3 * video_frames(p->stage.config.frames) * p->step.height * p->step.width);
}

/* ---- the network ---- */

/* Makes the network with the sizes of the file that it starts from, which must have all its tensors. */
static int network_of_file(struct program *p, const char *path) {
    struct safetensors file;
    TRY(safetensors_open(&file, path));
    int code = decoder_file_create(&p->net, &file);
    if (!code && decoder_net_channels(&p->net) != p->stage.config.model.in_channels)
        code = error_set(ERR_INPUT, "decodes %d channels, model.in_channels is %d", decoder_net_channels(&p->net),
                         p->stage.config.model.in_channels);
    safetensors_close(&file);
    return code ? error_context(code, "%s", path) : OK;
}

/* Asks the loader for samples with true pictures, where the target is those. */
static int ask_for_pictures(struct program *p) {
    const struct run_config *c = &p->stage.config;
    int stride = decoder_net_stride(&p->net), frames = sample_frames(p) - 1;
    if (!of_pictures(p)) return OK;
    if (frames >= c->frames)
        return error_set(ERR_USAGE, "light_decoder.frames: %d, but a window has %d beside its first (frames)", frames,
                         c->frames - 1);
    p->stage.pictures =
        (struct stage_pictures){frames, c->light.other_reference, c->model.height * stride, c->model.width * stride};
    return OK;
}

static int make_network(void *self) {
    struct program *p = self;
    const struct light_config *c = &p->stage.config.light;
    struct decoder_config sizes = c->net;
    sizes.kind = (enum decoder_kind)c->network;
    TRY(c->from[0] ? network_of_file(p, c->from) : decoder_net_create(&p->net, &sizes));
    TRY(ask_for_pictures(p));
    p->stage.table = p->net.table;
    return sharding_divide(&p->stage.shards, p->net.table);
}

static int layout(void *self, struct arena *state, struct arena *activations) {
    struct program *p = self;
    const struct run_config *c = &p->stage.config;
    TRY(light_step_layout(&p->step, &p->net, &c->light, sample_frames(p), c->model.height, c->model.width,
                          (uint64_t)c->seed, &p->stage.shards, state, activations));
    train_state_network(&p->stage.saved, "decoder", &p->step.optimiser);
    p->target = ARENA_TAKE(activations, "target pixels", real, share_pixels(p));
    p->joined = ARENA_TAKE(activations, "target pixels", real, p->step.split.count);
    if (of_pictures(p))
        p->latents = ARENA_TAKE(activations, "latents of pictures", real, p->step.split.count * p->step.latents);
    return OK;
}

static size_t workspace(const void *self) {
    const struct program *p = self;
    const struct run_config *c = &p->stage.config;
    return decoder_net_workspace(&p->net, p->stage.split.largest, sample_frames(p), c->model.height, c->model.width);
}

/* Starts with weights from the seed or from a file. */
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
        return error_set(ERR_USAGE,
                         "decoder: must be empty here, because the new decoder is compared with the codec's own");
    if (of_pictures(p) && !dataset_shape(p->stage.set)->pictures)
        return error_set(
            ERR_INPUT,
            "%s: has no pictures, which light_decoder.target=pictures learns from: prepare keeps them with "
            "pictures=true",
            p->stage.config.data);
    if (codec->height != p->step.height || codec->width != p->step.width)
        return error_set(
            ERR_USAGE,
            "light_decoder: scale0..2 and patch, or residual.patch, make %ld x %ld pixels, the %s codec's are %d x %d",
            p->step.height, p->step.width, codec->name, codec->height, codec->width);
    return light_step_prepare(&p->step, codec);
}

/* ---- pixels ---- */

/* Decodes the batch's clips with the codec's own decoder, to the target. */
static int decode_target(struct program *p) {
    long n = share_pixels(p);
    TRY(stage_decode(&p->stage, p->stage.clips, p->step.split.count, p->pixels));
    for (long i = 0; i < n; i++) p->pixels[i] = (p->pixels[i] + 1) / 2;
    return OK;
}

/* Uploads the true pictures, and the latents that go with them. */
static void take_pictures(struct program *p) {
    const struct loader_batch *batch = p->stage.batch;
    long n = share_pixels(p);
    for (long i = 0; i < n; i++) p->pixels[i] = (float)batch->sample_pictures[i] / 255;
    for (int b = 0; b < p->step.split.count; b++) p->joined_host[b] = (float)batch->sample_joined[b];
    transfer_to_real(p->joined, p->joined_host, p->step.split.count);
    transfer_to_real(p->latents, batch->sample_latents, p->step.split.count * p->step.latents);
}

static int next_target(struct program *p) {
    real_fill(p->joined, 1, p->step.split.count);
    if (of_pictures(p))
        take_pictures(p);
    else
        TRY(decode_target(p));
    transfer_to_real(p->target, p->pixels, share_pixels(p));
    return OK;
}

/* ---- files and samples ---- */

static int first_rank(const struct program *p) { return p->stage.shards.rank == 0; }

/* Writes decoder.safetensors: all ranks give their pieces of the weights, and the first one writes. */
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

/* Decodes the held-out clips with the decoder that the codec has now; *rate: video frames a second. */
static int decode_shown(struct program *p, float *pixels, double *rate) {
    struct stage *s = &p->stage;
    double start = clock_seconds();
    TRY(stage_decode_shown(s, s->held_out.clips, pixels));
    *rate = (double)(s->shown * video_frames(s->config.frames)) / (clock_seconds() - start);
    return OK;
}

/* Shows held-out clips, decoded by the decoder from the file just written, beside the target that it learns to give,
   and logs its quality and speed. */
static int show(void *self) {
    struct program *p = self;
    TRY(write_decoder(p));
    if (!first_rank(p)) return OK;
    struct stage *s = &p->stage;
    comm_busy(&s->comm, "showing held-out clips");
    const struct codec_decoder none = {.state = NULL};
    size_t n = shown_pixels(p);
    double own_rate, rate;
    TRY(decode_shown(p, p->truth, &own_rate));
    for (size_t i = 0; i < n; i++) p->truth[i] = p->truth[i] < -1 ? -1 : p->truth[i] > 1 ? 1 : p->truth[i];
    double own = of_pictures(p) ? psnr(p->truth, s->shown_pictures, n) : 0;
    if (of_pictures(p)) memcpy(p->truth, s->shown_pictures, n * sizeof *p->truth);
    TRY(decoder_file_use(&s->codec, p->path));
    int code = decode_shown(p, p->made, &rate);
    codec_use_decoder(&s->codec, &none);
    TRY(code);
    struct metric figures[] = {{"psnr", psnr(p->made, p->truth, n)}, {"codec_psnr", own}};
    TRY(metrics_write(s->folder.metrics, (long)s->step, figures, of_pictures(p) ? 2 : 1));
    if (of_pictures(p))
        log_line(
            "step %ld: held-out clips %.2f dB from the pictures, the %s codec's own decode %.2f; %.0f frames/s, the "
            "codec's own %.0f",
            (long)s->step, figures[0].value, s->codec.name, own, rate, own_rate);
    else
        log_line("step %ld: held-out clips %.2f dB from the %s codec's decode; %.0f frames/s, the codec's own %.0f",
                 (long)s->step, figures[0].value, s->codec.name, rate, own_rate);
    TRY(stage_show_frames(s, "decoder", p->truth, p->made));
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
    const struct light_batch batch = {of_pictures(p) ? p->latents : p->stage.clips, p->target, p->joined};
    return light_step_run(&p->step, &batch, (long)p->stage.step);
}

static int allocate_host(struct program *p) {
    size_t shown = shown_pixels(p);
    p->pixels = malloc((size_t)share_pixels(p) * sizeof *p->pixels);
    p->joined_host = malloc((size_t)p->step.split.count * sizeof *p->joined_host);
    p->truth = malloc(shown * sizeof *p->truth);
    p->made = malloc(shown * sizeof *p->made);
    p->values = malloc(p->net.table->total * sizeof *p->values);
    if (!p->pixels || !p->joined_host || !p->truth || !p->made || !p->values)
        return error_set(ERR_DEVICE, "out of memory for pixels");
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
    free(p->pixels);
    free(p->joined_host);
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
