/* evaluate.c: makes the report of a run: puppet dialogues of persons and words that no data set holds go through the
   teacher and through every exported student, and are measured in the pixels (measures.h), with controls that must
   fail.
     evaluate CONFIG run=RUN [out=FOLDER]
   Reads RUN/export/STAGE. Writes RUN/report.json, RUN/sheet.png and RUN/refined.mp4 (with evaluate.persons=development
   their names begin with development_) and prints two tables (docs/evaluation.md). With out= it also writes every
   dialogue's videos and sounds, for other tools to score (infer/collection.h). */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/progress.h"
#include "data/contact_sheet.h"
#include "data/media.h"
#include "infer/collection.h"
#include "kernels/device.h"
#include "tools/evaluate/evaluation_report.h"
#include "tools/evaluate/figures_report.h"
#include "tools/evaluate/generate.h"
#include "tools/evaluate/hard_evaluation.h"
#include "tools/evaluate/trial.h"
#include "tools/worker_pool.h"
#include "train/config/run_config.h"

static const char *const stage_folders[SOURCES] = {
    [SOURCE_TEACHER] = "teacher", [SOURCE_CAUSAL] = "ode_init", [SOURCE_DISTILLED] = "distill",
    [SOURCE_REFINED] = "refine",  [SOURCE_RESEEDED] = "refine", [SOURCE_SHUFFLED] = "refine",
    [SOURCE_SILENCED] = "refine", [SOURCE_NO_SINK] = "refine",  [SOURCE_NO_RAPR] = "refine",
    [SOURCE_NEITHER] = "refine",  [SOURCE_VARIED] = "refine"};

/* Folder of a collection that keeps a source's videos; NULL: they are the collection's items, or are not kept. */
static const char *const beside[SOURCES] = {[SOURCE_DRAWN] = "truth",
                                            [SOURCE_CODEC] = "codec",
                                            [SOURCE_TEACHER] = "teacher",
                                            [SOURCE_CAUSAL] = "causal",
                                            [SOURCE_DISTILLED] = "distilled"};

struct evaluation {
    struct run_config config;
    const char *out;                 /* folder of the collection; "": none */
    const char *last;                /* stage whose student alone is measured, in the refined one's place; "": all */
    int opened;                      /* 1: this worker has its models */
    int height, width;               /* a picture's, pixels */
    struct dialogue_result *results; /* [dialogues], shared by the workers */
    struct hard_evaluation hard;     /* the measures of the hard world */
    struct job *job;                 /* the present job */
    struct trial trial;              /* the present dialogue */
    int index;                       /* number of the present dialogue */
    struct session *session[SOURCES];
    struct teacher_generator teacher;
    struct codec encoder; /* the teacher's codec, as a stream of its own for measuring */
    const char *features; /* file of a network of features; "": none */
    struct feature_reader *reader;
    struct trial_measures measures; /* the present source's */
    struct collection_video kept;   /* the present source's video in the collection */
    struct dialogue_sound sound;    /* the present dialogue's */
    cJSON *by_dialogue;             /* every dialogue's own figures; part of the report */
    struct evaluation_sums sums;    /* over all dialogues, in the parent process */
    struct mask_profile profile;
    float *sheet[SOURCES];      /* frames of dialogue 0 for the contact sheet */
    struct video_writer *video; /* video of dialogue 0: the drawing beside the refined student */
    float *pair;                /* [3, H, 2 W]: a frame of that video */
    float *picture;             /* [3, H, W]: a frame of the drawing */
};

static size_t picture_size(const struct evaluation *e) { return 3 * (size_t)e->trial.height * (size_t)e->trial.width; }

static int first_person(const struct evaluation *e) {
    return e->config.evaluate.persons == PERSONS_DEVELOPMENT ? TRIAL_DEVELOPMENT : TRIAL_TEST;
}

