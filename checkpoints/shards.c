/* shards.c: see shards.h. */
#include "checkpoints/shards.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/foreign.h"
#include "checkpoints/fault_list.h"
#include "checkpoints/names.h"

enum { INDEX_MAX = 64 << 20, FILES_MAX = 4096, NAME_LENGTH_MAX = 255 };
static const char index_ending[] = ".safetensors.index.json", file_ending[] = ".safetensors";

static int ends_in(const char *text, const char *ending) {
    size_t n = strlen(text), m = strlen(ending);
    return n > m && !strcmp(text + n - m, ending);
}

/* ---- which file ---- */

/* Counts the files of a folder that have this ending, and returns the first of them by name. */
static int count_files(const char *folder, const char *ending, char *name, size_t size) {
    DIR *dir = opendir(folder);
    int count = 0;
    name[0] = 0;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (d->d_name[0] == '.' || !ends_in(d->d_name, ending)) continue;
        if (!count++ || strcmp(d->d_name, name) < 0) snprintf(name, size, "%s", d->d_name);
    }
    if (dir) closedir(dir);
    return count;
}

static int is_folder(const char *path) {
    struct stat info;
    return !stat(path, &info) && S_ISDIR(info.st_mode);
}

/* Refuses a folder without safetensors files, and names the kind of weights that it holds instead, if any. */
static int refuse_folder(const char *folder) {
    static const char *const endings[] = {".bin", ".pth", ".pt", ".ckpt", ".gguf"};
    char name[NAME_LENGTH_MAX + 1], path[FILE_PATH_MAX];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (count_files(folder, endings[i], name, sizeof name) && !file_join(path, sizeof path, folder, name) &&
            foreign_refuse(path, FOREIGN_TENSORS, "a safetensors file"))
            return ERR_INPUT;
    return error_set(ERR_INPUT, "%s: holds no safetensors file", folder);
}

static int choose_file(const char *folder, int look_below, char *path, size_t size) {
    char name[NAME_LENGTH_MAX + 1], below[FILE_PATH_MAX];
    int indexes = count_files(folder, index_ending, name, sizeof name);
    if (indexes > 1)
        return error_set(ERR_INPUT, "%s: holds %d indexes; give the path of the one to use", folder, indexes);
    if (indexes) return file_join(path, size, folder, name);
    int files = count_files(folder, file_ending, name, sizeof name);
    if (files == 1) return file_join(path, size, folder, name);
    TRY(file_join(below, sizeof below, folder, "transformer"));
    if (look_below && is_folder(below)) return choose_file(below, 0, path, size);
    if (files)
        return error_set(ERR_INPUT, "%s: holds %d safetensors files and no index; give the path of the one to use",
                         folder, files);
    return refuse_folder(folder);
}

void shards_folder(const struct shards *s, char *folder, size_t size) {
    const char *slash = strrchr(s->path, '/');
    snprintf(folder, size, "%.*s", slash ? (int)(slash - s->path) : 1, slash ? s->path : ".");
    if (!folder[0]) snprintf(folder, size, "/");
}

/* ---- the index ---- */

struct index_entry {
    const char *tensor, *file; /* point into the JSON */
    int number;                /* index of the file */
    int found;
};
struct index {
    cJSON *json;
    struct index_entry *list; /* sorted by tensor */
    int count;
};

static int by_tensor(const void *a, const void *b) {
    return strcmp(((const struct index_entry *)a)->tensor, ((const struct index_entry *)b)->tensor);
}

static int by_file(const void *a, const void *b) {
    const struct index_entry *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    return order ? order : strcmp(x->tensor, y->tensor);
}

/* Refuses a file name that leads out of the index's folder. */
static int check_file_name(const char *name) {
    size_t n = strlen(name);
    if (!n || n > NAME_LENGTH_MAX || strchr(name, '/') || strchr(name, '\\') || name[0] == '.')
        return error_set(ERR_INPUT, "the file name \"%.80s\" is not one of this folder", name);
    return OK;
}

