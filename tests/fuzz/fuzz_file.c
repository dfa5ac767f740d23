/* fuzz_file.c: see fuzz.h. */
#include "tests/fuzz/fuzz.h"
#include "tests/folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[FOLDER_MAX];

static void remove_folder(void) { folder_remove(folder); }

const char *fuzz_folder(void) {
    if (*folder) return folder;
    fuzz_promise(!folder_make(folder, "fuzz"), "a folder for the input can be made");
    atexit(remove_folder);
    return folder;
}

const char *fuzz_file(const char *name, const unsigned char *data, size_t size) {
    static char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_promise(fd >= 0 && write(fd, data, size) == (ssize_t)size && !close(fd), "the input can be written");
    return path;
}

void fuzz_promise(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}
