/* fault_list.h: all that is wrong with a file's tensors in one line of text: "missing a; b is [1], expected [2]; and 7
   more". */
#ifndef CHECKPOINTS_FAULT_LIST_H
#define CHECKPOINTS_FAULT_LIST_H

#include <stddef.h>

struct fault_list { /* starts as {.count = 0} */
    char text[700];
    size_t length;
    int count;
};
void fault_add(struct fault_list *faults, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "[2, 3]" */
void fault_shape(char *text, size_t size, int ndim, const long *shape);

#endif
