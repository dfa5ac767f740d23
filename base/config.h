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
    const char *const *choices; /* NULL-terminated, or the first name in a table of which the last is NULL */
    size_t size;                /* CONFIG_STRING: bytes; CONFIG_REALS: numbers that fit */
    size_t count_offset;        /* CONFIG_REALS: where the count lies; choices in a table: bytes from name to name */
    const char *help;           /* one line, for --help-config and docs */
};
/* The rows of a table, after `#define FIELDS_OF struct x`, which says whose members they are: INT, LONG, REAL(key,
   member, low, high, default, help); FLAG, TEXT(key, member, default, help); CHOICE(key, member, names, default,
   help), names a list, or a table whose rows begin with their names; REALS(key, member, count's member, low, high,
   default, help). A number's member of another type does not compile. */
#define FIELD(kind, name, member, standard, text, ...)                                                                 \
    {                                                                                                                  \
        .key = name, .type = kind, .offset = offsetof(FIELDS_OF, member), .fallback = standard, .help = text,          \
        __VA_ARGS__                                                                                                    \
    }
#define FIELD_NUMBER(kind, of, name, member, low, high, standard, text)                                                \
    FIELD(kind, name, member, standard, text, .min = low, .max = high,                                                 \
          .count_offset = 0 * sizeof(1 ? (of *)0 : &((FIELDS_OF *)0)->member))
#define INT(...)                           FIELD_NUMBER(CONFIG_INT, int, __VA_ARGS__)
#define LONG(...)                          FIELD_NUMBER(CONFIG_LONG, long, __VA_ARGS__)
#define REAL(...)                          FIELD_NUMBER(CONFIG_REAL, double, __VA_ARGS__)
#define FLAG(name, member, standard, text) FIELD_NUMBER(CONFIG_BOOL, int, name, member, 0, 0, standard, text)
#define TEXT(name, member, standard, text)                                                                             \
    FIELD(CONFIG_STRING, name, member, standard, text, .size = sizeof((FIELDS_OF *)0)->member)
#define CHOICE(name, member, names, standard, text)                                                                    \
    FIELD(CONFIG_CHOICE, name, member, standard, text, .choices = (const void *)(names),                               \
          .count_offset = sizeof *(names))
#define REALS(name, member, count, low, high, standard, text)                                                          \
    FIELD(CONFIG_REALS, name, member, standard, text, .min = low, .max = high,                                         \
          .size = sizeof((FIELDS_OF *)0)->member / sizeof(double), .count_offset = offsetof(FIELDS_OF, count))
#define THREADS_FIELD INT("threads", threads, 0, 1024, "0", "Threads that compute; 0 takes all cores.")
#define FIELDS(rows)  (int)(sizeof(rows) / sizeof *(rows))
/* Name of a choice; NULL after the last. */
static inline const char *config_choice(const struct config_field *field, int i) {
    size_t stride = field->count_offset ? field->count_offset : sizeof *field->choices;
    return *(const char *const *)((const char *)field->choices + (size_t)i * stride);
}
/* Finds the field of a key; NULL: there is none. */
const struct config_field *config_find(const struct config_field *fields, int count, const char *key);
/* Edit distance: letters to insert, delete or replace to turn a into b. It finds the
   known name that is nearest to a misspelt one. */
int config_distance(const char *a, const char *b);
/* Fills the struct *out from the defaults, the file at `path` (NULL: none) and the overrides, later ones winning.
   Either every field is set or the call fails. */
int config_load(void *out, const struct config_field *fields, int count, const char *path, const char *const *overrides,
                int override_count);
/* Writes the config *in as YAML that config_load reads back to the same bytes. */
int config_write(const void *in, const struct config_field *fields, int count, FILE *file);
/* Prints every key with its type, default and help. */
void config_describe(const struct config_field *fields, int count, FILE *file);

#endif
