/* hours.c: streams one puppet dialogue for an hour through exported students, and says minute by minute whether they
   drift: hours OUT STUDENT [STUDENT ...] [key=value ...]. The first student is also streamed with its reference sink
   and its RAPR switched off. Writes OUT/minutes.csv (a line for each source and minute), OUT/report.json (the same with
   slopes and their intervals) and prints the slopes; docs/evaluation.md says what the figures are. The dialogue is made
   a minute at a time, and what was streamed is forgotten, so that memory does not grow with its length. */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "infer/dialogue.h"
#include "kernels/device.h"
#include "model/dit/rapr.h"
#include "tools/evaluate/minutes.h"
#include "tools/evaluate/trial.h"
#include "tools/worker_pool.h"

struct settings {
    int minutes, person, world, threads;
    long seed;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    INT("minutes", minutes, 1, 100000, "60", "Length of the stream, minutes; slopes need three of them or more."),
    INT("person", person, 0, 100000, "0", "Number of the held-out person who is streamed."),
    CHOICE("world", world, puppet_worlds, "plain", "The puppet's world that the students were trained on."),
    LONG("seed", seed, 0, 1e15, "1", "Seed of the person, the words and the students' noise."),
    INT("threads", threads, 0, 1024, "0", "Sources that are streamed at a time, a thread each; 0 takes all cores."),
};
enum { STUDENTS_MAX = 16 };
static const struct command command = {
    .name = "hours",
    .does = "Streams a puppet dialogue for an hour through exported students and measures every minute's drift.",
    .words = "OUT_FOLDER STUDENT [STUDENT ...]",
    .min_words = 2,
    .max_words = 1 + STUDENTS_MAX,
    .text = "STUDENT is a folder that export wrote; its last part is the student's name in the report. The first\n"
            "student is streamed four times: as trained, without its reference sink (NAME_no_sink), without RAPR\n"
            "(NAME_no_rapr), and without both (NAME_no_sink_no_rapr). The source `drawn` is the truth.",
    .keys = keys,
    .key_count = FIELDS(keys)};

enum { DRAWN, SWITCHED = 4, SOURCES_MAX = 1 + STUDENTS_MAX + SWITCHED, NAME_MAX_LENGTH = 64 };
struct source {
    char name[NAME_MAX_LENGTH];
    const char *folder; /* NULL: the drawing itself */
    int sink, rapr;     /* as in struct session_options */
};
struct hours {
    struct settings settings;
    struct source sources[SOURCES_MAX];
    int count;
    struct minute_sums *minutes; /* [sources][minutes], shared by the workers */
};

/* The stream of one source, in its worker. */
struct stream {
    const struct hours *hours;
    struct trial trial;        /* the person's reference */
    struct puppet *puppets[2]; /* the minutes whose sound or pictures are in work: even ones, odd ones */
    long opened[2];            /* their numbers; -1: none */
    struct minute_meter meter;
    struct minute_sums *minutes; /* [minutes] */
    struct job *job;
};

/* ---- the dialogue ---- */

/* Opens minute `minute`: the person's next words. Sound is less than a minute ahead of the pictures, so that two
   minutes are enough. */
static int open_minute(struct stream *s, long minute, struct puppet **puppet) {
    const struct settings *c = &s->hours->settings;
    int slot = (int)(minute % 2), person = TRIAL_TEST + c->person;
    if (s->opened[slot] != minute) {
        puppet_close(s->puppets[slot]);
        s->puppets[slot] = NULL;
        s->opened[slot] = -1;
        TRY(puppet_open_world(&s->puppets[slot], (enum puppet_world)c->world, (uint64_t)c->seed, person,
                              person + (int)minute, 60));
        s->opened[slot] = minute;
    }
    *puppet = s->puppets[slot];
    return OK;
}

