/* state_folder.c: the training states of a run folder: state_newest and state_prune (state.h). */
#include "checkpoints/state.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct found_state {
    char name[64];
    long step;
    struct timespec written;
};
struct state_list {
    struct found_state *states;
    int count, capacity;
};

/* Returns 1 if the name is step_DIGITS.h5 followed by `ending`. */
static int is_state(const char *name, long *step, const char *ending) {
    char *end;
    if (strncmp(name, "step_", 5) || name[5] < '0' || name[5] > '9' || strlen(name) >= 64) return 0;
    errno = 0;
    *step = strtol(name + 5, &end, 10);
    return !errno && !strncmp(end, ".h5", 3) && !strcmp(end + 3, ending);
}

static int by_step(const void *a, const void *b) {
    long x = ((const struct found_state *)a)->step, y = ((const struct found_state *)b)->step;
    return x > y ? -1 : x < y;
}

static int by_time(const void *a, const void *b) {
    const struct timespec *x = &((const struct found_state *)a)->written;
    const struct timespec *y = &((const struct found_state *)b)->written;
    if (x->tv_sec != y->tv_sec) return x->tv_sec > y->tv_sec ? -1 : 1;
    if (x->tv_nsec != y->tv_nsec) return x->tv_nsec > y->tv_nsec ? -1 : 1;
    return by_step(a, b);
}

static int add_state(struct state_list *list, DIR *dir, const char *name, long step) {
    struct stat info;
    if (fstatat(dirfd(dir), name, &info, 0)) return OK; /* it has been removed meanwhile */
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 16;
        struct found_state *more = realloc(list->states, (size_t)capacity * sizeof *more);
        if (!more) return error_set(ERR_DEVICE, "out of memory");
        list->states = more;
        list->capacity = capacity;
    }
    struct found_state *s = &list->states[list->count++];
    snprintf(s->name, sizeof s->name, "%.63s", name);
    s->step = step;
    s->written = info.st_mtim;
    return OK;
}

/* Lists a folder's states; the list is empty when there is no folder. */
static int list_states(struct state_list *list, const char *folder, int (*order)(const void *, const void *)) {
    memset(list, 0, sizeof *list);
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT) return OK;
    if (!dir) return error_set(ERR_INPUT, "%s: cannot read the folder: %s", folder, strerror(errno));
    int code = OK;
    long step;
    for (struct dirent *entry; !code && (entry = readdir(dir));)
        if (is_state(entry->d_name, &step, "")) code = add_state(list, dir, entry->d_name, step);
    closedir(dir);
    if (list->count) qsort(list->states, (size_t)list->count, sizeof *list->states, order);
    if (code) free(list->states);
    return code;
}

int state_newest(const char *folder, char *path, size_t size, struct file_identity *seen) {
    char states[FILE_PATH_MAX];
    struct state_list list;
    TRY(file_join(states, sizeof states, folder, "checkpoints"));
    TRY(list_states(&list, states, by_step));
    int code = OK, found = 0;
    for (int i = 0; i < list.count && !code && !found; i++) {
        code = file_join(path, size, states, list.states[i].name);
        if (code) break;
        found = state_verify(path, seen) == OK;
        if (!found) log_line("skipped: %s", error_text());
    }
    free(list.states);
    if (!found && size) path[0] = 0;
    return code;
}

static void remove_with_sums(const char *path) {
    static const char *const endings[] = {".sum.new", ".sum", ""};
    char name[FILE_PATH_MAX + 16];
    /* sums go first, because a state without sums does not count as whole */
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s%s", path, endings[i]);
        unlink(name);
    }
}

/* Removes files that no writer will finish; the caller holds the run folder's lock, so no writer is at work. */
static void remove_leftovers(const char *folder) {
    static const char *const endings[] = {".tmp", ".sum.tmp", ".sum.new.tmp"};
    char path[FILE_PATH_MAX];
    DIR *dir = opendir(folder);
    long step;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        for (int i = 0; i < 3; i++)
            if (is_state(entry->d_name, &step, endings[i]) && !file_join(path, sizeof path, folder, entry->d_name))
                unlink(path);
    if (dir) closedir(dir);
}

/* Orders states by time of writing, not by step: after a resume from before a damaged state of a later step, the newly
   written states are the ones that count. */
/* Whether a state is kept for ever, because of its step or of a mark beside it. */
static int marked(const char *path, long step, long every) {
    char mark[FILE_PATH_MAX + 16];
    snprintf(mark, sizeof mark, "%s.keep", path);
    return (every > 0 && step > 0 && step % every == 0) || file_exists(mark);
}

/* ---- the best one ---- */

#define BEST "best.h5"

/* Reads which file of a folder of states is the best; "": none is. */
static void read_best(const char *states, char *name, size_t size) {
    char link[FILE_PATH_MAX];
    ssize_t length = file_join(link, sizeof link, states, BEST) ? -1 : readlink(link, name, size - 1);
    name[length > 0 ? length : 0] = 0;
}

int state_mark_best(const char *folder, long step) {
    char states[FILE_PATH_MAX], link[FILE_PATH_MAX], made[FILE_PATH_MAX], name[64];
    TRY(file_join(states, sizeof states, folder, "checkpoints"));
    TRY(file_join(link, sizeof link, states, BEST));
    TRY(file_join(made, sizeof made, states, BEST ".tmp"));
    snprintf(name, sizeof name, "step_%08ld.h5", step);
    unlink(made);
    if (!symlink(name, made) && !rename(made, link)) return OK;
    return error_set(ERR_INPUT, "%s: cannot make the link: %s", link, strerror(errno));
}

int state_best(const char *folder, char *path, size_t size) {
    char states[FILE_PATH_MAX], name[64];
    TRY(file_join(states, sizeof states, folder, "checkpoints"));
    read_best(states, name, sizeof name);
    path[0] = 0;
    if (!*name) return OK;
    TRY(file_join(path, size, states, name));
    int code = state_verify(path, NULL);
    return code ? error_context(code, "the best state of %s", folder) : OK;
}

int state_prune(const char *folder, int keep, long every) {
    char states[FILE_PATH_MAX], path[FILE_PATH_MAX], best[64];
    struct state_list list;
    TRY(file_join(states, sizeof states, folder, "checkpoints"));
    read_best(states, best, sizeof best);
    TRY(list_states(&list, states, by_time));
    int code = OK;
    for (int i = keep > 1 ? keep : 1; i < list.count && !code; i++) {
        code = file_join(path, sizeof path, states, list.states[i].name);
        int is_best = !strcmp(list.states[i].name, best);
        if (!code && !is_best && !marked(path, list.states[i].step, every)) remove_with_sums(path);
    }
    free(list.states);
    remove_leftovers(states);
    return code;
}
