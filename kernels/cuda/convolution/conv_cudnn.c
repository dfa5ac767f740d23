/* conv_cudnn.c: the graphs of conv_cudnn.h: channels-last tensors, sums in float. Where the kernel has one frame, the
   frames are samples of a convolution over two axes, for which the library has more engines. */
#include "kernels/cuda/convolution/conv_cudnn.h"

#include <string.h>

/* Places in the key. KEY_REAL 1: y is real; KEY_AXES: 2 or 3; then follow, for each axis,
   in, out, kernel, stride, before, after. */
enum { KEY_SAMPLES, KEY_CI, KEY_CO, KEY_GROUPS, KEY_BETA, KEY_REAL, KEY_AXES, KEY_FIRST };
enum { IN, OUT, KERNEL, STRIDE, BEFORE, AFTER, PER_AXIS };

static int frames_are_samples(const struct conv_shape *s) {
    return s->kernel[0] == 1 && s->stride[0] == 1 && !s->before[0] && !s->after[0];
}

/* Makes the key. beta is 0 or 1: the library takes other factors too, but each would need a plan. */
struct cudnn_key cudnn_conv_key(const struct conv_shape *s, real beta, int real_output) {
    struct cudnn_key key;
    int first = frames_are_samples(s);
    memset(&key, 0, sizeof key);
    key.v[KEY_SAMPLES] = s->samples * (first ? s->in[0] : 1);
    key.v[KEY_CI] = s->ci, key.v[KEY_CO] = s->co, key.v[KEY_GROUPS] = s->groups;
    key.v[KEY_BETA] = beta != 0, key.v[KEY_REAL] = real_output, key.v[KEY_AXES] = 3 - first;
    for (int axis = first, i = KEY_FIRST; axis < 3; axis++, i += PER_AXIS) {
        key.v[i + IN] = s->in[axis], key.v[i + OUT] = conv_out(s, axis);
        key.v[i + KERNEL] = s->kernel[axis], key.v[i + STRIDE] = s->stride[axis];
        key.v[i + BEFORE] = s->before[axis], key.v[i + AFTER] = s->after[axis];
    }
    return key;
}

/* ---- tensors ---- */

/* Adds a tensor that is [samples, axes.., channels] in memory and [samples, channels, axes..] to the library. what says
   which sizes its axes have: IN, OUT or KERNEL, or -1 for 1 (a bias). */
static int channels_last_tensor(struct cudnn_graph *g, int64_t uid, cudnnDataType_t type, enum cudnn_place place,
                                long samples, long channels, const struct cudnn_key *key, int what) {
    int axes = (int)key->v[KEY_AXES];
    struct cudnn_tensor t = {uid, type, place, axes + 2, {samples, channels}, {0, 1}};
    int64_t stride = channels;
    for (int axis = axes - 1; axis >= 0; axis--) {
        t.dim[2 + axis] = what < 0 ? 1 : key->v[KEY_FIRST + axis * PER_AXIS + what];
        t.stride[2 + axis] = stride;
        stride *= t.dim[2 + axis];
    }
    t.stride[0] = stride;
    return graph_tensor(g, &t);
}

static int input(struct cudnn_graph *g, const struct cudnn_key *key) {
    return channels_last_tensor(g, CONV_X, CUDNN_ELEM, CUDNN_IN_MEMORY, key->v[KEY_SAMPLES], key->v[KEY_CI], key, IN);
}
static int output(struct cudnn_graph *g, const struct cudnn_key *key, int64_t uid, cudnnDataType_t type,
                  enum cudnn_place place) {
    return channels_last_tensor(g, uid, type, place, key->v[KEY_SAMPLES], key->v[KEY_CO], key, OUT);
}
static int result(struct cudnn_graph *g, const struct cudnn_key *key) {
    return output(g, key, CONV_Y, key->v[KEY_REAL] ? CUDNN_DATA_FLOAT : CUDNN_ELEM, CUDNN_IN_MEMORY);
}
static int weights(struct cudnn_graph *g, const struct cudnn_key *key, int64_t uid, cudnnDataType_t type,
                   enum cudnn_place place) {
    return channels_last_tensor(g, uid, type, place, key->v[KEY_CO], key->v[KEY_CI] / key->v[KEY_GROUPS], key, KERNEL);
}

