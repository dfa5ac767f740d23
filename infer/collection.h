/* collection.h: a folder of videos that other tools can score (docs/evaluation.md): for every item ID

     ID.mp4            H.264, 25 pictures a second, the agent's sound in it, as long as ID.wav
     ID.wav            the agent's sound, 16 kHz mono
     ID.user.wav       the other party's sound, where there is one
     ID.reference.png  the picture that the video was made from, as the student saw it
     truth/ID.mp4      what really happened, in the same size, rate and length, where that is known
     NAME/ID.mp4       what others made of the same sound and reference (the codec's copy, other stages)
     records/ID.json   what is known of the item; an item that has a record is finished

   and, written at the end over all items, segments.csv (id,start,end,state: talk, listen or idle; seconds) and
   manifest.json. Picture 0 of every video is the reference itself and not the student's work. All buffers are host
   memory of the caller. */
#ifndef INFER_COLLECTION_H
#define INFER_COLLECTION_H

#include "infer/dialogue.h"

enum { COLLECTION_ID_MAX = 128 };

#define COLLECTION_ID_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."
/* Checks an id: letters, digits, '-', '_' and '.', no dot at the beginning, and no ".user" at the end, because
   ID.user.wav is the name of another item's sound. ERR_INPUT names what is wrong. */
int collection_check_id(const char *id);

/* ---- a video of an item ---- */

struct collection_video {
    struct video_writer *writer;
    const struct dialogue_sound *sound;
    long frames; /* pictures so far */
};
/* Opens a video and writes the reference as its picture 0. beside: folder inside the collection, such as "truth"; NULL:
   the item's own video. `sound` stays the caller's and must last until the video is finished. */
int collection_video_open(struct collection_video *video, const char *folder, const char *beside, const char *id,
                          int height, int width, const struct dialogue_sound *sound, const float *reference);
/* Appends a picture; is a frame_receiver (dialogue.h). Pictures beyond the sound's end are passed over. */
int collection_video_take(void *video, long frame, const float *picture);
/* Closes the video; sound and pictures end with the last picture that came. */
int collection_video_finish(struct collection_video *video);
void collection_video_discard(struct collection_video *video); /* also a zeroed one that was never opened */

/* ---- an item and the whole ---- */

struct collection_item {
    const char *id;
    const char *reference, *audio, *user, *truth, *mask; /* paths that they came from; NULL or "": not recorded */
    const char *student,
        *decoder; /* sum of the student (collection_student_sum); the decoder in the codec's place; as above */
    double start; /* place in the sound at which the item begins, seconds */
    uint64_t seed;
    const struct dialogue_sound *sound; /* its masks must be given */
    const float *picture;               /* the reference, planar [3, height, width] */
    int height, width;
    const struct stream_times *times; /* times of this item alone; NULL: not measured */
};
/* Writes the sounds, the reference and the record. Call after the item's own video is finished. */
int collection_item_write(const char *folder, const struct collection_item *item);
/* Sets *finished to 1 where the folder has the item. ERR_INPUT: it has one of that id that was made otherwise (by
   another student, seed, sound and so on; files are told apart by the last part of their paths). */
int collection_find(int *finished, const char *folder, const struct collection_item *item);
enum { COLLECTION_SUM = 16 };
/* Computes what identifies a student: the checksum of its config.json, which holds the checksums of its other files.
   ERR_INPUT. */
int collection_student_sum(char sum[COLLECTION_SUM], const char *student);

/* Facts that are the same for all items. */
struct collection_maker {
    const char *program, *student; /* name of the program ("drive"); the student's folder */
    int steps, height, width, threads;
    const char *device;
};
/* Writes segments.csv and manifest.json from the records of `count` ids, in that order. */
int collection_finish(const char *folder, char (*ids)[COLLECTION_ID_MAX], long count,
                      const struct collection_maker *maker);

#endif
