/* mutations.c: damages files that the programs read, thousands of times, and reads them: by every reader in this
   process's children, so that a crash or a hang is one case's.
     mutations samples FOLDER         writes the examples that no program leaves
     mutations read FOLDER [COUNT [SEED [JOBS [READER]]]]
                                      COUNT damages of each kind for every reader (or one), over JOBS processes
     mutations damage KIND SEED FILE  damages a file where it stands; KIND: bit, byte, zeros, noise, cut
   A file of ours that has sums must be refused or give the same; another's may give what it will, but nothing that is
   not finite. What went wrong is printed with what makes it again, and the exit code is 1. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fileio.h"
#include "kernels/device.h"
#include "tests/mutations/mutate.h"
#include "tests/mutations/readers.h"

enum { FILES_MAX = 32, FILE_MAX_BYTES = 64 << 20, PATIENCE = 30, MEMORY_MAX = 6 };

struct sample_file {
    char path[FILE_PATH_MAX]; /* in the process's own copy */
    char *bytes;
    size_t length;
};
struct sample { /* a reader's folder, copied */
    char folder[FILE_PATH_MAX];
    struct sample_file files[FILES_MAX];
    int count;
};
/* Shared between a process and the child that reads. */
struct progress {
    volatile long next; /* case under way */
    volatile long same, refused, other, failed;
};

/* ---- the copy ---- */

static int copy_file(struct sample *s, const char *from, const char *to) {
    struct sample_file *f = &s->files[s->count];
    if (s->count == FILES_MAX) return error_set(ERR_USAGE, "%s: more than %d files", s->folder, FILES_MAX);
    snprintf(f->path, sizeof f->path, "%s", to);
    TRY(file_read(from, FILE_MAX_BYTES, &f->bytes, &f->length));
    s->count++;
    return file_write(to, f->bytes, f->length);
}

static int copy_folder(struct sample *s, const char *from, const char *to) {
    struct dirent **list;
    struct stat info;
    TRY(file_make_folders(to));
    int count = scandir(from, &list, NULL, alphasort), code = OK;
    if (count < 0) return error_set(ERR_INPUT, "%s: %s", from, strerror(errno));
    for (int i = 0; i < count; i++) {
        char a[FILE_PATH_MAX], b[FILE_PATH_MAX];
        int hidden = list[i]->d_name[0] == '.';
        if (!code && !hidden) code = file_join(a, sizeof a, from, list[i]->d_name);
        if (!code && !hidden) code = file_join(b, sizeof b, to, list[i]->d_name);
        if (!code && !hidden && !stat(a, &info))
            code = S_ISDIR(info.st_mode) ? copy_folder(s, a, b) : copy_file(s, a, b);
        free(list[i]);
    }
    free(list);
    return code;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

static void drop(struct sample *s) {
    for (int i = 0; i < s->count; i++) free(s->files[i].bytes);
    nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* In place: file_write's syncing and renaming is not what is tested, and slow. */
static void put(const char *path, const void *bytes, size_t length) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length) abort();
    close(fd);
}

/* ---- one case ---- */

struct work {
    const struct mutation_reader *reader;
    struct sample sample;
    uint64_t seed;
    long count; /* cases of each kind */
    uint32_t good;
    struct progress *progress;
};

static enum mutation kind_of(const struct work *w, long number) { return (enum mutation)(number / w->count); }
static uint64_t seed_of(const struct work *w, long number) { return mutation_random(w->seed, (uint64_t)number); }

static void tell(const struct work *w, long number, const char *what) {
    const struct sample_file *f =
        &w->sample.files[mutation_random(seed_of(w, number), 1000) % (uint64_t)w->sample.count];
    printf("%s, case %ld (mutations damage %s %llu .../%s%s): %s\n", w->reader->folder, number,
           mutation_names[kind_of(w, number)], (unsigned long long)seed_of(w, number), w->reader->folder,
           f->path + strlen(w->sample.folder), what);
    fflush(stdout);
}

