/* test_turns.c: what a step learns from, of what is kept: the critic's rollouts and the recorded trajectories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "train/method/ode_step.h"
#include "train/method/replay.h"

/* However full it is and wherever the others begin: the newest first, then each of the others once; then all again. */
static void rollouts_come_newest_first_and_once(void **state) {
    (void)state;
    enum { SLOTS = 5 };
    for (int64_t pushed = 1; pushed < 3 * SLOTS; pushed++)
        for (long offset = 0; offset < SLOTS; offset++) {
            struct replay r = {.slots = SLOTS, .pushed = pushed};
            int filled = replay_filled(&r), seen[SLOTS] = {0};
            assert_int_equal(replay_slot(&r, offset, 0), (pushed - 1) % SLOTS);
            for (int i = 0; i < filled; i++) {
                int slot = replay_slot(&r, offset, i);
                assert_in_range(slot, 0, filled - 1);
                assert_int_equal(seen[slot]++, 0);
                assert_int_equal(replay_slot(&r, offset, i + filled), slot);
            }
        }
}

/* Every one of the others is second for some offset. */
static void the_others_begin_anywhere(void **state) {
    (void)state;
    struct replay r = {.slots = 4, .pushed = 10};
    int second[4] = {0};
    for (long offset = 0; offset < 3; offset++) second[replay_slot(&r, offset, 1)]++;
    assert_int_equal(second[9 % 4], 0);
    for (int i = 0; i < 4; i++)
        if (i != 9 % 4) assert_int_equal(second[i], 1);
}

/* Trajectories: each once in a round of steps, and in batches that are made up anew in the next one. */
static void trajectories_meet_others_each_round(void **state) {
    (void)state;
    enum { BATCH = 4, CLIPS = 40, STEPS = CLIPS / BATCH };
    struct ode_step s = {.seed = 3, .split = {.batch = BATCH}};
    int batch_of[2][CLIPS], seen[CLIPS] = {0}, together = 0;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < CLIPS; i++) {
            long clip = ode_step_clip(&s, round * STEPS + i / BATCH, i % BATCH, 0, CLIPS);
            assert_in_range(clip, 0, CLIPS - 1);
            seen[clip]++;
            batch_of[round][clip] = i / BATCH;
        }
    for (int a = 0; a < CLIPS; a++) {
        assert_int_equal(seen[a], 2);
        for (int b = 0; b < a; b++) together += batch_of[0][a] == batch_of[0][b] && batch_of[1][a] == batch_of[1][b];
    }
    assert_true(together < 20); /* 60 pairs share a batch first; 60 * 3/39 are expected to do so again */
    int same = 0;               /* clips that are drawn again after going back; not all */
    for (int i = 0; i < BATCH; i++) same += ode_step_clip(&s, 0, i, 0, CLIPS) == ode_step_clip(&s, 0, i, 1, CLIPS);
    assert_true(same < BATCH);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(rollouts_come_newest_first_and_once),
                                       cmocka_unit_test(the_others_begin_anywhere),
                                       cmocka_unit_test(trajectories_meet_others_each_round)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
