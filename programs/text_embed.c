/* text_embed.c: the program that makes prompts' embeddings: text_embed WEIGHTS TOKENIZER OUT.safetensors PROMPT ...
   WEIGHTS is a UMT5 encoder (checkpoints/text_encoder.h), TOKENIZER its SentencePiece model, OUT a file of prompts
   (checkpoints/prompt_file.h) with the empty prompt added; the first PROMPT is its default. With --ids each PROMPT is
   followed by its token numbers ("309,12,1"), the end of the sentence included, and TOKENIZER is not opened. --tokens prints
   the numbers and stops. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/progress.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/text_encoder.h"
#include "checkpoints/tokenizer.h"
#include "kernels/device.h"

enum { TOKENS_MAX = 1 << 16, LIST_MAX = 1 << 24, END_OF_SENTENCE = 1 };

struct embedding { /* a prompt on its way */
    char *clean;
    int *ids, length;
};
struct text_embed {
    const char *weights, *tokenizer, *out, *type, *most, *list, *threads;
    int given_ids, only_tokens;
    int tokens_max;
    int vocabulary; /* the tokenizer's; 0: not opened */
    struct embedding *prompts;
    int count;
};

static int to_number(const char *option, const char *text, int low, int high, int *value) {
    char *end;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < low || n > high)
        return error_set(ERR_USAGE, "--%s %.40s: expected %d to %d", option, text, low, high);
    *value = (int)n;
    return OK;
}

/* "309,12,1" */
static int parse_ids(const char *text, int most, int *ids, int *length) {
    *length = 0;
    for (const char *at = text;; at++) {
        char *end;
        long id = strtol(at, &end, 10);
        if (end == at || id < 0 || id > 1 << 30 || (*end && *end != ','))
            return error_set(ERR_USAGE, "token numbers \"%.60s\": expected such as 309,12,1", text);
        if (*length == most) return error_set(ERR_USAGE, "token numbers \"%.60s\": more than %d", text, most);
        ids[(*length)++] = (int)id;
        at = end;
        if (!*at) return OK;
    }
}

/* Appends a prompt; ids NULL: the tokenizer's. A prompt that is there already is passed over. */
static int add_prompt(struct text_embed *t, const struct tokenizer *tokenizer, const char *text, const char *ids) {
    struct embedding *more = realloc(t->prompts, sizeof *more * (size_t)(t->count + 1));
    if (!more) return error_set(ERR_DEVICE, "out of memory");
    t->prompts = more;
    struct embedding *p = &t->prompts[t->count];
    *p = (struct embedding){.ids = malloc(sizeof *p->ids * (size_t)t->tokens_max)};
    t->count++;
    if (!p->ids) return error_set(ERR_DEVICE, "out of memory");
    TRY(prompt_clean(text, &p->clean));
    for (int i = 0; i + 1 < t->count; i++)
        if (!strcmp(t->prompts[i].clean, p->clean)) {
            free(p->clean);
            free(p->ids);
            t->count--;
            return OK;
        }
    if (ids) return parse_ids(ids, t->tokens_max, p->ids, &p->length);
    int cut;
    TRY(tokenizer_encode(tokenizer, p->clean, t->tokens_max, p->ids, &p->length, &cut));
    if (cut)
        log_line("\"%.40s...\": %d tokens are more than %d: the last %d are left out", p->clean, p->length + cut,
                 t->tokens_max, cut);
    return OK;
}

/* One prompt a line; empty lines are passed over. */
static int add_list(struct text_embed *t, const struct tokenizer *tokenizer) {
    char *text;
    TRY(file_read(t->list, LIST_MAX, &text, NULL));
    int code = OK;
    for (char *next = text, *line; !code && (line = strsep(&next, "\n"));)
        if (line[strspn(line, " \t\r")]) code = add_prompt(t, tokenizer, line, NULL);
    free(text);
    return code;
}

static int add_all(struct text_embed *t, const struct tokenizer *tokenizer, const char *const *words, int count) {
    if (t->given_ids) {
        char end[16];
        if (count % 2) return error_set(ERR_USAGE, "--ids: every prompt must be followed by its token numbers");
        for (int i = 0; i < count; i += 2) TRY(add_prompt(t, NULL, words[i], words[i + 1]));
        snprintf(end, sizeof end, "%d", END_OF_SENTENCE);
        return add_prompt(t, NULL, "", end);
    }
    for (int i = 0; i < count; i++) TRY(add_prompt(t, tokenizer, words[i], NULL));
    if (t->list) TRY(add_list(t, tokenizer));
    return add_prompt(t, tokenizer, "", NULL);
}

static int read_prompts(struct text_embed *t, const char *const *words, int count) {
    struct tokenizer *tokenizer = NULL;
    if (t->given_ids && t->list) return error_set(ERR_USAGE, "--ids and --list do not go together");
    if (!count && !t->list) return error_set(ERR_USAGE, "no prompt is given");
    if (!t->given_ids) TRY(tokenizer_open(&tokenizer, t->tokenizer));
    if (tokenizer) t->vocabulary = tokenizer_vocabulary(tokenizer);
    int code = add_all(t, tokenizer, words, count);
    tokenizer_close(tokenizer);
    return code;
}

