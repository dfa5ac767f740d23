/* clip_list.c: see clip_list.h. */
#include "tools/prepare/clip_list.h"

#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/philox.h"

enum { CLIPS_MAX = 10000000 };

static int is_video(const char *name) {
    static const char *const endings[] = {"mp4", "mov",  "mkv", "avi", "webm", "mpg", "mpeg", "m4v", "flv", "wmv", "ts",
                                          "mts", "m2ts", "3gp", "ogv", "vob",  "mxf", "y4m",  "asf", "dv",  "nut"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcasecmp(dot + 1, endings[i])) return 1;
    return 0;
}

/* Appends a zeroed entry to the list; NULL when memory or numbers are out. */
static struct clip_entry *add_entry(struct clip_list *list, const char *path) {
    if (list->count >= CLIPS_MAX) return NULL;
    if (!(list->count & (list->count - 1))) { /* 0 or a power of two: the room is used up */
        size_t room = list->count ? 2 * (size_t)list->count : 1;
        struct clip_entry *grown = realloc(list->entries, sizeof *grown * room);
        if (!grown) return NULL;
        list->entries = grown;
    }
    struct clip_entry *entry = &list->entries[list->count];
    memset(entry, 0, sizeof *entry);
    if (!(entry->path = strdup(path))) return NULL;
    list->count++;
    return entry;
}

static int by_path(const void *a, const void *b) {
    return strcmp(((const struct clip_entry *)a)->path, ((const struct clip_entry *)b)->path);
}

/* Length of the folder part of a path. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

static int walk_folder(struct clip_list *list, const char *folder) {
    char *const roots[] = {(char *)folder, NULL};
    FTS *walk = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!walk) return error_set(ERR_INPUT, "%s: cannot be read", folder);
    int code = OK;
    size_t skip = strlen(folder);
    while (skip && folder[skip - 1] == '/') skip--;
    for (FTSENT *at; !code && (at = fts_read(walk));) {
        if (at->fts_level == 0 && at->fts_info != FTS_D && at->fts_info != FTS_DP)
            code = error_set(ERR_INPUT, "%s: is not a folder that can be read", folder);
        if (at->fts_level > 0 && at->fts_name[0] == '.') {
            if (at->fts_info == FTS_D) fts_set(walk, at, FTS_SKIP);
            continue;
        }
        if (at->fts_info != FTS_F) continue;
        if (!is_video(at->fts_name)) {
            list->ignored++;
            continue;
        }
        const char *path = at->fts_path + skip;
        struct clip_entry *entry = add_entry(list, path + strspn(path, "/"));
        if (!entry) code = error_set(ERR_DEVICE, "%s: too many clips", folder);
        if (entry) entry->size = (uint64_t)at->fts_statp->st_size;
        if (entry) entry->changed = (uint64_t)at->fts_statp->st_mtime;
    }
    fts_close(walk);
    return code;
}

struct draw {
    uint64_t number;
    int index;
};
static int by_number(const void *a, const void *b) {
    uint64_t x = ((const struct draw *)a)->number, y = ((const struct draw *)b)->number;
    return x < y ? -1 : x > y;
}

/* Holds out `wanted` clips: those with the smallest random numbers, drawn from the path, so that a clip more or less
   changes little. By folder the number is drawn from the folder's path, and the last folder is held out whole. */
static int hold_out(struct clip_list *list, const struct prepare_config *config) {
    struct draw *draws = malloc(sizeof *draws * (size_t)list->count);
    int by_folders = config->held_out_by == HELD_OUT_BY_FOLDER, wanted = config->held_out;
    if (!draws) return error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < list->count; i++) {
        const char *path = list->entries[i].path;
        uint64_t hash = hash_bytes(HASH_START, path, by_folders ? folder_length(path) : strlen(path));
        struct random_address address = {.seed = (uint64_t)config->seed ^ hash, .purpose = RANDOM_DATA_ORDER};
        struct philox_block block = random_block(&address, 0);
        draws[i] = (struct draw){(uint64_t)block.v[0] << 32 | block.v[1], i};
    }
    qsort(draws, (size_t)list->count, sizeof *draws, by_number);
    while (by_folders && wanted > 0 && wanted < list->count && draws[wanted].number == draws[wanted - 1].number)
        wanted++;
    for (int i = 0; i < wanted; i++) list->entries[draws[i].index].split = SPLIT_HELD_OUT;
    free(draws);
    return OK;
}

/* Sorts the clips' places in the list so that those of one folder stand together: by folder, then in the order of the
   list. */
struct place {
    const char *path;
    size_t folder; /* length of its folder part */
    int index;
};
static int by_folder(const void *a, const void *b) {
    const struct place *x = a, *y = b;
    size_t shorter = x->folder < y->folder ? x->folder : y->folder;
    int order = memcmp(x->path, y->path, shorter);
    if (!order && x->folder != y->folder) order = x->folder < y->folder ? -1 : 1;
    return order ? order : x->index - y->index;
}

static int same_folder(const struct place *x, const struct place *y) {
    return x->folder == y->folder && !memcmp(x->path, y->path, x->folder);
}

