/* vae_names.c: see vae_names.h. Both namings end alike (".weight", ".bias", ".gamma") and differ in how they count: the
   original 2.1 numbers the layers of a half, 2.2 those of a level; Diffusers numbers levels (except in 2.1's encoder)
   and gives resamplers names of their own. */
#include "checkpoints/vae_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct pair {
    const char *original, *diffusers;
};
static const struct pair residual_names[] = {{"residual.0.", "norm1."},
                                             {"residual.2.", "conv1."},
                                             {"residual.3.", "norm2."},
                                             {"residual.6.", "conv2."},
                                             {"shortcut.", "conv_shortcut."}};
static const struct pair half_names[] = {{"conv1.", "conv_in."},
                                         {"middle.0.", "mid_block.resnets.0."},
                                         {"middle.1.", "mid_block.attentions.0."},
                                         {"middle.2.", "mid_block.resnets.1."},
                                         {"head.0.", "norm_out."},
                                         {"head.2.", "conv_out."}};
static const struct pair whole_names[] = {{"conv1.", "quant_conv."}, {"conv2.", "post_quant_conv."}};

/* If *rest begins with a pair's text, returns the pair's other text and moves *rest behind it; else returns "" and
   leaves *rest. */
static const char *translated(const struct pair *pairs, size_t count, const char **rest) {
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(pairs[i].original);
        if (strncmp(*rest, pairs[i].original, n)) continue;
        *rest += n;
        return pairs[i].diffusers;
    }
    return "";
}
#define TRANSLATED(pairs, rest) translated(pairs, sizeof(pairs) / sizeof *(pairs), rest)

/* Reads the number that *rest begins with and moves *rest behind it and its dot. */
static int number(const char **rest) {
    char *end;
    long n = strtol(*rest, &end, 10);
    *rest = *end == '.' ? end + 1 : end;
    return (int)n;
}

/* Writes Diffusers' form, as "down_blocks.1.resnets.0.", of what follows "downsamples." (decode: "upsamples."). */
static void stage_name(const struct vae_config *c, const char **rest, int decode, char *out, size_t size) {
    const char *blocks = decode ? "up_blocks" : "down_blocks";
    int level = number(rest), layer = 0;
    if (c->residual) {
        const char *inner = decode ? "upsamples." : "downsamples.";
        if (!strncmp(*rest, inner, strlen(inner))) *rest += strlen(inner);
        layer = number(rest);
    } else if (decode) {
        layer = level % (c->res_blocks + 2);
        level /= c->res_blocks + 2;
    }
    int resampler = !strncmp(*rest, "resample.", 9) || !strncmp(*rest, "time_conv.", 10);
    if (!c->residual && !decode)
        snprintf(out, size, "%s.%d.", blocks, level);
    else if (!resampler)
        snprintf(out, size, "%s.%d.resnets.%d.", blocks, level, layer);
    else
        snprintf(out, size, "%s.%d.%s.", blocks, level,
                 !decode       ? "downsampler"
                 : c->residual ? "upsampler"
                               : "upsamplers.0");
}

int vae_names_to_diffusers(const struct vae_config *c, const char *original, char *out, size_t size) {
    const char *rest = original, *start = "", *inner = "";
    char block[64];
    int decode = !strncmp(original, "decoder.", 8);
    if (!decode && strncmp(original, "encoder.", 8)) {
        start = TRANSLATED(whole_names, &rest);
    } else {
        const char *word = decode ? "upsamples." : "downsamples.";
        start = decode ? "decoder." : "encoder.";
        rest += 8;
        if (!strncmp(rest, word, strlen(word))) {
            rest += strlen(word);
            stage_name(c, &rest, decode, block, sizeof block);
            inner = block;
        } else
            inner = TRANSLATED(half_names, &rest);
    }
    const char *last = TRANSLATED(residual_names, &rest);
    int used = snprintf(out, size, "%s%s%s%s", start, inner, last, rest);
    if (used < 0 || (size_t)used >= size) return error_set(ERR_INPUT, "the tensor name %.60s... is too long", original);
    return OK;
}
