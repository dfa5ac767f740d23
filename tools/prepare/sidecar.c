/* sidecar.c: see sidecar.h. */
#include "tools/prepare/sidecar.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/csv.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/text.h"
#include "model/audio/encoder.h"

enum { SIZE_MAX_BYTES = 1 << 24 };

/* Sets the frames whose middles lie in [start, end). */
static void mark(float *mask, int frames, double start, double end) {
    double first = ceil(start * VIDEO_RATE - 0.5), last = ceil(end * VIDEO_RATE - 0.5);
    for (int f = first > 0 ? (int)fmin(first, frames) : 0; f < frames && f < last; f++) mask[f] = 1;
}

static int good_span(double start, double end) {
    return isfinite(start) && isfinite(end) && start >= 0 && end >= start;
}

/* A clip's masks while they are filled. A span that begins a second behind the clip's end or later is an error: it
   belongs to another clip, or its times have another unit. */
struct masks {
    int frames;
    float *talk, *listen;
};

static int is_beyond(const struct masks *m, double start) { return start > (double)m->frames / VIDEO_RATE + 1; }

static int read_row(const struct csv *csv, const struct masks *m) {
    double start, end;
    TRY(csv_number(csv, 0, &start));
    TRY(csv_number(csv, 1, &end));
    const char *who = csv_text(csv, 2);
    if (strcasecmp(who, "talk") && strcasecmp(who, "listen"))
        return csv_fail(csv, "who: expected talk or listen, got \"%.40s\"", who);
    if (!good_span(start, end)) return csv_fail(csv, "expected seconds, the end not before the start");
    if (is_beyond(m, start))
        return csv_fail(csv, "begins at %g s, but the clip ends after %.1f", start, (double)m->frames / VIDEO_RATE);
    mark(!strcasecmp(who, "talk") ? m->talk : m->listen, m->frames, start, end);
    return OK;
}

static int read_csv(const char *path, const struct masks *m) {
    static const char *const columns[] = {"start", "end", "who"};
    struct csv csv;
    TRY(csv_open(&csv, path, columns, 3, 3));
    int got, code = OK;
    while (!code && (got = csv_next(&csv)) != 0) code = got < 0 ? -got : read_row(&csv, m);
    if (!code && !csv.rows && !csv.named)
        code = error_set(ERR_INPUT, "%s: holds no span; \"start,end,who\" alone says that nobody speaks", path);
    csv_close(&csv);
    return code;
}

static int read_spans(const char *path, const cJSON *spans, const struct masks *m, float *mask) {
    const char *who = spans->string;
    const cJSON *span;
    if (!cJSON_IsArray(spans)) return error_set(ERR_INPUT, "%s: %s: expected [[start, end], ...]", path, who);
    int number = 0;
    cJSON_ArrayForEach(span, spans) {
        const cJSON *start = cJSON_GetArrayItem(span, 0), *end = cJSON_GetArrayItem(span, 1);
        if (!cJSON_IsArray(span) || cJSON_GetArraySize(span) != 2 || !cJSON_IsNumber(start) || !cJSON_IsNumber(end) ||
            !good_span(start->valuedouble, end->valuedouble))
            return error_set(ERR_INPUT, "%s: %s[%d]: expected [start, end] in seconds", path, who, number);
        if (is_beyond(m, start->valuedouble))
            return error_set(ERR_INPUT, "%s: %s[%d]: begins at %g s, but the clip ends after %.1f", path, who, number,
                             start->valuedouble, (double)m->frames / VIDEO_RATE);
        mark(mask, m->frames, start->valuedouble, end->valuedouble);
        number++;
    }
    return OK;
}

/* Reads an object with talk, listen or both, each once; spans under another name are an error. */
static int read_object(const char *path, const cJSON *all, const struct masks *m) {
    const cJSON *item;
    int seen[2] = {0, 0};
    if (!cJSON_IsObject(all)) return error_set(ERR_INPUT, "%s: is not a JSON object", path);
    cJSON_ArrayForEach(item, all) {
        int listen = !strcasecmp(item->string, "listen");
        if (!listen && strcasecmp(item->string, "talk")) {
            if (!cJSON_IsArray(item)) continue; /* a remark, which is passed over */
            return error_set(ERR_INPUT, "%s: %.40s: expected talk or listen", path, item->string);
        }
        if (seen[listen]++) return error_set(ERR_INPUT, "%s: %s: is there twice", path, item->string);
        TRY(read_spans(path, item, m, listen ? m->listen : m->talk));
    }
    return seen[0] + seen[1] ? OK : error_set(ERR_INPUT, "%s: says neither talk nor listen", path);
}

static int read_json(const char *path, const struct masks *m) {
    char *text;
    const char *end = NULL;
    TRY(text_read(path, SIZE_MAX_BYTES, &text));
    cJSON *all = cJSON_ParseWithOpts(text, &end, 1);
    int code = all ? read_object(path, all, m)
                   : error_set(ERR_INPUT, "%s:%d: is not JSON", path, text_line_number(text, end ? end : text));
    cJSON_Delete(all);
    free(text);
    return code;
}

int sidecar_read(const char *path, int frames, float *talk, float *listen) {
    const struct masks m = {frames, talk, listen};
    memset(talk, 0, sizeof *talk * (size_t)frames);
    memset(listen, 0, sizeof *listen * (size_t)frames);
    size_t length = strlen(path);
    return length > 5 && !strcmp(path + length - 5, ".json") ? read_json(path, &m) : read_csv(path, &m);
}

int sidecar_beside(const char *video, const char *ending, char *path, int size) {
    const char *slash = strrchr(video, '/'), *dot = strrchr(video, '.');
    int stem = dot && (!slash || dot > slash) ? (int)(dot - video) : (int)strlen(video);
    return snprintf(path, (size_t)size, "%.*s.%s", stem, video, ending) < size && file_exists(path);
}

int sidecar_find(const char *video, char *path, int size) {
    return sidecar_beside(video, "mask.csv", path, size) || sidecar_beside(video, "mask.json", path, size);
}
