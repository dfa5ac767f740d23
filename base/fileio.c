/* fileio.c: see fileio.h. */
#include "base/fileio.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static int fail(const char *path, const char *what) {
    return error_set(ERR_INPUT, "%s: cannot %s: %s", path, what, strerror(errno ? errno : EIO));
}

int file_not_folder(const char *path) {
    struct stat info;
    if (!stat(path, &info) && S_ISDIR(info.st_mode)) return error_set(ERR_INPUT, "%s: is a folder, not a file", path);
    return OK;
}

static void say_unlocked(const char *path) {
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (atomic_flag_test_and_set(&said)) return;
    log_line(
        "%s: this file system cannot lock files (%s), so the run goes on without; start no other program that writes "
        "the same files",
        path, strerror(errno));
}

enum file_lock_state file_try_lock(int fd, const char *path, int exclusive) {
    while (flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB)) {
        if (errno == EWOULDBLOCK) return FILE_HELD;
        if (errno == EINTR) continue;
        say_unlocked(path);
        return FILE_UNLOCKED;
    }
    return FILE_LOCKED;
}

int file_create(struct file_writer *w, const char *path) {
    memset(w, 0, sizeof *w);
    TRY(file_not_folder(path));
    if (strlen(path) >= sizeof w->path) return error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    strcpy(w->path, path);
    snprintf(w->temporary, sizeof w->temporary, "%s.tmp", path);
    /* truncated only once the lock is held: another process may be writing the file */
    int fd = open(w->temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return fail(path, "write");
    if (file_try_lock(fd, path, 1) == FILE_HELD) {
        close(fd);
        return error_set(ERR_INPUT, "%s: is being written by another process", path);
    }
    if (ftruncate(fd, 0) || !(w->file = fdopen(fd, "w"))) {
        int code = fail(path, "write");
        close(fd);
        return code;
    }
    return OK;
}

/* Syncs a file's folder, because a rename is on the disk only when the folder is. Folders that cannot be synced (some
   network file systems) are left as they are. */
static void sync_folder(const char *path) {
    char folder[FILE_PATH_MAX + 8];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == folder)
        slash[1] = 0;
    else if (slash)
        *slash = 0;
    else
        strcpy(folder, ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

int file_commit(struct file_writer *w) {
    /* an earlier write may have failed; its reason is still in errno as a rule */
    int bad = ferror(w->file) || fflush(w->file) || fsync(fileno(w->file));
    int code = bad ? fail(w->path, "write") : OK;
    /* renamed while the lock is held, so that no other writer's file can take the temporary name in between */
    if (!code && rename(w->temporary, w->path)) code = fail(w->path, "rename the new file to");
    if (code) unlink(w->temporary);
    fclose(w->file);
    w->file = NULL;
    if (!code) sync_folder(w->path);
    return code;
}

void file_discard(struct file_writer *w) {
    if (!w->file) return;
    unlink(w->temporary);
    fclose(w->file);
    w->file = NULL;
}

int file_replace(const char *temporary, const char *path) {
    int code = OK, fd = open(temporary, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd)) code = fail(path, "write");
    if (fd >= 0) close(fd);
    if (!code && rename(temporary, path)) code = fail(path, "rename the new file to");
    if (code)
        unlink(temporary);
    else
        sync_folder(path);
    return code;
}

int file_read(const char *path, size_t max, char **text, size_t *length) {
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file) return fail(path, "open");
    if (fstat(fileno(file), &info) || S_ISDIR(info.st_mode)) {
        fclose(file);
        return error_set(ERR_INPUT, "%s: is a folder, not a file", path);
    }
    /* pipes and files in /proc state a size of 0, so read until the end */
    size_t capacity = info.st_size > 0 && (size_t)info.st_size <= max ? (size_t)info.st_size + 1 : 4096, used = 0;
    char *bytes = malloc(capacity + 1);
    while (bytes && used <= max) {
        used += fread(bytes + used, 1, capacity - used, file);
        if (used < capacity) break;
        capacity *= 2;
        char *more = realloc(bytes, capacity + 1);
        if (!more) free(bytes);
        bytes = more;
    }
    int bad = ferror(file);
    fclose(file);
    int code = OK;
    if (!bytes)
        code = error_set(ERR_DEVICE, "%s: out of memory reading it", path);
    else if (bad)
        code = fail(path, "read");
    else if (used > max)
        code = error_set(ERR_INPUT, "%s: longer than %zu bytes", path, max);
    if (code) {
        free(bytes);
        return code;
    }
    bytes[used] = 0;
    *text = bytes;
    if (length) *length = used;
    return OK;
}

