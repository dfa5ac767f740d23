/* wav_head.h: reads the head of a wav file that comes through a pipe. libav's reader of wav looks two seconds ahead,
   for which live sound would have to wait; its readers of bare samples do not. */
#ifndef DATA_WAV_HEAD_H
#define DATA_WAV_HEAD_H

#include "data/media/byte_source.h"

struct wav_head {
    const char *samples; /* libav's name of the samples' format, such as "s16le" */
    int rate, channels;
};
/* Returns 1 if the bytes begin with a wav head, and takes the head, so that the source then gives the samples and
   nothing behind them. Returns 0, and takes nothing, for another kind of file or for samples that are not plain
   numbers. */
int wav_head_take(struct wav_head *head, struct byte_source *bytes);

#endif
