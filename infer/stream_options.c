/* stream_options.c: see stream_options.h. */
#include "infer/stream_options.h"

#include <string.h>

#include "base/error.h"
#include "infer/student_fields.h"

static const char *const masks[] = {"voice", "always", "file", NULL};
static const char *const overlaps[] = {"auto", "on", "off", NULL};
static const char *const graphs[] = {"on", "off", NULL};
static const char *const sinks[] = {"trained", "on", "off", NULL};

#define FIELDS_OF struct stream_options
const struct config_field stream_fields[] = {
    TEXT("reference", reference, NULL,
         "Picture of the person (PNG, JPEG, WebP; not HDR), or a video whose first frame is taken."),
    TEXT("audio", audio, NULL,
         "The agent's sound: any file, pipe or FIFO; - for standard input: wav, FLAC, Ogg or another file, else raw "
         "16-bit PCM at 16 kHz."),
    TEXT("user", user, "", "The other party's sound; without it the right channel of a stereo `audio`, or nobody."),
    INT("channels", channels, 1, 2, "1", "Channels of raw PCM; with 2 the left is the agent, the right the user."),
    TEXT("out", out, "'null'",
         "FILE.mp4 (or .m4v, .mov, .mkv, .webm, .avi, .gif), - for raw rgb24 frames on standard output, null for "
         "timing alone."),
    CHOICE("talk", talk, masks, "voice", "Who speaks when: by voice activity, always, or as the file `mask` says."),
    TEXT("mask", mask, "", "CSV file with a line talk,listen a video frame (with talk=file)."),
    REAL("seconds", seconds, 0, 1e9, "0", "Stops after this much video; 0 goes on to the sound's end."),
    LONG("seed", seed, 0, 9e15, "1", "Seed of the noise; the same seed and sound give the same video."),
    THREADS_FIELD,
    CHOICE(
        "overlap", overlap, overlaps, "auto",
        "Decodes a chunk while the network works on the next; auto does so where the device has streams for that, or a "
        "process of its own decodes."),
    INT("decoder_device", decoder_device, -1, 63, "-1",
        "GPU of a second process that decodes, so that the network has the first GPU (0) for itself: 1 takes the "
        "second one. "
        "-1 decodes in this process. Built for the CPU, any number from 0 on makes the second process, on the same "
        "cores."),
    STUDENT_FIELDS(graphs),
    CHOICE("sink", sink, sinks, "trained", "The reference sink; with off the reference is evicted like any frame."),
    CHOICE("rapr", rapr, sinks, "trained", "Reference-anchored positions; with off temporal positions are absolute."),
};
const int stream_field_count = FIELDS(stream_fields);

int stream_options_check(const struct stream_options *options) {
    if (options->talk == MASK_FILE && !options->mask[0]) return error_set(ERR_USAGE, "talk=file needs mask=FILE.csv");
    if (!options->reference[0] || !options->audio[0])
        return error_set(ERR_USAGE, "reference= and audio= must be given");
    if (!strcmp(options->audio, "-") && !strcmp(options->user, "-"))
        return error_set(ERR_USAGE, "both parties from standard input: use audio=- channels=2");
    return OK;
}
