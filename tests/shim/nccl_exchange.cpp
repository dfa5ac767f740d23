/* nccl_exchange.cpp: see nccl_exchange.h. */
#include "nccl_exchange.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- memory: no name anywhere, so that nothing is left when processes die ---- */

static struct nccl_shared *map(int fd) {
    void *memory = mmap(NULL, sizeof(struct nccl_shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : (struct nccl_shared *)memory;
}

struct nccl_shared *nccl_shared_make(char *path, size_t size) {
    int fd = memfd_create("fake nccl", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, sizeof(struct nccl_shared))) return NULL;
    snprintf(path, size, "/proc/%d/fd/%d", (int)getpid(), fd); /* open until the process ends: for those that come */
    return map(fd);
}

struct nccl_shared *nccl_shared_open(const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return NULL;
    struct nccl_shared *shared = map(fd);
    close(fd);
    return shared;
}

void nccl_forget(struct nccl_member *m) {
    memset(m->shared->place[m->rank].data, 0xff, NCCL_PIECE);
    for (int r = 0; r < m->size; r++) memset(m->shared->letter[m->rank][r].data, 0xff, NCCL_PIECE);
}

/* ---- from one to another ---- */

static int send(struct nccl_member *m, struct nccl_op *op) {
    struct nccl_letter *l = &m->shared->letter[m->rank][op->root];
    for (; op->at < op->bytes; op->at += l->bytes) {
        if (l->sent != l->received) return 0;
        l->bytes = op->bytes - op->at < NCCL_PIECE ? op->bytes - op->at : NCCL_PIECE;
        memcpy(l->data, op->from + op->at, l->bytes);
        l->sent++;
    }
    return 1;
}

static int receive(struct nccl_member *m, struct nccl_op *op) {
    struct nccl_letter *l = &m->shared->letter[op->root][m->rank];
    while (op->at < op->bytes) {
        if (l->sent == l->received || l->bytes > op->bytes - op->at) return 0;
        memcpy(op->to + op->at, l->data, l->bytes);
        op->at += l->bytes;
        l->received++;
    }
    return 1;
}

/* ---- collectives: all show a piece, all read what they want of it, in rounds ---- */

template <class T> static void add(const struct nccl_member *m, char *to, size_t bytes) {
    for (size_t i = 0; i < bytes / sizeof(T); i++) {
        T sum = ((const T *)(const void *)m->shared->place[0].data)[i];
        for (int r = 1; r < m->size; r++) sum += ((const T *)(const void *)m->shared->place[r].data)[i];
        memcpy(to + i * sizeof(T), &sum, sizeof sum);
    }
}

static void read(const struct nccl_member *m, const struct nccl_op *op, size_t bytes) {
    char *to = op->to + op->at;
    if (op->kind == NCCL_ALL_GATHER)
        for (int r = 0; r < m->size; r++) memcpy(to + (size_t)r * op->bytes, m->shared->place[r].data, bytes);
    if (op->kind == NCCL_BROADCAST) memcpy(to, m->shared->place[op->root].data, bytes);
    if ((op->kind == NCCL_REDUCE && m->rank != op->root) || (op->kind == NCCL_REDUCE_SCATTER && m->rank != op->part))
        return;
    if (op->kind > NCCL_REDUCE_SCATTER) return;
    if (op->type == ncclDouble)
        add<double>(m, to, bytes);
    else
        add<float>(m, to, bytes);
}

/* 1: every rank has shown its piece of this round, and means the same by it. */
static int all_show(const struct nccl_member *m, const struct nccl_said *said) {
    for (int r = 0; r < m->size; r++) {
        const struct nccl_place *p = &m->shared->place[r];
        if (p->shown <= m->pieces || memcmp(&p->said, said, sizeof *said)) return 0;
    }
    return 1;
}

static int all_have_taken(const struct nccl_member *m) {
    for (int r = 0; r < m->size; r++)
        if (m->shared->place[r].taken < m->pieces) return 0;
    return 1;
}

static int round(struct nccl_member *m, struct nccl_op *op, size_t bytes) {
    struct nccl_place *own = &m->shared->place[m->rank];
    const struct nccl_said said = {op->kind, (long)op->bytes, (long)op->at, op->part, op->root, op->type};
    if (!op->shown) {
        if (!all_have_taken(m)) return 0;
        own->said = said;
        if (op->kind != NCCL_BROADCAST || op->root == m->rank)
            memcpy(own->data, op->from + (size_t)op->part * op->bytes + op->at, bytes);
        own->shown++;
        op->shown = 1;
    }
    if (!all_show(m, &said)) return 0;
    read(m, op, bytes);
    op->shown = 0;
    m->pieces++;
    own->taken++;
    return 1;
}

static int collective(struct nccl_member *m, struct nccl_op *op) {
    int parts = op->kind == NCCL_REDUCE_SCATTER ? m->size : 1;
    for (; op->part < parts; op->part++, op->at = 0)
        while (op->at < op->bytes) {
            size_t bytes = op->bytes - op->at < NCCL_PIECE ? op->bytes - op->at : NCCL_PIECE;
            if (!round(m, op, bytes)) return 0;
            op->at += bytes;
        }
    return 1;
}

int nccl_go_on(struct nccl_member *m, struct nccl_op *op) {
    if (!op->done)
        op->done = op->kind == NCCL_SEND   ? send(m, op)
                   : op->kind == NCCL_RECV ? receive(m, op)
                                           : collective(m, op);
    return op->done;
}
