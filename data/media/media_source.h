/* media_source.h: one stream of a media file, decoded frame by frame through libav; video and sound readers share it.
   Files are local, and nothing in them can make libav open anything else. Names are taken literally: %d, colons and
   brackets have no meaning. A pipe, a FIFO or standard input ("-") is opened once, here. */
#ifndef DATA_MEDIA_SOURCE_H
#define DATA_MEDIA_SOURCE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "base/fileio.h"
#include "data/media/byte_source.h"

struct media_source {
    char path[FILE_PATH_MAX];
    struct byte_source *bytes; /* bytes that come once; NULL: an ordinary file, which libav reads itself */
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVStream *stream;
    AVPacket *packet;
    int64_t origin;     /* time 0 of the file in units of the stream: video and sound of a file share it */
    int64_t end;        /* end of the last frame, relative to origin, in units of the stream */
    double heard_of;    /* end of the last packet of any stream that was read, in seconds */
    int picture_number; /* EXIF's orientation of a picture file; 1: upright, or no picture */
    int untrimmed;      /* 1: opened by media_open_untrimmed */
    int draining, frames, errors, lost;
};
/* Opens a file's stream of this kind. ERR_INPUT: no such file, not a media file, no such stream, no decoder. optional
   1: a file without such a stream is OK, and source->format is NULL. A cover picture does not count as video. */
int media_open(struct media_source *source, const char *path, enum AVMediaType type, int optional);
/* Opens bytes that are open already; they belong to the source from then on, even when this fails. */
int media_open_bytes(struct media_source *source, struct byte_source *bytes, enum AVMediaType type);
/* Opens an ordinary file, of whose tracks' edit lists only the beginnings count. */
int media_open_untrimmed(struct media_source *source, const char *path, enum AVMediaType type);
/* Decodes the next frame; its pts is set, relative to origin. Returns 1; 0 at the end; negative: -(error code). */
int media_next(struct media_source *source, AVFrame *frame);
void media_close(struct media_source *source);

#endif
