/* process_memory.c: see process_memory.h. */
#include "base/process_memory.h"

#include <stdio.h>
#include <string.h>

static size_t read_field(const char *name) {
    char line[128];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)) && sscanf(line + strlen(name), ": %lu", &kib) == 1) break;
    fclose(file);
    return (size_t)kib * 1024;
}

size_t process_resident(void) { return read_field("VmRSS"); }
size_t process_peak(void) { return read_field("VmHWM"); }