/* A piece_giver (infer/dialogue.h). */
static int give(void *user, long frame, struct sound_piece *piece) {
    struct puppet *puppet;
    long at = frame % MINUTE_FRAMES, sample = at * AUDIO_SAMPLES_PER_FRAME;
    TRY(open_minute(user, frame / MINUTE_FRAMES, &puppet));
    *piece = (struct sound_piece){.agent = puppet_pcm(puppet, PUPPET_AGENT) + sample,
                                  .user = puppet_pcm(puppet, PUPPET_USER) + sample,
                                  .talk = puppet_mask(puppet, PUPPET_AGENT) + at,
                                  .listen = puppet_mask(puppet, PUPPET_USER) + at};
    return OK;
}

static int end_minute(struct stream *s, long minute) {
    struct puppet *puppet;
    float mouth[MINUTE_FRAMES];
    TRY(open_minute(s, minute, &puppet));
    const struct puppet_pose *pose = puppet_truth(puppet);
    for (int f = 0; f < MINUTE_FRAMES; f++) mouth[f] = pose[f].mouth;
    minute_meter_end(&s->meter, &s->minutes[minute], minute, mouth, puppet_mask(puppet, PUPPET_AGENT));
    return OK;
}

/* Measures a frame (a frame_receiver). */
static int take(void *user, long frame, const float *picture) {
    struct stream *s = user;
    long minute = frame / MINUTE_FRAMES;
    minute_meter_take(&s->meter, &s->minutes[minute], frame, picture);
    worker_pool_beat(s->job);
    return (frame + 1) % MINUTE_FRAMES ? OK : end_minute(s, minute);
}

/* ---- sources ---- */

static int draw(struct stream *s, long frames) {
    const struct trial *t = &s->trial;
    struct puppet *puppet;
    float *picture = malloc(3 * sizeof *picture * (size_t)t->height * (size_t)t->width);
    int code = picture ? OK : error_set(ERR_DEVICE, "out of memory for a picture");
    for (long f = 1; f < frames && !code; f++) {
        code = open_minute(s, f / MINUTE_FRAMES, &puppet);
        if (!code) code = puppet_draw(puppet, (int)(f % MINUTE_FRAMES), t->height, t->width, picture);
        if (!code) code = take(s, f, picture);
    }
    free(picture);
    return code;
}

static int begin(struct stream *s, int height, int width) {
    const struct settings *c = &s->hours->settings;
    TRY(trial_open_world(&s->trial, (enum puppet_world)c->world, (uint64_t)c->seed, TRIAL_TEST, c->person, 60, height,
                         width));
    return minute_meter_open(&s->meter, s->trial.reference, &s->trial.marks, height, width);
}

/* Streams the source from a session; the drawing takes only the pictures' size from it. */
static int run_source(struct stream *s, const struct source *source, struct session *session) {
    const struct student_description *d = session_student(session);
    long frames = (long)s->hours->settings.minutes * MINUTE_FRAMES;
    TRY(begin(s, d->pixel_height, d->pixel_width));
    if (!source->folder) return draw(s, frames);
    return dialogue_stream_pieces(session, s->trial.reference, frames, give, s, take, s, NULL);
}

static void stream_close(struct stream *s) {
    for (int i = 0; i < 2; i++) puppet_close(s->puppets[i]);
    minute_meter_close(&s->meter);
    trial_close(&s->trial);
}

/* Streams source `index` in a worker (a worker_job). */
static int work(void *user, int index, struct job *job, int *rejected) {
    struct hours *h = user;
    const struct source *source = &h->sources[index];
    const char *folder = source->folder ? source->folder : h->sources[DRAWN + 1].folder;
    struct stream *s = calloc(1, sizeof *s);
    *rejected = 0;
    if (!s) return error_set(ERR_DEVICE, "out of memory for a stream");
    *s = (struct stream){.hours = h, .opened = {-1, -1}, .job = job};
    s->minutes = h->minutes + (size_t)index * (size_t)h->settings.minutes;
    struct session_options options = {.seed = (uint64_t)h->settings.seed, .sink = source->sink, .rapr = source->rapr};
    struct session *session = NULL;
    int code = device_init(1);
    if (!code) code = session_open(&session, folder, &options, NULL);
    if (!code) code = run_source(s, source, session);
    if (code) error_context(code, "%s", source->name);
    session_close(session);
    stream_close(s);
    free(s);
    return code;
}

