/* prepare.c: the program that makes data sets: prepare CONFIG.yaml [key=value ...].
   Videos of a folder, or the puppet's dialogues, become windows of latents, audio features and masks:
     1. a sample of the training clips is read and the codec fitted to it;
     2. every clip is cut and encoded into a piece of its own, by several processes, in the folder OUT.work;
     3. the pieces are gathered into the data set in the order of the list, and the folder removed.
   Started again after an interruption it goes on where it stopped: the codec and the pieces that are whole are kept.
   The data set has the same bytes however many processes made it and however often it was interrupted. OUT.report.txt
   and OUT.report.json say which clips were rejected, and why. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>
#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/philox.h"
#include "base/progress.h"
#include "checkpoints/codec_file.h"
#include "data/puppet.h"
#include "kernels/device.h"
#include "tools/prepare/clip.h"
#include "tools/prepare/prompts.h"
#include "tools/prepare/report.h"
#include "tools/worker_pool.h"

enum { STAMP_MAX = 16384, NAME_BYTES = 256, WORK_PATH_MAX = FILE_PATH_MAX + 8 + NAME_BYTES };

struct preparation {
    struct prepare_config config;
    struct clip_list list;
    char work[FILE_PATH_MAX + 8]; /* OUT.work */
    char stamp[STAMP_MAX];        /* the config and clips that the data set depends on, as text */
    struct prepare_prompts prompts;
    struct codec codec;
    uint64_t codec_hash;                   /* hash of the tensors of a codec that another data set gave */
    int threads;                           /* threads of a worker, where codec or audio encoder use any */
    struct sound_encoder sound;            /* each worker loads the weights for itself */
    int *fit_clips, fit_count, fit_groups; /* clips that the codec is fitted to; groups of frames of each */
};

/* ---- what the result depends on ---- */

/* The stamp is the text that a data set keeps of what it was made from; equal stamps mean equal data sets. */

/* Lines of the config that a stamp leaves out: those without influence on the data set, those that other lines of the
   stamp stand for (prompts, sound, codec), and the values that all sets had before their key existed (pca, no
   pictures). */
static int is_immaterial(const char *line) {
    static const char *const keys[] = {"out:",
                                       "workers:",
                                       "patience:",
                                       "text:",
                                       "prompt:",
                                       "codec_weights:",
                                       "codec: \"pca\"",
                                       "audio_weights:",
                                       "audio_states:",
                                       "audio_mode:",
                                       "audio_resample:",
                                       "audio_context:",
                                       "audio_stride:",
                                       "audio_horizon:",
                                       "audio_encoder_lookahead:",
                                       "audio_normalise:",
                                       "pictures: false",
                                       "first_reference: false",
                                       "codec_from:"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strncmp(line, keys[i], strlen(keys[i]))) return 1;
    return 0;
}

/* The same of the section `puppet`: the world of the first data sets, and nothing spoiled. */
static int is_plain_puppet(const char *line) {
    return !strcmp(line, "  world: plain") || !strcmp(line, "  spoil: \"\"");
}

/* Keys for videos alone, which a puppet's stamp leaves out. */
static int is_of_videos(const char *line) { return !strncmp(line, "box_size:", 9) || !strncmp(line, "shots:", 6); }

/* 1 for lines of the section `vary` where it varies nothing: a stamp leaves it out, because the first data sets were
   made before there was one. *inside: whether the line before was in the section. */
static int is_no_variation(const struct prepare_config *c, const char *line, int *inside) {
    *inside = !strncmp(line, "vary:", 5) || (*inside && *line == ' ');
    return *inside && picture_variation_is_none(&c->vary);
}

/* Makes the stamp: the config with every key's value, less the lines above, the audio recipe in place of its keys, and
   a line that stands for the list of clips. */
