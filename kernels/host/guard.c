/* guard.c: see guard.h. It keeps a list of mapped blocks and a count of the kernels that run now; the blocks are
   readable while the count is above zero. */
#ifdef GUARD

#include "kernels/host/guard.h"
#include "kernels/arena.h"
#include "kernels/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct block {
    char *mapped, *pointer;
    size_t size; /* bytes, without the last page, which is never readable */
    struct block *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static int running;

static void protect(const struct block *block, int protection) {
    if (mprotect(block->mapped, block->size, protection)) {
        perror("guard: mprotect");
        abort();
    }
}

void *guard_alloc(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), rounded = arena_aligned(bytes);
    size_t size = (rounded + page - 1) / page * page;
    struct block *block = malloc(sizeof *block);
    if (!block) return NULL;
    char *mapped = mmap(NULL, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
        free(block);
        return NULL;
    }
    *block = (struct block){.mapped = mapped, .pointer = mapped + size - rounded, .size = size};
    pthread_mutex_lock(&lock);
    block->next = blocks;
    blocks = block;
    if (running) protect(block, PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&lock);
    return block->pointer;
}

void guard_free(void *pointer) {
    if (!pointer) return;
    pthread_mutex_lock(&lock);
    struct block **link = &blocks;
    while (*link && (*link)->pointer != (char *)pointer) link = &(*link)->next;
    struct block *block = *link;
    if (block) *link = block->next;
    pthread_mutex_unlock(&lock);
    if (!block) {
        fprintf(stderr, "guard: %p was not allocated here, or freed twice\n", pointer);
        abort();
    }
    munmap(block->mapped, block->size + (size_t)sysconf(_SC_PAGESIZE));
    free(block);
}

void guard_open(void) {
    pthread_mutex_lock(&lock);
    if (running++ == 0)
        for (struct block *block = blocks; block; block = block->next) protect(block, PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&lock);
}

void guard_close(int *scope) {
    (void)scope;
    pthread_mutex_lock(&lock);
    if (--running == 0)
        for (struct block *block = blocks; block; block = block->next) protect(block, PROT_NONE);
    pthread_mutex_unlock(&lock);
}

#else
typedef int guard_is_off; /* a translation unit must not be empty */
#endif