/* Makes the path RUN/NAME, or RUN/development_NAME for the development persons. */
static int result_path(const struct evaluation *e, char *path, const char *name) {
    char file[64];
    snprintf(file, sizeof file, "%s%s", e->config.evaluate.persons == PERSONS_DEVELOPMENT ? "development_" : "", name);
    return file_join(path, FILE_PATH_MAX, e->config.run, file);
}

/* Number of dialogues that a source gets. */
static int dialogues_of(const struct evaluation *e, enum source source) {
    const struct evaluate_config *c = &e->config.evaluate;
    if (*e->last && source >= SOURCE_TEACHER && source < SOURCE_REFINED) return 0;
    if (*e->last && source == SOURCE_SHUFFLED) return c->ablations; /* a control that no row's figures need whole */
    if (source == SOURCE_TEACHER) return c->teacher_dialogues;
    if (source == SOURCE_RESEEDED) return c->reseeded;
    if (source >= SOURCE_VARIED && picture_variation_is_none(&c->vary)) return 0;
    return source >= SOURCE_SILENCED ? c->ablations : c->dialogues;
}

/* ---- sources ---- */

/* Measures a frame and keeps it for the collection (a frame_receiver). */
static int take(void *user, long frame, const float *picture) {
    struct evaluation *e = user;
    TRY(trial_take(&e->measures, frame, picture));
    hard_source_take(&e->hard, frame, picture, &e->measures.places);
    return e->kept.writer ? collection_video_take(&e->kept, frame, picture) : OK;
}

static int make_drawn(struct evaluation *e) {
    for (int f = 1; f < e->trial.frames; f++) {
        TRY(puppet_draw(e->trial.puppet, f, e->trial.height, e->trial.width, e->picture));
        TRY(take(e, f, e->picture));
    }
    return OK;
}

/* Makes the codec's copy: true frames encoded and decoded, the ceiling of everything that goes through the codec. */
static int make_codec(struct evaluation *e) {
    const long group = 4, size = (long)picture_size(e);
    struct codec *codec = &e->teacher.model.codec;
    float *pixels = malloc((size_t)(group * size) * sizeof *pixels);
    float *latent = malloc((size_t)codec->channels * (size_t)codec->h * (size_t)codec->w * sizeof *latent);
    int code = pixels && latent ? OK : error_set(ERR_DEVICE, "out of memory for the codec's frames");
    codec_encode_reset(codec);
    codec_decode_begin(codec, e->trial.reference);
    if (!code &&
        (codec_encode(codec, e->trial.reference, 1, latent) != 1 || codec_decode_host(codec, latent, 1, pixels) != 1))
        code = error_set(ERR_DEVICE, "the codec gave no latent frame");
    for (long f = 1; f + group <= e->trial.frames && !code; f += group) {
        for (long i = 0; i < group && !code; i++)
            code = puppet_draw(e->trial.puppet, (int)(f + i), e->trial.height, e->trial.width, pixels + i * size);
        if (!code &&
            (codec_encode(codec, pixels, group, latent) != 1 || codec_decode_host(codec, latent, 1, pixels) != group))
            code = error_set(ERR_DEVICE, "the codec gave no whole group");
        for (long i = 0; i < group && !code; i++) code = take(e, f + i, pixels + i * size);
    }
    free(pixels);
    free(latent);
    return code;
}

/* Writes dialogue 0 by the refined student, beside the drawing, to a video. */
static int take_and_film(void *user, long frame, const float *picture) {
    struct evaluation *e = user;
    TRY(take(e, frame, picture));
    if (!e->video) return OK;
    int height = e->trial.height, width = e->trial.width;
    TRY(puppet_draw(e->trial.puppet, (int)frame, height, width, e->picture));
    for (int row = 0; row < 3 * height; row++) {
        memcpy(e->pair + (size_t)row * 2 * width, e->picture + (size_t)row * width, (size_t)width * sizeof(float));
        memcpy(e->pair + (size_t)(2 * row + 1) * width, picture + (size_t)row * width, (size_t)width * sizeof(float));
    }
    return video_write(e->video, e->pair);
}

/* Puts another dialogue's speech under this one's talk mask: its talk frames, one after the other, where this one's
   are. */
