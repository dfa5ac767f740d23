/* shapes.h: the convolutions and attentions that our networks ask a backend for at full size, as their own code asks
   for them: it is run with kernels that note what they are asked for and compute nothing. */
#ifndef TESTS_CUDA_SHAPES_H
#define TESTS_CUDA_SHAPES_H

#include "kernels/kernels.h"

enum ask { ASK_CONV, ASK_CONV_REAL, ASK_CONV_INPUT, ASK_CONV_WEIGHT, ASK_ATTENTION, ASK_ATTENTION_BACKWARD };

/* One kind of call; a shape is listed once. */
struct asked {
    enum ask what;
    const char *of;          /* the network that asks */
    struct conv_shape shape; /* a convolution's */
    int beta, bias;          /* 1: y is added to; there is a bias */
    long B, S, K, H, D;      /* an attention's: one range of K keys */
    int ranges;              /* ranges of the attention call that this one belongs to */
};

/* Runs all networks; returns how many there are. The list stays. */
int shapes_ask(const struct asked **list);

#endif
