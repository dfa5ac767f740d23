/* fuzz_sidecars.c: files beside a clip. */
#include "tests/fuzz/fuzz.h"

#include "tools/prepare/sidecar.h"

enum { FRAMES = 40 };

static int read_masks(const char *path) {
    float talk[FRAMES], listen[FRAMES];
    if (sidecar_read(path, FRAMES, talk, listen)) return 0;
    for (int f = 0; f < FRAMES; f++)
        fuzz_promise((talk[f] == 0 || talk[f] == 1) && (listen[f] == 0 || listen[f] == 1), "masks are 0 or 1");
    return 1;
}

int fuzz_mask_csv(const unsigned char *data, size_t size) { return read_masks(fuzz_file("clip.mask.csv", data, size)); }
int fuzz_mask_json(const unsigned char *data, size_t size) {
    return read_masks(fuzz_file("clip.mask.json", data, size));
}
