/* interrupt.c: see interrupt.h. */
#include "base/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

enum { AGAIN_US = 200000 };

static volatile sig_atomic_t requested;

/* A signal that comes just before a call would not end it, so a timer goes on interrupting. */
static void on_signal(int number) {
    if (number == SIGALRM) return;
    requested = 1;
    const struct itimerval again = {{0, AGAIN_US}, {0, AGAIN_US}};
    setitimer(ITIMER_REAL, &again, NULL);
}

void interrupt_watch(void) {
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART, so that blocking calls end */
    sigemptyset(&action.sa_mask);
    static const int signals[] = {SIGINT, SIGTERM, SIGALRM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
}

int interrupt_requested(void) { return requested; }
