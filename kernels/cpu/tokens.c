/* tokens.c: latents to tokens and back. Latents real [B][F, C, H, W], sample b at b stride; a token is
   a 2 x 2 patch of one frame, tokens in order f, h, w. A task is one row of patches of one frame: its latents are rows
   2h and 2h + 1 of all channels. */
#include "kernels/device.h"
#include "kernels/kernels.h"

/* Index of the latents of patch row `row`, out of B F H/2: row 2h of channel 0. */
static long patch_row_start(long row, long F, long C, long H, long W, long stride) {
    long h = row % (H / 2), f = row / (H / 2) % F, b = row / (H / 2) / F;
    return b * stride + f * C * H * W + 2 * h * W;
}

void patchify(elem *tokens, const real *latents, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long width = 4 * C;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < B * F * (H / 2); row++) {
        const real *from = latents + patch_row_start(row, F, C, H, W, stride);
        elem *to = tokens + row * (W / 2) * width;
        for (long w = 0; w < W / 2; w++)
            for (long c = 0; c < C; c++)
                for (long qr = 0; qr < 4; qr++)
                    to[w * width + c * 4 + qr] = elem_store(from[(c * H + qr / 2) * W + 2 * w + qr % 2]);
    }
}

void patchify_backward(real *dlatents, const elem *dtokens, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long width = 4 * C;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < B * F * (H / 2); row++) {
        real *to = dlatents + patch_row_start(row, F, C, H, W, stride);
        const elem *from = dtokens + row * (W / 2) * width;
        for (long w = 0; w < W / 2; w++)
            for (long c = 0; c < C; c++)
                for (long qr = 0; qr < 4; qr++)
                    to[(c * H + qr / 2) * W + 2 * w + qr % 2] += elem_load(from[w * width + c * 4 + qr]);
    }
}

void unpatchify(real *latents, const real *tokens, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long width = 4 * C;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < B * F * (H / 2); row++) {
        real *to = latents + patch_row_start(row, F, C, H, W, stride);
        const real *from = tokens + row * (W / 2) * width;
        for (long w = 0; w < W / 2; w++)
            for (long qr = 0; qr < 4; qr++)
                for (long c = 0; c < C; c++) to[(c * H + qr / 2) * W + 2 * w + qr % 2] = from[w * width + qr * C + c];
    }
}

void unpatchify_backward(real *dtokens, const real *dlatents, long B, long F, long C, long H, long W, long stride) {
    KERNEL_SCOPE;
    long width = 4 * C;
#pragma omp parallel for schedule(static)
    for (long row = 0; row < B * F * (H / 2); row++) {
        const real *from = dlatents + patch_row_start(row, F, C, H, W, stride);
        real *to = dtokens + row * (W / 2) * width;
        for (long w = 0; w < W / 2; w++)
            for (long qr = 0; qr < 4; qr++)
                for (long c = 0; c < C; c++) to[w * width + qr * C + c] = from[(c * H + qr / 2) * W + 2 * w + qr % 2];
    }
}
