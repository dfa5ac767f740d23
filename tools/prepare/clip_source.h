/* clip_source.h: one clip being read: its pictures, its masks and the features of its sound. */
#ifndef TOOLS_PREPARE_CLIP_SOURCE_H
#define TOOLS_PREPARE_CLIP_SOURCE_H

#include "checkpoints/sound_encoder.h"
#include "tools/prepare/clip_list.h"

/* A clip being read: frames one after the other, masks and sound of all of it. Sound and masks that end before the
   picture go on as silence. */
struct clip_source;
/* sound: makes the features; NULL: none are wanted, clip_conditions must not be called. `beat` is called now and then.
   ERR_INPUT says why the clip is no good. */
int clip_open(struct clip_source **source, const struct prepare_config *config, const struct clip_entry *entry,
              struct sound_encoder *sound, void (*beat)(void *), void *user);
/* What a frame is good for. */
enum clip_picture {
    PICTURE_GOES_ON, /* it follows on the one before */
    PICTURE_BEGINS,  /* the first of another shot */
    PICTURE_BLENDED, /* of two shots at once, in a dissolve */
    PICTURE_MISSING  /* the clip has no picture, or no face, for this time */
};
int clip_frame(struct clip_source *source, float *pixels,
               enum clip_picture *kind); /* 1, 0 the end, negative: -(error code) */
/* Audio features and masks of video frames first .. first+T-1: audio [A, T, D], talk [T], listen [T]. */
void clip_conditions(const struct clip_source *source, long first, int T, float *audio, float *talk, float *listen);
void clip_close(struct clip_source *source);
/* Video frames' worth of sound. */
long clip_sound_frames(const struct clip_source *source);
/* What is to be said of a clip: bits of enum clip_trait. Of the pictures, what was found so far. */
enum clip_trait { CLIP_HDR = VIDEO_HDR, CLIP_INTERLACED = VIDEO_INTERLACED, CLIP_UNHEARD = 4 /* too quiet */ };
int clip_traits(const struct clip_source *source);

#endif
