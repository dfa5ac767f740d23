/* clip_list.h: the clips that a data set is made of and their split. */
#ifndef TOOLS_PREPARE_CLIP_LIST_H
#define TOOLS_PREPARE_CLIP_LIST_H

#include <stdint.h>
#include "data/dataset.h"
#include "tools/prepare/config.h"

/* One clip of the source. */
struct clip_entry {
    char *path;               /* of a video, relative to the source; of a dialogue, how reports call it */
    int identity, utterance;  /* a video's: number of its folder, number of the clip */
    int split;                /* enum dataset_split */
    int copy;                 /* of the same clip: 0, 1, .. */
    struct picture_view view; /* how its pictures are varied; held-out ones are as they were filmed */
    uint64_t size, changed;   /* of the file, to tell whether it is the same at a restart */
};
struct clip_list {
    struct clip_entry *entries; /* sorted by path, copies of a clip side by side; dialogues by number */
    int count, held_out;
    int ignored; /* files in the folder that are no videos by their names */
};
/* The view of a clip, training clip or not: a function of the config's seed and amounts, of its path and copy. */
void clip_view(struct picture_view *view, const struct prepare_config *config, const struct clip_entry *entry);
/* The videos below a folder, or the dialogues of the puppet, with their split. ERR_INPUT: no folder, nothing in it. */
int clip_list_open(struct clip_list *list, const struct prepare_config *config);
void clip_list_close(struct clip_list *list);

#endif
