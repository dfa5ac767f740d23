/* tokenizer.h: texts to token numbers by a SentencePiece model (UMT5's spiece.model), through libsentencepiece.
   tokenizer.cc needs the library; where make does not find it, tokenizer_none.c stands in its place, whose
   tokenizer_open says so. */
#ifndef CHECKPOINTS_TOKENIZER_H
#define CHECKPOINTS_TOKENIZER_H

#ifdef __cplusplus
extern "C" {
#endif

struct tokenizer;
/* path: the model's file, or a folder that holds spiece.model. ERR_INPUT: neither, or no such model. */
int tokenizer_open(struct tokenizer **tokenizer, const char *path);
void tokenizer_close(struct tokenizer *tokenizer);
/* Token numbers of a cleaned text (model/text/prompt.h), the end of the sentence the last: ids [most]. A text that is
   too long keeps its first most - 1 tokens and the end; *cut tells how many it lost. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *clean, int most, int *ids, int *length, int *cut);
int tokenizer_vocabulary(const struct tokenizer *tokenizer); /* pieces */

#ifdef __cplusplus
}
#endif

#endif
