/* log.h: what a program says while it runs: lines with the time of day to stderr and, when a file is open, with the
   date to it. A status line is redrawn in place at the bottom of a terminal and is not shown when stderr is none.
   Like stderr itself the log is one for the process; every call is thread-safe. Programs log; library code seldom does
   (something went wrong and was dealt with), and never instead of returning an error. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* Lines no longer go to stderr, or do again: for all ranks of a job but one. */
void log_quiet(int on);
/* Lines go to this file too (appended), until log_close. ERR_INPUT. */
int log_open(const char *path);
void log_close(void);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Redraws the status line; an empty text removes it. */
void log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* 1: stderr is a terminal, log_status shows. */
int log_terminal(void);

#endif
