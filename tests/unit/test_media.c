/* test_media.c: what is written comes back: frame count, timing, colours, sound in sync; other rates become 25 fps;
   wrong files give an error and a line, never a crash. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/error.h"
#include "data/contact_sheet.h"
#include "data/media.h"
#include "tests/folder.h"

enum { SIDE = 64, FRAME = 3 * SIDE * SIDE, FRAMES = 50, SAMPLES = FRAMES * 640, FLASH = 30 };

static char folder[FOLDER_MAX];
static const char *in_folder(const char *name) {
    static char path[4][FILE_PATH_MAX];
    static int used;
    char *p = path[used++ % 4];
    snprintf(p, sizeof *path, "%s/%s", folder, name);
    return p;
}

/* Smooth colours that move; frame FLASH is white. */
static void draw(float *frame, int f) {
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                frame[(c * SIDE + y) * SIDE + x] =
                    f == FLASH ? 0.95f
                               : 0.6f * sinf(0.08f * (float)x + 0.05f * (float)f + (float)c) * cosf(0.06f * (float)y);
}

/* A quiet tone, with a beep that starts with frame FLASH. Right channel: a lower tone throughout. */
static void sound(float *pcm, int channels) {
    for (int i = 0; i < SAMPLES; i++) {
        double t = i / 16000.0;
        float beep = i >= FLASH * 640 && i < (FLASH + 2) * 640 ? 0.8f : 0.02f;
        pcm[i * channels] = beep * (float)sin(2 * M_PI * 1000 * t);
        if (channels > 1) pcm[i * channels + 1] = 0.3f * (float)sin(2 * M_PI * 300 * t);
    }
}

static int write_clip(const char *path, int channels) {
    struct video_writer *w;
    static float frame[FRAME], pcm[2 * SAMPLES];
    int code = video_create(&w, path, SIDE, SIDE, channels);
    if (code) return code;
    if (channels) sound(pcm, channels);
    for (int f = 0; f < FRAMES && !code; f++) {
        draw(frame, f);
        code = video_write(w, frame);
        if (!code && channels) code = video_write_audio(w, pcm + (size_t)f * 640 * (size_t)channels, 640);
    }
    if (!code) return video_finish(w);
    video_discard(w);
    return code;
}

static int setup(void **state) {
    (void)state;
    return folder_make(folder, "test_media") || write_clip(in_folder("one.mp4"), 1) ||
           write_clip(in_folder("two.mp4"), 2) || write_clip(in_folder("mute.mp4"), 0);
}
static int teardown(void **state) {
    (void)state;
    return folder_remove(folder);
}

/* All frames of a file; how many. */
static int read_all(const char *path, int height, int width, float **frames) {
    struct video_reader *r;
    *frames = NULL;
    int result = video_open(&r, path, height, width), count = 0;
    if (result) return -result;
    size_t frame = 3 * (size_t)height * (size_t)width;
    do {
        *frames = realloc(*frames, sizeof(float) * frame * (size_t)(count + 1));
        result = video_read(r, *frames + frame * (size_t)count);
        count += result > 0;
    } while (result > 0 && count < 1000);
    video_close(r);
    return result < 0 ? result : count;
}

static double psnr(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return 10 * log10(4 / (sum / (double)n + 1e-20));
}

static void pictures_come_back(void **state) {
    (void)state;
    float *frames, want[FRAME];
    static const char *const names[] = {"one.mp4", "two.mp4", "mute.mp4"};
    for (int k = 0; k < 3; k++) {
        assert_int_equal(read_all(in_folder(names[k]), SIDE, SIDE, &frames), FRAMES);
        for (int f = 0; f < FRAMES; f++) {
            draw(want, f);
            assert_true(psnr(frames + f * FRAME, want, FRAME) > 30); /* 4:2:0 and crf 15; a wrong frame gives 20 */
            double mean = 0;
            for (int i = 0; i < FRAME; i++) mean += frames[f * FRAME + i] - want[i];
            assert_true(fabs(mean / FRAME) < 0.02); /* no shift of range or matrix */
        }
        free(frames);
    }
}

