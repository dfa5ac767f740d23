/* pca.c: the embedded video codec, linear and causal.
   A latent frame is a group of 4 pixel frames cut in p x p patches; a patch is a vector v of 12 p^2 numbers (frame,
   colour, row, column). With the mean m of such vectors, orthonormal principal components b_c of the vectors W (v - m),
   and a scale k_c,
     latent[c, i, j] = k_c b_c . W (v - m)        v = m + W^-1 sum_c (latent[c, i, j] / k_c) b_c
   k_c = g / deviation_c^scale_power, g so that the mean square of all latents is 1 (pca_fit.c). W leaves the mean of
   the four frames as it is and multiplies what differs from it by the motion weight w: where a face fills the picture
   and hardly moves, components fitted with w = 1 hold detail and lose the lips' motion within a group.
   Latent 0 stands for one pixel frame: the encoder repeats that frame four times, and the decoder returns the mean of
   the four frames it gets back. The decoder is linear, so it can leave [-1, 1] a little.
   Tensors: pca.basis [C, 12 p^2] (b), pca.mean [12 p^2], pca.scale [C], pca.motion_weight [1] (left out: 1). */
#include "model/codec/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "model/codec/internal.h"
#include "model/codec/pca.h"
#include "model/params/transfer.h"

struct pca {
    int patch, size;     /* p, 12 p^2 */
    float *basis;        /* [C, size] */
    float *mean, *scale; /* [size], [C] */
    float motion_weight;
    float *analysis;  /* [C, size]: W b_c */
    float *synthesis; /* [C, size]: W^-1 b_c */
    float *offset;    /* [C]: W b_c . m */
    float *inverse;   /* [C]: 1 / k_c */
    float *tile;      /* [size, PCA_LANES], patches side by side */
    float *latent;    /* [C, h, w]: the latent frame being decoded, copied from the device */
    float *pending;   /* [4, 3, height, width]: encoder input that does not fill a group yet */
    int pending_frames;
    int encoder_started, decoder_started;
    int shares; /* 1: all but tile, latent and pending belong to another stream */
};

/* Gathers patches into the lanes of a tile. Unused lanes get a copy of the first patch, so that they compute nothing
   strange. */
void pca_gather(float *tile, const float *frames, size_t stride, int height, int width, int p, int first, int count) {
    int w = width / p;
    size_t plane = (size_t)height * width;
    for (int lane = 0; lane < PCA_LANES; lane++) {
        int patch = first + (lane < count ? lane : 0);
        const float *corner = frames + (size_t)(patch / w) * p * width + (size_t)(patch % w) * p;
        float *to = tile + lane;
        for (int f = 0; f < FRAMES_PER_LATENT; f++)
            for (int c = 0; c < 3; c++)
                for (int y = 0; y < p; y++)
                    for (int x = 0; x < p; x++, to += PCA_LANES)
                        *to = corner[f * stride + c * plane + (size_t)y * width + x];
    }
}

/* Sums basis . patch over the numbers of a patch for TOGETHER components from `first` on (those behind the last are the
   last again) and every lane. The sums of TOGETHER components and two quads of lanes stay in registers of any
   processor; each runs over the numbers in their order, so that no bit depends on how they are grouped. */
enum { TOGETHER = 4, QUAD = 4 };
typedef float quad __attribute__((vector_size(4 * QUAD), aligned(4), may_alias));

static void analyse(const struct codec *codec, int first, float sums[TOGETHER][PCA_LANES]) {
    const struct pca *pca = codec->state;
    const float *basis[TOGETHER];
    for (int i = 0; i < TOGETHER; i++) {
        int c = first + i < codec->channels ? first + i : codec->channels - 1;
        basis[i] = pca->analysis + (size_t)c * pca->size;
    }
    for (int lane = 0; lane < PCA_LANES; lane += 2 * QUAD) {
        const float *patch = pca->tile + lane;
        quad low[TOGETHER] = {{0}}, high[TOGETHER] = {{0}};
        for (int k = 0; k < pca->size; k++, patch += PCA_LANES) {
            quad l = *(const quad *)patch, h = *(const quad *)(patch + QUAD);
#pragma GCC unroll 4
            for (int i = 0; i < TOGETHER; i++) {
                low[i] += basis[i][k] * l;
                high[i] += basis[i][k] * h;
            }
        }
#pragma GCC unroll 4
        for (int i = 0; i < TOGETHER; i++) {
            *(quad *)(sums[i] + lane) = low[i];
            *(quad *)(sums[i] + lane + QUAD) = high[i];
        }
    }
}

