/* deinterlace.c: see deinterlace.h. */
#include "data/media/deinterlace.h"

#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/error.h"

struct deinterlace {
    struct picture_filter filter; /* first member, so that pointers to both are the same */
    AVFilterGraph *graph;         /* made for the current kind of frame; another kind gets a new graph */
    AVFilterContext *in, *out;
    AVRational unit;
    int width, height, format;
};

static int build(struct deinterlace *d, const AVFrame *frame) {
    char source[256];
    avfilter_graph_free(&d->graph);
    d->graph = avfilter_graph_alloc();
    if (!d->graph) return error_set(ERR_DEVICE, "out of memory");
    d->graph->nb_threads = 1;
    snprintf(source, sizeof source, "video_size=%dx%d:pix_fmt=%d:time_base=%d/%d:pixel_aspect=0/1", frame->width,
             frame->height, frame->format, d->unit.num, d->unit.den);
    AVFilterContext *bwdif;
    int good =
        avfilter_graph_create_filter(&d->in, avfilter_get_by_name("buffer"), "in", source, NULL, d->graph) >= 0 &&
        avfilter_graph_create_filter(&bwdif, avfilter_get_by_name("bwdif"), "bwdif",
                                     "mode=send_frame:parity=auto:deint=interlaced", NULL, d->graph) >= 0 &&
        avfilter_graph_create_filter(&d->out, avfilter_get_by_name("buffersink"), "out", NULL, NULL, d->graph) >= 0 &&
        !avfilter_link(d->in, 0, bwdif, 0) && !avfilter_link(bwdif, 0, d->out, 0) &&
        avfilter_graph_config(d->graph, NULL) >= 0;
    d->width = frame->width;
    d->height = frame->height;
    d->format = frame->format;
    return good ? OK : error_set(ERR_INPUT, "its interlaced pictures cannot be made whole");
}

static int push(struct picture_filter *filter, AVFrame *frame, AVRational unit) {
    struct deinterlace *d = (struct deinterlace *)filter;
    d->unit = unit;
    if (!frame)
        return d->graph && av_buffersrc_add_frame(d->in, NULL) < 0 ? error_set(ERR_DEVICE, "out of memory") : OK;
    if (!d->graph || frame->width != d->width || frame->height != d->height || frame->format != d->format)
        TRY(build(d, frame));
    return av_buffersrc_add_frame(d->in, frame) < 0
               ? error_set(ERR_INPUT, "its interlaced pictures cannot be made whole")
               : OK;
}

static int pull(struct picture_filter *filter, AVFrame *frame) {
    struct deinterlace *d = (struct deinterlace *)filter;
    int result = d->graph ? av_buffersink_get_frame(d->out, frame) : AVERROR(EAGAIN);
    if (result == AVERROR(EAGAIN) || result == AVERROR_EOF) return 0;
    if (result < 0) return -error_set(ERR_INPUT, "its interlaced pictures cannot be made whole");
    if (frame->pts != AV_NOPTS_VALUE)
        frame->pts = av_rescale_q(frame->pts, av_buffersink_get_time_base(d->out), d->unit);
    return 1;
}

static void finish(struct picture_filter *filter) {
    struct deinterlace *d = (struct deinterlace *)filter;
    avfilter_graph_free(&d->graph);
    free(d);
}

struct picture_filter *deinterlace_make(void) {
    struct deinterlace *d = calloc(1, sizeof *d);
    if (!d) return NULL;
    d->filter = (struct picture_filter){push, pull, finish};
    return &d->filter;
}
