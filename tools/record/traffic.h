/* traffic.h: counts what kernels move and compute: the sum over calls of each operand's bytes, read once and written
   once. A backend's own workspace does not count, nor do caches that save a read. */
#ifndef TOOLS_RECORD_TRAFFIC_H
#define TOOLS_RECORD_TRAFFIC_H

struct traffic {
    long launches;
    double read, written; /* bytes */
    double operations;    /* operations of products and attention; an addition and a multiplication count as two */
};
static inline double traffic_bytes(const struct traffic *t) { return t->read + t->written; }
static inline void traffic_add(struct traffic *sum, const struct traffic *t) {
    sum->launches += t->launches;
    sum->read += t->read;
    sum->written += t->written;
    sum->operations += t->operations;
}
/* Numbers of each type that one kernel reads or writes. Bytes are those of a bf16 build, whatever this build is,
   because the figures are for a GPU. Copies, which know no type, count as elem. */
struct numbers {
    double elems, reals;
};
static inline double numbers_bytes(struct numbers n) { return 2 * n.elems + 4 * n.reals; }

#endif
