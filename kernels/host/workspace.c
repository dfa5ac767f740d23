/* workspace.c: kernels on the host use no workspace. */
#include "kernels/workspace.h"

size_t attention_workspace(const struct attention_sizes *sizes, int backward) { return (void)sizes, (void)backward, 0; }
size_t conv_workspace(long positions, long ci, long co) { return (void)positions, (void)ci, (void)co, 0; }
