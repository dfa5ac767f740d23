/* test_run_config.c: what the config says for all optimisers reaches every one of them, whatever stage it belongs to;
   every stage's section is in the schema, and its help prints the sections that it reads and no other. */
#include "base/permutation.h"
#include "tests/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/config/run_config.h"

static const char *const stages[] = {"teacher", "ode_init", "distill", "refine", "light_decoder"};
enum { STAGES = sizeof stages / sizeof *stages, OVERRIDES_MAX = 8 };

static void load(struct run_config *c, const char *const *overrides) {
    int count = 0;
    while (overrides[count]) count++;
    CHECK(run_config_load(c, "configs/tiny.yaml", overrides, count));
}

/* The optimisers by their keys, SECTION.lr: what the table of optimisers must agree with. */
static struct optimiser_config *by_key(struct run_config *c, int i) {
    int count;
    const struct config_field *fields = run_config_fields(&count);
    for (int f = 0; f < count; f++) {
        size_t n = strlen(fields[f].key);
        if (n < 3 || strcmp(fields[f].key + n - 3, ".lr")) continue;
        if (i-- == 0) return (void *)((char *)c + fields[f].offset - offsetof(struct optimiser_config, lr));
    }
    return NULL;
}

static void the_table_has_every_optimiser_of_the_schema(void **state) {
    static struct run_config c;
    const char *network;
    int keys = 0, found;
    (void)state;
    while (by_key(&c, keys)) keys++;
    assert_int_equal(keys, 7);
    for (int i = 0; i < keys; i++) {
        found = 0;
        for (int k = 0; run_config_optimiser(&c, k, &network); k++)
            found += run_config_optimiser(&c, k, &network) == by_key(&c, i);
        assert_int_equal(found, 1);
    }
    assert_null(run_config_optimiser(&c, keys, &network));
}

static void faults_and_defaults_reach_every_optimiser(void **state) {
    static struct run_config c;
    (void)state;
    load(&c, (const char *const[]){"faults.spike=0.5", NULL});
    for (int i = 0; by_key(&c, i); i++) {
        const struct optimiser_config *o = by_key(&c, i);
        assert_true(o->spike == 0.5);
        assert_true(o->lr > 0 && o->eps == 1e-8 && o->ema_warmup == 10);
    }
}

static void adapters_reach_the_networks_named(void **state) {
    static struct run_config c;
    const char *network;
    struct optimiser_config *o;
    (void)state;
    load(&c, (const char *const[]){"lora.rank=3", "lora.networks=student,discriminator", NULL});
    for (int i = 0; (o = run_config_optimiser(&c, i, &network)); i++)
        assert_int_equal(o->lora.rank,
                         network && (!strcmp(network, "student") || !strcmp(network, "discriminator")) ? 3 : 0);
    const char *const wrong[] = {"lora.networks=student,decoder"};
    assert_int_equal(run_config_load(&c, "configs/tiny.yaml", wrong, 1), ERR_USAGE);
    assert_non_null(strstr(error_text(), "teacher, student, critic, discriminator, found decoder"));
}

static void a_stage_refuses_what_no_key_can_say(void **state) {
    static struct run_config c;
    (void)state;
    for (int i = 0; i < 3; i++) {
        char override[64];
        const char *const wrong[] = {override}, *const with_level[] = {"teacher", "distill", "refine"};
        snprintf(override, sizeof override, "%s.level={min: 0.9, max: 0.1}", with_level[i]);
        assert_int_equal(run_config_load(&c, "configs/tiny.yaml", wrong, 1), ERR_USAGE);
        assert_non_null(strstr(error_text(), "min 0.9 lies above max 0.1"));
    }
}

