/* feature_net.h: a small convolutional network that turns single pictures into features, in which an evaluation
   measures distances between sets of pictures. With q = patch, p = 4 q and w0, w1, w2 = width:
     x = conv3(picture, as patches of q x q)       4 h x 4 w positions, w0 wide; h = height / p, w = width / p
     x = shrink(block(x))                          2 h x 2 w, w1 wide
     x = shrink(block(x))                          h x w, w2 wide
     map = relu(block(x))                          h x w, w2 wide: the features of every place
     person = P map + p                            one row a picture, from all places: whose picture it is
     sound = S map + s                             the same: which sound belongs to it
     spoiled = c . map + d                         one number a place: whether the place was tampered with
     heard = G1 gelu(G0 window + g0) + g1          one row a window of sound features, to be compared with `sound`
     block(x) = x + conv3(relu(conv3(relu(x))))    shrink(x) = conv1 of 2 x 2 places of relu(x) joined
   There are no norms. What it is trained for: train/method/feature_step.h. Pictures are real [n, 3, height, width] in
   [-1, 1]; activations are channels-last elem. The network has one slice. */
#ifndef MODEL_FEATURES_FEATURE_NET_H
#define MODEL_FEATURES_FEATURE_NET_H

#include "kernels/arena.h"
#include "model/params/params.h"

enum { FEATURE_LEVELS = 3, FEATURE_SHRINK = 4, FEATURE_WIDTH_MAX = 1024, FEATURE_EMBEDDING_MAX = 256 };

struct feature_config {
    int height, width; /* pixels of a picture; multiples of 4 patch */
    int patch;         /* q */
    int widths[FEATURE_LEVELS];
    int embedding;       /* width of the rows `person`, `sound` and `heard` */
    int window, hearing; /* numbers of a window of sound; width of the layer that hears it */
};
struct feature_layer { /* a convolution, or a linear layer where the kernel is 1 */
    long ci, co;
    int kernel;
    size_t w, b; /* offsets in the slice */
};
struct feature_net {
    struct feature_config config;
    struct param_table table;
    int h, w; /* rows and columns of the map */
    struct feature_layer first, block[FEATURE_LEVELS][2], shrink[FEATURE_LEVELS - 1];
    struct feature_layer person, sound, spoiled, heard[2];
};
/* Makes the layers and their table. ERR_USAGE: a size is out of range or does not divide. */
int feature_net_create(struct feature_net *net, const struct feature_config *config);
void feature_net_destroy(struct feature_net *net);
/* Numbers of a picture's map, [h, w, width2]. */
static inline long feature_map_size(const struct feature_net *net) {
    return (long)net->h * net->w * net->config.widths[FEATURE_LEVELS - 1];
}

/* Memory of passes over up to `pictures` pictures; train 1: with what the backward needs. */
struct feature_acts {
    int most, trains;
    real *rows;                                                       /* [n, 4h, 4w, 3 q^2] */
    elem *patches;                                                    /* the same */
    elem *x[FEATURE_LEVELS];                                          /* [n, positions of the level, width] */
    elem *hidden[FEATURE_LEVELS][2];                                  /* outputs of a block's two ReLUs */
    elem *rectified[FEATURE_LEVELS - 1], *joined[FEATURE_LEVELS - 1]; /* relu(x), and its 2 x 2 places joined */
    elem *map;                                                        /* [n, h, w, width2] */
    elem *dx[FEATURE_LEVELS][3];                                      /* gradients; trains */
    elem *djoined[FEATURE_LEVELS - 1];
};
void feature_acts_layout(struct feature_acts *acts, const struct feature_net *net, int pictures, int train,
                         struct arena *arena);
/* Bytes of workspace (kernels/workspace.h) that passes over so many pictures want. */
size_t feature_net_workspace(const struct feature_net *net, int pictures);

/* Computes acts->map of n pictures, at most the layout's. */
void feature_net_forward(const struct feature_net *net, const struct params *params, struct feature_acts *acts, int n,
                         const real *pictures);
/* Adds the parameters' gradients from that of the map of the last forward, dmap [n, h, w, width2]. */
void feature_net_backward(const struct feature_net *net, const struct params *params, struct feature_acts *acts, int n,
                          elem *dmap);

#endif
