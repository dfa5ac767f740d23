/* rounds.c: see rounds.h. */
#include "comm/host/rounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

static const uint64_t HEADER_MAGIC = 0x736176636f6d6d31; /* "savcomm1" */
enum { CHUNK = ROUND_CHUNK / sizeof(real) };

int rounds_open(struct rounds *r, struct wire *wire) {
    *r = (struct rounds){.wire = wire, .rank = wire->rank, .size = wire->size};
    size_t n = (size_t)r->size;
    r->headers = calloc(2 * n, sizeof *r->headers);
    r->pieces = calloc(n * WIRE_PIECES, sizeof *r->pieces);
    r->staging = aligned_alloc(64, n * ROUND_CHUNK);
    r->offsets = calloc(2 * n, sizeof *r->offsets);
    if (r->headers && r->pieces && r->staging && r->offsets) return OK;
    rounds_close(r);
    return error_set(ERR_DEVICE, "out of memory for the buffers of %d ranks", wire->size);
}

size_t rounds_memory(int ranks) {
    return (size_t)ranks *
           (ROUND_CHUNK + WIRE_PIECES * sizeof(struct wire_piece) + 2 * sizeof(struct round_header) + 2 * sizeof(long));
}

void rounds_close(struct rounds *r) {
    free(r->headers);
    free(r->pieces);
    free(r->staging);
    free(r->offsets);
    *r = (struct rounds){0};
}

/* ---- headers ---- */

static int same(const struct comm_place *a, const struct comm_place *b) {
    return a->kind == b->kind && a->number == b->number && a->step == b->step && a->index == b->index &&
           !strncmp(a->what, b->what, COMM_NAME);
}

static int check(struct rounds *r, const struct comm_call *call, int rank) {
    const struct round_header *own = &r->own, *other = &r->headers[r->size + rank];
    char mine[160], theirs[160], text[400];
    comm_describe(&own->place, mine, sizeof mine);
    if (other->magic != HEADER_MAGIC || other->rank != rank) {
        snprintf(text, sizeof text, "sent no header in %s", mine);
        return wire_diverged(r->wire, rank, text);
    }
    if (!same(&own->place, &other->place)) {
        comm_describe(&other->place, theirs, sizeof theirs);
        snprintf(text, sizeof text, "is at %s, rank %d at %s", theirs, r->rank, mine);
        return wire_diverged(r->wire, rank, text);
    }
    int alike = own->n == other->n && own->root == other->root && own->counts == other->counts;
    if (call->kind == COMM_ALL_TO_ALL) alike = other->bytes == call->to_counts[rank];
    if (alike) return OK;
    snprintf(text, sizeof text, "has other counts (n %lld, root %lld, bytes %lld) than rank %d in %s",
             (long long)other->n, (long long)other->root, (long long)other->bytes, r->rank, mine);
    return wire_diverged(r->wire, rank, text);
}

static int exchange(struct rounds *r) {
    int code = wire_exchange(r->wire, r->pieces);
    memset(r->pieces, 0, (size_t)r->size * WIRE_PIECES * sizeof *r->pieces);
    return code;
}

static int greet(struct rounds *r, const struct comm_call *call) {
    for (int p = 0; p < r->size; p++) {
        r->headers[p] = r->own;
        if (call->kind == COMM_ALL_TO_ALL) r->headers[p].bytes = call->from_counts[p];
        r->pieces[p * WIRE_PIECES] =
            (struct wire_piece){&r->headers[p], sizeof *r->headers, &r->headers[r->size + p], sizeof *r->headers};
    }
    TRY(exchange(r));
    for (int p = 0; p < r->size; p++)
        if (p != r->rank) TRY(check(r, call, p));
    return OK;
}

/* ---- sums ---- */

static long least(long a, long b) { return a < b ? a : b; }

/* to[i] = the sum over the ranks in rank order; this rank's values are `own`, the others' are in the staging area. */
static void sum(const struct rounds *r, real *to, const real *own, long n) {
    enum { BLOCK = 1024 };
    real total[BLOCK];
    for (long start = 0; start < n; start += BLOCK) {
        long m = least(BLOCK, n - start);
        for (int p = 0; p < r->size; p++) {
            const real *part = (p == r->rank ? own : (const real *)(r->staging + (size_t)p * ROUND_CHUNK)) + start;
            if (p == 0)
                memcpy(total, part, (size_t)m * sizeof(real));
            else
#pragma omp simd
                for (long i = 0; i < m; i++) total[i] += part[i];
        }
        memcpy(to + start, total, (size_t)m * sizeof(real));
    }
}

/* Chunk k of a slice of `count` values; *n is the number of values in it. */
static real *chunk(real *slice, long count, long k, long *n) {
    long start = least(k * CHUNK, count);
    *n = least(CHUNK, count - start);
    return slice + start;
}

/* Adds all slices. Slice p of `all` begins at offsets[p] and is added by rank p; this rank's sums go to `own`. share 1:
   all sums also go to every rank, into `all`. */
