/* ablation_table.c: makes a table of rows that ablation_row kept, with intervals over dialogues and seeds.
     ablation_table ROW.json ... [out=TABLE.md] [plot=TABLE.png]
   Writes Markdown, and with plot= a program for gnuplot. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "tools/table/lines.h"

struct settings {
    char columns[4096], switched_off[ROW_NAME], out[FILE_PATH_MAX], plot[FILE_PATH_MAX];
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("columns", columns,
         "frechet_mouth,frechet_hands,frechet_whole,frechet_motion_whole,feature_frechet_mouth,feature_frechet_hands,"
         "feature_frechet_whole,mouth_correlation,mouth_slope,hands_slope,identity_psnr_first,identity_psnr_last,"
         "likeness_first,likeness_last,nails_error,iris_error,ghost_rate,lift_distance,spread_over_truth,hue_drift_*,"
         "idle_*",
         "Figures to show, with commas between (docs/evaluation.md); a name that ends with a star stands for all that "
         "begin so; figures that no row has are left out."),
    TEXT("switched_off", switched_off, "full",
         "Row that is shown a second time with the sink and RAPR switched off while it streams, beside the rows that "
         "were trained without; empty: none."),
    TEXT("out", out, "", "File for the table, in Markdown; empty: standard output."),
    TEXT("plot", plot, "",
         "Picture (.png) to draw; FILE.png.gnuplot, the program that draws it, is written; empty: none."),
};
static const struct command command = {
    .name = "ablation_table",
    .does = "Makes a table of ablations, in Markdown, of rows that ablation_row kept.",
    .words = "ROW.json ...",
    .min_words = 1,
    .max_words = ARGS_MAX,
    .text = "The rows' seeds form one line each, in the order in which the rows' names first appear. Every figure has\n"
            "an interval, and a star where the step from the line before lies outside its own.\n",
    .keys = keys,
    .key_count = FIELDS(keys)};

static int write_markdown(const struct lines *lines, const char *path) {
    struct file_writer writer;
    if (!*path) {
        lines_markdown(lines, stdout);
        return OK;
    }
    TRY(file_create(&writer, path));
    lines_markdown(lines, writer.file);
    return file_commit(&writer);
}

static int write_plot(const struct lines *lines, const char *png) {
    struct file_writer writer;
    char path[FILE_PATH_MAX + 16];
    if (!*png) return OK;
    snprintf(path, sizeof path, "%s.gnuplot", png);
    TRY(file_create(&writer, path));
    lines_gnuplot(lines, png, writer.file);
    return file_commit(&writer);
}

static int make(struct settings *o, const struct table_row *rows, int count) {
    struct lines lines;
    int code = lines_open(&lines, rows, count, o->switched_off, o->columns);
    if (!code) code = write_markdown(&lines, o->out);
    if (!code) code = write_plot(&lines, o->plot);
    lines_close(&lines);
    return code;
}

int main(int argc, char **argv) {
    static struct table_row rows[ARGS_MAX];
    struct args args;
    struct settings o;
    int count = 0, code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("ablation_table", code);
    for (; count < args.word_count && !code; count++) code = row_read(&rows[count], args.words[count]);
    if (!code) code = make(&o, rows, count);
    for (int r = 0; r < count; r++) row_close(&rows[r]);
    return args_exit("ablation_table", code);
}