static int other_speech(const struct evaluation *e, float *agent) {
    struct puppet *other;
    int index = e->config.evaluate.dialogues + e->index;
    TRY(puppet_open_world(&other, e->hard.world, (uint64_t)e->config.seed, first_person(e) + e->index,
                          first_person(e) + index, e->config.evaluate.seconds));
    const float *pcm = puppet_pcm(other, PUPPET_AGENT), *talk = puppet_mask(other, PUPPET_AGENT);
    int frames = puppet_frames(other), from = 0;
    for (int f = 0; f < e->trial.frames; f++) {
        float *to = agent + (long)f * AUDIO_SAMPLES_PER_FRAME;
        memset(to, 0, AUDIO_SAMPLES_PER_FRAME * sizeof *to);
        if (e->trial.talk[f] < 0.5f) continue;
        for (int tries = 0; tries < frames && talk[from] < 0.5f; tries++) from = (from + 1) % frames;
        memcpy(to, pcm + (long)from * AUDIO_SAMPLES_PER_FRAME, AUDIO_SAMPLES_PER_FRAME * sizeof *to);
        from = (from + 1) % frames;
    }
    puppet_close(other);
    return OK;
}

static uint64_t noise_of(const struct evaluation *e, enum source source) {
    return noise_seed((uint64_t)e->config.seed, e->index, source == SOURCE_RESEEDED);
}

static int make_stream(struct evaluation *e, enum source source) {
    struct dialogue_sound sound = dialogue_sound(e->trial.puppet);
    float *replaced = NULL, *mask = NULL;
    int code = OK;
    if (source == SOURCE_SHUFFLED || source == SOURCE_SILENCED) {
        replaced = calloc((size_t)sound.frames * AUDIO_SAMPLES_PER_FRAME, sizeof *replaced);
        mask = calloc((size_t)sound.frames, sizeof *mask);
        if (!replaced || !mask) code = error_set(ERR_DEVICE, "out of memory for a sound track");
        if (!code && source == SOURCE_SHUFFLED) code = other_speech(e, replaced);
        if (source == SOURCE_SHUFFLED) {
            sound.agent = replaced;
        } else {
            sound.user = replaced;
            sound.listen = mask;
        }
    }
    session_seed(e->session[source], noise_of(e, source));
    if (!code)
        code = dialogue_stream(e->session[source], e->trial.reference, &sound, take_and_film, e,
                               &e->results[e->index].times[source]);
    free(replaced);
    free(mask);
    return code;
}

static int make(struct evaluation *e, enum source source) {
    switch (source) {
    case SOURCE_DRAWN:
        return make_drawn(e);
    case SOURCE_CODEC:
    case SOURCE_VARIED_COPY:
        return make_codec(e);
    case SOURCE_TEACHER:
        return generate_teacher(&e->teacher, e->trial.puppet, noise_of(e, source), take, e);
    default:
        return make_stream(e, source);
    }
}

/* ---- one dialogue ---- */

static int open_video(struct evaluation *e) {
    char path[FILE_PATH_MAX];
    TRY(result_path(e, path, "refined.mp4"));
    TRY(video_create(&e->video, path, e->trial.height, 2 * e->trial.width, 2));
    const struct dialogue_sound sound = dialogue_sound(e->trial.puppet);
    for (long f = 1; f < sound.frames; f++) {
        float both[2 * AUDIO_SAMPLES_PER_FRAME];
        for (int i = 0; i < AUDIO_SAMPLES_PER_FRAME; i++) {
            both[2 * i] = sound.agent[f * AUDIO_SAMPLES_PER_FRAME + i];
            both[2 * i + 1] = sound.user[f * AUDIO_SAMPLES_PER_FRAME + i];
        }
        TRY(video_write_audio(e->video, both, AUDIO_SAMPLES_PER_FRAME));
    }
    return OK;
}

static void item_id(char *id, int index) { snprintf(id, COLLECTION_ID_MAX, "dialogue_%03d", index); }

