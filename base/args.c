/* args.c: see args.h. */
#include "base/args.h"
#include "base/error.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* A key as config files have them, then '='. */
static int is_override(const char *word) {
    size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    return n > 0 && word[0] != '.' && word[n] == '=';
}

static int parse_option(struct args *args, int argc, char **argv, int *at, const struct args_option *options,
                        int count) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    if (length == 4 && !strncmp(name, "help", 4) && !equals) {
        args->help = 1;
        return OK;
    }
    for (int i = 0; i < count; i++) {
        const struct args_option *o = &options[i];
        if (strlen(o->name) != length || strncmp(o->name, name, length)) continue;
        if (!o->value_name) {
            if (equals) return error_set(ERR_USAGE, "--%s takes no value", o->name);
            *o->flag = 1;
            return OK;
        }
        if (equals)
            *o->value = equals + 1;
        else if (*at + 1 < argc)
            *o->value = argv[++*at];
        else
            return error_set(ERR_USAGE, "--%s needs a value: --%s %s", o->name, o->name, o->value_name);
        return OK;
    }
    return error_set(ERR_USAGE, "unknown option --%.*s (see --help)", (int)(length < 60 ? length : 60), name);
}

int args_parse(struct args *args, int argc, char **argv, const struct args_option *options, int option_count,
               int min_words, int max_words) {
    memset(args, 0, sizeof *args);
    int words_only = 0;
    for (int at = 1; at < argc; at++) {
        const char *word = argv[at];
        if (!words_only && !strcmp(word, "--")) {
            words_only = 1;
        } else if (!words_only && !strncmp(word, "--", 2)) {
            TRY(parse_option(args, argc, argv, &at, options, option_count));
        } else if (!words_only && word[0] == '-' && word[1]) {
            return error_set(ERR_USAGE, "unknown option %.60s (see --help)", word);
        } else {
            int override = !words_only && is_override(word);
            int *count = override ? &args->override_count : &args->word_count;
            if (*count == ARGS_MAX) return error_set(ERR_USAGE, "more than %d arguments", ARGS_MAX);
            (override ? args->overrides : args->words)[(*count)++] = word;
        }
    }
    if (args->help) return OK;
    if (args->word_count < min_words)
        return error_set(ERR_USAGE, "%d argument%s missing (see --help)", min_words - args->word_count,
                         min_words - args->word_count == 1 ? " is" : "s are");
    if (args->word_count > max_words)
        return error_set(ERR_USAGE, "one argument too many: %.200s (see --help)", args->words[max_words]);
    return OK;
}

int args_number(const char *option, const char *text, int min, int max, int *value) {
    char *end;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < min || n > max)
        return error_set(ERR_USAGE, "--%s %s: expected a whole number from %d to %d", option, text, min, max);
    *value = (int)n;
    return OK;
}

void args_help(const char *usage, const struct args_option *options, int option_count, FILE *file) {
    fprintf(file, "usage: %s\n", usage);
    for (int i = 0; i <= option_count; i++) {
        char left[64];
        if (i == option_count)
            snprintf(left, sizeof left, "--help");
        else
            snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].value_name ? " " : "",
                     options[i].value_name ? options[i].value_name : "");
        fprintf(file, "  %-24s %s\n", left, i == option_count ? "this text" : options[i].help);
    }
}

int args_fail(const char *program, int code) {
    log_status("%s", "");
    fprintf(stderr, "%s: %s\n", program, error_text());
    return code;
}
