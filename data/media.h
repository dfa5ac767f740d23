/* media.h: pixels and sound in and out of files, through libav and libpng. Knows no HDF5.
   Frames are host float planar [3, H, W] in [-1, 1] (RGB); audio is host float mono at 16 kHz in [-1, 1]. */
#ifndef DATA_MEDIA_H
#define DATA_MEDIA_H

#include <stddef.h>

/* What a file or picture that this toolkit made says of itself. */
#define MADE_NOTE "made by streamavatar: a synthetic picture of a person"

/* Reads a video file frame by frame at exactly 25 fps (frames repeated or dropped by presentation time), turned
   upright and unmirrored as file or track state it, its pixels made square, scaled to cover height x width and cropped
   about its middle. Time 0 is the file's, for video and sound alike. What is transparent lies over white. HDR (PQ,
   HLG) is refused by name; interlaced pictures lose every second line. */
struct video_reader;
int video_open(struct video_reader **reader, const char *path, int height, int width);
/* Another window: its middle at (x, y) and its height `size`, as fractions of the picture's width, height and height;
   moved and shrunk to lie inside. size 0: as video_open. */
struct video_crop {
    double x, y, size;
};
int video_open_crop(struct video_reader **reader, const char *path, int height, int width,
                    const struct video_crop *crop);
int video_read(struct video_reader *reader, float *frame); /* 1 a frame, 0 the end, negative: -(error code) */
void video_close(struct video_reader *reader);

/* 1: the file has no picture for the time of the frame that was just read (before its first one, in a hole, damaged): a
   neighbour stood in for it. */
int video_missing(const struct video_reader *reader);
/* What was found in the pictures so far: bits of enum video_trait. */
enum video_trait { VIDEO_HDR = 1, VIDEO_INTERLACED = 2 };
int video_traits(const struct video_reader *reader);

/* ---- before the first frame is read ---- */

/* HDR is tone-mapped: diffuse white (203 cd/m2) to 244 of 255 (data/media/hdr.h). */
void video_tone_map(struct video_reader *reader);
/* Interlaced pictures pass through a filter (data/media/deinterlace.h), which is the reader's from then on. */
struct picture_filter;
void video_filter(struct video_reader *reader, struct picture_filter *filter);
/* The picture is varied: its window is moved and scaled as far as the stored picture reaches, its colours change. */
struct picture_view;
void video_vary(struct video_reader *reader, const struct picture_view *view);
/* The window follows a face: for each frame its middle and the window's height, in pixels of the picture upright,
   before they are made square. height 0: there is none, and the frame is missing; frames beyond `count` too. The array
   stays the caller's. */
struct video_face {
    double x, y, height;
};
void video_follow(struct video_reader *reader, const struct video_face *faces, long count);

/* All of a file's sound: first audio stream, mixed to mono or one of its channels, resampled to 16 kHz; malloc'd.
   channel: -1 mix, 0, 1, ...; a file without sound: *samples = 0, *pcm NULL and OK. Two channels that are each other's
   opposite (right = -left) are mixed by their difference. */
int audio_read(const char *path, int channel, float **pcm, long *samples);
int audio_channels(const char *path, int *channels); /* 0: no sound */
/* Streaming read of any length at constant memory at 16 kHz. ERR_INPUT when the file has no sound. */
enum audio_parties {
    AUDIO_ONE_PARTY, /* one channel: the mix */
    AUDIO_PARTIES    /* as many channels as there are parties: two where the file has two, else the mix */
};
struct audio_reader;
int audio_open(struct audio_reader **reader, const char *path, enum audio_parties parties);
/* The same from bytes that are open already, which are the reader's from then on, on failure too. */
struct byte_source;
int audio_open_bytes(struct audio_reader **reader, struct byte_source *bytes, enum audio_parties parties);
int audio_reader_channels(const struct audio_reader *reader); /* 1 or 2, interleaved */
/* Sample frames read: `want` until the file ends, then fewer, then 0; negative: -(error code). */
long audio_next(struct audio_reader *reader, float *pcm, long want);
void audio_close(struct audio_reader *reader);
int audio_write_wav(const char *path, const float *pcm, long samples, int channels); /* 16 kHz, 16 bit */

/* A video at 25 fps; its name's ending says the kind: mp4, m4v, mov (H.264, AAC), mkv (H.264, FLAC), webm (VP9, Opus),
   avi (MPEG-4, PCM), gif (without sound); another is ERR_USAGE. audio_channels 0, 1 or 2 interleaved. Written to a
   temporary name (PATH.tmp), renamed at the end. Height and width are even. Pictures and sound are pushed side by
   side; constant memory while neither runs far ahead. Its comment, which all but gif have, is MADE_NOTE. */
struct video_writer;
int video_create(struct video_writer **writer, const char *path, int height, int width, int audio_channels);
int video_write(struct video_writer *writer, const float *frame);           /* its bytes by base/pixels.h */
int video_write_rgb(struct video_writer *writer, const unsigned char *rgb); /* [H, W, 3] */
int video_write_audio(struct video_writer *writer, const float *pcm, long samples);
int video_finish(struct video_writer *writer);   /* frees the writer; the file is there when it returns OK */
void video_discard(struct video_writer *writer); /* frees the writer and removes what was written */

/* 8-bit RGB [H, W, 3]. png_read scales and turns nothing; pixels malloc'd, what is transparent over white. */
int png_write(const char *path, const unsigned char *rgb, int height, int width);
int png_read(const char *path, unsigned char **rgb, int *height, int *width);
/* A still image (PNG or whatever libav reads; a video: its first frame), scaled and cropped as video_open does. */
int image_read(const char *path, int height, int width, float *frame);

#endif
