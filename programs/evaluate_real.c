/* evaluate_real.c: measures a student on the held-out clips of a folder of real videos. A clip's first picture and its
   sound go in; the generated clip is compared with the real one by the motion of the mouth's region. The figures and
   their controls are those of tools/evaluate/real_motion.h: the codec's copy as ceiling, clips in other orders, and the
   sound of the clip before in place of the clip's own. The PSNR of what stands still in a clip tells whether the
   picture is kept; with varied=yes also where clip and reference are tinted, moved and scaled as the data config varies
   training clips. Writes report.json, sheet.png and real.mp4 (real beside generated); with out= also every clip's
   videos and sound, for other tools to score (infer/collection.h). */
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "data/contact_sheet.h"
#include "data/media.h"
#include "infer/collection.h"
#include "kernels/device.h"
#include "model/audio/encoder.h"
#include "tools/evaluate/figures_report.h"
#include "tools/evaluate/generate.h"
#include "tools/evaluate/measures.h"
#include "tools/evaluate/real_motion.h"
#include "tools/evaluate/still.h"
#include "tools/prepare/clip_list.h"
#include "tools/prepare/clip_source.h"

enum { FRAMES_MAX = 25 * 60, SHEET_CLIPS = 4, SHEET_COLUMNS = 12 };

/* Figures that are measured once more where clips are varied. */
struct varied {
    int wanted;
    struct still_pool still, still_codec;
    struct regression mouth; /* motion energy of the mouth, each clip's mean removed */
};
struct real_evaluation {
    struct prepare_config config;
    const char *out, *student; /* folder of the collection ("": none), folder of the student */
    struct still_pool still, still_codec;
    struct varied varied;
    char (*ids)[COLLECTION_ID_MAX]; /* [count] */
    struct clip_list list;
    struct session *session;
    int broken; /* 1: an error was not the clip's fault, so that other clips would meet it too */
    struct stream_times times;
    struct box mouth;
    int height, width;
    struct real_clip *clips;
    int count;
    float *sound_before; /* the agent's sound in the clip before; NULL: there is none yet */
    long sound_frames;
    float *real, *made;   /* [FRAMES_MAX, 3, H, W]: the present clip's frames, real and generated */
    int seeds;            /* rollouts of each clip: 1 or 2 */
    const char *features; /* file of a network of features; "": none */
    struct real_mapper mapper;
    struct real_maps maps_made, maps_copy, maps_again;
    float *sheet[2 * SHEET_CLIPS];
    struct video_writer *video;
    float *pair; /* [3, H, 2 W] */
};

static size_t picture_size(const struct real_evaluation *e) { return 3 * (size_t)e->height * (size_t)e->width; }

/* Seed of the noise of the clip at hand; again: of its second rollout. */
static uint64_t noise_of(const struct real_evaluation *e, int again) {
    return noise_seed((uint64_t)e->config.seed, e->count, again);
}

static void no_beat(void *user) { (void)user; }

/* Reads the clip's pictures as prepare takes them, from the first that is there (video frame *first) up to a cut or a
   missing picture. */
static int read_frames(struct real_evaluation *e, const struct clip_entry *entry, int *first, int *frames) {
    struct clip_source *source;
    enum clip_picture kind;
    TRY(clip_open(&source, &e->config, entry, NULL, no_beat, NULL));
    int n = 0, got = 1;
    *first = 0;
    while (n < FRAMES_MAX && (got = clip_frame(source, e->real + (size_t)n * picture_size(e), &kind)) == 1) {
        if (n && kind != PICTURE_GOES_ON) break;
        if (kind == PICTURE_MISSING)
            ++*first;
        else
            n++;
    }
    clip_close(source);
    *frames = n;
    if (got < 0) return -got;
    return n ? OK : error_set(ERR_INPUT, "%s: holds no picture", entry->path);
}

static int take(void *user, long frame, const float *picture) {
    struct real_evaluation *e = user;
    memcpy(e->made + (size_t)frame * picture_size(e), picture, picture_size(e) * sizeof *picture);
    return OK;
}