static int make_stamp(struct preparation *p) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory) return error_set(ERR_DEVICE, "out of memory");
    int code = config_write(&p->config, prepare_fields, prepare_field_count, memory);
    fclose(memory);
    size_t used = 0;
    int puppet = !strcmp(p->config.source, "puppet"), in_variations = 0;
    for (char *next = text, *line; !code && (line = strsep(&next, "\n"));) {
        if (!*line || is_immaterial(line) || (puppet && is_of_videos(line))) continue;
        if (is_no_variation(&p->config, line, &in_variations) || is_plain_puppet(line)) continue;
        int n = snprintf(p->stamp + used, sizeof p->stamp - used, "%s\n", line);
        if (n < 0 || used + (size_t)n >= sizeof p->stamp) code = error_set(ERR_USAGE, "the config is too long");
        used += (size_t)n;
    }
    free(text);
    if (!code && strcmp(p->config.audio.recipe.encoder, "logmel")) {
        char recipe[AUDIO_RECIPE_TEXT];
        audio_recipe_print(&p->config.audio.recipe, recipe);
        used += (size_t)snprintf(p->stamp + used, sizeof p->stamp - used, "audio: %s\n", recipe);
        if (used >= sizeof p->stamp) return error_set(ERR_USAGE, "the config is too long");
    }
    uint64_t hash = HASH_START;
    for (int i = 0; i < p->list.count; i++) {
        const struct clip_entry *e = &p->list.entries[i];
        hash = hash_bytes(hash, e->path, strlen(e->path));
        hash = hash_number(hash_number(hash, e->size), e->changed);
    }
    if (!code && *p->config.codec_from)
        used += (size_t)snprintf(p->stamp + used, sizeof p->stamp - used, "codec_from: %016llx\n",
                                 (unsigned long long)p->codec_hash);
    if (used >= sizeof p->stamp) return error_set(ERR_USAGE, "the config is too long");
    if (!code &&
        snprintf(p->stamp + used, sizeof p->stamp - used, "%s%s%s%sclips: %d, %016llx\n",
                 *p->codec.checksum ? "codec_checksum: " : "", p->codec.checksum, *p->codec.checksum ? "\n" : "",
                 p->prompts.stamp, p->list.count, (unsigned long long)hash) >= (int)(sizeof p->stamp - used))
        code = error_set(ERR_USAGE, "the config is too long");
    return code;
}

/* *done: 1 when the data set is there already with this stamp, 0 when it is not there. ERR_USAGE when it is there with
   another stamp. */
static int already_done(const struct preparation *p, int *done) {
    *done = 0;
    if (!file_exists(p->config.out)) return OK;
    struct dataset *set;
    char stamp[STAMP_MAX];
    TRY(dataset_open(&set, p->config.out));
    int code = dataset_note(set, "prepared_from", stamp, sizeof stamp);
    dataset_close(set);
    if (code) return code;
    *done = !strcmp(stamp, p->stamp);
    if (*done) return OK;
    size_t i = 0, line = 0;
    for (; stamp[i] && stamp[i] == p->stamp[i]; i++)
        if (stamp[i] == '\n') line = i + 1;
    return error_set(ERR_USAGE,
                     "%s is there and was made otherwise (\"%.*s\" then, \"%.*s\" now): remove it or name another out",
                     p->config.out, (int)strcspn(stamp + line, "\n"), stamp + line, (int)strcspn(p->stamp + line, "\n"),
                     p->stamp + line);
}

/* Takes the codec of another data set, whose sizes must be those of the config. */
static int take_codec(struct preparation *p) {
    const struct prepare_config *c = &p->config;
    struct dataset *set;
    TRY(dataset_open(&set, c->codec_from));
    const struct dataset_shape wanted = {.C = c->channels,
                                         .H = c->height / c->patch,
                                         .W = c->width / c->patch,
                                         .pixel_height = c->height,
                                         .pixel_width = c->width};
    int code = dataset_expect(set, &wanted);
    if (!code && strcmp(dataset_shape(set)->codec, c->codec))
        code = error_set(ERR_INPUT, "%s: has the codec %s, not %s", c->codec_from, dataset_shape(set)->codec, c->codec);
    if (!code) code = dataset_codec(set, &p->codec);
    dataset_close(set);
    if (code) return error_context(code, "codec_from");
    enum { TENSORS_MAX = 16 };
    struct codec_tensor tensors[TENSORS_MAX];
    int count = codec_tensors(&p->codec, tensors, TENSORS_MAX);
    p->codec_hash = HASH_START;
    for (int i = 0; i < count; i++) {
        size_t size = sizeof(float);
        for (int k = 0; k < tensors[i].ndim; k++) size *= (size_t)tensors[i].shape[k];
        p->codec_hash = hash_bytes(p->codec_hash, tensors[i].data, size);
    }
    return OK;
}