static int reduce(struct rounds *r, real *own, real *all, const long *offsets, const long *counts, int share) {
    long chunks = 0, n;
    for (int p = 0; p < r->size; p++) {
        long k = (counts[p] + CHUNK - 1) / CHUNK;
        if (k > chunks) chunks = k;
    }
    for (long k = 0; k < chunks + share; k++) {
        for (int p = 0; p < r->size; p++) {
            struct wire_piece *parts = &r->pieces[p * WIRE_PIECES], *sums = parts + 1;
            if (p == r->rank) continue;
            parts->send = chunk(all + offsets[p], counts[p], k, &n);
            parts->send_bytes = (size_t)n * sizeof(real);
            chunk(all + offsets[r->rank], counts[r->rank], k, &n);
            parts->receive = r->staging + (size_t)p * ROUND_CHUNK;
            parts->receive_bytes = (size_t)n * sizeof(real);
            if (!share || !k) continue;
            sums->send = chunk(own, counts[r->rank], k - 1, &n);
            sums->send_bytes = (size_t)n * sizeof(real);
            sums->receive = chunk(all + offsets[p], counts[p], k - 1, &n);
            sums->receive_bytes = (size_t)n * sizeof(real);
        }
        TRY(exchange(r));
        const real *part = chunk(all + offsets[r->rank], counts[r->rank], k, &n);
        sum(r, chunk(own, counts[r->rank], k, &n), part, n);
    }
    return OK;
}

static int all_reduce(struct rounds *r, const struct comm_call *call) {
    long *offsets = r->offsets, *counts = offsets + r->size, each = call->n / r->size, more = call->n % r->size;
    for (int p = 0; p < r->size; p++) {
        counts[p] = each + (p < more);
        offsets[p] = p * each + least(p, more);
    }
    real *all = call->to;
    return reduce(r, all + offsets[r->rank], all, offsets, counts, 1);
}

static void lay(const struct rounds *r, long *offsets, const long *counts) {
    for (int p = 0; p < r->size; p++) offsets[p] = p ? offsets[p - 1] + counts[p - 1] : 0;
}

static int reduce_scatter(struct rounds *r, const struct comm_call *call) {
    lay(r, r->offsets, call->to_counts);
    return reduce(r, call->to, (real *)(uintptr_t)call->from, r->offsets, call->to_counts, 0);
}

/* ---- copies ---- */

static int all_gather(struct rounds *r, const struct comm_call *call) {
    long *offsets = r->offsets;
    const long *counts = call->to_counts;
    char *all = call->to;
    lay(r, offsets, counts);
    for (int p = 0; p < r->size; p++)
        r->pieces[p * WIRE_PIECES] =
            (struct wire_piece){call->from, (size_t)counts[r->rank], all + offsets[p], (size_t)counts[p]};
    char *own = all + offsets[r->rank];
    if (counts[r->rank] && own != call->from) memmove(own, call->from, (size_t)counts[r->rank]);
    return exchange(r);
}

static int all_to_all(struct rounds *r, const struct comm_call *call) {
    long *to = r->offsets, *from = to + r->size;
    lay(r, to, call->to_counts);
    lay(r, from, call->from_counts);
    for (int p = 0; p < r->size; p++)
        r->pieces[p * WIRE_PIECES] =
            (struct wire_piece){(const char *)call->from + from[p], (size_t)call->from_counts[p],
                                (char *)call->to + to[p], (size_t)call->to_counts[p]};
    if (call->to_counts[r->rank])
        memcpy((char *)call->to + to[r->rank], (const char *)call->from + from[r->rank],
               (size_t)call->to_counts[r->rank]);
    return exchange(r);
}

/* Broadcast: the root sends each rank a slice, then every rank sends its slice to all. So
   no rank sends more than twice the buffer. */
static int broadcast(struct rounds *r, const struct comm_call *call) {
    enum { SMALL = 1 << 16 };
    char *bytes = call->to;
    long parts = call->n > SMALL ? r->size : 1, each = (call->n + parts - 1) / parts;
    for (int p = 0; p < r->size; p++) {
        struct wire_piece *piece = &r->pieces[p * WIRE_PIECES];
        long slice = parts > 1 ? (r->rank == call->root ? p : r->rank) : 0;
        long start = least(slice * each, call->n), n = least(each, call->n - start);
        if (r->rank == call->root)
            piece->send = bytes + start, piece->send_bytes = (size_t)n;
        else if (p == call->root)
            piece->receive = bytes + start, piece->receive_bytes = (size_t)n;
    }
    TRY(exchange(r));
    if (parts == 1) return OK;
    for (int p = 0; p < r->size; p++) {
        struct wire_piece *piece = &r->pieces[p * WIRE_PIECES];
        long own = least(r->rank * each, call->n), other = least(p * each, call->n);
        piece->send = bytes + own, piece->receive = bytes + other;
        if (p != call->root) piece->send_bytes = (size_t)least(each, call->n - own);
        if (r->rank != call->root) piece->receive_bytes = (size_t)least(each, call->n - other);
    }
    return exchange(r);
}

int rounds_run(struct rounds *r, const struct comm_call *call) {
    r->own = (struct round_header){
        .magic = HEADER_MAGIC, .place = r->wire->place, .n = call->n, .root = call->root, .rank = r->rank};
    r->own.counts = call->to_counts && call->kind != COMM_ALL_TO_ALL
                        ? hash_bytes(HASH_START, call->to_counts, (size_t)r->size * sizeof(long))
                        : 0;
    TRY(greet(r, call));
    switch (call->kind) {
    case COMM_ALL_REDUCE:
        return all_reduce(r, call);
    case COMM_REDUCE_SCATTER:
        return reduce_scatter(r, call);
    case COMM_ALL_GATHER:
        return all_gather(r, call);
    case COMM_ALL_TO_ALL:
        return all_to_all(r, call);
    case COMM_BROADCAST:
        return broadcast(r, call);
    case COMM_BARRIER:
        return OK;
    }
    return error_set(ERR_USAGE, "collective %d is unknown", (int)call->kind);
}
