/* stream_options.h: what `stream` is told on its command line, as key=value (stream --help lists them). */
#ifndef INFER_STREAM_OPTIONS_H
#define INFER_STREAM_OPTIONS_H

#include "base/config.h"
#include "base/fileio.h"

enum stream_mask { MASK_VOICE, MASK_ALWAYS, MASK_FILE };
enum stream_overlap { OVERLAP_AUTO, OVERLAP_ON, OVERLAP_OFF };
enum stream_graphs { GRAPHS_ON, GRAPHS_OFF };
enum stream_switch { SWITCH_AS_TRAINED, SWITCH_ON, SWITCH_OFF };

struct stream_options {
    char reference[FILE_PATH_MAX]; /* picture or video */
    char audio[FILE_PATH_MAX];     /* file, or "-": raw s16le PCM at 16 kHz on standard input */
    char user[FILE_PATH_MAX];      /* the other party's sound; "": none, or the right channel of `audio` */
    int channels;                  /* of raw PCM: 1, or 2 (left agent, right user) */
    char out[FILE_PATH_MAX];       /* FILE.mp4, "-": raw rgb24 frames on standard output, "null": nowhere */
    int talk;                      /* enum stream_mask */
    char mask[FILE_PATH_MAX];      /* CSV of a frame a line: talk,listen */
    double seconds;                /* stop after this much video; 0: at the end of the sound */
    long seed;
    int threads;
    int overlap;                       /* enum stream_overlap */
    int sink, rapr;                    /* enum stream_switch */
    int decoder_device;                /* device of the process that has the codec; -1: this process has it */
    int graphs;                        /* enum stream_graphs */
    char codec_weights[FILE_PATH_MAX]; /* "": where the student says */
    char audio_weights[FILE_PATH_MAX]; /* checkpoint of the audio encoder; "": where the student says */
    char decoder[FILE_PATH_MAX];       /* file of a decoder in place of the codec's own; "": as the student has it */
    char text[FILE_PATH_MAX], prompt[4096];
};
extern const struct config_field stream_fields[];
extern const int stream_field_count;
/* What no field says by itself: keys that need one another. ERR_USAGE. */
int stream_options_check(const struct stream_options *options);

#endif
