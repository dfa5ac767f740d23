/* puppet.h: the generated data set: dialogues of two parties, one of whom (the agent) is drawn.
   Everything is a pure function of (seed, identity, utterance): base/philox.h, purpose RANDOM_PUPPET. An identity is a
   person of random looks and a voice; an utterance is who says what when. Speech and phone times come from flite, the
   picture is vector drawing by cairo. The agent talks (mouth by phones, both hands beating with the stressed vowels)
   and listens (mouth shut, nods locked to the user's voice); when nobody speaks the body only sways a little. Positions
   are in heights of the picture from the top left of its middle square: x to the right, y down, 0..1. In a square
   picture they are fractions of it; a wider one shows more wall. Left and right are the picture's.
   There are two worlds. In the plain one the voices decide nearly all motion, and every picture shows all of a person.
   In the hard one most motion is the agent's own choice (puppet_unspoken.h), and persons have stripes on their sleeves,
   a colour of nails and an iris that leave the picture for seconds: while it listens the agent's hands are down and its
   eyes shut. Turns are longer there, and now and then nobody speaks for 2 to 8 s.
   Several dialogues may be open in several threads; one dialogue belongs to one thread at a time. */
#ifndef DATA_PUPPET_H
#define DATA_PUPPET_H

#include <stdint.h>
#include <stdio.h>
#include "base/media_rates.h"
#include "data/picture_view.h"
#include "data/puppet_drawing.h"
#include "data/puppet_pose.h"
#include "data/puppet_spoil.h"

enum puppet_track { PUPPET_AGENT, PUPPET_USER };
enum puppet_world { PUPPET_PLAIN, PUPPET_HARD };
extern const char *const puppet_worlds[]; /* their names, NULL behind the last */

struct puppet;
/* Makes a dialogue of `seconds` (0.5 .. 3600) of video. ERR_USAGE: the length is out of range; ERR_INPUT: flite
   fails. */
int puppet_open(struct puppet **puppet, uint64_t seed, int identity, int utterance, double seconds);
/* The same in either world. */
int puppet_open_world(struct puppet **puppet, enum puppet_world world, uint64_t seed, int identity, int utterance,
                      double seconds);
/* Opens the same dialogue once more, with the same looks and voices, but another draw of all that no voice tells.
   Draw 0 is what puppet_open gives. */
int puppet_open_draw(struct puppet **puppet, const struct puppet *of, int draw);
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
/* Spoils the pictures from now on: bits of enum puppet_spoil (puppet_spoil.h), 0 none. The truth stays as it is. */
void puppet_spoil(struct puppet *puppet, int spoil);
/* The person's looks. */
const struct puppet_looks *puppet_person(const struct puppet *puppet);
enum puppet_world puppet_world(const struct puppet *puppet);
/* Draws a frame into planar RGB [3, height, width] in [-1, 1]. Frames may be drawn in any order. */
int puppet_draw(struct puppet *puppet, int frame, int height, int width, float *planar);

#endif
