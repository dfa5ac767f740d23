/* arrivals.c: see arrivals.h. */
#include "infer/serve/arrivals.h"

void arrivals_push(struct arrivals *a, long samples, double now) {
    int newest = (a->first + a->count - 1) % ARRIVALS_MARKS;
    if (samples <= 0) return;
    if (a->count == ARRIVALS_MARKS || (a->count && a->marks[newest].at == now)) {
        a->marks[newest].samples += samples;
        a->marks[newest].at = now;
        return;
    }
    newest = (a->first + a->count++) % ARRIVALS_MARKS;
    a->marks[newest].samples = samples;
    a->marks[newest].at = now;
}

double arrivals_take(struct arrivals *a, long samples) {
    double came = 0;
    while (a->count && samples > 0) {
        long n = a->marks[a->first].samples < samples ? a->marks[a->first].samples : samples;
        came = a->marks[a->first].at;
        a->marks[a->first].samples -= n;
        samples -= n;
        if (a->marks[a->first].samples) break;
        a->first = (a->first + 1) % ARRIVALS_MARKS;
        a->count--;
    }
    return came;
}
