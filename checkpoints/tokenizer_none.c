/* tokenizer_none.c: takes tokenizer.cc's place in builds without libsentencepiece. */
#include "checkpoints/tokenizer.h"

#include <stddef.h>
#include "base/error.h"

static int absent(void) {
    return error_set(ERR_USAGE, "this build has no tokenizer: install libsentencepiece-dev and run make again, or give "
                                "token numbers");
}

int tokenizer_open(struct tokenizer **tokenizer, const char *path) {
    (void)path;
    *tokenizer = NULL;
    return absent();
}

void tokenizer_close(struct tokenizer *tokenizer) { (void)tokenizer; }

int tokenizer_encode(const struct tokenizer *tokenizer, const char *clean, int most, int *ids, int *length, int *cut) {
    (void)tokenizer, (void)clean, (void)most, (void)ids;
    *length = *cut = 0;
    return absent();
}

int tokenizer_vocabulary(const struct tokenizer *tokenizer) { return (void)tokenizer, 0; }