/* Finds the codec where it is not fitted here: another data set's, or the sizes and the checksum of one whose weights
   are in a file of their own, which each worker opens for itself. */
static int find_codec(struct preparation *p) {
    struct prepare_config *c = &p->config;
    if (*c->codec_from) return take_codec(p);
    const struct codec_source source = {c->codec, c->codec_weights, "", {0}, VAE_BOTH};
    if (!codec_is_external(c->codec)) return OK;
    TRY(codec_file_describe(&p->codec, &source, c->height, c->width));
    c->channels = p->codec.channels;
    c->patch = c->height / p->codec.h;
    return OK;
}

/* Called in a worker. */
static int open_codec(struct preparation *p) {
    const struct codec found = p->codec;
    const struct codec_source source = {found.name, found.weights, found.checksum, {0}, VAE_BOTH};
    if (found.operations) return OK;
    return codec_file_open(&p->codec, &source, found.height, found.width);
}

/* ---- the work folder ---- */

/* Makes the path of a file of the work folder; path has WORK_PATH_MAX bytes. */
static void work_path(const struct preparation *p, const char *name, char *path) {
    snprintf(path, WORK_PATH_MAX, "%s/%s", p->work, name);
}

static void empty_work(const struct preparation *p, int folder_too) {
    DIR *dir = opendir(p->work);
    char path[WORK_PATH_MAX];
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || (!folder_too && !strcmp(e->d_name, "lock")))
            continue;
        work_path(p, e->d_name, path);
        unlink(path);
    }
    if (dir) closedir(dir);
    if (folder_too) rmdir(p->work);
}

/* Opens the work folder. What an earlier start has left in it stays if the stamp is the same, and is removed if not. */
static int open_work(const struct preparation *p) {
    char path[WORK_PATH_MAX], *text = NULL;
    work_path(p, "stamp", path);
    int same = file_exists(path) && !file_read(path, STAMP_MAX, &text, NULL) && !strcmp(text, p->stamp);
    free(text);
    if (same) {
        log_line("going on with what an earlier start has left in %s", p->work);
        return OK;
    }
    empty_work(p, 0);
    return file_write(path, p->stamp, strlen(p->stamp));
}

/* ---- the codec ---- */

static void sample_path(const struct preparation *p, int index, char *path) {
    snprintf(path, WORK_PATH_MAX, "%s/%07d.fit", p->work, index);
}
static void piece_path(const struct preparation *p, int index, char *path) {
    snprintf(path, WORK_PATH_MAX, "%s/%07d.rows", p->work, index);
}
static void beat(void *job) { worker_pool_beat(job); }

static int sample_job(void *user, int index, struct job *job, int *rejected) {
    const struct preparation *p = user;
    char path[WORK_PATH_MAX];
    sample_path(p, index, path);
    return prepare_sample(&p->config, &p->list.entries[p->fit_clips[index]], p->fit_groups, path, rejected, beat, job);
}

struct sample_reader { /* walks through all sample files */
    const struct preparation *p;
    int index;
    FILE *file;
    unsigned char *bytes;
    size_t size;
};

static int next_group(void *user, float *group) {
    struct sample_reader *r = user;
    for (;;) {
        if (r->file && fread(r->bytes, 1, r->size, r->file) == r->size) break;
        if (r->file) fclose(r->file);
        r->file = NULL;
        if (r->index == r->p->fit_count) return 0;
        char path[WORK_PATH_MAX];
        sample_path(r->p, r->index++, path);
        r->file = fopen(path, "rb"); /* a rejected clip has none */
    }
    for (size_t i = 0; i < r->size; i++) group[i] = r->bytes[i] / 127.5f - 1;
    return 1;
}

/* Picks the training clips that the codec is fitted to, evenly from the list, and how much of each. */
static int choose_fit_clips(struct preparation *p) {
    const struct prepare_config *c = &p->config;
    int training = p->list.count - p->list.held_out, seen = 0;
    p->fit_count = training < c->fit_clips ? training : c->fit_clips;
    p->fit_clips = malloc(sizeof *p->fit_clips * (size_t)p->fit_count);
    if (!p->fit_clips) return error_set(ERR_DEVICE, "out of memory");
    int taken = 0;
    for (int i = 0; i < p->list.count; i++) {
        if (p->list.entries[i].split != SPLIT_TRAIN) continue;
        if (taken < p->fit_count && (long)seen * p->fit_count / training >= taken) p->fit_clips[taken++] = i;
        seen++;
    }
    long patches = (long)(c->height / c->patch) * (c->width / c->patch);
    p->fit_groups = (int)ceil((double)c->fit_patches / (double)patches / p->fit_count);
    return OK;
}

