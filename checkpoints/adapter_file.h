/* adapter_file.h: low-rank adapters (model/params/lora.h) in a file of their own, as other tools load them. Original
   names: diffusion_model.NAME.lora_A.weight, .lora_B.weight and .alpha (a weight is W + alpha / rank B A). Diffusers'
   names: transformer.NAME.lora_A.weight, .lora_B.weight; its loader assumes alpha = rank, so B is multiplied by alpha /
   rank there. Parameters trained whole are plain tensors under the same prefix. */
#ifndef CHECKPOINTS_ADAPTER_FILE_H
#define CHECKPOINTS_ADAPTER_FILE_H

#include "checkpoints/checkpoint.h"
#include "model/params/lora.h"

/* Writes trained adapters as F32. own: their values, host [lora->adapters.total]. */
int adapter_file_write(const char *path, const struct lora *lora, const float *own, enum weights_naming naming);

#endif
