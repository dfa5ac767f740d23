/* test_foreign.c: files of other tools in the place of weights, a data set, a clip or a student are refused by what
   they are, in one line; files of the right kind that are damaged are called neither foreign nor another kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/foreign.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/shards.h"
#include "checkpoints/student.h"
#include "data/dataset.h"
#include "data/media.h"
#include "tests/folder.h"

static char folder[FOLDER_MAX], path[FILE_PATH_MAX];

struct kind {
    const char *bytes;
    size_t length;
    const char *name;
};
#define KIND(bytes, name)                                                                                              \
    { bytes, sizeof bytes - 1, name }
/* None of these is a video, an HDF5 or a safetensors file. */
static const struct kind kinds[] = {
    KIND("GGUF\3\0\0\0\1\0\0\0\0\0\0\0", "GGUF"),
    KIND("PK\3\4\x14\0\0\0\0\0archive/data.pklFB", "PyTorch file (zip)"),
    KIND("PK\3\4\x14\0\0\0\0\0weights/arr_0.npy", "NumPy .npz"),
    KIND("PK\3\4\x14\0\0\0\0\0readme.txt", "a zip archive"),
    KIND("\x80\x02\x8a\x0al\xfc\x9c"
         "F\xf9 j\xa8P\x19.",
         "PyTorch file of the old kind (pickle)"),
    KIND("\x80\x04\x95\x0c\0\0\0\0\0\0\0", "Python pickle"),
    KIND("version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 9\n", "Git LFS pointer"),
    KIND("<!DOCTYPE html>\n<html><head><title>Sign in</title>", "HTML page"),
    KIND("\xef\xbb\xbf\n  <HTML lang=en>", "HTML page"),
    KIND("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "XML document"),
    KIND("\x1f\x8b\x08\0\0\0\0\0", "gzip"),
    KIND("%PDF-1.7\n", "PDF"),
    KIND("", "empty file"),
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void says(int code, const char *name) {
    assert_int_equal(code, ERR_INPUT);
    if (!strstr(error_text(), name)) fail_msg("\"%s\" does not say \"%s\"", error_text(), name);
    if (strncmp(error_text(), folder, strlen(folder))) fail_msg("\"%s\" does not begin with the file", error_text());
    assert_null(strchr(error_text(), '\n'));
}

static int open_weights(const char *where) {
    struct shards s;
    return shards_open(&s, where);
}

static int open_clip(const char *where) {
    struct video_reader *video;
    return video_open(&video, where, 16, 16);
}

static int open_sound(const char *where) {
    int channels;
    return audio_channels(where, &channels);
}

static void names_them_everywhere(void **state) {
    (void)state;
    static const char *const names[] = {"x.safetensors", "x.h5", "x.mp4", "x.wav"};
    struct dataset *set;
    struct student_description student;
    for (int k = 0; k < KINDS; k++)
        for (int n = 0; n < 4; n++) {
            snprintf(path, sizeof path, "%s/%s", folder, names[n]);
            assert_int_equal(file_write(path, kinds[k].bytes, kinds[k].length), OK);
            says(n == 0   ? open_weights(path)
                 : n == 1 ? dataset_open(&set, path)
                 : n == 2 ? open_clip(path)
                          : open_sound(path),
                 kinds[k].name);
            if (kinds[k].length) says(student_describe(&student, path), kinds[k].name);
            unlink(path);
        }
}

/* A folder of weights that other tools wrote. */
static void names_what_a_folder_holds(void **state) {
    (void)state;
    snprintf(path, sizeof path, "%s/pytorch_model.bin", folder);
    assert_int_equal(file_write(path, kinds[1].bytes, kinds[1].length), OK);
    says(open_weights(folder), "pytorch_model.bin: is a PyTorch file (zip)");
    unlink(path);
    says(open_weights(folder), "holds no safetensors file");
}

/* One of our kinds in another's place, and damaged ones in their own. */
static void tells_damage_from_another_kind(void **state) {
    (void)state;
    static const char hdf5[] = "\x89HDF\r\n\x1a\n no more", tensors[] = "\x09\0\0\0\0\0\0\0{\"a\":1,,}",
                      video[] = "\0\0\0\x18"
                                "ftypmp42";
    struct dataset *set;
    snprintf(path, sizeof path, "%s/x", folder);
    assert_int_equal(file_write(path, hdf5, sizeof hdf5 - 1), OK);
    says(open_weights(path), "is an HDF5 file");
    says(open_clip(path), "is an HDF5 file");
    says(dataset_open(&set, path), "cannot be read as HDF5");
    assert_int_equal(file_write(path, tensors, sizeof tensors - 1), OK);
    says(dataset_open(&set, path), "is a safetensors file");
    says(open_weights(path), "the header is not JSON");
    assert_int_equal(file_write(path, video, sizeof video - 1), OK);
    says(dataset_open(&set, path), "is an MP4");
    says(open_clip(path), "cannot be read as video or sound");
    unlink(path);
}

static int set_up(void **state) {
    (void)state;
    return folder_make(folder, "test_foreign");
}
static int tear_down(void **state) {
    (void)state;
    return folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_them_everywhere),
        cmocka_unit_test(names_what_a_folder_holds),
        cmocka_unit_test(tells_damage_from_another_kind),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
