/* collection.c: see collection.h. */
#include "infer/collection.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "base/media_rates.h"
#include "base/pixels.h"
#include "base/version.h"
#include "data/media.h"

enum { RECORD_BYTES_MAX = 16 << 20 };
#define USER ".user" /* suffix of an item's id in the file name of the other party's sound */

int collection_check_id(const char *id) {
    static const char user[] = USER;
    size_t n = strlen(id);
    if (!n || n >= COLLECTION_ID_MAX)
        return error_set(ERR_INPUT, "an id has 1 to %d characters, \"%.40s\" has %zu", COLLECTION_ID_MAX - 1, id, n);
    if (*id == '.' || strspn(id, COLLECTION_ID_CHARACTERS) != n)
        return error_set(ERR_INPUT, "\"%.80s\" is no id: only letters, digits, - _ and . are, and no dot at first", id);
    if (n >= sizeof user - 1 && !strcmp(id + n - (sizeof user - 1), user))
        return error_set(ERR_INPUT, "\"%.80s\" is no id: %s.wav is the name of the other party's sound", id, user);
    return OK;
}

/* Writes the path FOLDER/[BESIDE/]ID SUFFIX. */
static int path_of(char *path, const char *folder, const char *beside, const char *id, const char *suffix) {
    char name[2 * COLLECTION_ID_MAX + 64];
    snprintf(name, sizeof name, "%s%s%s%s", beside ? beside : "", beside ? "/" : "", id, suffix);
    return file_join(path, FILE_PATH_MAX, folder, name);
}

static int make_folder(const char *folder, const char *beside) {
    char path[FILE_PATH_MAX];
    if (!beside) return file_make_folders(folder);
    TRY(file_join(path, sizeof path, folder, beside));
    return file_make_folders(path);
}

static int record_path(char *path, const char *folder, const char *id) {
    return path_of(path, folder, "records", id, ".json");
}

/* ---- a video ---- */

int collection_video_open(struct collection_video *video, const char *folder, const char *beside, const char *id,
                          int height, int width, const struct dialogue_sound *sound, const float *reference) {
    char path[FILE_PATH_MAX];
    *video = (struct collection_video){.sound = sound};
    TRY(make_folder(folder, beside));
    TRY(path_of(path, folder, beside, id, ".mp4"));
    TRY(video_create(&video->writer, path, height, width, 1));
    return collection_video_take(video, 0, reference);
}

int collection_video_take(void *user, long frame, const float *picture) {
    struct collection_video *v = user;
    (void)frame;
    if (v->frames >= v->sound->frames) return OK;
    TRY(video_write(v->writer, picture));
    return video_write_audio(v->writer, v->sound->agent + v->frames++ * AUDIO_SAMPLES_PER_FRAME,
                             AUDIO_SAMPLES_PER_FRAME);
}

int collection_video_finish(struct collection_video *video) {
    struct video_writer *writer = video->writer;
    video->writer = NULL;
    return video_finish(writer);
}

void collection_video_discard(struct collection_video *video) {
    if (video->writer) video_discard(video->writer);
    video->writer = NULL;
}

/* ---- an item ---- */

static int write_picture(const char *path, const float *picture, int height, int width) {
    long n = (long)height * width;
    unsigned char *rgb = malloc((size_t)(3 * n));
    if (!rgb) return error_set(ERR_DEVICE, "out of memory for a picture");
    rgb_from_planar(rgb, picture, (size_t)n);
    int code = png_write(path, rgb, height, width);
    free(rgb);
    return code;
}

static const char *state_of(const struct dialogue_sound *sound, long frame) {
    if (sound->talk[frame] >= 0.5f) return "talk";
    return sound->listen[frame] >= 0.5f ? "listen" : "idle";
}

static double seconds_of(long frames) { return (double)frames / VIDEO_RATE; }

/* Makes the list of runs of frames that have one state: [[start, end, state], ...] in seconds from the beginning. */
static cJSON *segments_of(const struct dialogue_sound *sound) {
    cJSON *all = cJSON_CreateArray();
    for (long first = 0, f = 1; f <= sound->frames; f++) {
        const char *state = state_of(sound, first);
        if (f < sound->frames && !strcmp(state, state_of(sound, f))) continue;
        cJSON *one = cJSON_CreateArray();
        cJSON_AddItemToArray(one, cJSON_CreateNumber(seconds_of(first)));
        cJSON_AddItemToArray(one, cJSON_CreateNumber(seconds_of(f)));
        cJSON_AddItemToArray(one, cJSON_CreateString(state));
        cJSON_AddItemToArray(all, one);
        first = f;
    }
    return all;
}

