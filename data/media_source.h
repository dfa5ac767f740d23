/* media_source.h: one stream of a media file, decoded frame by frame through libav. What video and sound readers share.
   Files are local; nothing in them makes libav open anything else. */
#ifndef DATA_MEDIA_SOURCE_H
#define DATA_MEDIA_SOURCE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include "base/fileio.h"

struct media_source {
    char path[FILE_PATH_MAX];
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVStream *stream;
    AVPacket *packet;
    int64_t origin; /* time 0 of the file in units of the stream: video and sound of a file share it */
    int64_t end;    /* where the last frame ended, relative to origin, units of the stream */
    int draining, frames, errors;
};
/* ERR_INPUT: no such file, not a media file, no such stream, no decoder. A file that has no stream of that kind: OK and
   source->format is NULL when `optional` is set. */
int media_open(struct media_source *source, const char *path, enum AVMediaType type, int optional);
/* The next frame; its pts is set and relative to origin. 1, 0 at the end, negative: -(error code). */
int media_next(struct media_source *source, AVFrame *frame);
void media_close(struct media_source *source);

#endif
