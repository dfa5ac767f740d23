/* packed.c: makes no copies of weights: by definition products read the weights where they are. */
#include "kernels/kernels.h"

long packed_room(long n) { return (void)n, 0; }

long packed_lent(long n) { return (void)n, 0; }

void packed_open(elem *room, const elem *weights, long n, long rows_least) {
    (void)room, (void)weights, (void)n, (void)rows_least;
}

void packed_renew(const void *memory, long bytes) { (void)memory, (void)bytes; }

void packed_close(const void *memory, long bytes) { (void)memory, (void)bytes; }