static void sound_comes_back_in_sync(void **state) {
    (void)state;
    float *pcm;
    long n;
    int channels;
    assert_int_equal(audio_channels(in_folder("one.mp4"), &channels), OK);
    assert_int_equal(channels, 1);
    assert_int_equal(audio_read(in_folder("one.mp4"), -1, &pcm, &n), OK);
    assert_in_range(n, SAMPLES - 1024, SAMPLES + 1024);
    long first = 0;
    while (first < n && fabsf(pcm[first]) < 0.4f) first++;
    assert_in_range(first, FLASH * 640 - 80, FLASH * 640 + 80); /* 5 ms: AAC's pre-echo */
    double power = 0;
    for (int i = FLASH * 640 + 200; i < (FLASH + 1) * 640; i++) power += (double)pcm[i] * pcm[i];
    assert_float_equal(sqrt(2 * power / 440), 0.8, 0.08);
    free(pcm);
    assert_int_equal(audio_channels(in_folder("mute.mp4"), &channels), OK);
    assert_int_equal(channels, 0);
    assert_int_equal(audio_read(in_folder("mute.mp4"), -1, &pcm, &n), OK);
    assert_int_equal(n, 0);
    assert_null(pcm);
}

/* Amplitude of a tone in pcm[from .. from+1600), every step-th value. */
static double tone(const float *pcm, int step, int from, double hertz) {
    double re = 0, im = 0;
    for (int i = 0; i < 1600; i++) {
        double a = 2 * M_PI * hertz * i / 16000;
        re += pcm[(size_t)(from + i) * (size_t)step] * cos(a);
        im += pcm[(size_t)(from + i) * (size_t)step] * sin(a);
    }
    return sqrt(re * re + im * im) / 800;
}

static void channels_stay_apart(void **state) {
    (void)state;
    float *left, *right, *mix, both[2 * 700];
    long n;
    assert_int_equal(audio_read(in_folder("two.mp4"), 0, &left, &n), OK);
    assert_int_equal(audio_read(in_folder("two.mp4"), 1, &right, &n), OK);
    assert_int_equal(audio_read(in_folder("two.mp4"), -1, &mix, &n), OK);
    assert_float_equal(tone(left, 1, 3200, 300), 0, 0.02);
    assert_float_equal(tone(right, 1, 3200, 300), 0.3, 0.03);
    assert_float_equal(tone(mix, 1, 3200, 300), 0.15, 0.02);
    assert_float_equal(tone(right, 1, FLASH * 640, 1000), 0, 0.02);
    float *none;
    assert_int_equal(audio_read(in_folder("two.mp4"), 2, &none, &n), ERR_INPUT);
    assert_null(none);
    /* piece by piece it is the same */
    struct audio_reader *r;
    assert_int_equal(audio_open(&r, in_folder("two.mp4"), AUDIO_PARTIES), OK);
    long at = 0, got;
    while ((got = audio_next(r, both, 1 + (at * 7) % 700)) > 0) {
        for (long i = 0; i < got; i++) {
            assert_true(both[2 * i] == left[at + i]);
            assert_true(both[2 * i + 1] == right[at + i]);
        }
        at += got;
    }
    assert_int_equal(got, 0);
    audio_close(r);
    /* one channel is one party */
    assert_int_equal(audio_open(&r, in_folder("one.mp4"), AUDIO_PARTIES), OK);
    assert_int_equal(audio_reader_channels(r), 1);
    audio_close(r);
    free(left);
    free(right);
    free(mix);
}

static void wav_comes_back(void **state) {
    (void)state;
    static float pcm[2 * SAMPLES];
    float *back;
    long n;
    sound(pcm, 2);
    pcm[10] = NAN;
    assert_int_equal(audio_write_wav(in_folder("a.wav"), pcm, SAMPLES, 2), OK);
    assert_int_equal(audio_read(in_folder("a.wav"), 1, &back, &n), OK);
    assert_int_equal(n, SAMPLES);
    for (long i = 0; i < n; i++) assert_float_equal(back[i], pcm[2 * i + 1], 1.0 / 16384);
    free(back);
    assert_int_equal(audio_write_wav("/nowhere/a.wav", pcm, 10, 1), ERR_INPUT);
}

/* A raw video (YUV4MPEG2) of `count` frames whose grey is the frame's number, at a rate and size of its own. */
static void write_y4m(const char *path, int width, int height, int rate_num, int rate_den, int count) {
    FILE *file = fopen(path, "wb");
    fprintf(file, "YUV4MPEG2 W%d H%d F%d:%d Ip A1:1 C420jpeg\n", width, height, rate_num, rate_den);
    for (int f = 0; f < count; f++) {
        fprintf(file, "FRAME\n");
        for (int i = 0; i < width * height; i++) fputc(16 + f, file);
        for (int i = 0; i < (width + 1) / 2 * ((height + 1) / 2) * 2; i++) fputc(128, file);
    }
    fclose(file);
}

