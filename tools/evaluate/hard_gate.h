/* hard_gate.h: one dialogue of the gate through which the puppet's hard world goes before anything is trained on it:
   how much of the motion the voices leave open, and what its measures (hard_world.h) say of pictures that are as good
   as they can be, and of pictures that are wrong in one known way. Host memory. */
#ifndef TOOLS_EVALUATE_HARD_GATE_H
#define TOOLS_EVALUATE_HARD_GATE_H

#include "tools/evaluate/hard_world.h"
#include "tools/evaluate/latents.h"

/* Pictures that go through the codec. The copy is the truth; the oracle and its twin are other draws of what no voice
   tells, as a perfect sampler would make them. The others are controls, which the measures must tell from the
   oracle. */
enum gate_source {
    GATE_COPY,
    GATE_ORACLE,
    GATE_TWIN,
    GATE_POPULATION, /* nails and irises in the mean colours of all persons */
    GATE_STRANGER,   /* nails and irises of another person at each return, as a sampler without memory has them */
    GATE_GHOSTS,     /* oracle and twin, half and half */
    GATE_MEAN,       /* the mean pose of several draws, as a regression gives it; the same from every seed */
    GATE_SPOILED,    /* hues turned by 40 degrees; mouth that moves while idle, and neither blinks nor sway there */
    GATE_SOURCES
};
struct gate_result { /* doubles alone */
    struct hard_sums sums[GATE_SOURCES];
    struct latent_sums latents[GATE_SOURCES];   /* oracle with twin, and mean: how far from the copy */
    double undecided[REGIONS], motion[REGIONS]; /* half the squared difference of two draws; the variance of one */
};
struct gate_settings {
    enum puppet_world world;
    uint64_t seed;
    int first; /* number of the first person */
    double seconds;
};
/* Measures dialogue `index` through the codec. `beat` is called now and then. */
int gate_dialogue(const struct gate_settings *settings, int index, struct codec *codec, struct gate_result *result,
                  void (*beat)(void *), void *user);

#endif