static int open_kept(struct evaluation *e, enum source source) {
    char id[COLLECTION_ID_MAX];
    item_id(id, e->index);
    e->sound = dialogue_sound(e->trial.puppet);
    return collection_video_open(&e->kept, e->out, beside[source], id, e->trial.height, e->trial.width, &e->sound,
                                 e->trial.reference);
}

/* Ends a video of the collection. The refined student's dialogue becomes the item; those of other sources lie beside
   it. */
static int finish_kept(struct evaluation *e, enum source source) {
    char id[COLLECTION_ID_MAX];
    TRY(collection_video_finish(&e->kept));
    if (source != SOURCE_REFINED) return OK;
    item_id(id, e->index);
    const struct collection_item item = {.id = id,
                                         .seed = noise_of(e, source),
                                         .sound = &e->sound,
                                         .picture = e->trial.reference,
                                         .height = e->trial.height,
                                         .width = e->trial.width,
                                         .times = &e->results[e->index].times[source]};
    return collection_item_write(e->out, &item);
}

static int run_source(struct evaluation *e, enum source source) {
    TRY(trial_measures_open(&e->measures, &e->trial));
    TRY(hard_source_begin(&e->hard));
    int film = source == SOURCE_REFINED && e->index == 0, keep = *e->out && source <= SOURCE_REFINED;
    int code = film ? open_video(e) : OK;
    if (!code && keep) code = open_kept(e, source);
    if (!code) code = make(e, source);
    if (!code && keep) code = finish_kept(e, source);
    collection_video_discard(&e->kept);
    if (film && e->video) {
        struct video_writer *video = e->video;
        e->video = NULL;
        if (code)
            video_discard(video);
        else
            code = video_finish(video);
    }
    struct dialogue_result *result = &e->results[e->index];
    if (!code && source == SOURCE_CODEC) code = trial_set_copy(&e->trial, &e->measures, &result->halves);
    if (!code) code = source_add(&result->totals[source], result->shifts[source], &e->measures);
    if (!code && source == SOURCE_REFINED) trial_keep_rollout(&e->trial, &e->measures);
    if (!code && source == SOURCE_RESEEDED) trial_add_spread(result->totals[source].spread, &e->measures);
    if (!code) code = hard_source_end(&e->hard, source, result->totals[source].spread[REGION_WHOLE]);
    if (!code && e->index == 0) {
        e->sheet[source] = e->measures.kept;
        e->measures.kept = NULL;
    }
    trial_measures_close(&e->measures);
    return code;
}

/* Writes the contact sheet after dialogue 0: the same moments by every source. */
static int write_sheet(struct evaluation *e) {
    char path[FILE_PATH_MAX];
    struct sheet_row rows[SOURCES];
    float *reference = malloc(TRIAL_KEPT * picture_size(e) * sizeof *reference);
    if (!reference) return error_set(ERR_DEVICE, "out of memory for the contact sheet");
    for (int i = 0; i < TRIAL_KEPT; i++)
        memcpy(reference + (size_t)i * picture_size(e), e->trial.reference, picture_size(e) * sizeof *reference);
    int count = 0;
    rows[count++] = (struct sheet_row){"reference", reference, TRIAL_KEPT};
    for (int s = SOURCE_DRAWN; s <= SOURCE_REFINED; s++) {
        if (s == SOURCE_CODEC || !e->sheet[s]) continue;
        rows[count++] = (struct sheet_row){s == SOURCE_DRAWN ? "truth" : source_names[s], e->sheet[s], TRIAL_KEPT};
    }
    if (e->sheet[SOURCE_VARIED])
        rows[count++] = (struct sheet_row){source_names[SOURCE_VARIED], e->sheet[SOURCE_VARIED], TRIAL_KEPT};
    int code = result_path(e, path, "sheet.png");
    if (!code) code = contact_sheet_write(path, rows, count, e->height, e->width, TRIAL_KEPT, 2);
    free(reference);
    return code;
}