static void rates_become_25(void **state) {
    (void)state;
    static const int rates[][2] = {{25, 1}, {50, 1}, {30, 1}, {24000, 1001}, {10, 1}, {100, 3}};
    for (size_t k = 0; k < sizeof rates / sizeof *rates; k++) {
        enum { COUNT = 90 };
        const char *path = in_folder("rate.y4m");
        write_y4m(path, 40, 30, rates[k][0], rates[k][1], COUNT);
        float *frames;
        int n = read_all(path, 16, 16, &frames);
        double rate = (double)rates[k][0] / rates[k][1], seconds = COUNT / rate;
        assert_in_range(n, (int)(seconds * 25) - 1, (int)(seconds * 25) + 1);
        for (int f = 0; f < n; f++) { /* the grey tells which frame it was: the one on show in the middle of ours */
            double level = (frames[f * 3 * 256] + 1) * 127.5, number = level * 219 / 255;
            double exact = (f + 0.5) / 25 * rate;
            assert_true(number > exact - 1.6 && number < exact + 0.6);
            if (rates[k][0] == 25) assert_float_equal(number, f, 0.6);
        }
        free(frames);
    }
}

/* A picture of four quadrants, so that scale and crop can be told. */
static void crops(void **state) {
    (void)state;
    enum { W = 120, H = 80 };
    static unsigned char rgb[H * W * 3];
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            rgb[3 * (y * W + x)] = (unsigned char)(2 * x);
            rgb[3 * (y * W + x) + 1] = (unsigned char)(3 * y);
            rgb[3 * (y * W + x) + 2] = 77;
        }
    const char *path = in_folder("p.png");
    assert_int_equal(png_write(path, rgb, H, W), OK);
    unsigned char *back;
    int h, w;
    assert_int_equal(png_read(path, &back, &h, &w), OK);
    assert_int_equal(h, H);
    assert_int_equal(w, W);
    assert_memory_equal(back, rgb, sizeof rgb);
    free(back);
    float frame[3 * 40 * 40];
    assert_int_equal(image_read(path, 40, 40, frame), OK); /* the middle 80 x 80, halved */
    for (int y = 2; y < 38; y += 5)
        for (int x = 2; x < 38; x += 5) {
            assert_float_equal((frame[y * 40 + x] + 1) * 127.5, 2 * (20 + 2 * x + 0.5), 3);
            assert_float_equal((frame[1600 + y * 40 + x] + 1) * 127.5, 3 * (2 * y + 0.5), 3);
            assert_float_equal((frame[3200 + y * 40 + x] + 1) * 127.5, 77, 2);
        }
    struct video_reader *r;
    struct video_crop crop = {0.75, 0.25, 0.5}; /* 40 x 40 about (90, 20), as it is */
    assert_int_equal(video_open_crop(&r, path, 40, 40, &crop), OK);
    assert_int_equal(video_read(r, frame), 1);
    video_close(r);
    for (int y = 2; y < 38; y += 5)
        for (int x = 2; x < 38; x += 5) {
            assert_float_equal((frame[y * 40 + x] + 1) * 127.5, 2 * (70 + x), 3);
            assert_float_equal((frame[1600 + y * 40 + x] + 1) * 127.5, 3 * y, 3);
        }
    crop = (struct video_crop){1, 1, 0.5}; /* beyond the edge: moved inside */
    assert_int_equal(video_open_crop(&r, path, 40, 40, &crop), OK);
    assert_int_equal(video_read(r, frame), 1);
    video_close(r);
    assert_float_equal((frame[20] + 1) * 127.5, 2 * (80 + 20), 3);
    crop.size = 2;
    assert_int_equal(video_open_crop(&r, path, 40, 40, &crop), ERR_USAGE);
    crop.size = 1e-4;
    assert_int_equal(video_open_crop(&r, path, 4000, 4000, &crop), OK);
    float *large = malloc(sizeof(float) * 3 * 4000 * 4000);
    assert_int_equal(video_read(r, large), -ERR_INPUT);
    free(large);
    video_close(r);
}

/* A window that follows a face: a white square of 16 pixels wanders, the window of twice its height keeps it in the
   middle; where there is no face the frame is missing. */
