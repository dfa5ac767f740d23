/* report.c: see report.h. */
#include "tools/prepare/report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"

enum { LINES_MAX = 5 }; /* rejected clips that are logged; the files name them all */

struct totals { /* of a split */
    int clips;
    double rows, hours, talk, square, pixels;
};

static double psnr(const struct totals *t) {
    return t->pixels > 0 ? 10 * log10(4 * t->pixels / (t->square + 1e-12)) : 0;
}

static void add_split(cJSON *all, const char *name, const struct totals *t) {
    cJSON *object = cJSON_AddObjectToObject(all, name);
    cJSON_AddNumberToObject(object, "clips", t->clips);
    cJSON_AddNumberToObject(object, "windows", t->rows);
    cJSON_AddNumberToObject(object, "hours", t->hours);
    cJSON_AddNumberToObject(object, "talk_share", t->rows > 0 ? t->talk / t->rows : 0);
    cJSON_AddNumberToObject(object, "codec_psnr", psnr(t));
}

static int write_json(const char *path, const struct prepare_config *config, const struct clip_list *list,
                      const struct worker_pool *pool, const struct totals *totals, double seconds) {
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "source", config->source);
    cJSON_AddStringToObject(all, "out", config->out);
    cJSON_AddNumberToObject(all, "clips_found", list->count);
    cJSON_AddNumberToObject(all, "other_files", list->ignored);
    cJSON_AddNumberToObject(all, "seconds", seconds);
    add_split(all, "train", &totals[SPLIT_TRAIN]);
    add_split(all, "held_out", &totals[SPLIT_HELD_OUT]);
    cJSON *rejected = cJSON_AddArrayToObject(all, "rejected");
    for (int i = 0; i < list->count; i++) {
        if (pool->jobs[i].state != JOB_REJECTED) continue;
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "clip", list->entries[i].path);
        cJSON_AddStringToObject(entry, "why", pool->jobs[i].text);
        cJSON_AddItemToArray(rejected, entry);
    }
    char *text = cJSON_Print(all);
    cJSON_Delete(all);
    if (!text) return error_set(ERR_DEVICE, "out of memory");
    int code = file_write(path, text, strlen(text));
    free(text);
    return code;
}

static int write_text(const char *path, const struct prepare_config *config, const struct clip_list *list,
                      const struct worker_pool *pool, const struct totals *totals, int rejected) {
    struct file_writer w;
    TRY(file_create(&w, path));
    fprintf(w.file, "%s -> %s\n%d clips found, %d taken, %d rejected, %d other files\n", config->source, config->out,
            list->count, totals[0].clips + totals[1].clips, rejected, list->ignored);
    static const char *const names[] = {"training", "held out"};
    for (int s = 0; s < 2; s++)
        fprintf(w.file, "%-9s %6d clips %7.0f windows %8.2f hours, %3.0f%% talk, codec %.1f dB\n", names[s],
                totals[s].clips, totals[s].rows, totals[s].hours,
                totals[s].rows > 0 ? 100 * totals[s].talk / totals[s].rows : 0, psnr(&totals[s]));
    for (int i = 0; i < list->count; i++)
        if (pool->jobs[i].state == JOB_REJECTED)
            fprintf(w.file, "rejected  %s: %s\n", list->entries[i].path, pool->jobs[i].text);
    return file_commit(&w);
}

int prepare_report(const struct prepare_config *config, const struct clip_list *list, const struct worker_pool *pool,
                   double seconds) {
    struct totals totals[2] = {{0}};
    int rejected = 0;
    for (int i = 0; i < list->count; i++) {
        const struct job *job = &pool->jobs[i];
        struct totals *t = &totals[list->entries[i].split];
        if (job->state == JOB_REJECTED && rejected++ < LINES_MAX)
            log_line("rejected %s: %s", list->entries[i].path, job->text);
        if (job->state != JOB_DONE) continue;
        t->clips++;
        t->rows += job->figures[FIGURE_ROWS];
        t->hours += job->figures[FIGURE_SECONDS] / 3600;
        t->talk += job->figures[FIGURE_TALK];
        t->square += job->figures[FIGURE_SQUARE];
        t->pixels += job->figures[FIGURE_PIXELS];
    }
    char stem[FILE_PATH_MAX], path[FILE_PATH_MAX + 16];
    size_t length = strlen(config->out);
    if (length > 3 && !strcmp(config->out + length - 3, ".h5")) length -= 3;
    snprintf(stem, sizeof stem, "%.*s", (int)length, config->out);
    snprintf(path, sizeof path, "%s.report.json", stem);
    TRY(write_json(path, config, list, pool, totals, seconds));
    snprintf(path, sizeof path, "%s.report.txt", stem);
    TRY(write_text(path, config, list, pool, totals, rejected));
    if (rejected > LINES_MAX) log_line("... and %d more", rejected - LINES_MAX);
    log_line(
        "%d clips: %.0f windows to train on, %.0f held out, %d clips rejected; codec %.1f dB on training, %.1f dB on "
        "held-out clips (%s)",
        list->count, totals[0].rows, totals[1].rows, rejected, psnr(&totals[0]), psnr(&totals[1]), path);
    return OK;
}