/* What the reader made of the damaged file. */
static void judge(const struct work *w, long number, int code, uint32_t sum) {
    struct progress *p = w->progress;
    if (code == ERR_NUMERIC) {
        p->failed++;
        tell(w, number, error_text());
    } else if (code && (!*error_text() || strchr(error_text(), '\n'))) {
        p->failed++;
        tell(w, number, "was refused without a line");
    } else if (code)
        p->refused++;
    else if (sum == w->good)
        p->same++;
    else if (w->reader->ours) {
        p->failed++;
        tell(w, number, "gave another result in silence");
    } else
        p->other++;
}

static void run_case(const struct work *w, unsigned char *bytes, long number) {
    uint64_t seed = seed_of(w, number);
    const struct sample_file *f = &w->sample.files[mutation_random(seed, 1000) % (uint64_t)w->sample.count];
    uint32_t sum = 0;
    memcpy(bytes, f->bytes, f->length);
    put(f->path, bytes, mutate(bytes, f->length, kind_of(w, number), seed));
    error_set(OK, "%s", "");
    int code = w->reader->read(w->sample.folder, &sum);
    judge(w, number, code, sum);
    put(f->path, f->bytes, f->length);
}

/* ---- the processes ---- */

static int start_device(void) {
    const struct rlimit memory = {(rlim_t)MEMORY_MAX << 30, (rlim_t)MEMORY_MAX << 30};
    setrlimit(RLIMIT_AS, &memory);
    return device_init(1);
}

/* The child: all cases from `first` on in steps; what it says on standard error is nobody's. */
static void read_cases(const struct work *w, long first, long step) {
    int null = open("/dev/null", O_WRONLY);
    size_t largest = 1;
    for (int i = 0; i < w->sample.count; i++)
        if (w->sample.files[i].length > largest) largest = w->sample.files[i].length;
    unsigned char *bytes = malloc(largest);
    dup2(null, 2);
    if (!bytes || start_device()) _exit(1);
    for (long number = first; number < w->count * MUTATIONS; number += step) {
        w->progress->next = number;
        run_case(w, bytes, number);
    }
    free(bytes);
    _exit(0);
}

/* Waits for the child; a case that takes longer than PATIENCE is its last. */
static int await(pid_t child, const struct progress *p) {
    int status, still = 0;
    for (long seen = -1;; usleep(100000)) {
        pid_t got = waitpid(child, &status, WNOHANG);
        if (got == child) return status;
        still = p->next == seen ? still + 1 : 0;
        seen = p->next;
        if (still > PATIENCE * 10) kill(child, SIGKILL);
    }
}

static void put_back(const struct work *w) {
    for (int i = 0; i < w->sample.count; i++)
        put(w->sample.files[i].path, w->sample.files[i].bytes, w->sample.files[i].length);
}

/* One of the processes: its cases, by one child after the other. Returns how many failed. */
static long run_share(struct work *w, long first, long step) {
    for (long from = first; from < w->count * MUTATIONS;) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) read_cases(w, from, step);
        int status = await(child, w->progress);
        if (WIFEXITED(status) && !WEXITSTATUS(status)) break;
        char what[80];
        snprintf(what, sizeof what, WIFSIGNALED(status) ? "ended by signal %d (9: took too long)" : "exit code %d",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        tell(w, w->progress->next, what);
        w->progress->failed++;
        put_back(w);
        from = w->progress->next + step;
    }
    return w->progress->failed;
}

/* The reader must take its sample as it is. */
static int take_good(struct work *w) {
    int result[2];
    uint32_t sum = 0;
    if (pipe(result)) return error_set(ERR_DEVICE, "no pipe");
    pid_t child = fork();
    if (!child) {
        int code = start_device();
        if (!code) code = w->reader->read(w->sample.folder, &sum);
        if (code) fprintf(stderr, "mutations: %s: %s\n", w->reader->folder, error_text());
        _exit(code || write(result[1], &sum, sizeof sum) != sizeof sum);
    }
    int status, got = -1;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) got = (int)read(result[0], &w->good, sizeof w->good);
    close(result[0]);
    close(result[1]);
    return got == sizeof w->good ? OK : error_set(ERR_INPUT, "%s: the sample itself is not taken", w->reader->folder);
}

