/* stream.c: the live avatar on the command line: a student's folder, a picture and sound go in, video comes out. Prints
   the real-time factor, the delay of the first frame and the times of chunks. Links no HDF5, no MPI. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/args.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/process_memory.h"
#include "base/progress.h"
#include "base/sorting.h"
#include "data/media.h"
#include "infer/change_file.h"
#include "infer/codec_process/codec_process.h"
#include "infer/frame_sink.h"
#include "infer/mask_file.h"
#include "infer/pipeline.h"
#include "infer/sound_source.h"
#include "infer/stream_options.h"
#include "infer/student_fields.h"
#include "kernels/device.h"
#include "model/audio/encoder.h"

enum { TIMES_MAX = 1 << 16 };

struct times {                         /* seconds; written by the thread that hands out frames */
    double *chunk;                     /* times of the last TIMES_MAX chunks; no more, so that memory is constant */
    double network, codec;             /* sums over all chunks */
    double first_network, first_codec; /* times of the first chunk */
    double first_frame;                /* time between the first chunk's sound being complete and its first frame */
    long count, frames;                /* chunks; their video frames */
};

struct stream {
    struct stream_options options;
    struct codec_process *decoder; /* NULL: this process decodes */
    struct session *session;
    struct pipeline *pipeline;
    struct sound_source *source;
    struct frame_sink *sink;
    struct change_list changes;
    struct csv mask;        /* open with talk=file */
    long frames_begun;      /* video frames of the chunks that the network has begun, and the reference's */
    long frames_out, limit; /* video frames that were handed out, and the most that may be */
    double encoder;         /* seconds that the audio encoder took for the last video frame's sound */
    double first_encoder;   /* seconds that it took for the last sound of the first chunk */
    struct times times;
    struct memory_plan plan; /* printed when the memory is taken */
    size_t resident;         /* bytes that this process had before */
};

/* Writes out a decoded chunk. In overlapped mode the decoder's thread calls it. */
static int take_chunk(void *user, const struct pipeline_chunk *chunk) {
    struct stream *s = user;
    struct times *t = &s->times;
    const struct student_description *d = session_student(s->session);
    size_t frame = 3 * (size_t)d->pixel_height * (size_t)d->pixel_width;
    for (int i = 0; i < chunk->count && s->frames_out < s->limit; i++, s->frames_out++) {
        TRY(sink_frame(s->sink, chunk->frames + (size_t)i * frame));
        if (t->count || i) continue;
        t->first_frame = clock_seconds() - chunk->begun;
        t->first_network = chunk->network;
        t->first_codec = chunk->decoder;
    }
    t->chunk[t->count++ % TIMES_MAX] = clock_seconds() - chunk->begun;
    t->frames += chunk->count;
    t->network += chunk->network;
    t->codec += chunk->decoder;
    return OK;
}

/* 1: the decoder works beside the network. */
static int overlapped(const struct stream_options *o) {
    int can = o->decoder_device >= 0 || device_overlaps();
    return o->overlap == OVERLAP_AUTO ? can : o->overlap == OVERLAP_ON;
}

/* Opens the pipeline and, on a device, rehearses a chunk, so that none has to wait for libraries and recordings. */
static int open_pipeline(struct stream *s) {
    TRY(pipeline_open(&s->pipeline, s->session, overlapped(&s->options), take_chunk, s, &s->plan));
    memory_plan_total(&s->plan);
    if (s->decoder) pipeline_decode_into(s->pipeline, codec_process_frames(s->decoder));
    if (!device_overlaps()) return OK;
    double begin = clock_seconds();
    TRY(pipeline_rehearse(s->pipeline));
    log_line("rehearsed: %.1f s", clock_seconds() - begin);
    return OK;
}