static int film(struct real_evaluation *e, int frames, const float *pcm) {
    for (int f = 0; f < frames; f++) {
        for (int row = 0; row < 3 * e->height; row++) {
            size_t line = (size_t)e->width;
            const float *sides[2] = {e->real, e->made};
            for (int s = 0; s < 2; s++)
                memcpy(e->pair + (size_t)(2 * row + s) * line,
                       sides[s] + (size_t)f * picture_size(e) + (size_t)row * line, line * sizeof(float));
        }
        TRY(video_write(e->video, e->pair));
    }
    return video_write_audio(e->video, pcm, (long)frames * AUDIO_SAMPLES_PER_FRAME);
}

static int keep_sheet(struct real_evaluation *e, int clip) {
    size_t size = picture_size(e);
    const float *sides[2] = {e->real, e->made};
    for (int s = 0; s < 2; s++) {
        float *row = e->sheet[2 * clip + s] = malloc(SHEET_COLUMNS * size * sizeof *row);
        if (!row) return error_set(ERR_DEVICE, "out of memory for the contact sheet");
        for (int i = 0; i < SHEET_COLUMNS; i++)
            memcpy(row + (size_t)i * size,
                   sides[s] + (size_t)((i + 1) * e->clips[clip].frames / (SHEET_COLUMNS + 1)) * size,
                   size * sizeof *row);
    }
    return OK;
}

/* Makes the codec's copy of the real frames in e->made: *copied of them, which make whole latent frames. */
static int copy_by_codec(struct real_evaluation *e, int frames, int *copied) {
    struct codec *codec = session_codec(e->session);
    int count = (int)latent_frames(frames);
    float *latents = malloc(sizeof *latents * (size_t)count * (size_t)codec->channels * (size_t)(codec->h * codec->w));
    if (!latents) return error_set(ERR_DEVICE, "out of memory for a clip's latents");
    codec_encode_reset(codec);
    codec_decode_begin(codec, e->real);
    int got = codec_encode(codec, e->real, frames, latents);
    if (got == count) got = codec_decode_host(codec, latents, count, e->made);
    free(latents);
    *copied = (int)video_frames(count);
    if (got != *copied) return got < 0 ? -got : error_set(ERR_DEVICE, "the codec gave %d frames", got);
    return OK;
}

static struct clip clip_of(const struct real_evaluation *e, const float *frames, int count) {
    return (struct clip){frames, count, e->height, e->width};
}

/* Compares what stands still in the first `count` frames of e->made and e->real. */
static int add_still(const struct real_evaluation *e, int count, struct still_pool *pool) {
    struct clip truth = clip_of(e, e->real, count), made = clip_of(e, e->made, count);
    return still_pool_add(pool, &truth, &made);
}

/* ---- the collection ---- */

static int is_taken(const struct real_evaluation *e, const char *id) {
    for (int i = 0; i < e->count; i++)
        if (!strcmp(e->ids[i], id)) return 1;
    return 0;
}

/* Makes the id of the next clip from its path without the ending. Characters that an id must not have become '-'; ids
   that are then the same get a number. */
static void item_id(struct real_evaluation *e, const char *path) {
    char stem[COLLECTION_ID_MAX - 12], *id = e->ids[e->count]; /* room for the number */
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    int n = dot && dot > (slash ? slash + 1 : path) ? (int)(dot - path) : (int)strlen(path);
    snprintf(stem, sizeof stem, "%.*s", n, path);
    for (char *c = stem; *c; c++)
        if (!strchr(COLLECTION_ID_CHARACTERS, *c) || (c == stem && *c == '.')) *c = '-';
    snprintf(id, COLLECTION_ID_MAX, "%s", stem);
    for (int twin = 2; is_taken(e, id); twin++) snprintf(id, COLLECTION_ID_MAX, "%s-%d", stem, twin);
}

/* Keeps a video of the clip in the collection. pictures: [frames, 3, H, W], the first of which is the reference. */
static int keep_video(const struct real_evaluation *e, const char *beside, const char *id,
                      const struct dialogue_sound *sound, const float *pictures, int frames) {
    struct collection_video video;
    int code = collection_video_open(&video, e->out, beside, id, e->height, e->width, sound, e->real);
    for (int f = 1; f < frames && !code; f++)
        code = collection_video_take(&video, f, pictures + (size_t)f * picture_size(e));
    if (!code) code = collection_video_finish(&video);
    collection_video_discard(&video);
    return code;
}

