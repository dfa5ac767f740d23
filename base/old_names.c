/* old_names.c: see old_names.h. */
#include "base/old_names.h"

#include <stdio.h>
#include <string.h>

static const struct renamed {
    const char *old, *now;
} table[] = {
    {"audio_lookahead", "audio_encoder_lookahead"}, /* a data set's */
    {"refine.critic", "refine.discriminator.optimiser"},
    {"model.deaf", "model.mute_input"},
    {"dit.deaf", "dit.mute_input"},             /* an export's config.json */
    {"judge_updates", "discriminator_updates"}, /* a state of refine */
};
enum { RENAMED = sizeof table / sizeof *table };

int old_name(const char *name, char *now, size_t size) {
    for (int i = 0; i < RENAMED; i++) {
        size_t n = strlen(table[i].old);
        if (strncmp(name, table[i].old, n) || (name[n] && name[n] != '.')) continue;
        snprintf(now, size, "%s%s", table[i].now, name + n);
        return 1;
    }
    return 0;
}

const char *old_name_of(const char *name) {
    for (int i = 0; i < RENAMED; i++)
        if (!strcmp(name, table[i].now)) return table[i].old;
    return NULL;
}
