/* puppet.h: the generated data set: dialogues of two parties, one of whom (the agent) is drawn.
   Everything is a pure function of (seed, identity, utterance): base/philox.h, purpose RANDOM_PUPPET. An identity is a
   person of random looks and a voice; an utterance is who says what when. Speech and phone times come from flite, the
   picture is vector drawing by cairo. The agent talks (mouth by phones, both hands beating with the stressed vowels)
   and listens (mouth shut, nods locked to the user's voice); when nobody speaks the body only sways a little. Positions
   are in heights of the picture from the top left of its middle square: x to the right, y down, 0..1. In a square
   picture they are fractions of it; a wider one shows more wall. Left and right are the picture's.
   Several dialogues may be open in several threads; one dialogue belongs to one thread at a time. */
#ifndef DATA_PUPPET_H
#define DATA_PUPPET_H

#include <stdint.h>
#include <stdio.h>
#include "base/media_rates.h"
#include "data/picture_view.h"
#include "data/puppet_pose.h"

enum puppet_track { PUPPET_AGENT, PUPPET_USER };

struct puppet;
/* Makes a dialogue of `seconds` (0.5 .. 3600) of video. ERR_USAGE: the length is out of range; ERR_INPUT: flite
   fails. */
int puppet_open(struct puppet **puppet, uint64_t seed, int identity, int utterance, double seconds);
void puppet_close(struct puppet *puppet);
int puppet_frames(const struct puppet *puppet);
/* Returns a party's sound: 16 kHz mono in [-1, 1], frames * AUDIO_SAMPLES_PER_FRAME samples. */
const float *puppet_pcm(const struct puppet *puppet, enum puppet_track track);
/* Returns a party's mask [frames]: 1 while it speaks (agent: the talk mask; user: the listen mask). Both may be 1. */
const float *puppet_mask(const struct puppet *puppet, enum puppet_track track);
const struct puppet_pose *puppet_truth(const struct puppet *puppet); /* [frames] */
/* Prints one line for each sentence: start and end in seconds, who, text. */
void puppet_transcript(const struct puppet *puppet, FILE *file);
/* Draws the dialogue through `view` from now on. The whole picture is drawn anew, so that nothing is missing at an
   edge. puppet_truth stays that of the plain picture (picture_view_place says where it is seen). */
void puppet_vary(struct puppet *puppet, const struct picture_view *view);
/* Draws a frame into planar RGB [3, height, width] in [-1, 1]. Frames may be drawn in any order. */
int puppet_draw(struct puppet *puppet, int frame, int height, int width, float *planar);

#endif