static void begin(struct cudnn_graph *g, const char *what, const struct cudnn_key *key) {
    const long *last = key->v + KEY_FIRST + (key->v[KEY_AXES] - 1) * PER_AXIS, *rows = last - PER_AXIS;
    graph_name(g, "convolution %s of %ld x %ldd, %ld x %ld, %ld -> %ld%s", what, key->v[KEY_SAMPLES], key->v[KEY_AXES],
               rows[IN], last[IN], key->v[KEY_CI], key->v[KEY_CO], key->v[KEY_BETA] ? ", added" : "");
    g->windows.axes = (int)key->v[KEY_AXES];
    for (int axis = 0; axis < g->windows.axes; axis++) {
        const long *v = key->v + KEY_FIRST + axis * PER_AXIS;
        g->windows.stride[axis] = v[STRIDE];
        g->windows.before[axis] = v[BEFORE], g->windows.after[axis] = v[AFTER];
    }
}

/* ---- forward and input ---- */

static void convolve(struct cudnn_graph *g, const struct cudnn_key *key, int y, float beta) {
    int x = input(g, key), w = weights(g, key, CONV_W, CUDNN_ELEM, CUDNN_IN_MEMORY);
    GRAPH(g, GRAPH_CONVOLVE, x, w, y)->beta = beta;
}

void cudnn_conv_forward_graph(struct cudnn_graph *g, const struct cudnn_key *key) {
    begin(g, "forward", key);
    convolve(g, key, result(g, key), (float)key->v[KEY_BETA]);
}

/* Describes the forward with bias. Sums stay inside as float; bias and the old y are
   added before anything is rounded. */
void cudnn_conv_bias_graph(struct cudnn_graph *g, const struct cudnn_key *key) {
    begin(g, "with bias", key);
    int sum = output(g, key, CONV_SUM, CUDNN_DATA_FLOAT, CUDNN_INSIDE), y = result(g, key);
    int bias = channels_last_tensor(g, CONV_BIAS, CUDNN_ELEM, CUDNN_IN_MEMORY, 1, key->v[KEY_CO], key, -1);
    convolve(g, key, sum, 0);
    if (!key->v[KEY_BETA]) return (void)GRAPH(g, GRAPH_ADD, sum, bias, y);
    int biased = output(g, key, CONV_BIASED, CUDNN_DATA_FLOAT, CUDNN_INSIDE);
    int old = output(g, key, CONV_OLD_Y, CUDNN_ELEM, CUDNN_IN_MEMORY);
    GRAPH(g, GRAPH_ADD, sum, bias, biased);
    GRAPH(g, GRAPH_ADD, biased, old, y);
}

void cudnn_conv_input_graph(struct cudnn_graph *g, const struct cudnn_key *key) {
    begin(g, "gradient of the input", key);
    int dx = input(g, key), w = weights(g, key, CONV_W, CUDNN_ELEM, CUDNN_IN_MEMORY), dy = result(g, key);
    GRAPH(g, GRAPH_CONVOLVE_INPUT, dx, w, dy)->beta = (float)key->v[KEY_BETA];
}

/* ---- weights ---- */

static void convolve_weight(struct cudnn_graph *g, const struct cudnn_key *key, int dw, float beta) {
    int x = input(g, key), dy = result(g, key);
    GRAPH(g, GRAPH_CONVOLVE_WEIGHT, dw, x, dy)->beta = beta;
}

void cudnn_conv_weight_direct(struct cudnn_graph *g, const struct cudnn_key *key) {
    begin(g, "gradient of the weights", key);
    convolve_weight(g, key, weights(g, key, CONV_W, CUDNN_DATA_FLOAT, CUDNN_IN_MEMORY), 1);
}

void cudnn_conv_weight_added(struct cudnn_graph *g, const struct cudnn_key *key) {
    begin(g, "gradient of the weights, added behind", key);
    int sum = weights(g, key, CONV_SUM, CUDNN_DATA_FLOAT, CUDNN_INSIDE);
    int old = weights(g, key, CONV_OLD_DW, CUDNN_DATA_FLOAT, CUDNN_IN_MEMORY);
    convolve_weight(g, key, sum, 0);
    GRAPH(g, GRAPH_ADD, sum, old, weights(g, key, CONV_W, CUDNN_DATA_FLOAT, CUDNN_IN_MEMORY));
}

void cudnn_conv_weight_narrow(struct cudnn_graph *g, const struct cudnn_key *key) {
    begin(g, "gradient of the weights, rounded", key);
    convolve_weight(g, key, weights(g, key, CONV_DW_PART, CUDNN_ELEM, CUDNN_IN_MEMORY), 0);
}

int cudnn_conv_weight_forms(cudnn_builder **form, int deterministic) {
    int count = 0;
    if (CUDNN_ELEM == CUDNN_DATA_FLOAT) return form[0] = cudnn_conv_weight_direct, 1;
    form[count++] = cudnn_conv_weight_added;
    if (!deterministic) form[count++] = cudnn_conv_weight_narrow;
    return count;
}
