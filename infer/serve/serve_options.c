/* serve_options.c: see serve_options.h. */
#include "infer/serve/serve_options.h"

#include <stddef.h>

#include "base/config.h"
#include "infer/serve/video_encoder.h"

static const char *const idles[] = {"auto", "student", "loop", NULL};
static const char *const graphs[] = {"on", "off", NULL};

#define AT(field) offsetof(struct serve_options, field)
#define TEXT(name, fallback, help)                                                                                     \
    { #name, CONFIG_STRING, AT(name), 0, 0, fallback, NULL, sizeof((struct serve_options *)0)->name, 0, help }
static const struct config_field fields[] = {
    TEXT(address, "127.0.0.1", "Address to listen on; any but a loopback address needs a token."),
    {"port", CONFIG_INT, AT(port), 0, 65535, "8080", NULL, 0, 0, "TCP port; 0 takes a free one and prints it."},
    TEXT(hosts, "''", "Further names by which clients may call the server, with commas between; a proxy's, say."),
    TEXT(token_file, "''",
         "File with the token that clients must show; without it the environment's STREAMAVATAR_TOKEN."),
    TEXT(reference, "''", "Picture of the person for clients that bring none (PNG, JPEG)."),
    TEXT(persons, "''", "Folder of pictures that clients may choose from by name."),
    {"encoder", CONFIG_CHOICE, AT(encoder), 0, 0, "auto", encoder_names, 0, 0,
     "Encoder of the live video; auto takes the first that works here for a codec that the client decodes."},
    {"idle", CONFIG_CHOICE, AT(idle), 0, 0, "auto", idles, 0, 0,
     "What is shown while nobody speaks: the student's own pictures, a loop from the reference, or (auto) the "
     "student's where "
     "it was trained to listen."},
    {"sessions", CONFIG_INT, AT(sessions), 0, 4096, "0", NULL, 0, 0,
     "Sessions at once; 0: 0.9 over the real-time factor that is measured at the start, rounded down."},
    {"queue", CONFIG_INT, AT(queue), 0, 1024, "8", NULL, 0, 0, "Clients that may wait for a place."},
    {"connections", CONFIG_INT, AT(connections), 1, 65536, "16", NULL, 0, 0, "Connections that one host may hold."},
    {"keep", CONFIG_REAL, AT(keep), 0, 3600, "60", NULL, 0, 0,
     "Seconds that a session is kept after its connection broke."},
    {"threads", CONFIG_INT, AT(threads), 0, 1024, "0", NULL, 0, 0,
     "Threads of the network's computation; 0: all cores but one, which encodes and serves."},
    {"graphs", CONFIG_CHOICE, AT(graphs), 0, 0, "on", graphs, 0, 0,
     "Passes of the network are recorded and replayed, where the device does that; off: queued kernel by kernel."},
    TEXT(decoder, "''", "Light decoder in place of the codec's own: a safetensors file."),
    TEXT(codec_weights, "''", "File of the codec's weights (wan21, wan22), when it is not where the student says."),
    TEXT(audio_weights, "''", "Checkpoint of the student's audio encoder, when it is not where it was in training."),
    TEXT(text, "''", "File of prompts' embeddings; without one the student's own."),
    TEXT(prompt, "''", "Which prompt of that file is meant; empty: its default."),
};
enum { FIELDS = sizeof fields / sizeof *fields };

int serve_options_read(struct serve_options *options, const char *const *overrides, int count) {
    return config_load(options, fields, FIELDS, NULL, overrides, count);
}

void serve_options_describe(void) { config_describe(fields, FIELDS, stdout); }
