/* golden_weights.h: weights that both sides of a golden test make for themselves (tests/golden/weights.py says how), so
   that no file has to hold them. Host arrays. */
#ifndef TESTS_GOLDEN_WEIGHTS_H
#define TESTS_GOLDEN_WEIGHTS_H

#include <stdint.h>

/* out [n] = mean + deviation z of the tensor called `name` */
static inline void golden_values(float *out, const char *name, long n, double deviation, double mean) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char *c = name; *c; c++) h = (h ^ (unsigned char)*c) * 0x100000001b3u;
    for (long i = 0; i < n; i++) {
        uint64_t x = (h + (uint64_t)i + 0x9e3779b97f4a7c15u) * 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        int64_t pieces = (int64_t)((x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48));
        double z = (double)(pieces - 131070) * (1.7320508075688772 / 65536);
        out[i] = (float)(mean + deviation * z);
    }
}

#endif
