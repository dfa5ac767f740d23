/* drive.c: streams a student over a list of references and sounds and leaves a folder that other tools can score
   (infer/collection.h, docs/evaluation.md). An item that is already finished is not made again. Links no HDF5, no
   MPI. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/csv.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "data/media.h"
#include "infer/collection.h"
#include "infer/mask_file.h"
#include "infer/sound_source.h"
#include "kernels/device.h"

/* ---- the list ---- */

enum { COLUMN_REFERENCE, COLUMN_AUDIO, COLUMN_ID, COLUMN_USER, COLUMN_TRUTH, COLUMN_MASK, COLUMNS, REQUIRED = 2 };
static const char *const column_names[COLUMNS] = {"reference", "audio", "id", "user", "truth", "mask"};

struct row {
    char path[COLUMNS][FILE_PATH_MAX]; /* "": not given */
    char id[COLLECTION_ID_MAX];
    int line;
};

struct settings {
    char out[FILE_PATH_MAX], decoder[FILE_PATH_MAX];
    double seconds, split;
    long seed;
    int threads;
};

struct drive {
    struct settings o;
    const char *list, *student;
    char student_sum[COLLECTION_SUM];
    struct session *session;
    struct row *rows;
    long row_count;
    char (*ids)[COLLECTION_ID_MAX]; /* ids of all items so far */
    long id_count, id_room, made;
    struct stream_times times; /* sums over the items that this run made */
    double made_seconds;
};

/* Makes the path of a file that the list names: relative to the list's folder, unless it is absolute. */
static int list_path(char *path, const char *list, const char *text) {
    const char *slash = strrchr(list, '/');
    int folder = *text && *text != '/' && slash ? (int)(slash - list) + 1 : 0;
    if (snprintf(path, FILE_PATH_MAX, "%.*s%s", folder, list, text) >= FILE_PATH_MAX)
        return error_set(ERR_INPUT, "the path %.80s... is too long", text);
    return OK;
}

/* Chooses a row's id: the given one, else the sound's file name without its ending. */
static int choose_id(char *id, const char *given, const char *audio) {
    char name[FILE_PATH_MAX];
    const char *slash = strrchr(audio, '/');
    snprintf(name, sizeof name, "%s", *given ? given : slash ? slash + 1 : audio);
    char *dot = strrchr(name, '.');
    if (!*given && dot && dot > name) *dot = 0;
    TRY(collection_check_id(name));
    memcpy(id, name, strlen(name) + 1); /* it fits: collection_check_id limits the length */
    return OK;
}

static int read_row(struct row *row, struct csv *csv, const char *list) {
    row->line = csv->line;
    for (int c = 0; c < COLUMNS; c++) {
        const char *text = c == COLUMN_ID ? "" : csv_text(csv, c);
        if (c < REQUIRED && !*text) return csv_fail(csv, "%s: is empty", column_names[c]);
        TRY(list_path(row->path[c], list, text));
        if (*row->path[c] && !file_exists(row->path[c])) return csv_fail(csv, "%s: is not there", row->path[c]);
    }
    int code = choose_id(row->id, csv_text(csv, COLUMN_ID), row->path[COLUMN_AUDIO]);
    return code ? error_context(code, "%s:%d", list, row->line) : OK;
}

static int by_id(const void *a, const void *b) {
    const struct row *const *x = a, *const *y = b;
    int order = strcmp((*x)->id, (*y)->id);
    return order ? order : ((*x)->line > (*y)->line) - ((*x)->line < (*y)->line);
}

static int refuse_twins(const struct drive *d) {
    const struct row **order = malloc((size_t)d->row_count * sizeof *order);
    if (!order) return error_set(ERR_DEVICE, "out of memory for the list");
    for (long i = 0; i < d->row_count; i++) order[i] = &d->rows[i];
    qsort(order, (size_t)d->row_count, sizeof *order, by_id);
    int code = OK;
    for (long i = 1; i < d->row_count && !code; i++)
        if (!strcmp(order[i - 1]->id, order[i]->id))
            code = error_set(ERR_INPUT, "%s:%d: the id %s is that of line %d; give each item an id of its own", d->list,
                             order[i]->line, order[i]->id, order[i - 1]->line);
    free(order);
    return code;
}

static int read_rows(struct drive *d, struct csv *csv) {
    long room = 0;
    for (int got; (got = csv_next(csv)) != 0; d->row_count++) {
        if (got < 0) return -got;
        if (d->row_count == room) {
            room = room ? 2 * room : 64;
            struct row *rows = realloc(d->rows, (size_t)room * sizeof *rows);
            if (!rows) return error_set(ERR_DEVICE, "out of memory for the list");
            d->rows = rows;
        }
        TRY(read_row(&d->rows[d->row_count], csv, d->list));
    }
    if (!d->row_count) return error_set(ERR_INPUT, "%s: names no item", d->list);
    return refuse_twins(d);
}

