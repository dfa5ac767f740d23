/* latency.c: measures how soon students answer live: the first picture after its sound, and after the sound's start.
   usage: latency STUDENT_FOLDER [STUDENT_FOLDER ...] [key=value ...]
   Students take turns, stream by stream, so that what else the machine does meets all of them alike. */
#include <stdio.h>
#include <stdlib.h>

#include "base/args.h"
#include "base/error.h"
#include "infer/student_fields.h"
#include "kernels/device.h"
#include "tools/bench/latency.h"
#include "tools/bench/measure.h"

enum { STUDENTS_MAX = 16 };

struct options {
    int streams, chunks, threads, cpu_time;
    int graphs, cache_type, codec_tile;
    long weights_mib;
    char text[FILE_PATH_MAX], prompt[FILE_PATH_MAX], decoder[FILE_PATH_MAX], codec_weights[FILE_PATH_MAX],
        audio_weights[FILE_PATH_MAX];
};
#define FIELDS_OF struct options
static const struct config_field keys[] = {
    INT("streams", streams, 1, LATENCY_TIMES_MAX, "40", "Number of streams that each student begins anew."),
    INT("chunks", chunks, 0, LATENCY_TIMES_MAX, "12", "Number of chunks of a stream behind its first one."),
    INT("threads", threads, 0, 1024, "1", "Threads that compute; 0: the host's cores."),
    FLAG("cpu_time", cpu_time, "no",
         "Measures processor time instead of wall time, for one thread on a machine that others use too."),
    STUDENT_FIELDS,
};

static struct session_options session_options_of(const struct options *o) {
    return (struct session_options){.seed = 1, .sink = -1, .rapr = -1, STUDENT_SESSION_OPTIONS(o)};
}

static void print_times(const char *what, double *times, int count) {
    struct latency_median m = latency_median(times, count);
    printf("  %s: median %.1f ms (95 %% interval %.1f to %.1f), 95 %% below %.1f, most %.1f, of %d\n", what,
           1e3 * m.median, 1e3 * m.low, 1e3 * m.high, 1e3 * times[count * 95 / 100], 1e3 * times[count - 1], count);
}

static void print_student(const char *folder, struct latency *l) {
    const struct causal_config *c = &session_student(l->session)->rollout.causal;
    struct session_wait w = session_wait(l->session);
    printf("%s: first chunk of %d, chunks of %d latent frames; look-ahead %.0f ms, encoder's %.0f ms\n", folder,
           causal_own(c, 1), c->chunk, 1e3 * w.ahead, 1e3 * w.encoder_ahead);
    print_times("first picture after its sound", l->first, l->firsts);
    if (l->laters) print_times("picture of a later chunk after its sound", l->later, l->laters);
    struct latency_median m = latency_median(l->first, l->firsts);
    printf("  first picture after the sound's start: median %.0f ms (%.0f to %.0f), of which sound %.0f\n",
           1e3 * (l->heard + m.median), 1e3 * (l->heard + m.low), 1e3 * (l->heard + m.high), 1e3 * l->heard);
}

/* Measures all students; the first stream of each warms up. */
static int measure(struct latency *students, int count, const struct options *o) {
    for (int i = 0; i <= o->streams; i++)
        for (int s = 0; s < count; s++) TRY(latency_stream(&students[s], o->chunks, i > 0));
    return OK;
}

static int run(struct latency *students, char *const *folders, int count, const struct options *o) {
    const struct session_options options = session_options_of(o);
    for (int s = 0; s < count; s++) TRY(session_open(&students[s].session, folders[s], &options, NULL));
    TRY(measure(students, count, o));
    printf("%s, %s, threads=%d, %s time\n", device_name(), TYPE_NAME, o->threads, o->cpu_time ? "processor" : "wall");
    for (int s = 0; s < count; s++) print_student(folders[s], &students[s]);
    return OK;
}

int main(int argc, char **argv) {
    struct command command = {
        .name = "latency",
        .does = "Measures how soon exported students answer live: the first picture after its sound.",
        .words = "STUDENT_FOLDER [STUDENT_FOLDER ...]",
        .min_words = 1,
        .max_words = STUDENTS_MAX,
        .text =
            "Every student begins `streams` streams on noise, in turns, and makes a first chunk and `chunks` more.\n"
            "Times are from the moment at which a chunk's last sound is there until its pictures lie in host\n"
            "memory, so they hold audio encoder, network and decoder. The time from the sound's start adds the\n"
            "sound that the first chunk waits for: its own pictures and both look-aheads.\n",
        .keys = keys,
        .key_count = FIELDS(keys)};
    static struct latency students[STUDENTS_MAX];
    struct args args;
    struct options o;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("latency", code);
    if (o.cpu_time) bench_use_processor_time();
    code = device_init(o.threads);
    if (!code) code = run(students, (char *const *)args.words, args.word_count, &o);
    for (int s = 0; s < STUDENTS_MAX; s++) session_close(students[s].session);
    return args_exit("latency", code);
}
