/* queueing.c: see queueing.h. */
#include "infer/load/queueing.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- Erlang's formulas ---- */

/* Computes B(0) = 1, B(k) = a B(k - 1) / (k + a B(k - 1)); unlike factorials this cannot overflow. */
double erlang_b(int places, double offered) {
    double b = 1;
    for (int k = 1; k <= places; k++) b = offered * b / (k + offered * b);
    return b;
}

double erlang_c(int places, double offered) {
    if (offered >= places) return 1;
    double b = erlang_b(places, offered);
    return b / (1 - offered / places * (1 - b));
}

double erlang_b_load(int places, double share) {
    double low = 0, high = 1;
    while (erlang_b(places, high) < share) high *= 2;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (erlang_b(places, middle) <= share)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- a plan's visits, one after the other ---- */

struct house {
    double *leave; /* [in]: times at which those with a place leave */
    long *waiting; /* [queued]: visits that wait, first come first */
    int in, queued;
};

/* Index of the place that becomes free first; -1: none is taken. */
static int first_to_leave(const struct house *h) {
    int first = h->in ? 0 : -1;
    for (int i = 1; i < h->in; i++)
        if (h->leave[i] < h->leave[first]) first = i;
    return first;
}

static void give_up(struct house *h, const struct visit *visits, double now) {
    int kept = 0;
    for (int i = 0; i < h->queued; i++) {
        const struct visit *v = visits + h->waiting[i];
        if (v->at + v->stay > now) h->waiting[kept++] = h->waiting[i];
    }
    h->queued = kept;
}

/* Gives the places that become free up to `now` to those who wait. */
static void pass_on(struct house *h, const struct visit *visits, double now, struct forecast *f) {
    for (int i; (i = first_to_leave(h)) >= 0 && h->leave[i] <= now;) {
        double at = h->leave[i];
        give_up(h, visits, at);
        h->leave[i] = h->leave[--h->in];
        if (!h->queued) continue;
        const struct visit *v = visits + h->waiting[0];
        memmove(h->waiting, h->waiting + 1, sizeof *h->waiting * (size_t)--h->queued);
        h->leave[h->in++] = v->at + v->stay;
        f->entered++;
        f->waited += at - v->at;
    }
    give_up(h, visits, now);
}

static void arrive(struct house *h, const struct visit *visits, long number, int places, int queue,
                   struct forecast *f) {
    const struct visit *v = visits + number;
    if (h->in < places) {
        h->leave[h->in++] = v->at + v->stay;
        f->admitted++;
    } else if (h->queued < queue) {
        h->waiting[h->queued++] = number;
        f->queued++;
    } else {
        f->refused++;
    }
    if (h->in + h->queued > f->most) f->most = h->in + h->queued;
    f->mean_stay += v->stay;
    f->short_share += v->stay < 60;
}

int forecast(struct forecast *f, const struct visit *visits, long count, int places, int queue, double until) {
    struct house h = {.leave = malloc(sizeof *h.leave * (size_t)(places + 1)),
                      .waiting = malloc(sizeof *h.waiting * (size_t)(queue + 1))};
    *f = (struct forecast){.visits = count};
    for (long i = 0; h.leave && h.waiting && i < count; i++) {
        pass_on(&h, visits, visits[i].at, f);
        arrive(&h, visits, i, places, queue, f);
    }
    int code = h.leave && h.waiting ? OK : error_set(ERR_DEVICE, "out of memory for the forecast");
    if (!code) pass_on(&h, visits, until, f);
    free(h.leave);
    free(h.waiting);
    f->waited /= f->entered ? (double)f->entered : 1;
    f->mean_stay /= count ? (double)count : 1;
    f->short_share /= count ? (double)count : 1;
    return code;
}
