/* log.h: what a program says while it runs. Lines go to stderr with the time of day and, when a log file is open, to it
   with date and time. A status line is redrawn in place at the bottom of a terminal and is not shown when stderr is
   none. Like stderr itself the log is one for the process; every call is thread-safe. Programs log; library code seldom
   does (something went wrong and was dealt with), and never instead of returning an error. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/* Keeps lines from stderr (on 1) or lets them go there again (0). All ranks of a job but one are quiet. */
void log_quiet(int on);
/* Opens a log file, to whose end lines are written too until log_close. ERR_INPUT: it cannot be opened. */
int log_open(const char *path);
void log_close(void);
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Redraws the status line; an empty text removes it. */
void log_status(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* 1: stderr is a terminal, so that log_status shows. */
int log_terminal(void);

#endif
