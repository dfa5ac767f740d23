/* ablation_row.c: keeps a row of a table of ablations as a small JSON file (docs/formats.md), or says whether a file
   that is there was made with the settings given.
     ablation_row CONFIG.yaml [ROW.json] row=NAME seed=N last=STAGE [report=REPORT.json] [data_config=DATA.yaml]
   Without ROW.json it prints the numbers by which settings are told apart (tools/table/settings.h). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/version.h"
#include "tools/prepare/config.h"
#include "tools/table/row.h"
#include "train/config/run_config.h"

struct settings {
    char row[ROW_NAME], last[ROW_NAME], what[ROW_TEXT], against[ROW_NAME];
    char report[FILE_PATH_MAX], data_config[FILE_PATH_MAX], teacher_data_config[FILE_PATH_MAX];
    double seconds;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("row", row, "", "Name of the row."),
    TEXT("last", last, NULL, "Last stage of the row's student; keys of later stages do not count."),
    TEXT("report", report, "",
         "Report that evaluate made of the student with last=; empty: nothing is written, and an existing file that "
         "fits ends with 0, another or none with 3 and a line that says why."),
    TEXT("data_config", data_config, "", "Config of the data set; empty: it does not count."),
    TEXT("teacher_data_config", teacher_data_config, "",
         "Config of the data set of the teacher, causal initialisation and distillation, where it is another; empty: "
         "there is none."),
    TEXT("what", what, "", "A few words on the row, for a reader of the table."),
    TEXT("against", against, "", "Row that it is compared with; empty: the row above it in a table."),
    REAL("seconds", seconds, 0, 1e9, "0", "Time that the training took, seconds; 0: not known."),
};
static const struct command description = {
    .name = "ablation_row",
    .does = "Keeps a row of a table of ablations as a small JSON file, or says whether a file fits.",
    .words = "CONFIG.yaml [ROW.json]",
    .min_words = 1,
    .max_words = 2,
    .text = "With ROW.json alone it says whether that file was made with these settings, with report= it writes the\n"
            "file. Without ROW.json it prints the seed, and numbers for the table of keys, for the values that decide\n"
            "what the student of the stage last= becomes, and for what it is measured on.\n",
    .keys = keys,
    .key_count = FIELDS(keys)};

/* Numbers of the settings: those of the run, and those of its one or two data sets. */
static int find_numbers(const struct settings *o, const struct run_config *config, struct settings_numbers *numbers) {
    static struct prepare_config data[2];
    const char *paths[] = {o->data_config, o->teacher_data_config};
    int count = 0;
    for (int i = 0; i < 2; i++)
        if (*paths[i]) TRY(prepare_config_load(&data[count++], paths[i], NULL, 0));
    return settings_numbers(numbers, config, o->last, data, count);
}

/* Names the machine and its processor, as Linux does. */
static void name_machine(char text[ROW_TEXT]) {
    struct utsname system;
    char line[256], processor[128] = "";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && !*processor && fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10))
            sscanf(strchr(line, ':') ? strchr(line, ':') : "", ": %127[^\n]", processor);
    if (file) fclose(file);
    snprintf(text, ROW_TEXT, "%.63s, %.127s, %ld cores, backend %s, number type %s",
             uname(&system) ? "unknown" : system.nodename, *processor ? processor : "unknown processor",
             sysconf(_SC_NPROCESSORS_ONLN), version_backend(), version_type());
}

static int keep(const struct settings *o, const struct run_config *config, const struct settings_numbers *numbers,
                const char *path) {
    struct table_row row;
    TRY(row_from_report(&row, o->report));
    memcpy(row.name, o->row, sizeof row.name);
    memcpy(row.stage, o->last, sizeof row.stage);
    memcpy(row.what, o->what, sizeof row.what);
    memcpy(row.against, o->against, sizeof row.against);
    snprintf(row.commit, sizeof row.commit, "%s", version_commit());
    name_machine(row.machine);
    row.seed = config->seed;
    row.seconds = o->seconds;
    row.settings = *numbers;
    int code = row_write(&row, path);
    row_close(&row);
    return code;
}

static int look(const struct run_config *config, const struct settings_numbers *numbers, const char *path) {
    struct table_row row;
    TRY(row_read(&row, path));
    int code = row_expect(&row, path, config->seed, numbers);
    row_close(&row);
    return code;
}

int main(int argc, char **argv) {
    struct command command = description;
    static struct run_config config;
    struct args args;
    struct settings o;
    struct settings_numbers numbers;
    command.config = run_config_fields(&command.config_count);
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("ablation_row", code);
    code = run_config_load(&config, args.words[0], args.overrides, args.override_count);
    if (!code) code = find_numbers(&o, &config, &numbers);
    if (!code && args.word_count == 1)
        printf("seed %ld layout %016" PRIx64 " method %016" PRIx64 " measured %016" PRIx64 "\n", config.seed,
               numbers.layout, numbers.method, numbers.measured);
    else if (!code)
        code = *o.report ? keep(&o, &config, &numbers, args.words[1]) : look(&config, &numbers, args.words[1]);
    return args_exit("ablation_row", code);
}