static int keep_clip(const struct real_evaluation *e, const char *id, const char *path, struct dialogue_sound sound,
                     const struct stream_times *times) {
    float *masks = calloc(2 * (size_t)sound.frames, sizeof *masks);
    if (!masks) return error_set(ERR_DEVICE, "out of memory for the masks");
    dialogue_voice_mask(masks, sound.agent, sound.frames);
    sound.talk = masks;
    sound.listen = masks + sound.frames;
    sound.user = NULL; /* the clip has no other party */
    const struct collection_item item = {.id = id,
                                         .reference = path,
                                         .audio = path,
                                         .truth = path,
                                         .seed = noise_of(e, 0),
                                         .sound = &sound,
                                         .picture = e->real,
                                         .height = e->height,
                                         .width = e->width,
                                         .times = times};
    int code = keep_video(e, NULL, id, &sound, e->made, (int)sound.frames);
    if (!code) code = keep_video(e, "truth", id, &sound, e->real, (int)sound.frames);
    if (!code) code = collection_item_write(e->out, &item);
    free(masks);
    return code;
}

static int finish_collection(const struct real_evaluation *e) {
    const struct collection_maker maker = {.program = "evaluate_real",
                                           .student = e->student,
                                           .steps = session_student(e->session)->rollout.steps,
                                           .height = e->height,
                                           .width = e->width,
                                           .threads = device_threads(),
                                           .device = device_name()};
    return collection_finish(e->out, e->ids, e->count, &maker);
}

/* ---- one clip ---- */

/* Measures e->made, and then puts the codec's copy in its place. An error here is not the clip's fault. */
static int keep_what_was_made(struct real_evaluation *e, struct real_clip *clip, const char *path,
                              struct dialogue_sound sound, const struct stream_times *times) {
    struct clip truth = clip_of(e, e->real, clip->frames), made = clip_of(e, e->made, clip->frames);
    const char *id = e->ids[e->count];
    e->broken = 1;
    measure_motion_energy(&truth, &e->mouth, clip->real);
    measure_motion_energy(&made, &e->mouth, clip->made);
    TRY(add_still(e, clip->frames, &e->still));
    TRY(real_maps_take(&e->mapper, &e->maps_made, &made, &clip->maps));
    if (e->count < SHEET_CLIPS) TRY(keep_sheet(e, e->count));
    TRY(film(e, clip->frames, sound.agent));
    if (*e->out) TRY(keep_clip(e, id, path, sound, times));
    TRY(copy_by_codec(e, clip->frames, &clip->copied));
    struct clip copy = clip_of(e, e->made, clip->copied);
    measure_motion_energy(&copy, &e->mouth, clip->copy);
    TRY(add_still(e, clip->copied, &e->still_codec));
    TRY(real_maps_take(&e->mapper, &e->maps_copy, &copy, NULL));
    TRY(real_maps_compare(&e->mapper, &clip->maps, &e->maps_made, &e->maps_copy));
    if (*e->out) TRY(keep_video(e, "codec", id, &sound, e->made, clip->copied));
    e->broken = 0;
    return OK;
}

/* Streams the clip's picture with the sound of the clip before into e->made. */
static int exchange_sound(struct real_evaluation *e, struct real_clip *clip) {
    long frames = e->sound_frames < clip->frames ? e->sound_frames : clip->frames;
    if (!e->sound_before) return OK;
    struct dialogue_sound sound = {.frames = frames, .agent = e->sound_before};
    memcpy(e->made, e->real, picture_size(e) * sizeof(float));
    TRY(dialogue_stream(e->session, e->real, &sound, take, e, NULL));
    struct clip made = clip_of(e, e->made, (int)frames);
    measure_motion_energy(&made, &e->mouth, clip->exchanged);
    clip->swapped = (int)frames;
    clip->sound_of = e->count - 1;
    return OK;
}

