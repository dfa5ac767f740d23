/* puppet_script.c: see puppet_script.h. */
#include "data/puppet_script.h"

#include <flite/flite.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/media_rates.h"

cst_voice *register_cmu_us_kal16(const char *folder);
cst_voice *register_cmu_us_slt(const char *folder);
cst_voice *register_cmu_us_rms(const char *folder);
cst_voice *register_cmu_us_awb(const char *folder);

struct puppet_dice puppet_dice(uint64_t seed, int identity, int utterance, enum puppet_stream stream) {
    struct puppet_dice dice = {.address = {.seed = seed,
                                           .purpose = RANDOM_PUPPET,
                                           .pass = stream,
                                           .sample = (uint32_t)identity,
                                           .frame = (uint32_t)utterance}};
    return dice;
}

double puppet_roll(struct puppet_dice *dice, double low, double high) {
    return low + (high - low) * random_uniform(&dice->address, dice->next++);
}

int puppet_pick(struct puppet_dice *dice, int n) { return (int)random_below(&dice->address, dice->next++, n); }

/* ---- sentences ---- */

static const char *const who[] = {
    "I",           "we",         "they",       "my brother",    "our teacher",     "the doctor", "my aunt",
    "your friend", "the baker",  "Paul",       "Maya",          "the old captain", "somebody",   "the children",
    "my boss",     "her father", "the farmer", "a young woman", "both boys",       "the painter"};
static const char *const did[] = {"bought",  "found",  "painted", "moved",    "lost",     "opened",   "made",
                                  "watched", "showed", "forgot",  "carried",  "borrowed", "fixed",    "kept",
                                  "chose",   "wanted", "brought", "pushed",   "washed",   "measured", "hid",
                                  "enjoyed", "served", "shook",   "followed", "saw"};
static const char *const kind[] = {"big",   "old",    "purple", "warm",   "broken", "heavy",   "yellow", "quiet",
                                   "empty", "smooth", "tiny",   "brown",  "famous", "strange", "cheap",  "hollow",
                                   "shiny", "soft",   "huge",   "frozen", "simple", "round",   "major",  "green"};
static const char *const thing[] = {
    "house", "boat",   "piano",  "apple", "map",      "bottle", "garden", "book",  "window", "cake",   "phone", "puppy",
    "watch", "mirror", "coat",   "box",   "bag",      "chair",  "movie",  "towel", "ladder", "island", "barn",  "kite",
    "oven",  "basket", "tomato", "drum",  "umbrella", "pot",    "farm",   "moon",  "poem",   "job",    "wall",  "cave"};
static const char *const where[] = {"near the park",      "in the market",  "by the bay",      "at home",
                                    "behind the mall",    "on the farm",    "over the bridge", "under the palm tree",
                                    "in a small town",    "at the airport", "along the road",  "outside our home",
                                    "up on the mountain", "below the moon"};
static const char *const when[] = {"today",           "last week",        "before noon",  "every morning",
                                   "on Monday",       "in the autumn",    "this evening", "once a month",
                                   "after the storm", "about an hour ago"};
static const char *const opening[] = {"Maybe",       "Of course", "By the way", "You know",
                                      "I am afraid", "I believe", "Wow"};
static const char *const reply[] = {"yes", "I know", "oh wow", "okay", "of course", "a ha", "I see", "mm, maybe"};

#define ANY(dice, list) list[puppet_pick(dice, (int)(sizeof list / sizeof *list))]

void script_sentence(struct puppet_dice *dice, char text[SCRIPT_TEXT]) {
    /* Every form of sentence draws the same number of words, so that a new form does not shift the words of the
       others. */
    int form = puppet_pick(dice, 6);
    const char *a = ANY(dice, who), *b = ANY(dice, did), *c = ANY(dice, kind), *d = ANY(dice, thing);
    const char *e = ANY(dice, where), *f = ANY(dice, when), *g = ANY(dice, opening), *h = ANY(dice, thing);
    switch (form) {
    case 0:
        snprintf(text, SCRIPT_TEXT, "%s %s the %s %s %s.", a, b, c, d, e);
        break;
    case 1:
        snprintf(text, SCRIPT_TEXT, "%s %s %s the %s %s.", g, a, b, c, d);
        break;
    case 2:
        snprintf(text, SCRIPT_TEXT, "%s %s a %s and the %s %s.", a, b, d, h, f);
        break;
    case 3:
        snprintf(text, SCRIPT_TEXT, "How about the %s %s %s?", c, d, e);
        break;
    case 4:
        snprintf(text, SCRIPT_TEXT, "The %s %s was %s %s.", c, d, e, f);
        break;
    default:
        snprintf(text, SCRIPT_TEXT, "%s %s one more %s %s.", a, b, d, f);
        break;
    }
}

void script_backchannel(struct puppet_dice *dice, char text[SCRIPT_TEXT]) {
    snprintf(text, SCRIPT_TEXT, "%s.", ANY(dice, reply));
}