static void an_old_key_is_refused_by_its_new_name(void **state) {
    static struct run_config c;
    static const char *const renamed[][2] = {
        {"model.deaf=talk", "model.deaf: this key is called model.mute_input now"},
        {"refine.critic.lr=1", "refine.critic.lr: this key is called refine.discriminator.optimiser.lr now"},
        {"refine={critic: {lr: 1}}", "called refine.discriminator.optimiser"}};
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_config_load(&c, "configs/tiny.yaml", &renamed[i][0], 1), ERR_USAGE);
        if (!strstr(error_text(), renamed[i][1])) fail_msg("%s", error_text());
    }
}

static char *help_of(const char *stage) {
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    assert_non_null(file);
    run_config_describe(stage, file);
    fclose(file);
    return text;
}

static int in_section(const char *key, const char *name) {
    size_t n = strlen(name);
    return !strncmp(key, name, n) && key[n] == '.';
}

/* How often a help prints a key. */
static int times(const char *text, const char *key) {
    char line[96];
    int n = 0;
    snprintf(line, sizeof line, "\n  %s ", key);
    for (const char *at = text; (at = strstr(at, line)); at++) n++;
    return n;
}

/* Its own keys and those of all, once; those of other stages not, but that refine has a share of distill's loss. */
static void help_prints_what_a_stage_reads(void **state) {
    int count;
    const struct config_field *fields = run_config_fields(&count);
    (void)state;
    for (int s = 0; s < STAGES; s++) {
        char *text = help_of(stages[s]);
        for (int f = 0; f < count; f++) {
            const char *key = fields[f].key;
            if (!strchr(key, '.') || in_section(key, "faults") || in_section(key, stages[s]))
                assert_int_equal(times(text, key), 1);
            for (int k = 0; k < STAGES; k++)
                if (k != s && in_section(key, stages[k]))
                    assert_int_equal(times(text, key), !strcmp(stages[s], "refine") && !strcmp(stages[k], "distill"));
        }
        free(text);
    }
}

static void a_stage_names_the_network_that_is_exported(void **state) {
    (void)state;
    assert_string_equal(run_config_network("teacher"), "teacher");
    assert_string_equal(run_config_network("ode_init"), "student");
    assert_string_equal(run_config_network("distill"), "student");
    assert_string_equal(run_config_network("refine"), "student");
    assert_null(run_config_network("light_decoder"));
    assert_null(run_config_network("model"));
    assert_null(run_config_network("teachers"));
}

/* No two stages draw alike; the first has the run's own seed. */
static void stages_have_seeds_of_their_own(void **state) {
    struct run_config c = {.seed = 7};
    (void)state;
    assert_true(run_config_seed(&c, "teacher") == 7);
    for (int i = 0; i < STAGES; i++)
        for (int k = 0; k < i; k++) {
            uint64_t a = run_config_seed(&c, stages[i]), b = run_config_seed(&c, stages[k]);
            int same = 0;
            for (uint64_t n = 0; n < 100; n++) same += permuted_turn(a, n, 1000) == permuted_turn(b, n, 1000);
            assert_true(a != b && same < 10); /* each agrees by chance once in a thousand */
        }
}

static void a_section_is_printed_by_its_name(void **state) {
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    (void)state;
    assert_non_null(file);
    CHECK(run_config_describe_section("shard", file));
    assert_int_equal(run_config_describe_section("shards", file), ERR_USAGE);
    fclose(file);
    assert_non_null(strstr(text, "shard.zero"));
    assert_null(strstr(text, "comm."));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_every_optimiser_of_the_schema),
        cmocka_unit_test(faults_and_defaults_reach_every_optimiser),
        cmocka_unit_test(adapters_reach_the_networks_named),
        cmocka_unit_test(a_stage_refuses_what_no_key_can_say),
        cmocka_unit_test(an_old_key_is_refused_by_its_new_name),
        cmocka_unit_test(help_prints_what_a_stage_reads),
        cmocka_unit_test(a_stage_names_the_network_that_is_exported),
        cmocka_unit_test(stages_have_seeds_of_their_own),
        cmocka_unit_test(a_section_is_printed_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
