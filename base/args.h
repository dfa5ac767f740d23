/* args.h: the command line of every program, declared in one table, from which usage, --help, manual page and
   completion
   are made (scripts/manual.sh reads --help). There is one dialect: words (files, folders), then "key=value", in any
   order. The options are --help, --help-config, --version and, where a command plans, --plan; all else is a key. After
   "--" everything is a word; a file whose name looks like a key can also be written with its folder ("./a=b"). */
#ifndef BASE_ARGS_H
#define BASE_ARGS_H

#include "base/config.h"

enum { ARGS_MAX = 512 };
struct command {
    const char *name;                  /* "export" */
    const char *does;                  /* one sentence, the first line of --help */
    const char *words;                 /* the words that usage shows, "CONFIG.yaml"; "": none */
    int min_words, max_words;          /* max_words may be ARGS_MAX */
    const char *text;                  /* paragraphs of --help below usage, which explain the words; NULL: none */
    const struct config_field *keys;   /* [key_count]: the command's own keys; one without a default must be given */
    const struct config_field *config; /* [config_count]: keys of its config file; NULL: it reads no config file */
    int key_count, config_count;
    void (*describe)(const char *section, FILE *file); /* prints the config's keys that the command reads; NULL: all */
    const char *section; /* the config's section that is the command's own: "teacher", "" for all; NULL: none */
    int plans;           /* 1: the command takes --plan */
    const char *renamed; /* options of version 0.0 whose key has another name: "lora=lora_out,..."; NULL */
};
struct args {
    const char *words[ARGS_MAX];
    int word_count;
    const char *overrides[ARGS_MAX]; /* "key=value" arguments that belong to the config */
    int override_count;
    int plan; /* 1: --plan was given */
    int done; /* 1: --help, --help-config or --version was answered on stdout: the program ends */
};
/* Reads the command's own keys into *values, the struct that the offsets of command->keys refer to. ERR_USAGE, with one
   line of text: unknown key or option, too few words or too many. */
int args_parse(struct args *args, const struct command *command, void *values, int argc, char **argv);
/* Ends main: prints "PROGRAM: TEXT" of the last error to stderr, unless code is OK, and returns the exit code. */
int args_exit(const char *program, int code);

#endif
