/* stream_options.c: see stream_options.h. */
#include "infer/stream_options.h"

#include <string.h>

#include "base/config.h"
#include "base/error.h"

static const char *const masks[] = {"voice", "always", "file", NULL};
static const char *const overlaps[] = {"auto", "on", "off", NULL};
static const char *const graphs[] = {"on", "off", NULL};
static const char *const sinks[] = {"trained", "on", "off", NULL};

#define AT(field) offsetof(struct stream_options, field)
#define TEXT(name, fallback, help)                                                                                     \
    { #name, CONFIG_STRING, AT(name), 0, 0, fallback, NULL, sizeof((struct stream_options *)0)->name, 0, help }
static const struct config_field fields[] = {
    TEXT(reference, NULL, "picture of the person (PNG, JPEG), or a video whose first frame is taken"),
    TEXT(audio, NULL, "the agent's sound: any file, or - for raw 16-bit PCM at 16 kHz on standard input"),
    TEXT(user, "''", "the other party's sound; without it the right channel of a stereo `audio`, or nobody"),
    {"channels", CONFIG_INT, AT(channels), 1, 2, "1", NULL, 0, 0, "channels of raw PCM (2: left agent, right user)"},
    TEXT(out, "'null'", "FILE.mp4, - for raw rgb24 frames on standard output, null for timing alone"),
    {"talk", CONFIG_CHOICE, AT(talk), 0, 0, "voice", masks, 0, 0,
     "who speaks when: by voice activity, always, or `mask`"},
    TEXT(mask, "''", "CSV file, a line a video frame: talk,listen (with talk=file)"),
    {"seconds", CONFIG_REAL, AT(seconds), 0, 1e9, "0", NULL, 0, 0, "stop after this much video; 0: at the sound's end"},
    {"seed", CONFIG_LONG, AT(seed), 0, 9e15, "1", NULL, 0, 0, "of the noise"},
    {"threads", CONFIG_INT, AT(threads), 0, 1024, "0", NULL, 0, 0, "0: all cores"},
    {"overlap", CONFIG_CHOICE, AT(overlap), 0, 0, "auto", overlaps, 0, 0,
     "decode a chunk while the network works on the next; auto: where the device has streams for that"},
    {"graphs", CONFIG_CHOICE, AT(graphs), 0, 0, "on", graphs, 0, 0,
     "off: every pass of the network is queued kernel by kernel; on: recorded and replayed, where the device does "
     "that"},
    TEXT(text, "''", "safetensors file of prompts' embeddings (text_embed); without one the student's own"),
    TEXT(prompt, "''", "which prompt of the file is meant; empty: its default"),
    TEXT(decoder, "''", "light decoder in place of the codec's own: a safetensors file (bin/light_decoder writes one)"),
    TEXT(codec_weights, "''", "file of the codec's weights (wan21, wan22), when it is not where the student says"),
    {"sink", CONFIG_CHOICE, AT(sink), 0, 0, "trained", sinks, 0, 0, "off: the reference is evicted like any frame"},
    TEXT(audio_weights, "''", "checkpoint of the student's audio encoder, if it is not where it was in training"),
    {"rapr", CONFIG_CHOICE, AT(rapr), 0, 0, "trained", sinks, 0, 0, "off: absolute temporal positions"},
};
enum { FIELDS = sizeof fields / sizeof *fields };

int stream_options_read(struct stream_options *options, const char *const *overrides, int count) {
    TRY(config_load(options, fields, FIELDS, NULL, overrides, count));
    if (options->talk == MASK_FILE && !options->mask[0]) return error_set(ERR_USAGE, "talk=file needs mask=FILE.csv");
    if (!options->reference[0] || !options->audio[0])
        return error_set(ERR_USAGE, "reference= and audio= must be given");
    if (!strcmp(options->audio, "-") && !strcmp(options->user, "-"))
        return error_set(ERR_USAGE, "both parties from standard input: use audio=- channels=2");
    return OK;
}

void stream_options_describe(void) { config_describe(fields, FIELDS, stdout); }
