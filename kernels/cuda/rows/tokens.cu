/* tokens.cu: latents to tokens and back, and audio windows.
   Latents real [B][F, C, H, W], sample b at b stride; a token is a 2 x 2 patch of one frame, tokens in order f, h, w.
   A thread has one number of the latents, whose rows are read and written as whole lines; the tokens' side is short
   (latents are a thousandth of a step's traffic). */
#include "base/media_rates.h"
#include "kernels/cuda/kernel.cuh"

struct latents {
    long F, C, H, W, stride;
};

/* Place of number i of [B, F, C, H, W]: index in the latents, token, channel and place q 2 + r in the patch. */
struct token_place {
    long latent, token, c, qr;
};
__device__ static inline struct token_place place_of(const struct latents &s, long i) {
    long w = i % s.W, h = i / s.W % s.H, c = i / (s.W * s.H) % s.C, bf = i / (s.W * s.H * s.C), frame = s.C * s.H * s.W;
    return {bf / s.F * s.stride + i - bf / s.F * s.F * frame, (bf * (s.H / 2) + h / 2) * (s.W / 2) + w / 2, c,
            h % 2 * 2 + w % 2};
}

struct to_tokens {
    elem *tokens;
    const real *latents;
    struct latents s;
    __device__ void at(long i) const {
        struct token_place p = place_of(s, i);
        tokens[p.token * 4 * s.C + p.c * 4 + p.qr] = from_float<elem>(latents[p.latent]);
    }
};
struct to_tokens_backward {
    real *dlatents;
    const elem *dtokens;
    struct latents s;
    __device__ void at(long i) const {
        struct token_place p = place_of(s, i);
        dlatents[p.latent] += to_float(dtokens[p.token * 4 * s.C + p.c * 4 + p.qr]);
    }
};
struct from_tokens {
    real *latents;
    const real *tokens;
    struct latents s;
    __device__ void at(long i) const {
        struct token_place p = place_of(s, i);
        latents[p.latent] = tokens[p.token * 4 * s.C + p.qr * s.C + p.c];
    }
};
struct from_tokens_backward {
    real *dtokens;
    const real *dlatents;
    struct latents s;
    __device__ void at(long i) const {
        struct token_place p = place_of(s, i);
        dtokens[p.token * 4 * s.C + p.qr * s.C + p.c] = dlatents[p.latent];
    }
};

void patchify(elem *tokens, const real *latents, long B, long F, long C, long H, long W, long stride) {
    for_each_one(to_tokens{tokens, latents, {F, C, H, W, stride}}, B * F * C * H * W);
}

void patchify_backward(real *dlatents, const elem *dtokens, long B, long F, long C, long H, long W, long stride) {
    for_each_one(to_tokens_backward{dlatents, dtokens, {F, C, H, W, stride}}, B * F * C * H * W);
}

void unpatchify(real *latents, const real *tokens, long B, long F, long C, long H, long W, long stride) {
    for_each_one(from_tokens{latents, tokens, {F, C, H, W, stride}}, B * F * C * H * W);
}

void unpatchify_backward(real *dtokens, const real *dlatents, long B, long F, long C, long H, long W, long stride) {
    for_each_one(from_tokens_backward{dtokens, dlatents, {F, C, H, W, stride}}, B * F * C * H * W);
}

struct audio_window {
    elem *window;
    const real *features, *mask;
    long T, D, first, F, feature_start;
    audio_reach reach;
    template <int V> __device__ void at(long i) const {
        long at = i / D, d = i % D, b = at / (F * AUDIO_WINDOW), latent = first + at / AUDIO_WINDOW % F,
             row = at % AUDIO_WINDOW;
        long t = video_frames(latent) - AUDIO_MARGIN + row, end = reach.chunk ? audio_reach_end(reach, latent) : t + 1;
        t = (t < end ? t : end - 1) - feature_start;
        t = t < 0 ? 0 : t >= T ? T - 1 : t;
        float v[V];
        load(v, features + (b * T + t) * D + d);
#pragma unroll
        for (int j = 0; j < V; j++) {
            if (mask) v[j] *= mask[b * T + t];
            if (latent == 0 && row >= AUDIO_WINDOW_FIRST) v[j] = 0; /* latent frame 0 is one video frame */
        }
        store(window + i, v);
    }
};

void audio_windows(elem *window, const real *features, const real *mask, long B, long T, long D, long first, long F,
                   long feature_start, audio_reach reach) {
    for_each(audio_window{window, features, mask, T, D, first, F, feature_start, reach}, B * F * AUDIO_WINDOW * D,
             aligned16(window) && aligned16(features) && D % VECTOR == 0);
}
