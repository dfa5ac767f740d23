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
#include "tools/prepare/clip_source.h"

enum { LINES_MAX = 5 }; /* number of rejected clips that are logged; the files name them all */

struct totals { /* sums over a split */
    int clips;
    double rows, hours, talk, square, pixels;
};

/* Properties of clips that are not as one would wish, counted over all clips, those rejected too. */
struct findings {
    double missing, cuts;                                                   /* frames, places */
    int missing_clips, cut_clips, hdr_clips, interlaced_clips, quiet_clips; /* clips */
};

static struct findings find(const struct worker_pool *pool) {
    struct findings all = {0};
    for (int i = 0; i < pool->count; i++) {
        const double *figures = pool->jobs[i].figures;
        int traits = (int)figures[FIGURE_TRAITS];
        all.missing += figures[FIGURE_MISSING];
        all.cuts += figures[FIGURE_CUTS];
        all.missing_clips += figures[FIGURE_MISSING] > 0;
        all.cut_clips += figures[FIGURE_CUTS] > 0;
        all.hdr_clips += (traits & CLIP_HDR) != 0;
        all.interlaced_clips += (traits & CLIP_INTERLACED) != 0;
        all.quiet_clips += (traits & CLIP_UNHEARD) != 0;
    }
    return all;
}

static void add_findings(cJSON *all, const struct findings *f) {
    cJSON *object = cJSON_AddObjectToObject(all, "findings");
    cJSON_AddNumberToObject(object, "missing_pictures", f->missing);
    cJSON_AddNumberToObject(object, "clips_with_missing_pictures", f->missing_clips);
    cJSON_AddNumberToObject(object, "cuts", f->cuts);
    cJSON_AddNumberToObject(object, "clips_with_cuts", f->cut_clips);
    cJSON_AddNumberToObject(object, "hdr_clips", f->hdr_clips);
    cJSON_AddNumberToObject(object, "interlaced_clips", f->interlaced_clips);
    cJSON_AddNumberToObject(object, "clips_too_quiet", f->quiet_clips);
}

/* Writes a line for each of them that there is, to the log or the text file. */
static void tell_findings(const struct findings *f, FILE *file) {
    char lines[5][200];
    int n = 0;
    if (f->missing_clips)
        snprintf(lines[n++], sizeof *lines, "%.0f frames in %d clips have no picture of their own: no window holds one",
                 f->missing, f->missing_clips);
    if (f->cut_clips)
        snprintf(lines[n++], sizeof *lines, "%.0f cuts in %d clips: no window holds one", f->cuts, f->cut_clips);
    if (f->hdr_clips)
        snprintf(lines[n++], sizeof *lines, "%d clips are HDR: tone-mapped, diffuse white to near white", f->hdr_clips);
    if (f->interlaced_clips)
        snprintf(lines[n++], sizeof *lines, "%d clips are interlaced: deinterlaced", f->interlaced_clips);
    if (f->quiet_clips)
        snprintf(lines[n++], sizeof *lines, "%d clips are too quiet to be heard (below -60 dB of full scale): no talk",
                 f->quiet_clips);
    for (int i = 0; i < n; i++) {
        if (file)
            fprintf(file, "%s\n", lines[i]);
        else
            log_line("%s", lines[i]);
    }
}

/* Puts what was found in one clip in words; "" for nothing. */
static const char *remark(const struct job *job, char *text, size_t size) {
    const double *figures = job->figures;
    int traits = (int)figures[FIGURE_TRAITS];
    char missing[64] = "", cuts[64] = "";
    if (figures[FIGURE_MISSING] > 0)
        snprintf(missing, sizeof missing, ", %.0f frames missing", figures[FIGURE_MISSING]);
    if (figures[FIGURE_CUTS] > 0) snprintf(cuts, sizeof cuts, ", %.0f cuts", figures[FIGURE_CUTS]);
    snprintf(text, size, "%s%s%s%s%s", missing, cuts, traits & CLIP_HDR ? ", HDR" : "",
             traits & CLIP_INTERLACED ? ", interlaced" : "", traits & CLIP_UNHEARD ? ", too quiet to be heard" : "");
    return *text ? text + 2 : text;
}

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

static void add_variation(cJSON *all, const struct prepare_config *c) {
    cJSON *object = cJSON_AddObjectToObject(all, "vary");
    cJSON_AddNumberToObject(object, "colour", c->vary.colour);
    cJSON_AddNumberToObject(object, "place", c->vary.place);
    cJSON_AddNumberToObject(object, "place_step", c->vary.step);
    cJSON_AddNumberToObject(object, "scale", c->vary.scale);
    cJSON_AddNumberToObject(object, "plain", c->plain);
    cJSON_AddNumberToObject(object, "copies", c->copies);
}

/* Writes a line about variation to the text file or, with `file` NULL, the log; none where training clips are as they
   were filmed. */
static void tell_variation(const struct prepare_config *c, FILE *file) {
    char line[260], plain[40] = "", copies[80] = "";
    if (picture_variation_is_none(&c->vary)) return;
    if (c->copies > 1) snprintf(copies, sizeof copies, "; each is taken %d times, and counted as often", c->copies);
    if (c->plain > 0) snprintf(plain, sizeof plain, ", but for %.0f %% of them", 100 * c->plain);
    snprintf(
        line, sizeof line,
        "training clips are varied%s: colour by %.0f %%, place by %.1f %% of the height, size by %.0f %% at most%s",
        plain, 100 * expm1(c->vary.colour), 100 * c->vary.place, 100 * expm1(c->vary.scale), copies);
    if (file)
        fprintf(file, "%s\n", line);
    else
        log_line("%s", line);
}

static int write_json(const char *path, const struct prepare_config *config, const struct clip_list *list,
                      const struct worker_pool *pool, const struct totals *totals, double seconds) {
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "source", config->source);
    cJSON_AddStringToObject(all, "out", config->out);
    cJSON_AddNumberToObject(all, "clips_found", list->count);
    cJSON_AddNumberToObject(all, "other_files", list->ignored);
    cJSON_AddNumberToObject(all, "seconds", seconds);
    add_variation(all, config);
    add_split(all, "train", &totals[SPLIT_TRAIN]);
    add_split(all, "held_out", &totals[SPLIT_HELD_OUT]);
    const struct findings findings = find(pool);
    add_findings(all, &findings);
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
    tell_variation(config, w.file);
    const struct findings findings = find(pool);
    tell_findings(&findings, w.file);
    for (int i = 0; i < list->count; i++)
        if (pool->jobs[i].state == JOB_REJECTED)
            fprintf(w.file, "rejected  %s: %s\n", list->entries[i].path, pool->jobs[i].text);
    char text[256];
    for (int i = 0; i < list->count; i++)
        if (*remark(&pool->jobs[i], text, sizeof text))
            fprintf(w.file, "found in  %s: %s\n", list->entries[i].path, remark(&pool->jobs[i], text, sizeof text));
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
    if (rejected > LINES_MAX) log_line("and %d more clips, which the report names", rejected - LINES_MAX);
    tell_variation(config, NULL);
    const struct findings findings = find(pool);
    tell_findings(&findings, NULL);
    log_line(
        "%d clips: %.0f windows to train on, %.0f held out, %d clips rejected; codec %.1f dB on training, %.1f dB on "
        "held-out clips (%s)",
        list->count, totals[0].rows, totals[1].rows, rejected, psnr(&totals[0]), psnr(&totals[1]), path);
    return OK;
}
