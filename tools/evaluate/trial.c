/* trial.c: see trial.h. */
#include "tools/evaluate/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sorting.h"
#include "tools/evaluate/sums.h"

static void scale_point(float out[2], const float in[2], int width, int height) {
    out[0] = in[0] * (float)width;
    out[1] = in[1] * (float)height;
}

/* Chooses the frames of the contact sheet evenly from the first span of talk that is long enough, so that the sheet
   shows a speaking mouth. */
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

static void read_marks(struct landmarks *marks, const struct puppet_pose *pose, int width, int height) {
    scale_point(marks->head, pose->head, width, height);
    scale_point(marks->eyes, pose->eyes, width, height);
    scale_point(marks->lips, pose->lips, width, height);
    scale_point(marks->hand_left, pose->hand_left, width, height);
    scale_point(marks->hand_right, pose->hand_right, width, height);
}

int trial_open(struct trial *t, uint64_t seed, int first, int index, double seconds, int height, int width) {
    return trial_open_world(t, PUPPET_PLAIN, seed, first, index, seconds, height, width);
}

int trial_open_world(struct trial *t, enum puppet_world world, uint64_t seed, int first, int index, double seconds,
                     int height, int width) {
    memset(t, 0, sizeof *t);
    TRY(puppet_open_world(&t->puppet, world, seed, first + index, first + index, seconds));
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
    if (!code) code = known_tracks_open(&t->tracks, t->puppet, height, width);
    if (code) {
        trial_close(t);
        return code;
    }
    const struct puppet_pose *pose = puppet_truth(t->puppet);
    for (size_t f = 0; f < n; f++) t->mouth[f] = pose[f].mouth;
    memcpy(t->talk, puppet_mask(t->puppet, PUPPET_AGENT), n * sizeof *t->talk);
    memcpy(t->listen, puppet_mask(t->puppet, PUPPET_USER), n * sizeof *t->listen);
    read_marks(&t->marks, &pose[0], width, height);
    t->seed = seed;
    t->person = first + index;
    if (world == PUPPET_HARD) t->marks.turn = (float)((PUPPET_TURN_HEAD + PUPPET_TURN_FACE) * height);
    t->plain = t->marks;
    choose_kept(t);
    return OK;
}

void trial_close(struct trial *t) {
    puppet_close(t->puppet);
    known_tracks_close(&t->tracks);
    latent_moments_close(&t->copy_latents);
    latent_moments_close(&t->copy_features);
    feature_subject_close(&t->features);
    latent_history_close(&t->rollout);
    free(t->copy_faces);
    free(t->reference);
    free(t->mouth);
    free(t->talk);
    free(t->listen);
    memset(t, 0, sizeof *t);
}

void trial_use_encoder(struct trial *t, struct codec *encoder) {
    t->encoder = encoder;
    latent_grid(&t->grid, encoder, &t->marks);
}

int trial_use_features(struct trial *t, struct feature_reader *reader) {
    struct puppet *stranger;
    struct landmarks marks;
    float *picture = malloc(3 * (size_t)t->height * (size_t)t->width * sizeof *picture);
    if (!picture) return error_set(ERR_DEVICE, "out of memory for a stranger");
    int code = puppet_open(&stranger, t->seed, t->person + 1, t->person + 1, 1);
    if (!code) {
        code = puppet_draw(stranger, 0, t->height, t->width, picture);
        read_marks(&marks, &puppet_truth(stranger)[0], t->width, t->height);
        if (!code) code = feature_subject_open(&t->features, reader, t->reference, &t->marks, picture, &marks);
        puppet_close(stranger);
    }
    free(picture);
    return code;
}

static int seconds_of(const struct trial *t) { return (t->frames + VIDEO_RATE - 1) / VIDEO_RATE; }

