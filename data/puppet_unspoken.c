/* puppet_unspoken.c: see puppet_unspoken.h. Choices are steps in time, which a Gaussian then makes motion. */
#include "data/puppet_unspoken.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/media_rates.h"

enum { CHANNELS = sizeof(struct unspoken_frame) / sizeof(float) };
static int frame_at(double seconds) { return (int)lround(seconds * VIDEO_RATE); }

/* Smooths every `stride`-th number of x in place by a Gaussian of `sigma` seconds; the ends go on as they are. */
static void smooth(float *x, int count, int stride, double sigma, float *room) {
    int reach = (int)ceil(3 * sigma * VIDEO_RATE);
    double total = 0, width = 2 * sigma * sigma * VIDEO_RATE * VIDEO_RATE;
    for (int k = -reach; k <= reach; k++) total += exp(-k * k / width);
    for (int i = 0; i < count; i++) room[i] = x[(size_t)i * (size_t)stride];
    for (int i = 0; i < count; i++) {
        double sum = 0;
        for (int k = -reach; k <= reach; k++) {
            int at = i + k < 0 ? 0 : i + k >= count ? count - 1 : i + k;
            sum += exp(-k * k / width) * (double)room[at];
        }
        x[(size_t)i * (size_t)stride] = (float)(sum / total);
    }
}

/* A sentence's hands rise a little after its first sound, so that whoever hears it can raise them in time, and go when
   it is over. */
static void lay_hands(struct unspoken_frame *frames, int count, const struct unspoken_sentence *sentences,
                      int sentence_count, struct puppet_dice *dice) {
    const double later = 0.15, longer = 0.30;
    int reached = 0;
    for (int i = 0; i < count; i++) frames[i].reach[0] = frames[i].reach[1] = 1;
    for (int s = 0; s < sentence_count; s++) {
        int hands = puppet_pick(dice, 3), far = puppet_pick(dice, 2);
        int from = s ? frame_at(sentences[s].start + later) : 0, to = frame_at(sentences[s].end + longer);
        for (int h = 0; h < 2; h++)
            for (int i = reached; i < to && i < count; i++) { /* the reach changes while the hand is away or rests */
                frames[i].reach[h] = far || !s ? 1.0f : 0.4f;
                if (i >= from && (hands == 2 || hands == h || !s)) frames[i].up[h] = 1;
            }
        reached = to;
    }
}

static void lay_head(struct unspoken_frame *frames, int count, struct puppet_dice *dice) {
    int next = frame_at(puppet_roll(dice, 0.6, 1.2));
    float turn = 0;
    for (int i = 0; i < count; i++) {
        if (i == next) {
            turn = (float)(puppet_pick(dice, 3) - 1);
            next += frame_at(puppet_roll(dice, 0.8, 2.0));
        }
        frames[i].turn = turn;
    }
}

static void lay_gaze(struct unspoken_frame *frames, int count, struct puppet_dice *dice) {
    static const float targets[4][2] = {{-1, -0.7f}, {1, -0.7f}, {-1, 0.7f}, {1, 0.7f}};
    int next = frame_at(puppet_roll(dice, 0.4, 0.8)), target = -1;
    for (int i = 0; i < count; i++) {
        if (i == next) {
            target = puppet_pick(dice, 4);
            next += frame_at(puppet_roll(dice, 0.5, 1.5));
        }
        for (int k = 0; k < 2; k++) frames[i].gaze[k] = target < 0 ? 0 : targets[target][k];
    }
}

int unspoken_fill(struct unspoken_frame *frames, int count, const struct unspoken_sentence *sentences,
                  int sentence_count, struct puppet_dice *dice) {
    const double hands = 0.10, head = 0.12, eyes = 0.03; /* seconds */
    const double sigma[CHANNELS] = {hands, hands, hands, hands, head, eyes, eyes};
    float *room = malloc((size_t)count * sizeof *room);
    if (!room) return error_set(ERR_DEVICE, "puppet: out of memory");
    memset(frames, 0, (size_t)count * sizeof *frames);
    lay_hands(frames, count, sentences, sentence_count, dice);
    lay_head(frames, count, dice);
    lay_gaze(frames, count, dice);
    for (int k = 0; k < CHANNELS; k++) smooth((float *)frames + k, count, CHANNELS, sigma[k], room);
    free(room);
    return OK;
}
