/* puppet_unspoken.h: what the hard world's agent does that no voice tells, frame by frame: for every sentence which
   hand beats (left, right or both, a third each) and how far (0.4 or 1); where the eyes look (one of four targets, a
   new one every 0.5 to 1.5 s); how far the head is turned (left, straight or right, 0.8 to 2 s each). Pure functions
   of the dice's address. */
#ifndef DATA_PUPPET_UNSPOKEN_H
#define DATA_PUPPET_UNSPOKEN_H

#include "data/puppet_script.h"

struct unspoken_frame {
    float up[2];    /* left and right hand: 0 out of the picture .. 1 in view */
    float reach[2]; /* how far a hand's gestures go: 0.4 or 1, smooth between two sentences */
    float turn;     /* -1 .. 1: the head to the picture's left .. right */
    float gaze[2];  /* -1 .. 1 */
};
struct unspoken_sentence { /* a sentence of the agent, seconds */
    double start, end;
};
/* Fills `frames`. In the first sentence both hands beat as far as they can and are up before it begins, and at the
   start the head is straight and the eyes look ahead, so that the first picture shows the person whole. ERR_DEVICE:
   out of memory. */
int unspoken_fill(struct unspoken_frame *frames, int count, const struct unspoken_sentence *sentences,
                  int sentence_count, struct puppet_dice *dice);

#endif
