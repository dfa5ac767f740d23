/* clip_source.h: reads one clip: its pictures, its masks and the features of its sound. */
#ifndef TOOLS_PREPARE_CLIP_SOURCE_H
#define TOOLS_PREPARE_CLIP_SOURCE_H

#include "checkpoints/sound_encoder.h"
#include "tools/prepare/clip_list.h"

/* A clip that is being read: frames come one after the other; masks and sound of all of it are there at once. Sound and
   masks that end before the picture go on as silence. */
struct clip_source;
/* Opens a clip. sound: makes the features; NULL: none are wanted, and clip_conditions must not be called. `beat`, the
   worker's sign of life, is called now and then. ERR_INPUT: the text says why the clip cannot be used. */
int clip_open(struct clip_source **source, const struct prepare_config *config, const struct clip_entry *entry,
              struct sound_encoder *sound, void (*beat)(void *), void *user);
/* Kinds of frames. */
enum clip_picture {
    PICTURE_GOES_ON, /* it goes on with the shot of the frame before */
    PICTURE_BEGINS,  /* it is the first of another shot */
    PICTURE_BLENDED, /* it shows two shots at once, in a dissolve */
    PICTURE_MISSING  /* the clip has no picture, or no face, for this time */
};
/* Reads the next frame and its kind. Returns 1; 0 at the end; -(error code). */
int clip_frame(struct clip_source *source, float *pixels, enum clip_picture *kind);
/* Gives audio features and masks of video frames first .. first+T-1: audio [A, T, D], talk [T], listen [T]. */
void clip_conditions(const struct clip_source *source, long first, int T, float *audio, float *talk, float *listen);
void clip_close(struct clip_source *source);
/* Length of the sound in video frames. */
long clip_sound_frames(const struct clip_source *source);
/* Traits of a clip for the report: bits of enum clip_trait. Those of pictures are found as frames are read. */
enum clip_trait { CLIP_HDR = VIDEO_HDR, CLIP_INTERLACED = VIDEO_INTERLACED, CLIP_UNHEARD = 4 /* too quiet */ };
int clip_traits(const struct clip_source *source);

#endif
