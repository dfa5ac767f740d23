/* sidecar.c: see sidecar.h. */
#include "tools/prepare/sidecar.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
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

static int read_csv(const char *path, char *text, int frames, float *talk, float *listen) {
    int number = 0;
    for (char *next = text, *line; (line = strsep(&next, "\n"));) {
        number++;
        line[strcspn(line, "\r")] = 0;
        line += strspn(line, " \t");
        if (!*line || *line == '#' || (number == 1 && !strncmp(line, "start", 5))) continue;
        double start, end;
        char who[8];
        int used = 0;
        if (sscanf(line, "%lf , %lf , %7[a-z] %n", &start, &end, who, &used) != 3 || line[used] ||
            !good_span(start, end) || (strcmp(who, "talk") && strcmp(who, "listen")))
            return error_set(ERR_INPUT, "%s:%d: expected START,END,talk or START,END,listen in seconds", path, number);
        mark(*who == 't' ? talk : listen, frames, start, end);
    }
    return OK;
}

static int read_spans(const char *path, const cJSON *all, const char *who, int frames, float *mask) {
    const cJSON *spans = cJSON_GetObjectItemCaseSensitive(all, who), *span;
    if (!spans) return OK;
    if (!cJSON_IsArray(spans)) return error_set(ERR_INPUT, "%s: %s: expected [[start, end], ...]", path, who);
    int number = 0;
    cJSON_ArrayForEach(span, spans) {
        const cJSON *start = cJSON_GetArrayItem(span, 0), *end = cJSON_GetArrayItem(span, 1);
        if (!cJSON_IsArray(span) || cJSON_GetArraySize(span) != 2 || !cJSON_IsNumber(start) || !cJSON_IsNumber(end) ||
            !good_span(start->valuedouble, end->valuedouble))
            return error_set(ERR_INPUT, "%s: %s[%d]: expected [start, end] in seconds", path, who, number);
        mark(mask, frames, start->valuedouble, end->valuedouble);
        number++;
    }
    return OK;
}

static int read_json(const char *path, const char *text, int frames, float *talk, float *listen) {
    cJSON *all = cJSON_Parse(text);
    int code = cJSON_IsObject(all) ? OK : error_set(ERR_INPUT, "%s: is not a JSON object", path);
    if (!code) code = read_spans(path, all, "talk", frames, talk);
    if (!code) code = read_spans(path, all, "listen", frames, listen);
    cJSON_Delete(all);
    return code;
}

int sidecar_read(const char *path, int frames, float *talk, float *listen) {
    char *text;
    TRY(file_read(path, SIZE_MAX_BYTES, &text, NULL));
    memset(talk, 0, sizeof *talk * (size_t)frames);
    memset(listen, 0, sizeof *listen * (size_t)frames);
    size_t length = strlen(path);
    int json = length > 5 && !strcmp(path + length - 5, ".json");
    int code = json ? read_json(path, text, frames, talk, listen) : read_csv(path, text, frames, talk, listen);
    free(text);
    return code;
}

int sidecar_find(const char *video, char *path, int size) {
    const char *slash = strrchr(video, '/'), *dot = strrchr(video, '.');
    int stem = dot && (!slash || dot > slash) ? (int)(dot - video) : (int)strlen(video);
    static const char *const endings[] = {"csv", "json"};
    for (int i = 0; i < 2; i++)
        if (snprintf(path, (size_t)size, "%.*s.mask.%s", stem, video, endings[i]) < size && file_exists(path)) return 1;
    return 0;
}
