/* error.h: how library functions fail.
   A library function returns OK or an error code and leaves one line of text; only programs print and exit.
   The codes are the exit codes of the programs. The text is thread-local and lives until the next error_set. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum error_code {
    OK = 0,
    ERR_USAGE = 2,   /* command line or config */
    ERR_INPUT = 3,   /* a file that was read or written, disk full included */
    ERR_NUMERIC = 4, /* non-finite loss or gradient */
    ERR_DEVICE = 5   /* device, memory or communication */
};

/* Keeps the formatted line as this thread's error text; returns code, so that `return error_set(...)` reads well. */
int error_set(enum error_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the present text, unless it begins so already; returns
   code. For callers that know which file or tensor it was. */
int error_context(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text of this thread's last error; "" when there was none. */
const char *error_text(void);

/* Returns from the calling function with the code of a call that failed. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        int try_code = (call);                                                                                         \
        if (try_code) return try_code;                                                                                 \
    } while (0)

#endif
