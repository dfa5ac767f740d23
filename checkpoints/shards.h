/* shards.h: the tensors of a checkpoint that is one safetensors file, or several files with an index
   (NAME.safetensors.index.json: {"metadata": {"total_size": bytes}, "weight_map": {tensor: file}}). The index is
   checked: its file names must stay in its folder, and every tensor must be in exactly the file that it names. Data
   stay in the files' memory maps. */
#ifndef CHECKPOINTS_SHARDS_H
#define CHECKPOINTS_SHARDS_H

#include "base/fileio.h"
#include "checkpoints/safetensors.h"

struct shard {
    char path[FILE_PATH_MAX];
    struct safetensors file;
};
struct shards {
    char path[FILE_PATH_MAX]; /* path of the file or the index */
    struct shard *files;
    int file_count;
    const struct safetensors_entry **entries; /* entries of all files, sorted by name */
    int count;
};
/* Opens a safetensors file, an index, or a folder that holds one index or one safetensors file, itself or in its folder
   transformer/. ERR_INPUT names the file and what is wrong with it. */
int shards_open(struct shards *s, const char *path);
void shards_close(struct shards *s);
const struct safetensors_entry *shards_find(const struct shards *s, const char *name); /* NULL: none */
int shards_index(const struct shards *s, const char *name);                            /* index in entries; -1: none */
/* Returns the folder that the file or index is in. */
void shards_folder(const struct shards *s, char *folder, size_t size);

/* Writes FOLDER/BASE.safetensors, or, when the tensors are larger than `most` bytes (0: no limit), as many files
   BASE-00001-of-00003.safetensors with at most that much (one tensor at least) and their index, which comes last.
   Entries stay in their order. Files that an earlier call wrote under the name are removed. */
int shards_write(const char *folder, const char *base, const struct safetensors_entry *entries, int count, size_t most,
                 safetensors_source give, void *user);

#endif
