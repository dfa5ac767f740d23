/* folder.h: folders that tests make, empty and remove with all that is in them. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include "base/fileio.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_MAX = 512 }; /* a folder's path; those of files in it have FILE_PATH_MAX */

/* Makes an empty folder whose name begins with `name` and writes its path to `folder`. It lies in TMPDIR, else in /tmp:
   what starts tests gives them a TMPDIR that it removes, so that nothing stays of a test that crashed. 0: it is
   there. */
static inline int folder_make(char folder[FOLDER_MAX], const char *name) {
    const char *place = getenv("TMPDIR");
    int length = snprintf(folder, FOLDER_MAX, "%s/%s_XXXXXX", place && *place ? place : "/tmp", name);
    return length >= FOLDER_MAX || !mkdtemp(folder);
}

static inline void folder_empty(const char *path) {
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char inside[FILE_PATH_MAX];
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || file_join(inside, sizeof inside, path, e->d_name))
            continue;
        if (unlink(inside)) {
            folder_empty(inside);
            rmdir(inside);
        }
    }
    if (dir) closedir(dir);
}

/* 0: it is gone. */
static inline int folder_remove(const char *path) {
    folder_empty(path);
    return rmdir(path);
}

#endif
