/* config.h: YAML files through a schema, with overrides from the command line.
   A schema is a table of fields; a key is a dotted path ("optimiser.lr"). A file is a tree of mappings whose leaves are the
   fields. Unknown key, wrong type, value out of range, duplicate key: ERR_USAGE, "file:line: key: what was expected".
   Overrides "key.sub=value" are read as one-line YAML after the file and reported as "command line: key: ...". */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stddef.h>
#include <stdio.h>

enum config_type {
    CONFIG_INT,    /* int */
    CONFIG_LONG,   /* long */
    CONFIG_REAL,   /* double */
    CONFIG_BOOL,   /* int 0/1 from true/false */
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
/* path NULL: defaults and overrides only. out is filled wholly or the call fails. */
int config_load(void *out, const struct config_field *fields, int count, const char *path, const char *const *overrides,
                int override_count);
/* The resolved config as YAML that config_load reads back to the same bytes of `out`. */
int config_write(const void *in, const struct config_field *fields, int count, FILE *file);
/* Every key with its type, default and help. */
void config_describe(const struct config_field *fields, int count, FILE *file);

#endif