static void add_text(cJSON *to, const char *key, const char *text) {
    if (text && *text) cJSON_AddStringToObject(to, key, text);
}

static int write_json(const char *path, const cJSON *root) {
    char *text = root ? cJSON_Print(root) : NULL;
    int code = text ? OK : error_set(ERR_DEVICE, "out of memory for %.200s", path);
    if (!code) code = file_write(path, text, strlen(text));
    free(text);
    return code;
}

static cJSON *record_of(const struct collection_item *item) {
    cJSON *root = cJSON_CreateObject();
    const struct stream_times *t = item->times;
    cJSON_AddStringToObject(root, "id", item->id);
    cJSON_AddNumberToObject(root, "frames", (double)item->sound->frames);
    cJSON_AddNumberToObject(root, "seconds", seconds_of(item->sound->frames));
    add_text(root, "reference", item->reference);
    add_text(root, "audio", item->audio);
    add_text(root, "user", item->user);
    add_text(root, "truth", item->truth);
    add_text(root, "mask", item->mask);
    add_text(root, "student_config_crc32", item->student);
    add_text(root, "decoder", item->decoder);
    cJSON_AddNumberToObject(root, "start", item->start);
    cJSON_AddNumberToObject(root, "seed", (double)item->seed);
    if (t && t->frames) {
        cJSON_AddNumberToObject(root, "rtf", (t->network + t->codec) / seconds_of(t->frames));
        cJSON_AddNumberToObject(root, "rtf_network", t->network / seconds_of(t->frames));
        cJSON_AddNumberToObject(root, "first_frame_ms", 1e3 * t->first);
    }
    cJSON_AddItemToObject(root, "segments", segments_of(item->sound));
    return root;
}

int collection_item_write(const char *folder, const struct collection_item *item) {
    char path[FILE_PATH_MAX];
    long samples = item->sound->frames * AUDIO_SAMPLES_PER_FRAME;
    TRY(path_of(path, folder, NULL, item->id, ".wav"));
    TRY(audio_write_wav(path, item->sound->agent, samples, 1));
    if (item->sound->user) {
        TRY(path_of(path, folder, NULL, item->id, USER ".wav"));
        TRY(audio_write_wav(path, item->sound->user, samples, 1));
    }
    TRY(path_of(path, folder, NULL, item->id, ".reference.png"));
    TRY(write_picture(path, item->picture, item->height, item->width));
    TRY(make_folder(folder, "records"));
    TRY(record_path(path, folder, item->id));
    cJSON *root = record_of(item);
    int code = write_json(path, root);
    cJSON_Delete(root);
    return code;
}

/* ---- what is finished ---- */

static int read_record(cJSON **record, const char *folder, const char *id) {
    char path[FILE_PATH_MAX], *text;
    size_t length;
    TRY(record_path(path, folder, id));
    TRY(file_read(path, RECORD_BYTES_MAX, &text, &length));
    *record = cJSON_ParseWithLength(text, length);
    free(text);
    if (*record && cJSON_IsArray(cJSON_GetObjectItem(*record, "segments"))) return OK;
    cJSON_Delete(*record);
    return error_set(ERR_INPUT, "%s: is not a record of an item; remove it and its item is made again", path);
}

static const char *last_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Last part of a path, by which files are compared: the same list may be named from another folder. */
static int same_value(const cJSON *a, const cJSON *b) {
    if (!a || !b) return a == b;
    if (cJSON_IsString(a) && cJSON_IsString(b)) return !strcmp(last_name(a->valuestring), last_name(b->valuestring));
    return cJSON_Compare(a, b, 1);
}

/* Compares all that an item's pictures depend on. */
static int same_item(const cJSON *there, const cJSON *wanted, const char *id) {
    static const char *const keys[] = {"frames", "reference", "audio", "user",    "truth",
                                       "mask",   "start",     "seed",  "decoder", "student_config_crc32"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *a = cJSON_GetObjectItem(there, keys[i]), *b = cJSON_GetObjectItem(wanted, keys[i]);
        if (same_value(a, b)) continue;
        char *was = a ? cJSON_PrintUnformatted(a) : NULL, *is = b ? cJSON_PrintUnformatted(b) : NULL;
        int code = error_set(ERR_INPUT,
                             "%s: finished already, but with %s %.80s, not %.80s; name another folder, or remove "
                             "records/%s.json and it is made again",
                             id, keys[i], was ? was : "none", is ? is : "none", id);
        free(was);
        free(is);
        return code;
    }
    return OK;
}

