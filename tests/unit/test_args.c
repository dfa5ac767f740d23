/* test_args.c: the one dialect of the programs' command lines: words and keys in any order, options that are none, and
   what takes an option's place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/args.h"
#include "base/error.h"

#include <string.h>

struct settings {
    char out[64], prompt[64];
    int fast, shard_mb;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("out", out, NULL, "Where the result goes."),
    TEXT("prompt", prompt, "", "A text."),
    FLAG("fast", fast, "no", "Hurries."),
    INT("shard_mb", shard_mb, 0, 100, "7", "A number."),
};
static const struct config_field config[] = {{"lora.rank", CONFIG_INT, 0, 0, 9, "0", NULL, 0, 0, "A number."}};
static struct command command = {.name = "make",
                                 .does = "Makes.",
                                 .words = "IN ...",
                                 .min_words = 1,
                                 .max_words = 3,
                                 .keys = keys,
                                 .key_count = FIELDS(keys),
                                 .config = config,
                                 .config_count = 1,
                                 .plans = 1,
                                 .renamed = "lora=prompt,to=out"};
static struct args args;
static struct settings values;

/* The arguments' end is NULL. */
static int parse(char *const *list) {
    char *argv[16] = {"make"};
    int count = 1;
    while (list[count - 1]) argv[count] = list[count - 1], count++;
    return args_parse(&args, &command, &values, count, argv);
}
#define PARSE(...) parse((char *[]){__VA_ARGS__, NULL})
#define REFUSES(text, ...)                                                                                             \
    do {                                                                                                               \
        assert_int_equal(PARSE(__VA_ARGS__), ERR_USAGE);                                                               \
        if (!strstr(error_text(), text) || strchr(error_text(), '\n')) fail_msg("%s", error_text());                   \
    } while (0)

static void any_order(void **state) {
    (void)state;
    assert_int_equal(PARSE("lora.rank=3", "a", "out=x=y", "./b=c", "--plan", "fast=yes"), OK);
    assert_int_equal(args.word_count, 2);
    assert_string_equal(args.words[1], "./b=c");
    assert_int_equal(args.override_count, 1);
    assert_string_equal(args.overrides[0], "lora.rank=3");
    assert_string_equal(values.out, "x=y");
    assert_true(args.plan && values.fast && values.shard_mb == 7);
    assert_int_equal(PARSE("out=f", "--", "--plan", "d=e"), OK);
    assert_true(!args.plan && args.word_count == 2 && !args.override_count);
    assert_int_equal(PARSE("-", "out=f"), OK); /* standard input */
}

static void texts_are_taken_as_they_stand(void **state) {
    (void)state;
    assert_int_equal(PARSE("a", "out=-", "prompt=it's [a: b, #c]"), OK);
    assert_string_equal(values.out, "-");
    assert_string_equal(values.prompt, "it's [a: b, #c]");
    assert_int_equal(PARSE("a", "out='q'", "prompt="), OK);
    assert_string_equal(values.out, "q");
    assert_string_equal(values.prompt, "");
    REFUSES("out: not YAML", "a", "out=\xff");
}

static void former_options(void **state) {
    (void)state;
    REFUSES("write out=x instead of --out", "a", "--out", "x");
    REFUSES("write out=x=y instead of --out", "--out=x=y");
    REFUSES("write shard_mb=-1 instead of --shard-mb", "--shard-mb", "-1");
    REFUSES("write fast=yes instead of --fast", "--fast", "a");
    REFUSES("write prompt=x instead of --lora", "--lora", "x");
    REFUSES("write out=x instead of --to", "--to", "x");
    REFUSES("write out=... instead of --out", "--out");
    REFUSES("write lora.rank=2 instead of --lora.rank", "--lora.rank", "2");
    REFUSES("unknown option --no; the options are --help", "--no", "a");
    REFUSES("unknown option -p;", "-p", "a");
    command.plans = 0;
    REFUSES("unknown option --plan", "a", "out=b", "--plan");
    command.plans = 1;
}

static void wrong_words_and_keys(void **state) {
    (void)state;
    REFUSES("expected IN ...", "out=x");
    REFUSES("one argument too many: d", "a", "b", "c", "d", "out=x");
    REFUSES("out: missing", "a");
    REFUSES("shard_mb: expected a whole number from 0 to 100", "a", "out=x", "shard_mb=101");
    REFUSES("fast: expected yes or no", "a", "out=x", "fast=2");
    REFUSES("promt: unknown key; did you mean prompt?", "a", "out=x", "promt=y");
    command.config = NULL;
    command.config_count = 0;
    REFUSES("shard-mb: unknown key; did you mean shard_mb?", "a", "out=x", "shard-mb=1");
    command.config = config;
    command.config_count = 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(texts_are_taken_as_they_stand),
        cmocka_unit_test(former_options),
        cmocka_unit_test(wrong_words_and_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
