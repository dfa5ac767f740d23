/* served.h: who has done the work: a library of the device's maker or the backend's own kernel, by operation and sizes,
   and why the library did not. A backend that has both notes its calls here (cuda); the backends of the host have one
   way for each operation and note nothing. Calls are counted when the host makes them: the launch of a recording counts
   none. Thread-safe. */
#ifndef KERNELS_SERVED_H
#define KERNELS_SERVED_H

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

#ifdef __cplusplus
}
#endif

#endif
