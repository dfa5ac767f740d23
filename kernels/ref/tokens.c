/* tokens.c: latents to tokens and back, as the definition. Latents real [B][F, C, H, W],
   sample b at b stride; a token is a 2 x 2 patch of one frame, tokens in order f, h, w. */
#include "kernels/kernels.h"
#include "kernels/device.h"

/* Index, within a sample, of element (q, r) of channel c in the patch of token `token`. */
static long latent_index(long token, long c, long q, long r, long C, long H, long W) {
    long w = token % (W / 2), h = token / (W / 2) % (H / 2), f = token / (W / 2 * (H / 2));
    return ((f * C + c) * H + 2 * h + q) * W + 2 * w + r;
}

void patchify(elem *tokens, const real *latents, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long count = F * (H / 2) * (W / 2);
    for (long i = 0; i < B * count; i++)
        for (long c = 0; c < C; c++)
            for (long qr = 0; qr < 4; qr++)
                tokens[i * 4 * C + c * 4 + qr] =
                    elem_store(latents[i / count * stride + latent_index(i % count, c, qr / 2, qr % 2, C, H, W)]);
}

void patchify_backward(real *dlatents, const elem *dtokens, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long count = F * (H / 2) * (W / 2);
    for (long i = 0; i < B * count; i++)
        for (long c = 0; c < C; c++)
            for (long qr = 0; qr < 4; qr++)
                dlatents[i / count * stride + latent_index(i % count, c, qr / 2, qr % 2, C, H, W)] +=
                    elem_load(dtokens[i * 4 * C + c * 4 + qr]);
}

void unpatchify(real *latents, const real *tokens, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long count = F * (H / 2) * (W / 2);
    for (long i = 0; i < B * count; i++)
        for (long qr = 0; qr < 4; qr++)
            for (long c = 0; c < C; c++)
                latents[i / count * stride + latent_index(i % count, c, qr / 2, qr % 2, C, H, W)] =
                    tokens[i * 4 * C + qr * C + c];
}

void unpatchify_backward(real *dtokens, const real *dlatents, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long count = F * (H / 2) * (W / 2);
    for (long i = 0; i < B * count; i++)
        for (long qr = 0; qr < 4; qr++)
            for (long c = 0; c < C; c++)
                dtokens[i * 4 * C + qr * C + c] =
                    dlatents[i / count * stride + latent_index(i % count, c, qr / 2, qr % 2, C, H, W)];
}
