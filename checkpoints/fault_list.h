/* fault_list.h: all that is wrong with a file's tensors in one line of text. Faults that differ only in the number of a
   block are one: "missing blocks.0-29.norm3.weight [64]; b is [1], expected [2]". */
#ifndef CHECKPOINTS_FAULT_LIST_H
#define CHECKPOINTS_FAULT_LIST_H

#include <stddef.h>

struct fault_list {
    char **list; /* the first ones; a hostile file may have any number */
    int kept, capacity, count;
};
#define FAULT_LIST                                                                                                     \
    { NULL, 0, 0, 0 }
void fault_add(struct fault_list *faults, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* OK without faults, else ERR_INPUT and "12 WHAT: ..." ("tensors do not fit"); frees the list. */
int fault_report(struct fault_list *faults, const char *what);
void fault_free(struct fault_list *faults);
/* "[2, 3]" */
void fault_shape(char *text, size_t size, int ndim, const long *shape);

#endif