static int parse_index(struct index *index, const char *text, size_t length) {
    index->json = strlen(text) == length ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
    if (!cJSON_IsObject(index->json)) return error_set(ERR_INPUT, "is not a JSON object");
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(index->json, "weight_map"), *item;
    if (!cJSON_IsObject(map)) return error_set(ERR_INPUT, "has no weight_map");
    index->list = calloc((size_t)cJSON_GetArraySize(map) + 1, sizeof *index->list);
    if (!index->list) return error_set(ERR_DEVICE, "out of memory");
    cJSON_ArrayForEach(item, map) {
        if (!cJSON_IsString(item)) return error_set(ERR_INPUT, "%.100s: expected a file name", item->string);
        TRY(check_file_name(item->valuestring));
        names_unwrap(item->string); /* the files' own headers are unwrapped too */
        index->list[index->count++] = (struct index_entry){.tensor = item->string, .file = item->valuestring};
    }
    if (!index->count) return error_set(ERR_INPUT, "names no tensor");
    qsort(index->list, (size_t)index->count, sizeof *index->list, by_file);
    int files = 0;
    for (int i = 0; i < index->count; i++)
        index->list[i].number = i && strcmp(index->list[i].file, index->list[i - 1].file) ? ++files : files;
    if (files + 1 > FILES_MAX) return error_set(ERR_INPUT, "names %d files, at most %d", files + 1, FILES_MAX);
    qsort(index->list, (size_t)index->count, sizeof *index->list, by_tensor);
    for (int i = 1; i < index->count; i++)
        if (!by_tensor(&index->list[i - 1], &index->list[i]))
            return error_set(ERR_INPUT, "%.100s: is there twice", index->list[i].tensor);
    return OK;
}

static int read_index(struct index *index, const char *path) {
    char *text;
    size_t length;
    TRY(file_read(path, INDEX_MAX, &text, &length));
    int code = parse_index(index, text, length);
    free(text);
    return code ? error_context(code, "%s", path) : OK;
}

static int open_files(struct shards *s, const struct index *index) {
    char folder[FILE_PATH_MAX];
    shards_folder(s, folder, sizeof folder);
    int files = 0;
    for (int i = 0; i < index->count; i++)
        if (index->list[i].number >= files) files = index->list[i].number + 1;
    s->files = calloc((size_t)files, sizeof *s->files);
    if (!s->files) return error_set(ERR_DEVICE, "out of memory");
    s->file_count = files;
    for (int i = 0; i < index->count; i++) {
        struct shard *shard = &s->files[index->list[i].number];
        if (!shard->path[0]) TRY(file_join(shard->path, sizeof shard->path, folder, index->list[i].file));
    }
    for (int k = 0; k < files; k++) TRY(safetensors_open(&s->files[k].file, s->files[k].path));
    return OK;
}

/* Checks that every tensor is where the index says, and nowhere else. */
static int check_places(struct shards *s, struct index *index) {
    struct fault_list faults = FAULT_LIST;
    for (int k = 0; k < s->file_count; k++)
        for (int i = 0; i < s->files[k].file.count; i++) {
            const struct index_entry key = {.tensor = s->files[k].file.entries[i].name};
            struct index_entry *e = bsearch(&key, index->list, (size_t)index->count, sizeof *index->list, by_tensor);
            const char *file = strrchr(s->files[k].path, '/') + 1;
            if (!e)
                fault_add(&faults, "%s of %s is not in the index", key.tensor, file);
            else if (e->number != k)
                fault_add(&faults, "%s is in %s, the index says %s", key.tensor, file, e->file);
            else
                e->found = 1;
        }
    for (int i = 0; i < index->count; i++)
        if (!index->list[i].found) fault_add(&faults, "%s is not in %s", index->list[i].tensor, index->list[i].file);
    int code = fault_report(&faults, "tensors do not fit");
    return code ? error_context(code, "%s", s->path) : OK;
}

static int open_index(struct shards *s) {
    struct index index = {.json = NULL};
    int code = read_index(&index, s->path);
    if (!code) code = open_files(s, &index);
    if (!code) code = check_places(s, &index);
    free(index.list);
    cJSON_Delete(index.json);
    return code;
}

/* ---- opening ---- */

static int by_name(const void *a, const void *b) {
    return strcmp((*(const struct safetensors_entry *const *)a)->name,
                  (*(const struct safetensors_entry *const *)b)->name);
}

static int list_entries(struct shards *s) {
    for (int k = 0; k < s->file_count; k++) s->count += s->files[k].file.count;
    s->entries = malloc(((size_t)s->count + 1) * sizeof *s->entries);
    if (!s->entries) return error_set(ERR_DEVICE, "out of memory");
    int n = 0;
    for (int k = 0; k < s->file_count; k++)
        for (int i = 0; i < s->files[k].file.count; i++) s->entries[n++] = &s->files[k].file.entries[i];
    qsort(s->entries, (size_t)n, sizeof *s->entries, by_name);
    return OK;
}

static int open_single(struct shards *s) {
    s->files = calloc(1, sizeof *s->files);
    if (!s->files) return error_set(ERR_DEVICE, "out of memory");
    s->file_count = 1;
    snprintf(s->files[0].path, sizeof s->files[0].path, "%s", s->path);
    return safetensors_open(&s->files[0].file, s->path);
}

