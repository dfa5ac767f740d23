/* load.c: drives a live server as an audience would: visitors come and go, talk, interrupt, lose their connection and
   read too slowly (docs/serving.md, "How many people that is"). Links no HDF5, no MPI. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/interrupt.h"
#include "infer/load/drive.h"
#include "infer/load/load_report.h"
#include "infer/serve/access.h"
#include "infer/serve/reference.h"

static struct load_options options;
static struct tally tally;
static struct company company = {.tally = &tally};

/* ---- the plan ---- */

static void list_visits(const struct visit *visits, long count) {
    printf("visit,at_s,stay_s,kind,slow,breaks_s\n");
    for (long i = 0; i < count; i++) {
        const struct visit *v = visits + i;
        printf("%ld,%.3f,%.3f,%s,%d,", i, v->at, v->stay, v->brief ? "short" : "engaged", v->slow);
        printf(v->breaks < 0 ? "\n" : "%.3f\n", v->breaks);
    }
}

/* ---- the run ---- */

static int open_company(char **picture) {
    static char reference[80];
    company.audience = &options.audience;
    company.codecs = options.codecs;
    company.reference = *options.picture ? "upload" : *options.person ? reference : "default";
    snprintf(reference, sizeof reference, "person:%s", options.person);
    company_open(&company);
    if (!*options.picture) return OK;
    TRY(file_read(options.picture, REFERENCE_BYTES_MAX, picture, &company.picture_bytes));
    company.picture = (const unsigned char *)*picture;
    return company.picture_bytes ? OK : error_set(ERR_INPUT, "%s: it is empty", options.picture);
}

static int find_server(struct target *target, const char *text, char **metrics) {
    struct access access = {.address = "127.0.0.1"}; /* loopback, so that no token is required here: the server says */
    TRY(target_parse(target, text));
    TRY(access_token(&access, options.token_file));
    snprintf(target->token, sizeof target->token, "%s", access.token);
    return target_get(target, "/metrics", metrics);
}

static int run(const struct target *target, const struct visit *visits, long count, struct load_result *result) {
    char *picture = NULL, *after = NULL;
    int code = open_company(&picture);
    if (!code) code = drive(&company, target, &options, visits, count);
    free(picture);
    if (!code) code = target_get(target, "/metrics", &after);
    if (code) return error_context(code, "after %ld visits", tally.visits);
    result->tally = &tally;
    result->after = after;
    report_run(stdout, result);
    return OK;
}

/* ---- both ---- */

static int load(const char *server) {
    struct load_result result = {.options = &options, .places = options.sessions};
    struct target target;
    struct visit *visits = NULL;
    char *before = NULL;
    long count = 0;
    int code = audience_check(&options.audience);
    if (!code && !server && options.plan == PLAN_RUN)
        code = error_set(ERR_USAGE, "expected the server's address, or plan=only");
    if (!code && options.plan == PLAN_RUN) code = find_server(&target, server, &before);
    if (!code && before && !result.places) result.places = (int)metrics_value(before, "sessions_capacity");
    if (!code) code = audience_plan(&options.audience, &visits, &count);
    if (!code)
        code = forecast(&result.forecast, visits, count, result.places, options.queue, 60 * options.audience.minutes);
    if (!code) {
        if (options.plan == PLAN_LIST) list_visits(visits, count);
        report_plan(options.plan == PLAN_LIST ? stderr : stdout, &result);
        fflush(stdout);
        result.before = before;
        if (options.plan == PLAN_RUN) code = run(&target, visits, count, &result);
    }
    if (!code && *options.out) code = report_write(options.out, &result);
    free(visits);
    free(before);
    free((char *)result.after);
    return code;
}

int main(int argc, char **argv) {
    const struct command command = {
        .name = "load",
        .does = "Drives a live server as an audience would, and measures what it gives.",
        .words = "[URL|HOST:PORT]",
        .min_words = 0,
        .max_words = 1,
        .text =
            "Visitors come at random, stay briefly or long, take turns in talking, interrupt, lose their connection\n"
            "and come back; docs/serving.md says where the figures are from. Start the server with connections= of at\n"
            "least as many as there are visitors at once. Exit code 5 means that the server cannot be reached.\n",
        .keys = load_fields,
        .key_count = load_field_count};
    struct args args;
    int code = args_parse(&args, &command, &options, argc, argv);
    if (code || args.done) return args_exit("load", code);
    interrupt_watch();
    signal(SIGPIPE, SIG_IGN);
    return args_exit("load", load(args.word_count ? args.words[0] : NULL));
}