/* Logs which columns were found. Others are passed over, so whoever wrote "truht" sees here that truth is missing. */
static void tell_columns(const struct drive *d, const struct csv *csv) {
    char text[256] = "";
    for (int c = 0; c < COLUMNS; c++)
        if (csv->place[c] >= 0) {
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, "%s%s", used ? ", " : "", column_names[c]);
        }
    log_line("%s: %ld rows of %s", d->list, d->row_count, text);
}

static int read_list(struct drive *d) {
    struct csv csv;
    TRY(csv_open(&csv, d->list, column_names, REQUIRED, COLUMNS));
    int code = read_rows(d, &csv);
    if (!code) tell_columns(d, &csv);
    csv_close(&csv);
    return code;
}

/* ---- one row's sound ---- */

struct sound {
    float *pcm[AUDIO_STREAMS], *mask[AUDIO_STREAMS];
    long frames;
    int parties;
};

static void sound_free(struct sound *s) {
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        free(s->pcm[k]);
        free(s->mask[k]);
    }
}

static int grow(struct sound *s, long samples, long *room) {
    if (samples <= *room) return OK;
    *room = samples > 2 * *room ? samples : 2 * *room;
    for (int k = 0; k < AUDIO_STREAMS; k++) {
        float *pcm = realloc(s->pcm[k], (size_t)*room * sizeof *pcm);
        if (!pcm) return error_set(ERR_DEVICE, "out of memory for the sound");
        s->pcm[k] = pcm;
    }
    return OK;
}

static int read_samples(struct sound *s, struct sound_source *source, long most) {
    enum { PIECE = 16 * AUDIO_SAMPLES_PER_FRAME };
    long samples = 0, room = 0, n = 0;
    s->parties = sound_parties(source);
    do {
        TRY(grow(s, samples + PIECE, &room));
        memset(s->pcm[1] + samples, 0, PIECE * sizeof(float));
        n = sound_next(source, s->pcm[0] + samples, s->pcm[1] + samples, PIECE);
        if (n < 0) return (int)-n;
        samples += n;
    } while (n > 0 && samples / AUDIO_SAMPLES_PER_FRAME < most);
    s->frames = samples / AUDIO_SAMPLES_PER_FRAME < most ? samples / AUDIO_SAMPLES_PER_FRAME : most;
    return OK;
}

static int read_masks(struct sound *s, const char *path) {
    struct csv csv;
    TRY(mask_file_open(&csv, path));
    int code = OK;
    for (long f = 0; f < s->frames && !code; f++)
        code = mask_file_next(&csv, &s->mask[AUDIO_TALK][f], &s->mask[AUDIO_LISTEN][f]);
    csv_close(&csv);
    return code;
}

static int read_sound(struct sound *s, const struct drive *d, const struct row *row) {
    struct stream_options options = {.channels = 1};
    struct sound_source *source;
    memset(s, 0, sizeof *s);
    snprintf(options.audio, sizeof options.audio, "%s", row->path[COLUMN_AUDIO]);
    snprintf(options.user, sizeof options.user, "%s", row->path[COLUMN_USER]);
    TRY(sound_open(&source, &options));
    int code = read_samples(s, source, d->o.seconds > 0 ? (long)ceil(d->o.seconds * VIDEO_RATE) : 1L << 40);
    sound_close(source);
    for (int k = 0; k < AUDIO_STREAMS && !code; k++) {
        s->mask[k] = calloc((size_t)s->frames + 1, sizeof(float));
        if (!s->mask[k]) code = error_set(ERR_DEVICE, "out of memory for the masks");
    }
    if (code) return code;
    if (*row->path[COLUMN_MASK]) return read_masks(s, row->path[COLUMN_MASK]);
    for (int k = 0; k < s->parties; k++) dialogue_voice_mask(s->mask[k], s->pcm[k], s->frames);
    return OK;
}

/* ---- one item ---- */

struct item {
    const struct row *row;
    struct dialogue_sound sound;
    long start; /* video frames into the row's sound */
    char id[COLLECTION_ID_MAX];
    float *reference, *picture; /* planar [3, H, W] */
    int height, width;
};

/* Copies the true pictures, from the item's start on; where they end early the last one stays, which is logged. */
static int copy_truth(const struct item *item, struct video_reader *reader, struct collection_video *video) {
    long end = item->start + item->sound.frames, true_frames = 0;
    for (long f = 0; f < end; f++) {
        int got = video_read(reader, item->picture);
        if (got < 0) return -got;
        true_frames += got;
        if (true_frames <= item->start && !got)
            return error_set(ERR_INPUT, "%s: has pictures of %.2f s, the item begins at %.2f s",
                             item->row->path[COLUMN_TRUTH], (double)true_frames / VIDEO_RATE,
                             (double)item->start / VIDEO_RATE);
        if (f > item->start) TRY(collection_video_take(video, f - item->start, item->picture));
    }
    if (true_frames < end)
        log_line("%s: %s ends %.2f s before the sound; its last picture fills that time", item->id,
                 item->row->path[COLUMN_TRUTH], (double)(end - true_frames) / VIDEO_RATE);
    return OK;
}

