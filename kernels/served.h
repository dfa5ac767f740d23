/* served.h: counts who did the work, by operation and sizes: a library of the device's maker or the backend's own
   kernel, and in that case why the library did not. cuda has both and notes its calls here; the backends on the host
   have one way for each operation and note nothing. Calls are counted when the host makes them, so the launch of a
   recording counts none. Thread-safe. */
#ifndef KERNELS_SERVED_H
#define KERNELS_SERVED_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SERVED_SIZES = 8 };
struct served {
    const char *operation, *by; /* "attention backward", "cuDNN" */
    long size[SERVED_SIZES];
    int sizes;        /* entries of size, in the order of the operation's parameters in kernels.h */
    char reason[160]; /* why no faster way took the call; "" when the fastest did */
    long calls;
};

/* For kernels: keeps, for the calling thread, why a way of doing the present call does not take it. The first reason
   since the last served_by stands. */
void served_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For kernels: counts a call that was queued by way of `by`, with the reason kept. Both
   texts must stay valid for good. */
void served_by(const char *operation, const char *by, int sizes, const long *size);

/* Gets the i-th entry, in the order of first calls; 0: there is none. When the table is full, the last entry, whose
   operation is "others", counts all further kinds of calls. */
int served_entry(int i, struct served *entry);
void served_clear(void);
/* Gets the i-th sum over all sizes of one operation and doer, as an entry whose one size is the number of different
   sizes, and whose reason is the first one's; 0: there is none. */
int served_sum(int i, struct served *sum);
/* Writes an entry on one line: "attention backward 1 x 638 x 512: cuDNN, 3 calls; REASON". */
void served_text(char *text, size_t size, const struct served *entry);

#ifdef __cplusplus
}
#endif

#endif
