/* clip_source.c: see clip_source.h. */
#include "tools/prepare/clip_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "data/media/deinterlace.h"
#include "data/puppet.h"
#include "model/audio/voice_activity.h"
#include "tools/prepare/faces.h"
#include "tools/prepare/shots.h"
#include "tools/prepare/sidecar.h"

struct clip_source {
    struct video_reader *video; /* NULL: the clip is a puppet's */
    struct puppet *puppet;
    struct shots shots;       /* a video's shots */
    struct video_face *faces; /* a video's windows about the face, where there is a box file */
    long face_count;
    int unheard;
    float *picture;          /* the picture that the reader gave last */
    int next, height, width; /* next: number of the puppet's frame that is drawn next */
    long frames;             /* length of the sound in video frames */
    int tracks, dim;
    struct sound_encoder *sound;
    float *features[2];   /* [frames, dim] */
    const float *silence; /* [dim]: the encoder's feature of silence */
    float *talk, *listen; /* [frames] */
};

/* The sign of life and its argument. */
struct listener {
    void (*beat)(void *);
    void *user;
};

/* Makes the features of all of a track, pushed a second at a time. */
static int encode_sound(struct clip_source *s, const struct listener *listener, int track, const float *pcm,
                        long samples) {
    struct audio_encoder stream;
    if (!s->sound) return OK;
    TRY(sound_encoder_stream(s->sound, &stream));
    float *features = s->features[track] = malloc(sizeof(float) * (size_t)(s->frames + 1) * (size_t)s->dim);
    long got = features ? 0 : -error_set(ERR_DEVICE, "out of memory");
    for (long at = 0; at < samples && got >= 0; at += AUDIO_RATE) {
        long n = samples - at < AUDIO_RATE ? samples - at : AUDIO_RATE;
        int more = audio_encoder_push(&stream, pcm + at, n, features + got * s->dim, (int)(s->frames - got));
        got = more < 0 ? more : got + more;
        listener->beat(listener->user);
    }
    while (got >= 0 && got < s->frames) {
        int more = audio_encoder_flush(&stream, features + got * s->dim, (int)(s->frames - got));
        if (!more) break;
        got = more < 0 ? more : got + more;
        listener->beat(listener->user);
    }
    for (long f = got; got >= 0 && f < s->frames; f++) /* the rest of a shorter track is silence */
        memcpy(features + f * s->dim, s->silence, sizeof(float) * (size_t)s->dim);
    audio_encoder_close(&stream);
    return got < 0 ? (int)-got : OK;
}

/* Takes memory for masks and features of s->frames frames. */
static int make_room(struct clip_source *s) {
    s->talk = calloc((size_t)s->frames + 1, sizeof *s->talk);
    s->listen = calloc((size_t)s->frames + 1, sizeof *s->listen);
    return s->talk && s->listen ? OK : error_set(ERR_DEVICE, "out of memory");
}

static int open_puppet(struct clip_source *s, const struct prepare_config *config, const struct clip_entry *entry,
                       const struct listener *listener) {
    int spoil;
    TRY(puppet_spoil_read(config->puppet_spoil, &spoil));
    TRY(puppet_open_world(&s->puppet, (enum puppet_world)config->puppet_world, (uint64_t)config->seed, entry->identity,
                          entry->utterance, config->puppet_seconds));
    puppet_vary(s->puppet, &entry->view);
    puppet_spoil(s->puppet, spoil);
    s->frames = puppet_frames(s->puppet);
    TRY(make_room(s));
    memcpy(s->talk, puppet_mask(s->puppet, PUPPET_AGENT), sizeof(float) * (size_t)s->frames);
    memcpy(s->listen, puppet_mask(s->puppet, PUPPET_USER), sizeof(float) * (size_t)s->frames);
    for (int track = 0; track < 2; track++)
        TRY(encode_sound(s, listener, track, puppet_pcm(s->puppet, track == 0 ? PUPPET_AGENT : PUPPET_USER),
                         s->frames * AUDIO_SAMPLES_PER_FRAME));
    return OK;
}

/* Makes features and masks of a video's sound, which is in pcm already. */
static int take_sound(struct clip_source *s, const struct prepare_config *config, const struct listener *listener,
                      const char *path, float *const *pcm, const long *samples) {
    long longest = samples[0] > samples[1] ? samples[0] : samples[1];
    s->frames = (longest + AUDIO_SAMPLES_PER_FRAME - 1) / AUDIO_SAMPLES_PER_FRAME;
    if (s->frames > 1 << 28) return error_set(ERR_INPUT, "%s: too long", path);
    TRY(make_room(s));
    for (int track = 0; track < config->tracks; track++)
        TRY(encode_sound(s, listener, track, pcm[track], samples[track]));
    char sidecar[FILE_PATH_MAX];
    if (config->mask != MASK_VAD && sidecar_find(path, sidecar, sizeof sidecar))
        return sidecar_read(sidecar, (int)s->frames, s->talk, s->listen);
    if (config->mask == MASK_SIDECAR)
        return error_set(ERR_INPUT, "%s: has no sidecar (NAME.mask.csv or NAME.mask.json)", path);
    int heard = voice_activity_clip(s->talk, s->frames, pcm[0], samples[0]), other = 1;
    if (config->tracks == 2) other = voice_activity_clip(s->listen, s->frames, pcm[1], samples[1]);
    s->unheard = !heard;
    return heard < 0 || other < 0 ? ERR_DEVICE : OK;
}

