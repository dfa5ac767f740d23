/* trial.c: see trial.h. */
#include "tools/evaluate/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void scale_point(float out[2], const float in[2], int width, int height) {
    out[0] = in[0] * (float)width;
    out[1] = in[1] * (float)height;
}

/* Evenly over the first span of talk that is long enough, so that the sheet shows a speaking mouth. */
static void choose_kept(struct trial *t) {
    const long span = 4 * TRIAL_KEPT;
    long start = 1, run = 0;
    for (long f = 1; f < t->frames; f++) {
        run = t->talk[f] > 0.5f ? run + 1 : 0;
        if (run < span) continue;
        start = f - run + 1;
        break;
    }
    for (int i = 0; i < TRIAL_KEPT; i++) {
        long f = start + i * span / TRIAL_KEPT;
        t->kept[i] = f < t->frames ? f : t->frames - 1;
    }
}

int trial_open(struct trial *t, uint64_t seed, int index, double seconds, int height, int width) {
    memset(t, 0, sizeof *t);
    TRY(puppet_open(&t->puppet, seed, TRIAL_FIRST + index, TRIAL_FIRST + index, seconds));
    t->frames = puppet_frames(t->puppet);
    t->height = height;
    t->width = width;
    size_t n = (size_t)t->frames;
    t->reference = malloc(3 * (size_t)height * (size_t)width * sizeof *t->reference);
    t->mouth = malloc(n * sizeof *t->mouth);
    t->talk = malloc(n * sizeof *t->talk);
    t->listen = malloc(n * sizeof *t->listen);
    int code =
        t->reference && t->mouth && t->talk && t->listen ? OK : error_set(ERR_DEVICE, "out of memory for a trial");
    if (!code) code = puppet_draw(t->puppet, 0, height, width, t->reference);
    if (code) {
        trial_close(t);
        return code;
    }
    const struct puppet_pose *pose = puppet_truth(t->puppet);
    for (size_t f = 0; f < n; f++) t->mouth[f] = pose[f].mouth;
    memcpy(t->talk, puppet_mask(t->puppet, PUPPET_AGENT), n * sizeof *t->talk);
    memcpy(t->listen, puppet_mask(t->puppet, PUPPET_USER), n * sizeof *t->listen);
    scale_point(t->marks.head, pose[0].head, width, height);
    scale_point(t->marks.eyes, pose[0].eyes, width, height);
    scale_point(t->marks.lips, pose[0].lips, width, height);
    scale_point(t->marks.hand_left, pose[0].hand_left, width, height);
    scale_point(t->marks.hand_right, pose[0].hand_right, width, height);
    t->plain = t->marks;
    choose_kept(t);
    return OK;
}

void trial_close(struct trial *t) {
    puppet_close(t->puppet);
    free(t->reference);
    free(t->mouth);
    free(t->talk);
    free(t->listen);
    memset(t, 0, sizeof *t);
}

int trial_measures_open(struct trial_measures *m, const struct trial *t) {
    memset(m, 0, sizeof *m);
    m->trial = t;
    size_t n = (size_t)t->frames;
    m->mouth = calloc(n, sizeof *m->mouth);
    m->face = calloc(n, sizeof *m->face);
    for (int h = 0; h < 2; h++) m->hand[h] = calloc(n, sizeof *m->hand[h]);
    m->kept = calloc(TRIAL_KEPT * 3 * (size_t)t->height * (size_t)t->width, sizeof *m->kept);
    if (m->mouth && m->face && m->hand[0] && m->hand[1] && m->kept) return OK;
    trial_measures_close(m);
    return error_set(ERR_DEVICE, "out of memory for the measures");
}

void trial_measures_close(struct trial_measures *m) {
    free(m->mouth);
    free(m->face);
    for (int h = 0; h < 2; h++) free(m->hand[h]);
    free(m->kept);
    memset(m, 0, sizeof *m);
}

int trial_take(void *measures, long frame, const float *picture) {
    struct trial_measures *m = measures;
    const struct trial *t = m->trial;
    struct clip clip = {.frames = picture, .count = 1, .height = t->height, .width = t->width};
    measure_face_shift(&clip, t->reference, &t->marks, &m->face[frame]);
    measure_mouth_opening(&clip, t->reference, &t->marks, (const float(*)[2]) & m->face[frame], &m->mouth[frame]);
    measure_hand(&clip, t->reference, &t->marks, HAND_LEFT, &m->hand[0][frame]);
    measure_hand(&clip, t->reference, &t->marks, HAND_RIGHT, &m->hand[1][frame]);
    double error = pow(10, -measure_identity_psnr(&clip, t->reference, &t->marks) / 10);
    const long ends = TRIAL_ENDS_SECONDS * VIDEO_RATE;
    if (frame <= ends) {
        m->error_first += error;
        m->frames_first++;
    }
    if (frame >= t->frames - ends) {
        m->error_last += error;
        m->frames_last++;
    }
    m->sharpness += measure_sharpness(&clip);
    m->flat += measure_flat_noise(&clip);
    size_t size = 3 * (size_t)t->height * (size_t)t->width;
    for (int i = 0; i < TRIAL_KEPT; i++)
        if (t->kept[i] == frame) memcpy(m->kept + (size_t)i * size, picture, size * sizeof *picture);
    m->count = frame;
    return OK;
}

void source_add(struct source_totals *s, const struct trial_measures *m) {
    const struct trial *t = m->trial;
    int n = (int)m->count;
    lip_pool_add(&s->lip, m->mouth + 1, t->mouth + 1, t->talk + 1, n);
    for (int h = 0; h < 2; h++) motion_pool_add(&s->hands, (const float(*)[2])(m->hand[h] + 1), t->talk + 1, n);
    motion_pool_add(&s->head, (const float(*)[2])(m->face + 1), t->listen + 1, n);
    s->talk_mouth += measure_mean_while(m->mouth + 1, t->talk + 1, t->listen + 1, n);
    s->listen_mouth += measure_mean_while(m->mouth + 1, t->listen + 1, t->talk + 1, n);
    s->error_first += m->error_first;
    s->error_last += m->error_last;
    s->frames_first += m->frames_first;
    s->frames_last += m->frames_last;
    s->sharpness += m->sharpness;
    s->flat += m->flat;
    s->frames += n;
    s->trials++;
}

static void motion_merge(struct motion_pool *to, const struct motion_pool *from) {
    to->squares += from->squares;
    to->frames += from->frames;
}

void source_merge(struct source_totals *to, const struct source_totals *from) {
    to->lip.xx += from->lip.xx;
    to->lip.yy += from->lip.yy;
    to->lip.xy += from->lip.xy;
    to->lip.frames += from->lip.frames;
    to->lip.spans += from->lip.spans;
    motion_merge(&to->hands, &from->hands);
    motion_merge(&to->head, &from->head);
    to->talk_mouth += from->talk_mouth;
    to->listen_mouth += from->listen_mouth;
    to->error_first += from->error_first;
    to->error_last += from->error_last;
    to->sharpness += from->sharpness;
    to->flat += from->flat;
    to->trials += from->trials;
    to->frames_first += from->frames_first;
    to->frames_last += from->frames_last;
    to->frames += from->frames;
}

static double psnr(double error, long frames) { return frames ? -10 * log10(error / (double)frames + 1e-10) : 0; }
double source_psnr_first(const struct source_totals *s) { return psnr(s->error_first, s->frames_first); }
double source_psnr_last(const struct source_totals *s) { return psnr(s->error_last, s->frames_last); }
