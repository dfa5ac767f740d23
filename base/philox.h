/* philox.h: counter-based random numbers (Philox 4x32-10, Salmon et al. 2011), the same bits on CPU and GPU.
   An address names every number ever drawn: key = the seed with the step's high bits folded in; counter = (element / 4
   within the frame, absolute frame, sample in the global batch, purpose | pass | the step's low 16 bits). So nothing
   depends on the number of ranks, threads or on what was drawn before, and ranks agree without a broadcast. */
#ifndef BASE_PHILOX_H
#define BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define PHILOX_HD __host__ __device__ static inline
#else
#define PHILOX_HD static inline
#endif

enum random_purpose {
    RANDOM_INIT = 1,       /* initial weights */
    RANDOM_DATA_ORDER,     /* order of clips and windows */
    RANDOM_CLIP_NOISE,     /* noise on a clip: teacher, score and critic */
    RANDOM_TIMESTEP,       /* noise levels */
    RANDOM_DROPOUT,        /* conditioning dropout */
    RANDOM_SAMPLER,        /* starting noise of the teacher's sampler */
    RANDOM_ROLLOUT,        /* the generator's rollout */
    RANDOM_CRITIC_ROLLOUT, /* fresh rollouts for the critic */
    RANDOM_CRITIC_NOISE,
    RANDOM_SCORE_NOISE,   /* noise of the score comparison */
    RANDOM_EXIT,          /* pass of a rollout that gets the gradient */
    RANDOM_DISCRIMINATOR, /* noise on real clips and rollouts */
    RANDOM_PERTURB,       /* eta of the finite-difference penalty */
    RANDOM_STREAM,        /* noise of a live stream */
    RANDOM_PUPPET,        /* the puppets of generated data */
    RANDOM_TEST,
    RANDOM_AUDIENCE,     /* visitors of a live server, and their talk */
    RANDOM_REFERENCE,    /* beginning of a decoder's sample, and the clip of its reference */
    RANDOM_LATENT_NOISE, /* errors on the latents that a decoder learns from */
    RANDOM_VIEW,         /* variation of a clip's colours, place and size */
    RANDOM_BOOTSTRAP,    /* dialogues that a bootstrap interval draws again */
    RANDOM_PERMUTATION,  /* exchange of clips in a test of permutations */
    RANDOM_FEATURES,     /* pictures that a network of features learns from */
    RANDOM_PROBE,        /* spoiled clips of the discriminator's probe */
    RANDOM_SPOIL         /* errors put on a student's history in training */
};

struct philox_block {
    uint32_t v[4];
};

struct random_address {
    uint64_t seed, step;
    int purpose, pass;
    uint32_t sample, frame;
};

/* The ten rounds of Philox 4x32. */
PHILOX_HD struct philox_block philox(struct philox_block counter, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * counter.v[0], p1 = (uint64_t)0xCD9E8D57u * counter.v[2];
        struct philox_block next = {{(uint32_t)(p1 >> 32) ^ counter.v[1] ^ key0, (uint32_t)p1,
                                     (uint32_t)(p0 >> 32) ^ counter.v[3] ^ key1, (uint32_t)p0}};
        counter = next;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

/* Four words for elements 4 group .. 4 group + 3 of an address. */
PHILOX_HD struct philox_block random_block(const struct random_address *a, uint32_t group) {
    uint64_t high = a->step >> 16;
    struct philox_block c = {
        {group, a->frame, a->sample,
         ((uint32_t)a->purpose << 24) | ((uint32_t)a->pass & 0xff) << 16 | (uint32_t)(a->step & 0xffff)}};
    return philox(c, (uint32_t)a->seed ^ (uint32_t)high * 0x85EBCA6Bu,
                  (uint32_t)(a->seed >> 32) ^ (uint32_t)(high >> 32));
}

/* A number in [0, 1) of 24 bits. */
PHILOX_HD float random_unit(uint32_t word) { return (float)(word >> 8) * 5.9604644775390625e-8f; }

/* Draws for decisions on the host: a number in [0, 1), and one in 0 .. n-1. `index` takes the place of the element. */
static inline double random_uniform(const struct random_address *a, uint32_t index) {
    struct philox_block b = random_block(a, index);
    return ((double)(b.v[0] >> 5) * 67108864.0 + (double)(b.v[1] >> 6)) / 9007199254740992.0;
}
static inline long random_below(const struct random_address *a, uint32_t index, long n) {
    long r = (long)(random_uniform(a, index) * (double)n);
    return r < n ? r : n - 1;
}

#endif
