/* progress.h: shows how far a long job is. On a terminal it is a status line with a bar, percentage, rate and time
   left, redrawn at most ten times a second; elsewhere it is a log line now and then, and one at the end. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

struct progress {
    char title[64];
    long total, first;   /* units of work; units done before this run (resume) */
    long every;          /* units between log lines when stderr is no terminal; 0: a line every ten seconds */
    double start, drawn; /* seconds, monotonic */
};
void progress_begin(struct progress *progress, const char *title, long total, long first);
/* Shows that `done` units of the total are done; `detail` stands after the bar ("loss 0.123"). */
void progress_update(struct progress *progress, long done, const char *detail);
/* Removes the status line and logs a last line. */
void progress_end(struct progress *progress, long done, const char *detail);

/* Seconds of the monotonic clock. */
double clock_seconds(void);
/* "1:02:03", "2:03" or "--" when unknown (negative or not finite). */
void clock_text(double seconds, char *text, int size);

#endif
