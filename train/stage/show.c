/* show.c: shows what a stage makes of held-out clips, as a contact sheet and a video beside the truth (stage.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "data/contact_sheet.h"
#include "data/media.h"
#include "train/stage/stage.h"

enum { SHEET_COLUMNS = 13, SHEET_ZOOM = 2 };

struct show {
    int clips, frames, height, width; /* video frames of a clip */
    const float *truth, *made;        /* [clips, frames, 3, height, width] */
    float *tiles;                     /* [3, 2 height, clips width] */
};

static struct show show_of(const struct stage *s) {
    return (struct show){.clips = s->shown,
                         .frames = (int)video_frames(s->config.frames),
                         .height = s->codec.height,
                         .width = s->codec.width};
}

static size_t frame_size(const struct show *w) { return (size_t)3 * w->height * w->width; }

/* pictures: the clips' true pictures [clips, 4F-3, 3, height, width], of which a decoder sees the first; NULL: there
   are none. */
static int decode(struct stage *s, const real *latents, int clips, const float *pictures, float *pixels) {
    struct show w = show_of(s);
    size_t clip = (size_t)s->config.frames * s->codec.channels * s->codec.h * s->codec.w;
    for (int i = 0; i < clips; i++) {
        codec_decode_begin(&s->codec, pictures ? pictures + (size_t)i * w.frames * frame_size(&w) : NULL);
        int n = codec_decode(&s->codec, latents + i * clip, s->config.frames,
                             pixels + (size_t)i * w.frames * frame_size(&w));
        if (n < 0) return -n;
        if (n != w.frames) return error_set(ERR_INPUT, "codec: %d video frames of a clip, expected %d", n, w.frames);
    }
    return OK;
}

int stage_decode(struct stage *s, const real *latents, int clips, float *pixels) {
    return decode(s, latents, clips, NULL, pixels);
}

int stage_decode_shown(struct stage *s, const real *latents, float *pixels) {
    return decode(s, latents, s->shown, s->shown_pictures, pixels);
}

/* Rows: truth of clip 0, made of clip 0, truth of clip 1, ... */
static int write_sheet(const struct stage *s, const struct show *w, const char *label) {
    char path[FILE_PATH_MAX], (*names)[48] = calloc(2 * (size_t)w->clips, sizeof *names);
    struct sheet_row *rows = calloc(2 * (size_t)w->clips, sizeof *rows);
    if (!rows || !names) {
        free(rows);
        free(names);
        return error_set(ERR_DEVICE, "out of memory for the contact sheet");
    }
    for (int r = 0; r < 2 * w->clips; r++) {
        const float *frames = r % 2 ? w->made : w->truth;
        snprintf(names[r], sizeof names[r], "%s", r % 2 ? label : "truth");
        rows[r] = (struct sheet_row){names[r], frames + (size_t)(r / 2) * w->frames * frame_size(w), w->frames};
    }
    int code = run_folder_sample_path(&s->folder, (long)s->step, "sheet.png", path, sizeof path);
    if (!code) code = contact_sheet_write(path, rows, 2 * w->clips, w->height, w->width, SHEET_COLUMNS, SHEET_ZOOM);
    free(rows);
    free(names);
    return code;
}

/* Writes a video of the clips side by side, the truth above. */
static void tile(const struct show *w, int frame) {
    size_t row = (size_t)w->clips * w->width, plane = 2 * (size_t)w->height * row;
    for (int i = 0; i < 2 * w->clips; i++) {
        const float *from = (i % 2 ? w->made : w->truth) + ((size_t)(i / 2) * w->frames + frame) * frame_size(w);
        for (int c = 0; c < 3; c++)
            for (int y = 0; y < w->height; y++)
                memcpy(w->tiles + c * plane + (size_t)(i % 2 * w->height + y) * row + (size_t)(i / 2) * w->width,
                       from + ((size_t)c * w->height + y) * w->width, sizeof(float) * (size_t)w->width);
    }
}

static int write_video(const struct stage *s, const struct show *w) {
    char path[FILE_PATH_MAX];
    struct video_writer *video;
    TRY(run_folder_sample_path(&s->folder, (long)s->step, "video.mp4", path, sizeof path));
    TRY(video_create(&video, path, 2 * w->height, w->clips * w->width, 0));
    for (int f = 0; f < w->frames; f++) {
        tile(w, f);
        int code = video_write(video, w->tiles);
        if (code) {
            video_discard(video);
            return code;
        }
    }
    return video_finish(video);
}

static size_t pixel_count(const struct show *w) { return (size_t)w->clips * (size_t)w->frames * frame_size(w); }

int stage_show_frames(struct stage *s, const char *label, const float *truth, const float *made) {
    if (s->comm.rank) return OK; /* all ranks have made the same samples, and the first one writes them */
    struct show w = show_of(s);
    w.truth = truth;
    w.made = made;
    w.tiles = malloc(2 * (size_t)w.clips * frame_size(&w) * sizeof *w.tiles);
    int code = w.tiles ? write_sheet(s, &w, label) : error_set(ERR_DEVICE, "out of memory for samples");
    if (!code) code = write_video(s, &w);
    free(w.tiles);
    if (!code) log_line("samples of step %ld in %s/samples", (long)s->step, s->folder.path);
    return code;
}

static int show_alone(struct stage *s, const char *label, const real *latents) {
    struct show w = show_of(s);
    float *truth = malloc(pixel_count(&w) * sizeof *truth), *made = malloc(pixel_count(&w) * sizeof *made);
    int code = truth && made ? OK : error_set(ERR_DEVICE, "out of memory for samples");
    if (!code) code = stage_decode_shown(s, s->held_out.clips, truth);
    if (!code) code = stage_decode_shown(s, latents, made);
    if (!code) code = stage_show_frames(s, label, truth, made);
    free(truth);
    free(made);
    return code;
}

int stage_show(struct stage *s, const char *label, const real *latents) {
    if (s->comm.rank) return OK;
    comm_busy(&s->comm, "writing samples");
    int code = show_alone(s, label, latents);
    comm_busy(&s->comm, NULL);
    return code;
}
