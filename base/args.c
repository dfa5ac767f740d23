/* args.c: see args.h. */
#include "base/args.h"
#include "base/error.h"
#include "base/log.h"
#include "base/version.h"

#include <string.h>

enum { NAME_MAX_LENGTH = 60, PAGE_WIDTH = 100 };

/* ---- help ---- */

static void print_usage(const struct command *c, FILE *file) {
    fprintf(file, "streamavatar %s", c->name);
    if (*c->words) fprintf(file, " %s", c->words);
    for (int i = 0; i < c->key_count; i++)
        if (!c->keys[i].fallback) fprintf(file, " %s=...", c->keys[i].key);
    if (c->key_count || c->config) fputs(" [key=value ...]", file);
    if (c->plans) fputs(" [--plan]", file);
}

static int in_section(const char *key, const char *section) {
    size_t n = strlen(section);
    return !n || (!strncmp(key, section, n) && key[n] == '.');
}

/* Prints the config's keys that are the command's own. */
static void print_section(const struct command *c, FILE *file) {
    int first = 0, last = c->config_count;
    while (first < last && !in_section(c->config[first].key, c->section)) first++;
    while (last > first && !in_section(c->config[last - 1].key, c->section)) last--;
    fputs("\nkeys of the config, in the file or on the command line:\n", file);
    config_describe(c->config + first, last - first, file);
}

/* Prints the names of the config's other keys and sections. */
static void print_others(const struct command *c, FILE *file) {
    int column = PAGE_WIDTH;
    size_t n = 0;
    fputs("\nother keys and sections of the config; --help-config describes those that are read here:", file);
    for (int i = 0; i < c->config_count; i++) {
        const char *key = c->config[i].key;
        if ((c->section && in_section(key, c->section)) || (i && n && !strncmp(key, c->config[i - 1].key, n + 1)))
            continue;
        n = strcspn(key, ".");
        if (column + (int)n + 3 > PAGE_WIDTH) column = fprintf(file, "\n ") - 1;
        column += fprintf(file, " %.*s%s", (int)n, key, key[n] ? ".*" : "");
        if (!key[n]) n = 0;
    }
    fputc('\n', file);
}

static void print_help(const struct command *c, FILE *file) {
    fprintf(file, "%s: %s\n\nusage: ", c->name, c->does);
    print_usage(c, file);
    fprintf(file, "\n%s%s", c->text ? "\n" : "", c->text ? c->text : "");
    if (c->key_count) {
        fputs("\nkeys:\n", file);
        config_describe(c->keys, c->key_count, file);
    }
    if (c->config && c->section) print_section(c, file);
    if (c->config && !(c->section && !*c->section)) print_others(c, file);
    fputs("\noptions:\n  --help                       Prints this text.\n"
          "  --help-config                Prints every key that the command reads.\n"
          "  --version                    Prints version, commit, backend and number type.\n",
          file);
    if (c->plans) fputs("  --plan                       Prints the memory that a run would take, and stops.\n", file);
}

static void print_keys(const struct command *c, FILE *file) {
    config_describe(c->keys, c->key_count, file);
    if (c->describe)
        c->describe(c->section, file);
    else
        config_describe(c->config, c->config_count, file);
}

/* ---- options ---- */