int collection_find(int *finished, const char *folder, const struct collection_item *item) {
    char path[FILE_PATH_MAX];
    cJSON *there, *wanted;
    TRY(record_path(path, folder, item->id));
    *finished = file_exists(path);
    if (!*finished) return OK;
    TRY(read_record(&there, folder, item->id));
    wanted = record_of(item);
    int code = same_item(there, wanted, item->id);
    cJSON_Delete(there);
    cJSON_Delete(wanted);
    return code ? error_context(code, "%s", folder) : OK;
}

/* ---- the whole ---- */

/* Moves the segments out of the record into the table. */
static void take_segments(cJSON *record, const char *id, FILE *table) {
    cJSON *all = cJSON_DetachItemFromObject(record, "segments"), *one;
    cJSON_ArrayForEach(one, all) {
        const cJSON *start = cJSON_GetArrayItem(one, 0), *end = cJSON_GetArrayItem(one, 1),
                    *state = cJSON_GetArrayItem(one, 2);
        if (cJSON_IsNumber(start) && cJSON_IsNumber(end) && cJSON_IsString(state))
            fprintf(table, "%s,%.2f,%.2f,%s\n", id, start->valuedouble, end->valuedouble, state->valuestring);
    }
    cJSON_Delete(all);
}

static int gather(cJSON *items, const char *folder, char (*ids)[COLLECTION_ID_MAX], long count) {
    char path[FILE_PATH_MAX];
    struct file_writer table;
    TRY(file_join(path, sizeof path, folder, "segments.csv"));
    TRY(file_create(&table, path));
    fputs("id,start,end,state\n", table.file);
    int code = OK;
    for (long i = 0; i < count && !code; i++) {
        cJSON *record;
        code = read_record(&record, folder, ids[i]);
        if (code) break;
        take_segments(record, ids[i], table.file);
        cJSON_AddItemToArray(items, record);
    }
    if (!code) return file_commit(&table);
    file_discard(&table);
    return code;
}

int collection_student_sum(char sum[COLLECTION_SUM], const char *student) {
    char path[FILE_PATH_MAX];
    uint64_t length;
    uint32_t crc;
    TRY(file_join(path, sizeof path, student, "config.json"));
    TRY(file_checksum(path, &length, &crc));
    snprintf(sum, COLLECTION_SUM, "%08x", crc);
    return OK;
}

static int add_student(cJSON *root, const char *student) {
    char sum[COLLECTION_SUM];
    TRY(collection_student_sum(sum, student));
    cJSON_AddStringToObject(root, "student", student);
    cJSON_AddStringToObject(root, "student_config_crc32", sum);
    return OK;
}

static cJSON *manifest_of(const struct collection_maker *m) {
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "made_by", "streamavatar");
    cJSON_AddStringToObject(root, "program", m->program);
    cJSON_AddStringToObject(root, "version", version_number());
    cJSON_AddStringToObject(root, "commit", version_commit());
    cJSON_AddStringToObject(root, "backend", version_backend());
    cJSON_AddStringToObject(root, "type", version_type());
    cJSON_AddStringToObject(root, "device", m->device);
    cJSON_AddNumberToObject(root, "threads", m->threads);
    cJSON_AddNumberToObject(root, "steps", m->steps);
    cJSON_AddNumberToObject(root, "height", m->height);
    cJSON_AddNumberToObject(root, "width", m->width);
    cJSON_AddNumberToObject(root, "rate", VIDEO_RATE);
    cJSON_AddNumberToObject(root, "audio_rate", AUDIO_RATE);
    return root;
}

int collection_finish(const char *folder, char (*ids)[COLLECTION_ID_MAX], long count,
                      const struct collection_maker *maker) {
    char path[FILE_PATH_MAX];
    cJSON *root = manifest_of(maker), *items = cJSON_AddArrayToObject(root, "items");
    int code = items ? add_student(root, maker->student) : error_set(ERR_DEVICE, "out of memory for the manifest");
    if (!code) code = gather(items, folder, ids, count);
    if (!code) code = file_join(path, sizeof path, folder, "manifest.json");
    if (!code) code = write_json(path, root);
    cJSON_Delete(root);
    return code;
}
