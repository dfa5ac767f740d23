/* transfer.c: see transfer.h. Conversion goes through a buffer on the stack, so nothing is allocated. */
#include "model/params/transfer.h"

#include "kernels/device.h"

enum { PIECE = 4096 };

/* True where real is float, so that bytes can be copied without conversion. */
static int plain(void) { return sizeof(real) == sizeof(float); }

static long piece_of(long n, long done) { return n - done < PIECE ? n - done : PIECE; }

void transfer_to_real(real *device_to, const float *host_from, long n) {
    if (plain()) {
        mem_upload(device_to, host_from, (size_t)n * sizeof(real));
        return;
    }
    real piece[PIECE];
    for (long done = 0; done < n; done += PIECE) {
        long count = piece_of(n, done);
        for (long i = 0; i < count; i++) piece[i] = (real)host_from[done + i];
        mem_upload(device_to + done, piece, (size_t)count * sizeof *piece);
    }
}

void transfer_to_elem(elem *device_to, const float *host_from, long n) {
    elem piece[PIECE];
    for (long done = 0; done < n; done += PIECE) {
        long count = piece_of(n, done);
        for (long i = 0; i < count; i++) piece[i] = elem_store((real)host_from[done + i]);
        mem_upload(device_to + done, piece, (size_t)count * sizeof *piece);
    }
}

void transfer_from_real(float *host_to, const real *device_from, long n) {
    if (plain()) {
        mem_download(host_to, device_from, (size_t)n * sizeof(real));
        return;
    }
    real piece[PIECE];
    for (long done = 0; done < n; done += PIECE) {
        long count = piece_of(n, done);
        mem_download(piece, device_from + done, (size_t)count * sizeof *piece);
        for (long i = 0; i < count; i++) host_to[done + i] = (float)piece[i];
    }
}

void transfer_from_elem(float *host_to, const elem *device_from, long n) {
    elem piece[PIECE];
    for (long done = 0; done < n; done += PIECE) {
        long count = piece_of(n, done);
        mem_download(piece, device_from + done, (size_t)count * sizeof *piece);
        for (long i = 0; i < count; i++) host_to[done + i] = (float)elem_load(piece[i]);
    }
}
