/* negative_prompt.h: the prompt that guidance has in place of no text, from the file that the config names. */
#ifndef TRAIN_STAGE_NEGATIVE_PROMPT_H
#define TRAIN_STAGE_NEGATIVE_PROMPT_H

#include "train/config/run_config.h"

/* Reads its embedding into *rows, malloc'd [text_len, text_dim]; NULL where the config names no file. ERR_INPUT: there
   is no such file or prompt, or it has another width than model.text_dim. */
int negative_prompt_load(const struct run_config *config, float **rows);

#endif
