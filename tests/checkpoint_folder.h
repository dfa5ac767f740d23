/* checkpoint_folder.h: an empty folder, Wan checkpoints of small size in it, and what refusals must say, for the tests
   of checkpoints. Each test leaves the folder empty. */
#ifndef TESTS_CHECKPOINT_FOLDER_H
#define TESTS_CHECKPOINT_FOLDER_H

#include "base/fileio.h"
#include "checkpoints/wan_config.h"
#include "checkpoints/weights.h"
#include "kernels/device.h"
#include "tests/check.h"
#include "tests/folder.h"
#include "tests/wan_files.h"

#include <sys/stat.h>

static char folder[FOLDER_MAX];
static const struct wan_size small = {.dim = 256, .ffn = 192, .layers = 3, .in = 8, .out = 8, .text = 32};

static inline const char *in_folder(const char *name) {
    static char text[4][FILE_PATH_MAX];
    static int turn;
    char *path = text[turn++ % 4];
    snprintf(path, FILE_PATH_MAX, "%s/%s", folder, name);
    return path;
}

/* One line that names the place and the fault. */
static inline void refuses(int code, const char *where, const char *why) {
    assert_int_equal(code, ERR_INPUT);
    if (!strstr(error_text(), where) || !strstr(error_text(), why))
        fail_msg("\"%s\" lacks \"%s\" or \"%s\"", error_text(), where, why);
    assert_null(strchr(error_text(), '\n'));
}

static inline void write_text(const char *name, const char *text) {
    CHECK(file_write(in_folder(name), text, strlen(text)));
}

static inline void write_whole(const char *name, const char *prefix, const struct wan_size *size, int diffusers,
                               const char *type) {
    struct wan_header h;
    wan_header_open(&h, type);
    wan_add_transformer(&h, prefix, size, diffusers);
    assert_int_equal(wan_header_write(&h, in_folder(name)), 0);
}

static const struct dit_config small_config = {.dim = 256,
                                               .ffn_dim = 192,
                                               .heads = 2,
                                               .layers = 3,
                                               .in_channels = 8,
                                               .out_channels = 8,
                                               .height = 4,
                                               .width = 4,
                                               .freq_dim = 256,
                                               .text_len = 6,
                                               .text_dim = 32,
                                               .rope_theta_t = 10000,
                                               .rope_theta_hw = 10000,
                                               .eps = 1e-6};

static inline int set_up(void **state) {
    (void)state;
    return device_init(1) || folder_make(folder, "test_checkpoint");
}
static inline int tear_down(void **state) {
    (void)state;
    return folder_remove(folder);
}

#endif