static int make_truth(const struct drive *d, const struct item *item) {
    struct video_reader *reader;
    struct collection_video video = {NULL, NULL, 0};
    TRY(video_open(&reader, item->row->path[COLUMN_TRUTH], item->height, item->width));
    int code = collection_video_open(&video, d->o.out, "truth", item->id, item->height, item->width, &item->sound,
                                     item->reference);
    if (!code) code = copy_truth(item, reader, &video);
    if (!code) code = collection_video_finish(&video);
    collection_video_discard(&video);
    video_close(reader);
    return code;
}

static int stopped(void) {
    return interrupt_requested() ? error_set(ERR_INPUT, "stopped; the same command goes on from here") : OK;
}

static int take(void *video, long frame, const float *picture) {
    TRY(stopped());
    return collection_video_take(video, frame, picture);
}

static int make_video(struct drive *d, const struct item *item, struct stream_times *times) {
    struct collection_video video;
    int code = collection_video_open(&video, d->o.out, NULL, item->id, item->height, item->width, &item->sound,
                                     item->reference);
    session_seed(d->session, (uint64_t)d->o.seed);
    if (!code) code = dialogue_stream(d->session, item->reference, &item->sound, take, &video, times);
    if (!code) code = collection_video_finish(&video);
    collection_video_discard(&video);
    return code;
}

static void add_times(struct drive *d, const struct stream_times *t, long frames) {
    stream_times_add(&d->times, t);
    d->made_seconds += (double)frames / VIDEO_RATE;
    d->made++;
}

static struct collection_item about(const struct drive *d, const struct item *item) {
    return (struct collection_item){.id = item->id,
                                    .reference = item->row->path[COLUMN_REFERENCE],
                                    .audio = item->row->path[COLUMN_AUDIO],
                                    .user = item->row->path[COLUMN_USER],
                                    .truth = item->row->path[COLUMN_TRUTH],
                                    .mask = item->row->path[COLUMN_MASK],
                                    .student = d->student_sum,
                                    .decoder = d->o.decoder,
                                    .start = (double)item->start / VIDEO_RATE,
                                    .seed = (uint64_t)d->o.seed,
                                    .sound = &item->sound,
                                    .picture = item->reference,
                                    .height = item->height,
                                    .width = item->width};
}

static int make_item(struct drive *d, const struct item *item) {
    struct stream_times times = {0};
    TRY(make_video(d, item, &times));
    if (*item->row->path[COLUMN_TRUTH]) TRY(make_truth(d, item));
    struct collection_item finished = about(d, item);
    finished.times = &times;
    TRY(collection_item_write(d->o.out, &finished));
    add_times(d, &times, item->sound.frames);
    return OK;
}

/* ---- one row: an item, or one for every `split` seconds ---- */

static int remember(struct drive *d, const char *id) {
    if (d->id_count == d->id_room) {
        d->id_room = d->id_room ? 2 * d->id_room : 64;
        void *ids = realloc(d->ids, (size_t)d->id_room * sizeof *d->ids);
        if (!ids) return error_set(ERR_DEVICE, "out of memory for the list");
        d->ids = ids;
    }
    snprintf(d->ids[d->id_count++], COLLECTION_ID_MAX, "%s", id);
    return OK;
}

static int name_item(const struct drive *d, struct item *item, int part) {
    int n = d->o.split > 0 ? snprintf(item->id, sizeof item->id, "%s_%03d", item->row->id, part)
                           : snprintf(item->id, sizeof item->id, "%s", item->row->id);
    if (n < (int)sizeof item->id) return OK;
    return error_set(ERR_INPUT, "the id %.40s... is too long to be numbered", item->row->id);
}

static struct dialogue_sound part_of(const struct sound *s, long start, long frames) {
    long sample = start * AUDIO_SAMPLES_PER_FRAME;
    return (struct dialogue_sound){.frames = frames,
                                   .agent = s->pcm[0] + sample,
                                   .user = s->parties == 2 ? s->pcm[1] + sample : NULL,
                                   .talk = s->mask[0] + start,
                                   .listen = s->mask[1] + start};
}