/* Streams the clip once more from other noise into e->made, and compares it with the first time. */
static int make_again(struct real_evaluation *e, struct real_clip *clip, const struct dialogue_sound *sound) {
    memcpy(e->made, e->real, picture_size(e) * sizeof(float));
    session_seed(e->session, noise_of(e, 1));
    int code = dialogue_stream(e->session, e->real, sound, take, e, NULL);
    session_seed(e->session, noise_of(e, 0));
    TRY(code);
    e->broken = 1;
    struct clip made = clip_of(e, e->made, clip->frames);
    measure_motion_energy(&made, &e->mouth, clip->reseeded);
    clip->again = clip->frames;
    TRY(real_maps_take(&e->mapper, &e->maps_again, &made, NULL));
    latent_spread_add(clip->maps.spread, &e->mapper.latent_grid, &e->maps_made.latents, &e->maps_again.latents);
    e->broken = 0;
    return OK;
}

/* Streams the clip once more with the same sound, varied by a view of its own. energy: [2, sound.frames], scratch. */
static int stream_varied(struct real_evaluation *e, struct clip_entry entry, struct dialogue_sound sound,
                         float *energy) {
    int first, frames, copied;
    clip_view(&entry.view, &e->config, &entry);
    TRY(read_frames(e, &entry, &first, &frames));
    if (frames > sound.frames) frames = (int)sound.frames; /* another cut may be found, or none, in other colours */
    sound.frames = frames;
    memcpy(e->made, e->real, picture_size(e) * sizeof(float));
    TRY(dialogue_stream(e->session, e->real, &sound, take, e, NULL));
    struct clip truth = clip_of(e, e->real, frames), made = clip_of(e, e->made, frames);
    measure_motion_energy(&truth, &e->mouth, energy);
    measure_motion_energy(&made, &e->mouth, energy + frames);
    regression_add_span(&e->varied.mouth, energy + frames + 2, energy + 2, frames - 2);
    TRY(add_still(e, frames, &e->varied.still));
    TRY(copy_by_codec(e, frames, &copied));
    return add_still(e, copied, &e->varied.still_codec);
}

static int run_varied(struct real_evaluation *e, const struct clip_entry *entry, const struct dialogue_sound *sound) {
    float *energy = calloc(2 * (size_t)sound->frames, sizeof *energy);
    int code = energy ? stream_varied(e, *entry, *sound, energy) : error_set(ERR_DEVICE, "out of memory for a clip");
    free(energy);
    e->broken = code != OK;
    return code;
}

static int run_clip(struct real_evaluation *e, const struct clip_entry *entry) {
    char path[FILE_PATH_MAX];
    TRY(file_join(path, sizeof path, e->config.source, entry->path));
    struct real_clip *clip = &e->clips[e->count];
    int first;
    TRY(read_frames(e, entry, &first, &clip->frames));
    float *pcm, *padded;
    long samples;
    TRY(audio_read(path, -1, &pcm, &samples));
    long before = (long)first * AUDIO_SAMPLES_PER_FRAME < samples ? (long)first * AUDIO_SAMPLES_PER_FRAME : samples;
    long want = (long)clip->frames * AUDIO_SAMPLES_PER_FRAME;
    padded = calloc((size_t)(2 * want) + 1, sizeof *padded); /* the sound, then a silent other party */
    int code = padded ? real_clip_open(clip, clip->frames) : error_set(ERR_DEVICE, "out of memory for a clip");
    if (!code)
        memcpy(padded, pcm + before, sizeof *padded * (size_t)(samples - before < want ? samples - before : want));
    free(pcm);
    struct dialogue_sound sound = {.frames = clip->frames, .agent = padded, .user = padded ? padded + want : NULL};
    if (!code) memcpy(e->made, e->real, picture_size(e) * sizeof(float));
    struct stream_times times = {0};
    session_seed(e->session, noise_of(e, 0));
    if (!code) code = dialogue_stream(e->session, e->real, &sound, take, e, &times);
    item_id(e, entry->path);
    if (!code) code = keep_what_was_made(e, clip, path, sound, &times);
    if (!code && e->seeds > 1) code = make_again(e, clip, &sound);
    if (!code) code = exchange_sound(e, clip);
    if (!code && e->varied.wanted) code = run_varied(e, entry, &sound);
    if (code) { /* the clip does not count, and the next one takes its place */
        real_clip_close(clip);
        free(padded);
        return code;
    }
    stream_times_add(&e->times, &times);
    e->count++;
    free(e->sound_before);
    e->sound_before = padded;
    e->sound_frames = sound.frames;
    return OK;
}

