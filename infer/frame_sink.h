/* frame_sink.h: takes a stream's frames and sound and writes a video file, raw rgb24 to standard output, or nothing.
   Frames and sound may come from two threads. */
#ifndef INFER_FRAME_SINK_H
#define INFER_FRAME_SINK_H

struct frame_sink;
/* Opens a sink. out: "null" (nothing), "-" (standard output), else a file name whose ending says its kind
   (data/media.h). parties: sound channels of the file. */
int sink_open(struct frame_sink **sink, const char *out, int height, int width, int parties);
/* rgb [H, W, 3] */
int sink_frame(struct frame_sink *sink, const unsigned char *rgb);
int sink_sound(struct frame_sink *sink, const float *agent, const float *user, long samples);
int sink_finish(struct frame_sink *sink); /* closes and frees; the file is whole when it returns OK */
void sink_discard(struct frame_sink *sink);

#endif
