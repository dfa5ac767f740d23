/* clip_list.h: the clips that a data set is made of and their split. */
#ifndef TOOLS_PREPARE_CLIP_LIST_H
#define TOOLS_PREPARE_CLIP_LIST_H

#include <stdint.h>
#include "data/dataset.h"
#include "tools/prepare/config.h"

/* One clip of the source. */
struct clip_entry {
    char *path;               /* a video's path, relative to the source; a dialogue's name in reports */
    int identity, utterance;  /* a video's: number of its folder, number of the clip */
    int split;                /* enum dataset_split */
    int copy;                 /* number of the copy of the same clip: 0, 1, .. */
    struct picture_view view; /* how its pictures are varied; held-out ones are as they were filmed */
    uint64_t size, changed;   /* the file's size and time, by which a restart knows whether it is the same */
};
struct clip_list {
    struct clip_entry *entries; /* sorted by path, copies of a clip side by side; dialogues by number */
    int count, held_out;
    int ignored; /* number of files in the folder that are no videos by their names */
};
/* The view of a clip, training clip or not: a function of the config's seed and amounts, and of its path and copy. */
void clip_view(struct picture_view *view, const struct prepare_config *config, const struct clip_entry *entry);
/* Lists the videos below a folder, or the puppet's dialogues, with their split. ERR_INPUT: there is no folder, or there
   are no videos in it. ERR_USAGE: more clips are to be held out than there are. */
int clip_list_open(struct clip_list *list, const struct prepare_config *config);
/* Returns ERR_USAGE if all clips are held out, as a folder may be that is only measured on. */
int clip_list_leaves_training(const struct clip_list *list, const struct prepare_config *config);
void clip_list_close(struct clip_list *list);

#endif