/* ---- the report ---- */

static void add_varied(const struct real_evaluation *e, cJSON *root) {
    cJSON *o = cJSON_AddObjectToObject(root, "varied");
    cJSON_AddNumberToObject(o, "colour", e->config.vary.colour);
    cJSON_AddNumberToObject(o, "place", e->config.vary.place);
    cJSON_AddNumberToObject(o, "scale", e->config.vary.scale);
    cJSON_AddNumberToObject(o, "still_psnr", still_pool_psnr(&e->varied.still));
    cJSON_AddNumberToObject(o, "codec_still_psnr", still_pool_psnr(&e->varied.still_codec));
    cJSON_AddNumberToObject(o, "mouth_motion_correlation", regression_correlation(&e->varied.mouth));
}

/* Writes the keys that reports always had: the control by the next clip, and amounts over the real frames'. */
static void add_first_keys(cJSON *root, const struct real_evaluation *e) {
    struct regression shuffled = {0}, own = {0}, copy = {0};
    double moved = 0, made = 0, copied = 0;
    for (int i = 0; i < e->count; i++) {
        const struct real_clip *a = &e->clips[i], *b = &e->clips[(i + 1) % e->count];
        int frames = a->frames < b->frames ? a->frames : b->frames;
        regression_add_span(&own, a->made + 2, a->real + 2, a->frames - 2);
        regression_add_span(&copy, a->copy + 2, a->real + 2, a->copied - 2);
        regression_add_span(&shuffled, a->made + 2, b->real + 2, frames - 2);
        for (int f = 2; f < a->frames; f++) {
            moved += (double)a->real[f];
            made += (double)a->made[f];
            copied += (double)(f < a->copied ? a->copy[f] : a->real[f]);
        }
    }
    cJSON_AddNumberToObject(root, "held_out_clips", e->count);
    cJSON_AddNumberToObject(root, "mouth_motion_correlation", regression_correlation(&own));
    cJSON_AddNumberToObject(root, "mouth_motion_correlation_shuffled", regression_correlation(&shuffled));
    cJSON_AddNumberToObject(root, "mouth_motion_amount", moved > 0 ? made / moved : 0);
    cJSON_AddNumberToObject(root, "codec_motion_correlation", regression_correlation(&copy));
    cJSON_AddNumberToObject(root, "codec_motion_amount", moved > 0 ? copied / moved : 0);
    cJSON_AddNumberToObject(root, "still_psnr", still_pool_psnr(&e->still));
    cJSON_AddNumberToObject(root, "codec_still_psnr", still_pool_psnr(&e->still_codec));
    if (e->varied.wanted) add_varied(e, root);
    cJSON_AddNumberToObject(root, "rtf", (e->times.network + e->times.codec) * VIDEO_RATE / (double)e->times.frames);
}

static void print_figures(const struct bootstrap_interval *measured, const struct chance_test *made,
                          const struct chance_test *copy) {
    static const char *const labels[REAL_FIGURES] = {"motion of the mouth, with the clip's own",
                                                     "with the codec's copy of it",
                                                     "the copy with the clip: the ceiling",
                                                     "student over that ceiling",
                                                     "amount of motion, over the copy's",
                                                     "control: another's sound, own frames",
                                                     "another's sound, the frames of that sound",
                                                     "what the right sound adds",
                                                     "other noise, with the clip's own",
                                                     "the two rollouts with each other",
                                                     "spread of rollouts: mouth",
                                                     "spread of rollouts: whole",
                                                     "fine detail that moves: mouth",
                                                     "fine detail that moves: whole",
                                                     "Frechet distance to the copy: mouth",
                                                     "Frechet distance: whole",
                                                     "Frechet distance, motion: mouth",
                                                     "Frechet distance, motion: whole",
                                                     "Frechet distance in features: mouth",
                                                     "in features: whole",
                                                     "in features, motion: mouth",
                                                     "in features, motion: whole",
                                                     "whose picture, cosine: first 10 s",
                                                     "whose picture: last 10 s"};
    printf("\n%-44s%11s   95 %%\n", "", "student");
    for (int f = 0; f < REAL_FIGURES; f++)
        if (isfinite(measured[f].value))
            printf("%-44s%11.3f   %.3f to %.3f\n", labels[f], measured[f].value, measured[f].low, measured[f].high);
    printf("clips in other orders (%d): student %.3f +- %.3f, p %.3f; the copy %.3f +- %.3f, p %.3f\n", PERMUTATIONS,
           made->mean, made->deviation, made->p, copy->mean, copy->deviation, copy->p);
}

