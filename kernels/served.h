/* served.h: who has done the work: a library of the device's maker or the backend's own kernel, by operation and sizes,
   and why the library did not. A backend that has both notes its calls here (cuda); the backends of the host have one
   way for each operation and note nothing. Calls are counted when the host makes them: the launch of a recording counts
   none. Thread-safe. */
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
    int sizes;        /* so many of them, in the order that the operation's name in kernels.h has */
    char reason[160]; /* why no faster way took it; "" when it went the first way */
    long calls;
};

/* For kernels: keeps, for the calling thread, why a way does not take the call in hand. The first reason since the last
   served_by stands. */
void served_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For kernels: the call was queued by `by`, with the reason kept. Both texts must stay. */
void served_by(const char *operation, const char *by, int sizes, const long *size);

/* The i-th entry, in the order of their first calls; 0: there is none. Of more kinds than the table holds all that came
   late is counted by the last entry, whose operation is "others". */
int served_entry(int i, struct served *entry);
void served_clear(void);
/* The i-th sum over all sizes of who did what: as an entry, whose one size is how many there were, and whose reason is
   the first; 0: there is none. */
int served_sum(int i, struct served *sum);
/* "attention backward 1 x 638 x 512: cuDNN, 3 calls; REASON" on one line. */
void served_text(char *text, size_t size, const struct served *entry);

#ifdef __cplusplus
}
#endif

#endif
