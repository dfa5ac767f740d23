/* codec_process.c: see codec_process.h. */
#include "infer/codec_process/codec_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "infer/codec_process/codec_wire.h"
#include "infer/codec_process/codec_worker.h"
#include "kernels/device.h"
#include "model/codec/internal.h"

/* Seconds that are waited for an answer once the program is asked to end, and for the process to end. */
static const double GRACE = 10, LAST = 5;

struct codec_process {
    pid_t pid; /* 0: it has ended and was waited for */
    int fd, status;
    int height, width, capacity; /* pixel frames that the shared memory holds */
    void *shared;                /* their bytes; float pixels of a request to encode */
    size_t bytes;
    void *latents; /* host memory for a chunk's latents */
    size_t latent; /* numbers of a latent frame */
    double asked;  /* time at which the program was first seen to be asked to end; 0: it is not */
    int failed;
    char text[600];
};

/* ---- its end ---- */

/* Waits this long for the process to end, then kills it. */
static void bury(struct codec_process *p, double seconds) {
    double until = clock_seconds() + seconds;
    pid_t got = 0;
    while (p->pid && (got = waitpid(p->pid, &p->status, WNOHANG)) == 0 && clock_seconds() < until) usleep(2000);
    if (p->pid && got != p->pid) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR) {}
    }
    p->pid = 0;
}

static int failure(const struct codec_process *p) { return error_set(ERR_DEVICE, "%s", p->text); }

static int lost(struct codec_process *p) {
    long number = (long)p->pid;
    if (p->failed) return failure(p);
    bury(p, 1);
    p->failed = 1;
    if (WIFSIGNALED(p->status))
        snprintf(p->text, sizeof p->text, "the codec's process %ld was ended by signal %d (%s)", number,
                 WTERMSIG(p->status), strsignal(WTERMSIG(p->status)));
    else
        snprintf(p->text, sizeof p->text, "the codec's process %ld ended with exit code %d", number,
                 WEXITSTATUS(p->status));
    return failure(p);
}

/* Waits without end while the program goes on, because a device may be slow; GRACE seconds once it is to end. */
static int patience(void *user) {
    struct codec_process *p = user;
    double now = clock_seconds();
    if (!interrupt_requested()) return OK;
    if (!p->asked) p->asked = now;
    return now - p->asked > GRACE ? ERR_DEVICE : OK;
}

/* Makes an error code of what a call of the wire gave. */
static int outcome(struct codec_process *p, enum codec_wire_result result) {
    p->asked = 0;
    if (result == WIRE_FINE) return OK;
    if (result == WIRE_GONE) return lost(p);
    if (!p->failed)
        snprintf(p->text, sizeof p->text, "the codec's process %ld gave no answer and was ended", (long)p->pid);
    p->failed = 1;
    bury(p, 0);
    return failure(p);
}

/* ---- requests ---- */

static int tell(struct codec_process *p, enum codec_word word, int frames, const void *latents, size_t bytes) {
    const struct codec_message request = {.word = word, .frames = frames, .bytes = (int64_t)bytes};
    if (p->failed) return failure(p);
    TRY(outcome(p, codec_wire_send(p->fd, &request, sizeof request, patience, p)));
    return outcome(p, codec_wire_send(p->fd, latents, bytes, patience, p));
}

/* Receives the answer, and at most `room` bytes behind it. */
static int hear(struct codec_process *p, struct codec_message *answer, void *bytes, size_t room) {
    if (p->failed) return failure(p);
    TRY(outcome(p, codec_wire_receive(p->fd, answer, sizeof *answer, patience, p)));
    answer->text[sizeof answer->text - 1] = 0;
    if (answer->word != CODEC_ANSWER || answer->bytes < 0 || (size_t)answer->bytes > room)
        return error_set(ERR_DEVICE, "the codec's process gave an answer that makes no sense");
    TRY(outcome(p, codec_wire_receive(p->fd, bytes, (size_t)answer->bytes, patience, p)));
    return answer->code ? error_set((enum error_code)answer->code, "%s", answer->text) : OK;
}

/* ---- as a codec ---- */

static struct codec_process *of(const struct codec *codec) { return codec->state; }

static size_t picture(const struct codec_process *p) { return 3 * (size_t)p->height * (size_t)p->width; }

/* Refuses more frames of 8 bits than the shared memory holds; a frame of float pixels takes the room of four. */
static int too_many(const struct codec_process *p, int frames) {
    return frames > p->capacity
               ? error_set(ERR_DEVICE, "the room of %d frames at once for the codec's process, which has %d", frames,
                           p->capacity)
               : OK;
}

static void process_close(struct codec *codec) { (void)codec; }

static int process_tensors(const struct codec *codec, struct codec_tensor *out, int capacity) {
    (void)codec, (void)out, (void)capacity;
    return 0;
}

/* Returns no error: what fails here fails again in the next request, which says so. */
static void process_encode_reset(struct codec *codec) { (void)tell(of(codec), CODEC_ENCODE_RESET, 0, NULL, 0); }
/* Sends the picture through the sockets. The shared memory will not do: nothing waits for an answer to this request,
   and the next one may overwrite it. */
static void process_decode_begin(struct codec *codec, const float *pixels) {
    (void)tell(of(codec), CODEC_DECODE_BEGIN, 0, pixels, pixels ? picture(of(codec)) * sizeof *pixels : 0);
}

