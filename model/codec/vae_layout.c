/* vae_layout.c: the configurations of the Wan video autoencoders, their layers and the table of parameters. See
   vae.h. */
#include "model/codec/vae.h"

#include <string.h>
#include "base/error.h"

static const float mean_16[] = {-0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,  -0.1517f, 1.5508f,
                                0.4134f,  -0.0715f, 0.5517f,  -0.3632f, -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
static const float std_16[] = {2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
                               3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f};
static const float mean_48[] = {-0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f,  0.1838f,  0.1557f,
                                -0.1382f, 0.0542f,  0.2813f,  0.0891f,  0.1570f,  -0.0098f, 0.0375f,  -0.1825f,
                                -0.2246f, -0.1207f, -0.0698f, 0.5109f,  0.2665f,  -0.2108f, -0.2158f, 0.2502f,
                                -0.2055f, -0.0322f, 0.1109f,  0.1567f,  -0.0729f, 0.0899f,  -0.2799f, -0.1230f,
                                -0.0313f, -0.1649f, 0.0117f,  0.0723f,  -0.2839f, -0.2083f, -0.0520f, 0.3748f,
                                0.0152f,  0.1957f,  0.1433f,  -0.2944f, 0.3573f,  -0.0548f, -0.1681f, -0.0667f};
static const float std_48[] = {0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f,
                               0.5894f, 1.0901f, 0.6885f, 0.6165f, 0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f,
                               0.5833f, 1.4146f, 0.8986f, 0.5659f, 0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f,
                               0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f, 0.5726f, 1.2042f, 0.5458f, 1.6887f,
                               0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f};

void vae_config_statistics(struct vae_config *c) {
    for (int i = 0; i < VAE_Z_MAX; i++) {
        c->mean[i] = c->z == 16 && i < 16 ? mean_16[i] : c->z == 48 && i < 48 ? mean_48[i] : 0;
        c->std[i] = c->z == 16 && i < 16 ? std_16[i] : c->z == 48 && i < 48 ? std_48[i] : 1;
    }
}

void vae_config_wan21(struct vae_config *c) {
    *c = (struct vae_config){.z = 16, .encoder_base = 96, .decoder_base = 96, .patch = 1, .res_blocks = 2};
    c->levels = 4;
    memcpy(c->mult, (int[]){1, 2, 4, 4}, 4 * sizeof *c->mult);
    c->halve_time[1] = c->halve_time[2] = 1;
    vae_config_statistics(c);
}

void vae_config_wan22(struct vae_config *c) {
    vae_config_wan21(c);
    c->residual = 1;
    c->z = 48;
    c->encoder_base = 160;
    c->decoder_base = 256;
    c->patch = 2;
    vae_config_statistics(c);
}

int vae_stride(const struct vae_config *c) { return c->patch << (c->levels - 1); }

/* Channels at the start and end of encoder level i, and of decoder level i, which goes through the multiples
   backwards. */
static int encoder_in(const struct vae_config *c, int i) { return c->encoder_base * (i ? c->mult[i - 1] : 1); }
static int encoder_out(const struct vae_config *c, int i) { return c->encoder_base * c->mult[i]; }
static int decoder_out(const struct vae_config *c, int i) { return c->decoder_base * c->mult[c->levels - 1 - i]; }
static int decoder_in(const struct vae_config *c, int i) {
    return i ? decoder_out(c, i - 1) / (c->residual ? 1 : 2) : decoder_out(c, 0);
}
/* Decoder level i doubles the frames where encoder level levels - 2 - i halves them. */
static int doubles_time(const struct vae_config *c, int i) {
    return i < c->levels - 1 && c->halve_time[c->levels - 2 - i];
}

int vae_config_check(const struct vae_config *c) {
    if (c->z < 1 || c->z > VAE_Z_MAX) return error_set(ERR_INPUT, "video autoencoder: %d latent channels", c->z);
    if (c->levels < 2 || c->levels > VAE_LEVELS_MAX || c->res_blocks < 1 || c->res_blocks > VAE_RES_MAX)
        return error_set(ERR_INPUT, "video autoencoder: %d levels of %d residual blocks", c->levels, c->res_blocks);
    if (c->patch < 1 || c->patch > 4) return error_set(ERR_INPUT, "video autoencoder: patch %d", c->patch);
    if (c->encoder_base < 1 || c->encoder_base > 4096 || c->decoder_base < 1 || c->decoder_base > 4096)
        return error_set(ERR_INPUT, "video autoencoder: base width %d, decoder %d", c->encoder_base, c->decoder_base);
    int halvings = 0;
    for (int i = 0; i < c->levels; i++) {
        if (c->mult[i] < 1 || c->mult[i] > 64)
            return error_set(ERR_INPUT, "video autoencoder: width times %d in level %d", c->mult[i], i);
        halvings += i < c->levels - 1 && c->halve_time[i];
    }
    if (halvings != 2)
        return error_set(ERR_INPUT, "video autoencoder: time is halved %d times, 2 are wanted", halvings);
    for (int i = 0; i < c->levels; i++) {
        if (!c->residual && i < c->levels - 1 && decoder_out(c, i) % 2)
            return error_set(ERR_INPUT, "video autoencoder: %d channels cannot be halved", decoder_out(c, i));
        int down = (c->halve_time[i] ? 2 : 1) * (i < c->levels - 1 ? 4 : 1), up = (doubles_time(c, i) ? 2 : 1) * 4;
        int misfit = encoder_in(c, i) * (i < c->levels - 1 ? down : 1) % encoder_out(c, i) != 0;
        misfit |= i < c->levels - 1 && decoder_out(c, i) * up % decoder_in(c, i) != 0;
        if (c->residual && misfit)
            return error_set(ERR_INPUT, "video autoencoder: the channels of level %d do not divide for its shortcut",
                             i);
    }
    for (int i = 0; i < c->z; i++)
        if (!(c->std[i] > 0 && c->std[i] < 1e6f && c->mean[i] > -1e6f && c->mean[i] < 1e6f))
            return error_set(ERR_INPUT, "video autoencoder: statistics of latent channel %d", i);
    return OK;
}

/* ---- the table ---- */

struct builder {
    struct param_table *table;
    int slice;
    char prefix[64];
};

static size_t add(struct builder *b, const char *name, const char *end, const long *shape) {
    char full[96];
    snprintf(full, sizeof full, "%s%s%s", b->prefix, name, end);
    return param_add(b->table, b->slice, full, INIT_ZERO, 0, 0, shape);
}

/* Adds a convolution. Its kernel has 3 axes in a file, or 2 where it does not span time. */
static struct vae_conv add_conv(struct builder *b, const char *name, int ci, int co, int t, int side, int axes) {
    struct vae_conv c = {.ci = ci, .co = co, .kernel = {t, side, side}};
    const long with_time[] = {co, ci, t, side, side, 0}, plane[] = {co, ci, side, side, 0}, bias[] = {co, 0};
    c.weight = add(b, name, ".weight", axes == 3 ? with_time : plane);
    c.bias = add(b, name, ".bias", bias);
    return c;
}

static size_t add_gamma(struct builder *b, const char *name, int channels, int axes) {
    const long video[] = {channels, 1, 1, 1, 0}, plane[] = {channels, 1, 1, 0};
    return add(b, name, ".gamma", axes == 3 ? video : plane);
}

static struct vae_res add_res(struct builder *b, const char *name, int ci, int co) {
    struct builder inside = *b;
    snprintf(inside.prefix, sizeof inside.prefix, "%.15s%.40s.", b->prefix, name);
    struct vae_res r;
    memset(&r, 0, sizeof r);
    r.norm1 = add_gamma(&inside, "residual.0", ci, 3);
    r.conv1 = add_conv(&inside, "residual.2", ci, co, 3, 3, 3);
    r.norm2 = add_gamma(&inside, "residual.3", co, 3);
    r.conv2 = add_conv(&inside, "residual.6", co, co, 3, 3, 3);
    if (ci != co) r.shortcut = add_conv(&inside, "shortcut", ci, co, 1, 1, 3);
    return r;
}

static void add_middle(struct builder *b, struct vae_half *half, int channels) {
    half->middle[0] = add_res(b, "middle.0", channels, channels);
    half->attention_norm = add_gamma(b, "middle.1.norm", channels, 2);
    half->qkv = add_conv(b, "middle.1.to_qkv", channels, 3 * channels, 1, 1, 2);
    half->proj = add_conv(b, "middle.1.proj", channels, channels, 1, 1, 2);
    half->middle[1] = add_res(b, "middle.2", channels, channels);
}

/* Writes the name of layer `index` of a level: 2.2 numbers inside the level, 2.1 through all levels (per_level layers
   each). */
static void layer_name(char *name, size_t size, const char *word, int residual, int level, int index, int per_level) {
    if (residual)
        snprintf(name, size, "%s.%d.%s.%d", word, level, word, index);
    else
        snprintf(name, size, "%s.%d", word, level * per_level + index);
}

static void add_level(struct builder *b, struct vae_level *s, const struct vae_config *c, const char *word, int index,
                      enum vae_direction direction) {
    char name[64], resample[80];
    for (int r = 0, ci = s->in; r < s->res_count; r++, ci = s->out) {
        layer_name(name, sizeof name, word, c->residual, index, r, s->res_count + 1);
        s->res[r] = add_res(b, name, ci, s->out);
    }
    if (s->space == 1) return;
    layer_name(name, sizeof name, word, c->residual, index, s->res_count, s->res_count + 1);
    int halved = direction == VAE_DECODE && !c->residual;
    snprintf(resample, sizeof resample, "%s.resample.1", name);
    s->space_conv = add_conv(b, resample, s->out, halved ? s->out / 2 : s->out, 1, 3, 2);
    snprintf(resample, sizeof resample, "%s.time_conv", name);
    if (s->time == 2)
        s->time_conv = add_conv(b, resample, s->out, direction == VAE_DECODE ? 2 * s->out : s->out, 3, 1, 3);
}

static void add_encoder(struct builder *b, struct vae_half *half, const struct vae_config *c) {
    int widest = encoder_out(c, c->levels - 1);
    snprintf(b->prefix, sizeof b->prefix, "encoder.");
    half->in = add_conv(b, "conv1", 3 * c->patch * c->patch, c->encoder_base, 3, 3, 3);
    for (int i = 0; i < c->levels; i++) {
        struct vae_level *s = &half->level[i];
        *s = (struct vae_level){.in = encoder_in(c, i), .out = encoder_out(c, i), .res_count = c->res_blocks};
        s->space = i < c->levels - 1 ? 2 : 1;
        s->time = i < c->levels - 1 && c->halve_time[i] ? 2 : 1;
        add_level(b, s, c, "downsamples", i, VAE_ENCODE);
    }
    add_middle(b, half, widest);
    half->head_norm = add_gamma(b, "head.0", widest, 3);
    half->out = add_conv(b, "head.2", widest, 2 * c->z, 3, 3, 3);
    b->prefix[0] = 0;
    half->latent_conv = add_conv(b, "conv1", 2 * c->z, 2 * c->z, 1, 1, 3);
}

static void add_decoder(struct builder *b, struct vae_half *half, const struct vae_config *c) {
    b->prefix[0] = 0;
    half->latent_conv = add_conv(b, "conv2", c->z, c->z, 1, 1, 3);
    snprintf(b->prefix, sizeof b->prefix, "decoder.");
    half->in = add_conv(b, "conv1", c->z, decoder_out(c, 0), 3, 3, 3);
    add_middle(b, half, decoder_out(c, 0));
    for (int i = 0; i < c->levels; i++) {
        struct vae_level *s = &half->level[i];
        *s = (struct vae_level){.in = decoder_in(c, i), .out = decoder_out(c, i), .res_count = c->res_blocks + 1};
        s->space = i < c->levels - 1 ? 2 : 1;
        s->time = doubles_time(c, i) ? 2 : 1;
        add_level(b, s, c, "upsamples", i, VAE_DECODE);
    }
    half->head_norm = add_gamma(b, "head.0", decoder_out(c, c->levels - 1), 3);
    half->out = add_conv(b, "head.2", decoder_out(c, c->levels - 1), 3 * c->patch * c->patch, 3, 3, 3);
}

int vae_create(struct vae *vae, const struct vae_config *config) {
    memset(vae, 0, sizeof *vae);
    TRY(vae_config_check(config));
    vae->config = *config;
    param_table_open(&vae->table);
    struct builder b = {.table = &vae->table, .slice = VAE_ENCODE};
    add_encoder(&b, &vae->half[VAE_ENCODE], config);
    b.slice = VAE_DECODE;
    add_decoder(&b, &vae->half[VAE_DECODE], config);
    return param_table_close(&vae->table);
}

void vae_destroy(struct vae *vae) {
    param_table_free(&vae->table);
    memset(vae, 0, sizeof *vae);
}

void vae_arrange(float *to, const float *from, const struct param *p) {
    long places = 1, ci = p->ndim > 1 ? p->shape[1] : 1;
    for (int d = 2; d < p->ndim; d++) places *= p->shape[d];
    for (long o = 0; o < p->shape[0]; o++)
        for (long k = 0; k < places; k++)
            for (long i = 0; i < ci; i++) to[(o * places + k) * ci + i] = from[(o * ci + i) * places + k];
}
