/* run_folder.c: see run_folder.h. */
#include "train/stage/run_folder.h"
#include "base/error.h"
#include "base/log.h"
#include "checkpoints/state.h"

#include <string.h>

static int make(struct run_folder *run) {
    char path[FILE_PATH_MAX];
    TRY(file_join(path, sizeof path, run->path, "checkpoints"));
    TRY(file_make_folders(path));
    TRY(file_join(path, sizeof path, run->path, "samples"));
    return file_make_folders(path);
}

static int name(struct run_folder *run, const char *path) {
    memset(run, 0, sizeof *run);
    run->lock = -1;
    if (!*path) return error_set(ERR_USAGE, "a run needs a folder");
    TRY(file_join(run->path, sizeof run->path, path, "")); /* ends with a slash */
    run->path[strlen(run->path) - (strlen(run->path) > 1)] = 0;
    return OK;
}

static int open_log(const struct run_folder *run, const char *file) {
    char path[FILE_PATH_MAX];
    TRY(file_join(path, sizeof path, run->path, file));
    return log_open(path);
}

int run_folder_open(struct run_folder *run, const char *path) {
    TRY(name(run, path));
    TRY(make(run));
    TRY(file_lock(run->path, &run->lock));
    int code = open_log(run, "log.txt");
    if (code) run_folder_close(run);
    return code;
}

int run_folder_follow(struct run_folder *run, const char *path, int rank) {
    char file[48];
    TRY(name(run, path));
    snprintf(file, sizeof file, "log.rank%d.txt", rank);
    return open_log(run, file);
}

int run_folder_begin(struct run_folder *run, const void *config, const struct config_field *fields, int count,
                     long last_step) {
    char path[FILE_PATH_MAX];
    if (last_step < 0) {
        TRY(state_newest(run->path, path, sizeof path, NULL));
        if (*path)
            return error_set(ERR_USAGE, "%s: already holds a run (%s): resume it or choose another folder", run->path,
                             strrchr(path, '/') + 1);
    }
    TRY(file_join(path, sizeof path, run->path, "config.yaml"));
    struct file_writer writer;
    TRY(file_create(&writer, path));
    int code = config_write(config, fields, count, writer.file);
    if (code) {
        file_discard(&writer);
        return code;
    }
    TRY(file_commit(&writer));
    return metrics_open(&run->metrics, run->path, last_step);
}

void run_folder_close(struct run_folder *run) {
    metrics_close(run->metrics);
    run->metrics = NULL;
    log_close();
    if (run->lock >= 0) file_unlock(run->lock);
    run->lock = -1;
}

int run_folder_sample_path(const struct run_folder *run, long step, const char *what, char *path, size_t size) {
    char name[128];
    snprintf(name, sizeof name, "samples/step_%08ld_%s", step, what);
    return file_join(path, size, run->path, name);
}