/* Begins the session with the reference, which the codec has encoded and decoded as the video's first frame. */
static int show_reference(struct stream *s) {
    const struct student_description *d = session_student(s->session);
    size_t picture = 3 * (size_t)d->pixel_height * (size_t)d->pixel_width;
    float *reference = malloc(picture * sizeof *reference);
    unsigned char *first = malloc(picture);
    int code = reference && first ? OK : error_set(ERR_DEVICE, "out of memory for the frames");
    if (!code) code = image_read(s->options.reference, d->pixel_height, d->pixel_width, reference);
    if (!code) code = session_begin(s->session, reference, first);
    if (!code) code = sink_frame(s->sink, first);
    free(reference);
    free(first);
    s->frames_begun = s->frames_out = 1;
    return code;
}

static int open_stream(struct stream *s) {
    const struct stream_options *o = &s->options;
    const struct student_description *d = session_student(s->session);
    s->times.chunk = malloc(TIMES_MAX * sizeof(double));
    if (!s->times.chunk) return error_set(ERR_DEVICE, "out of memory for the times");
    if (o->talk == MASK_FILE) TRY(mask_file_open(&s->mask, o->mask));
    if (*o->changes) TRY(change_list_read(&s->changes, o->changes));
    TRY(change_list_check(&s->changes, s->session));
    TRY(sound_open(&s->source, o));
    TRY(sink_open(&s->sink, o->out, d->pixel_height, d->pixel_width, sound_parties(s->source)));
    TRY(open_pipeline(s));
    return show_reference(s);
}

static void close_stream(struct stream *s) {
    pipeline_close(s->pipeline);
    sink_discard(s->sink);
    sound_close(s->source);
    session_close(s->session);
    codec_process_end(s->decoder);
    csv_close(&s->mask);
    change_list_free(&s->changes);
    free(s->times.chunk);
}

/* Makes the changes that are due before the next chunk. One that cannot be made, because its picture is gone by now, is
   logged; the stream goes on without it. */
static int make_changes(struct stream *s) {
    while (change_list_due(&s->changes, s->frames_begun)) {
        TRY(pipeline_finish(s->pipeline)); /* the codec must be at rest while it encodes a reference */
        if (change_list_make(&s->changes, s->session, s->frames_begun))
            log_line("change %d left out: %s", s->changes.done, error_text());
    }
    return OK;
}

/* Runs all chunks for which there is enough sound. */
static int run_chunks(struct stream *s) {
    while (!interrupt_requested() && s->frames_begun < s->limit && session_ready(s->session)) {
        if (s->frames_begun == 1) s->first_encoder = s->encoder;
        TRY(make_changes(s));
        int count = session_next_frames(s->session);
        TRY(pipeline_run(s->pipeline));
        s->frames_begun += count;
    }
    return OK;
}

static int push_frame(struct stream *s, const float *agent, const float *user, long samples) {
    float talk = 1, listen = sound_parties(s->source) == 2;
    if (s->options.talk == MASK_FILE) TRY(mask_file_next(&s->mask, &talk, &listen));
    int voice = s->options.talk == MASK_VOICE;
    double begin = clock_seconds();
    long taken = session_push(s->session, agent, sound_parties(s->source) == 2 ? user : NULL, samples,
                              voice ? NULL : &talk, voice ? NULL : &listen);
    s->encoder = clock_seconds() - begin;
    if (taken < 0) return (int)-taken;
    if (taken != samples) return error_set(ERR_DEVICE, "the sound queues are full although every chunk was taken");
    return sink_sound(s->sink, agent, user, samples);
}

/* Reads the sound of one video frame; it is shorter only at the sound's end. Returns samples, or -(error code). */
static long read_frame(struct stream *s, float *agent, float *user) {
    long got = 0;
    while (got < AUDIO_SAMPLES_PER_FRAME) {
        long n = sound_next(s->source, agent + got, user + got, AUDIO_SAMPLES_PER_FRAME - got);
        if (n < 0) return n;
        if (!n) break;
        got += n;
    }
    return got;
}