/* Encodes one group to one latent frame. */
static void encode_group(const struct codec *codec, const float *frames, size_t stride, float *latent) {
    struct pca *pca = codec->state;
    int patches = codec->h * codec->w;
    for (int first = 0; first < patches; first += PCA_LANES) {
        int count = patches - first < PCA_LANES ? patches - first : PCA_LANES;
        pca_gather(pca->tile, frames, stride, codec->height, codec->width, pca->patch, first, count);
        float sums[TOGETHER][PCA_LANES];
        for (int c = 0; c < codec->channels; c++) {
            if (c % TOGETHER == 0) analyse(codec, c, sums);
            const float *sum = sums[c % TOGETHER];
            float *to = latent + (size_t)c * patches + first;
            for (int lane = 0; lane < count; lane++) to[lane] = (sum[lane] - pca->offset[c]) * pca->scale[c];
        }
    }
}

/* Decodes one latent frame to the frames of a group, or, for a clip's first, to their mean. */
static void decode_group(const struct codec *codec, const float *latent, int image, float *pixels) {
    struct pca *pca = codec->state;
    int patches = codec->h * codec->w, C = codec->channels, p = pca->patch, size = pca->size;
    size_t plane = (size_t)codec->height * codec->width;
    float z[PCA_LANES];
    for (int first = 0; first < patches; first += PCA_LANES) {
        int count = patches - first < PCA_LANES ? patches - first : PCA_LANES;
        for (int k = 0; k < size; k++)
            for (int lane = 0; lane < PCA_LANES; lane++) pca->tile[(size_t)k * PCA_LANES + lane] = pca->mean[k];
        for (int c = 0; c < C; c++) {
            const float *from = latent + (size_t)c * patches + first, *b = pca->synthesis + (size_t)c * size;
            for (int lane = 0; lane < PCA_LANES; lane++) z[lane] = lane < count ? from[lane] * pca->inverse[c] : 0;
            for (int k = 0; k < size; k++)
#pragma omp simd
                for (int lane = 0; lane < PCA_LANES; lane++) pca->tile[(size_t)k * PCA_LANES + lane] += b[k] * z[lane];
        }
        int frame_size = size / FRAMES_PER_LATENT; /* numbers of a patch in one frame */
        for (int lane = 0; lane < count; lane++) {
            int patch = first + lane;
            float *corner = pixels + (size_t)(patch / codec->w) * p * codec->width + (size_t)(patch % codec->w) * p;
            for (int k = 0; k < (image ? frame_size : size); k++) {
                int f = k / frame_size, c = k / (p * p) % 3, y = k / p % p, x = k % p;
                const float *t = pca->tile + (size_t)k * PCA_LANES + lane;
                size_t next = (size_t)frame_size * PCA_LANES;
                _Static_assert(FRAMES_PER_LATENT == 4, "the mean of the frames is written out");
                float v = image ? 0.25f * (t[0] + t[next] + t[2 * next] + t[3 * next]) : *t;
                corner[(f * 3 + c) * plane + (size_t)y * codec->width + x] = v;
            }
        }
    }
}

static void pca_encode_reset(struct codec *codec) {
    struct pca *pca = codec->state;
    pca->encoder_started = 0;
    pca->pending_frames = 0;
}

static int pca_encode(struct codec *codec, const float *pixels, int frames, float *latents) {
    struct pca *pca = codec->state;
    size_t frame = 3 * (size_t)codec->height * codec->width, latent = (size_t)codec->channels * codec->h * codec->w;
    int out = 0;
    if (frames > 0 && !pca->encoder_started) {
        encode_group(codec, pixels, 0, latents);
        pca->encoder_started = out = 1;
        pixels += frame;
        frames--;
    }
    while (frames > 0) {
        if (!pca->pending_frames && frames >= FRAMES_PER_LATENT) {
            encode_group(codec, pixels, frame, latents + out++ * latent);
            pixels += FRAMES_PER_LATENT * frame;
            frames -= FRAMES_PER_LATENT;
            continue;
        }
        memcpy(pca->pending + pca->pending_frames++ * frame, pixels, frame * sizeof(float));
        pixels += frame;
        frames--;
        if (pca->pending_frames < FRAMES_PER_LATENT) continue;
        encode_group(codec, pca->pending, frame, latents + out++ * latent);
        pca->pending_frames = 0;
    }
    return out;
}

/* Ignores the picture, because this codec decodes patches by themselves. */
static void pca_decode_begin(struct codec *codec, const float *picture) {
    (void)picture;
    ((struct pca *)codec->state)->decoder_started = 0;
}

