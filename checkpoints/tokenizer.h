/* tokenizer.h: turns texts into token numbers by a SentencePiece model (UMT5's spiece.model), through libsentencepiece.
   Where make does not find that library it builds tokenizer_none.c instead, whose tokenizer_open reports that. */
#ifndef CHECKPOINTS_TOKENIZER_H
#define CHECKPOINTS_TOKENIZER_H

#ifdef __cplusplus
extern "C" {
#endif

struct tokenizer;
/* Opens a model: its file, or a folder that holds spiece.model. ERR_INPUT: neither, or no such model. */
int tokenizer_open(struct tokenizer **tokenizer, const char *path);
void tokenizer_close(struct tokenizer *tokenizer);
/* Writes the token numbers of a cleaned text (model/text/prompt.h) to ids [most]; the last is the end of the sentence.
   A text that is too long keeps its first most - 1 tokens and the end; *cut is the number of tokens lost. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *clean, int most, int *ids, int *length, int *cut);
int tokenizer_vocabulary(const struct tokenizer *tokenizer); /* number of tokens */

#ifdef __cplusplus
}
#endif

#endif
