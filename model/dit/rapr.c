/* rapr.c: see rapr.h. */
#include "model/dit/rapr.h"

#include <stddef.h>

#include "base/error.h"

const char *const rapr_names[] = {"off", "end", "start", "context", NULL};
const char *const sink_pos_names[] = {"native", "shifted", NULL};

static int at_least(int value, int least) { return value > least ? value : least; }

/* Frames by which ring and chunk move back: the capped frame's index minus D, at least 0. */
static int shift_of(const struct causal_config *c, int chunk) {
    int first = causal_first(c, chunk), last = first + causal_own(c, chunk) - 1;
    switch (c->rapr) {
    case RAPR_END:
        return at_least(last - c->rapr_cap, 0);
    case RAPR_START:
        return at_least(first - c->rapr_cap, 0);
    case RAPR_CONTEXT:
        return at_least(first - 1 - c->rapr_cap, 0);
    case RAPR_OFF:
        break;
    }
    return 0;
}

int causal_chunks(const struct causal_config *c, int frames) {
    int behind = frames - 1 - causal_own(c, 1); /* latent frames behind the first chunk */
    return behind < 0 || behind % c->chunk ? 0 : 1 + behind / c->chunk;
}

int causal_check(const struct causal_config *c) {
    if (c->chunk < 1 || c->chunk > HISTORY_MAX)
        return error_set(ERR_USAGE, "chunk: %d latent frames, expected 1 to %d", c->chunk, HISTORY_MAX);
    if (c->first_chunk < 0 || c->first_chunk > c->chunk)
        return error_set(ERR_USAGE, "first_chunk: %d latent frames, expected 0 to %d, those of a chunk", c->first_chunk,
                         c->chunk);
    if (c->sink < 0 || c->sink > HISTORY_MAX || (c->sink > 1 && !causal_chunks(c, c->sink)))
        return error_set(ERR_USAGE, "sink: %d frames, expected 0, 1, or 1 + %d + a multiple of %d (whole chunks)",
                         c->sink, causal_own(c, 1), c->chunk);
    if (c->ring < 0 || c->ring > HISTORY_MAX - c->sink || c->sink + c->ring < 1)
        return error_set(ERR_USAGE, "ring: %d frames besides a sink of %d, expected 1 to %d together", c->ring, c->sink,
                         HISTORY_MAX);
    if (c->audio_lookahead < 0 || c->audio_lookahead > AUDIO_MARGIN)
        return error_set(ERR_USAGE, "audio_lookahead: %d video frames, expected 0 to %d", c->audio_lookahead,
                         AUDIO_MARGIN);
    if (c->rapr == RAPR_OFF) return OK;
    if (c->rapr_cap < 1 || c->rapr_cap > 1 << 20)
        return error_set(ERR_USAGE, "rapr_cap: %d, expected 1 or more", c->rapr_cap);
    /* position of the oldest ring frame once the capped frame stands at D */
    int oldest = c->rapr == RAPR_END     ? c->rapr_cap - c->chunk + 1 - c->ring
                 : c->rapr == RAPR_START ? c->rapr_cap - c->ring
                                         : c->rapr_cap - c->ring + 1;
    if (oldest < 0 || c->rapr_cap < c->sink - 1)
        return error_set(ERR_USAGE, "rapr_cap: %d leaves no room for a ring of %d and a sink of %d", c->rapr_cap,
                         c->ring, c->sink);
    return OK;
}

struct audio_reach causal_reach(const struct causal_config *c) {
    return (struct audio_reach){.first_chunk = causal_own(c, 1), .chunk = c->chunk, .ahead = c->audio_lookahead};
}

void causal_view(struct causal_view *view, const struct causal_config *c, int chunk) {
    int first = causal_first(c, chunk), shift = shift_of(c, chunk), n = 0;
    view->first = first;
    view->own = causal_own(c, chunk);
    for (int f = 0; f < c->sink && f < first; f++, n++) view->frame[n] = view->position[n] = f;
    view->pinned = n;
    for (int f = at_least(first - c->ring, c->sink); f < first; f++, n++) {
        view->frame[n] = f;
        view->position[n] = f - shift;
    }
    view->count = n;
    for (int i = 0; i < view->own; i++) view->current[i] = first + i - shift;
    int next = n > view->pinned ? view->position[view->pinned] : view->current[0];
    for (int i = 0; i < view->pinned && c->sink_pos == SINK_SHIFTED; i++) view->position[i] = next - view->pinned + i;
}