static int write_report(const struct real_evaluation *e, const char *out) {
    struct bootstrap_interval measured[REAL_FIGURES];
    struct chance_test made, copy;
    uint64_t seed = (uint64_t)e->config.seed;
    TRY(real_figures(e->clips, e->count, seed, measured));
    TRY(real_chance(e->clips, e->count, seed, &made, &copy));
    cJSON *root = cJSON_CreateObject();
    add_first_keys(root, e);
    int code = *e->features ? feature_reader_report(root, e->features) : OK;
    cJSON *measures = cJSON_AddObjectToObject(root, "measures");
    for (int f = 0; f < REAL_FIGURES; f++)
        cJSON_AddItemToObject(measures, real_figure_names[f], interval_json("value", &measured[f]));
    cJSON_AddItemToObject(root, "permutations", chance_json(&made));
    cJSON_AddItemToObject(root, "codec_permutations", chance_json(&copy));
    char path[FILE_PATH_MAX], *text = cJSON_Print(root);
    if (!code) code = text ? file_join(path, sizeof path, out, "report.json") : error_set(ERR_DEVICE, "out of memory");
    if (!code) code = file_write(path, text, strlen(text));
    if (!code) print_figures(measured, &made, &copy);
    free(text);
    cJSON_Delete(root);
    return code;
}

static int write_sheet(struct real_evaluation *e, const char *out) {
    char path[FILE_PATH_MAX];
    struct sheet_row rows[2 * SHEET_CLIPS];
    int count = 0;
    for (int i = 0; i < 2 * SHEET_CLIPS && e->sheet[i]; i++)
        rows[count++] = (struct sheet_row){i % 2 ? "streamed" : "real", e->sheet[i], SHEET_COLUMNS};
    TRY(file_join(path, sizeof path, out, "sheet.png"));
    return contact_sheet_write(path, rows, count, e->height, e->width, SHEET_COLUMNS, 2);
}

static int open_evaluation(struct real_evaluation *e, const char *student, const char *mouth, const char *out) {
    float box[4];
    if (sscanf(mouth, "%f,%f,%f,%f", &box[0], &box[1], &box[2], &box[3]) != 4 || !(box[0] >= 0 && box[1] >= 0) ||
        !(box[2] > box[0] && box[3] > box[1] && box[2] <= 1 && box[3] <= 1))
        return error_set(ERR_USAGE, "mouth=%s: expected x0,y0,x1,y1 as fractions of the picture", mouth);
    struct session_options options = {.sink = -1, .rapr = -1};
    TRY(device_init(0));
    TRY(session_open(&e->session, student, &options, NULL));
    e->height = session_student(e->session)->pixel_height;
    e->width = session_student(e->session)->pixel_width;
    float w = (float)e->width, h = (float)e->height;
    e->mouth = (struct box){box[0] * w, box[1] * h, box[2] * w, box[3] * h};
    TRY(real_mapper_open(&e->mapper, session_codec(e->session), e->features, &e->mouth));
    TRY(clip_list_open(&e->list, &e->config));
    e->clips = calloc((size_t)e->list.held_out + 1, sizeof *e->clips);
    e->ids = calloc((size_t)e->list.held_out + 1, sizeof *e->ids);
    e->real = malloc(FRAMES_MAX * picture_size(e) * sizeof *e->real);
    e->made = malloc(FRAMES_MAX * picture_size(e) * sizeof *e->made);
    e->pair = malloc(2 * picture_size(e) * sizeof *e->pair);
    if (!e->clips || !e->ids || !e->real || !e->made || !e->pair)
        return error_set(ERR_DEVICE, "out of memory for the clips");
    char path[FILE_PATH_MAX];
    TRY(file_make_folders(out));
    TRY(file_join(path, sizeof path, out, "real.mp4"));
    return video_create(&e->video, path, e->height, 2 * e->width, 1);
}

