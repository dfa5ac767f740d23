/* names.h: the names of a Wan DiT's tensors in the original checkpoints and in Diffusers (docs/formats.md has the
   table). Parameter tables use the original names. Our audio modules ("audio_proj.", "blocks.N.talk_attn." ...) and
   tensors that exist in one naming only keep their name in both. */
#ifndef CHECKPOINTS_NAMES_H
#define CHECKPOINTS_NAMES_H

#include <stddef.h>

/* Translate a name from original to Diffusers and back. ERR_INPUT: `out` is too small. */
int names_to_diffusers(const char *original, char *out, size_t size);
int names_to_original(const char *diffusers, char *out, size_t size);
/* Returns 1 for a name that only Diffusers' files have ("condition_embedder.", ".attn1.", "proj_out."). */
int names_is_diffusers(const char *name);
/* Removes, wherever they stand, the parts that PyTorch's wrappers leave in names: "_fsdp_wrapped_module.",
   "_checkpoint_wrapped_module." and "_orig_mod." (torch.compile). */
void names_unwrap(char *name);

#endif
