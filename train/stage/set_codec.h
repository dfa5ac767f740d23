/* set_codec.h: the codec that a data set was made with. pca lies in the data set; the Wan autoencoders have a file of
   weights, which the data set names with its checksum. */
#ifndef TRAIN_STAGE_SET_CODEC_H
#define TRAIN_STAGE_SET_CODEC_H

#include "data/dataset.h"

/* weights: the file of the weights, where it was moved; "": as the data set names it. ERR_INPUT: it is not the file
   that the data set was made with. */
int set_codec_open(struct codec *codec, struct dataset *set, const char *weights);
/* Fills in the codec's name and tensors alone, without reading an external codec's weights: its operations must not be
   called. */
int set_codec_describe(struct codec *codec, struct dataset *set, const char *weights);

#endif
