/* serve_options.h: the keys of `serve`'s command line (serve --help lists them). */
#ifndef INFER_SERVE_SERVE_OPTIONS_H
#define INFER_SERVE_SERVE_OPTIONS_H

#include "base/config.h"

enum serve_idle { IDLE_AUTO, IDLE_STUDENT, IDLE_LOOP };
struct serve_options {
    char address[256];
    int port;
    char hosts[1024];
    char token_file[1024];
    char reference[1024]; /* "": none */
    char persons[1024];   /* folder; "": none */
    char agent[4096];     /* "": clients bring the agent's speech */
    int encoder;          /* enum encoder_name */
    int idle;             /* enum serve_idle */
    int sessions, queue, connections;
    double keep; /* seconds for which a session without its client is kept */
    int threads;
    int graphs;       /* 1: off */
    int cache_type;   /* enum kv_type */
    long weights_mib; /* device memory for the network's weights; 0: all of them */
    int codec_tile;   /* side of an autoencoder's tiles in pixels; 0: none */
    char decoder[768], codec_weights[768], audio_weights[1024], text[768], prompt[4096];
};
extern const struct config_field serve_fields[];
extern const int serve_field_count;

#endif
