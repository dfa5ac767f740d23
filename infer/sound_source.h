/* sound_source.h: reads a stream's sound, of one party or two, as 16 kHz mono float for each. It comes from files,
   pipes or FIFOs of any kind, each opened once, or from standard input, whose first bytes say whether it is a file of
   a known kind (WAV, FLAC, Ogg, Matroska and others) or raw PCM. Two channels are two parties, the left one the agent.
   Three and more channels are one scene: they are mixed, and the mix is the agent's sound. */
#ifndef INFER_SOUND_SOURCE_H
#define INFER_SOUND_SOURCE_H

#include "infer/stream_options.h"

struct sound_source;
int sound_open(struct sound_source **source, const struct stream_options *options);
void sound_close(struct sound_source *source);
int sound_parties(const struct sound_source *source); /* 1 or 2 */
/* Reads up to `want` samples of each party (with one party `user` is not written); the shorter party is filled up with
   silence. Returns the samples, 0 at the end; negative: -(error code). */
long sound_next(struct sound_source *source, float *agent, float *user, long want);

#endif