static int open_sources(struct evaluation *e) {
    char folder[FILE_PATH_MAX], name[80];
    const struct evaluate_config *c = &e->config.evaluate;
    enum { TEACHER_BATCH = 8 };
    TRY(file_join(folder, sizeof folder, e->config.run, "export/teacher"));
    TRY(teacher_generator_open(&e->teacher, folder, &c->sampler, e->config.frames, TEACHER_BATCH));
    TRY(codec_share(&e->encoder, &e->teacher.model.codec));
    if (*e->features) TRY(feature_reader_open(&e->reader, e->features, e->height, e->width));
    for (int s = SOURCE_CAUSAL; s <= SOURCE_VARIED; s++) {
        if (!dialogues_of(e, (enum source)s)) continue;
        struct session_options options = {.sink = -1, .rapr = -1, .cache_type = (enum kv_type)c->cache_type};
        if (s == SOURCE_NO_SINK || s == SOURCE_NEITHER) options.sink = 0;
        if (s == SOURCE_NO_RAPR || s == SOURCE_NEITHER) options.rapr = RAPR_OFF;
        snprintf(name, sizeof name, "export/%s", *e->last ? e->last : stage_folders[s]);
        TRY(file_join(folder, sizeof folder, e->config.run, name));
        TRY(session_open(&e->session[s], folder, &options, NULL));
    }
    return OK;
}

/* Streams dialogue `index`, varied by a view of its own, through the refined student, and copies it by the codec. */
static int run_varied(struct evaluation *e, int index) {
    struct picture_view view;
    picture_view_draw(&view, &e->config.evaluate.vary, (uint64_t)e->config.seed, (uint64_t)index, 0);
    TRY(trial_vary(&e->trial, &view));
    /* Neither latents nor features are compared: the copy's are those of the plain pictures. */
    e->trial.encoder = NULL;
    e->trial.features.reader = NULL;
    TRY(run_source(e, SOURCE_VARIED));
    TRY(run_source(e, SOURCE_VARIED_COPY));
    e->trial.encoder = &e->encoder;
    e->trial.features.reader = e->reader;
    return trial_vary(&e->trial, &(struct picture_view){0});
}

/* Measures a dialogue by all sources. The codec's copy comes first, because all others are compared with it. */
static enum source in_order(int i) {
    return i == 0 ? SOURCE_CODEC : i <= SOURCE_CODEC ? (enum source)(i - 1) : (enum source)i;
}

static int run_dialogue(struct evaluation *e, int index) {
    e->index = index;
    memset(&e->results[index], 0, sizeof e->results[index]);
    TRY(trial_open_world(&e->trial, e->hard.world, (uint64_t)e->config.seed, first_person(e), index,
                         e->config.evaluate.seconds, e->height, e->width));
    trial_use_encoder(&e->trial, &e->encoder);
    if (e->reader) TRY(trial_use_features(&e->trial, e->reader));
    TRY(hard_dialogue_begin(&e->hard, index, &e->trial, index < dialogues_of(e, SOURCE_RESEEDED)));
    if (!e->picture) {
        e->picture = malloc(picture_size(e) * sizeof *e->picture);
        e->pair = malloc(2 * picture_size(e) * sizeof *e->pair);
        if (!e->picture || !e->pair) return error_set(ERR_DEVICE, "out of memory for a frame");
    }
    for (int i = 0; i <= SOURCE_VARIED; i++) {
        enum source source = in_order(i);
        if (index >= dialogues_of(e, source)) continue;
        TRY(source == SOURCE_VARIED ? run_varied(e, index) : run_source(e, source));
        worker_pool_beat(e->job);
    }
    if (index == 0) TRY(write_sheet(e));
    hard_dialogue_end(&e->hard);
    trial_close(&e->trial);
    return OK;
}

/* Does a job in a worker process. Each computes with one thread, so that no core waits for another. */
static int work(void *user, int index, struct job *job, int *rejected) {
    struct evaluation *e = user;
    *rejected = 0;
    e->job = job;
    if (!e->opened) {
        TRY(device_init(1));
        TRY(open_sources(e));
        e->opened = 1;
    }
    return run_dialogue(e, index);
}

