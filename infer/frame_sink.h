/* frame_sink.h: where a stream's frames go: an mp4 with sound, raw rgb24 on standard output, or nowhere.
   Frames and sound may come from two threads. */
#ifndef INFER_FRAME_SINK_H
#define INFER_FRAME_SINK_H

struct frame_sink;
/* out: "null", "-", else a file name. parties: sound channels of the mp4. */
int sink_open(struct frame_sink **sink, const char *out, int height, int width, int parties);
/* Planar [3, H, W] in [-1, 1]. ERR_NUMERIC: it is not finite. */
int sink_frame(struct frame_sink *sink, const float *frame);
int sink_sound(struct frame_sink *sink, const float *agent, const float *user, long samples);
int sink_finish(struct frame_sink *sink); /* closes; the mp4 is whole when it returns OK */
void sink_discard(struct frame_sink *sink);

#endif