static void print_tokens(const struct text_embed *t) {
    for (int i = 0; i < t->count; i++) {
        for (int k = 0; k < t->prompts[i].length; k++) printf("%s%d", k ? "," : "", t->prompts[i].ids[k]);
        printf("\t%s\n", t->prompts[i].clean);
    }
}

/* All prompts in one go, so that the weights are read once. */
static int encode(const struct text_embed *t, struct text_encoder *encoder, float **out) {
    long tokens = 0, longest = 0, at = 0;
    int *ids = NULL, *length = calloc((size_t)t->count, sizeof *length);
    for (int i = 0; i < t->count; i++) {
        tokens += t->prompts[i].length;
        if (t->prompts[i].length > longest) longest = t->prompts[i].length;
    }
    ids = malloc(sizeof *ids * (size_t)tokens);
    *out = malloc(sizeof **out * (size_t)tokens * (size_t)encoder->net.config.dim);
    int code = ids && length && *out ? OK : error_set(ERR_DEVICE, "out of memory for %ld tokens", tokens);
    for (int i = 0; i < t->count && !code; i++) {
        length[i] = t->prompts[i].length;
        memcpy(ids + at, t->prompts[i].ids, sizeof *ids * (size_t)length[i]);
        at += length[i];
    }
    if (!code) text_encoder_plan(encoder, tokens, longest, stderr);
    if (!code) code = text_encoder_encode(encoder, ids, length, t->count, *out);
    free(ids);
    free(length);
    return code;
}

static int write_file(const struct text_embed *t, const float *values, int dim) {
    struct prompt_rows *rows = calloc((size_t)t->count, sizeof *rows);
    const int **ids = calloc((size_t)t->count, sizeof *ids);
    int code = rows && ids ? OK : error_set(ERR_DEVICE, "out of memory");
    for (int i = 0; i < t->count && !code; i++) {
        rows[i] = (struct prompt_rows){t->prompts[i].clean, t->prompts[i].length, values};
        ids[i] = t->prompts[i].ids;
        values += (long)t->prompts[i].length * dim;
    }
    if (!code) code = prompt_file_write(t->out, rows, t->count, dim, strcmp(t->type, "f32") ? ST_BF16 : ST_F32, 0, ids);
    free(rows);
    free(ids);
    return code;
}

static int embed(struct text_embed *t) {
    struct text_encoder encoder;
    float *values = NULL;
    double start = clock_seconds();
    TRY(text_encoder_open(&encoder, t->weights));
    const struct umt5_config *c = &encoder.net.config;
    log_line("%s: %zu parameters, %d layers of width %d", t->weights, encoder.net.table.values, c->layers, c->dim);
    int code = OK;
    if (t->vocabulary > c->vocab)
        code = error_set(ERR_INPUT, "%s: has %d tokens, the encoder's table only %ld: they do not belong together",
                         t->tokenizer, t->vocabulary, c->vocab);
    if (!code) code = encode(t, &encoder, &values);
    if (!code) code = write_file(t, values, c->dim);
    if (!code) log_line("%s: %d prompts, %.1f s", t->out, t->count, clock_seconds() - start);
    free(values);
    text_encoder_close(&encoder);
    return code;
}

static int run(struct text_embed *t, const struct args *args) {
    int threads;
    if (strcmp(t->type, "f32") && strcmp(t->type, "bf16"))
        return error_set(ERR_USAGE, "--type %.40s: expected bf16 or f32", t->type);
    TRY(to_number("tokens-max", t->most, 1, TOKENS_MAX, &t->tokens_max));
    TRY(to_number("threads", t->threads, 0, 1024, &threads));
    t->weights = args->words[0];
    t->tokenizer = args->words[1];
    t->out = args->words[2];
    TRY(read_prompts(t, args->words + 3, args->word_count - 3));
    if (t->only_tokens) return print_tokens(t), OK;
    TRY(device_init(threads));
    return embed(t);
}

int main(int argc, char **argv) {
    struct text_embed t = {.type = "bf16", .most = "512", .threads = "0"};
    struct args args;
    const struct args_option options[] = {
        {"list", "FILE", NULL, &t.list, "more prompts, one a line"},
        {"type", "TYPE", NULL, &t.type, "bf16 (default) or f32"},
        {"tokens-max", "N", NULL, &t.most, "longer prompts are cut (512, as Wan was trained)"},
        {"ids", NULL, &t.given_ids, NULL, "every PROMPT is followed by its token numbers; TOKENIZER is not opened"},
        {"tokens", NULL, &t.only_tokens, NULL, "print token numbers and cleaned prompts, and stop"},
        {"threads", "N", NULL, &t.threads, "0 (default): all cores"},
    };
    enum { OPTIONS = sizeof options / sizeof *options };
    const char *usage = "text_embed WEIGHTS TOKENIZER OUT.safetensors [options] [--] PROMPT ...";
    int code = args_parse(&args, argc, argv, options, OPTIONS, 3, ARGS_MAX);
    if (code) return args_fail("text_embed", code);
    if (args.help) return args_help(usage, options, OPTIONS, stdout), 0;
    code = args.override_count ? error_set(ERR_USAGE, "%.60s: write -- in front of prompts with =", args.overrides[0])
                               : run(&t, &args);
    for (int i = 0; i < t.count; i++) {
        free(t.prompts[i].clean);
        free(t.prompts[i].ids);
    }
    free(t.prompts);
    return code ? args_fail("text_embed", code) : 0;
}
