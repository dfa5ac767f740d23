/* sidecar.h: who speaks when, from a file beside the clip: NAME.mask.csv or NAME.mask.json for NAME.mp4.
   csv: lines START,END,WHO with times in seconds and WHO talk (the person in the picture) or listen (the other one); empty
   lines, lines that start with # and a first line "start,end,who" are passed over.
   json: {"talk": [[START, END], ...], "listen": [[START, END], ...]}; either may be missing. */
#ifndef TOOLS_PREPARE_SIDECAR_H
#define TOOLS_PREPARE_SIDECAR_H

/* Masks [frames] of 0 and 1: 1 where the middle of the video frame lies in a span. ERR_INPUT: "file:line: what is wrong". */
int sidecar_read(const char *path, int frames, float *talk, float *listen);
/* The sidecar of a video in path (size bytes); 0 when there is none. */
int sidecar_find(const char *video, char *path, int size);

#endif
