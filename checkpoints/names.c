/* names.c: see names.h. A name is matched part by part: global names by their beginning, names inside a block by what
   follows "blocks.N.". */
#include "checkpoints/names.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

struct pair {
    const char *original, *diffusers;
};

/* Pairs of names. A tensor's name is a pair's text, or continues with ".weight" or ".bias". */
static const struct pair global_names[] = {
    {"text_embedding.0", "condition_embedder.text_embedder.linear_1"},
    {"text_embedding.2", "condition_embedder.text_embedder.linear_2"},
    {"time_embedding.0", "condition_embedder.time_embedder.linear_1"},
    {"time_embedding.2", "condition_embedder.time_embedder.linear_2"},
    {"time_projection.1", "condition_embedder.time_proj"},
    {"head.modulation", "scale_shift_table"},
    {"head.head", "proj_out"},
    {"img_emb.proj.0", "condition_embedder.image_embedder.norm1"},
    {"img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"},
    {"img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"},
    {"img_emb.proj.4", "condition_embedder.image_embedder.norm2"},
    {"img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"},
};

static const struct pair block_names[] = {
    {"modulation", "scale_shift_table"},
    {"self_attn.q", "attn1.to_q"},
    {"self_attn.k", "attn1.to_k"},
    {"self_attn.v", "attn1.to_v"},
    {"self_attn.o", "attn1.to_out.0"},
    {"self_attn.norm_q", "attn1.norm_q"},
    {"self_attn.norm_k", "attn1.norm_k"},
    {"norm3", "norm2"},
    {"cross_attn.q", "attn2.to_q"},
    {"cross_attn.k", "attn2.to_k"},
    {"cross_attn.v", "attn2.to_v"},
    {"cross_attn.o", "attn2.to_out.0"},
    {"cross_attn.norm_q", "attn2.norm_q"},
    {"cross_attn.norm_k", "attn2.norm_k"},
    {"cross_attn.k_img", "attn2.add_k_proj"},
    {"cross_attn.v_img", "attn2.add_v_proj"},
    {"cross_attn.norm_k_img", "attn2.norm_added_k"},
    {"ffn.0", "ffn.net.0.proj"},
    {"ffn.2", "ffn.net.2"},
};
enum {
    GLOBAL_NAMES = sizeof global_names / sizeof global_names[0],
    BLOCK_NAMES = sizeof block_names / sizeof block_names[0]
};

/* Returns what follows "blocks.N."; NULL: the name is not inside a block. */
static const char *inside_block(const char *name) {
    if (strncmp(name, "blocks.", 7)) return NULL;
    size_t digits = strspn(name + 7, "0123456789");
    return digits && name[7 + digits] == '.' ? name + 8 + digits : NULL;
}

/* Returns the rest of a name that is a pair's text, whole or followed by a dot; NULL: it is not. */
static const char *match(const char *name, const char *text) {
    size_t n = strlen(text);
    return !strncmp(name, text, n) && (!name[n] || name[n] == '.') ? name + n : NULL;
}

static int translate(const char *name, int to_diffusers, char *out, size_t size) {
    const char *part = inside_block(name), *replacement = "", *rest = NULL;
    const struct pair *list = part ? block_names : global_names;
    int count = part ? BLOCK_NAMES : GLOBAL_NAMES;
    if (!part) part = name;
    for (int i = 0; i < count && !rest; i++) {
        rest = match(part, to_diffusers ? list[i].original : list[i].diffusers);
        replacement = to_diffusers ? list[i].diffusers : list[i].original;
    }
    if (!rest) rest = part, replacement = "";
    int used = snprintf(out, size, "%.*s%s%s", (int)(part - name), name, replacement, rest);
    if (used < 0 || (size_t)used >= size) return error_set(ERR_INPUT, "the tensor name %.60s... is too long", name);
    return OK;
}

int names_to_diffusers(const char *original, char *out, size_t size) { return translate(original, 1, out, size); }

int names_to_original(const char *diffusers, char *out, size_t size) { return translate(diffusers, 0, out, size); }

int names_is_diffusers(const char *name) {
    const char *part = inside_block(name);
    if (part)
        return match(part, "attn1") || match(part, "attn2") || match(part, "ffn.net") ||
               match(part, "scale_shift_table");
    return match(name, "condition_embedder") || match(name, "proj_out") || match(name, "scale_shift_table");
}

void names_unwrap(char *name) {
    static const char *const parts[] = {"_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod."};
    char *to = name;
    for (const char *from = name; *from;) {
        int first = from == name || from[-1] == '.';
        size_t skip = 0;
        for (size_t i = 0; first && i < sizeof parts / sizeof *parts; i++)
            if (!strncmp(from, parts[i], strlen(parts[i]))) skip = strlen(parts[i]);
        if (skip)
            from += skip;
        else
            *to++ = *from++;
    }
    *to = 0;
}
