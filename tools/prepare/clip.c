/* clip.c: see clip.h. */
#include "tools/prepare/clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/finite.h"
#include "base/pixels.h"
#include "tools/prepare/clip_source.h"

static const char piece_magic[8] = "pieces4";

static size_t frame_floats(const struct prepare_config *c) { return 3 * (size_t)c->height * (size_t)c->width; }

static size_t latent_floats(const struct prepare_config *c) {
    return (size_t)c->frames * (size_t)c->channels * (size_t)(c->height / c->patch) * (size_t)(c->width / c->patch);
}

size_t piece_row_floats(const struct prepare_config *c) {
    size_t T = (size_t)prepare_window(c);
    return latent_floats(c) + (size_t)c->tracks * T * (size_t)c->audio_dim + 2 * T;
}

size_t piece_row_pictures(const struct prepare_config *c) {
    return c->pictures ? (size_t)prepare_window(c) * frame_floats(c) : 0;
}

static size_t piece_row_bytes(const struct prepare_config *c) {
    return sizeof(float) * piece_row_floats(c) + piece_row_pictures(c) + sizeof(int32_t);
}

/* Converts a picture's values to 8 bits. */
static void to_bytes(unsigned char *bytes, const float *pixels, size_t n) {
    for (size_t i = 0; i < n; i++) bytes[i] = pixel_byte(pixels[i]);
}

enum { LARGE_JUDGED = 3 }; /* latent frames of a window that are decoded for the report, where the codec is large */

/* A clip that is being cut into windows. */
struct cutter {
    const char *name; /* the clip's name */
    const struct prepare_config *config;
    struct clip_source *source;
    struct codec *codec;
    struct file_writer *out;
    struct piece_head *head;
    float *window;            /* [T, 3, H, W]: the last frames, the newest at the end when it is full */
    float *first;             /* [3, H, W]: the shot's first picture, where it is every window's reference; else NULL */
    int first_of;             /* number of that shot; -1: none yet */
    float *back;              /* [T, 3, H, W]: the window encoded and decoded */
    unsigned char *row;       /* a row as it is written: floats, pictures, number of the shot */
    int held;                 /* number of frames in the window */
    long start;               /* video frame that the window starts at */
    void (*beat)(void *user); /* sign of life, called now and then */
    void *user;
    int skip;                 /* number of frames to pass over, where the stride is longer than the window */
    uLong sum;                /* checksum of the rows so far */
    enum clip_picture before; /* kind of the last frame */
};

static float *row_floats(const struct cutter *cut) { return (float *)(void *)cut->row; }

/* Encodes the window into the row's latents: the first frame, then four at a time, with a sign of life between, because
   large codecs take long. */
static int encode_window(struct cutter *cut) {
    int T = prepare_window(cut->config), out = 0;
    size_t latent = latent_floats(cut->config) / (size_t)cut->config->frames;
    codec_encode_reset(cut->codec);
    for (int t = 0; t < T; t += t ? FRAMES_PER_LATENT : 1, cut->beat(cut->user)) {
        int made = codec_encode(cut->codec, cut->window + (size_t)t * frame_floats(cut->config),
                                t ? FRAMES_PER_LATENT : 1, row_floats(cut) + (size_t)out * latent);
        if (made < 0) return -made;
        out += made;
    }
    return OK;
}

/* Measures the codec's squared error over a window, for the report. A large codec, whose decoder takes long, is
   measured over the window's start. */
static int judge(struct cutter *cut) {
    int F = cut->config->frames, out = 0;
    size_t latent = latent_floats(cut->config) / (size_t)F;
    if (codec_is_external(cut->codec->name) && F > LARGE_JUDGED) F = LARGE_JUDGED;
    codec_decode_begin(cut->codec, cut->window);
    for (int f = 0; f < F; f++, cut->beat(cut->user)) {
        int made = codec_decode_host(cut->codec, row_floats(cut) + (size_t)f * latent, 1,
                                     cut->back + (size_t)out * frame_floats(cut->config));
        if (made < 0) return -made;
        out += made;
    }
    size_t n = (size_t)out * frame_floats(cut->config);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)cut->back[i] - cut->window[i]) * ((double)cut->back[i] - cut->window[i]);
    cut->head->square += sum;
    cut->head->pixels += (double)n;
    return OK;
}