static int encode(struct codec_process *p, const float *pixels, int frames, float *latents, int *count) {
    struct codec_message answer;
    TRY(too_many(p, frames * (int)sizeof *pixels));
    memcpy(p->shared, pixels, (size_t)frames * picture(p) * sizeof *pixels);
    TRY(tell(p, CODEC_ENCODE, frames, NULL, 0));
    TRY(hear(p, &answer, latents, (size_t)frames * p->latent * sizeof *latents));
    *count = answer.count;
    return OK;
}

static int process_encode(struct codec *codec, const float *pixels, int frames, float *latents) {
    int count = 0, code = encode(of(codec), pixels, frames, latents, &count);
    return code ? -code : count;
}

static int decode(struct codec_process *p, const real *latents, int frames, unsigned char *rgb, int *count) {
    struct codec_message answer;
    size_t bytes = (size_t)frames * p->latent * sizeof *latents;
    TRY(too_many(p, frames * FRAMES_PER_LATENT));
    mem_download(p->latents, latents, bytes);
    TRY(tell(p, CODEC_DECODE, frames, p->latents, bytes));
    TRY(hear(p, &answer, NULL, 0));
    TRY(too_many(p, answer.count));
    if (rgb != p->shared) memcpy(rgb, p->shared, (size_t)answer.count * picture(p));
    *count = answer.count;
    return OK;
}

static int process_decode_bytes(struct codec *codec, const real *latents, int frames, unsigned char *rgb) {
    int count = 0, code = decode(of(codec), latents, frames, rgb, &count);
    return code ? -code : count;
}

static int process_decode(struct codec *codec, const real *latents, int frames, float *pixels) {
    (void)codec, (void)latents, (void)frames, (void)pixels;
    return -error_set(ERR_USAGE, "a codec in a process of its own gives pictures of 8 bits alone");
}

static int process_share(struct codec *stream, const struct codec *base) {
    (void)stream, (void)base;
    return error_set(ERR_USAGE, "a codec in a process of its own has one stream");
}

static const struct codec_operations operations = {process_close,  process_tensors,      process_encode_reset,
                                                   process_encode, process_decode_begin, process_decode,
                                                   process_share,  process_decode_bytes};

int codec_process_open(void *process, struct codec *codec) {
    struct codec_process *p = process;
    struct codec_message answer;
    struct codec_hello hello;
    memset(codec, 0, sizeof *codec);
    TRY(hear(p, &answer, &hello, sizeof hello));
    p->latent = (size_t)hello.channels * (size_t)hello.h * (size_t)hello.w;
    p->latents = malloc((size_t)p->capacity / FRAMES_PER_LATENT * p->latent * sizeof(real));
    if (!p->latents) return error_set(ERR_DEVICE, "out of memory for a chunk's latents");
    *codec = (struct codec){.height = p->height,
                            .width = p->width,
                            .channels = hello.channels,
                            .h = hello.h,
                            .w = hello.w,
                            .state = p,
                            .operations = &operations};
    snprintf(codec->name, sizeof codec->name, "%.*s", (int)sizeof hello.name - 1, hello.name);
    return OK;
}

/* ---- start and end ---- */

static int start(struct codec_process *p, struct codec_worker *worker) {
    int pair[2];
    p->shared = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p->shared == MAP_FAILED) return p->shared = NULL, error_set(ERR_DEVICE, "out of memory for a chunk's frames");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return error_set(ERR_DEVICE, "the codec's process: %s", strerror(errno));
    worker->shared = p->shared;
    worker->parent = (int)getpid();
    fflush(NULL);
    p->pid = fork();
    p->fd = pair[p->pid == 0];
    close(pair[p->pid != 0]);
    worker->fd = p->fd;
    if (p->pid == 0) _exit(codec_worker_run(worker));
    if (p->pid > 0) return OK;
    p->pid = 0;
    return error_set(ERR_DEVICE, "the codec's process: %s", strerror(errno));
}

int codec_process_start(struct codec_process **process, const char *folder, const struct student_description *d,
                        int device, int threads) {
    struct codec_process *p = *process = calloc(1, sizeof *p);
    if (!p) return error_set(ERR_DEVICE, "out of memory for the codec's process");
    *p = (struct codec_process){.fd = -1,
                                .height = d->pixel_height,
                                .width = d->pixel_width,
                                .capacity = d->rollout.causal.chunk * FRAMES_PER_LATENT};
    p->bytes = (size_t)p->capacity * picture(p);
    struct codec_worker worker = {
        .folder = folder, .description = d, .device = device, .threads = threads, .capacity = p->capacity};
    int code = start(p, &worker);
    if (code) {
        codec_process_end(p);
        *process = NULL;
    }
    return code;
}

unsigned char *codec_process_frames(const struct codec_process *p) { return p->shared; }

long codec_process_number(const struct codec_process *p) { return (long)p->pid; }

void codec_process_end(struct codec_process *p) {
    if (!p) return;
    const struct codec_message end = {.word = CODEC_END};
    if (p->pid && !p->failed)
        (void)codec_wire_send(p->fd, &end, sizeof end, patience, p); /* fails if it is gone already */
    bury(p, LAST);
    if (p->fd >= 0) close(p->fd);
    if (p->shared) munmap(p->shared, p->bytes);
    free(p->latents);
    free(p);
}