static int make_parts(struct drive *d, struct item *item, const struct sound *sound) {
    long each = d->o.split > 0 ? (long)ceil(d->o.split * VIDEO_RATE) : sound->frames;
    int finished;
    if (sound->frames < each || each < 2)
        return error_set(ERR_INPUT, "%s: %.2f s of sound are too short for an item", item->row->path[COLUMN_AUDIO],
                         (double)sound->frames / VIDEO_RATE);
    for (long start = 0; start + each <= sound->frames; start += each) {
        TRY(name_item(d, item, (int)(start / each)));
        TRY(remember(d, item->id));
        item->start = start;
        item->sound = part_of(sound, start, each);
        const struct collection_item wanted = about(d, item);
        TRY(collection_find(&finished, d->o.out, &wanted));
        if (finished) continue;
        TRY(stopped());
        TRY(make_item(d, item));
        log_line("%s: %.2f s", item->id, (double)each / VIDEO_RATE);
    }
    return OK;
}

static int run_row(struct drive *d, const struct row *row) {
    const struct student_description *s = session_student(d->session);
    struct item item = {.row = row, .height = s->pixel_height, .width = s->pixel_width};
    size_t picture = 3 * (size_t)item.height * (size_t)item.width;
    struct sound sound = {0};
    item.reference = malloc(2 * picture * sizeof *item.reference);
    if (!item.reference) return error_set(ERR_DEVICE, "out of memory for a picture");
    item.picture = item.reference + picture;
    int code = image_read(row->path[COLUMN_REFERENCE], item.height, item.width, item.reference);
    if (!code) code = read_sound(&sound, d, row);
    if (!code) code = make_parts(d, &item, &sound);
    if (code) error_context(code, "%s:%d", d->list, row->line);
    sound_free(&sound);
    free(item.reference);
    return code;
}

/* ---- the program ---- */

static int drive(struct drive *d) {
    struct session_options options = {
        .seed = (uint64_t)d->o.seed, .sink = -1, .rapr = -1, .decoder = d->o.decoder, .prompt = ""};
    TRY(read_list(d));
    TRY(collection_student_sum(d->student_sum, d->student));
    TRY(file_make_folders(d->o.out));
    TRY(device_init(d->o.threads));
    TRY(session_open(&d->session, d->student, &options, NULL));
    for (long i = 0; i < d->row_count; i++) TRY(run_row(d, &d->rows[i]));
    const struct student_description *s = session_student(d->session);
    const struct collection_maker maker = {.program = "drive",
                                           .student = d->student,
                                           .steps = s->rollout.steps,
                                           .height = s->pixel_height,
                                           .width = s->pixel_width,
                                           .threads = device_threads(),
                                           .device = device_name()};
    TRY(collection_finish(d->o.out, d->ids, d->id_count, &maker));
    log_line("%ld items in %s, %ld of them made now", d->id_count, d->o.out, d->made);
    if (d->times.frames)
        log_line("%.1f s of video; real-time factor %.3f (network %.3f, codec %.3f)", d->made_seconds,
                 (d->times.network + d->times.codec) * VIDEO_RATE / (double)d->times.frames,
                 d->times.network * VIDEO_RATE / (double)d->times.frames,
                 d->times.codec * VIDEO_RATE / (double)d->times.frames);
    return OK;
}

#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("out", out, NULL, "Folder for videos, sounds, segments.csv and manifest.json; finished items in it are kept."),
    REAL("seconds", seconds, 0, 1e9, "0", "Seconds that are taken of each row's sound; 0 takes all of it."),
    REAL("split", split, 0, 1e9, "0",
         "Seconds of the items into which each row is cut (ID_000, ID_001 and so on), each of which begins anew from "
         "the reference; a shorter rest is left out. 0 makes one item of a row."),
    LONG("seed", seed, 0, 9e15, "1", "Seed of the noise; the same seed and sound give the same video."),
    THREADS_FIELD,
    TEXT("decoder", decoder, "",
         "Safetensors file of a decoder that takes the place of the codec's own (light_decoder writes it)."),
};

int main(int argc, char **argv) {
    struct command command = {
        .name = "drive",
        .does = "Streams a student over a list of references and sounds, into a folder that public scorers read.",
        .words = "STUDENT_FOLDER LIST.csv",
        .min_words = 2,
        .max_words = 2,
        .text =
            "LIST.csv has the columns reference and audio and, where they are known, id, user (the other party's\n"
            "sound), truth (the true video) and mask (a CSV file with a line talk,listen for each video frame). Paths\n"
            "are relative to the list's folder. docs/evaluation.md says what the folder `out` holds in the end.\n",
        .keys = keys,
        .key_count = FIELDS(keys)};
    struct args args;
    static struct drive d;
    int code = args_parse(&args, &command, &d.o, argc, argv);
    if (code || args.done) return args_exit("drive", code);
    interrupt_watch();
    d.student = args.words[0];
    d.list = args.words[1];
    code = drive(&d);
    session_close(d.session);
    free(d.rows);
    free(d.ids);
    return args_exit("drive", code);
}