int shards_open(struct shards *s, const char *path) {
    memset(s, 0, sizeof *s);
    if (is_folder(path))
        TRY(choose_file(path, 1, s->path, sizeof s->path));
    else if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
        return error_set(ERR_INPUT, "%.80s...: the path is too long", path);
    int code = ends_in(s->path, ".index.json") ? open_index(s) : open_single(s);
    if (!code) code = list_entries(s);
    if (code) shards_close(s);
    return code;
}

void shards_close(struct shards *s) {
    for (int k = 0; k < s->file_count; k++) safetensors_close(&s->files[k].file);
    free(s->files);
    free(s->entries);
    memset(s, 0, sizeof *s);
}

int shards_index(const struct shards *s, const char *name) {
    const struct safetensors_entry key = {.name = (char *)name}, *pointer = &key;
    const struct safetensors_entry **found =
        s->count ? bsearch(&pointer, s->entries, (size_t)s->count, sizeof *s->entries, by_name) : NULL;
    return found ? (int)(found - s->entries) : -1;
}

const struct safetensors_entry *shards_find(const struct shards *s, const char *name) {
    int at = shards_index(s, name);
    return at < 0 ? NULL : s->entries[at];
}

/* ---- writing ---- */

/* Returns the end of the entries that go into one file, from `begin` on. */
static int fill_file(const struct safetensors_entry *entries, int count, int begin, size_t most) {
    size_t bytes = 0;
    int end = begin;
    while (end < count && (end == begin || !most || bytes + entries[end].bytes <= most)) bytes += entries[end++].bytes;
    return end;
}

/* Removes BASE.safetensors, BASE-*-of-*.safetensors and the index that an earlier call left, the index first. */
static int remove_old(const char *folder, const char *base) {
    char path[FILE_PATH_MAX], name[NAME_LENGTH_MAX + 1];
    snprintf(name, sizeof name, "%s%s", base, index_ending);
    TRY(file_join(path, sizeof path, folder, name));
    if (unlink(path) && errno != ENOENT) return error_set(ERR_INPUT, "%s: %s", path, strerror(errno));
    DIR *dir = opendir(folder);
    size_t n = strlen(base);
    int code = OK;
    for (struct dirent *d; dir && !code && (d = readdir(dir));) {
        int number, of, length = 0;
        if (strncmp(d->d_name, base, n)) continue;
        if (strcmp(d->d_name + n, file_ending) &&
            (sscanf(d->d_name + n, "-%5d-of-%5d.safetensors%n", &number, &of, &length) != 2 || !length ||
             d->d_name[n + (size_t)length]))
            continue;
        code = file_join(path, sizeof path, folder, d->d_name);
        if (!code && unlink(path)) code = error_set(ERR_INPUT, "%s: %s", path, strerror(errno));
    }
    if (dir) closedir(dir);
    return code;
}

static int write_index(const char *folder, const char *base, cJSON *map, size_t bytes) {
    char path[FILE_PATH_MAX], name[NAME_LENGTH_MAX + 1];
    snprintf(name, sizeof name, "%s%s", base, index_ending);
    TRY(file_join(path, sizeof path, folder, name));
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(cJSON_AddObjectToObject(root, "metadata"), "total_size", (double)bytes);
    cJSON_AddItemReferenceToObject(root, "weight_map", map);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    int code = text ? file_write(path, text, strlen(text)) : error_set(ERR_DEVICE, "out of memory for %s", path);
    free(text);
    return code;
}

int shards_write(const char *folder, const char *base, const struct safetensors_entry *entries, int count, size_t most,
                 safetensors_source give, void *user) {
    static const char *const metadata[] = {"format", "pt", NULL}; /* PyTorch's readers look for this */
    char path[FILE_PATH_MAX], name[NAME_LENGTH_MAX + 1];
    int files = 0, code;
    size_t bytes = 0;
    TRY(remove_old(folder, base));
    for (int begin = 0; begin < count; files++) begin = fill_file(entries, count, begin, most);
    cJSON *map = cJSON_CreateObject();
    code = map ? OK : error_set(ERR_DEVICE, "out of memory");
    for (int begin = 0, end, k = 0; k < (files ? files : 1) && !code; begin = end, k++) {
        end = fill_file(entries, count, begin, most);
        snprintf(name, sizeof name, "%s%s", base, file_ending);
        if (files > 1) snprintf(name, sizeof name, "%s-%05d-of-%05d%s", base, k + 1, files, file_ending);
        code = file_join(path, sizeof path, folder, name);
        if (!code) code = safetensors_write_from(path, entries + begin, end - begin, metadata, give, user);
        for (int i = begin; i < end && !code; i++) {
            cJSON_AddStringToObject(map, entries[i].name, name);
            bytes += entries[i].bytes;
        }
    }
    if (!code && files > 1) code = write_index(folder, base, map, bytes);
    cJSON_Delete(map);
    return code;
}
