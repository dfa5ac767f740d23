/* network_weights.h: the weights of a network that only computes, in as much memory as the user grants (key
   weights_mib): all of them on the device, or some of its slices, while the others are streamed (model/params/
   streamed.h): from pinned host memory, or, where the device is the host, from the checkpoint's files themselves. */
#ifndef CHECKPOINTS_NETWORK_WEIGHTS_H
#define CHECKPOINTS_NETWORK_WEIGHTS_H

#include "checkpoints/slice_file.h"
#include "kernels/memory_plan.h"

enum weights_copies { WEIGHTS_PLAIN, WEIGHTS_COPIED };
struct network_weights {
    const struct param_table *table;
    struct streamed streamed;
    struct slice_file file;
    struct arena device, host, copied;
    enum weights_copies copies; /* COPIED: beside weights that all stay, copies in the order that products like */
    struct params params;       /* valid after network_weights_load; without gradients */
};
/* Plans the memory. mib: of device memory for weights, copies not counted; 0: all weights stay. ERR_USAGE: mib is too
   little, and the text says the least. network_weights_close frees what this made, also after an error. */
int network_weights_plan(struct network_weights *weights, const struct param_table *table, long mib,
                         enum weights_copies copies);
void network_weights_print(const struct network_weights *weights, struct memory_plan *plan); /* plan NULL: nothing */
/* Takes the memory and loads the checkpoint at `path` (pretrained.h; *audio is pretrained_load's). */
int network_weights_load(struct network_weights *weights, const char *path, int *audio);
void network_weights_close(struct network_weights *weights);

/* The key, for the programs that run a network. */
#define WEIGHTS_MIB_FIELD                                                                                              \
    LONG("weights_mib", weights_mib, 0, 1 << 24, "0",                                                                  \
         "Device memory for the network's weights, in MiB: as many blocks as fit stay there, the others are copied "   \
         "from pinned host memory ahead of their use in every pass (a program built for the CPU reads them from the "  \
         "files). Results are the same to the bit. 0 keeps all weights.")

#endif
