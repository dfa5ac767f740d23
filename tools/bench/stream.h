/* stream.h: measures a live stream at full size: the transformer of all layers with random weights, the light decoder,
   both beside each other, and the first frame's delay. */
#ifndef TOOLS_BENCH_STREAM_H
#define TOOLS_BENCH_STREAM_H

#include "tools/bench/measure.h"
#include "tools/bench/network.h"

/* Prints these figures, each as soon as it is known:
     - the time that opening takes, in which libraries choose and compile their engines and all passes are recorded;
     - the delay of the first frame after that;
     - a chunk of 3 latent frames through all layers in 3 passes over a history of 10 frames, from recordings;
     - the light decoder alone, then network and decoder on two streams;
     - the delay of the first frame in the steady state;
     - the chunk with its passes queued one by one, without recordings.
   The real-time factor is a chunk's time over the 0.48 s that it shows. Limits may be unknown (zeros). */
int bench_stream(const struct limits *limits, const struct bench_case *what);

#endif
