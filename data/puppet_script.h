/* puppet_script.h: draws what the puppets say, and lets flite say it. Sentences are drawn from word lists with a good
   variety of phones; speech is 16 kHz PCM with the end time of every phone. */
#ifndef DATA_PUPPET_SCRIPT_H
#define DATA_PUPPET_SCRIPT_H

#include <stddef.h>
#include <stdint.h>
#include "base/philox.h"

/* Uniform draws of one purpose in order: element 0, 1, ... of an address. */
struct puppet_dice {
    struct random_address address;
    uint32_t next;
};
enum puppet_stream {
    PUPPET_LOOKS,
    PUPPET_VOICE,
    PUPPET_SCRIPT,
    PUPPET_MOTION,
    PUPPET_DETAILS, /* the hard world's persons: nails, stripes, irises */
    PUPPET_SPOIL    /* which dialogues of a spoiled set drift */
};                  /* the pass in the address of random numbers */
struct puppet_dice puppet_dice(uint64_t seed, int identity, int utterance, enum puppet_stream stream);
double puppet_roll(struct puppet_dice *dice, double low, double high); /* uniform in [low, high) */
int puppet_pick(struct puppet_dice *dice, int n);                      /* 0 .. n-1 */

enum { SCRIPT_TEXT = 160, SCRIPT_VOICES = 4 };
void script_sentence(struct puppet_dice *dice, char text[SCRIPT_TEXT]);
void script_backchannel(struct puppet_dice *dice, char text[SCRIPT_TEXT]); /* "yes", "I see", ... */

struct script_phone {
    float start, end; /* seconds */
    char name[6];     /* flite's US English names; "pau" for silence */
    int stressed;     /* vowel of a stressed syllable */
};
struct script_speech {
    float *pcm; /* without silence at both ends; root mean square SCRIPT_LOUDNESS */
    long samples;
    struct script_phone *phones;
    int phone_count;
};
#define SCRIPT_LOUDNESS 0.09

struct script_voice {
    int speaker;    /* 0 .. SCRIPT_VOICES - 1 */
    double stretch; /* factor of durations; 1: normal */
    double pitch;   /* factor of the pitch; 1: normal */
};
/* Synthesises a text, about 60 times faster than real time. Thread-safe, but one call runs at a time, because flite
   draws its noise from rand(), which every call starts by srand(noise_seed); processes run in parallel. Free with
   script_free. */
int script_say(struct script_speech *speech, const struct script_voice *voice, const char *text, unsigned noise_seed);
void script_free(struct script_speech *speech);

#endif
