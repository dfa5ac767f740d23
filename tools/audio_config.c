/* audio_config.c: see audio_config.h. */
#include "tools/audio_config.h"

const char *const audio_config_modes[] = {"stream", "whole", NULL};
const char *const audio_config_resamples[] = {"after", "before", NULL};