static int evaluate_real(struct real_evaluation *e, const char *student, const char *mouth, const char *out) {
    int code;
    TRY(open_evaluation(e, student, mouth, out));
    for (int i = 0; i < e->list.count; i++)
        if (e->list.entries[i].split == SPLIT_HELD_OUT && (code = run_clip(e, &e->list.entries[i]))) {
            if (e->broken) return code;
            log_line("left out: %s", error_text());
        }
    if (!e->count) return error_set(ERR_INPUT, "%s: no held-out clip could be streamed", e->config.source);
    struct video_writer *video = e->video;
    e->video = NULL;
    TRY(video_finish(video));
    TRY(write_sheet(e, out));
    if (*e->out) TRY(finish_collection(e));
    return write_report(e, out);
}

static void close_evaluation(struct real_evaluation *e) {
    video_discard(e->video);
    real_maps_close(&e->maps_made);
    real_maps_close(&e->maps_copy);
    real_maps_close(&e->maps_again);
    real_mapper_close(&e->mapper);
    session_close(e->session);
    clip_list_close(&e->list);
    for (int i = 0; e->clips && i < e->count; i++) real_clip_close(&e->clips[i]);
    free(e->sound_before);
    for (int i = 0; i < 2 * SHEET_CLIPS; i++) free(e->sheet[i]);
    free(e->clips);
    free(e->ids);
    free(e->real);
    free(e->made);
    free(e->pair);
}

struct settings {
    char student[FILE_PATH_MAX], folder[FILE_PATH_MAX], out[FILE_PATH_MAX], features[FILE_PATH_MAX], mouth[64];
    int varied, seeds;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    TEXT("student", student, NULL, "Folder of the exported student."),
    TEXT("folder", folder, NULL, "Folder that report.json, sheet.png and real.mp4 go to."),
    TEXT("out", out, "",
         "Folder for every clip's videos and sound, with manifest.json, for other tools to score; empty: none."),
    FLAG("varied", varied, "no",
         "Streams every clip once more, with reference and truth varied by the amounts of the data config's vary. It "
         "shows what a student that knows one camera makes of another's pictures."),
    TEXT("features", features, "",
         "Network of features (`features` trains one), in which Frechet distances and likeness are measured beside "
         "those "
         "in the codec's latents; empty: none."),
    INT("seeds", seeds, 1, 2, "1",
        "Rollouts of each clip. With 2, what another noise changes is measured, in motion and in latents."),
    TEXT("mouth", mouth, "0.3,0.55,0.7,0.85",
         "Region of the mouth: left, top, right, bottom as fractions of the picture."),
};
int main(int argc, char **argv) {
    struct command command = {
        .name = "evaluate_real",
        .does = "Streams a student on the held-out clips of a folder of real videos and compares motion with theirs.",
        .words = "DATA_CONFIG.yaml",
        .min_words = 1,
        .max_words = 1,
        .keys = keys,
        .key_count = FIELDS(keys),
        .config = prepare_fields,
        .config_count = prepare_field_count};
    static struct real_evaluation e;
    static struct settings o;
    struct args args;
    int code = args_parse(&args, &command, &o, argc, argv);
    if (code || args.done) return args_exit("evaluate_real", code);
    e.out = o.out;
    e.varied.wanted = o.varied;
    e.student = o.student;
    e.features = o.features;
    e.seeds = o.seeds;
    code = prepare_config_load(&e.config, args.words[0], args.overrides, args.override_count);
    if (!code && o.varied && picture_variation_is_none(&e.config.vary))
        code = error_set(ERR_USAGE, "%s: varied: none of vary.colour, vary.place and vary.scale is above 0",
                         args.words[0]);
    if (!code) code = evaluate_real(&e, o.student, o.mouth, o.folder);
    close_evaluation(&e);
    return args_exit("evaluate_real", code);
}
