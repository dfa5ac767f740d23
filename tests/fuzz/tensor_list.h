/* tensor_list.h: safetensors files of given names and shapes, without data, for the targets that read checkpoints of
   networks: a mutation of such a list is a whole file, where a mutation of a file is seldom more than a damaged header.
   A line is a tensor, "NAME 3 4" (F32; behind ~ BF16, behind ! I32, behind ? BOOL), or metadata, "@KEY TEXT". */
#ifndef TESTS_TENSOR_LIST_H
#define TESTS_TENSOR_LIST_H

#include <stddef.h>

/* Writes the file under this name in fuzz_folder(); NULL: no line is a tensor, or they would be larger than 4 MiB. */
const char *fuzz_tensor_file(const char *name, const unsigned char *lines, size_t size);

#endif
