/* sound_source.h: where a stream's sound comes from: files, pipes and FIFOs of any kind, each opened once, or standard
   input, which is a file of a known kind (wav, FLAC, Ogg, Matroska ...) by its first bytes, else raw PCM; one party or
   two. Two channels are two parties, left the agent; sound of three and more is one scene and mixed: the agent's. 16
   kHz mono float for each party. */
#ifndef INFER_SOUND_SOURCE_H
#define INFER_SOUND_SOURCE_H

#include "infer/stream_options.h"

struct sound_source;
int sound_open(struct sound_source **source, const struct stream_options *options);
void sound_close(struct sound_source *source);
int sound_parties(const struct sound_source *source); /* 1 or 2 */
/* Up to `want` samples of each party (user untouched with one party); the shorter party is filled with silence.
   Returns the samples, 0 at the end, negative: -(error code). */
long sound_next(struct sound_source *source, float *agent, float *user, long want);

#endif
