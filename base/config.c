/* config.c: see config.h. The file is parsed by libyaml into a tree; a walk over the tree assigns the fields. The
   defaults and the overrides go through the same walk, so one reader decides what a value may look like. */
#include "base/config.h"
#include "base/error.h"
#include "base/old_names.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum { KEY_MAX = 256, DEPTH_MAX = 16, FILE_MAX = 1 << 20, SHOWN_MAX = 40 };

struct reading {
    const struct config_field *fields;
    int count;
    char *out;
    unsigned char *given; /* [count]: set by the source that is being read */
    const char *source;   /* file name, "command line" or "default" */
    int lines;            /* 1: error texts name the source's lines */
    yaml_document_t *tree;
};

/* ---- error lines ---- */

static int fail(const struct reading *r, const yaml_node_t *node, const char *key, const char *what) {
    char line[32] = "";
    if (r->lines && node) snprintf(line, sizeof line, ":%zu", node->start_mark.line + 1);
    return error_set(ERR_USAGE, "%s%s: %s%s%s", r->source, line, key, key[0] ? ": " : "", what);
}

static void describe_range(const struct config_field *f, char *text, size_t size) {
    int low = f->min > -1e300, high = f->max < 1e300;
    text[0] = 0;
    if (f->min == 0 && f->max == 0) return;
    if (low && high)
        snprintf(text, size, " from %.10g to %.10g", f->min, f->max);
    else if (low)
        snprintf(text, size, " of at least %.10g", f->min);
    else if (high)
        snprintf(text, size, " of at most %.10g", f->max);
}

static void describe_type(const struct config_field *f, char *text, size_t size) {
    char range[80];
    describe_range(f, range, sizeof range);
    switch (f->type) {
    case CONFIG_INT:
    case CONFIG_LONG:
        snprintf(text, size, "a whole number%s", range);
        break;
    case CONFIG_REAL:
        snprintf(text, size, "a number%s", range);
        break;
    case CONFIG_BOOL:
        snprintf(text, size, "yes or no");
        break;
    case CONFIG_STRING:
        snprintf(text, size, "a text of at most %zu bytes", f->size - 1);
        break;
    case CONFIG_REALS:
        snprintf(text, size, "a list of at most %zu numbers%s%s", f->size, range[0] ? ", each" : "", range);
        break;
    case CONFIG_CHOICE: {
        int used = snprintf(text, size, "one of");
        for (int i = 0; config_choice(f, i) && used < (int)size; i++)
            used += snprintf(text + used, size - (size_t)used, "%s %s", i ? "," : "", config_choice(f, i));
        break;
    }
    }
}

/* Describes what the file has in a field's place, short and printable. */
static void describe_node(const yaml_node_t *node, char *text, size_t size) {
    if (node->type == YAML_MAPPING_NODE)
        snprintf(text, size, "a section");
    else if (node->type == YAML_SEQUENCE_NODE)
        snprintf(text, size, "a list");
    else if (node->data.scalar.length == 0)
        snprintf(text, size, "nothing");
    else {
        char shown[SHOWN_MAX + 1];
        size_t n = 0;
        for (; n < SHOWN_MAX && n < node->data.scalar.length; n++) {
            unsigned char c = node->data.scalar.value[n];
            shown[n] = c < 32 || c == 127 ? '?' : (char)c;
        }
        shown[n] = 0;
        snprintf(text, size, "\"%s\"%s", shown, node->data.scalar.length > n ? "..." : "");
    }
}

static int fail_type(const struct reading *r, const yaml_node_t *node, const struct config_field *f) {
    char wanted[400], found[SHOWN_MAX + 8], what[500];
    describe_type(f, wanted, sizeof wanted);
    describe_node(node, found, sizeof found);
    snprintf(what, sizeof what, "expected %s, got %s", wanted, found);
    return fail(r, node, f->key, what);
}

