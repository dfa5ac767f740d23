/* stream_options.c: see stream_options.h. */
#include "infer/stream_options.h"

#include <string.h>

#include "base/error.h"
#include "infer/student_fields.h"

static const char *const masks[] = {"voice", "always", "file", NULL};
static const char *const overlaps[] = {"auto", "on", "off", NULL};
static const char *const sinks[] = {"trained", "on", "off", NULL};

#define FIELDS_OF struct stream_options
const struct config_field stream_fields[] = {
    TEXT("reference", reference, "",
         "Picture of the person (PNG, JPEG, WebP; not HDR), or a video whose first frame is taken. Must be given, "
         "except "
         "with --plan."),
    TEXT("audio", audio, "",
         "The agent's sound, which must be given, except with --plan: any file, pipe or FIFO, or - for standard input, "
         "where all that does not begin like WAV, "
         "FLAC, Ogg or another media file is taken as raw 16-bit PCM at 16 kHz."),
    TEXT("user", user, "",
         "The other party's sound. Left out, the right channel of a stereo `audio` is that party; a mono `audio` has "
         "none."),
    INT("channels", channels, 1, 2, "1", "Channels of raw PCM; with 2 the left is the agent, the right the user."),
    TEXT("out", out, "'null'",
         "Video file to write (.mp4, .m4v, .mov, .mkv, .webm, .avi or .gif); - writes raw rgb24 frames to standard "
         "output; null writes nothing and only measures times."),
    CHOICE(
        "talk", talk, masks, "voice",
        "Who speaks when: voice finds out by voice activity, always lets every party speak throughout, file reads it "
        "from `mask`."),
    TEXT("mask", mask, "", "CSV file with one line talk,listen for each video frame; needed with talk=file."),
    TEXT(
        "changes", changes, "",
        "CSV file of changes while streaming, a line time,what,value each. What is reference (the value is a picture), "
        "prompt, or talk or listen (how strongly that party's sound acts, 0 to 5; 1 is as trained). A change takes "
        "effect with the first chunk that begins at its time, in seconds of video, or later."),
    REAL("seconds", seconds, 0, 1e9, "0", "Seconds of video after which to stop; 0 goes on to the sound's end."),
    LONG("seed", seed, 0, 9e15, "1", "Seed of the noise; the same seed and sound give the same video."),
    THREADS_FIELD,
    CHOICE("overlap", overlap, overlaps, "auto",
           "Whether a chunk is decoded while the network already works on the next; auto does so where the device has "
           "streams for that, and where a process of its own decodes."),
    INT("decoder_device", decoder_device, -1, 63, "-1",
        "GPU on which a second process decodes, so that the network has the first GPU (0) for itself; 1 takes the "
        "second GPU. -1 decodes in this process. A program built for the CPU starts the second process for any number "
        "from 0 on, on the same cores."),
    STUDENT_FIELDS,
    CHOICE("sink", sink, sinks, "trained",
           "Whether the reference stays in the network's memory for good (the reference sink); off evicts it like any "
           "other frame, trained does as in training."),
    CHOICE("rapr", rapr, sinks, "trained",
           "Whether temporal positions are counted relative to the reference (RAPR); off makes them absolute, trained "
           "does as in training."),
};
const int stream_field_count = FIELDS(stream_fields);

int stream_options_check(const struct stream_options *options) {
    if (options->talk == MASK_FILE && !options->mask[0]) return error_set(ERR_USAGE, "talk=file needs mask=FILE.csv");
    if (!options->reference[0] || !options->audio[0])
        return error_set(ERR_USAGE, "reference= and audio= must be given");
    if (!strcmp(options->audio, "-") && !strcmp(options->user, "-"))
        return error_set(ERR_USAGE, "audio and user cannot both be standard input: use audio=- channels=2");
    return OK;
}
