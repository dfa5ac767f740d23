/* test_matroska_size.c: a Matroska file that was cut is told by the bytes that it promises, wherever the cut is, by the
   readers of pictures and sound as well; a whole one, one that was written live and other files promise nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fileio.h"
#include "data/media/matroska_size.h"
#include "data/media.h"
#include "tests/folder.h"

static char folder[FOLDER_MAX], path[FILE_PATH_MAX];

static int cut(const void *bytes, size_t length) {
    uint64_t have, promised;
    assert_int_equal(file_write(path, bytes, length), OK);
    return matroska_is_cut(path, &have, &promised);
}

static void sizes(void **state) {
    (void)state;
    static const unsigned char known[] = {0x1a, 0x45, 0xdf, 0xa3, 0x82, 7, 7, 0x18, 0x53, 0x80, 0x67, 0x40, 3, 1, 2, 3};
    static const unsigned char live[] = {0x1a, 0x45, 0xdf, 0xa3, 0x80, 0x18, 0x53, 0x80, 0x67,
                                         0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    static const unsigned char endless[] = {0x1a, 0x45, 0xdf, 0xa3, 0x0a, 0, 0, 0, 0, 0};
    assert_int_equal(cut(known, sizeof known), 0);
    for (size_t n = 13; n < sizeof known; n++) assert_int_equal(cut(known, n), 1);
    for (size_t n = 0; n < 13; n++) assert_int_equal(cut(known, n), 0); /* it does not even say so much */
    assert_int_equal(cut(live, sizeof live), 0);
    assert_int_equal(cut(endless, sizeof endless), 0);
    assert_int_equal(cut("ftypmp42", 8), 0);
    uint64_t have, promised;
    assert_int_equal(matroska_is_cut("/nonexistent", &have, &promised), 0);
    assert_int_equal(matroska_is_cut("/dev/zero", &have, &promised), 0);
}

/* How many pictures a file has; negative: -(error code). */
static int count_pictures(void) {
    static float frame[3 * 16 * 16];
    struct video_reader *video;
    int result, pictures = 0, code = video_open(&video, path, 16, 16);
    if (code) return -code;
    while ((result = video_read(video, frame)) > 0) pictures++;
    video_close(video);
    return result < 0 ? result : pictures;
}

static void clips(void **state) {
    (void)state;
    char *bytes;
    size_t length;
    float *pcm;
    long samples;
    if (file_read("tests/inputs/clip.mkv", 1 << 20, &bytes, &length)) fail_msg("%s", error_text());
    assert_int_equal(file_write(path, bytes, length), OK);
    if (count_pictures() <= 0) fail_msg("%s", error_text());
    for (int part = 4; part < 8; part++) {
        assert_int_equal(file_write(path, bytes, length * (size_t)part / 8), OK);
        assert_int_equal(count_pictures(), -ERR_INPUT);
        assert_non_null(strstr(error_text(), "cut off"));
        if (audio_read(path, -1, &pcm, &samples) == OK) assert_int_equal(samples, 0); /* it may have no sound */
    }
    free(bytes);
}

static int set_up(void **state) {
    (void)state;
    return folder_make(folder, "test_matroska") || file_join(path, sizeof path, folder, "clip");
}
static int tear_down(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes), cmocka_unit_test(clips)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
