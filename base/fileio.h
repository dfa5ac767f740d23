/* fileio.h: files that are either the old or the new one, whatever happens: written under a temporary name (PATH.tmp),
   synced, renamed, and the folder synced. A full disk, a kill or a failed write leaves the previous file whole.
   Errors are ERR_INPUT with the path in the text. */
#ifndef BASE_FILEIO_H
#define BASE_FILEIO_H

#include <stdint.h>
#include <stdio.h>

enum { FILE_PATH_MAX = 1024 };

struct file_writer {
    FILE *file; /* stream to write to; its errors may be left to file_commit */
    char path[FILE_PATH_MAX];
    char temporary[FILE_PATH_MAX + 8];
};
/* Begins a new file. A second writer of the same path, in this or another process, is refused. */
int file_create(struct file_writer *writer, const char *path);
int file_commit(struct file_writer *writer); /* puts the new file in place; on error nothing of it is left */
void file_discard(struct file_writer *writer);
/* Refuses a path that is a folder (ERR_INPUT), so that a program says so before its work
   and not when the new file is renamed. */
int file_not_folder(const char *path);
/* Puts a file in place that a library wrote under the name `temporary` and closed, as file_commit does. */
int file_replace(const char *temporary, const char *path);

/* Reads a whole small file of at most `max` bytes; *text is malloc'd and NUL-terminated; length may be NULL. */
int file_read(const char *path, size_t max, char **text, size_t *length);
int file_write(const char *path, const void *bytes, size_t length);

/* Computes length and CRC-32 (zlib) of a whole file. */
int file_checksum(const char *path, uint64_t *length, uint32_t *crc);
/* Makes a folder and those above it; folders that exist are fine. */
int file_make_folders(const char *path);
/* 1: a file or folder of this name exists. */
int file_exists(const char *path);
/* Writes "FOLDER/NAME" to text; ERR_USAGE when it does not fit. */
int file_join(char *text, size_t size, const char *folder, const char *name);

/* Identity of a file and of its contents, by which a later look finds out that it was
   replaced or written to. All zero: there was no file. */
struct file_identity {
    uint64_t device, inode, length;
    int64_t seconds, nanoseconds; /* time of the last write */
};
struct file_identity file_identify(const char *path); /* all zero where there is no file */
int file_is_same(const struct file_identity *x, const struct file_identity *y);

/* Tries to lock an open file, for this process alone (exclusive) or together with others, until the
   file is closed. FILE_HELD: another process has it (EWOULDBLOCK). FILE_UNLOCKED: the file system has
   no locks (ENOSYS, ENOLCK, EOPNOTSUPP: some network file systems); that is no reason to stop, and the
   log says it once per process, with the reason. */
enum file_lock_state { FILE_LOCKED, FILE_HELD, FILE_UNLOCKED };
enum file_lock_state file_try_lock(int fd, const char *path, int exclusive);
/* Takes the lock of a folder (FOLDER/lock) until the process ends or file_unlock;
   ERR_INPUT names the process and the host that have it. */
int file_lock(const char *folder, int *lock);
void file_unlock(int lock);

#endif