int file_write(const char *path, const void *bytes, size_t length) {
    struct file_writer w;
    TRY(file_create(&w, path));
    errno = 0;
    fwrite(bytes, 1, length, w.file);
    return file_commit(&w);
}

int file_checksum(const char *path, uint64_t *length, uint32_t *crc) {
    enum { PIECE = 1 << 18 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(path, "open");
    unsigned char *piece = malloc(PIECE);
    if (!piece) {
        close(fd);
        return error_set(ERR_DEVICE, "%s: out of memory reading it", path);
    }
    uint64_t total = 0;
    uLong sum = crc32_z(0, NULL, 0);
    int code = OK;
    for (;;) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) code = fail(path, "read");
        if (n <= 0) break;
        sum = crc32_z(sum, piece, (z_size_t)n);
        total += (uint64_t)n;
    }
    free(piece);
    close(fd);
    *length = total;
    *crc = (uint32_t)sum;
    return code;
}

int file_make_folders(const char *path) {
    char folder[FILE_PATH_MAX];
    if (strlen(path) >= sizeof folder) return error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    strcpy(folder, path);
    for (char *at = folder + 1;; at++) {
        if (*at && *at != '/') continue;
        char kept = *at;
        *at = 0;
        struct stat info;
        if (mkdir(folder, 0777) && errno != EEXIST) return fail(folder, "make the folder");
        if (stat(folder, &info) || !S_ISDIR(info.st_mode)) return error_set(ERR_INPUT, "%s: is not a folder", folder);
        if (!kept) return OK;
        *at = kept;
    }
}

int file_exists(const char *path) { return access(path, F_OK) == 0; }

struct file_identity file_identify(const char *path) {
    struct stat info;
    if (stat(path, &info)) return (struct file_identity){0};
    return (struct file_identity){.device = info.st_dev,
                                  .inode = info.st_ino,
                                  .length = (uint64_t)info.st_size,
                                  .seconds = info.st_mtim.tv_sec,
                                  .nanoseconds = info.st_mtim.tv_nsec};
}

int file_is_same(const struct file_identity *x, const struct file_identity *y) {
    return x->inode && x->inode == y->inode && x->device == y->device && x->length == y->length &&
           x->seconds == y->seconds && x->nanoseconds == y->nanoseconds;
}

int file_join(char *text, size_t size, const char *folder, const char *name) {
    size_t n = strlen(folder);
    int used = snprintf(text, size, "%s%s%s", folder, n && folder[n - 1] != '/' ? "/" : "", name);
    if (used < 0 || (size_t)used >= size) return error_set(ERR_USAGE, "%.80s...: the path is too long", folder);
    return OK;
}

int file_lock(const char *folder, int *lock) {
    char path[FILE_PATH_MAX], text[128] = "", host[64] = "";
    long pid = 0;
    TRY(file_join(path, sizeof path, folder, "lock"));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return fail(path, "open");
    if (file_try_lock(fd, path, 1) == FILE_HELD) {
        ssize_t n = pread(fd, text, sizeof text - 1, 0);
        close(fd);
        if (n > 0 && sscanf(text, "%ld %63s", &pid, host) == 2)
            return error_set(ERR_INPUT, "%s: is in use by process %ld on %s", folder, pid, host);
        return error_set(ERR_INPUT, "%s: is in use by another process", folder);
    }
    if (gethostname(host, sizeof host - 1) || !host[0]) snprintf(host, sizeof host, "this-host");
    int n = snprintf(text, sizeof text, "%ld %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) {
        int code = fail(path, "write");
        close(fd);
        return code;
    }
    *lock = fd;
    return OK;
}

void file_unlock(int lock) {
    if (ftruncate(lock, 0) == 0) lseek(lock, 0, SEEK_SET);
    close(lock);
}
