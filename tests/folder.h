/* folder.h: folders that tests made, emptied and removed with all that is in them. */
#ifndef TESTS_FOLDER_H
#define TESTS_FOLDER_H

#include "base/fileio.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

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
