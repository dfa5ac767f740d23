/* clip_list.h: the clips that a data set is made of and their split. */
#ifndef TOOLS_PREPARE_CLIP_LIST_H
#define TOOLS_PREPARE_CLIP_LIST_H

#include <stdint.h>
#include "data/dataset.h"
#include "tools/prepare/config.h"

/* One clip of the source. */
struct clip_entry {
    char *path;              /* of a video, relative to the source; of a dialogue, how reports call it */
    int identity, utterance; /* a video's: number of its folder, number of the clip */
    int split;               /* enum dataset_split */
    uint64_t size, changed;  /* of the file, to tell whether it is the same at a restart */
};
struct clip_list {
    struct clip_entry *entries; /* sorted by path; dialogues by number */
    int count, held_out;
    int ignored; /* files in the folder that are no videos by their names */
};
/* The videos below a folder, or the dialogues of the puppet, with their split. ERR_INPUT: no folder, nothing in it. */
int clip_list_open(struct clip_list *list, const struct prepare_config *config);
void clip_list_close(struct clip_list *list);

#endif
