/* args.h: the command line of every program: words (files, folders), overrides "key=value" for the config, and options
   "--name", "--name VALUE" or "--name=VALUE" from a table. "--" ends the options; a file whose name looks like an
   override is written with its folder ("./a=b"). --help is always there. */
#ifndef BASE_ARGS_H
#define BASE_ARGS_H

#include <stdio.h>

enum { ARGS_MAX = 512 };
struct args_option {
    const char *name;       /* "plan" */
    const char *value_name; /* "FILE" as the help calls it; NULL: a flag */
    int *flag;              /* of a flag: set to 1 */
    const char **value;     /* of a value: set to the text, which lives in argv */
    const char *help;
};
struct args {
    const char *words[ARGS_MAX];
    int word_count;
    const char *overrides[ARGS_MAX];
    int override_count;
    int help; /* --help was given: print args_help and stop */
};
/* ERR_USAGE: unknown option, missing value, fewer than min_words or more than max_words words (unless --help). */
int args_parse(struct args *args, int argc, char **argv, const struct args_option *options, int option_count,
               int min_words, int max_words);
/* The value of an option that takes a whole number; ERR_USAGE names option, text and bounds. */
int args_number(const char *option, const char *text, int min, int max, int *value);
/* "usage: NAME WORDS [options]" and every option. */
void args_help(const char *usage, const struct args_option *options, int option_count, FILE *file);
/* For main: prints "NAME: TEXT" of the last error to stderr and returns the exit code. */
int args_fail(const char *program, int code);

#endif
