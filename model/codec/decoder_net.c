/* decoder_net.c: see decoder_net.h. */
#include "model/codec/decoder_net.h"

#include <string.h>

#include "base/error.h"

static int is_residual(const struct decoder_net *net) { return net->kind == DECODER_RESIDUAL; }

int decoder_net_create(struct decoder_net *net, const struct decoder_config *config) {
    memset(net, 0, sizeof *net);
    net->kind = config->kind;
    net->table = is_residual(net) ? &net->of.residual.table : &net->of.light.table;
    return is_residual(net) ? residual_decoder_create(&net->of.residual, &config->residual)
                            : light_decoder_create(&net->of.light, &config->light);
}

void decoder_net_destroy(struct decoder_net *net) {
    if (is_residual(net))
        residual_decoder_destroy(&net->of.residual);
    else
        light_decoder_destroy(&net->of.light);
    memset(net, 0, sizeof *net);
}

int decoder_net_channels(const struct decoder_net *net) {
    return is_residual(net) ? net->of.residual.config.channels : net->of.light.config.channels;
}

int decoder_net_stride(const struct decoder_net *net) {
    return is_residual(net) ? residual_decoder_stride(&net->of.residual.config)
                            : light_decoder_stride(&net->of.light.config);
}

void decoder_net_begin(const struct decoder_net *net, const struct codec *codec, int slice, float *values) {
    if (is_residual(net))
        residual_decoder_begin(&net->of.residual, codec, slice, values);
    else
        light_decoder_begin(&net->of.light, slice, values);
}

/* ---- memory ---- */

int decoder_acts_layout(struct decoder_acts *acts, const struct decoder_net *net, enum decoder_memory memory, int batch,
                        int frames, int h, int w, struct arena *arena) {
    decoder_acts_free(acts);
    return is_residual(net)
               ? residual_acts_layout(&acts->residual, &net->of.residual, memory, batch, frames, h, w, arena)
               : light_acts_layout(&acts->light, &net->of.light, memory, batch, frames, h, w, arena);
}

void decoder_acts_free(struct decoder_acts *acts) {
    light_acts_free(acts->light);
    residual_acts_free(acts->residual);
    *acts = (struct decoder_acts){NULL, NULL};
}

size_t decoder_net_workspace(const struct decoder_net *net, int batch, int frames, int h, int w) {
    return is_residual(net) ? residual_decoder_workspace(&net->of.residual, batch, frames, h, w)
                            : light_decoder_workspace(&net->of.light, batch, frames, h, w);
}

/* ---- passes ---- */

void decoder_stream_begin(const struct decoder_net *net, struct decoder_acts *acts, const real *picture) {
    if (is_residual(net))
        residual_stream_begin(acts->residual, picture);
    else
        light_stream_reset(acts->light);
}

int decoder_stream_decode(const struct decoder_net *net, const struct params *params, struct decoder_acts *acts,
                          const real *latents, int frames, real *pixels) {
    return is_residual(net) ? residual_stream_decode(&net->of.residual, params, acts->residual, latents, frames, pixels)
                            : light_stream_decode(&net->of.light, params, acts->light, latents, frames, pixels);
}

void decoder_net_forward(const struct decoder_net *net, const struct params *params, struct decoder_acts *acts,
                         int batch, const real *latents, const real *pictures, real *pixels) {
    if (is_residual(net))
        residual_decoder_forward(&net->of.residual, params, acts->residual, batch, latents, pictures, pixels);
    else
        light_decoder_forward(&net->of.light, params, acts->light, batch, latents, pixels);
}

void decoder_net_backward(const struct decoder_net *net, const struct params *params, struct decoder_acts *acts,
                          const real *dpixels) {
    if (is_residual(net))
        residual_decoder_backward(&net->of.residual, params, acts->residual, dpixels);
    else
        light_decoder_backward(&net->of.light, params, acts->light, dpixels);
}
