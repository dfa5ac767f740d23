/* set_codec.h: the codec of a data set: its tensors are in it, or its weights in a file of their own. */
#ifndef TRAIN_STAGE_SET_CODEC_H
#define TRAIN_STAGE_SET_CODEC_H

#include "data/dataset.h"

/* weights: where they are now; "": where the data set was made. ERR_INPUT when they are not the ones it was made
   with. */
int set_codec_open(struct codec *codec, struct dataset *set, const char *weights);
/* The same for those who want name and tensors alone: no operation of an external codec may be called. */
int set_codec_describe(struct codec *codec, struct dataset *set, const char *weights);

#endif
