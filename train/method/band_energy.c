/* band_energy.c: see band_energy.h. A frame of channels-first latents is `bands` contiguous pieces, so a weighted sum
   of mean squares over pieces is the energy of one band. */
#include "train/method/band_energy.h"

#include <stdlib.h>

#include "base/error.h"
#include "kernels/device.h"

const char *const band_energy_names[ENERGY_BANDS] = {"energy_0", "energy_1", "energy_2", "energy_3"};

static size_t groups(const struct band_energy *e) { return (size_t)e->B * e->F * e->bands; }

void band_energy_layout(struct band_energy *e, int B, int F, int channels, long size, struct arena *arena) {
    e->B = B;
    e->F = F;
    e->bands = channels % ENERGY_BANDS ? 1 : ENERGY_BANDS;
    e->size = size;
    e->weight = ARENA_TAKE(arena, "weights of energy bands", real, (size_t)e->bands * groups(e));
    e->zero = ARENA_TAKE(arena, "zeros", real, (size_t)B * F * size);
}

int band_energy_prepare(struct band_energy *e, int batch) {
    size_t n = groups(e);
    real *host = malloc(n * sizeof *host);
    if (!host) return error_set(ERR_DEVICE, "out of memory for energy bands");
    for (int band = 0; band < e->bands; band++) {
        for (size_t g = 0; g < n; g++) {
            int generated = g / e->bands % e->F != 0, mine = (int)(g % e->bands) == band;
            host[g] = generated && mine ? (real)(1.0 / ((double)batch * (e->F - 1))) : 0;
        }
        mem_upload(e->weight + (size_t)band * n, host, n * sizeof *host);
    }
    free(host);
    mem_zero(e->zero, sizeof(real) * (size_t)e->B * e->F * e->size);
    return OK;
}

void band_energy_measure(const struct band_energy *e, real *out, const real *x, int B) {
    long n = (long)B * e->F * e->bands;
    for (int band = 0; band < e->bands; band++)
        mse_loss(out + band, NULL, x, e->zero, e->weight + (size_t)band * groups(e), n, e->size / e->bands);
}
