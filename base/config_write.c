/* config_write.c: a config as YAML that config.c reads back to the same values (config.h). */
#include "base/config.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The shortest decimal that reads back to the same double. */
static void write_real(FILE *file, double v) {
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    fputs(text, file);
}

/* UTF-8 that YAML takes for a line break or does not allow raw, and its escape. */
static const char *const special[][2] = {{"\xe2\x80\xa8", "\\u2028"},
                                         {"\xe2\x80\xa9", "\\u2029"},
                                         {"\xef\xbb\xbf", "\\ufeff"},
                                         {"\xef\xbf\xbe", "\\ufffe"},
                                         {"\xef\xbf\xbf", "\\uffff"}};
enum { SPECIALS = sizeof special / sizeof special[0] };

/* Writes a text in YAML's double quotes. */
static void write_string(FILE *file, const char *s) {
    fputc('"', file);
    for (; *s; s++) {
        unsigned char c = (unsigned char)s[0], next = (unsigned char)s[1];
        int i = 0;
        while (i < SPECIALS && strncmp(s, special[i][0], 3)) i++;
        if (i < SPECIALS) {
            fputs(special[i][1], file);
            s += 2;
        } else if (c == 0xc2 && next >= 0x80 && next < 0xa0) { /* U+0080 to U+009F */
            fprintf(file, "\\x%02x", next);
            s++;
        } else if (c == '"' || c == '\\') {
            fprintf(file, "\\%c", c);
        } else if (c < 32 || c == 127) {
            fprintf(file, "\\x%02x", c);
        } else {
            fputc(c, file);
        }
    }
    fputc('"', file);
}

static void write_value(const char *in, const struct config_field *f, FILE *file) {
    const char *at = in + f->offset;
    switch (f->type) {
    case CONFIG_INT:
        fprintf(file, "%d", *(const int *)at);
        break;
    case CONFIG_LONG:
        fprintf(file, "%ld", *(const long *)at);
        break;
    case CONFIG_REAL:
        write_real(file, *(const double *)at);
        break;
    case CONFIG_BOOL:
        fputs(*(const int *)at ? "true" : "false", file);
        break;
    case CONFIG_STRING:
        write_string(file, at);
        break;
    case CONFIG_CHOICE:
        fputs(config_choice(f, *(const int *)at), file);
        break;
    case CONFIG_REALS: {
        int n = *(const int *)(in + f->count_offset);
        fputc('[', file);
        for (int i = 0; i < n; i++) {
            if (i) fputs(", ", file);
            write_real(file, ((const double *)at)[i]);
        }
        fputc(']', file);
        break;
    }
    }
}

/* Writes all fields whose key starts with the prefix (of the given length, its dot included). */
static void write_section(const char *in, const struct config_field *fields, int count, const char *prefix,
                          size_t length, int depth, FILE *file) {
    for (int i = 0; i < count; i++) {
        const char *key = fields[i].key;
        if (strncmp(key, prefix, length)) continue;
        size_t end = length + strcspn(key + length, ".");
        int seen = 0; /* the part was written with an earlier field of its section */
        for (int j = 0; j < i && !seen; j++)
            seen = !strncmp(fields[j].key, key, end) && (fields[j].key[end] == '.' || !fields[j].key[end]);
        if (seen) continue;
        fprintf(file, "%*s%.*s:", 2 * depth, "", (int)(end - length), key + length);
        if (key[end]) {
            fputc('\n', file);
            write_section(in, fields, count, key, end + 1, depth + 1, file);
        } else {
            fputc(' ', file);
            write_value(in, &fields[i], file);
            fputc('\n', file);
        }
    }
}

int config_write(const void *in, const struct config_field *fields, int count, FILE *file) {
    write_section(in, fields, count, "", 0, 0, file);
    if (ferror(file)) return error_set(ERR_INPUT, "cannot write the config: %s", strerror(errno));
    return OK;
}
