/* serve.c: a server of live avatars: one student, many sessions, HTTP and WebSocket on one port (docs/protocol.md,
   docs/serving.md). Links no HDF5, no MPI. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "infer/serve/network.h"
#include "kernels/device.h"

static struct server server;
static struct network *network;

static void on_signal(int number) {
    (void)number;
    network_stop(network);
}

/* Threads that compute: all cores but one, which is left for encoding and serving. */
static int threads(const struct serve_options *o) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return o->threads ? o->threads : cores > 2 ? (int)cores - 1 : 1;
}

static int serve(const char *folder) {
    struct access access = {.token = ""};
    const struct serve_options *o = &server.options;
    snprintf(access.address, sizeof access.address, "%s", o->address);
    snprintf(access.hosts, sizeof access.hosts, "%s", o->hosts);
    TRY(access_token(&access, o->token_file));
    TRY(device_init(threads(o)));
    struct memory_plan plan = {.out = stderr};
    TRY(server_open(&server, folder, &plan));
    memory_plan_total(&plan);
    TRY(network_open(&network, &server, &access));
    signal(SIGINT, on_signal); /* set only now: earlier there are no clients to take leave of, and signals end us */
    signal(SIGTERM, on_signal);
    log_line("event=server.ready address=%s port=%d sessions=%d real_time_factor=%.4f chunk_ms=%.1f", o->address,
             network_port(network), server.capacity, server.real_time_factor, 1e3 * server.chunk_seconds);
    printf("http://%s:%d/\n", o->address, network_port(network)); /* tells the port where port=0 took a free one */
    fflush(stdout);
    network_run(network);
    log_line("event=server.stopping");
    return OK;
}

int main(int argc, char **argv) {
    const struct command command = {.name = "serve",
                                    .does = "Serves a student as live avatars over HTTP and WebSocket.",
                                    .words = "STUDENT_FOLDER",
                                    .min_words = 1,
                                    .max_words = 1,
                                    .plans = 1,
                                    .text =
                                        "STUDENT_FOLDER is what export wrote. The address of the page is printed on "
                                        "standard output.\n"
                                        "docs/protocol.md has the protocol, docs/serving.md what a public server "
                                        "needs.\n",
                                    .keys = serve_fields,
                                    .key_count = serve_field_count};
    struct args args;
    int code = args_parse(&args, &command, &server.options, argc, argv);
    if (code || args.done) return args_exit("serve", code);
    if (args.plan) {
        struct memory_plan plan = {.out = stdout};
        return args_exit("serve", server_plan(&server.options, args.words[0], &plan));
    }
    signal(SIGPIPE, SIG_IGN);
    code = serve(args.words[0]);
    server_close(&server);
    network_close(network);
    return args_exit("serve", code);
}
