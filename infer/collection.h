/* collection.h: a folder of videos that other tools can score (docs/evaluation.md): for every item ID

     ID.mp4            H.264, 25 pictures a second, the agent's sound in it, as long as ID.wav
     ID.wav            the agent's sound, 16 kHz mono
     ID.user.wav       the other party's, where there is one
     ID.reference.png  the picture that it was made from, as the student saw it
     truth/ID.mp4      what really happened, in the same size, rate and length, where that is known
     NAME/ID.mp4       what others made of the same (the codec's copy, other stages)
     records/ID.json   what is known of it; an item that has one is finished

   and at the end, of all items, segments.csv (id,start,end,state: talk, listen or idle, in seconds) and manifest.json.
   Picture 0 of every video is the reference itself, made by nobody. Host memory of the caller. */
#ifndef INFER_COLLECTION_H
#define INFER_COLLECTION_H

#include "infer/dialogue.h"

enum { COLLECTION_ID_MAX = 128 };

#define COLLECTION_ID_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
/* Letters, digits, '-', '_' and '.', not a dot at first, nor ".user" at the end, which is how another item's sound is
   named. ERR_INPUT names what is wrong. */
int collection_check_id(const char *id);

/* ---- a video of an item ---- */

struct collection_video {
    struct video_writer *writer;
    const struct dialogue_sound *sound;
    long frames; /* so far */
};
/* beside: the folder in the folder, "truth"; NULL: the item's own video. The reference becomes picture 0. `sound` stays
   the caller's until it is finished. */
int collection_video_open(struct collection_video *video, const char *folder, const char *beside, const char *id,
                          int height, int width, const struct dialogue_sound *sound, const float *reference);
/* A frame_receiver (dialogue.h). Pictures beyond the sound's end are passed over. */
int collection_video_take(void *video, long frame, const float *picture);
/* Closes it; sound and pictures end with the last picture that came. */
int collection_video_finish(struct collection_video *video);
void collection_video_discard(struct collection_video *video); /* one that was never opened, zeroed, is allowed */

/* ---- an item and the whole ---- */

struct collection_item {
    const char *id;
    const char *reference, *audio, *user, *truth, *mask; /* where they came from; NULL or "": not said */
    const char *student,
        *decoder; /* sum of the student (collection_student_sum); the decoder in the codec's place; as above */
    double start; /* seconds into the sound at which the item begins */
    uint64_t seed;
    const struct dialogue_sound *sound; /* with masks */
    const float *picture;               /* the reference, planar [3, height, width] */
    int height, width;
    const struct stream_times *times; /* of this item alone; NULL: not measured */
};
/* Writes the sounds, the reference and the record; after the item's own video. */
int collection_item_write(const char *folder, const struct collection_item *item);
/* *finished: the folder has the item. ERR_INPUT: it has one of that name which was made otherwise (another student,
   seed, sound, ..., files told apart by their last names), and would pass for this one. */
int collection_find(int *finished, const char *folder, const struct collection_item *item);
enum { COLLECTION_SUM = 16 };
/* Which student it is: the checksum of its config.json, which has the checksums of its other files. ERR_INPUT. */
int collection_student_sum(char sum[COLLECTION_SUM], const char *student);

/* What is the same for all items. */
struct collection_maker {
    const char *program, *student; /* "drive"; folder of the export */
    int steps, height, width, threads;
    const char *device;
};
/* segments.csv and manifest.json from the records of `count` ids, in that order. */
int collection_finish(const char *folder, char (*ids)[COLLECTION_ID_MAX], long count,
                      const struct collection_maker *maker);

#endif