/* Adds a source; ERR_USAGE where another one has its name. */
static int add_source(struct hours *h, const char *folder, const char *suffix, int sink, int rapr) {
    struct source *s = &h->sources[h->count];
    char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s", folder ? folder : "drawn");
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/';) path[--n] = 0;
    const char *slash = strrchr(path, '/'), *last = slash && slash[1] ? slash + 1 : path;
    int length = snprintf(s->name, sizeof s->name, "%s%s", last, suffix);
    if (length >= (int)sizeof s->name || strpbrk(s->name, ", '\"\\"))
        return error_set(ERR_USAGE,
                         "command line: %s: a student's folder must have a short name without quotes, "
                         "blanks and commas",
                         folder);
    for (int i = 0; i < h->count; i++)
        if (!strcmp(h->sources[i].name, s->name))
            return error_set(ERR_USAGE, "command line: two sources are called %s", s->name);
    s->folder = folder;
    s->sink = sink, s->rapr = rapr;
    h->count++;
    return OK;
}

static int add_sources(struct hours *h, const struct args *args) {
    TRY(add_source(h, NULL, "", -1, -1));
    TRY(add_source(h, args->words[1], "", -1, -1));
    TRY(add_source(h, args->words[1], "_no_sink", 0, -1));
    TRY(add_source(h, args->words[1], "_no_rapr", -1, RAPR_OFF));
    TRY(add_source(h, args->words[1], "_no_sink_no_rapr", 0, RAPR_OFF));
    for (int i = 2; i < args->word_count; i++) TRY(add_source(h, args->words[i], "", -1, -1));
    return OK;
}

static int stream_all(struct hours *h) {
    const double patience = 1200;
    struct worker_pool pool;
    int workers = h->settings.threads ? h->settings.threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    TRY(worker_pool_open(&pool, h->count));
    int code = worker_pool_run(&pool, workers, "sources", patience, work, h);
    for (int i = 0; i < h->count && !code; i++)
        if (atomic_load(&pool.jobs[i].state) != JOB_DONE)
            code = error_set(ERR_DEVICE, "%s: %s", h->sources[i].name, pool.jobs[i].text);
    worker_pool_close(&pool);
    return code;
}

/* ---- the report ---- */

static double value(const struct hours *h, int source, int minute, enum minute_figure which) {
    const struct minute_sums *drawn = h->minutes + minute;
    return minute_figure(drawn + (size_t)source * (size_t)h->settings.minutes, drawn, which);
}

static double resident(const struct hours *h, int source, int minute) {
    return h->minutes[(size_t)source * (size_t)h->settings.minutes + (size_t)minute].resident;
}

static int write_minutes(const struct hours *h, const char *path) {
    struct file_writer out;
    TRY(file_create(&out, path));
    fprintf(out.file, "source,minute");
    for (int k = 0; k < MINUTE_FIGURES; k++) fprintf(out.file, ",%s", minute_figure_names[k]);
    fprintf(out.file, ",resident_mib\n");
    for (int s = 0; s < h->count; s++)
        for (int m = 0; m < h->settings.minutes; m++) {
            fprintf(out.file, "%s,%d", h->sources[s].name, m + 1);
            for (int k = 0; k < MINUTE_FIGURES; k++) fprintf(out.file, ",%.5f", value(h, s, m, (enum minute_figure)k));
            fprintf(out.file, ",%.1f\n", resident(h, s, m));
        }
    return file_commit(&out);
}

/* A number, or null where it is not finite. */
static cJSON *number(double value) {
    return isfinite(value) ? cJSON_CreateNumber(floor(value * 1e5 + 0.5) / 1e5) : cJSON_CreateNull();
}

