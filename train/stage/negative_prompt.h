/* negative_prompt.h: the prompt that guidance has in place of no text, from the file that the config names. */
#ifndef TRAIN_STAGE_NEGATIVE_PROMPT_H
#define TRAIN_STAGE_NEGATIVE_PROMPT_H

#include "train/config/run_config.h"

/* *rows: malloc'd [text_len, text_dim]; NULL where the config names none. ERR_INPUT: no such file or prompt, or another
   width. */
int negative_prompt_load(const struct run_config *config, float **rows);

#endif