static int open_pictures(struct clip_source *s, const struct prepare_config *config, const char *path,
                         const struct picture_view *view) {
    char boxes[FILE_PATH_MAX];
    TRY(video_open_crop(&s->video, path, config->height, config->width, &config->crop));
    struct picture_filter *filter = deinterlace_make();
    if (!filter) return error_set(ERR_DEVICE, "out of memory");
    video_filter(s->video, filter);
    video_tone_map(s->video);
    video_vary(s->video, view);
    TRY(shots_open(&s->shots, s->height, s->width, config->shot_threshold / 100));
    s->picture = malloc(sizeof *s->picture * 3 * (size_t)s->height * (size_t)s->width);
    if (!s->picture) return error_set(ERR_DEVICE, "out of memory");
    if (!faces_find(path, boxes, sizeof boxes)) return OK;
    TRY(faces_read(boxes, config->box_size, &s->faces, &s->face_count));
    video_follow(s->video, s->faces, s->face_count);
    return OK;
}

static int open_video(struct clip_source *s, const struct prepare_config *config, const struct clip_entry *entry,
                      const struct listener *listener) {
    char path[FILE_PATH_MAX];
    TRY(file_join(path, sizeof path, config->source, entry->path));
    TRY(open_pictures(s, config, path, &entry->view));
    int channels;
    TRY(audio_channels(path, &channels));
    if (!channels) return error_set(ERR_INPUT, "%s: has no sound", path);
    if (config->tracks == 2 && channels != 2)
        return error_set(ERR_INPUT, "%s: has %d sound channel%s, but two tracks are wanted: left and right", path,
                         channels, channels == 1 ? "" : "s");
    float *pcm[2] = {NULL, NULL};
    long samples[2] = {0, 0};
    int code = OK;
    for (int track = 0; track < config->tracks && !code; track++)
        code = audio_read(path, config->tracks == 2 ? track : -1, &pcm[track], &samples[track]);
    if (!code && !samples[0]) code = error_set(ERR_INPUT, "%s: has no sound", path);
    if (!code) code = take_sound(s, config, listener, path, pcm, samples);
    free(pcm[0]);
    free(pcm[1]);
    return code;
}

int clip_open(struct clip_source **out, const struct prepare_config *config, const struct clip_entry *entry,
              struct sound_encoder *sound, void (*beat)(void *), void *user) {
    const struct listener listener = {beat, user};
    *out = NULL;
    struct clip_source *s = calloc(1, sizeof *s);
    if (!s) return error_set(ERR_DEVICE, "out of memory");
    s->height = config->height;
    s->width = config->width;
    s->tracks = config->tracks;
    s->dim = config->audio_dim;
    s->sound = sound;
    int code = sound ? sound_encoder_silence(sound, &s->silence) : OK;
    if (!code)
        code = strcmp(config->source, "puppet") ? open_video(s, config, entry, &listener)
                                                : open_puppet(s, config, entry, &listener);
    if (code) {
        clip_close(s);
        return code;
    }
    *out = s;
    return OK;
}

/* Reads the video's next frame, once the frames behind it tell whether it begins a shot. */
static int video_frame(struct clip_source *s, float *pixels, enum clip_picture *kind) {
    static const enum clip_picture kinds[] = {PICTURE_GOES_ON, PICTURE_BEGINS, PICTURE_BLENDED};
    int more = 1, missing;
    enum shot_place place;
    while (more > 0 && shots_wants(&s->shots)) {
        more = video_read(s->video, s->picture);
        if (more > 0) shots_take(&s->shots, s->picture, video_missing(s->video));
    }
    if (more < 0) return more;
    if (!shots_give(&s->shots, pixels, &missing, &place, !more)) return 0;
    *kind = missing ? PICTURE_MISSING : kinds[place];
    return 1;
}

int clip_frame(struct clip_source *s, float *pixels, enum clip_picture *kind) {
    *kind = PICTURE_GOES_ON;
    if (s->video) return video_frame(s, pixels, kind);
    if (s->next >= puppet_frames(s->puppet)) return 0;
    int code = puppet_draw(s->puppet, s->next++, s->height, s->width, pixels);
    return code ? -code : 1;
}

int clip_traits(const struct clip_source *s) {
    return (s->video ? video_traits(s->video) : 0) | (s->unheard ? CLIP_UNHEARD : 0);
}

long clip_sound_frames(const struct clip_source *s) { return s->frames; }

void clip_conditions(const struct clip_source *s, long first, int T, float *audio, float *talk, float *listen) {
    for (int t = 0; t < T; t++) {
        long f = first + t;
        for (int track = 0; track < s->tracks; track++)
            memcpy(audio + ((size_t)track * (size_t)T + (size_t)t) * (size_t)s->dim,
                   f < s->frames ? s->features[track] + f * s->dim : s->silence, sizeof(float) * (size_t)s->dim);
        talk[t] = f < s->frames ? s->talk[f] : 0;
        listen[t] = f < s->frames ? s->listen[f] : 0;
    }
}

void clip_close(struct clip_source *s) {
    if (!s) return;
    video_close(s->video);
    shots_close(&s->shots);
    free(s->faces);
    free(s->picture);
    puppet_close(s->puppet);
    free(s->features[0]);
    free(s->features[1]);
    free(s->talk);
    free(s->listen);
    free(s);
}