static int run(struct stream *s) {
    float agent[AUDIO_SAMPLES_PER_FRAME], user[AUDIO_SAMPLES_PER_FRAME];
    long sound_frames = 0;
    memset(user, 0, sizeof user);
    while (!interrupt_requested() && s->frames_begun < s->limit) {
        long n = read_frame(s, agent, user);
        if (n < 0) return (int)-n;
        if (!n) break;
        sound_frames++;
        TRY(push_frame(s, agent, user, n));
        TRY(run_chunks(s));
        if (n < AUDIO_SAMPLES_PER_FRAME) break;
    }
    session_end(s->session);
    TRY(pipeline_finish(s->pipeline)); /* the decoder's thread reads the limit, which changes next */
    if (sound_frames < s->limit) s->limit = sound_frames;
    TRY(run_chunks(s));
    return pipeline_finish(s->pipeline);
}

/* Logs the plan beside what was used, where the device's memory is the host's. */
static void log_memory(const struct stream *s) {
    size_t peak = process_peak();
    if (!device_overlaps() && peak > s->resident)
        log_line("memory: %.1f MiB planned; this process's peak is %.1f MiB above what it had before",
                 (double)(s->plan.device + s->plan.host) / 0x1p20, (double)(peak - s->resident) / 0x1p20);
}

static void report(struct stream *s) {
    struct times *t = &s->times;
    long kept = t->count < TIMES_MAX ? t->count : TIMES_MAX;
    if (!kept) {
        log_line("no chunk was made: the sound is shorter than one chunk");
        return;
    }
    double video = (double)t->frames / VIDEO_RATE, chunk = (double)session_chunk_frames(s->session) / VIDEO_RATE;
    sort_doubles(t->chunk, (size_t)kept);
    log_line("%ld frames, %.2f s of video; real-time factor %.3f (network %.3f, codec %.3f)", s->frames_out, video,
             pipeline_busy(s->pipeline) / video, t->network / video, t->codec / video);
    if (s->decoder) {
        double both = pipeline_both(s->pipeline), decoder = pipeline_busy(s->pipeline) + both - t->network;
        log_line("a process of its own decoded, %.0f %% of the decoder's time beside the network",
                 100 * both / decoder);
    }
    log_line("first frame %.0f ms after its sound; chunk of %.2f s: median %.1f ms, 95 %% %.1f ms, 99 %% %.1f ms, most "
             "%.1f ms",
             1e3 * t->first_frame, chunk, 1e3 * t->chunk[kept / 2], 1e3 * t->chunk[kept * 95 / 100],
             1e3 * t->chunk[kept * 99 / 100], 1e3 * t->chunk[kept - 1]);
    struct recording_counts r = session_recordings(s->session);
    if (r.kept) log_line("passes: %ld run directly, %ld recorded, %ld replayed", r.direct, r.recorded, r.replayed);
    if (session_unheard(s->session))
        log_line("the agent's sound is too quiet (below -60 dB of full scale), so nobody talks: make it louder, or "
                 "give talk=always");
    struct session_wait w = session_wait(s->session);
    double heard = w.chunk + w.ahead + w.encoder_ahead;
    log_line(
        "first frame %.0f ms after the sound begins: first frame and chunk %.0f, look-ahead %.0f, encoder's look-ahead "
        "%.0f, encoder %.0f, network %.0f, codec %.0f, out %.0f",
        1e3 * (heard + s->first_encoder + t->first_frame), 1e3 * w.chunk, 1e3 * w.ahead, 1e3 * w.encoder_ahead,
        1e3 * s->first_encoder, 1e3 * t->first_network, 1e3 * t->first_codec,
        1e3 * (t->first_frame - t->first_network - t->first_codec));
}

/* Starts the second process that decodes. Call before the device is touched and threads are made, because it forks. */
static int start_decoder(struct stream *s, const char *folder, struct session_options *options,
                         struct student_description *d) {
    session_options_apply(options, d);
    TRY(codec_process_start(&s->decoder, folder, d, s->options.decoder_device, s->options.threads));
    log_line("process %ld decodes, on device %d", codec_process_number(s->decoder), s->options.decoder_device);
    options->give_codec = codec_process_open;
    options->giver = s->decoder;
    return OK;
}