static void faces_are_followed(void **state) {
    (void)state;
    enum { LENGTH = 60, OUT = 32 };
    struct video_writer *w;
    struct video_face faces[LENGTH];
    static float frame[FRAME], out[3 * OUT * OUT];
    const char *path = in_folder("face.mkv");
    assert_int_equal(video_create(&w, path, SIDE, SIDE, 0), OK);
    for (int f = 0; f < LENGTH; f++) {
        double x = 20 + 0.3 * f, y = 24;
        for (int i = 0; i < FRAME; i++) {
            double dx = i % SIDE + 0.5 - x, dy = i / SIDE % SIDE + 0.5 - y;
            frame[i] = fabs(dx) < 8 && fabs(dy) < 8 ? 0.9f : -0.7f;
        }
        faces[f] = (struct video_face){x, y, f == 5 ? 0 : 32};
        assert_int_equal(video_write(w, frame), OK);
    }
    assert_int_equal(video_finish(w), OK);
    struct video_reader *r;
    assert_int_equal(video_open(&r, path, OUT, OUT), OK);
    video_follow(r, faces, LENGTH - 3);
    for (int f = 0; f < LENGTH; f++) {
        assert_int_equal(video_read(r, out), 1);
        assert_int_equal(video_missing(r), f == 5 || f >= LENGTH - 3);
        if (video_missing(r)) continue;
        double sum = 0, x = 0, y = 0;
        for (int i = 0; i < OUT * OUT; i++) {
            double light = out[i] + 0.7 > 0.3 ? out[i] + 0.7 : 0;
            sum += light, x += light * (i % OUT + 0.5), y += light * (i / OUT + 0.5);
        }
        if (fabs(x / sum - 16) > 0.6 || fabs(y / sum - 16) > 0.6) fail_msg("frame %d: %.2f, %.2f", f, x / sum, y / sum);
        assert_float_equal(sum / 1.6, 16 * 16, 40);
    }
    assert_int_equal(video_read(r, out), 0);
    video_close(r);
}

static void put(const char *path, const void *bytes, size_t n) {
    FILE *file = fopen(path, "wb");
    fwrite(bytes, 1, n, file);
    fclose(file);
}

static void wrong_files(void **state) {
    (void)state;
    float *frames, *pcm;
    long n;
    int h, w;
    unsigned char *rgb;
    static const char text[] = "Once upon a time there was a text file that called itself a video.\n";
    static const char list[] = "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n";
    static const char *const names[] = {"text.mp4", "text.txt", "list.m3u8", "empty.mp4", "one.bin"};
    put(in_folder("text.mp4"), text, sizeof text);
    put(in_folder("text.txt"), text, sizeof text);
    put(in_folder("list.m3u8"), list, sizeof list);
    put(in_folder("empty.mp4"), "", 0);
    put(in_folder("one.bin"), "\0\1\2\3", 4);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        assert_int_equal(read_all(in_folder(names[k]), SIDE, SIDE, &frames), -ERR_INPUT);
        free(frames);
        assert_non_null(strstr(error_text(), names[k]));
        assert_int_equal(audio_read(in_folder(names[k]), -1, &pcm, &n), ERR_INPUT);
        assert_null(pcm);
        assert_int_equal(png_read(in_folder(names[k]), &rgb, &h, &w), ERR_INPUT);
    }
    assert_int_equal(read_all(in_folder("nowhere.mp4"), SIDE, SIDE, &frames), -ERR_INPUT);
    assert_int_equal(read_all(folder, SIDE, SIDE, &frames), -ERR_INPUT);
    assert_int_equal(audio_read(in_folder("nowhere.mp4"), -1, &pcm, &n), ERR_INPUT);
    /* sound where pictures are wanted and the other way round */
    float quiet[1600] = {0};
    struct audio_reader *r;
    assert_int_equal(audio_write_wav(in_folder("q.wav"), quiet, 1600, 1), OK);
    assert_int_equal(read_all(in_folder("q.wav"), SIDE, SIDE, &frames), -ERR_INPUT);
    assert_int_equal(audio_open(&r, in_folder("mute.mp4"), AUDIO_ONE_PARTY), ERR_INPUT);
    assert_non_null(strstr(error_text(), "no sound"));
}

