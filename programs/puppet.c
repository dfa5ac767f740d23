/* puppet.c: writes puppet dialogues as videos: what `prepare` takes from people, and pictures for people to look at.
   OUT/IIII-UUUU.mp4 (identity, utterance) with two channels of sound, left the agent and right the user; beside it
   .mask.csv (who speaks when: sidecar.h), .truth.csv (the pose of every frame), .txt (what is said) and .png (the first
   picture: a reference for a student). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/pixels.h"
#include "base/progress.h"
#include "data/media.h"
#include "data/puppet.h"

struct puppet_config {
    long seed;
    int world; /* enum puppet_world */
    int identities, first_identity, clips, first_utterance, size;
    double seconds;
};
#define FIELDS_OF struct puppet_config
static const struct config_field keys[] = {
    LONG("seed", seed, 0, 1e15, "1", "Seed of looks, voices, words and motion."),
    CHOICE("world", world, puppet_worlds, "plain",
           "plain: the voices decide nearly all motion; hard: most of it is the agent's own choice, and details of the "
           "person leave the picture for seconds."),
    INT("identities", identities, 1, 100000, "4", "Number of people."),
    INT("first_identity", first_identity, 0, 2e9, "0", "Number of the first person; every number is another person."),
    INT("clips", clips, 1, 1000, "1", "Dialogues of each person."),
    INT("first_utterance", first_utterance, 0, 2e9, "0", "Number of the first dialogue; every number has other words."),
    REAL("seconds", seconds, 0.5, 3600, "20", "Length of a dialogue, seconds."),
    INT("size", size, 16, 4096, "256", "Height and width in pixels, an even number."),
};
static const struct command command = {
    .name = "puppet",
    .does = "Writes generated dialogues as videos: what prepare takes from people, and pictures for people to look at.",
    .words = "OUT_FOLDER",
    .min_words = 1,
    .max_words = 1,
    .keys = keys,
    .key_count = FIELDS(keys)};

/* Writes the runs of a mask as lines of the sidecar. */
static void write_spans(const struct puppet *puppet, enum puppet_track track, const char *name, FILE *file) {
    const float *mask = puppet_mask(puppet, track);
    int frames = puppet_frames(puppet);
    for (int i = 0, from; i < frames; i++) {
        if (mask[i] < 0.5f) continue;
        for (from = i; i < frames && mask[i] > 0.5f;) i++;
        fprintf(file, "%.2f,%.2f,%s\n", (double)from / VIDEO_RATE, (double)i / VIDEO_RATE, name);
    }
}

static void write_masks(const struct puppet *puppet, FILE *file) {
    fprintf(file, "start,end,who\n");
    write_spans(puppet, PUPPET_AGENT, "talk", file);
    write_spans(puppet, PUPPET_USER, "listen", file);
}

static void write_truth(const struct puppet *puppet, FILE *file) {
    fprintf(file, "frame,talk,listen,mouth,round,nod,blink,head_x,head_y,eyes_x,eyes_y,lips_x,lips_y,"
                  "hand_left_x,hand_left_y,hand_right_x,hand_right_y\n");
    const float *talk = puppet_mask(puppet, PUPPET_AGENT), *listen = puppet_mask(puppet, PUPPET_USER);
    for (int i = 0; i < puppet_frames(puppet); i++) {
        const struct puppet_pose *p = &puppet_truth(puppet)[i];
        const float values[] = {p->mouth,        p->round,        p->nod,           p->blink,        p->head[0],
                                p->head[1],      p->eyes[0],      p->eyes[1],       p->lips[0],      p->lips[1],
                                p->hand_left[0], p->hand_left[1], p->hand_right[0], p->hand_right[1]};
        fprintf(file, "%d,%g,%g", i, (double)talk[i], (double)listen[i]);
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) fprintf(file, ",%.5f", (double)values[k]);
        fputc('\n', file);
    }
}

static int write_text(const char *path, const struct puppet *puppet, void (*write)(const struct puppet *, FILE *)) {
    struct file_writer out;
    TRY(file_create(&out, path));
    write(puppet, out.file);
    return file_commit(&out);
}

