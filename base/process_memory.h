/* process_memory.h: this process's memory, as Linux states it in /proc/self/status; 0 on systems that do not. */
#ifndef BASE_PROCESS_MEMORY_H
#define BASE_PROCESS_MEMORY_H

#include <stddef.h>

size_t process_resident(void); /* bytes in memory now */
size_t process_peak(void);     /* bytes, the most so far */

#endif