int config_distance(const char *a, const char *b) {
    int row[KEY_MAX + 1], m = (int)strnlen(b, KEY_MAX);
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 0; a[i] && i < KEY_MAX; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (int j = 0; j < m; j++) {
            int best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (diagonal + 1 < best) best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[m];
}

static const char *last_part(const char *key) {
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

static int fail_unknown(const struct reading *r, const yaml_node_t *node, const char *key) {
    const char *nearest = NULL;
    int best = INT_MAX;
    for (int i = 0; i < r->count; i++) {
        int whole = config_distance(key, r->fields[i].key);
        int part = config_distance(last_part(key), last_part(r->fields[i].key)) + 1; /* right name, wrong section */
        int d = whole < part ? whole : part;
        if (d < best) best = d, nearest = r->fields[i].key;
    }
    char what[400] = "unknown key", now[200];
    if (old_name(key, now, sizeof now))
        snprintf(what, sizeof what, "this key is called %.200s now", now);
    else if (nearest && best <= 1 + (int)strlen(last_part(key)) / 2)
        snprintf(what, sizeof what, "unknown key; did you mean %.200s?", nearest);
    return fail(r, node, key, what);
}

/* ---- values ---- */

static const char *plain_text(const yaml_node_t *node) {
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

static int in_range(const struct config_field *f, double v) {
    return (f->min == 0 && f->max == 0) || (v >= f->min && v <= f->max);
}

/* Reads a number; 1: the whole text is one. */
static int read_real(const struct config_field *f, const yaml_node_t *node, double *value) {
    const char *text = plain_text(node);
    if (!text || !*text || strspn(text, "0123456789+-.eE") != strlen(text)) return 0;
    char *end;
    *value = strtod(text, &end);
    return !*end && isfinite(*value) && in_range(f, *value);
}

static int read_long(const struct config_field *f, const yaml_node_t *node, long *value) {
    const char *text = plain_text(node);
    if (!text || !*text || strspn(text, "0123456789+-") != strlen(text)) return 0;
    char *end;
    errno = 0;
    *value = strtol(text, &end, 10);
    return !*end && !errno && in_range(f, (double)*value);
}

static int assign(struct reading *r, const struct config_field *f, const yaml_node_t *node) {
    char *at = r->out + f->offset;
    const char *text = plain_text(node);
    long whole;
    switch (f->type) {
    case CONFIG_INT:
        if (!read_long(f, node, &whole) || whole < INT_MIN || whole > INT_MAX) return fail_type(r, node, f);
        *(int *)at = (int)whole;
        return OK;
    case CONFIG_LONG:
        if (!read_long(f, node, &whole)) return fail_type(r, node, f);
        *(long *)at = whole;
        return OK;
    case CONFIG_REAL: {
        double value;
        if (!read_real(f, node, &value)) return fail_type(r, node, f);
        *(double *)at = value;
        return OK;
    }
    case CONFIG_BOOL: {
        int yes = text && (!strcmp(text, "yes") || !strcmp(text, "true"));
        if (!yes && (!text || (strcmp(text, "no") && strcmp(text, "false")))) return fail_type(r, node, f);
        *(int *)at = yes;
        return OK;
    }
    case CONFIG_STRING: {
        if (node->type != YAML_SCALAR_NODE) return fail_type(r, node, f);
        const char *value = (const char *)node->data.scalar.value;
        size_t length = node->data.scalar.length;
        if (length >= f->size || strlen(value) != length) return fail_type(r, node, f);
        memset(at, 0, f->size);
        memcpy(at, value, length);
        return OK;
    }
    case CONFIG_CHOICE:
        if (node->type == YAML_SCALAR_NODE)
            for (int i = 0; config_choice(f, i); i++)
                if (!strcmp(config_choice(f, i), (const char *)node->data.scalar.value)) {
                    *(int *)at = i;
                    return OK;
                }
        return fail_type(r, node, f);
    case CONFIG_REALS: {
        if (node->type != YAML_SEQUENCE_NODE) return fail_type(r, node, f);
        double *list = (double *)at;
        size_t n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
        if (n > f->size) return fail_type(r, node, f);
        memset(list, 0, f->size * sizeof *list);
        for (size_t i = 0; i < n; i++) {
            const yaml_node_t *item = yaml_document_get_node(r->tree, node->data.sequence.items.start[i]);
            if (!read_real(f, item, &list[i])) return fail_type(r, item, f);
        }
        *(int *)(r->out + f->count_offset) = (int)n;
        return OK;
    }
    }
    return OK;
}

/* ---- the walk ---- */

static int is_section(const struct reading *r, const char *key) {
    size_t n = strlen(key);
    for (int i = 0; i < r->count; i++)
        if (!strncmp(r->fields[i].key, key, n) && r->fields[i].key[n] == '.') return 1;
    return n == 0;
}

static int walk(struct reading *r, const yaml_node_t *node, const yaml_node_t *name, const char *key, int depth);

static int walk_section(struct reading *r, const yaml_node_t *node, const char *key, int depth) {
    const yaml_node_pair_t *start = node->data.mapping.pairs.start, *top = node->data.mapping.pairs.top;
    for (const yaml_node_pair_t *pair = start; pair < top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(r->tree, pair->key);
        const yaml_node_t *value = yaml_document_get_node(r->tree, pair->value);
        if (name->type != YAML_SCALAR_NODE || name->data.scalar.length == 0)
            return fail(r, name, key, "a key must be a plain word");
        char whole[KEY_MAX];
        int n = snprintf(whole, sizeof whole, "%s%s%s", key, key[0] ? "." : "", (const char *)name->data.scalar.value);
        if (n >= KEY_MAX) return fail(r, name, key, "a key here is too long");
        for (const yaml_node_pair_t *earlier = start; earlier < pair; earlier++) {
            const yaml_node_t *other = yaml_document_get_node(r->tree, earlier->key);
            if (strcmp((char *)other->data.scalar.value, (char *)name->data.scalar.value)) continue;
            char what[80];
            snprintf(what, sizeof what, "duplicate key; it is already in line %zu", other->start_mark.line + 1);
            return fail(r, name, whole, what);
        }
        TRY(walk(r, value, name, whole, depth + 1));
    }
    return OK;
}

static int walk(struct reading *r, const yaml_node_t *node, const yaml_node_t *name, const char *key, int depth) {
    if (depth > DEPTH_MAX) return fail(r, node, key, "sections are nested too deeply");
    for (int i = 0; i < r->count; i++) {
        if (strcmp(r->fields[i].key, key)) continue;
        if (r->given[i]) return fail(r, name, key, "duplicate key");
        r->given[i] = 1;
        return assign(r, &r->fields[i], node);
    }
    if (!is_section(r, key)) return fail_unknown(r, name, key);
    if (node->type == YAML_MAPPING_NODE) return walk_section(r, node, key, depth);
    const char *text = plain_text(node);
    if (text && !*text) return OK; /* a section with all its keys left out */
    char found[SHOWN_MAX + 8], what[120];
    describe_node(node, found, sizeof found);
    snprintf(what, sizeof what, "expected a section of keys, got %s", found);
    return fail(r, node, key, what);
}

static int fail_syntax(const struct reading *r, const yaml_parser_t *parser) {
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (!r->lines) return error_set(ERR_USAGE, "%s: not YAML: %s", r->source, problem);
    size_t line = parser->problem_mark.line + 1;
    return error_set(ERR_USAGE, "%s:%zu: not YAML: %s", r->source, line, problem);
}

/* Reads one document from text and walks it, with `key` as the path of its root. */
static int read_text(struct reading *r, const char *text, size_t length, const char *key) {
    yaml_parser_t parser;
    yaml_document_t tree, more;
    memset(r->given, 0, (size_t)r->count);
    if (!yaml_parser_initialize(&parser)) return error_set(ERR_DEVICE, "out of memory reading %s", r->source);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    int code = OK;
    if (!yaml_parser_load(&parser, &tree)) {
        code = fail_syntax(r, &parser);
    } else {
        r->tree = &tree;
        const yaml_node_t *root = yaml_document_get_root_node(&tree);
        if (root) {
            code = walk(r, root, root, key, 0);
            if (!code && !yaml_parser_load(&parser, &more))
                code = fail_syntax(r, &parser);
            else if (!code) {
                if (yaml_document_get_root_node(&more))
                    code = fail(r, yaml_document_get_root_node(&more), key, "expected one YAML document, got a second");
                yaml_document_delete(&more);
            }
        } else if (key[0]) { /* an override "key=" */
            yaml_node_t empty = {.type = YAML_SCALAR_NODE};
            empty.data.scalar.value = (yaml_char_t *)"";
            empty.data.scalar.style = YAML_PLAIN_SCALAR_STYLE;
            code = walk(r, &empty, &empty, key, 0);
        }
        yaml_document_delete(&tree);
    }
    yaml_parser_delete(&parser);
    return code;
}

static int read_file(struct reading *r, const char *path) {
    struct stat info;
    FILE *file = fopen(path, "rb");
    if (!file) return error_set(ERR_USAGE, "%s: cannot open the config file: %s", path, strerror(errno));
    if (fstat(fileno(file), &info) || S_ISDIR(info.st_mode)) {
        fclose(file);
        return error_set(ERR_USAGE, "%s: is a folder, not a config file", path);
    }
    char *text = malloc(FILE_MAX + 1);
    size_t length = text ? fread(text, 1, FILE_MAX + 1, file) : 0;
    int bad = !text || ferror(file);
    fclose(file);
    int code = OK;
    if (bad)
        code = error_set(ERR_USAGE, "%s: cannot read the config file", path);
    else if (length > FILE_MAX)
        code = error_set(ERR_USAGE, "%s: is no config file: longer than %d bytes", path, FILE_MAX);
    else
        code = read_text(r, text, length, "");
    free(text);
    return code;
}

const struct config_field *config_find(const struct config_field *fields, int count, const char *key) {
    for (int i = 0; i < count; i++)
        if (!strcmp(fields[i].key, key)) return &fields[i];
    return NULL;
}

/* Puts a text of the command line in YAML's single quotes, malloc'd; NULL: it is quoted
   already, or there is no memory. */
static char *quote(const char *text) {
    char *quoted = strchr("'\"", *text) ? NULL : malloc(2 * strlen(text) + 3), *at = quoted;
    if (!quoted) return NULL;
    *at++ = '\'';
    for (; *text; *at++ = *text++)
        if (*text == '\'') *at++ = '\'';
    *at++ = '\'';
    *at = 0;
    return quoted;
}

static int read_override(struct reading *r, const char *override) {
    const char *equals = strchr(override, '=');
    char key[KEY_MAX];
    if (!equals || equals == override || equals - override >= KEY_MAX)
        return error_set(ERR_USAGE, "command line: \"%.60s\": expected key=value", override);
    memcpy(key, override, (size_t)(equals - override));
    key[equals - override] = 0;
    const struct config_field *field = config_find(r->fields, r->count, key);
    char *quoted = field && field->type == CONFIG_STRING ? quote(equals + 1) : NULL;
    const char *value = quoted ? quoted : equals + 1;
    int code = read_text(r, value, strlen(value), key);
    free(quoted);
    if (code && !strncmp(error_text(), "command line: not YAML", 22))
        return error_set(ERR_USAGE, "command line: %s: not YAML", key);
    return code;
}

static int read_defaults(struct reading *r, unsigned char *have) {
    for (int i = 0; i < r->count; i++) {
        if (!r->fields[i].fallback) continue;
        TRY(read_text(r, r->fields[i].fallback, strlen(r->fields[i].fallback), r->fields[i].key));
        have[i] = 1;
    }
    return OK;
}

int config_load(void *out, const struct config_field *fields, int count, const char *path, const char *const *overrides,
                int override_count) {
    unsigned char *flags = calloc(2, (size_t)count + 1);
    if (!flags) return error_set(ERR_DEVICE, "out of memory reading the config");
    unsigned char *have = flags + count + 1;
    struct reading r = {.fields = fields, .count = count, .out = out, .given = flags, .source = "default"};
    int code = read_defaults(&r, have);
    if (!code && path) {
        r.source = path;
        r.lines = 1;
        code = read_file(&r, path);
        for (int i = 0; i < count; i++) have[i] |= r.given[i];
    }
    r.source = "command line";
    r.lines = 0;
    for (int o = 0; o < override_count && !code; o++) {
        code = read_override(&r, overrides[o]);
        for (int i = 0; i < count; i++) have[i] |= r.given[i];
    }
    for (int i = 0; i < count && !code; i++) {
        if (have[i]) continue;
        char wanted[400];
        describe_type(&fields[i], wanted, sizeof wanted);
        code =
            error_set(ERR_USAGE, "%s: %s: missing, expected %s", path ? path : "command line", fields[i].key, wanted);
    }
    free(flags);
    return code;
}

void config_describe(const struct config_field *fields, int count, FILE *file) {
    for (int i = 0; i < count; i++) {
        char type[400];
        describe_type(&fields[i], type, sizeof type);
        fprintf(file, "  %-28s %s", fields[i].key, type);
        if (fields[i].fallback)
            fprintf(file, "; default %s", *fields[i].fallback ? fields[i].fallback : "\"\"");
        else
            fputs("; must be given", file);
        fprintf(file, "\n%-31s%s\n", "", fields[i].help ? fields[i].help : "");
    }
}
