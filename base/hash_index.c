/* hash_index.c: see hash_index.h. Open addressing: a hash's places are those from its own on, to the first free one. */
#include "base/hash_index.h"

#include <stdlib.h>

#include "base/error.h"

static void put(struct hash_index *x, struct hash_place place) {
    size_t at = (size_t)place.hash;
    while (x->places[at & (x->room - 1)].number >= 0) at++;
    x->places[at & (x->room - 1)] = place;
}

/* Doubles the room. Numbers of one hash keep their order, because each row of places is copied from its beginning. */
static int grow(struct hash_index *x) {
    struct hash_index wider = {.room = x->room ? 2 * x->room : 64, .count = x->count};
    wider.places = malloc(sizeof *wider.places * wider.room);
    if (!wider.places) return error_set(ERR_DEVICE, "out of memory for an index");
    for (size_t i = 0; i < wider.room; i++) wider.places[i].number = -1;
    size_t begin = 0; /* a free place, so that no row is cut in two */
    while (begin < x->room && x->places[begin].number >= 0) begin++;
    for (size_t i = 0; i < x->room; i++) {
        const struct hash_place *place = &x->places[(begin + i) & (x->room - 1)];
        if (place->number >= 0) put(&wider, *place);
    }
    free(x->places);
    *x = wider;
    return OK;
}

int hash_index_add(struct hash_index *x, uint64_t hash, int number) {
    if (2 * x->count >= x->room) TRY(grow(x));
    put(x, (struct hash_place){hash, number});
    x->count++;
    return OK;
}

int hash_index_next(const struct hash_index *x, uint64_t hash, size_t *at) {
    while (*at < x->room) {
        const struct hash_place *place = &x->places[((size_t)hash + (*at)++) & (x->room - 1)];
        if (place->number < 0) return -1;
        if (place->hash == hash) return place->number;
    }
    return -1;
}

void hash_index_free(struct hash_index *x) {
    free(x->places);
    *x = (struct hash_index){0};
}
