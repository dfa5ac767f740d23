/* media_source.h: one stream of a media file, decoded frame by frame through libav. What video and sound readers
   share. Files are local; nothing in them makes libav open anything else. A name is a name: %d, colons and brackets
   mean nothing. A pipe, a FIFO or standard input ("-") is opened once, here. */
#ifndef DATA_MEDIA_SOURCE_H
#define DATA_MEDIA_SOURCE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "base/fileio.h"
#include "data/media/byte_source.h"

struct media_source {
    char path[FILE_PATH_MAX];
    struct byte_source *bytes; /* NULL: an ordinary file, which libav reads itself */
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVStream *stream;
    AVPacket *packet;
    int64_t origin;     /* time 0 of the file in units of the stream: video and sound of a file share it */
    int64_t end;        /* where the last frame ended, relative to origin, units of the stream */
    double heard_of;    /* seconds: end of the last packet of any stream that was read */
    int picture_number; /* EXIF's orientation of a picture file; 1: upright, or no picture */
    int untrimmed;      /* media_open_untrimmed */
    int draining, frames, errors, lost;
};
/* ERR_INPUT: no such file, not a media file, no such stream, no decoder. A file that has no stream of that kind: OK and
   source->format is NULL when `optional` is set. A cover picture is no video. */
int media_open(struct media_source *source, const char *path, enum AVMediaType type, int optional);
/* As media_open for bytes that are open already; they are the source's from then on, on failure too. */
int media_open_bytes(struct media_source *source, struct byte_source *bytes, enum AVMediaType type);
/* As media_open for an ordinary file; of a track's edit list its beginning alone counts. */
int media_open_untrimmed(struct media_source *source, const char *path, enum AVMediaType type);
/* The next frame; its pts is set and relative to origin. 1, 0 at the end, negative: -(error code). */
int media_next(struct media_source *source, AVFrame *frame);
void media_close(struct media_source *source);

#endif
