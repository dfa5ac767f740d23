/* wav_head.h: the head of a wav file that comes through a pipe. libav's reader of wav looks two seconds ahead, which a
   live one does not have; its readers of bare samples do not. */
#ifndef DATA_WAV_HEAD_H
#define DATA_WAV_HEAD_H

#include "data/media/byte_source.h"

struct wav_head {
    const char *samples; /* name of libav's format for the samples: "s16le", .. */
    int rate, channels;
};
/* 1: the bytes begin with a wav head, which is passed over; what the source gives then are the samples and nothing
   behind them. 0: another kind of file, or samples that are not plain numbers: nothing is taken. */
int wav_head_take(struct wav_head *head, struct byte_source *bytes);

#endif
