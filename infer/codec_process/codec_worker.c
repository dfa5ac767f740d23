/* codec_worker.c: see codec_worker.h. Errors of the codec are not printed here: the answer carries their text to the
   other process, which prints it. */
#include "infer/codec_process/codec_worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/error.h"
#include "infer/codec_process/codec_wire.h"
#include "kernels/device.h"

static volatile sig_atomic_t parent;

/* Passes a signal on to the other process, which ends both once the video so far is whole. If that process is gone, its
   id may be someone else's by now, and nothing is sent. */
static void pass_on(int number) {
    if (getppid() == parent) kill((pid_t)parent, number);
}

static void stand_alone(const struct codec_worker *w) {
    struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    parent = w->parent;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC); /* standard input and output belong to the other process */
    if (nothing < 0) return;
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDOUT_FILENO);
    close(nothing);
}

/* ---- requests ---- */

static size_t latent_numbers(const struct codec *codec) {
    return (size_t)codec->channels * (size_t)codec->h * (size_t)codec->w;
}

/* Puts what codec_encode or codec_decode_bytes returned into the answer. */
static void put(struct codec_message *answer, int count) {
    int code = count < 0 ? -count : device_sync();
    answer->code = code;
    answer->count = code ? 0 : count;
    if (code) snprintf(answer->text, sizeof answer->text, "%s", error_text());
}

static int send_answer(const struct codec_worker *w, struct codec_message *answer, const void *latents, size_t bytes) {
    answer->word = CODEC_ANSWER;
    answer->bytes = (int64_t)bytes;
    return codec_wire_send(w->fd, answer, sizeof *answer, NULL, NULL) == WIRE_FINE &&
           codec_wire_send(w->fd, latents, bytes, NULL, NULL) == WIRE_FINE;
}

static int encode(const struct codec_worker *w, struct codec *codec, int frames) {
    struct codec_message answer = {0};
    float *latents = malloc((size_t)frames * latent_numbers(codec) * sizeof *latents);
    put(&answer, latents ? codec_encode(codec, w->shared, frames, latents)
                         : -error_set(ERR_DEVICE, "out of memory for latents"));
    int sent = send_answer(w, &answer, latents, (size_t)answer.count * latent_numbers(codec) * sizeof *latents);
    free(latents);
    return sent;
}

/* Begins a clip. bytes: size of the first latent's picture, which follows; 0: there is none. */
static int begin_decoding(const struct codec_worker *w, struct codec *codec, size_t bytes) {
    float *picture = malloc(bytes + 1);
    int whole = picture && codec_wire_receive(w->fd, picture, bytes, NULL, NULL) == WIRE_FINE;
    if (whole) codec_decode_begin(codec, bytes ? picture : NULL);
    free(picture);
    return whole;
}

static int decode(const struct codec_worker *w, struct codec *codec, int frames, size_t bytes) {
    struct codec_message answer = {0};
    void *latents = malloc(bytes), *device = device_alloc(bytes);
    int whole = latents && codec_wire_receive(w->fd, latents, bytes, NULL, NULL) == WIRE_FINE;
    if (whole && device) mem_upload(device, latents, bytes);
    put(&answer, device && latents ? codec_decode_bytes(codec, device, frames, w->shared)
                                   : -error_set(ERR_DEVICE, "out of memory for latents"));
    device_free(device);
    free(latents);
    return whole && send_answer(w, &answer, NULL, 0);
}

/* Carries out a request and answers it. 0: the other process is gone, or wants this one to end. */
static int serve(const struct codec_worker *w, struct codec *codec, const struct codec_message *request) {
    switch (request->word) {
    case CODEC_ENCODE_RESET:
        codec_encode_reset(codec);
        return 1;
    case CODEC_DECODE_BEGIN:
        return begin_decoding(w, codec, (size_t)request->bytes);
    case CODEC_ENCODE:
        return encode(w, codec, request->frames);
    case CODEC_DECODE:
        return decode(w, codec, request->frames, (size_t)request->bytes);
    }
    return 0;
}

/* ---- the process ---- */

static int open_device(const struct codec_worker *w) {
    device_use(w->device);
    TRY(device_init(w->threads));
    if (!device_exists(w->device))
        return error_set(ERR_USAGE, "decoder_device=%d: this machine has no GPU of that number (the first is 0)",
                         w->device);
    return OK;
}

static int open_codec(const struct codec_worker *w, struct codec *codec) {
    struct memory_plan plan = {.out = stderr};
    TRY(open_device(w));
    TRY(student_plan_codec(w->description, &plan, &plan));
    return student_open_codec(codec, w->folder, w->description);
}

static int greet(const struct codec_worker *w, const struct codec *codec, int code) {
    struct codec_message answer = {.code = code};
    struct codec_hello hello = {.channels = codec->channels, .h = codec->h, .w = codec->w};
    snprintf(hello.name, sizeof hello.name, "%s", codec->name);
    if (code) snprintf(answer.text, sizeof answer.text, "%s", error_text());
    return send_answer(w, &answer, &hello, sizeof hello);
}

int codec_worker_run(struct codec_worker *w) {
    struct codec codec = {0};
    struct codec_message request = {0};
    size_t bytes = (size_t)w->capacity * 3 * (size_t)w->description->pixel_height * (size_t)w->description->pixel_width;
    stand_alone(w);
    int code = open_codec(w, &codec);
    device_pin(w->shared, bytes);
    int there = greet(w, &codec, code);
    while (there && !code && request.word != CODEC_END) {
        there = codec_wire_receive(w->fd, &request, sizeof request, NULL, NULL) == WIRE_FINE;
        if (there && request.word != CODEC_END) there = serve(w, &codec, &request);
    }
    if (!there) fprintf(stderr, "stream: the process that this one decodes for is gone\n");
    device_unpin(w->shared);
    if (codec.operations) codec_close(&codec);
    device_shutdown();
    return there ? code : ERR_DEVICE;
}
