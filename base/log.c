/* log.c: see log.h. */
#include "base/log.h"
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *log_file;
static char status[512];
static int quiet;

void log_quiet(int on) {
    pthread_mutex_lock(&lock);
    quiet = on;
    pthread_mutex_unlock(&lock);
}

static int is_quiet(void) {
    pthread_mutex_lock(&lock);
    int on = quiet;
    pthread_mutex_unlock(&lock);
    return on;
}

int log_terminal(void) { return !is_quiet() && isatty(STDERR_FILENO); }

int log_open(const char *path) {
    FILE *file = fopen(path, "a");
    if (!file) return error_set(ERR_INPUT, "%s: cannot open the log: %s", path, strerror(errno));
    pthread_mutex_lock(&lock);
    if (log_file) fclose(log_file);
    log_file = file;
    pthread_mutex_unlock(&lock);
    return OK;
}

void log_close(void) {
    pthread_mutex_lock(&lock);
    if (log_file) fclose(log_file);
    log_file = NULL;
    pthread_mutex_unlock(&lock);
}

void log_line(const char *format, ...) {
    char text[2048], date[32] = "";
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local)) strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
    pthread_mutex_lock(&lock);
    if (!quiet) {
        if (status[0]) fputs("\r\033[K", stderr);
        fprintf(stderr, "%s %s\n", date[0] ? date + 11 : "", text);
        if (status[0]) fputs(status, stderr);
        fflush(stderr);
    }
    if (log_file) {
        fprintf(log_file, "%s %s\n", date, text);
        fflush(log_file);
    }
    pthread_mutex_unlock(&lock);
}

void log_status(const char *format, ...) {
    if (!log_terminal()) return;
    va_list list;
    va_start(list, format);
    pthread_mutex_lock(&lock);
    int had = status[0] != 0;
    vsnprintf(status, sizeof status, format, list);
    if (had || status[0]) fprintf(stderr, "\r\033[K%s", status);
    fflush(stderr);
    pthread_mutex_unlock(&lock);
    va_end(list);
}
