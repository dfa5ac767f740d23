/* interrupt.h: SIGINT and SIGTERM as a request that loops look at. A call that blocks (open, read, poll) ends with
   EINTR when the signal comes, and again five times a second from then on, so that no input holds up a program that is
   asked to end, whenever the signal came. */
#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

void interrupt_watch(void);    /* starts to catch both signals; the program calls it once */
int interrupt_requested(void); /* 1: a signal has come */

#endif
