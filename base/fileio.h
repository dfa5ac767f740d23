/* fileio.h: files that are either the old or the new one, whatever happens: written under a temporary name (PATH.tmp),
   synced, renamed, and the folder synced. A full disk, a kill or a failed write leaves the previous file whole.
   Errors are ERR_INPUT with the path in the text. */
#ifndef BASE_FILEIO_H
#define BASE_FILEIO_H

#include <stdint.h>
#include <stdio.h>

enum { FILE_PATH_MAX = 1024 };

struct file_writer {
    FILE *file; /* to write to; errors may be left to file_commit */
    char path[FILE_PATH_MAX];
    char temporary[FILE_PATH_MAX + 8];
};
/* A second writer of the same path, in this or another process, is refused. */
int file_create(struct file_writer *writer, const char *path);
int file_commit(struct file_writer *writer); /* on error nothing of the new file is left */
void file_discard(struct file_writer *writer);
/* ERR_INPUT where PATH is a folder: known before any work is done, not only when the new file is renamed. */
int file_not_folder(const char *path);
/* The same for files that a library wrote under `temporary` and closed. */
int file_replace(const char *temporary, const char *path);

/* A whole small file, at most `max` bytes; *text is malloc'd and NUL-terminated; length may be NULL. */
int file_read(const char *path, size_t max, char **text, size_t *length);
int file_write(const char *path, const void *bytes, size_t length);

/* Length and CRC-32 (zlib) of a whole file. */
int file_checksum(const char *path, uint64_t *length, uint32_t *crc);
/* The folder and those above it; there already is fine. */
int file_make_folders(const char *path);
/* 1: there is something of this name. */
int file_exists(const char *path);
/* "FOLDER/NAME" in text; ERR_USAGE when it does not fit. */
int file_join(char *text, size_t size, const char *folder, const char *name);

/* What says that a file is still the one that was looked at, and nobody wrote to it since. Zeroed: none was. */
struct file_identity {
    uint64_t device, inode, length;
    int64_t seconds, nanoseconds; /* Time of the last write. */
};
struct file_identity file_identify(const char *path); /* zeroed where there is none */
int file_is_same(const struct file_identity *x, const struct file_identity *y);

/* Tries to lock an open file, for itself alone or with others, until it is closed. FILE_HELD: another process has it,
   which EWOULDBLOCK alone says. FILE_UNLOCKED: there are no locks (ENOSYS, ENOLCK, EOPNOTSUPP: some network file
   systems), which is no reason to stop, and is said once for the process, with the reason. */
enum file_lock_state { FILE_LOCKED, FILE_HELD, FILE_UNLOCKED };
enum file_lock_state file_try_lock(int fd, const char *path, int exclusive);
/* Takes the lock of a folder (FOLDER/lock) until the process ends or file_unlock; ERR_INPUT names the process and the
   host that have it. */
int file_lock(const char *folder, int *lock);
void file_unlock(int lock);

#endif