static cJSON *figure_json(const struct hours *h, int source, enum minute_figure which, double *values) {
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "minutes");
    for (int m = 0; m < h->settings.minutes; m++) {
        values[m] = value(h, source, m, which);
        cJSON_AddItemToArray(list, number(values[m]));
    }
    struct minute_slope slope = minute_slope(values, h->settings.minutes);
    cJSON_AddItemToObject(o, "slope_an_hour", number(slope.value));
    cJSON_AddItemToObject(o, "low", number(slope.low));
    cJSON_AddItemToObject(o, "high", number(slope.high));
    return o;
}

static int write_report(const struct hours *h, const char *path, double *values) {
    cJSON *root = cJSON_CreateObject(), *sources = cJSON_AddObjectToObject(root, "sources");
    cJSON_AddNumberToObject(root, "minutes", h->settings.minutes);
    cJSON_AddNumberToObject(root, "person", h->settings.person);
    cJSON_AddNumberToObject(root, "seed", (double)h->settings.seed);
    cJSON_AddStringToObject(root, "type", TYPE_NAME);
    for (int s = 0; s < h->count; s++) {
        cJSON *o = cJSON_AddObjectToObject(sources, h->sources[s].name);
        if (h->sources[s].folder) cJSON_AddStringToObject(o, "student", h->sources[s].folder);
        for (int k = 0; k < MINUTE_FIGURES; k++)
            cJSON_AddItemToObject(o, minute_figure_names[k], figure_json(h, s, (enum minute_figure)k, values));
        cJSON_AddItemToObject(o, "resident_mib_first", number(resident(h, s, 0)));
        cJSON_AddItemToObject(o, "resident_mib_last", number(resident(h, s, h->settings.minutes - 1)));
    }
    char *text = cJSON_Print(root);
    int code = text ? file_write(path, text, strlen(text)) : error_set(ERR_DEVICE, "out of memory for the report");
    free(text);
    cJSON_Delete(root);
    return code;
}

/* Prints a line for each source and figure: first and last minute, slope, and whether its interval holds 0. */
static void print_slopes(const struct hours *h, double *values) {
    int n = h->settings.minutes;
    printf("%-28s %-11s %9s %9s %12s   %s\n", "source", "figure", "minute 1", "last", "an hour", "95 % interval");
    for (int s = 0; s < h->count; s++)
        for (int k = 0; k < MINUTE_FIGURES; k++) {
            for (int m = 0; m < n; m++) values[m] = value(h, s, m, (enum minute_figure)k);
            struct minute_slope slope = minute_slope(values, n);
            printf("%-28s %-11s %9.3f %9.3f %12.4f   %.4f to %.4f%s\n", h->sources[s].name, minute_figure_names[k],
                   values[0], values[n - 1], slope.value, slope.low, slope.high,
                   slope.low > 0 || slope.high < 0 ? "  drifts" : "");
        }
}

static int report(const struct hours *h, const char *folder) {
    char path[FILE_PATH_MAX];
    double *values = malloc((size_t)h->settings.minutes * sizeof *values);
    if (!values) return error_set(ERR_DEVICE, "out of memory for the report");
    int code = file_join(path, sizeof path, folder, "minutes.csv");
    if (!code) code = write_minutes(h, path);
    if (!code) code = file_join(path, sizeof path, folder, "report.json");
    if (!code) code = write_report(h, path, values);
    if (!code) print_slopes(h, values);
    free(values);
    return code;
}

static int run(struct hours *h, const struct args *args) {
    size_t bytes;
    TRY(add_sources(h, args));
    TRY(file_make_folders(args->words[0]));
    bytes = (size_t)h->count * (size_t)h->settings.minutes * sizeof *h->minutes;
    h->minutes = worker_memory(bytes);
    if (!h->minutes) return error_set(ERR_DEVICE, "out of memory for the minutes");
    int code = stream_all(h);
    if (!code) code = report(h, args->words[0]);
    worker_memory_free(h->minutes, bytes);
    return code;
}

int main(int argc, char **argv) {
    static struct hours h; /* the workers are forked: nothing may use the device before */
    struct args args;
    int code = args_parse(&args, &command, &h.settings, argc, argv);
    if (code || args.done) return args_exit("hours", code);
    return args_exit("hours", run(&h, &args));
}
