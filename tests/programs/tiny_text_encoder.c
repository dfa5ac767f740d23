/* tiny_text_encoder.c: not a test but what tests/e2e encode prompts with: a UMT5 checkpoint of 90 tokens, which is how
   many tests/golden/prompts.model has. usage: tiny_text_encoder OUT.safetensors */
#include "tests/text_encoder_file.h"

int main(int argc, char **argv) {
    struct umt5_file f;
    if (argc != 2) return 2;
    umt5_file_make(&f, &small_umt5, 1);
    int code = safetensors_write(argv[1], f.entries, f.count, NULL);
    if (code) fprintf(stderr, "tiny_text_encoder: %s\n", error_text());
    umt5_file_free(&f);
    return code;
}