/* Fits the codec to the training split, or takes the one that an earlier start has fitted. */
static int make_codec(struct preparation *p, int workers) {
    const struct prepare_config *c = &p->config;
    char path[WORK_PATH_MAX];
    work_path(p, "codec.safetensors", path);
    const struct codec_source made = {c->codec, path, "", {0}, VAE_BOTH};
    if (codec_is_external(c->codec) || *c->codec_from) return OK; /* the workers open it, or it is open */
    if (file_exists(path) && !codec_file_open(&p->codec, &made, c->height, c->width)) return OK;
    TRY(choose_fit_clips(p));
    struct worker_pool pool;
    TRY(worker_pool_open(&pool, p->fit_count));
    int code = worker_pool_run(&pool, workers, "sampling for the codec", c->patience, sample_job, p);
    if (!code) {
        size_t size = 3 * FRAMES_PER_LATENT * (size_t)c->height * (size_t)c->width;
        struct sample_reader reader = {.p = p, .bytes = malloc(size), .size = size};
        struct codec_fit fit = {c->height, c->width, c->patch, c->channels, c->scale_power, c->motion_weight};
        double start = clock_seconds();
        code = reader.bytes ? codec_fit(&p->codec, c->codec, &fit, next_group, &reader)
                            : error_set(ERR_DEVICE, "out of memory");
        if (!code) log_line("codec fitted in %.1f s", clock_seconds() - start);
        free(reader.bytes);
        for (int i = 0; code == ERR_INPUT && i < pool.count; i++)
            if (pool.jobs[i].state == JOB_REJECTED) error_context(code, "%s", pool.jobs[i].text), i = pool.count;
    }
    for (int i = 0; i < pool.count; i++) {
        char sample[WORK_PATH_MAX];
        sample_path(p, i, sample);
        unlink(sample);
    }
    worker_pool_close(&pool);
    return code ? code : codec_file_write(path, &p->codec);
}

/* ---- the pieces ---- */

static void take_figures(struct job *job, const struct piece_head *head) {
    job->figures[FIGURE_ROWS] = head->rows;
    job->figures[FIGURE_SECONDS] = head->seconds;
    job->figures[FIGURE_TALK] = head->talk;
    job->figures[FIGURE_SQUARE] = head->square;
    job->figures[FIGURE_PIXELS] = head->pixels;
    job->figures[FIGURE_MISSING] = head->missing;
    job->figures[FIGURE_CUTS] = head->cuts;
    job->figures[FIGURE_TRAITS] = head->traits;
}

static int piece_job(void *user, int index, struct job *job, int *rejected) {
    struct preparation *p = user;
    struct piece_head head;
    char path[WORK_PATH_MAX];
    piece_path(p, index, path);
    if (!device_threads()) TRY(device_init(p->threads));
    TRY(open_codec(p));
    int code =
        prepare_clip(&p->config, &p->list.entries[index], &p->codec, &p->sound, path, &head, rejected, beat, job);
    take_figures(job, &head);
    return code;
}

/* Marks the jobs whose pieces are there from an earlier start. */
static int find_pieces(struct preparation *p, struct worker_pool *pool) {
    int found = 0;
    for (int i = 0; i < p->list.count; i++) {
        char path[WORK_PATH_MAX];
        FILE *file;
        struct piece_head head;
        piece_path(p, i, path);
        if (!file_exists(path) || piece_open(path, &p->config, &file, &head)) continue;
        fclose(file);
        take_figures(&pool->jobs[i], &head);
        pool->jobs[i].state = JOB_DONE;
        found++;
    }
    return found;
}

