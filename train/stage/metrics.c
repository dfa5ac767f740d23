/* metrics.c: see metrics.h. */
#include "train/stage/metrics.h"
#include "base/error.h"
#include "base/fileio.h"
#include "train/stage/event_file.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct metrics {
    FILE *lines, *events;
    char path[FILE_PATH_MAX];
    long last_step;
};

static double wall_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Writes the values of a kept line into the event file. */
static void replay(FILE *events, const cJSON *line) {
    struct metric list[METRICS_MAX];
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(line, "step"), *when = cJSON_GetObjectItem(line, "time"),
                *item;
    int count = 0;
    cJSON_ArrayForEach(item, line) {
        if (item == step || item == when || !cJSON_IsNumber(item) || count == METRICS_MAX) continue;
        list[count++] = (struct metric){item->string, item->valuedouble};
    }
    event_write(events, cJSON_IsNumber(when) ? when->valuedouble : 0, (long)step->valuedouble, list, count);
}

/* Copies the lines to keep and makes their events; stops at the first line that is late, torn or no line of ours. */
static void copy_lines(FILE *from, FILE *to, FILE *events, long last_step) {
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, from)) > 0 && line[length - 1] == '\n') {
        cJSON *object = cJSON_Parse(line);
        const cJSON *step = cJSON_GetObjectItemCaseSensitive(object, "step");
        int keep = cJSON_IsNumber(step) && step->valuedouble >= 0 && step->valuedouble <= (double)last_step;
        if (keep) {
            fwrite(line, 1, (size_t)length, to);
            replay(events, object);
        }
        cJSON_Delete(object);
        if (!keep) break;
    }
    free(line);
}

static int make_files(const char *lines_path, const char *events_path, long last_step) {
    struct file_writer lines, events;
    TRY(file_create(&lines, lines_path));
    int code = file_create(&events, events_path);
    if (code) {
        file_discard(&lines);
        return code;
    }
    event_write_header(events.file, wall_time());
    FILE *old = last_step >= 0 ? fopen(lines_path, "r") : NULL;
    if (old) {
        copy_lines(old, lines.file, events.file, last_step);
        fclose(old);
    }
    code = file_commit(&events);
    if (code)
        file_discard(&lines);
    else
        code = file_commit(&lines);
    return code;
}

int metrics_open(struct metrics **metrics, const char *folder, long last_step) {
    char events_path[FILE_PATH_MAX];
    struct metrics *m = calloc(1, sizeof *m);
    if (!m) return error_set(ERR_DEVICE, "out of memory for the metrics");
    int code = file_join(m->path, sizeof m->path, folder, "metrics.jsonl");
    if (!code) code = file_join(events_path, sizeof events_path, folder, "events.out.tfevents.0.streamavatar");
    if (!code) code = make_files(m->path, events_path, last_step);
    if (!code && (!(m->lines = fopen(m->path, "a")) || !(m->events = fopen(events_path, "a"))))
        code = error_set(ERR_INPUT, "%s: cannot open: %s", m->path, strerror(errno));
    m->last_step = last_step;
    if (code)
        metrics_close(m);
    else
        *metrics = m;
    return code;
}

static int check(const struct metrics *m, long step, const struct metric *list, int count) {
    if (step < m->last_step) return error_set(ERR_USAGE, "metrics: step %ld after step %ld", step, m->last_step);
    if (count > METRICS_MAX) return error_set(ERR_USAGE, "metrics: more than %d values a step", METRICS_MAX);
    for (int i = 0; i < count; i++) {
        size_t n = strspn(list[i].name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-");
        if (list[i].name[n] || n == 0 || n >= METRICS_NAME_MAX)
            return error_set(ERR_USAGE, "metrics: \"%.80s\" is no name of a value", list[i].name);
    }
    return OK;
}

/* Prints the shortest decimal that reads back to the same double. */
static int print_real(char *text, size_t size, double v) {
    int n = 0;
    for (int digits = 6; digits <= 17; digits++) {
        n = snprintf(text, size, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break;
    }
    return n;
}

int metrics_write(struct metrics *m, long step, const struct metric *list, int count) {
    char line[64 + METRICS_MAX * (METRICS_NAME_MAX + 40)];
    TRY(check(m, step, list, count));
    double now = wall_time();
    int used = snprintf(line, sizeof line, "{\"step\": %ld, \"time\": %.3f", step, now);
    for (int i = 0; i < count; i++) {
        used += snprintf(line + used, sizeof line - (size_t)used, ", \"%s\": ", list[i].name);
        if (isfinite(list[i].value))
            used += print_real(line + used, sizeof line - (size_t)used, list[i].value);
        else
            used += snprintf(line + used, sizeof line - (size_t)used, "null");
    }
    memcpy(line + used, "}\n", 2);
    m->last_step = step;
    event_write(m->events, now, step, list, count);
    fflush(m->events);
    fwrite(line, 1, (size_t)used + 2, m->lines);
    if (fflush(m->lines) || ferror(m->lines))
        return error_set(ERR_INPUT, "%s: cannot write: %s", m->path, strerror(errno));
    return OK;
}

int metrics_sync(struct metrics *m) {
    if (fflush(m->lines) || fsync(fileno(m->lines)))
        return error_set(ERR_INPUT, "%s: cannot write: %s", m->path, strerror(errno));
    return OK;
}

void metrics_close(struct metrics *m) {
    if (!m) return;
    if (m->lines) fclose(m->lines);
    if (m->events) fclose(m->events);
    free(m);
}