static int open_work(struct work *w, const char *samples, int job) {
    char from[FILE_PATH_MAX];
    memset(&w->sample, 0, sizeof w->sample);
    TRY(file_join(from, sizeof from, samples, w->reader->folder));
    snprintf(w->sample.folder, sizeof w->sample.folder, "%s/job%d", samples, job);
    TRY(copy_folder(&w->sample, from, w->sample.folder));
    return take_good(w);
}

static int run_job(struct work *w, const char *samples, int job, int jobs) {
    if (open_work(w, samples, job)) {
        fprintf(stderr, "mutations: %s\n", error_text());
        drop(&w->sample);
        return 1;
    }
    long failed = run_share(w, job, jobs);
    drop(&w->sample);
    return failed != 0;
}

static double seconds_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* All cases of one reader. Returns whether something failed. */
static int run_reader(const struct mutation_reader *reader, const char *samples, long count, uint64_t seed, int jobs) {
    struct progress *p =
        mmap(NULL, sizeof *p * (size_t)jobs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct progress sum = {0};
    long cases = count * reader->share / 100 ? count * reader->share / 100 : 1;
    double start = seconds_now();
    int bad = 0, status;
    for (int job = 0; job < jobs; job++) {
        struct work w = {.reader = reader, .seed = seed, .count = cases, .progress = &p[job]};
        fflush(stdout);
        if (!fork()) _exit(run_job(&w, samples, job, jobs));
    }
    for (int job = 0; job < jobs; job++)
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status)) bad = 1;
    for (int job = 0; job < jobs; job++) {
        sum.same += p[job].same;
        sum.refused += p[job].refused;
        sum.other += p[job].other;
        sum.failed += p[job].failed;
    }
    printf("%-12s %6ld of each kind: %6ld refused, %6ld the same, %6ld another result, %ld failed; %.0f s\n",
           reader->folder, cases, sum.refused, sum.same, sum.other, sum.failed, seconds_now() - start);
    munmap(p, sizeof *p * (size_t)jobs);
    return bad;
}

static int damage(const char *kind, const char *seed, const char *path) {
    char *bytes;
    size_t length;
    int k = 0;
    while (k < MUTATIONS && strcmp(kind, mutation_names[k])) k++;
    if (k == MUTATIONS) return error_set(ERR_USAGE, "%s: no kind of damage", kind);
    TRY(file_read(path, FILE_MAX_BYTES, &bytes, &length));
    length = mutate((unsigned char *)bytes, length, (enum mutation)k, strtoull(seed, NULL, 10));
    put(path, bytes, length);
    free(bytes);
    return OK;
}

static int read_all(int argc, char **argv) {
    long count = argc > 3 ? atol(argv[3]) : 10000, failed = 0;
    uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : (uint64_t)time(NULL);
    int jobs = argc > 5 ? atoi(argv[5]) : 2;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < mutation_reader_count; i++)
        if (argc <= 6 || !strcmp(argv[6], mutation_readers[i].folder))
            failed += run_reader(&mutation_readers[i], argv[2], count, seed, jobs);
    return failed != 0;
}

int main(int argc, char **argv) {
    int code = ERR_USAGE;
    if (argc >= 3 && !strcmp(argv[1], "read")) return read_all(argc, argv);
    if (argc == 3 && !strcmp(argv[1], "samples"))
        code = mutation_samples(argv[2]);
    else if (argc == 5 && !strcmp(argv[1], "damage"))
        code = damage(argv[2], argv[3], argv[4]);
    else
        error_set(ERR_USAGE, "samples FOLDER, read FOLDER [COUNT [SEED [JOBS [READER]]]], or damage KIND SEED FILE");
    if (code) fprintf(stderr, "mutations: %s\n", error_text());
    return code;
}
