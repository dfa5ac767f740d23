/* fuzz_configs.c: configs, YAML and JSON. A config that is taken must say the same when it is written and read
   again. */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/config.h"
#include "checkpoints/student_config.h"
#include "tools/prepare/config.h"

int fuzz_student_config(const unsigned char *data, size_t size) {
    struct student_description d;
    const char *path = fuzz_file("config.json", data, size);
    int taken = !student_describe(&d, fuzz_folder());
    unlink(path); /* other targets look for one beside their files */
    return taken;
}

/* Every type once. The programs' own schemas are long, and reading their defaults would take all of the time. */
struct every_type {
    int integer, boolean, choice, number_count;
    long wide;
    double number, numbers[3];
    char text[24];
};
#define AT(member) offsetof(struct every_type, member)
static const char *const colours[] = {"red", "green", NULL};
static const struct config_field fields[] = {
    {"text", CONFIG_STRING, AT(text), 0, 0, NULL, NULL, sizeof((struct every_type *)0)->text, 0, "a text"},
    {"integer", CONFIG_INT, AT(integer), -5, 1e6, "1", NULL, 0, 0, "an integer"},
    {"part.wide", CONFIG_LONG, AT(wide), -1e15, 1e15, "2", NULL, 0, 0, "a long"},
    {"part.number", CONFIG_REAL, AT(number), -1e300, 1e300, "0.5", NULL, 0, 0, "a number"},
    {"part.deep.boolean", CONFIG_BOOL, AT(boolean), 0, 0, "false", NULL, 0, 0, "a truth"},
    {"choice", CONFIG_CHOICE, AT(choice), 0, 0, "red", colours, 0, 0, "a colour"},
    {"numbers", CONFIG_REALS, AT(numbers), 0, 1000, "[1, 2]", NULL, 3, AT(number_count), "a list"},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static void print_config(const struct every_type *config, char **text) {
    size_t size;
    FILE *file = open_memstream(text, &size);
    fuzz_promise(file && !config_write(config, fields, FIELDS, file) && !fclose(file), "a config can be written");
}

int fuzz_config(const unsigned char *data, size_t size) {
    struct every_type first, second;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    char *text, *again;
    if (config_load(&first, fields, FIELDS, fuzz_file("config.yaml", data, size), NULL, 0)) return 0;
    print_config(&first, &text);
    const char *path = fuzz_file("again.yaml", (const unsigned char *)text, strlen(text));
    fuzz_promise(!config_load(&second, fields, FIELDS, path, NULL, 0), "a resolved config can be read");
    print_config(&second, &again);
    fuzz_promise(!strcmp(text, again), "and says the same");
    free(text);
    free(again);
    return 1;
}

int fuzz_prepare_config(const unsigned char *data, size_t size) {
    struct prepare_config config;
    char override[256] = "seed=1";
    const char *const overrides[] = {override};
    size_t last = size;
    while (last && data[last - 1] != '\n') last--;
    if (size - last < sizeof override && size > last) {
        memcpy(override, data + last, size - last);
        override[size - last] = 0;
    }
    return !prepare_config_load(&config, fuzz_file("prepare.yaml", data, last), overrides,
                                strchr(override, '=') != NULL);
}