/* The clip cut at every 16th of its length, and with bytes turned over: an error, or frames, but never a crash. */
static void damaged_files(void **state) {
    (void)state;
    static unsigned char whole[1 << 20], bytes[1 << 20];
    FILE *file = fopen(in_folder("one.mp4"), "rb");
    size_t n = fread(whole, 1, sizeof whole, file);
    fclose(file);
    assert_true(n > 5000 && n < sizeof whole);
    float *frames, *pcm;
    long samples;
    const char *path = in_folder("hurt.mp4");
    for (int part = 0; part < 16; part++) {
        put(path, whole, n * (size_t)part / 16);
        int result = read_all(path, SIDE, SIDE, &frames);
        free(frames);
        if (result != -ERR_INPUT) assert_in_range(result, 0.9 * FRAMES - 3, FRAMES); /* a tenth may be missing */
        if (part < 14) assert_int_equal(result, -ERR_INPUT);
    }
    for (int k = 0; k < 60; k++) {
        memcpy(bytes, whole, n);
        for (int j = 0; j < 1 + k; j++)
            bytes[(size_t)(k * 7919 + j * 104729 + k * k * 31) % n] ^= (unsigned char)(1 + k * 37);
        put(path, bytes, n);
        int result = read_all(path, SIDE, SIDE, &frames);
        free(frames);
        if (result != -ERR_INPUT && !(result > 0 && result <= 1000)) fail_msg("%d: %s", result, error_text());
        int code = audio_read(path, -1, &pcm, &samples);
        free(pcm);
        assert_true(code == OK || code == ERR_INPUT);
    }
}

static void writer_errors(void **state) {
    (void)state;
    struct video_writer *w;
    struct stat info;
    assert_int_equal(video_create(&w, in_folder("odd.mp4"), 63, 64, 1), ERR_USAGE);
    assert_int_equal(video_create(&w, in_folder("a.foo"), 64, 64, 1), ERR_USAGE);
    assert_int_equal(video_create(&w, in_folder("mp4"), 64, 64, 1), ERR_USAGE);
    assert_int_equal(video_create(&w, "/nowhere/at.mp4", 64, 64, 1), ERR_INPUT);
    static float frame[FRAME];
    frame[5] = NAN;
    frame[6] = INFINITY;
    const char *path = in_folder("gone.mp4");
    char temporary[FILE_PATH_MAX + 8];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    assert_int_equal(video_create(&w, path, 64, 64, 0), OK);
    assert_int_equal(video_write(w, frame), OK);
    assert_int_equal(video_write_audio(w, frame, 10), ERR_USAGE);
    assert_int_equal(stat(temporary, &info), 0);
    video_discard(w);
    assert_int_not_equal(stat(temporary, &info), 0);
    assert_int_not_equal(stat(path, &info), 0);
}

static void sheets(void **state) {
    (void)state;
    static float frames[5 * FRAME];
    for (int f = 0; f < 5; f++)
        for (int i = 0; i < FRAME; i++) frames[f * FRAME + i] = -1 + 0.5f * (float)f;
    struct sheet_row rows[] = {{"five", frames, 5}, {"two of them", frames, 2}};
    const char *path = in_folder("sheet.png");
    assert_int_equal(contact_sheet_write(path, rows, 2, SIDE, SIDE, 3, 2), OK);
    unsigned char *rgb;
    int h, w;
    assert_int_equal(png_read(path, &rgb, &h, &w), OK);
    assert_true(h > 2 * 2 * SIDE && w > 3 * 2 * SIDE && w < 4 * 2 * SIDE);
    int counts[256] = {0};
    for (int i = 0; i < h * w; i++) counts[rgb[3 * i]]++;
    assert_int_equal(counts[0], 2 * 4 * SIDE * SIDE);   /* frame 0 in both rows */
    assert_int_equal(counts[128], 4 * SIDE * SIDE);     /* frame 2: the middle of five */
    assert_int_equal(counts[255], 4 * SIDE * SIDE);     /* frame 4 */
    assert_int_equal(counts[64], 4 * SIDE * SIDE);      /* frame 1 in the second row */
    assert_true(counts[230] > 50 && counts[230] < 400); /* letters */
    free(rgb);
    assert_int_equal(contact_sheet_write(path, rows, 0, SIDE, SIDE, 3, 2), ERR_USAGE);
    assert_int_equal(contact_sheet_write(path, rows, 2, SIDE, SIDE, 3, 100000), ERR_USAGE);
    assert_int_equal(contact_sheet_write("/nowhere/a.png", rows, 2, SIDE, SIDE, 3, 1), ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_come_back),
        cmocka_unit_test(sound_comes_back_in_sync),
        cmocka_unit_test(channels_stay_apart),
        cmocka_unit_test(wav_comes_back),
        cmocka_unit_test(rates_become_25),
        cmocka_unit_test(crops),
        cmocka_unit_test(faces_are_followed),
        cmocka_unit_test(wrong_files),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(writer_errors),
        cmocka_unit_test(sheets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
