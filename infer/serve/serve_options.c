/* serve_options.c: see serve_options.h. */
#include "infer/serve/serve_options.h"

#include "infer/serve/video_encoder.h"
#include "infer/student_fields.h"

static const char *const idles[] = {"auto", "student", "loop", NULL};
static const char *const graphs[] = {"on", "off", NULL};

#define FIELDS_OF struct serve_options
const struct config_field serve_fields[] = {
    TEXT("address", address, "127.0.0.1", "Address to listen on; any but a loopback address needs a token."),
    INT("port", port, 0, 65535, "8080", "TCP port; 0 takes a free one and prints it."),
    TEXT("hosts", hosts, "",
         "Further names by which clients may call the server, with commas between: a proxy's, say."),
    TEXT("token_file", token_file, "",
         "File with the token that clients must show; without it the environment's STREAMAVATAR_TOKEN."),
    TEXT("reference", reference, "", "Picture of the person for clients that bring none (PNG, JPEG)."),
    TEXT("persons", persons, "", "Folder of pictures that clients may choose from by name."),
    TEXT("agent", agent, "",
         "Who speaks for sessions that ask for it: say speaks typed words, echo says what the user says, all else is a "
         "command line for the shell (docs/serving.md); empty: clients bring the agent's speech themselves."),
    CHOICE("encoder", encoder, encoder_names, "auto",
           "Encoder of the live video; auto takes the first that works here for a codec that the client decodes."),
    CHOICE(
        "idle", idle, idles, "auto",
        "What is shown while nobody speaks: the student's own pictures, or a loop from the reference; auto takes the "
        "student's where at least 5 % of its training frames had nobody speaking (export says it)."),
    INT("sessions", sessions, 0, 4096, "0",
        "Sessions at once; 0 takes 0.9 over the real-time factor that is measured at the start, rounded down."),
    INT("queue", queue, 0, 1024, "8", "Clients that may wait for a place."),
    INT("connections", connections, 1, 65536, "16", "Connections that one host may hold."),
    REAL("keep", keep, 0, 3600, "60", "Seconds that a session is kept after its connection broke."),
    INT("threads", threads, 0, 1024, "0", "Threads that compute; 0 takes all cores but one, which encodes and serves."),
    STUDENT_FIELDS(graphs),
};
const int serve_field_count = FIELDS(serve_fields);