int trial_measures_open(struct trial_measures *m, const struct trial *t) {
    memset(m, 0, sizeof *m);
    m->trial = t;
    size_t n = (size_t)t->frames;
    m->mouth = calloc(n, sizeof *m->mouth);
    m->face = calloc(n, sizeof *m->face);
    int whole = m->mouth && m->face;
    for (int h = 0; h < 2; h++) {
        m->hand[h] = calloc(n, sizeof *m->hand[h]);
        m->mismatch[h] = calloc(n, sizeof *m->mismatch[h]);
        whole = whole && m->hand[h] && m->mismatch[h];
    }
    m->kept = calloc(TRIAL_KEPT * 3 * (size_t)t->height * (size_t)t->width, sizeof *m->kept);
    m->before = malloc(3 * (size_t)t->height * (size_t)t->width * sizeof *m->before);
    m->second = calloc((size_t)seconds_of(t), sizeof *m->second);
    if (!t->copy_faces) m->faces = malloc(n * FACE_VALUES);
    whole = whole && m->kept && m->before && m->second && (t->copy_faces || m->faces);
    int code = whole ? OK : error_set(ERR_DEVICE, "out of memory for the measures");
    if (!code && t->encoder) code = latent_history_open(&m->latents, &t->grid, t->frames);
    if (!code && t->encoder) code = latent_history_take(&m->latents, &t->grid, t->encoder, t->reference);
    if (!code && t->features.reader) code = feature_track_open(&m->features, &t->features, t->reference, t->frames);
    if (code) trial_measures_close(m);
    return code;
}

void trial_measures_close(struct trial_measures *m) {
    free(m->mouth);
    free(m->face);
    for (int h = 0; h < 2; h++) free(m->hand[h]), free(m->mismatch[h]);
    free(m->kept);
    free(m->before);
    free(m->second);
    free(m->faces);
    latent_history_close(&m->latents);
    feature_track_close(&m->features);
    memset(m, 0, sizeof *m);
}

/* Compares the face with the copy's at the same moment: mean squared error of a value, 0 where the copy has ended.
   Where the copy itself is measured its face is kept. */
static double face_error(struct trial_measures *m, const struct clip *clip, long frame) {
    const struct trial *t = m->trial;
    float patch[FACE_VALUES];
    double squares = 0;
    measure_face_patch(clip, &t->marks, m->face[frame], patch);
    for (int i = 0; i < FACE_VALUES; i++) {
        float byte = 127.5f * (fminf(1, fmaxf(-1, patch[i])) + 1);
        if (m->faces) {
            m->faces[(size_t)(frame - 1) * FACE_VALUES + (size_t)i] = (unsigned char)lrintf(byte);
        } else if (frame <= t->copied) {
            double apart = (double)byte - t->copy_faces[(size_t)(frame - 1) * FACE_VALUES + (size_t)i];
            squares += apart * apart / (127.5 * 127.5 * FACE_VALUES);
        }
    }
    m->face_error += squares;
    m->face_frames += m->faces || frame <= t->copied;
    return squares;
}

/* Adds a frame to the sums of its second. */
static void take_second(struct trial_measures *m, const struct clip *clip, long frame, double wall, double sharpness) {
    double *sums = m->second[frame / VIDEO_RATE];
    sums[DRIFT_WALL] += wall;
    sums[DRIFT_FACE] += face_error(m, clip, frame);
    sums[DRIFT_SHARPNESS] += sharpness;
}

/* Finds the person in a frame, and keeps the places beside those of all others. */
static void keep_places(struct trial_measures *m, const struct clip *clip, long frame) {
    struct person_places *p = &m->places;
    measure_person(clip, m->trial->reference, &m->trial->marks, p);
    m->mouth[frame] = p->mouth;
    memcpy(m->face[frame], p->face, sizeof p->face);
    for (int h = 0; h < 2; h++) {
        memcpy(m->hand[h][frame], p->hand[h], sizeof p->hand[h]);
        m->mismatch[h][frame] = p->mismatch[h];
    }
}

