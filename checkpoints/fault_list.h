/* fault_list.h: collects everything that is wrong with a file's tensors into one line of text. Faults that differ only
   in a block's number become one: "missing blocks.0-29.norm3.weight [64]; b is [1], expected [2]". */
#ifndef CHECKPOINTS_FAULT_LIST_H
#define CHECKPOINTS_FAULT_LIST_H

#include <stddef.h>

struct fault_list {
    char **list; /* the first faults only, because a hostile file may have any number */
    int kept, capacity, count;
};
#define FAULT_LIST                                                                                                     \
    { NULL, 0, 0, 0 }
void fault_add(struct fault_list *faults, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Returns OK if there are no faults, else ERR_INPUT with the text "12 WHAT: ..." (what: "tensors do not fit"); frees
   the list. */
int fault_report(struct fault_list *faults, const char *what);
void fault_free(struct fault_list *faults);
/* Writes a shape as "[2, 3]". */
void fault_shape(char *text, size_t size, int ndim, const long *shape);

#endif
