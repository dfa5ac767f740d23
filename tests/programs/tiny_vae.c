/* tiny_vae.c: writes a small Wan video autoencoder with made-up weights, for tests: tiny_vae wan21|wan22
   OUT.safetensors Z. Diffusers' names, the published channel multiples and levels. */
#include "tests/vae_files.h"

int main(int argc, char **argv) {
    struct vae_config config;
    if (argc != 4) {
        fprintf(stderr, "usage: tiny_vae wan21|wan22 OUT.safetensors LATENT_CHANNELS\n");
        return ERR_USAGE;
    }
    small_vae_config(&config, !strcmp(argv[1], "wan22"), atoi(argv[3]));
    int code = small_vae_write(argv[2], &config, 1, "", NULL, NULL);
    if (code) fprintf(stderr, "tiny_vae: %s\n", error_text());
    return code;
}
