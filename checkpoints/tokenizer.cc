/* tokenizer.cc: see tokenizer.h. The only file in C++, because libsentencepiece has no other interface. */
#include "checkpoints/tokenizer.h"

#include <sys/stat.h>
#include <exception>
#include <new>
#include <string>
#include <vector>
#include <sentencepiece_processor.h>

extern "C" {
#include "base/error.h"
}

struct tokenizer {
    sentencepiece::SentencePieceProcessor model;
};

namespace {

int open_model(tokenizer *t, std::string path) {
    struct stat info;
    if (stat(path.c_str(), &info)) return error_set(ERR_INPUT, "%s: cannot be opened", path.c_str());
    if (S_ISDIR(info.st_mode)) path += "/spiece.model";
    const auto status = t->model.Load(path);
    if (!status.ok()) return error_set(ERR_INPUT, "%s: no SentencePiece model", path.c_str());
    if (t->model.eos_id() < 0) return error_set(ERR_INPUT, "%s: has no end of sentence", path.c_str());
    return OK;
}

int encode(const tokenizer *t, const char *clean, int most, int *ids, int *length, int *cut) {
    std::vector<int> pieces;
    const auto status = t->model.Encode(clean, &pieces);
    if (!status.ok()) return error_set(ERR_INPUT, "%.60s: cannot be tokenised: %s", clean, status.ToString().c_str());
    pieces.push_back(t->model.eos_id());
    const int all = static_cast<int>(pieces.size());
    *length = all < most ? all : most;
    *cut = all - *length;
    for (int i = 0; i < *length; i++) ids[i] = pieces[static_cast<size_t>(i)];
    ids[*length - 1] = t->model.eos_id();
    return OK;
}

} // namespace

/* Catches all exceptions, because none may pass into C. */
int tokenizer_open(struct tokenizer **out, const char *path) {
    *out = nullptr;
    try {
        tokenizer *t = new tokenizer;
        const int code = open_model(t, path);
        if (code)
            delete t;
        else
            *out = t;
        return code;
    } catch (const std::exception &e) { return error_set(ERR_DEVICE, "%s: tokenizer: %s", path, e.what()); }
}

void tokenizer_close(struct tokenizer *tokenizer) { delete tokenizer; }

int tokenizer_encode(const struct tokenizer *tokenizer, const char *clean, int most, int *ids, int *length, int *cut) {
    if (most < 1) return error_set(ERR_USAGE, "tokenizer: %d tokens at most, expected 1 or more", most);
    try {
        return encode(tokenizer, clean, most, ids, length, cut);
    } catch (const std::exception &e) { return error_set(ERR_DEVICE, "tokenizer: %s", e.what()); }
}

int tokenizer_vocabulary(const struct tokenizer *tokenizer) { return tokenizer->model.GetPieceSize(); }
