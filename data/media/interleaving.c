/* interleaving.c: see interleaving.h. For every piece of sound there is a difference: its time by the pictures around
   it minus the time of its own stamp. The slope of the line fitted through these differences is the drift. */
#include "data/media/interleaving.h"

#include <libavcodec/avcodec.h>
#include <math.h>
#include <string.h>

enum { PIECES_MIN = 20 };
/* In seconds, except the ratio ERRORS_CLEAR. Pieces spread evenly among pictures scatter by a picture's duration over
   sqrt(12), which is 29 ms at ten pictures a second. A drift well below a frame of 40 ms needs no correction, and a
   drift must be clear of the fit's own error. */
static const double SCATTER_MAX = 0.05, DRIFT_MIN = 0.02, ERRORS_CLEAR = 6;
static const double SLOPE_MAX = 0.012; /* the most that sound_clock.c follows */

/* A track's entries in the container's index: entry i begins at its stamp times `unit`, in seconds. */
struct track {
    AVStream *stream;
    int count;
    double unit;
};

static const AVIndexEntry *entry(const struct track *t, int i) { return avformat_index_get_entry(t->stream, i); }
static double begins(const struct track *t, int i) { return (double)entry(t, i)->timestamp * t->unit; }
static double ends(const struct track *t) { /* takes the last entry to last as long as the mean one */
    double last = begins(t, t->count - 1);
    return last + (last - begins(t, 0)) / (t->count - 1);
}

/* Returns 0 if there are too few entries. In AVI the index's stamps of sound are bytes or blocks, in proportion to
   time, and the duration of all of them is in the file's head. */
static int open_track(struct track *t, const AVStream *stream, int avi) {
    *t =
        (struct track){(AVStream *)(uintptr_t)stream, 0, av_q2d(stream->time_base)}; /* libav's getter wants no const */
    t->count = avformat_index_get_entries_count(t->stream);
    if (t->count < PIECES_MIN || !(ends(t) > 0)) return 0;
    if (avi && stream->codecpar->codec_type == AVMEDIA_TYPE_AUDIO)
        t->unit *= (double)stream->nb_frames * t->unit / ends(t);
    return t->unit > 0 && isfinite(t->unit);
}

/* Whether the container leaves the sound's times to the count of its samples. */
static int counts_samples(const AVFormatContext *format, const AVStream *sound, int avi) {
    return avi || (strstr(format->iformat->name, "mov") && av_get_exact_bits_per_sample(sound->codecpar->codec_id));
}

static int find_pictures(struct track *t, const AVFormatContext *format) {
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *s = format->streams[i];
        int still = s->disposition & (AV_DISPOSITION_ATTACHED_PIC | AV_DISPOSITION_TIMED_THUMBNAILS);
        if (s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !still && open_track(t, s, 0)) return 1;
    }
    return 0;
}

struct fit { /* sums for fitting y over x */
    double n, x, y, xx, xy, yy;
};
static void fit_add(struct fit *f, double x, double y) {
    f->n++, f->x += x, f->y += y, f->xx += x * x, f->xy += x * y, f->yy += y * y;
}

/* Fits the places of the pieces of sound, each behind one picture and in front of the next. Pieces that directly follow
   each other count as one, at the place of the first. */
static struct fit places(const struct track *sound, const struct track *pictures) {
    struct fit f = {0};
    int64_t end = -1;
    for (int i = 0, p = 0; i < sound->count; i++) {
        const AVIndexEntry *e = entry(sound, i);
        int follows = e->pos == end;
        end = e->pos + e->size;
        while (p < pictures->count && entry(pictures, p)->pos < e->pos) p++;
        if (follows || !p || p == pictures->count) continue;
        double at = begins(sound, i);
        fit_add(&f, at, 0.5 * (begins(pictures, p - 1) + begins(pictures, p)) - at);
    }
    return f;
}

double interleaved_drift(const AVFormatContext *format, const AVStream *stream, int *doubtful) {
    *doubtful = 0;
    struct track sound, pictures;
    int avi = !strcmp(format->iformat->name, "avi");
    if (!counts_samples(format, stream, avi) || !open_track(&sound, stream, avi) || !find_pictures(&pictures, format))
        return 0;
    struct fit f = places(&sound, &pictures);
    if (f.n < PIECES_MIN) return 0;
    double across = f.xx - f.x * f.x / f.n, slope = (f.xy - f.x * f.y / f.n) / across;
    double scatter = sqrt(fmax(f.yy - f.y * f.y / f.n - slope * slope * across, 0) / (f.n - 2));
    double length = ends(&sound) - begins(&sound, 0), drift = fabs(slope) * length;
    if (!(fabs(slope) <= SLOPE_MAX && scatter <= SCATTER_MAX)) return 0;
    if (drift < DRIFT_MIN + ERRORS_CLEAR * scatter / sqrt(across) * length) return 0;
    /* both were recorded to the same end, so the drift must bring their lengths closer together */
    double apart = ends(&pictures) - ends(&sound);
    *doubtful = !(fabs(apart - slope * length) < 0.5 * drift);
    return *doubtful ? 0 : slope;
}