/* Copies one clip's rows into the data set. */
static int gather_piece(struct preparation *p, int index, float *row_floats, unsigned char *pictures,
                        struct dataset_writer *writer) {
    const struct prepare_config *c = &p->config;
    const struct clip_entry *entry = &p->list.entries[index];
    size_t T = (size_t)prepare_window(c), sound = (size_t)c->tracks * T * (size_t)c->audio_dim, n = piece_row_floats(c);
    char path[WORK_PATH_MAX];
    FILE *file;
    struct piece_head head;
    piece_path(p, index, path);
    TRY(piece_open(path, c, &file, &head));
    struct dataset_row row = {.latents = row_floats,
                              .audio = row_floats + (n - 2 * T - sound),
                              .talk = row_floats + (n - 2 * T),
                              .listen = row_floats + (n - T),
                              .clip = index,
                              .identity = entry->identity,
                              .utterance = entry->utterance,
                              .split = entry->split,
                              .prompt = p->prompts.of_clip[index],
                              .pictures = pictures};
    int code = OK;
    for (int r = 0; r < head.rows && !code; r++) {
        code = piece_read(file, c, row_floats, pictures, &row.shot);
        code = code ? error_context(code, "%s", path) : dataset_append(writer, &row);
    }
    fclose(file);
    return code;
}

/* Notes in the data set how far training clips are varied; their views follow from that, the seed and their names. */
static int note_variation(const struct prepare_config *c, struct dataset_writer *writer) {
    char text[200];
    if (picture_variation_is_none(&c->vary)) return OK;
    snprintf(text, sizeof text, "colour %g, place %g in steps of %g, scale %g, plain %g, copies %d, seed %ld",
             c->vary.colour, c->vary.place, c->vary.step, c->vary.scale, c->plain, c->copies, c->seed);
    return dataset_leave_note(writer, "vary", text);
}

static int leave_notes(const struct preparation *p, struct dataset_writer *writer) {
    char number[64], recipe[AUDIO_RECIPE_TEXT];
    TRY(dataset_leave_note(writer, "prepared_from", p->stamp));
    TRY(dataset_leave_note(writer, "source", p->config.source));
    TRY(note_variation(&p->config, writer));
    audio_recipe_print(&p->config.audio.recipe, recipe);
    TRY(dataset_leave_note(writer, "audio_recipe", recipe));
    if (*p->config.audio.weights) TRY(dataset_leave_note(writer, "audio_weights", p->config.audio.weights));
    if (strcmp(p->config.source, "puppet")) return OK;
    snprintf(number, sizeof number, "%ld", p->config.seed);
    TRY(dataset_leave_note(writer, "puppet_seed", number));
    snprintf(number, sizeof number, "%.17g", p->config.puppet_seconds);
    TRY(dataset_leave_note(writer, "puppet_seconds", number));
    if (*p->config.puppet_spoil) TRY(dataset_leave_note(writer, "puppet_spoil", p->config.puppet_spoil));
    if (p->config.puppet_world == PUPPET_PLAIN) return OK; /* which is what a set without this note is */
    return dataset_leave_note(writer, "puppet_world", puppet_worlds[p->config.puppet_world]);
}

static int gather(struct preparation *p, const struct worker_pool *pool) {
    const struct prepare_config *c = &p->config;
    struct dataset_shape shape = {.F = c->frames,
                                  .C = p->codec.channels,
                                  .H = p->codec.h,
                                  .W = p->codec.w,
                                  .T = prepare_window(c),
                                  .A = c->tracks,
                                  .D = c->audio_dim,
                                  .text_len = c->text_len,
                                  .text_dim = c->text_dim,
                                  .pixel_height = c->height,
                                  .pixel_width = c->width,
                                  .pictures = c->pictures};
    snprintf(shape.codec, sizeof shape.codec, "%s", p->codec.name);
    snprintf(shape.audio_encoder, sizeof shape.audio_encoder, "%s", c->audio.recipe.encoder);
    float *row = malloc(sizeof *row * piece_row_floats(c));
    unsigned char *pictures = malloc(piece_row_pictures(c) + 1);
    struct dataset_writer *writer = NULL;
    int code =
        row && pictures ? dataset_create(&writer, c->out, &shape, &p->codec) : error_set(ERR_DEVICE, "out of memory");
    if (!code) code = prepare_prompts_write(&p->prompts, writer);
    struct progress progress;
    progress_begin(&progress, "gathering", p->list.count, 0);
    for (int i = 0; i < p->list.count && !code; i++) {
        if (pool->jobs[i].state == JOB_DONE) code = gather_piece(p, i, row, pictures, writer);
        progress_update(&progress, i + 1, "");
    }
    progress_end(&progress, p->list.count, "");
    if (!code) code = leave_notes(p, writer);
    if (!code)
        code = dataset_finish(writer);
    else
        dataset_discard(writer);
    free(row);
    free(pictures);
    return code;
}

