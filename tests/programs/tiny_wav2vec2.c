/* tiny_wav2vec2.c: writes a small random wav2vec2 checkpoint for the scripts in tests/e2e: tiny_wav2vec2 FOLDER SEED */
#include "tests/wav2vec2_checkpoint.h"

#include "base/args.h"

int main(int argc, char **argv) {
    char path[1024];
    if (argc != 3) return args_exit("tiny_wav2vec2", error_set(ERR_USAGE, "expected FOLDER SEED"));
    struct wav2vec2_config config = checkpoint_base;
    struct checkpoint_style style = {argv[2], "wav2vec2.", 0, NULL, 1};
    config.dim = 8;
    config.heads = 2;
    config.position_groups = 4;
    int code = file_make_folders(argv[1]);
    if (!code) code = file_join(path, sizeof path, argv[1], "model.safetensors");
    if (!code) code = checkpoint_write_weights(path, &config, &style);
    if (!code) code = file_join(path, sizeof path, argv[1], "config.json");
    if (!code) code = checkpoint_write_config(path, &config);
    return code ? args_exit("tiny_wav2vec2", code) : 0;
}
