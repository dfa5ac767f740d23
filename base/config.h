/* config.h: YAML files through a schema, with overrides from the command line.
   A schema is a table of fields; a key is a dotted path ("optimiser.lr"). A file is a tree of mappings whose leaves are
   the fields. Unknown key, wrong type, value out of range, duplicate key: ERR_USAGE, "file:line: key: what was
   expected". Overrides "key.sub=value" are read as one-line YAML after the file and reported as "command line: key:
   ..."; the value of a CONFIG_STRING is taken as it stands, unless it begins with a quote. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stddef.h>
#include <stdio.h>

enum config_type {
    CONFIG_INT,    /* int */
    CONFIG_LONG,   /* long */
    CONFIG_REAL,   /* double */
    CONFIG_BOOL,   /* int 0/1 from true/false, yes/no */
    CONFIG_STRING, /* char[size] */
    CONFIG_CHOICE, /* int: index in choices */
    CONFIG_REALS   /* double[size] and, at count_offset, int: how many */
};
struct config_field {
    const char *key;
    enum config_type type;
    size_t offset;
    double min, max;            /* numbers, inclusive */
    const char *fallback;       /* default as YAML text; NULL: must be given */
    const char *const *choices; /* NULL-terminated */
    size_t size;                /* of CONFIG_STRING, CONFIG_REALS */
    size_t count_offset;
    const char *help; /* one line, for --help-config and docs */
};
/* Rows whose key is the member's own name: struct `type`, member, smallest, largest, default, help. */
#define CONFIG_ROW(kind, type, member, low, high, fallback, choices, help)                                             \
    {                                                                                                                  \
#member, kind, offsetof(struct type, member), low, high, fallback, choices,                                    \
            sizeof(((struct type *)0)->member), 0, help                                                                \
    }
#define INT_KEY(type, member, low, high, fallback, help)                                                               \
    CONFIG_ROW(CONFIG_INT, type, member, low, high, fallback, NULL, help)
#define LONG_KEY(type, member, low, high, fallback, help)                                                              \
    CONFIG_ROW(CONFIG_LONG, type, member, low, high, fallback, NULL, help)
#define REAL_KEY(type, member, low, high, fallback, help)                                                              \
    CONFIG_ROW(CONFIG_REAL, type, member, low, high, fallback, NULL, help)
#define FLAG_KEY(type, member, help)           CONFIG_ROW(CONFIG_BOOL, type, member, 0, 0, "no", NULL, help)
#define TEXT_KEY(type, member, fallback, help) CONFIG_ROW(CONFIG_STRING, type, member, 0, 0, fallback, NULL, help)
#define CHOICE_KEY(type, member, names, fallback, help)                                                                \
    CONFIG_ROW(CONFIG_CHOICE, type, member, 0, 0, fallback, names, help)
#define THREADS_KEY(type) INT_KEY(type, threads, 0, 1024, "0", "Threads that compute; 0 takes all cores.")
/* The field of that key; NULL: there is none. */
const struct config_field *config_find(const struct config_field *fields, int count, const char *key);
/* Letters to insert, delete or replace to make b of a: how near a name is that was not found. */
int config_distance(const char *a, const char *b);
/* path NULL: defaults and overrides only. out is filled wholly or the call fails. */
int config_load(void *out, const struct config_field *fields, int count, const char *path, const char *const *overrides,
                int override_count);
/* The resolved config as YAML that config_load reads back to the same bytes of `out`. */
int config_write(const void *in, const struct config_field *fields, int count, FILE *file);
/* Every key with its type, default and help. */
void config_describe(const struct config_field *fields, int count, FILE *file);

#endif
