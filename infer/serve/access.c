/* access.c: see access.h. */
#include "infer/serve/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/fileio.h"

enum { TOKEN_LEAST = 16, TOKEN_FILE_MAX = 4096 };
static const char token_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

int access_is_loopback(const char *address) {
    return !strncmp(address, "127.", 4) || !strcmp(address, "::1") || !strcasecmp(address, "localhost");
}

/* ---- the token ---- */

static int keep_token(struct access *a, const char *text, const char *where) {
    size_t length = strspn(text, token_letters);
    if (text[length + strspn(text + length, " \r\n")] || length < TOKEN_LEAST || length >= sizeof a->token)
        return error_set(ERR_INPUT, "%s: a token has %d to %zu letters, digits, - . _ ~", where, TOKEN_LEAST,
                         sizeof a->token - 1);
    snprintf(a->token, sizeof a->token, "%.*s", (int)length, text);
    return OK;
}

static int read_token(struct access *a, const char *path) {
    const char *environment = getenv("STREAMAVATAR_TOKEN");
    if (!*path) return environment && *environment ? keep_token(a, environment, "STREAMAVATAR_TOKEN") : OK;
    char *text;
    TRY(file_read(path, TOKEN_FILE_MAX, &text, NULL));
    int code = keep_token(a, text, path);
    free(text);
    return code;
}

int access_token(struct access *a, const char *path) {
    TRY(read_token(a, path));
    if (a->token[0] || access_is_loopback(a->address)) return OK;
    return error_set(ERR_USAGE, "address=%s can be reached by others: give token_file=FILE or STREAMAVATAR_TOKEN",
                     a->address);
}

/* Compares two texts; it takes the same time wherever they differ. */
static int equal(const char *offered, size_t length, const char *token) {
    size_t n = strlen(token), differ = length ^ n;
    for (size_t i = 0; i < length; i++) differ |= (size_t)(unsigned char)(offered[i] ^ token[n ? i % n : 0]);
    return !differ;
}

int access_authorized(const struct access *a, const char *authorization, const char *protocols) {
    static const char bearer[] = "Bearer ", prefix[] = "token.";
    if (!a->token[0]) return 1;
    if (!strncasecmp(authorization, bearer, sizeof bearer - 1)) {
        const char *offered = authorization + sizeof bearer - 1;
        if (equal(offered, strlen(offered), a->token)) return 1;
    }
    for (const char *at = protocols; *at;) {
        at += strspn(at, ", ");
        size_t length = strcspn(at, ", ");
        if (length >= sizeof prefix - 1 && !strncmp(at, prefix, sizeof prefix - 1) &&
            equal(at + sizeof prefix - 1, length - (sizeof prefix - 1), a->token))
            return 1;
        at += length;
    }
    return 0;
}

/* ---- names ---- */

/* Finds the name in "name", "name:port" or "[address]:port": returns its length and where it begins; 0: there is none,
   or what follows it is no port. */
static size_t name_in(const char **text) {
    const char *name = *text, *end;
    if (*name == '[') {
        *text = ++name;
        end = strchr(name, ']');
        if (!end) return 0;
        const char *rest = end + 1;
        if (*rest && (*rest != ':' || rest[1 + strspn(rest + 1, "0123456789")])) return 0;
        return (size_t)(end - name);
    }
    end = name + strcspn(name, ":");
    if (*end && end[1 + strspn(end + 1, "0123456789")]) return 0;
    return (size_t)(end - name);
}

static int is(const char *name, size_t length, const char *other) {
    return length && strlen(other) == length && !strncasecmp(name, other, length);
}

int access_host(const struct access *a, const char *host) {
    size_t length = name_in(&host);
    static const char *const own[] = {"127.0.0.1", "localhost", "::1"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (is(host, length, own[i])) return 1;
    if (is(host, length, a->address)) return 1;
    for (const char *at = a->hosts; *at;) {
        at += strspn(at, ", ");
        size_t n = strcspn(at, ", ");
        if (length && n == length && !strncasecmp(host, at, n)) return 1;
        at += n;
    }
    return 0;
}

int access_origin(const struct access *a, const char *origin) {
    if (!*origin) return 1;
    if (!strncasecmp(origin, "http://", 7)) return access_host(a, origin + 7);
    return !strncasecmp(origin, "https://", 8) && access_host(a, origin + 8);
}
