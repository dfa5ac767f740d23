/* fuzz_checkpoints.c: networks' checkpoints: sizes from tensors' shapes, from the config.json beside them, and the
   index of shards. Nothing is loaded: values cannot break what shapes did not. */
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tensor_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "checkpoints/decoder_file.h"
#include "checkpoints/feature_file.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/text_encoder.h"
#include "checkpoints/vae_file.h"
#include "checkpoints/wan_config.h"
#include "checkpoints/wav2vec2_file.h"

/* Networks of a size that a table may be made for. */
enum { LAYERS_MAX = 4 };

static void check_tensors(const struct checkpoint *c, struct dit_config config) {
    struct dit net;
    config.height = config.width = 4;
    if (config.layers > LAYERS_MAX || dit_create(&net, &config, 0)) return;
    weights_check(&net.table, c, WEIGHTS_TRUNK);
    dit_destroy(&net);
}

static int try_transformer(const char *path) {
    struct checkpoint c;
    struct dit_config config = {0};
    if (checkpoint_open(&c, path)) return 0;
    int code = checkpoint_dit_config(&c, &config);
    fuzz_promise(code || (config.dim > 0 && config.layers > 0 && config.heads > 0), "a network's sizes are positive");
    if (!code) checkpoint_expect(&c, &config);
    if (!code) check_tensors(&c, config);
    checkpoint_close(&c);
    return !code;
}

static int try_text_encoder(const char *path) {
    struct text_encoder e;
    if (text_encoder_open(&e, path)) return 0;
    text_encoder_close(&e);
    return 1;
}

static int try_vae(const char *path) {
    struct vae_config config;
    return !vae_file_config(&config, path);
}

static int try_wav2vec2(const char *path) {
    struct wav2vec2_file file;
    if (wav2vec2_file_open(&file, path)) return 0;
    wav2vec2_file_close(&file);
    return 1;
}

static int try_decoder(const char *path) {
    struct safetensors file;
    struct decoder_net net;
    if (safetensors_open(&file, path)) return 0;
    int code = decoder_file_create(&net, &file);
    if (!code) decoder_net_destroy(&net);
    safetensors_close(&file);
    return !code;
}

static int try_features(const char *path) {
    struct safetensors file;
    struct feature_net net;
    if (safetensors_open(&file, path)) return 0;
    int code = feature_file_create(&net, &file);
    if (!code) feature_net_destroy(&net);
    safetensors_close(&file);
    return !code;
}

int fuzz_tensors(const unsigned char *data, size_t size) {
    const char *path = fuzz_tensor_file("model.safetensors", data, size);
    return path && try_transformer(path) + try_text_encoder(path) + try_vae(path) + try_wav2vec2(path) +
                           try_decoder(path) + try_features(path) >
                       0;
}

/* Small networks whose configs are given. The first letter of the input says which. */
static const char text_encoder[] =
    "token_embedding.weight 9 6\nnorm.weight 6\nblocks.0.norm1.weight 6\nblocks.0.attn.q.weight 8 6\n"
    "blocks.0.attn.k.weight 8 6\nblocks.0.attn.v.weight 8 6\nblocks.0.attn.o.weight 6 8\nblocks.0.norm2.weight 6\n"
    "blocks.0.ffn.gate.0.weight 5 6\nblocks.0.ffn.fc1.weight 5 6\nblocks.0.ffn.fc2.weight 6 5\n"
    "blocks.0.pos_embedding.embedding.weight 32 2\n";

/* As much as its sizes are read from; the rest is missing, which is found after config.json. */
static const char video_autoencoder[] =
    "encoder.conv1.weight 4 12 3 3 3\nconv2.weight 4 4 1 1 1\ndecoder.head.0.gamma 4 1 1 1\n"
    "encoder.downsamples.0.downsamples.0.residual.2.weight 4 4 3 3 3\n"
    "encoder.downsamples.0.downsamples.0.residual.6.weight 4 4 3 3 3\n"
    "encoder.downsamples.0.downsamples.1.time_conv.weight 4 4 3 1 1\n"
    "encoder.downsamples.1.downsamples.0.residual.6.weight 4 4 3 3 3\n"
    "encoder.downsamples.1.downsamples.1.time_conv.weight 4 4 3 1 1\n"
    "encoder.downsamples.2.downsamples.0.residual.6.weight 4 4 3 3 3\n";

static int with_config(const char *tensors, const char *name, const unsigned char *json, size_t size,
                       int (*try)(const char *path)) {
    char path[160];
    const char *config;
    snprintf(path, sizeof path, "%s",
             fuzz_tensor_file("model.safetensors", (const unsigned char *)tensors, strlen(tensors)));
    config = fuzz_file(name, json, size);
    int taken = try(path);
    unlink(config);
    return taken;
}

static int try_wan_config(const char *path) {
    struct wan_config config;
    int found;
    (void)path;
    char json[160];
    snprintf(json, sizeof json, "%s/config.json", fuzz_folder());
    return !wan_config_read(json, &config, &found) && found;
}

int fuzz_model_config(const unsigned char *data, size_t size) {
    if (!size) return 0;
    const unsigned char *json = data + 1;
    switch (*data) {
    case 't':
        return with_config(text_encoder, "config.json", json, size - 1, try_text_encoder);
    case 'w':
        return with_config(text_encoder, "config.json", json, size - 1, try_wan_config);
    case 'v':
        return with_config(video_autoencoder, "config.json", json, size - 1, try_vae);
    case 'a':
        return with_config("feature_projection.projection.weight 4 4\n", "config.json", json, size - 1, try_wav2vec2);
    case 'p':
        return with_config("feature_projection.projection.weight 4 4\n", "preprocessor_config.json", json, size - 1,
                           try_wav2vec2);
    default:
        return 0;
    }
}

/* Two shards are there: a with x and y, b with z. */
int fuzz_shards_index(const unsigned char *data, size_t size) {
    static const char a[] = "x 3\ny 2 2\n", b[] = "~z 5\n";
    struct shards s;
    fuzz_tensor_file("a.safetensors", (const unsigned char *)a, sizeof a - 1);
    fuzz_tensor_file("b.safetensors", (const unsigned char *)b, sizeof b - 1);
    if (shards_open(&s, fuzz_file("m.safetensors.index.json", data, size))) return 0;
    for (int i = 0; i < s.count; i++)
        fuzz_promise(shards_find(&s, s.entries[i]->name) == s.entries[i], "every tensor is found under its name");
    shards_close(&s);
    return 1;
}
