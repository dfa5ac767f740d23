/* test_sha256.c: digests against the standard's examples and, at all lengths around the blocks' ends, against libavutil's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <libavutil/mem.h>
#include <libavutil/sha.h>

#include "base/sha256.h"

static void examples(void **state) {
    (void)state;
    static const struct {
        const char *text, *digest;
    } known[] = {{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                 {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
                 {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        unsigned char digest[SHA256_BYTES];
        char text[2 * SHA256_BYTES + 1];
        sha256(known[k].text, strlen(known[k].text), digest);
        for (int i = 0; i < SHA256_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
        assert_string_equal(text, known[k].digest);
    }
}

static void all_lengths(void **state) {
    (void)state;
    enum { MOST = 300 };
    unsigned char message[MOST], got[SHA256_BYTES], want[SHA256_BYTES];
    struct AVSHA *sha = av_sha_alloc();
    assert_non_null(sha);
    for (int i = 0; i < MOST; i++) message[i] = (unsigned char)(37 * i + i / 7);
    for (size_t n = 0; n <= MOST; n++) {
        sha256(message, n, got);
        assert_int_equal(av_sha_init(sha, 256), 0);
        av_sha_update(sha, message, n);
        av_sha_final(sha, want);
        assert_memory_equal(got, want, SHA256_BYTES);
    }
    av_free(sha);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(all_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