static int write_picture(const char *path, struct puppet *puppet, int size, float *frame) {
    size_t pixels = (size_t)size * (size_t)size;
    unsigned char *rgb = malloc(3 * pixels);
    if (!rgb) return error_set(ERR_DEVICE, "out of memory for a picture");
    int code = puppet_draw(puppet, 0, size, size, frame);
    if (!code) rgb_from_planar(rgb, frame, pixels);
    if (!code) code = png_write(path, rgb, size, size);
    free(rgb);
    return code;
}

/* Writes a frame and its 40 ms of sound at a time. */
static int write_frames(struct video_writer *video, struct puppet *puppet, int size, float *frame) {
    float stereo[2 * AUDIO_SAMPLES_PER_FRAME];
    const float *left = puppet_pcm(puppet, PUPPET_AGENT), *right = puppet_pcm(puppet, PUPPET_USER);
    for (int i = 0; i < puppet_frames(puppet); i++) {
        for (int k = 0; k < AUDIO_SAMPLES_PER_FRAME; k++) {
            stereo[2 * k] = left[(size_t)i * AUDIO_SAMPLES_PER_FRAME + (size_t)k];
            stereo[2 * k + 1] = right[(size_t)i * AUDIO_SAMPLES_PER_FRAME + (size_t)k];
        }
        TRY(puppet_draw(puppet, i, size, size, frame));
        TRY(video_write(video, frame));
        TRY(video_write_audio(video, stereo, AUDIO_SAMPLES_PER_FRAME));
    }
    return OK;
}

/* stem: the path without an ending. The video comes last, so that a video that is there has its sidecars. */
static int write_dialogue(struct puppet *puppet, const char *stem, int size, float *frame) {
    char path[FILE_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s.mask.csv", stem);
    TRY(write_text(path, puppet, write_masks));
    snprintf(path, sizeof path, "%s.truth.csv", stem);
    TRY(write_text(path, puppet, write_truth));
    snprintf(path, sizeof path, "%s.txt", stem);
    TRY(write_text(path, puppet, puppet_transcript));
    snprintf(path, sizeof path, "%s.png", stem);
    TRY(write_picture(path, puppet, size, frame));
    struct video_writer *video;
    snprintf(path, sizeof path, "%s.mp4", stem);
    TRY(video_create(&video, path, size, size, 2));
    int code = write_frames(video, puppet, size, frame);
    if (!code) return video_finish(video);
    video_discard(video);
    return code;
}

static int write_all(const struct puppet_config *c, const char *folder, float *frame) {
    TRY(file_make_folders(folder));
    struct progress progress;
    long total = (long)c->identities * c->clips;
    progress_begin(&progress, "puppet", total, 0);
    for (long i = 0; i < total; i++) {
        char name[64], stem[FILE_PATH_MAX];
        int identity = c->first_identity + (int)(i / c->clips), utterance = c->first_utterance + (int)i;
        struct puppet *puppet;
        snprintf(name, sizeof name, "%04d-%04d", identity, utterance);
        TRY(file_join(stem, sizeof stem, folder, name));
        TRY(puppet_open_world(&puppet, (enum puppet_world)c->world, (uint64_t)c->seed, identity, utterance,
                              c->seconds));
        int code = write_dialogue(puppet, stem, c->size, frame);
        puppet_close(puppet);
        TRY(code);
        progress_update(&progress, i + 1, name);
    }
    progress_end(&progress, total, "");
    return OK;
}

static int run(const struct puppet_config *c, const char *folder) {
    if (c->size % 2) return error_set(ERR_USAGE, "command line: size: expected an even number");
    float *frame = malloc(3 * sizeof *frame * (size_t)c->size * (size_t)c->size);
    if (!frame) return error_set(ERR_DEVICE, "out of memory");
    int code = write_all(c, folder, frame);
    free(frame);
    return code;
}

int main(int argc, char **argv) {
    struct args args;
    struct puppet_config config;
    int code = args_parse(&args, &command, &config, argc, argv);
    if (!code && !args.done) code = run(&config, args.words[0]);
    return args_exit("puppet", code);
}
