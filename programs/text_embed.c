/* text_embed.c: the program that makes prompts' embeddings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "checkpoints/prompt_file.h"
#include "checkpoints/text_encoder.h"
#include "checkpoints/tokenizer.h"
#include "kernels/device.h"

enum { TOKENS_MAX = 1 << 16, LIST_MAX = 1 << 24, END_OF_SENTENCE = 1 };

struct embedding { /* a prompt and its tokens */
    char *clean;
    int *ids, length;
};
struct text_embed {
    const char *weights, *tokenizer, *out;
    char list[FILE_PATH_MAX];
    int type, tokens_max, ids, tokens, threads;
    int vocabulary; /* the tokenizer's; 0: not opened */
    struct embedding *prompts;
    int count;
};
static const char *const type_names[] = {"bf16", "f32", NULL};
#define FIELDS_OF struct text_embed
static const struct config_field keys[] = {
    TEXT("list", list, "", "File of more prompts, one a line."),
    CHOICE("type", type, type_names, "bf16", "Number type of the embeddings."),
    INT("tokens_max", tokens_max, 1, TOKENS_MAX, "512",
        "Longer prompts are cut to so many tokens; Wan was trained with 512."),
    FLAG("ids", ids, "no",
         "Every PROMPT is followed by its token numbers (309,12,1), the end of the sentence included, and "
         "TOKENIZER is not opened."),
    FLAG("tokens", tokens, "no", "Prints token numbers and cleaned prompts, and stops."),
    THREADS_FIELD,
};
static const struct command command = {.name = "text_embed",
                                       .does = "Writes prompts' embeddings, which prepare and export take, with a "
                                               "UMT5 text encoder.",
                                       .words = "WEIGHTS TOKENIZER OUT.safetensors [--] PROMPT ...",
                                       .min_words = 3,
                                       .max_words = ARGS_MAX,
                                       .text = "WEIGHTS is a UMT5 encoder, TOKENIZER its SentencePiece model. OUT is a "
                                               "file of prompts (docs/formats.md) with the empty\n"
                                               "prompt added; the first PROMPT is its default. Write -- in front of "
                                               "prompts that look like a key or an option.\n",
                                       .keys = keys,
                                       .key_count = FIELDS(keys)};

/* Reads token numbers such as "309,12,1". */
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

/* Appends a prompt, unless it is there already. ids: its token numbers as text; NULL: the tokenizer makes them. */
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

/* Adds the prompts of the list, one a line (base/text.h); empty lines are passed over. */
static int add_list(struct text_embed *t, const struct tokenizer *tokenizer) {
    char *text;
    TRY(text_read(t->list, LIST_MAX, &text));
    int code = OK, number = 1;
    for (char *next = text, *line; !code && (line = text_line(&next)); number++)
        if (line[strspn(line, " \t")] && (code = add_prompt(t, tokenizer, line, NULL)))
            error_context(code, "%s:%d", t->list, number);
    free(text);
    return code;
}

static int add_all(struct text_embed *t, const struct tokenizer *tokenizer, const char *const *words, int count) {
    if (t->ids) {
        char end[16];
        if (count % 2) return error_set(ERR_USAGE, "ids: every prompt must be followed by its token numbers");
        for (int i = 0; i < count; i += 2) TRY(add_prompt(t, NULL, words[i], words[i + 1]));
        snprintf(end, sizeof end, "%d", END_OF_SENTENCE);
        return add_prompt(t, NULL, "", end);
    }
    for (int i = 0; i < count; i++) TRY(add_prompt(t, tokenizer, words[i], NULL));
    if (*t->list) TRY(add_list(t, tokenizer));
    return add_prompt(t, tokenizer, "", NULL);
}

static int read_prompts(struct text_embed *t, const char *const *words, int count) {
    struct tokenizer *tokenizer = NULL;
    if (t->ids && *t->list) return error_set(ERR_USAGE, "ids and list do not go together");
    if (!count && !*t->list)
        return error_set(ERR_USAGE, "no prompt is given: write it behind OUT, or name a file of prompts with list=");
    if (!t->ids) TRY(tokenizer_open(&tokenizer, t->tokenizer));
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

/* Encodes all prompts together, so that the weights are read once. */
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
    if (!code) code = prompt_file_write(t->out, rows, t->count, dim, t->type ? ST_F32 : ST_BF16, 0, ids);
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
    t->weights = args->words[0];
    t->tokenizer = args->words[1];
    t->out = args->words[2];
    TRY(read_prompts(t, args->words + 3, args->word_count - 3));
    if (t->tokens) return print_tokens(t), OK;
    TRY(device_init(t->threads));
    return embed(t);
}

int main(int argc, char **argv) {
    static struct text_embed t;
    struct args args;
    int code = args_parse(&args, &command, &t, argc, argv);
    if (!code && !args.done) code = run(&t, &args);
    for (int i = 0; i < t.count; i++) {
        free(t.prompts[i].clean);
        free(t.prompts[i].ids);
    }
    free(t.prompts);
    return args_exit("text_embed", code);
}
