/* sidecar.h: reads who speaks when from a file beside the clip: NAME.mask.csv or NAME.mask.json for NAME.mp4.
     csv    (base/csv.h) columns start, end, who: times in seconds; who is talk (the person in the picture) or listen
            (the other one)
     json   {"talk": [[START, END], ...], "listen": [[START, END], ...]}; either may be missing
   What is not understood is never taken for silence: other words, keys or fields, a file that holds nothing, spans far
   behind the clip's end are errors. */
#ifndef TOOLS_PREPARE_SIDECAR_H
#define TOOLS_PREPARE_SIDECAR_H

/* Reads masks [frames]: 1 where the middle of the video frame lies in a span, else 0. ERR_INPUT: "file:line: what is
   wrong". */
int sidecar_read(const char *path, int frames, float *talk, float *listen);
/* Finds the file beside a video that has this ending in the place of the video's (NAME.box.csv for NAME.mp4): its path
   (size bytes); returns 0 when there is none. */
int sidecar_beside(const char *video, const char *ending, char *path, int size);
/* Finds the sidecar of a video likewise. */
int sidecar_find(const char *video, char *path, int size);

#endif