int trial_take(void *measures, long frame, const float *picture) {
    struct trial_measures *m = measures;
    const struct trial *t = m->trial;
    struct clip clip = {.frames = picture, .count = 1, .height = t->height, .width = t->width};
    keep_places(m, &clip, frame);
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
    double sharpness = measure_sharpness(&clip);
    size_t size = 3 * (size_t)t->height * (size_t)t->width;
    take_second(m, &clip, frame, error, sharpness);
    m->sharpness += sharpness;
    m->flat += measure_flat_noise(&clip);
    if (frame > 1) m->flicker += measure_flicker(&clip, m->before, &t->marks);
    memcpy(m->before, picture, size * sizeof *picture);
    if (t->encoder) TRY(latent_history_take(&m->latents, &t->grid, t->encoder, picture));
    if (t->features.reader)
        TRY(feature_track_take(&m->features, &t->features, &clip, &t->marks, m->face[frame], frame, t->frames, ends));
    for (int i = 0; i < TRIAL_KEPT; i++)
        if (t->kept[i] == frame) memcpy(m->kept + (size_t)i * size, picture, size * sizeof *picture);
    m->count = frame;
    return OK;
}

void copy_halves_merge(struct copy_halves *to, const struct copy_halves *from) {
    latent_sums_merge(&to->latents, &from->latents);
    latent_sums_merge(&to->features, &from->features);
}

/* Computes the moments of the copy's maps (latents or features), and the distance of two halves of them. */
static int set_copy_maps(struct latent_moments *moments, const struct latent_grid *grid,
                         const struct latent_history *maps, struct latent_sums *halves) {
    struct latent_moments half[2] = {{NULL, NULL}, {NULL, NULL}};
    int code = latent_moments_open(moments, grid, maps, 0);
    for (int i = 0; i < 2 && !code; i++) code = latent_moments_open(&half[i], grid, maps, 1 + i);
    if (!code) code = latent_sums_add(halves, grid, &half[0], &half[1]);
    for (int i = 0; i < 2; i++) latent_moments_close(&half[i]);
    return code;
}

int trial_set_copy(struct trial *t, struct trial_measures *copy, struct copy_halves *halves) {
    size_t n = (size_t)copy->count;
    float *sorted = malloc((n + 1) * sizeof *sorted);
    if (!sorted) return error_set(ERR_DEVICE, "out of memory for the copy's hands");
    for (int h = 0; h < 2; h++) {
        memcpy(sorted, copy->mismatch[h] + 1, n * sizeof *sorted);
        sort_floats(sorted, n);
        t->hand_limit[h] = n ? HAND_BROKEN * sorted[n / 2] : 0;
    }
    free(sorted);
    t->copy_faces = copy->faces;
    t->copied = copy->count;
    copy->faces = NULL;
    if (t->encoder) TRY(set_copy_maps(&t->copy_latents, &t->grid, &copy->latents, &halves->latents));
    if (!t->features.reader) return OK;
    return set_copy_maps(&t->copy_features, &t->features.grid, &copy->features.maps, &halves->features);
}

void trial_keep_rollout(struct trial *t, struct trial_measures *m) {
    latent_history_close(&t->rollout);
    t->rollout = m->latents;
    m->latents = (struct latent_history){0};
}

void trial_add_spread(double *spread, const struct trial_measures *m) {
    if (m->trial->encoder) latent_spread_add(spread, &m->trial->grid, &m->trial->rollout, &m->latents);
}

/* Lists the tracks of a source's frames as tracks.h orders them; room: memory [TRACKS, count]. */
static void measured_tracks(const struct trial_measures *m, float *room, const float *tracks[TRACKS]) {
    int n = (int)m->count;
    for (int k = 0; k < TRACKS; k++) tracks[k] = room + (size_t)k * (size_t)n;
    for (int i = 0; i < n; i++) {
        const float of[TRACKS] = {[TRACK_MOUTH] = m->mouth[i + 1],        [TRACK_LEFT_X] = m->hand[0][i + 1][0],
                                  [TRACK_LEFT_Y] = m->hand[0][i + 1][1],  [TRACK_RIGHT_X] = m->hand[1][i + 1][0],
                                  [TRACK_RIGHT_Y] = m->hand[1][i + 1][1], [TRACK_NOD] = m->face[i + 1][1]};
        for (int k = 0; k < TRACKS; k++) room[(size_t)k * (size_t)n + (size_t)i] = of[k];
    }
}

