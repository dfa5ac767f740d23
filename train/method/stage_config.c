/* stage_config.c: see stage_config.h. */
#include "train/method/stage_config.h"

const char *const recompute_names[] = {"none", "block", NULL};
const char *const solver_names[] = {"euler", "unipc", NULL};
const char *const schedule_names[] = {"linear", "wan", "diffusers", NULL};
