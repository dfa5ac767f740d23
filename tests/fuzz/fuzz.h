/* fuzz.h: the readers of files that come from elsewhere, each as a function of bytes. libFuzzer calls one of them
   (target.c, `make fuzz`), tests/unit/test_fuzz_corpus.c all of them with the files kept in tests/fuzz/corpus/NAME.
   A target may refuse its input or take it; what it must not do is crash, hang, leak or break what it promises, which
   it says by abort(). The return value is 1 when the input was taken. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>

typedef int fuzz_target(const unsigned char *data, size_t size);
fuzz_target fuzz_safetensors;        /* a whole file */
fuzz_target fuzz_safetensors_header; /* the JSON header, in front of FUZZ_TENSOR_BYTES of data */
fuzz_target fuzz_student_config;     /* config.json of an exported student */
fuzz_target fuzz_config;             /* YAML, through a schema with every type */
fuzz_target fuzz_prepare_config;     /* YAML of prepare, with an override in the last line */
fuzz_target fuzz_mask_csv;           /* NAME.mask.csv */
fuzz_target fuzz_mask_json;          /* NAME.mask.json */
fuzz_target fuzz_box_csv;            /* NAME.box.csv */
fuzz_target fuzz_picture;            /* a picture file, for its orientation; taken: it states one */
fuzz_target fuzz_wav_head;           /* a wav file as it comes through a pipe */
fuzz_target fuzz_tensors;            /* names and shapes (tensor_list.h), by every reader of checkpoints */
fuzz_target fuzz_model_config;       /* JSON beside checkpoints; the first letter says of which network */
fuzz_target fuzz_shards_index;       /* NAME.safetensors.index.json */
fuzz_target fuzz_prompt_file;        /* names and shapes */
fuzz_target fuzz_prompt_text;        /* a text */
fuzz_target fuzz_live_message;       /* what clients of `serve` send: a text message */
fuzz_target fuzz_live_unit;          /* a binary one */
fuzz_target fuzz_live_reference;     /* a picture */
fuzz_target fuzz_live_conversation;  /* commands to a session's queues, two bytes each after a byte of options */
#define FUZZ_TARGETS(X)                                                                                                \
    X(safetensors)                                                                                                     \
    X(safetensors_header)                                                                                              \
    X(student_config)                                                                                                  \
    X(config)                                                                                                          \
    X(prepare_config)                                                                                                  \
    X(mask_csv)                                                                                                        \
    X(mask_json)                                                                                                       \
    X(box_csv)                                                                                                         \
    X(picture)                                                                                                         \
    X(wav_head)                                                                                                        \
    X(tensors)                                                                                                         \
    X(model_config)                                                                                                    \
    X(shards_index)                                                                                                    \
    X(prompt_file)                                                                                                     \
    X(prompt_text)                                                                                                     \
    X(live_message)                                                                                                    \
    X(live_unit)                                                                                                       \
    X(live_reference)                                                                                                  \
    X(live_conversation)

enum { FUZZ_TENSOR_BYTES = 256 };

/* Writes the bytes to a file of this name in a folder of the process, and returns its path, or the folder's for name
   NULL. The folder goes when the process ends. */
const char *fuzz_file(const char *name, const unsigned char *data, size_t size);
const char *fuzz_folder(void);
/* abort() with a line that says what was promised. */
void fuzz_promise(int holds, const char *what);

#endif
