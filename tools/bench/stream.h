/* stream.h: a live stream at full size, measured: the transformer of all layers with random weights, the light
   decoder, both beside each other, and the first frame's delay. */
#ifndef TOOLS_BENCH_STREAM_H
#define TOOLS_BENCH_STREAM_H

#include "tools/bench/measure.h"
#include "tools/bench/network.h"

/* Prints, as soon as each is there: how long opening takes, in which the libraries choose and compile their engines and
   all passes are recorded, as `stream` does it; the first frame's delay behind that; a chunk of 3 latent frames through
   all layers in 3 passes over a history of 10 frames, from recordings; the light decoder's part; both on two streams;
   the first frame's delay in the steady state; the chunk with its passes queued as they are. Real-time factor: a
   chunk's time over the 0.48 s that it shows. Limits may be unknown (zeros). */
int bench_stream(const struct limits *limits, const struct bench_case *what);

#endif