static int pca_decode(struct codec *codec, const real *latents, int frames, float *pixels) {
    struct pca *pca = codec->state;
    size_t frame = 3 * (size_t)codec->height * codec->width, latent = (size_t)codec->channels * codec->h * codec->w;
    int out = 0;
    for (int i = 0; i < frames; i++) {
        int image = !pca->decoder_started;
        transfer_from_real(pca->latent, latents + i * latent, (long)latent);
        decode_group(codec, pca->latent, image, pixels + out * frame);
        pca->decoder_started = 1;
        out += image ? 1 : FRAMES_PER_LATENT;
    }
    return out;
}

static int pca_tensors(const struct codec *codec, struct codec_tensor *out, int capacity) {
    const struct pca *pca = codec->state;
    const struct codec_tensor all[] = {{"pca.basis", 2, {codec->channels, pca->size}, pca->basis},
                                       {"pca.mean", 1, {pca->size}, pca->mean},
                                       {"pca.scale", 1, {codec->channels}, pca->scale},
                                       {"pca.motion_weight", 1, {1}, &pca->motion_weight}};
    int count = sizeof all / sizeof *all;
    for (int i = 0; i < count && i < capacity; i++) out[i] = all[i];
    return count;
}

static void pca_close(struct codec *codec) {
    struct pca *pca = codec->state;
    float *own[] = {pca->basis, pca->mean, pca->scale, pca->analysis, pca->synthesis, pca->offset, pca->inverse};
    for (size_t i = 0; !pca->shares && i < sizeof own / sizeof *own; i++) free(own[i]);
    free(pca->tile);
    free(pca->latent);
    free(pca->pending);
    free(pca);
}

/* Allocates the buffers that every stream has of its own. */
static int make_buffers(struct pca *pca, const struct codec *codec) {
    pca->tile = malloc((size_t)pca->size * PCA_LANES * sizeof(float));
    pca->latent = malloc((size_t)codec->channels * codec->h * codec->w * sizeof(float));
    pca->pending = malloc(3 * FRAMES_PER_LATENT * (size_t)codec->height * codec->width * sizeof(float));
    return pca->tile && pca->latent && pca->pending ? OK : error_set(ERR_DEVICE, "codec pca: out of memory");
}

static int pca_share(struct codec *stream, const struct codec *base) {
    struct pca *pca = malloc(sizeof *pca);
    if (!pca) return error_set(ERR_DEVICE, "codec pca: out of memory");
    *pca = *(const struct pca *)base->state;
    pca->shares = 1;
    pca->pending_frames = pca->encoder_started = pca->decoder_started = 0;
    stream->state = pca;
    int code = make_buffers(pca, stream);
    if (code) pca_close(stream);
    return code;
}

static const struct codec_operations pca_operations = {pca_close,        pca_tensors, pca_encode_reset, pca_encode,
                                                       pca_decode_begin, pca_decode,  pca_share,        NULL};

/* Returns the tensor of that name if it has `ndim` axes and finite values, else NULL, with the error text set. */
static const struct codec_tensor *find(const struct codec_tensor *tensors, int count, const char *name, int ndim) {
    for (int i = 0; i < count; i++) {
        const struct codec_tensor *t = &tensors[i];
        if (strcmp(t->name, name)) continue;
        if (t->ndim != ndim) {
            error_set(ERR_INPUT, "codec pca: %s has %d dimensions, not %d", name, t->ndim, ndim);
            return NULL;
        }
        long values = 1;
        for (int d = 0; d < ndim; d++) {
            if (t->shape[d] < 1 || t->shape[d] > 1 << 20 || (values *= t->shape[d]) > 1 << 28) {
                error_set(ERR_INPUT, "codec pca: %s has an impossible shape", name);
                return NULL;
            }
        }
        for (long k = 0; k < values; k++) {
            if (isfinite(t->data[k])) continue;
            error_set(ERR_INPUT, "codec pca: %s holds a value that is not finite", name);
            return NULL;
        }
        return t;
    }
    error_set(ERR_INPUT, "codec pca: tensor %s is missing", name);
    return NULL;
}

static float *copy(const float *from, size_t count) {
    float *to = malloc(count * sizeof *to);
    if (to) memcpy(to, from, count * sizeof *to);
    return to;
}

/* Computes to = W from for a patch vector of `size` numbers; with 1 / weight its inverse. to and from must differ. */
static void weigh_motion(float *to, const float *from, int size, double weight) {
    int frame = size / FRAMES_PER_LATENT;
    for (int k = 0; k < frame; k++) {
        double mean = 0;
        for (int f = 0; f < FRAMES_PER_LATENT; f++) mean += (double)from[f * frame + k] / FRAMES_PER_LATENT;
        for (int f = 0; f < FRAMES_PER_LATENT; f++)
            to[f * frame + k] = (float)(mean + weight * ((double)from[f * frame + k] - mean));
    }
}

