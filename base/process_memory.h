/* process_memory.h: what the system says of this process's memory (Linux: /proc/self/status); 0 where it says
   nothing. */
#ifndef BASE_PROCESS_MEMORY_H
#define BASE_PROCESS_MEMORY_H

#include <stddef.h>

size_t process_resident(void); /* bytes now */
size_t process_peak(void);     /* the most there ever were */

#endif