/* Notes every dialogue's own figures, by source, from which tables of several runs are made. */
static void keep_dialogues(struct evaluation *e) {
    int dialogues = e->config.evaluate.dialogues;
    e->by_dialogue = cJSON_CreateObject();
    for (int s = SOURCE_TEACHER; s < SOURCE_VARIED; s++)
        if (dialogues_of(e, (enum source)s) > 0) {
            cJSON *figures_of = cJSON_AddObjectToObject(e->by_dialogue, source_names[s]);
            for (int i = 0; i < dialogues; i++) {
                figures_dialogue_add(figures_of, &e->results[i].totals[s], &e->results[i].totals[SOURCE_CODEC]);
                hard_dialogue_add(&e->hard, figures_of, s, i);
            }
        }
}

/* Computes the best prediction of the motion from the talk mask alone, fitted on as many other dialogues. */
static int mask_only(struct evaluation *e) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < e->config.evaluate.dialogues; i++) {
            struct trial t;
            int index = pass ? i : 2 * e->config.evaluate.dialogues + i;
            TRY(trial_open_world(&t, e->hard.world, (uint64_t)e->config.seed, first_person(e), index,
                                 e->config.evaluate.seconds, e->height, e->width));
            if (!pass) {
                mask_profile_add(&e->profile, t.mouth, t.talk, t.frames);
            } else {
                float *predicted = calloc((size_t)t.frames, sizeof *predicted);
                if (!predicted) {
                    trial_close(&t);
                    return error_set(ERR_DEVICE, "out of memory for the mask's prediction");
                }
                mask_profile_predict(&e->profile, t.talk, t.frames, predicted);
                lip_pool_add(&e->sums.mask_only, predicted, t.mouth, t.talk, t.frames);
                free(predicted);
            }
            trial_close(&t);
        }
    return OK;
}

static int run_dialogues(struct evaluation *e) {
    const double patience = 1200; /* seconds that one source of a dialogue may take */
    struct worker_pool pool;
    int count = e->config.evaluate.dialogues,
        workers = e->config.threads ? e->config.threads : (int)sysconf(_SC_NPROCESSORS_ONLN);
    size_t bytes = (size_t)count * sizeof *e->results;
    e->results = worker_memory(bytes);
    if (!e->results) return error_set(ERR_DEVICE, "out of memory for the results");
    TRY(worker_pool_open(&pool, count));
    int code = worker_pool_run(&pool, workers, "held-out dialogues", patience, work, e);
    for (int i = 0; i < count && !code; i++)
        if (atomic_load(&pool.jobs[i].state) != JOB_DONE)
            code = error_set(ERR_DEVICE, "dialogue %d: %s", i, pool.jobs[i].text);
    worker_pool_close(&pool);
    if (!code)
        code = evaluation_sums_add(&e->sums, e->results, count, e->config.evaluate.ablations, (uint64_t)e->config.seed);
    if (!code) keep_dialogues(e);
    worker_memory_free(e->results, bytes);
    return code;
}

static int finish_collection(const struct evaluation *e) {
    int count = e->config.evaluate.dialogues;
    char folder[FILE_PATH_MAX], name[80], (*ids)[COLLECTION_ID_MAX] = malloc((size_t)count * sizeof *ids);
    struct student_description d = {0};
    if (!ids) return error_set(ERR_DEVICE, "out of memory for the collection");
    for (int i = 0; i < count; i++) item_id(ids[i], i);
    snprintf(name, sizeof name, "export/%s", *e->last ? e->last : stage_folders[SOURCE_REFINED]);
    int code = file_join(folder, sizeof folder, e->config.run, name);
    if (!code) code = student_describe(&d, folder);
    const struct collection_maker maker = {.program = "evaluate",
                                           .student = folder,
                                           .steps = d.rollout.steps,
                                           .height = e->height,
                                           .width = e->width,
                                           .threads = 1,
                                           .device = device_name()};
    if (!code) code = collection_finish(e->out, ids, count, &maker);
    free(ids);
    return code;
}

