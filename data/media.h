/* media.h: pictures and sound in and out of files, through libav and libpng; knows no HDF5.
   Frames are host float planar [3, H, W] in [-1, 1] (RGB); audio is host float mono at 16 kHz in [-1, 1]. */
#ifndef DATA_MEDIA_H
#define DATA_MEDIA_H

#include <stddef.h>

/* The note that this toolkit writes into every file and picture that it makes. */
#define MADE_NOTE "made by streamavatar: a synthetic picture of a person"

/* Reads a video file frame by frame at exactly 25 fps (frames are repeated or dropped by presentation time). Pictures
   are turned and mirrored as file or track state, made square in their pixels, scaled to cover height x width and
   cropped about their middle. Time 0 is the file's, for video and sound alike. Transparent pictures are laid over
   white. HDR (PQ, HLG) is refused by name; interlaced pictures lose every second line. */
struct video_reader;
int video_open(struct video_reader **reader, const char *path, int height, int width);
/* A window of the picture: its middle at (x, y) and its height `size`, as fractions of the picture's width, height and
   height; moved and shrunk to lie inside. size 0: the window of video_open. */
struct video_crop {
    double x, y, size;
};
int video_open_crop(struct video_reader **reader, const char *path, int height, int width,
                    const struct video_crop *crop);
int video_read(struct video_reader *reader, float *frame); /* 1: a frame; 0: the end; negative: -(error code) */
void video_close(struct video_reader *reader);

/* Returns 1 if the file has no picture for the time of the frame just read (before the first picture, in a gap, or
   damaged), so that a neighbour was used. */
int video_missing(const struct video_reader *reader);
/* Returns what was found in the pictures so far, as bits of enum video_trait. */
enum video_trait { VIDEO_HDR = 1, VIDEO_INTERLACED = 2 };
int video_traits(const struct video_reader *reader);

/* ---- before the first frame is read ---- */

/* Tone-maps HDR instead of refusing it: diffuse white (203 cd/m2) becomes 244 of 255 (data/media/hdr.h). */
void video_tone_map(struct video_reader *reader);
/* Passes interlaced pictures through a filter (data/media/deinterlace.h), which belongs to the reader from then on. */
struct picture_filter;
void video_filter(struct video_reader *reader, struct picture_filter *filter);
/* Varies the picture: moves and scales its window as far as the stored picture reaches, and changes its colours. */
struct picture_view;
void video_vary(struct video_reader *reader, const struct picture_view *view);
/* Lets the window follow a face: for each frame the window's middle and height, in pixels of the upright picture before
   they are made square. height 0: there is no face, and the frame counts as missing, as do frames beyond `count`. The
   array stays the caller's. */
struct video_face {
    double x, y, height;
};
void video_follow(struct video_reader *reader, const struct video_face *faces, long count);

/* Reads all of a file's sound: the first audio stream, mixed to mono or one of its channels, resampled to 16 kHz;
   malloc'd. channel: -1: the mix; 0, 1, ...: that channel. A file without sound gives *samples = 0, *pcm NULL and OK.
   Two channels that are each other's opposite (right = -left) are mixed by their difference. */
int audio_read(const char *path, int channel, float **pcm, long *samples);
int audio_channels(const char *path, int *channels); /* *channels 0: no sound */
/* Reads sound of any length at 16 kHz, piece by piece, in constant memory. ERR_INPUT: the file has no sound. */
enum audio_parties {
    AUDIO_ONE_PARTY, /* one channel: the mix */
    AUDIO_PARTIES    /* a channel for each party: two if the file has two, else the mix */
};
struct audio_reader;
int audio_open(struct audio_reader **reader, const char *path, enum audio_parties parties);
/* Reads from bytes that are open already; they belong to the reader from then on, even when this fails. */
struct byte_source;
int audio_open_bytes(struct audio_reader **reader, struct byte_source *bytes, enum audio_parties parties);
int audio_reader_channels(const struct audio_reader *reader); /* 1 or 2, interleaved */
/* Returns the sample frames read: `want` until the file ends, then fewer, then 0; negative: -(error code). */
long audio_next(struct audio_reader *reader, float *pcm, long want);
void audio_close(struct audio_reader *reader);
int audio_write_wav(const char *path, const float *pcm, long samples, int channels); /* 16 kHz, 16 bit */

/* Writes a video at 25 fps, of the kind that its name's ending says: mp4, m4v, mov (H.264, AAC), mkv (H.264, FLAC),
   webm (VP9, Opus), avi (MPEG-4, PCM) or gif (without sound); others are ERR_USAGE. audio_channels: 0, 1 or 2,
   interleaved. Height and width must be even. The file has a temporary name (PATH.tmp) until it is finished. Pictures
   and sound are pushed side by side; memory is constant while neither runs far ahead. The file's comment, which all
   kinds but gif have, is MADE_NOTE. */
struct video_writer;
int video_create(struct video_writer **writer, const char *path, int height, int width, int audio_channels);
int video_write(struct video_writer *writer, const float *frame);           /* its bytes by base/pixels.h */
int video_write_rgb(struct video_writer *writer, const unsigned char *rgb); /* [H, W, 3] */
int video_write_audio(struct video_writer *writer, const float *pcm, long samples);
int video_finish(struct video_writer *writer);   /* frees the writer; the file is there when it returns OK */
void video_discard(struct video_writer *writer); /* frees the writer and removes what was written */

/* Write and read PNG, 8-bit RGB [H, W, 3]. png_read neither scales nor turns; it mallocs the pixels and lays
   transparent pictures over white. */
int png_write(const char *path, const unsigned char *rgb, int height, int width);
int png_read(const char *path, unsigned char **rgb, int *height, int *width);
/* Reads a still image (PNG or whatever libav reads; of a video the first frame), scaled and cropped as video_open
   does. */
int image_read(const char *path, int height, int width, float *frame);

#endif
