/* test_score.c: what distribution matching gives a clip. SiD's two sweeps against central differences of its loss
   through both score networks, with guidance and alpha 1.2, the normaliser held at its recorded value; DMD's gradient
   against its formula from the networks' velocities; frame 0 untouched. Five-point rule at h = 1e-3: error about h^4 of
   the function's scale, rounding 1e-16 / h. */
#include "tests/small_net.h"

#include "tests/random_condition.h"
#include "tests/score_loss.h"

enum { B = 2, F = 3 };

struct world {
    struct dit net;
    struct small_net teacher, critic;
    struct arena arena;
    struct score score;
    struct dit_acts *acts;
    struct condition_batch condition;
    real *x, *g, *loss, *moved;
    long all;
};

static void layout(struct world *w, const struct score_config *config) {
    struct batch_split split;
    CHECK(batch_split_of(&split, B, 1, 0, 1));
    CHECK(score_layout(&w->score, &w->net, config, &split, F, &w->arena));
    if (w->acts) dit_acts_free(w->acts);
    CHECK(dit_acts_layout(&w->acts, &w->net, B, F, DIT_SAVE_ALL, &w->arena));
    condition_batch_layout(&w->condition, &w->net.config, NULL, B, F, &w->arena);
}

static void open_world(struct world *w, const char *loss, double guidance, double alpha, int guide_text) {
    struct dit_config config = small_config(2);
    struct score_config score = {.loss = score_loss_of(loss),
                                 .guidance = guidance,
                                 .alpha = alpha,
                                 .guide_text = guide_text,
                                 .level = {LEVEL_SHIFTED_UNIFORM, 3, 0, 1, 0.3, 0.8}};
    memset(w, 0, sizeof *w);
    CHECK(device_init(1));
    CHECK(dit_create(&w->net, &config, 0));
    small_open(&w->teacher, &w->net.table, 0.15);
    small_open(&w->critic, &w->net.table, 0.15);
    random_init(w->critic.params.weights, 99, 5, 0.2, (long)w->critic.total); /* another network */
    arena_begin(&w->arena, "test");
    layout(w, &score);
    CHECK(arena_commit(&w->arena));
    layout(w, &score);
    CHECK(device_sync());
    random_condition(&w->condition);
    random_init(w->condition.no_text, 1, 7, 1, (long)B * config.text_len * config.text_dim); /* elem is real here */
    w->all = (long)B * w->score.clip;
    w->x = small_reals(&w->teacher, w->all, 1);
    w->g = small_reals(&w->teacher, w->all, 0);
    w->moved = small_reals(&w->teacher, w->all, 0);
    w->loss = small_reals(&w->teacher, 1, 0);
    w->teacher.params.grads = NULL;
    w->critic.params.grads = NULL;
}

static void close_world(struct world *w) {
    dit_acts_free(w->acts);
    score_free(&w->score);
    arena_free(&w->arena);
    small_close(&w->teacher);
    small_close(&w->critic);
    dit_destroy(&w->net);
}

static double download_loss(const struct world *w) {
    real loss;
    mem_download(&loss, w->loss, sizeof loss);
    return (double)loss;
}

/* L at a clip: level and noise as drawn, normaliser as recorded. */
static double loss_at(struct world *w, const real *x, const real *normaliser) {
    struct score *s = &w->score;
    levels_noise(&s->levels, s->noisy, x, s->noise, s->size);
    CHECK(score_compare(s, x, &w->condition, &w->teacher.params, &w->critic.params, w->acts));
    mem_zero(w->loss, sizeof(real));
    sid_gradients(NULL, NULL, NULL, w->loss, x, s->r, s->f, normaliser, (real)s->config.alpha, B, s->clip);
    return download_loss(w);
}

static double difference(struct world *w, const real *direction, const real *normaliser, double h) {
    static const double at[4] = {-2, -1, 1, 2}, weight[4] = {1, -8, 8, -1};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        mem_copy(w->moved, w->x, sizeof(real) * (size_t)w->all);
        real_axpby(w->moved, (real)(at[i] * h), direction, 1, w->all);
        sum += weight[i] * loss_at(w, w->moved, normaliser);
    }
    return sum / (12 * h);
}

/* Random in frames 1.. (or in frame 0 alone). */
static real *direction_in(struct world *w, int generated) {
    struct levels *l = &w->score.levels;
    real *d = small_reals(&w->teacher, w->all, 1), *other = small_reals(&w->teacher, (long)B * F, 0);
    real_fill(other, 1, (long)B * F);
    real_axpby(other, -1, l->generated, 1, (long)B * F);
    real_group_combine(d, generated ? l->generated : other, d, l->zero, d, (long)B * F, w->score.size);
    return d;
}