/* Computes what is derived from the tensors. */
static void derive(struct pca *pca, int channels) {
    for (int c = 0; c < channels; c++) {
        const float *b = pca->basis + (size_t)c * pca->size;
        float *analysis = pca->analysis + (size_t)c * pca->size;
        weigh_motion(analysis, b, pca->size, (double)pca->motion_weight);
        weigh_motion(pca->synthesis + (size_t)c * pca->size, b, pca->size, 1 / (double)pca->motion_weight);
        double sum = 0;
        for (int k = 0; k < pca->size; k++) sum += (double)analysis[k] * (double)pca->mean[k];
        pca->offset[c] = (float)sum;
        pca->inverse[c] = 1 / pca->scale[c];
    }
}

/* Returns the optional tensor's value; 0: it is wrong, and the error text says why. */
static float motion_weight(const struct codec_tensor *tensors, int count) {
    int there = 0;
    for (int i = 0; i < count; i++) there |= !strcmp(tensors[i].name, "pca.motion_weight");
    if (!there) return 1;
    const struct codec_tensor *t = find(tensors, count, "pca.motion_weight", 1);
    if (!t) return 0;
    if (t->shape[0] == 1 && t->data[0] >= 1e-3f && t->data[0] <= 1e3f) return t->data[0];
    error_set(ERR_INPUT, "codec pca: pca.motion_weight is not one number of 0.001 to 1000");
    return 0;
}

int codec_pca_stride(const struct codec_tensor *tensors, int count) {
    int patch = 1;
    for (int i = 0; i < count; i++) {
        if (strcmp(tensors[i].name, "pca.basis") || tensors[i].ndim != 2) continue;
        while (pca_values(patch) < tensors[i].shape[1]) patch++;
        return patch;
    }
    return 0;
}

struct codec_linear codec_pca_linear(const struct codec *codec) {
    const struct pca *pca = codec->state;
    return (struct codec_linear){pca->analysis, pca->synthesis, pca->mean, pca->scale, pca->size};
}

int codec_pca_open(struct codec *codec, const struct codec_tensor *tensors, int count) {
    const struct codec_tensor *basis = find(tensors, count, "pca.basis", 2);
    if (!basis) return ERR_INPUT;
    const struct codec_tensor *mean = find(tensors, count, "pca.mean", 1);
    if (!mean) return ERR_INPUT;
    const struct codec_tensor *scale = find(tensors, count, "pca.scale", 1);
    if (!scale) return ERR_INPUT;
    long C = basis->shape[0], size = basis->shape[1];
    int p = codec_pca_stride(basis, 1);
    if (pca_values(p) != size) return error_set(ERR_INPUT, "codec pca: pca.basis has %ld columns, not 12 p^2", size);
    if (C > size) return error_set(ERR_INPUT, "codec pca: %ld components of %ld numbers", C, size);
    if (mean->shape[0] != size)
        return error_set(ERR_INPUT, "codec pca: pca.mean has %ld values, pca.basis %ld columns", mean->shape[0], size);
    if (scale->shape[0] != C)
        return error_set(ERR_INPUT, "codec pca: pca.scale has %ld values, pca.basis %ld rows", scale->shape[0], C);
    for (long c = 0; c < C; c++)
        if (scale->data[c] <= 0) return error_set(ERR_INPUT, "codec pca: pca.scale[%ld] is not positive", c);
    float weight = motion_weight(tensors, count);
    if (weight <= 0) return ERR_INPUT;
    if (codec->height % p || codec->width % p)
        return error_set(ERR_INPUT, "codec pca: %d x %d pixels do not divide into patches of %d", codec->height,
                         codec->width, p);

    struct pca *pca = calloc(1, sizeof *pca);
    if (!pca) return error_set(ERR_DEVICE, "codec pca: out of memory");
    codec->channels = (int)C;
    codec->h = codec->height / p;
    codec->w = codec->width / p;
    codec->state = pca;
    codec->operations = &pca_operations;
    pca->patch = p;
    pca->size = (int)size;
    pca->basis = copy(basis->data, (size_t)(C * size));
    pca->mean = copy(mean->data, (size_t)size);
    pca->scale = copy(scale->data, (size_t)C);
    pca->motion_weight = weight;
    pca->analysis = malloc((size_t)(C * size) * sizeof(float));
    pca->synthesis = malloc((size_t)(C * size) * sizeof(float));
    pca->offset = malloc((size_t)C * sizeof(float));
    pca->inverse = malloc((size_t)C * sizeof(float));
    if (make_buffers(pca, codec) || !pca->basis || !pca->mean || !pca->scale || !pca->analysis || !pca->synthesis ||
        !pca->offset || !pca->inverse) {
        pca_close(codec);
        return error_set(ERR_DEVICE, "codec pca: out of memory");
    }
    derive(pca, (int)C);
    return OK;
}
