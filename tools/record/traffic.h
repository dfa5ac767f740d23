/* traffic.h: what kernels move and compute, by counting: the sum over calls of each operand's bytes, read once and
   written once. What a backend keeps in its own workspace, and caches that spare a read, do not count. */
#ifndef TOOLS_RECORD_TRAFFIC_H
#define TOOLS_RECORD_TRAFFIC_H

struct traffic {
    long launches;
    double read, written; /* bytes */
    double operations;    /* of products and attention, an addition and a multiplication each */
};
static inline double traffic_bytes(const struct traffic *t) { return t->read + t->written; }
static inline void traffic_add(struct traffic *sum, const struct traffic *t) {
    sum->launches += t->launches;
    sum->read += t->read;
    sum->written += t->written;
    sum->operations += t->operations;
}
/* Numbers of either type that one kernel reads or writes; in bytes of a build for bf16, whatever this one is for:
   figures are for a GPU. Copies, which know no type, count as elem's. */
struct numbers {
    double elems, reals;
};
static inline double numbers_bytes(struct numbers n) { return 2 * n.elems + 4 * n.reals; }

#endif
