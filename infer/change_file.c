/* change_file.c: see change_file.h. */
#include "infer/change_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/csv.h"
#include "base/error.h"
#include "data/media.h"

static const char *const columns[] = {"time", "what", "value"};
static const char *const names[CHANGES] = {"reference", "prompt", "talk", "listen"};

static int read_what(const struct csv *csv, enum change_what *what) {
    for (int i = 0; i < CHANGES; i++) {
        if (strcmp(csv_text(csv, 1), names[i])) continue;
        *what = (enum change_what)i;
        return OK;
    }
    return csv_fail(csv, "what: expected reference, prompt, talk or listen, got \"%.40s\"", csv_text(csv, 1));
}

static int read_row(const struct csv *csv, double earliest, struct change *change) {
    memset(change, 0, sizeof *change);
    TRY(csv_number(csv, 0, &change->time));
    if (!(change->time >= earliest)) return csv_fail(csv, "time: expected %g or later, got %g", earliest, change->time);
    TRY(read_what(csv, &change->what));
    if (change->what >= CHANGE_TALK) {
        TRY(csv_number(csv, 2, &change->strength));
        if (!(change->strength >= 0 && change->strength <= SESSION_GUIDANCE_MAX))
            return csv_fail(csv, "value: expected 0 to %d, got %g", SESSION_GUIDANCE_MAX, change->strength);
        return OK;
    }
    if (!*csv_text(csv, 2)) return csv_fail(csv, "value: expected with %s", names[change->what]);
    change->text = strdup(csv_text(csv, 2));
    return change->text ? OK : error_set(ERR_DEVICE, "out of memory for a script");
}

static int read_rows(struct csv *csv, struct change_list *list) {
    int got;
    while ((got = csv_next(csv)) > 0) {
        if (list->count == CHANGES_MAX) return csv_fail(csv, "expected at most %d changes", CHANGES_MAX);
        double earliest = list->count ? list->change[list->count - 1].time : 0;
        TRY(read_row(csv, earliest, &list->change[list->count]));
        list->count++;
    }
    return -got;
}

int change_list_read(struct change_list *list, const char *path) {
    struct csv csv;
    *list = (struct change_list){.guidance = {1, 1}};
    list->change = calloc(CHANGES_MAX, sizeof *list->change);
    if (!list->change) return error_set(ERR_DEVICE, "out of memory for a script");
    TRY(csv_open(&csv, path, columns, 3, 3));
    int code = read_rows(&csv, list);
    csv_close(&csv);
    return code;
}

void change_list_free(struct change_list *list) {
    for (int i = 0; i < list->count; i++) free(list->change[i].text);
    free(list->change);
    *list = (struct change_list){0};
}

/* Reads a change's picture or prompt and, where `session` is not NULL, gives it to the session. */
static int use_text(const struct change *change, const struct session *student, struct session *session) {
    const struct student_description *d = session_student(student);
    int picture = change->what == CHANGE_REFERENCE;
    size_t size = picture ? 3 * (size_t)d->pixel_height * (size_t)d->pixel_width
                          : (size_t)d->dit.text_len * (size_t)d->dit.text_dim;
    float *values = malloc(size * sizeof *values);
    if (!values) return error_set(ERR_DEVICE, "out of memory for a change");
    int code = picture ? image_read(change->text, d->pixel_height, d->pixel_width, values)
                       : session_find_prompt(student, change->text, values);
    if (!code && session && picture) code = session_set_reference(session, values);
    if (!code && session && !picture) session_set_prompt(session, values);
    free(values);
    return code;
}

int change_list_check(const struct change_list *list, const struct session *session) {
    for (int i = 0; i < list->count; i++)
        if (list->change[i].text) TRY(use_text(&list->change[i], session, NULL));
    return OK;
}

int change_list_due(const struct change_list *list, long frame) {
    return list->done < list->count && list->change[list->done].time <= (double)frame / VIDEO_RATE;
}

static int make(struct change_list *list, const struct change *change, struct session *session) {
    if (change->text) return use_text(change, session, session);
    list->guidance[change->what == CHANGE_TALK ? AUDIO_TALK : AUDIO_LISTEN] = change->strength;
    return session_set_guidance(session, list->guidance[AUDIO_TALK], list->guidance[AUDIO_LISTEN]);
}

int change_list_make(struct change_list *list, struct session *session, long frame) {
    while (change_list_due(list, frame)) TRY(make(list, &list->change[list->done++], session));
    return OK;
}