/* Gives a folder's clips one identity. Identities are numbered in the order in which their folders first come in the
   list; clips of a subfolder may stand between those of its folder. */
static int number_identities(struct clip_list *list) {
    struct place *places = malloc(sizeof *places * (size_t)list->count);
    if (!places) return error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < list->count; i++)
        places[i] = (struct place){list->entries[i].path, folder_length(list->entries[i].path), i};
    qsort(places, (size_t)list->count, sizeof *places, by_folder);
    for (int i = 0, first = 0; i < list->count; i++) { /* number of the folder's first clip, replaced below */
        if (i && !same_folder(&places[i - 1], &places[i])) first = i;
        list->entries[places[i].index].identity = places[first].index;
    }
    free(places);
    int identities = 0;
    for (int i = 0; i < list->count; i++) {
        struct clip_entry *entry = &list->entries[i];
        entry->identity = entry->identity == i ? identities++ : list->entries[entry->identity].identity;
    }
    log_line("%d clips in %d folders", list->count, identities);
    return OK;
}

/* Lists every training clip as often as the config says, its copies behind it. */
static int copy_training_clips(struct clip_list *list, int copies) {
    struct clip_list all = {.ignored = list->ignored};
    int code = OK;
    for (int i = 0; i < list->count && !code; i++) {
        const struct clip_entry *clip = &list->entries[i];
        for (int copy = 0; copy < (clip->split == SPLIT_TRAIN ? copies : 1) && !code; copy++) {
            struct clip_entry *entry = add_entry(&all, clip->path);
            if (!entry) {
                code = error_set(ERR_DEVICE, "too many clips");
                break;
            }
            char *path = entry->path;
            *entry = *clip;
            entry->path = path;
            entry->copy = copy;
        }
    }
    clip_list_close(code ? &all : list);
    if (!code) *list = all;
    return code;
}

static int list_folder(struct clip_list *list, const struct prepare_config *config) {
    TRY(walk_folder(list, config->source));
    if (!list->count)
        return error_set(ERR_INPUT, "%s: holds no videos (%d other files)", config->source, list->ignored);
    if (config->held_out > list->count)
        return error_set(ERR_USAGE, "held_out: %d clips, where the folder has %d", config->held_out, list->count);
    qsort(list->entries, (size_t)list->count, sizeof *list->entries, by_path);
    for (int i = 0; i < list->count; i++) list->entries[i].utterance = i;
    TRY(number_identities(list));
    TRY(hold_out(list, config));
    return config->copies > 1 ? copy_training_clips(list, config->copies) : OK;
}

static int list_puppet(struct clip_list *list, const struct prepare_config *config) {
    int trained = config->puppet_identities * config->puppet_dialogues;
    for (int i = 0; i < trained + config->puppet_held_out; i++) {
        int held_out = i >= trained;
        int identity = held_out ? config->puppet_identities + i - trained : i / config->puppet_dialogues;
        char name[64];
        snprintf(name, sizeof name, "puppet %d, dialogue %d", identity, i);
        struct clip_entry *entry = add_entry(list, name);
        if (!entry) return error_set(ERR_DEVICE, "too many dialogues");
        entry->identity = identity;
        entry->utterance = i;
        entry->split = held_out ? SPLIT_HELD_OUT : SPLIT_TRAIN;
    }
    return OK;
}

static uint64_t clip_number(const struct clip_entry *entry) {
    return hash_bytes(HASH_START, entry->path, strlen(entry->path));
}

void clip_view(struct picture_view *view, const struct prepare_config *config, const struct clip_entry *entry) {
    picture_view_draw(view, &config->vary, (uint64_t)config->seed, clip_number(entry), (uint32_t)entry->copy);
}

static int stays_plain(const struct prepare_config *config, const struct clip_entry *entry) {
    return entry->split != SPLIT_TRAIN ||
           picture_view_stays_plain(config->plain, (uint64_t)config->seed, clip_number(entry), (uint32_t)entry->copy);
}

int clip_list_open(struct clip_list *list, const struct prepare_config *config) {
    memset(list, 0, sizeof *list);
    int code = strcmp(config->source, "puppet") ? list_folder(list, config) : list_puppet(list, config);
    for (int i = 0; i < list->count; i++) {
        struct clip_entry *entry = &list->entries[i];
        list->held_out += entry->split == SPLIT_HELD_OUT;
        if (!stays_plain(config, entry)) clip_view(&entry->view, config, entry);
    }
    if (code) clip_list_close(list);
    return code;
}

int clip_list_leaves_training(const struct clip_list *list, const struct prepare_config *config) {
    if (list->held_out < list->count) return OK;
    return error_set(ERR_USAGE, "held_out: %d, by %s, takes all %d clips; none would be left to train on",
                     config->held_out, config->held_out_by == HELD_OUT_BY_FOLDER ? "folder" : "clip", list->count);
}

void clip_list_close(struct clip_list *list) {
    for (int i = 0; i < list->count; i++) free(list->entries[i].path);
    free(list->entries);
    memset(list, 0, sizeof *list);
}