static int add_followed(struct source_totals *s, struct shift_sums *shifts, const struct trial_measures *m) {
    const float *tracks[TRACKS];
    float *room = malloc(TRACKS * (size_t)(m->count + 1) * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "out of memory for the measured tracks");
    measured_tracks(m, room, tracks);
    int code = follow_add(&s->follow, shifts, &m->trial->tracks, tracks, (int)m->count);
    free(room);
    for (int h = 0; h < 2; h++)
        for (long f = 1; f <= m->count; f++) s->hand_found += m->mismatch[h][f] <= m->trial->hand_limit[h];
    s->hand_frames += 2.0 * (double)m->count;
    return code;
}

static double decibels(double error) { return -10 * log10(error + 1e-10); }

/* Computes the slopes over the seconds that source and copy both have whole. */
static void add_drift(struct source_totals *s, const struct trial_measures *m) {
    double value[DRIFTS][TRIAL_SECONDS_MAX], mean = m->sharpness / (double)(m->count ? m->count : 1);
    long frames = 1 + (m->count < m->trial->copied ? m->count : m->trial->copied);
    int seconds = (int)(frames / VIDEO_RATE);
    for (int i = 0; i < seconds && i < TRIAL_SECONDS_MAX; i++) {
        double taken = i ? VIDEO_RATE : VIDEO_RATE - 1; /* frame 0 is the reference */
        value[DRIFT_WALL][i] = decibels(m->second[i][DRIFT_WALL] / taken);
        value[DRIFT_FACE][i] = decibels(m->second[i][DRIFT_FACE] / taken);
        value[DRIFT_SHARPNESS][i] = mean > 0 ? m->second[i][DRIFT_SHARPNESS] / taken / mean : 0;
    }
    for (int k = 0; k < DRIFTS; k++) s->drift[k] += measure_slope_a_minute(value[k], seconds);
}

/* Adds the distances of maps (latents or features) from the copy's. */
static int add_maps(struct latent_sums *sums, const struct latent_grid *grid, const struct latent_history *maps,
                    const struct latent_moments *copy) {
    struct latent_moments moments = {0};
    TRY(latent_moments_open(&moments, grid, maps, 0));
    int code = latent_sums_add(sums, grid, &moments, copy);
    latent_moments_close(&moments);
    return code;
}

int source_add(struct source_totals *s, struct shift_sums *shifts, const struct trial_measures *m) {
    const struct trial *t = m->trial;
    int n = (int)m->count;
    TRY(add_followed(s, shifts, m));
    if (t->encoder) TRY(add_maps(&s->latents, &t->grid, &m->latents, &t->copy_latents));
    if (t->features.reader) TRY(add_maps(&s->features, &t->features.grid, &m->features.maps, &t->copy_features));
    likeness_sums_merge(&s->likeness, &m->features.likeness);
    add_drift(s, m);
    s->face_error += m->face_error;
    s->face_frames += m->face_frames;
    s->flicker += m->flicker;
    for (int h = 0; h < 2; h++) motion_pool_add(&s->hands, (const float(*)[2])(m->hand[h] + 1), t->talk + 1, n);
    motion_pool_add(&s->head, (const float(*)[2])(m->face + 1), t->listen + 1, n);
    s->talk_mouth += measure_mean_while(m->mouth + 1, t->talk + 1, t->listen + 1, n);
    s->listen_mouth += measure_mean_while(m->mouth + 1, t->listen + 1, t->talk + 1, n);
    s->error_first += m->error_first;
    s->error_last += m->error_last;
    s->frames_first += (double)m->frames_first;
    s->frames_last += (double)m->frames_last;
    s->sharpness += m->sharpness;
    s->flat += m->flat;
    s->frames += n;
    s->trials++;
    return OK;
}

_Static_assert(sizeof(struct source_totals) % sizeof(double) == 0, "the totals are an array of doubles");
void source_merge(struct source_totals *to, const struct source_totals *from) { sums_add(to, from, sizeof *to); }

static double psnr(double error, double frames) { return frames > 0 ? -10 * log10(error / frames + 1e-10) : 0; }
double source_psnr_first(const struct source_totals *s) { return psnr(s->error_first, s->frames_first); }
double source_psnr_last(const struct source_totals *s) { return psnr(s->error_last, s->frames_last); }
