/* umt5.h: the text encoder of Wan, UMT5 (Raffel 2020; Chung 2023), forward only, at any size.
     x = E[ids];  each layer: x += O attention(Q n, K n, V n), n = rms(x);  x += W2 (gelu(Wg n) W1 n), n = rms(x);
     result rms(x).
   rms subtracts no mean. Attention scores are not scaled; each layer adds to them its own bias by head and by bucket of
   the distance between two tokens. There are no other biases and no other positions.
   Several texts may go through together, one behind the other in the rows. Each sees only itself, so there is neither
   padding nor mask. Weights come slice by slice from the caller, who may hold one layer at a time: slice 0 is the table
   of tokens (never needed on the device, because its rows are the input), slices 1 .. layers are the layers, the last
   slice is the final norm. Names are those of Wan's original checkpoint. A struct umt5_acts serves one thread at a
   time. */
#ifndef MODEL_TEXT_UMT5_H
#define MODEL_TEXT_UMT5_H

#include "kernels/arena.h"
#include "model/params/params.h"

struct umt5_config {
    long vocab;
    int dim, heads, head_dim, ffn_dim, layers;
    int buckets, max_distance; /* number of buckets of relative positions (32); their largest distance (128) */
    double eps;                /* added to mean squares by rms (1e-6) */
};
struct umt5 {
    struct umt5_config config;
    struct param_table table;
};
/* Returns the sizes of UMT5-XXL: 4096 wide, 24 layers, 5,680,910,336 parameters. */
struct umt5_config umt5_xxl(void);
/* Makes the parameter table. ERR_USAGE: sizes that no encoder can have. */
int umt5_create(struct umt5 *net, const struct umt5_config *config);
void umt5_destroy(struct umt5 *net);

/* Returns the bucket of a distance, key minus query (Raffel 2020): near distances have one each, farther ones are
   grouped by their logarithm. */
int umt5_bucket(const struct umt5_config *config, int distance);

struct umt5_acts {
    long tokens, longest;
    resid *x;            /* [tokens, dim] */
    elem *y;             /* [tokens, dim] output of a norm or a product; in the end the result */
    elem *q, *k, *v, *o; /* [tokens, heads head_dim] */
    elem *gate, *up;     /* [tokens, ffn_dim] */
    real *bias;          /* [heads, 2 longest - 1] */
    elem *host_table;    /* host: the layer's table [buckets, heads] */
    real *host_bias;     /* host: bias */
};
/* Takes device memory for `tokens` rows, no text longer than `longest`. umt5_acts_open mallocs the host parts. */
void umt5_acts_layout(struct umt5_acts *acts, const struct umt5 *net, long tokens, long longest, struct arena *arena);
int umt5_acts_open(struct umt5_acts *acts, const struct umt5 *net);
void umt5_acts_close(struct umt5_acts *acts);

/* Starts a pass with rows of the token table, host [tokens, dim]. */
void umt5_begin(const struct umt5 *net, struct umt5_acts *acts, const float *rows);
/* Runs one layer (0 .. layers - 1) with its slice's weights (device); text i has length[i] of the rows. */
void umt5_layer(const struct umt5 *net, struct umt5_acts *acts, int layer, const elem *weights, const int *length,
                int count);
/* Runs the final norm; acts->y is then the result [tokens, dim]. */
void umt5_end(const struct umt5 *net, struct umt5_acts *acts, const elem *weights);

#endif