/* ---- speech ---- */

static pthread_mutex_t flite_lock = PTHREAD_MUTEX_INITIALIZER;

static cst_voice *voice_of(int speaker) {
    switch (speaker) { /* registering again returns the same voice */
    case 0:
        return register_cmu_us_kal16(NULL);
    case 1:
        return register_cmu_us_slt(NULL);
    case 2:
        return register_cmu_us_rms(NULL);
    default:
        return register_cmu_us_awb(NULL);
    }
}

static cst_utterance *synthesise(const struct script_voice *voice, const char *text) {
    cst_voice *flite_voice = voice_of(voice->speaker);
    cst_utterance *utterance = new_utterance();
    utt_set_input_text(utterance, text);
    utt_init(utterance, flite_voice);
    feat_set_float(utterance->features, "duration_stretch", (float)voice->stretch);
    if (voice->speaker == 0) /* the diphone voice takes a target pitch, the statistical ones a factor */
        feat_set_float(utterance->features, "int_f0_target_mean", 105.0f * (float)voice->pitch);
    else
        feat_set_float(utterance->features, "f0_shift", (float)voice->pitch);
    if (utt_synth(utterance)) return utterance;
    delete_utterance(utterance);
    return NULL;
}

static int is_pause(const char *name) { return !strcmp(name, "pau") || !strcmp(name, "ssil"); }

/* Collects the phones without the pauses at both ends; times still count from the wave's start. Returns 0 if nothing
   was said. */
static int collect_phones(cst_utterance *utterance, struct script_speech *speech) {
    cst_relation *segments = utt_relation(utterance, "Segment");
    int count = 0;
    for (const cst_item *s = relation_head(segments); s; s = item_next(s)) count++;
    speech->phones = calloc((size_t)count + 1, sizeof *speech->phones);
    if (!speech->phones) return 0;
    float start = 0;
    for (const cst_item *s = relation_head(segments); s; s = item_next(s)) {
        struct script_phone *p = &speech->phones[speech->phone_count];
        snprintf(p->name, sizeof p->name, "%s", item_feat_string(s, "name"));
        p->start = start;
        p->end = start = item_feat_float(s, "end");
        const char *vowel = ffeature_string(s, "ph_vc"), *stress = ffeature_string(s, "R:SylStructure.parent.stress");
        p->stressed = vowel[0] == '+' && stress[0] == '1';
        if (speech->phone_count || !is_pause(p->name)) speech->phone_count++;
    }
    while (speech->phone_count && is_pause(speech->phones[speech->phone_count - 1].name)) speech->phone_count--;
    return speech->phone_count;
}

/* Copies the samples from a little before the first phone to a little after the last, at the same loudness for all. */
static int collect_samples(const cst_wave *wave, struct script_speech *speech) {
    const float margin = 0.03f;
    float first = speech->phones[0].start, last = speech->phones[speech->phone_count - 1].end;
    long from = lroundf((first > margin ? first - margin : 0) * (float)wave->sample_rate);
    long to = lroundf((last + margin) * (float)wave->sample_rate);
    if (to > wave->num_samples) to = wave->num_samples;
    if (to <= from) return 0;
    speech->samples = to - from;
    speech->pcm = malloc((size_t)speech->samples * sizeof *speech->pcm);
    if (!speech->pcm) return 0;
    double energy = 0;
    for (long i = from; i < to; i++) energy += (double)wave->samples[i] * wave->samples[i];
    double gain = energy > 0 ? SCRIPT_LOUDNESS / sqrt(energy / (double)(to - from)) : 0;
    for (long i = from; i < to; i++) speech->pcm[i - from] = (float)fmin(1, fmax(-1, gain * (double)wave->samples[i]));
    float shift = (float)from / (float)wave->sample_rate;
    for (int i = 0; i < speech->phone_count; i++) speech->phones[i].start -= shift, speech->phones[i].end -= shift;
    return 1;
}

int script_say(struct script_speech *speech, const struct script_voice *voice, const char *text, unsigned noise_seed) {
    memset(speech, 0, sizeof *speech);
    pthread_mutex_lock(&flite_lock);
    flite_init();
    srand(noise_seed);
    cst_utterance *utterance = synthesise(voice, text);
    int said = utterance && utt_wave(utterance)->sample_rate == AUDIO_RATE && utt_wave(utterance)->num_channels == 1 &&
               collect_phones(utterance, speech) && collect_samples(utt_wave(utterance), speech);
    if (utterance) delete_utterance(utterance);
    pthread_mutex_unlock(&flite_lock);
    if (said) return OK;
    script_free(speech);
    return error_set(ERR_INPUT, "flite could not say \"%s\"", text);
}

void script_free(struct script_speech *speech) {
    free(speech->pcm);
    free(speech->phones);
    memset(speech, 0, sizeof *speech);
}