/* Finds the key that a former option has become; NULL: `option` never was one. */
static const struct config_field *key_of_option(const struct command *c, const char *option, size_t length) {
    char name[NAME_MAX_LENGTH + 1];
    if (length > NAME_MAX_LENGTH) return NULL;
    for (size_t i = 0; i < length; i++) name[i] = option[i] == '-' ? '_' : option[i];
    name[length] = 0;
    for (const char *at = c->renamed; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (!strncmp(at, name, length) && at[length] == '=')
            snprintf(name, sizeof name, "%.*s", (int)strcspn(at + length + 1, ","), at + length + 1);
    const struct config_field *key = config_find(c->keys, c->key_count, name);
    return key ? key : config_find(c->config, c->config_count, name);
}

/* Refuses `option`, an argument that begins with '-'; `next` is the argument behind it or NULL. */
static int refuse_option(const struct command *c, const char *option, const char *next) {
    const char *name = option + strspn(option, "-"), *value = strchr(name, '=');
    size_t length = value ? (size_t)(value - name) : strlen(name);
    const struct config_field *key = key_of_option(c, name, length);
    int shown = (int)(length < NAME_MAX_LENGTH ? length : NAME_MAX_LENGTH) + (int)(name - option);
    if (!key)
        return error_set(ERR_USAGE,
                         "unknown option %.*s; the options are --help, --help-config, --version%s, all else "
                         "is key=value",
                         shown, option, c->plans ? ", --plan" : "");
    value = key->type == CONFIG_BOOL ? "yes" : value ? value + 1 : next ? next : "...";
    return error_set(ERR_USAGE, "write %s=%.200s instead of %.*s", key->key, value, shown, option);
}

struct asked {
    int help, keys, version;
};

static int take_option(struct args *args, const struct command *c, struct asked *asked, const char *option,
                       const char *next) {
    if (!strcmp(option, "--help"))
        asked->help = 1;
    else if (!strcmp(option, "--help-config"))
        asked->keys = 1;
    else if (!strcmp(option, "--version"))
        asked->version = 1;
    else if (c->plans && !strcmp(option, "--plan"))
        args->plan = 1;
    else
        return refuse_option(c, option, next);
    return OK;
}

static void answer(struct args *args, const struct command *c, const struct asked *asked) {
    args->done = asked->help || asked->keys || asked->version;
    if (asked->help)
        print_help(c, stdout);
    else if (asked->keys)
        print_keys(c, stdout);
    else if (asked->version)
        version_print(c->name, stdout);
}

/* ---- words and keys ---- */

/* Length of the key that a word begins with: letters, digits, dots, underscores or hyphens, then '='; 0: none. */
static size_t key_length(const char *word) {
    size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return word[0] != '.' && word[n] == '=' ? n : 0;
}

/* 1: the key is the command's own; 0: it goes to the config. A key that neither has, but that is nearly one of the
   command's own, counts as own, so that the reader of the table names the right one. */
static int is_own(const struct command *c, const char *override, size_t length) {
    enum { SLIP = 2, SHORT = 4 };
    char key[NAME_MAX_LENGTH + 1];
    if (!c->config || length > NAME_MAX_LENGTH) return !c->config;
    snprintf(key, sizeof key, "%.*s", (int)length, override);
    if (config_find(c->keys, c->key_count, key)) return 1;
    if (config_find(c->config, c->config_count, key) || length < SHORT) return 0;
    for (int i = 0; i < c->key_count; i++)
        if (config_distance(key, c->keys[i].key) <= SLIP) return 1;
    return 0;
}

static int add(const char **list, int *count, const char *word) {
    if (*count == ARGS_MAX) return error_set(ERR_USAGE, "more than %d arguments", ARGS_MAX);
    list[(*count)++] = word;
    return OK;
}

static int check_words(const struct args *args, const struct command *c) {
    if (args->word_count > c->max_words)
        return error_set(ERR_USAGE, "one argument too many: %.200s (see --help)", args->words[c->max_words]);
    if (args->word_count >= c->min_words) return OK;
    return error_set(ERR_USAGE, "%s missing; expected %s (see --help)",
                     c->min_words - args->word_count == 1 ? "an argument is" : "arguments are", c->words);
}

int args_parse(struct args *args, const struct command *c, void *values, int argc, char **argv) {
    const char *own[ARGS_MAX];
    int own_count = 0, words_only = 0;
    struct asked asked = {0, 0, 0};
    memset(args, 0, sizeof *args);
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        size_t length = words_only ? 0 : key_length(word);
        if (!words_only && !strcmp(word, "--"))
            words_only = 1;
        else if (!words_only && word[0] == '-' && word[1])
            TRY(take_option(args, c, &asked, word, at + 1 < argc ? argv[at + 1] : NULL));
        else if (!length)
            TRY(add(args->words, &args->word_count, word));
        else if (is_own(c, word, length))
            TRY(add(own, &own_count, word));
        else
            TRY(add(args->overrides, &args->override_count, word));
    }
    answer(args, c, &asked);
    if (args->done) return OK;
    TRY(check_words(args, c));
    return config_load(values, c->keys, c->key_count, NULL, own, own_count);
}

int args_exit(const char *program, int code) {
    if (!code) return 0;
    log_status("%s", "");
    fprintf(stderr, "%s: %s\n", program, error_text());
    return code;
}