/* ERR_INPUT where codec or audio encoder have made numbers of the window that are not finite. */
static int check_row(const struct cutter *cut) {
    long at = finite_fault(row_floats(cut), piece_row_floats(cut->config));
    if (at < 0) return OK;
    return error_set(ERR_INPUT, "%s: the window at %.2f s: its %s are not finite", cut->name,
                     (double)cut->start / VIDEO_RATE,
                     at < (long)latent_floats(cut->config) ? "latents" : "audio features or masks");
}

static void exchange(float *a, float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

/* Writes the full window as a row. */
static int write_window(struct cutter *cut) {
    const struct prepare_config *c = cut->config;
    int T = prepare_window(c);
    float *audio = row_floats(cut) + latent_floats(c),
          *talk = audio + (size_t)c->tracks * (size_t)T * (size_t)c->audio_dim;
    TRY(encode_window(cut));
    clip_conditions(cut->source, cut->start, T, audio, talk, talk + T);
    TRY(check_row(cut));
    if (!cut->head->rows) TRY(judge(cut));
    to_bytes(cut->row + sizeof(float) * piece_row_floats(c), cut->window, piece_row_pictures(c));
    memcpy(cut->row + piece_row_bytes(c) - sizeof(int32_t), &cut->head->cuts, sizeof(int32_t)); /* the shot */
    fwrite(cut->row, 1, piece_row_bytes(c), cut->out->file);
    cut->sum = crc32_z(cut->sum, cut->row, piece_row_bytes(c));
    cut->head->rows++;
    for (int t = 0; t < T; t++) cut->head->talk += talk[t] / T;
    return OK;
}

/* Writes the full window as a row, with the shot's first picture in place of its own where that is its reference; then
   moves it on by the stride. */
static int cut_window(struct cutter *cut) {
    const struct prepare_config *c = cut->config;
    int T = prepare_window(c), keep = T > c->stride ? T - c->stride : 0;
    if (cut->first && cut->first_of != cut->head->cuts) {
        memcpy(cut->first, cut->window, sizeof(float) * frame_floats(c));
        cut->first_of = cut->head->cuts;
    }
    if (cut->first) exchange(cut->first, cut->window, frame_floats(c));
    int code = write_window(cut);
    if (cut->first) exchange(cut->first, cut->window, frame_floats(c));
    if (code) return code;
    memmove(cut->window, cut->window + (size_t)(T - keep) * frame_floats(c),
            sizeof(float) * (size_t)keep * frame_floats(c));
    cut->held = keep;
    cut->start += c->stride;
    cut->skip = c->stride > T ? c->stride - T : 0;
    return OK;
}

/* Gives the window up at a frame at which it cannot go on: a new one begins with that frame, or behind it. */
static void break_window(struct cutter *cut, long frame, enum clip_picture kind) {
    if (kind == PICTURE_GOES_ON) return;
    size_t size = frame_floats(cut->config);
    if (kind == PICTURE_BEGINS) /* the frame lies behind those of the window that is given up */
        memmove(cut->window, cut->window + (size_t)cut->held * size, sizeof(float) * size);
    cut->held = cut->skip = 0;
    cut->start = kind == PICTURE_BEGINS ? frame : frame + 1;
    cut->head->cuts += kind == PICTURE_BEGINS || (kind == PICTURE_BLENDED && cut->before != PICTURE_BLENDED);
    cut->head->missing += kind == PICTURE_MISSING;
}

/* Passes all frames of the clip through the window. */
static int cut_clip(struct cutter *cut, int *rejected) {
    const struct prepare_config *c = cut->config;
    int T = prepare_window(c), result;
    long frames = 0;
    enum clip_picture kind;
    while ((result = clip_frame(cut->source, cut->window + (size_t)cut->held * frame_floats(c), &kind)) > 0) {
        break_window(cut, frames++, kind);
        cut->before = kind;
        cut->beat(cut->user);
        if (kind == PICTURE_MISSING || kind == PICTURE_BLENDED) continue;
        if (cut->skip) {
            cut->skip--;
            continue;
        }
        if (++cut->held < T) continue;
        int code = cut_window(cut);
        *rejected = code == ERR_INPUT;
        if (code) return code;
    }
    *rejected = 1;
    if (result < 0) return -result;
    cut->head->traits = clip_traits(cut->source);
    cut->head->seconds = (double)(frames - cut->head->missing) / VIDEO_RATE;
    if (!cut->head->rows && !cut->head->missing && !cut->head->cuts)
        return error_set(ERR_INPUT, "%s: is too short: %ld frames, a window has %d", cut->name, frames, T);
    if (!cut->head->rows)
        return error_set(ERR_INPUT,
                         "%s: has no %d frames in a row: of %ld, %d have no picture or face, and it cuts %d times",
                         cut->name, T, frames, cut->head->missing, cut->head->cuts);
    long sound = clip_sound_frames(cut->source);
    if (sound < frames - VIDEO_RATE && (double)sound < 0.9 * (double)frames)
        return error_set(ERR_INPUT, "%s: its sound ends after %.1f of %.1f seconds", cut->name,
                         (double)sound / VIDEO_RATE, (double)frames / VIDEO_RATE);
    *rejected = 0;
    return OK;
}

/* Computes the checksum of rows with the head that stands before them in the file. */
static uint32_t add_head(uLong sum, struct piece_head head) {
    head.sum = 0;
    return (uint32_t)crc32_z(sum, (const unsigned char *)&head, sizeof head);
}

int prepare_clip(const struct prepare_config *config, const struct clip_entry *entry, struct codec *codec,
                 struct sound_encoder *sound, const char *piece, struct piece_head *head, int *rejected,
                 void (*beat)(void *), void *user) {
    struct file_writer out;
    struct cutter cut = {.name = entry->path,
                         .config = config,
                         .codec = codec,
                         .out = &out,
                         .head = head,
                         .beat = beat,
                         .user = user,
                         .first_of = -1};
    memset(head, 0, sizeof *head);
    memcpy(head->magic, piece_magic, sizeof head->magic);
    head->row_floats = (int32_t)piece_row_floats(config);
    int code = clip_open(&cut.source, config, entry, sound, beat, user);
    *rejected = code == ERR_INPUT;
    if (code) return code;
    size_t window = (size_t)prepare_window(config) * frame_floats(config);
    cut.window = malloc(sizeof(float) * window);
    cut.back = malloc(sizeof(float) * window);
    cut.first = config->first_reference ? malloc(sizeof(float) * frame_floats(config)) : NULL;
    cut.row = malloc(piece_row_bytes(config));
    if (!cut.window || !cut.back || !cut.row || (config->first_reference && !cut.first))
        code = error_set(ERR_DEVICE, "out of memory");
    if (!code) code = file_create(&out, piece);
    if (!code) {
        fwrite(head, sizeof *head, 1, out.file); /* keeps the place; the head is written again at the end */
        code = cut_clip(&cut, rejected);
        if (!code) {
            head->sum = add_head(cut.sum, *head);
            rewind(out.file);
            fwrite(head, sizeof *head, 1, out.file);
            code = file_commit(&out);
        } else
            file_discard(&out);
    }
    clip_close(cut.source);
    free(cut.window);
    free(cut.back);
    free(cut.first);
    free(cut.row);
    return code;
}

/* Computes the checksum of the rows that follow, as many as `head` says; *whole: 0 where fewer are there. */
static uint32_t sum_of(FILE *file, const struct piece_head *head, size_t row, int *whole) {
    unsigned char *bytes = malloc(row);
    uLong sum = crc32_z(0, NULL, 0);
    *whole = bytes != NULL;
    for (int32_t i = 0; i < head->rows && *whole; i++) {
        *whole = fread(bytes, row, 1, file) == 1;
        if (*whole) sum = crc32_z(sum, bytes, row);
    }
    free(bytes);
    return add_head(sum, *head);
}

int piece_open(const char *path, const struct prepare_config *config, FILE **file, struct piece_head *head) {
    *file = fopen(path, "rb");
    if (!*file) return error_set(ERR_INPUT, "%s: is not there", path);
    size_t row = piece_row_bytes(config);
    int good = fread(head, sizeof *head, 1, *file) == 1 && !memcmp(head->magic, piece_magic, sizeof head->magic) &&
               head->row_floats == (int32_t)piece_row_floats(config) && head->rows > 0 && !fseek(*file, 0, SEEK_END) &&
               ftell(*file) == (long)(sizeof *head + row * (size_t)head->rows) &&
               !fseek(*file, (long)sizeof *head, SEEK_SET);
    if (good) good = sum_of(*file, head, row, &good) == head->sum && good;
    if (good) good = !fseek(*file, (long)sizeof *head, SEEK_SET);
    if (good) return OK;
    fclose(*file);
    *file = NULL;
    return error_set(ERR_INPUT, "%s: is damaged", path);
}

int piece_read(FILE *file, const struct prepare_config *config, float *floats, unsigned char *pictures, int *shot) {
    size_t n = piece_row_floats(config), bytes = piece_row_pictures(config);
    int32_t number;
    if (fread(floats, sizeof *floats, n, file) != n || fread(pictures, 1, bytes, file) != bytes ||
        fread(&number, sizeof number, 1, file) != 1)
        return error_set(ERR_INPUT, "a row cannot be read");
    *shot = number;
    return OK;
}

/* A sample for the fit that is being taken. */
struct sampler {
    const struct prepare_config *config;
    FILE *out;
    unsigned char *bytes; /* [4, 3, H, W] */
    int held, wait;       /* number of frames in `bytes`; frames to pass over before the next group */
    long groups;          /* number of groups written */
};

static void sample_frame(struct sampler *s, const float *pixels, enum clip_picture kind) {
    enum { APART = 11 }; /* number of frames from one group to the next */
    size_t frame = frame_floats(s->config);
    if (kind != PICTURE_GOES_ON) s->held = 0; /* a group lies within one shot */
    if (kind == PICTURE_MISSING || kind == PICTURE_BLENDED || s->wait-- > 0) return;
    s->wait = 0;
    unsigned char *to = s->bytes + (size_t)s->held++ * frame;
    to_bytes(to, pixels, frame);
    int still = s->groups % s->config->frames == 0;
    if (s->held < 4 && !still) return;
    for (int k = 0; k < 4; k++) fwrite(s->bytes + (still ? 0 : (size_t)k * frame), 1, frame, s->out);
    s->wait = APART - s->held;
    s->held = 0;
    s->groups++;
}

int prepare_sample(const struct prepare_config *config, const struct clip_entry *entry, int groups, const char *piece,
                   int *rejected, void (*beat)(void *), void *user) {
    struct clip_source *source;
    struct file_writer out;
    int code = clip_open(&source, config, entry, NULL, beat, user);
    *rejected = code == ERR_INPUT;
    if (code) return code;
    size_t frame = frame_floats(config);
    float *pixels = malloc(sizeof *pixels * frame);
    struct sampler sampler = {.config = config, .bytes = malloc(4 * frame)};
    code = pixels && sampler.bytes ? file_create(&out, piece) : error_set(ERR_DEVICE, "out of memory");
    int result = 0;
    if (!code) {
        enum clip_picture kind;
        sampler.out = out.file;
        while (sampler.groups < groups && (result = clip_frame(source, pixels, &kind)) > 0) {
            beat(user);
            sample_frame(&sampler, pixels, kind);
        }
        *rejected = result < 0; /* a clip that cannot be read to its end is no part of the fit */
        if (*rejected) file_discard(&out);
        code = *rejected ? -result : file_commit(&out);
    }
    clip_close(source);
    free(pixels);
    free(sampler.bytes);
    return code;
}