/* Makes the session's options of the command line's and the student's description. */
static struct session_options options_of(const struct stream_options *o, const struct student_description *d) {
    struct session_options options = {.seed = (uint64_t)o->seed, .sink = -1, .rapr = -1, STUDENT_SESSION_OPTIONS(o)};
    if (o->sink != SWITCH_AS_TRAINED) options.sink = o->sink == SWITCH_ON ? causal_first(&d->rollout.causal, 2) : 0;
    if (o->rapr != SWITCH_AS_TRAINED) options.rapr = o->rapr == SWITCH_ON ? RAPR_END : RAPR_OFF;
    return options;
}

/* Prints what the second process takes, which decodes on a device of its own. */
static int plan_decoder(const struct shared_student *shared, int device, FILE *out) {
    struct memory_plan plan = {.out = out};
    fprintf(out, "process that decodes, on device %d:\n", device);
    TRY(student_plan_codec(&shared->student.description, &plan, &plan));
    memory_plan_total(&plan);
    return OK;
}

/* --plan: prints the memory that a stream takes, by purpose, from the files' headers alone. */
static int print_plan(const struct stream_options *o, const char *folder) {
    struct memory_plan plan = {.out = stdout};
    struct shared_student *shared;
    struct student_description d;
    TRY(student_describe(&d, folder));
    struct session_options options = options_of(o, &d);
    if (o->decoder_device >= 0) options.give_codec = codec_process_open;
    TRY(shared_student_prepare(&shared, folder, &options));
    int code = shared_student_plan(shared, &plan);
    if (!code) code = session_plan(shared, &plan);
    if (!code) {
        pipeline_plan(&shared->student.description, overlapped(o), &plan);
        memory_plan_total(&plan);
    }
    if (!code && o->decoder_device >= 0) code = plan_decoder(shared, o->decoder_device, stdout);
    shared_student_close(shared);
    return code;
}

static int stream(struct stream *s, const char *folder) {
    struct student_description d;
    TRY(student_describe(&d, folder));
    struct session_options options = options_of(&s->options, &d);
    if (s->options.decoder_device >= 0) TRY(start_decoder(s, folder, &options, &d));
    TRY(device_init(s->options.threads));
    s->plan.out = stderr;
    s->resident = process_resident();
    TRY(session_open(&s->session, folder, &options, &s->plan));
    s->limit = s->options.seconds > 0 ? (long)ceil(s->options.seconds * VIDEO_RATE) : 1L << 60;
    TRY(open_stream(s));
    TRY(run(s));
    struct frame_sink *sink = s->sink;
    s->sink = NULL;
    TRY(sink_finish(sink));
    report(s);
    log_memory(s);
    return OK;
}

int main(int argc, char **argv) {
    struct command command = {.name = "stream",
                              .does = "Streams a student as a live avatar: takes a picture and sound, makes video.",
                              .words = "STUDENT_FOLDER",
                              .min_words = 1,
                              .max_words = 1,
                              .plans = 1,
                              .text = "STUDENT_FOLDER is what export wrote. Memory stays constant, however long the "
                                      "sound is. At the end the\n"
                                      "real-time factor, the delay of the first frame and the times of chunks are "
                                      "printed.\n",
                              .keys = stream_fields,
                              .key_count = stream_field_count};
    struct args args;
    static struct stream s;
    int code = args_parse(&args, &command, &s.options, argc, argv);
    if (code || args.done) return args_exit("stream", code);
    if (args.plan) return args_exit("stream", print_plan(&s.options, args.words[0]));
    interrupt_watch(); /* so that Ctrl-C still finishes the video that there is so far */
    code = stream_options_check(&s.options);
    if (!code) code = stream(&s, args.words[0]);
    close_stream(&s);
    return args_exit("stream", code);
}
