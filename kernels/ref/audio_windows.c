/* audio_windows.c: gathers the sound that each latent frame hears, for all backends on the host. */
#include "base/media_rates.h"
#include "kernels/device.h"
#include "kernels/kernels.h"

void audio_windows(elem *window, const real *features, const real *mask, long B, long T, long D, long first, long F,
                   long feature_start, struct audio_reach reach) {
    KERNEL_SCOPE;
#pragma omp parallel for schedule(static)
    for (long i = 0; i < B * F * AUDIO_WINDOW; i++) {
        long b = i / (F * AUDIO_WINDOW), latent = first + i / AUDIO_WINDOW % F, row = i % AUDIO_WINDOW;
        long t = video_frames(latent) - AUDIO_MARGIN + row, end = reach.chunk ? audio_reach_end(reach, latent) : t + 1;
        t = (t < end ? t : end - 1) - feature_start;
        t = t < 0 ? 0 : t >= T ? T - 1 : t;
        int empty = latent == 0 && row >= AUDIO_WINDOW_FIRST; /* latent frame 0 is one video frame */
        for (long d = 0; d < D; d++) {
            real value = empty ? 0 : features[(b * T + t) * D + d] * (mask ? mask[b * T + t] : 1);
            window[i * D + d] = elem_store(value);
        }
    }
}
