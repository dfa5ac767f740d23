/* tiny_decoder.c: writes a small residual decoder (model/codec/residual_decoder.h) with made-up weights, for tests:
   tiny_decoder OUT.safetensors CHANNELS STRIDE. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "checkpoints/decoder_file.h"
#include "tests/golden_weights.h"

static int write_decoder(const char *path, int channels, int stride) {
    const struct decoder_config sizes = {.kind = DECODER_RESIDUAL,
                                         .residual = {channels, {6, 5, 4}, {1, 1, 1}, stride / RESIDUAL_GROWTH}};
    struct decoder_net net;
    TRY(decoder_net_create(&net, &sizes));
    float *values = calloc(net.table->total, sizeof *values);
    for (int i = 0; i < net.table->count && values; i++) {
        const struct param *p = &net.table->list[i];
        golden_values(values + param_position(net.table, p), p->name, (long)p->count, 0.1, 0.01);
    }
    int code = values ? decoder_file_save(path, &net, values) : error_set(ERR_DEVICE, "out of memory for a decoder");
    free(values);
    decoder_net_destroy(&net);
    return code;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: tiny_decoder OUT.safetensors CHANNELS STRIDE\n");
        return ERR_USAGE;
    }
    int code = write_decoder(argv[1], atoi(argv[2]), atoi(argv[3]));
    if (code) fprintf(stderr, "tiny_decoder: %s\n", error_text());
    return code;
}
