/* test_rollout_frames.c: students of one latent frame a chunk, in double: a frame seen through the cache, with sink,
   ring and RAPR, equals the same frame computed another way. The positions are written by hand. */
#define WORLD_CHUNK 1
#include "tests/double/rollout_history.h"

static void cache_equals_bidirectional_prefix(void **state) {
    (void)state;
    cache_equals_prefix(0);
}

/* Frames are evicted from chunk 5 or 6 on, and from there on the new frame stands at the same position. */
static void cache_equals_hand_made_history(void **state) {
    (void)state;
    static const struct hand_case cases[] = {
        {{C, 2, 3, RAPR_END, 5, SINK_NATIVE, AUDIO_MARGIN, 0},
         {{1, {0}, {0}, {1}},
          {2, {0, 1}, {0, 1}, {2}},
          {3, {0, 1, 2}, {0, 1, 2}, {3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4}},
          {5, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}, {5}},
          {5, {0, 1, 3, 4, 5}, {0, 1, 2, 3, 4}, {5}},
          {5, {0, 1, 4, 5, 6}, {0, 1, 2, 3, 4}, {5}},
          {5, {0, 1, 5, 6, 7}, {0, 1, 2, 3, 4}, {5}},
          {5, {0, 1, 6, 7, 8}, {0, 1, 2, 3, 4}, {5}}}},
        {{C, 1, 3, RAPR_CONTEXT, 4, SINK_NATIVE, AUDIO_MARGIN,
          0}, /* the frame before the new one stands at 4 at most */
         {{1, {0}, {0}, {1}},
          {2, {0, 1}, {0, 1}, {2}},
          {3, {0, 1, 2}, {0, 1, 2}, {3}},
          {4, {0, 1, 2, 3}, {0, 1, 2, 3}, {4}},
          {4, {0, 2, 3, 4}, {0, 2, 3, 4}, {5}},
          {4, {0, 3, 4, 5}, {0, 2, 3, 4}, {5}},
          {4, {0, 4, 5, 6}, {0, 2, 3, 4}, {5}},
          {4, {0, 5, 6, 7}, {0, 2, 3, 4}, {5}},
          {4, {0, 6, 7, 8}, {0, 2, 3, 4}, {5}}}},
        {{C, 0, 3, RAPR_END, 4, SINK_NATIVE, AUDIO_MARGIN, 0}, /* without a sink the reference goes too */
         {{1, {0}, {0}, {1}},
          {2, {0, 1}, {0, 1}, {2}},
          {3, {0, 1, 2}, {0, 1, 2}, {3}},
          {3, {1, 2, 3}, {1, 2, 3}, {4}},
          {3, {2, 3, 4}, {1, 2, 3}, {4}},
          {3, {3, 4, 5}, {1, 2, 3}, {4}},
          {3, {4, 5, 6}, {1, 2, 3}, {4}},
          {3, {5, 6, 7}, {1, 2, 3}, {4}},
          {3, {6, 7, 8}, {1, 2, 3}, {4}}}},
    };
    cache_equals_hand_made(cases, sizeof cases / sizeof *cases);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cache_equals_bidirectional_prefix),
                                       cmocka_unit_test(cache_equals_hand_made_history)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
