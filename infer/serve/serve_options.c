/* serve_options.c: see serve_options.h. */
#include "infer/serve/serve_options.h"

#include "infer/serve/video_encoder.h"
#include "infer/student_fields.h"

static const char *const idles[] = {"auto", "student", "loop", NULL};

#define FIELDS_OF struct serve_options
const struct config_field serve_fields[] = {
    TEXT("address", address, "127.0.0.1",
         "Address to listen on; any but a loopback address requires a token (token_file)."),
    INT("port", port, 0, 65535, "8080", "TCP port; 0 takes a free one and prints it."),
    TEXT("hosts", hosts, "",
         "Further host names by which clients may call the server, a proxy's for example, separated by commas."),
    TEXT("token_file", token_file, "",
         "File with the token that clients must show; left out, the environment variable STREAMAVATAR_TOKEN is it."),
    TEXT("reference", reference, "", "Picture of the person (PNG, JPEG) for clients that bring none."),
    TEXT("persons", persons, "", "Folder of pictures that clients may choose from by name."),
    TEXT("agent", agent, "",
         "Who speaks in sessions that ask for an agent: say speaks typed words, echo repeats what the user says, "
         "anything else is a command line for the shell (docs/serving.md). Empty: clients bring the agent's speech "
         "themselves."),
    CHOICE("encoder", encoder, encoder_names, "auto",
           "Encoder of the live video; auto takes the first that works here for a codec that the client decodes."),
    CHOICE(
        "idle", idle, idles, "auto",
        "What is shown while nobody speaks: the student's own pictures, or a loop made from the reference. auto takes "
        "the student's where nobody spoke in at least 5 % of its training frames (export prints that share)."),
    INT("sessions", sessions, 0, 4096, "0",
        "Sessions that run at once; 0 takes 0.9 divided by the real-time factor measured at the start, rounded down."),
    INT("queue", queue, 0, 1024, "8", "Clients that may wait for a place while all sessions are taken."),
    INT("connections", connections, 1, 65536, "16", "Connections that one host may hold at once."),
    REAL("keep", keep, 0, 3600, "60",
         "Seconds for which a session is kept after its connection broke, so that its client may come back."),
    INT("threads", threads, 0, 1024, "0",
        "Threads that compute; 0 takes all cores but one, which is left for encoding and serving."),
    STUDENT_FIELDS,
};
const int serve_field_count = FIELDS(serve_fields);
