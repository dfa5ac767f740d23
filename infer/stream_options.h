/* stream_options.h: the keys of `stream`'s command line (stream --help lists them). */
#ifndef INFER_STREAM_OPTIONS_H
#define INFER_STREAM_OPTIONS_H

#include "base/config.h"
#include "base/fileio.h"

enum stream_mask { MASK_VOICE, MASK_ALWAYS, MASK_FILE };
enum stream_overlap { OVERLAP_AUTO, OVERLAP_ON, OVERLAP_OFF };
enum stream_switch { SWITCH_AS_TRAINED, SWITCH_ON, SWITCH_OFF };

struct stream_options {
    char reference[FILE_PATH_MAX]; /* picture or video */
    char audio[FILE_PATH_MAX];     /* file; "-": standard input */
    char user[FILE_PATH_MAX];      /* the other party's sound; "": the right channel of a stereo `audio`, if it is */
    int channels;                  /* channels of raw PCM: 1, or 2 (left agent, right user) */
    char out[FILE_PATH_MAX];       /* FILE.mp4, "-": raw rgb24 frames on standard output, "null": nowhere */
    int talk;                      /* enum stream_mask */
    char mask[FILE_PATH_MAX];      /* CSV with a line talk,listen for each video frame */
    char changes[FILE_PATH_MAX];   /* CSV with time,what,value; "": nothing changes */
    double seconds;                /* length of video after which to stop; 0: the sound's */
    long seed;
    int threads;
    int overlap;                       /* enum stream_overlap */
    int sink, rapr;                    /* enum stream_switch */
    int decoder_device;                /* device of the process that decodes; -1: this process decodes */
    int cache_type;                    /* enum kv_type */
    long weights_mib;                  /* device memory for the network's weights; 0: all of them */
    int codec_tile;                    /* side of an autoencoder's tiles in pixels; 0: none */
    int graphs;                        /* 1: off */
    char codec_weights[FILE_PATH_MAX]; /* "": the path that the student's folder names */
    char audio_weights[FILE_PATH_MAX]; /* checkpoint of the audio encoder; "": the path that the folder names */
    char decoder[FILE_PATH_MAX];       /* file of a decoder in place of the codec's own; "": what the student has */
    char text[FILE_PATH_MAX], prompt[4096];
};
extern const struct config_field stream_fields[];
extern const int stream_field_count;
/* Checks what no field says by itself: keys that need or exclude one another. ERR_USAGE. */
int stream_options_check(const struct stream_options *options);

#endif