static int evaluate(struct evaluation *e, long started) {
    char path[FILE_PATH_MAX];
    struct student_description d;
    TRY(file_join(path, sizeof path, e->config.run, "export/teacher"));
    TRY(student_describe(&d, path));
    e->height = d.pixel_height;
    e->width = d.pixel_width;
    if (*e->features) TRY(feature_reader_check(e->features, e->height, e->width));
    TRY(hard_evaluation_open(&e->hard, e->config.data, e->config.evaluate.dialogues, SOURCES, SOURCE_CODEC));
    TRY(run_dialogues(e));
    if (*e->out) TRY(finish_collection(e));
    TRY(mask_only(e));
    TRY(result_path(e, path, "report.json"));
    double seconds = started ? difftime(time(NULL), (time_t)started) : 0;
    const struct evaluation_facts facts = {.seconds = seconds,
                                           .development = e->config.evaluate.persons == PERSONS_DEVELOPMENT,
                                           .vary = &e->config.evaluate.vary,
                                           .features = e->features};
    cJSON *root = cJSON_CreateObject();
    int code = evaluation_report(root, &e->sums, &facts);
    cJSON_AddItemToObject(root, "by_dialogue", e->by_dialogue);
    if (!code) evaluation_report_print(root, &e->sums);
    if (!code)
        code = hard_evaluation_report(&e->hard, (uint64_t)e->config.seed, root, source_names, source_pairs,
                                      SOURCE_PAIRS, shown_sources, SHOWN_SOURCES);
    char *text = code ? NULL : cJSON_Print(root);
    if (!code)
        code = text ? file_write(path, text, strlen(text)) : error_set(ERR_DEVICE, "out of memory for the report");
    free(text);
    cJSON_Delete(root);
    return code;
}

static void close_evaluation(struct evaluation *e) {
    for (int s = 0; s < SOURCES; s++) {
        session_close(e->session[s]);
        free(e->sheet[s]);
    }
    hard_evaluation_close(&e->hard);
    codec_close(&e->encoder);
    feature_reader_close(e->reader);
    teacher_generator_close(&e->teacher);
    evaluation_sums_close(&e->sums);
    free(e->picture);
    free(e->pair);
}

struct settings {
    long started;
    char out[FILE_PATH_MAX], features[FILE_PATH_MAX], last[64];
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    LONG("started", started, 0, 9e15, "0",
         "Time when the run began, seconds since 1970, from which the report's seconds_total is counted; 0 leaves that "
         "out."),
    TEXT("out", out, "",
         "Folder for every dialogue's videos and sounds, with manifest.json, for other tools to score; empty: none."),
    TEXT("features", features, "",
         "Network of features (`features` trains one), in which Frechet distances and likeness to the reference are "
         "measured beside those in the codec's latents; empty: none."),
    TEXT("last", last, "",
         "Stage of the run whose student alone is measured, as the report's refined one: the last stage of a row of "
         "ablations. Other speech, a control, drives it in the first evaluate.ablations dialogues only. Empty: the "
         "teacher and the students of all stages."),
};

int main(int argc, char **argv) {
    struct command command = {
        .name = "evaluate",
        .does =
            "Measures the teacher and the students of a run on held-out puppet dialogues and writes RUN/report.json.",
        .words = "CONFIG.yaml",
        .min_words = 1,
        .max_words = 1,
        .keys = keys,
        .key_count = FIELDS(keys),
        .section = "evaluate"};
    struct args args;
    struct settings o;
    command.config = run_config_fields(&command.config_count);
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("evaluate", code);
    static struct evaluation e; /* the workers are forked: nothing may use the device before */
    e.out = o.out;
    e.features = o.features;
    e.last = o.last;
    code = run_config_load(&e.config, args.words[0], args.overrides, args.override_count);
    if (!code) code = evaluate(&e, o.started);
    close_evaluation(&e);
    return args_exit("evaluate", code);
}