/* ERR_INPUT when no training clip is left; the text has the reason of the first rejection. */
static int check_yield(const struct preparation *p, const struct worker_pool *pool) {
    const char *why = "";
    for (int i = 0; i < p->list.count; i++) {
        if (pool->jobs[i].state == JOB_DONE && p->list.entries[i].split == SPLIT_TRAIN) return OK;
        if (pool->jobs[i].state == JOB_REJECTED && !*why) why = pool->jobs[i].text;
    }
    return error_set(ERR_INPUT, "%s: no clip is left to train on; the first rejected one: %s", p->config.source, why);
}

/* ---- all of it ---- */

static int prepare_pieces(struct preparation *p, int workers, double start) {
    TRY(make_codec(p, workers));
    struct worker_pool pool;
    TRY(worker_pool_open(&pool, p->list.count));
    int found = find_pieces(p, &pool);
    if (found) log_line("%d clips are ready from an earlier start", found);
    int code = worker_pool_run(&pool, workers, "clips", p->config.patience, piece_job, p);
    if (!code) code = prepare_report(&p->config, &p->list, &pool, clock_seconds() - start);
    if (!code) code = check_yield(p, &pool);
    if (!code) code = gather(p, &pool);
    worker_pool_close(&pool);
    return code;
}

static int prepare(struct preparation *p) {
    double start = clock_seconds();
    int done, lock, cores = (int)sysconf(_SC_NPROCESSORS_ONLN), workers = p->config.workers;
    TRY(find_codec(p));
    if (!workers) workers = codec_is_external(p->config.codec) ? 1 : cores; /* such a codec uses all cores */
    /* The fit of pca starts threads here, which a forked worker does not inherit: it must compute with one thread. */
    p->threads = codec_is_external(p->config.codec) && cores / workers > 1 ? cores / workers : 1;
    TRY(clip_list_open(&p->list, &p->config));
    TRY(clip_list_leaves_training(&p->list, &p->config));
    TRY(prepare_prompts_open(&p->prompts, &p->config, &p->list));
    TRY(make_stamp(p));
    TRY(already_done(p, &done));
    if (done) {
        log_line("%s is there already, made from the same clips with the same config", p->config.out);
        return OK;
    }
    snprintf(p->work, sizeof p->work, "%s.work", p->config.out);
    TRY(file_make_folders(p->work));
    int code = file_lock(p->work, &lock);
    for (int i = 0; code && i < 20;
         i++) { /* the workers of a program that was just killed still hold it for a moment */
        usleep(100000);
        code = file_lock(p->work, &lock);
    }
    if (code) return code;
    code = open_work(p);
    if (!code) code = prepare_pieces(p, workers, start);
    if (!code) empty_work(p, 1);
    file_unlock(lock);
    if (!code) log_line("%s is ready after %.0f s", p->config.out, clock_seconds() - start);
    return code;
}

int main(int argc, char **argv) {
    struct command command = {.name = "prepare",
                              .does = "Makes a data set of a folder of videos with sound, or of generated dialogues.",
                              .words = "[CONFIG.yaml]",
                              .max_words = 1,
                              .config = prepare_fields,
                              .config_count = prepare_field_count,
                              .section = ""};
    static struct preparation p;
    struct args args;
    int code = args_parse(&args, &command, NULL, argc, argv);
    if (code || args.done) return args_exit("prepare", code);
    code = prepare_config_load(&p.config, args.word_count ? args.words[0] : NULL, args.overrides, args.override_count);
    if (!code) code = sound_encoder_open(&p.sound, &p.config.audio.recipe, p.config.audio_dim, p.config.audio.weights);
    if (!code) code = prepare(&p);
    sound_encoder_close(&p.sound);
    if (p.codec.operations) codec_close(&p.codec);
    prepare_prompts_close(&p.prompts);
    clip_list_close(&p.list);
    free(p.fit_clips);
    return args_exit("prepare", code);
}
