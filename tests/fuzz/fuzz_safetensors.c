/* fuzz_safetensors.c: tensor files from elsewhere. What opens must be readable to its last byte, under names that the
   name maps survive. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "checkpoints/names.h"
#include "checkpoints/safetensors.h"

enum { VALUES_MAX = 1 << 16 };

static void look_at(const struct safetensors *file, const struct safetensors_entry *e) {
    char name[160];
    volatile unsigned char last = 0;
    if (e->bytes) last = ((const unsigned char *)e->data)[e->bytes - 1];
    (void)last;
    fuzz_promise(safetensors_find(file, e->name) == e, "every tensor is found under its name");
    names_to_diffusers(e->name, name, sizeof name);
    names_to_original(e->name, name, sizeof name);
    names_is_diffusers(e->name);
    if (e->count > VALUES_MAX) return;
    float *values = malloc((e->count + 1) * sizeof *values);
    if (values) safetensors_read_float(e, values);
    free(values);
}

static int open_and_look(const char *path) {
    struct safetensors file;
    if (safetensors_open(&file, path)) return 0;
    for (int i = 0; i < file.count; i++) look_at(&file, &file.entries[i]);
    for (char **m = file.metadata; m && *m; m += 2) fuzz_promise(m[1] != NULL, "metadata come in pairs");
    safetensors_close(&file);
    return 1;
}

int fuzz_safetensors(const unsigned char *data, size_t size) {
    return open_and_look(fuzz_file("whole.safetensors", data, size));
}

int fuzz_safetensors_header(const unsigned char *data, size_t size) {
    size_t total = 8 + size + FUZZ_TENSOR_BYTES;
    unsigned char *file = calloc(total, 1);
    if (!file) return 0;
    for (int i = 0; i < 8; i++) file[i] = (unsigned char)((unsigned long long)size >> (8 * i));
    if (size) memcpy(file + 8, data, size);
    for (int i = 0; i < FUZZ_TENSOR_BYTES; i++) file[8 + size + (size_t)i] = (unsigned char)(37 * i);
    int taken = open_and_look(fuzz_file("header.safetensors", file, total));
    free(file);
    return taken;
}
