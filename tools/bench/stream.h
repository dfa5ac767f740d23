/* stream.h: a live stream at full size, measured: the transformer of all layers with random weights, the light
   decoder, both beside each other, and the first frame's delay. */
#ifndef TOOLS_BENCH_STREAM_H
#define TOOLS_BENCH_STREAM_H

#include "tools/bench/measure.h"
#include "tools/bench/network.h"

/* Prints, as soon as each is there: the first frame's delay from a fresh open (the libraries choose and compile their
   engines in it); a chunk of 3 latent frames through all layers in 3 passes over a history of 10 frames, its passes
   queued as they are and as recordings; the light decoder's part; both on two streams; the first frame's delay in the
   steady state. Real-time factor: a chunk's time over the 0.48 s that it shows. Limits may be unknown (zeros). */
int bench_stream(const struct limits *limits, const struct bench_case *what);

#endif