static void gradient(struct world *w) {
    struct step_random random = {.seed = 4, .step = 9};
    struct part part = part_whole(B);
    mem_zero(w->loss, sizeof(real));
    CHECK(score_gradient(&w->score, w->g, w->loss, w->x, &w->condition, &w->teacher.params, &w->critic.params, w->acts,
                         &part, &random));
    CHECK(device_sync());
}

static void check_sid(double guidance, double alpha, int guide_text) {
    struct world w;
    open_world(&w, "sid", guidance, alpha, guide_text);
    gradient(&w);
    double loss = download_loss(&w);
    real *normaliser = small_reals(&w.teacher, B, 0);
    mem_copy(normaliser, w.score.normaliser, sizeof(real) * B);
    assert_true(fabs(loss_at(&w, w.x, normaliser) - loss) < 1e-12 * fabs(loss));
    for (int trial = 0; trial < 3; trial++) {
        real *d = direction_in(&w, 1);
        double exact = small_dot(w.g, d, w.all), numeric = difference(&w, d, normaliser, 1e-3);
        if (!(fabs(exact - numeric) < 1e-6 * fabs(numeric)))
            fail_msg("guidance %g, alpha %g: %.12g, by differences %.12g", guidance, alpha, exact, numeric);
    }
    assert_true(small_dot(w.g, direction_in(&w, 0), w.all) == 0);
    close_world(&w);
}

static void sid_is_the_gradient_of_its_loss(void **state) {
    (void)state;
    check_sid(3, 1.2, 0);
    check_sid(3, 1.2, 1);
    check_sid(1, 0.7, 0);
}

/* With an unguided score the pass without audio has no share; with guidance it has, with the text or the negative
   one. */
static void check_guidance(int guide_text) {
    struct world w;
    open_world(&w, "dmd", 2.5, 1, guide_text);
    gradient(&w);
    struct score *s = &w.score;
    real *conditional = small_reals(&w.teacher, w.all, 0), *dropped = small_reals(&w.teacher, w.all, 0);
    struct dit_input in = condition_batch_clip(&w.condition, 0, s->noisy, s->clip, s->levels.t);
    dit_condition_reset(w.acts, 1, 1);
    CHECK(dit_forward(&w.net, &w.teacher.params, w.acts, &in, conditional, s->clip));
    in = condition_batch_clip(&w.condition, AUDIO_ALL, s->noisy, s->clip, s->levels.t);
    if (guide_text) in.text = w.condition.no_text;
    dit_condition_reset(w.acts, 1, 1);
    CHECK(dit_forward(&w.net, &w.teacher.params, w.acts, &in, dropped, s->clip));
    real_axpby(dropped, 2.5, conditional, -1.5, w.all);
    assert_true(small_distance(conditional, dropped, w.all) > 1e-3);
    assert_true(small_distance(s->v_guided, dropped, w.all) < 1e-12);
    close_world(&w);
}

static void guidance_drops_audio(void **state) {
    (void)state;
    check_guidance(0);
}
static void guidance_drops_text_too(void **state) {
    (void)state;
    check_guidance(1);
}

/* g = (f - r)/(N numel) = -sigma (v_F - v_R)/(N numel), nothing in frame 0. */
static void dmd_is_the_score_difference(void **state) {
    (void)state;
    struct world w;
    open_world(&w, "dmd", 2.5, 1, 0);
    gradient(&w);
    const struct score *s = &w.score;
    real *g = small_host(w.g, w.all), *x = small_host(w.x, w.all), *v_r = small_host(s->v_guided, w.all);
    real *v_f = small_host(s->v_fake, w.all), *noisy = small_host(s->noisy, w.all);
    for (int b = 0; b < B; b++) {
        double sigma = s->levels.drawn[b], distance = 0;
        assert_true(sigma >= 0.3 && sigma <= 0.8);
        for (long i = b * s->clip + s->size; i < (b + 1) * s->clip; i++)
            distance += fabs(x[i] - (noisy[i] - sigma * v_r[i]));
        for (long i = b * s->clip; i < (b + 1) * s->clip; i++) {
            /* N numel: N is the mean over a sample's frames 0.., numel counts the same frames of B samples */
            double expected = i - b * s->clip < s->size ? 0 : -sigma * (v_f[i] - v_r[i]) / (distance * B);
            assert_true(fabs(g[i] - expected) < 1e-12);
        }
    }
    free(g);
    free(x);
    free(v_r);
    free(v_f);
    free(noisy);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sid_is_the_gradient_of_its_loss), cmocka_unit_test(guidance_drops_audio),
        cmocka_unit_test(guidance_drops_text_too), cmocka_unit_test(dmd_is_the_score_difference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
