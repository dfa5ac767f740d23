/* puppet.c: a dialogue in time: who speaks when, and how the body moves with it. See puppet.h.
   Motion is computed on ticks of 10 ms (a video frame is 4) from the sound: the agent's phones drive mouth and hands,
   the user's drive the nods, each through a short Gaussian, so that all of it can be learned from the two voices near
   the frame. Motion that cannot be learned (sway, glances, blinks) is small. */
#include "data/puppet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/puppet_drawing.h"
#include "data/puppet_script.h"
#include "data/puppet_unspoken.h"

const char *const puppet_worlds[] = {"plain", "hard", NULL};
enum { TICKS = 100, FRAME_TICKS = TICKS / VIDEO_RATE };

struct line { /* a spoken sentence */
    float start, end;
    enum puppet_track track;
    char text[SCRIPT_TEXT];
};
struct signals { /* one voice's signals, a value for each tick */
    float *mouth, *round, *stress, *speaking;
};
struct puppet {
    uint64_t seed;
    enum puppet_world world;
    int draw, identity, utterance, frames, ticks, line_count;
    double seconds;
    long samples;
    float *pcm[2], *mask[2];
    struct signals voice[2];
    struct puppet_pose *truth;
    struct line *lines;
    struct puppet_looks looks;
    struct picture_view view;
    struct puppet_canvas *canvas; /* canvas of the size last drawn */
    int height, width;
    int spoil; /* bits of enum puppet_spoil */
};

/* ---- speech on the time line ---- */

/* Mouth opening and lip rounding of each phone. */
static const struct viseme {
    const char *name;
    float mouth, round;
} visemes[] = {{"aa", 1.00f, 0.1f}, {"ae", 0.95f, 0.0f}, {"ah", 0.75f, 0.1f}, {"ao", 0.90f, 0.6f}, {"aw", 0.90f, 0.4f},
               {"ax", 0.50f, 0.1f}, {"ay", 0.90f, 0.0f}, {"eh", 0.70f, 0.0f}, {"er", 0.40f, 0.4f}, {"ey", 0.55f, 0.0f},
               {"ih", 0.38f, 0.0f}, {"iy", 0.28f, 0.0f}, {"ow", 0.62f, 0.9f}, {"oy", 0.65f, 0.8f}, {"uh", 0.38f, 0.7f},
               {"uw", 0.25f, 1.0f}, {"p", 0, 0.2f},      {"b", 0, 0.2f},      {"m", 0, 0.2f},      {"f", 0.06f, 0.1f},
               {"v", 0.06f, 0.1f},  {"w", 0.12f, 1.0f},  {"y", 0.22f, 0.0f},  {"r", 0.25f, 0.5f},  {"l", 0.28f, 0.1f},
               {"hh", 0.40f, 0.1f}, {"ch", 0.14f, 0.5f}, {"jh", 0.14f, 0.5f}, {"sh", 0.14f, 0.6f}, {"zh", 0.14f, 0.6f},
               {"s", 0.12f, 0.0f},  {"z", 0.12f, 0.0f},  {"t", 0.16f, 0.0f},  {"d", 0.16f, 0.0f},  {"n", 0.18f, 0.0f},
               {"th", 0.18f, 0.0f}, {"dh", 0.18f, 0.0f}, {"k", 0.22f, 0.1f},  {"g", 0.22f, 0.1f},  {"ng", 0.24f, 0.1f}};

static struct viseme viseme_of(const char *phone) {
    for (size_t i = 0; i < sizeof visemes / sizeof *visemes; i++)
        if (!strcmp(visemes[i].name, phone)) return visemes[i];
    return (struct viseme){"pau", 0, 0.1f};
}

/* Writes a spoken sentence into the track from `start` seconds on; anything beyond the track's end is dropped. */
static void place_speech(struct puppet *p, enum puppet_track track, double start, const struct script_speech *speech) {
    long first = lround(start * AUDIO_RATE);
    for (long i = 0; i < speech->samples && first + i < p->samples; i++) p->pcm[track][first + i] += speech->pcm[i];
    for (int i = 0; i < speech->phone_count; i++) {
        const struct script_phone *phone = &speech->phones[i];
        struct viseme aim = viseme_of(phone->name);
        long from = lround((start + phone->start) * TICKS), to = lround((start + phone->end) * TICKS);
        for (long t = from; t < to && t < p->ticks; t++) {
            p->voice[track].mouth[t] = aim.mouth;
            p->voice[track].round[t] = aim.round;
            p->voice[track].stress[t] = (float)phone->stressed;
            p->voice[track].speaking[t] = 1;
        }
    }
}

/* A frame belongs to a party's speech when at least half of its ticks do. */
static void mark_speech(struct puppet *p) {
    for (int track = 0; track < 2; track++)
        for (int i = 0; i < p->frames; i++) {
            float sum = 0;
            for (int t = 0; t < FRAME_TICKS; t++) sum += p->voice[track].speaking[i * FRAME_TICKS + t];
            p->mask[track][i] = sum >= FRAME_TICKS / 2;
        }
}

struct turn_state {
    struct puppet_dice dice;
    struct script_voice voices[2];
    unsigned noise_seed;
};

/* Says a text at `start`; *end is when it ends. */
static int speak(struct puppet *p, struct turn_state *state, enum puppet_track track, double start, const char *text,
                 double *end) {
    struct script_speech speech;
    TRY(script_say(&speech, &state->voices[track], text, ++state->noise_seed));
    place_speech(p, track, start, &speech);
    *end = start + (double)speech.samples / AUDIO_RATE;
    script_free(&speech);
    if (p->line_count % 64 == 0) {
        struct line *more = realloc(p->lines, (size_t)(p->line_count + 64) * sizeof *more);
        if (!more) return error_set(ERR_DEVICE, "puppet: out of memory");
        p->lines = more;
    }
    struct line *line = &p->lines[p->line_count++];
    *line = (struct line){.start = (float)start, .end = (float)*end, .track = track};
    memcpy(line->text, text, SCRIPT_TEXT);
    return OK;
}

/* The plain world's turns: one sentence each, with pauses between them; now and then the listener puts a word in, or
   nobody speaks for a while. */
static int take_short_turns(struct puppet *p, struct turn_state *state, double seconds) {
    enum puppet_track speaker = puppet_pick(&state->dice, 2) ? PUPPET_USER : PUPPET_AGENT;
    double now = puppet_roll(&state->dice, 0.1, 0.5);
    while (now < seconds) {
        char text[SCRIPT_TEXT] = {0}, word[SCRIPT_TEXT] = {0};
        double end, word_end;
        script_sentence(&state->dice, text);
        script_backchannel(&state->dice, word);
        double interjects = puppet_roll(&state->dice, 0, 1), at = puppet_roll(&state->dice, 0.5, 0.8);
        TRY(speak(p, state, speaker, now, text, &end));
        if (interjects < (speaker == PUPPET_USER ? 0.25 : 0.10)) {
            double when = now + at * (end - now);
            TRY(speak(p, state, speaker == PUPPET_USER ? PUPPET_AGENT : PUPPET_USER, when, word, &word_end));
            end = fmax(end, word_end);
        }
        double pause = puppet_roll(&state->dice, 0.3, 0.8), longer = puppet_roll(&state->dice, 0, 1);
        now = end + pause + (longer < 0.15 ? 1.0 : 0.0);
        if (puppet_roll(&state->dice, 0, 1) < 0.85) speaker = speaker == PUPPET_USER ? PUPPET_AGENT : PUPPET_USER;
    }
    return OK;
}

/* The hard world's turns: sentences for some seconds, the agent first. Four of ten pauses last for seconds, too. */
static int take_long_turns(struct puppet *p, struct turn_state *state, double seconds) {
    enum puppet_track speaker = PUPPET_AGENT;
    double now = puppet_roll(&state->dice, 0.4, 0.8);
    while (now < seconds) {
        double began = now, end = now;
        double least = speaker == PUPPET_USER ? puppet_roll(&state->dice, 3.2, 5) : puppet_roll(&state->dice, 2, 6);
        while (now < seconds && end - began < least) {
            char text[SCRIPT_TEXT] = {0};
            script_sentence(&state->dice, text);
            TRY(speak(p, state, speaker, now, text, &end));
            now = end + puppet_roll(&state->dice, 0.15, 0.30);
        }
        now = end + puppet_roll(&state->dice, 0.3, 0.8);
        double idle = puppet_roll(&state->dice, 0, 1), longer = puppet_roll(&state->dice, 2, 8);
        if (idle < 0.4) now = end + longer;
        speaker = speaker == PUPPET_USER ? PUPPET_AGENT : PUPPET_USER;
    }
    return OK;
}

static int hold_dialogue(struct puppet *p, double seconds) {
    struct puppet_dice voice = puppet_dice(p->seed, p->identity, -1, PUPPET_VOICE);
    struct turn_state state = {.dice = puppet_dice(p->seed, p->identity, p->utterance, PUPPET_SCRIPT),
                               .noise_seed = (unsigned)p->utterance * 7919u + (unsigned)p->identity};
    state.voices[PUPPET_AGENT].speaker = puppet_pick(&voice, SCRIPT_VOICES);
    state.voices[PUPPET_AGENT].stretch = puppet_roll(&voice, 0.95, 1.12);
    state.voices[PUPPET_AGENT].pitch = puppet_roll(&voice, 0.88, 1.15);
    state.voices[PUPPET_USER].speaker =
        (state.voices[PUPPET_AGENT].speaker + 1 + puppet_pick(&state.dice, SCRIPT_VOICES - 1)) % SCRIPT_VOICES;
    state.voices[PUPPET_USER].stretch = puppet_roll(&state.dice, 0.95, 1.12);
    state.voices[PUPPET_USER].pitch = puppet_roll(&state.dice, 0.88, 1.15);
    TRY(p->world == PUPPET_HARD ? take_long_turns(p, &state, seconds) : take_short_turns(p, &state, seconds));
    mark_speech(p);
    return OK;
}

/* ---- motion ---- */

/* Smooths `in` by a Gaussian of `sigma` seconds and delays it by `delay` seconds, into out; zeros are outside. */
static void smooth(float *out, const float *in, int ticks, double sigma, double delay) {
    int reach = (int)ceil(3 * sigma * TICKS), lag = (int)lround(delay * TICKS);
    double total = 0;
    for (int k = -reach; k <= reach; k++) total += exp(-0.5 * k * k / (sigma * sigma * TICKS * TICKS));
    memset(out, 0, (size_t)ticks * sizeof *out);
    for (int k = -reach; k <= reach; k++) {
        float weight = (float)(exp(-0.5 * k * k / (sigma * sigma * TICKS * TICKS)) / total);
        int shift = k + lag;
        for (int t = shift > 0 ? shift : 0; t < ticks && t - shift < ticks; t++) out[t] += weight * in[t - shift];
    }
}

/* Mean of a frame's ticks. */
static float frame_mean(const float *signal, int frame) {
    float sum = 0;
    for (int t = 0; t < FRAME_TICKS; t++) sum += signal[frame * FRAME_TICKS + t];
    return sum / FRAME_TICKS;
}

/* The signals that drive the body, a value for each tick. */
enum drive { MOUTH, ROUND, TALKING, BEAT, OPENNESS, EMPHASIS, LISTENING, USER_FAST, USER_SLOW, HEARING, DRIVES };

static void drive_body(const struct puppet *p, float *drive) {
    const struct signals *agent = &p->voice[PUPPET_AGENT], *user = &p->voice[PUPPET_USER];
    int n = p->ticks;
    smooth(drive + MOUTH * n, agent->mouth, n, 0.036, 0);
    smooth(drive + ROUND * n, agent->round, n, 0.045, 0);
    smooth(drive + TALKING * n, agent->speaking, n, 0.20, 0.12);
    smooth(drive + BEAT * n, agent->stress, n, 0.15, 0.10);
    smooth(drive + OPENNESS * n, agent->mouth, n, 0.22, 0.10);
    smooth(drive + EMPHASIS * n, agent->stress, n, 0.12, 0.04);
    smooth(drive + LISTENING * n, user->speaking, n, 0.20, 0.12);
    smooth(drive + USER_FAST * n, user->mouth, n, 0.16, 0.12);
    smooth(drive + USER_SLOW * n, user->mouth, n, 0.45, 0.12);
    smooth(drive + HEARING * n, user->speaking, n, 0.20, 0.45);
}

/* A slow wave between -1 and 1 of two seeded frequencies (Hz). */
struct wave {
    double frequency[2], phase[2];
};
static struct wave roll_wave(struct puppet_dice *dice, double low, double high) {
    struct wave wave;
    for (int i = 0; i < 2; i++) {
        wave.frequency[i] = puppet_roll(dice, low, high);
        wave.phase[i] = puppet_roll(dice, 0, 2 * M_PI);
    }
    return wave;
}
static double wave_at(const struct wave *wave, double seconds) {
    return 0.6 * sin(2 * M_PI * wave->frequency[0] * seconds + wave->phase[0]) +
           0.4 * sin(2 * M_PI * wave->frequency[1] * seconds + wave->phase[1]);
}

/* Lays out blinks: eyes shut for about a fifth of a second every few seconds. */
static void lay_blinks(struct puppet *p, struct puppet_dice *dice) {
    for (double at = puppet_roll(dice, 0.5, 3); at * VIDEO_RATE < p->frames; at += puppet_roll(dice, 2, 5))
        for (int i = 0; i < p->frames; i++) {
            double away = fabs((i + 0.5) / VIDEO_RATE - at) / 0.10;
            if (away < 1) p->truth[i].blink = fmaxf(p->truth[i].blink, (float)fmin(1, 1.6 * (1 - away)));
        }
}

static void pose_head(struct puppet_pose *pose, double sway, double bob, double tilt) {
    double turn = pose->turn;
    pose->head[0] = (float)(0.5 + 1.6 * sway + PUPPET_TURN_HEAD * turn);
    pose->head[1] = (float)(0.335 + bob + PUPPET_NOD_HEAD * pose->nod);
    pose->tilt = (float)tilt;
    double down[2] = {-sin(tilt), cos(tilt)}, face = PUPPET_NOD_FACE * pose->nod;
    double across[2] = {PUPPET_TURN_FACE * turn * cos(tilt), PUPPET_TURN_FACE * turn * sin(tilt)};
    for (int k = 0; k < 2; k++) {
        pose->eyes[k] = (float)(pose->head[k] + down[k] * (PUPPET_EYES_Y + face) + across[k]);
        pose->lips[k] = (float)(pose->head[k] + down[k] * (PUPPET_LIPS_Y + face) + across[k]);
    }
}

/* Slow waves of a dialogue, which no voice tells. */
struct waves {
    struct wave sway, breath, lean, glance, hands;
};

/* What both worlds' bodies do alike, once sway and turn are known: mouth, nods, and the head after them. */
static void pose_face(struct puppet_pose *pose, const float d[DRIVES], const struct waves *w, double now) {
    pose->mouth = fminf(1, d[MOUTH]);
    pose->round = d[ROUND];
    /* A nod for every swell of the user's voice above its slow mean. */
    pose->nod = fminf(1, fmaxf(0, 3.6f * (d[USER_FAST] - 0.75f * d[USER_SLOW])));
    double bob = 0.002 * wave_at(&w->breath, now) + 0.018 * d[EMPHASIS] * d[TALKING];
    pose_head(pose, pose->sway, bob, 0.025 * wave_at(&w->lean, now) + 0.03 * d[LISTENING]);
}

static void pose_plain(struct puppet_pose *pose, const float d[DRIVES], const struct waves *w, double now) {
    pose->sway = (float)(0.004 * wave_at(&w->sway, now));
    pose_face(pose, d, w, now);
    double attention = fmax(d[LISTENING], 0.4 * (1 - d[TALKING]));
    pose->gaze[0] = (float)((1 - attention) * 0.8 * wave_at(&w->glance, now));
    pose->gaze[1] = (float)(0.35 * d[TALKING] * wave_at(&w->lean, 3 * now));
    /* Hands rise while talking, swing out with open vowels and beat down on stressed ones. */
    double lift = d[TALKING], swing = d[OPENNESS] - 0.3 * d[TALKING], beat = d[BEAT] - 0.25 * d[TALKING];
    double drift = 0.010 * wave_at(&w->hands, now) * lift;
    double x = 0.165 + 0.050 * lift + 0.36 * swing, y = 0.930 - 0.140 * lift + 0.26 * beat - 0.18 * swing;
    pose->hand_left[0] = (float)(0.5 - x + pose->sway + drift);
    pose->hand_right[0] = (float)(0.5 + x + pose->sway + drift);
    pose->hand_left[1] = (float)(y + drift);
    pose->hand_right[1] = (float)(y - drift - 0.03 * lift * (1 - 2 * d[OPENNESS]));
}

/* Hands are out of the picture but for those that a sentence chose. */
static void pose_hard(struct puppet_pose *pose, const float d[DRIVES], const struct waves *w, double now,
                      const struct unspoken_frame *own) {
    pose->sway = (float)(0.010 * wave_at(&w->sway, now));
    pose->turn = own->turn;
    pose_face(pose, d, w, now);
    pose->blink = fminf(1, fmaxf(0, 4 * (d[HEARING] - 0.35f)));
    for (int k = 0; k < 2; k++) pose->gaze[k] = own->gaze[k];
    float *const hands[2] = {pose->hand_left, pose->hand_right};
    for (int h = 0; h < 2; h++) {
        double reach = own->reach[h], swing = d[OPENNESS] - 0.3 * d[TALKING], beat = d[BEAT] - 0.25 * d[TALKING];
        double drift = 0.010 * wave_at(&w->hands, now + 3 * h), x = 0.215 + reach * 0.20 * swing;
        double held = PUPPET_HAND_LOW - PUPPET_HAND_LIFT * reach + reach * 0.16 * beat + drift;
        hands[h][0] = (float)(0.5 + (h ? x : -x) + pose->sway + drift);
        hands[h][1] = (float)(PUPPET_HAND_AWAY + own->up[h] * (held - PUPPET_HAND_AWAY));
    }
}

/* Makes the hard world's choices, an array of all frames. */
static int choose(const struct puppet *p, struct unspoken_frame **out, struct puppet_dice *dice) {
    *out = malloc((size_t)p->frames * sizeof **out);
    struct unspoken_sentence *sentences = malloc((size_t)(p->line_count + 1) * sizeof *sentences);
    int count = 0, code = *out && sentences ? OK : error_set(ERR_DEVICE, "puppet: out of memory");
    for (int i = 0; i < p->line_count && !code; i++)
        if (p->lines[i].track == PUPPET_AGENT)
            sentences[count++] = (struct unspoken_sentence){(double)p->lines[i].start, (double)p->lines[i].end};
    if (!code) code = unspoken_fill(*out, p->frames, sentences, count, dice);
    free(sentences);
    return code;
}

static void pose_frames(struct puppet *p, const float *drive, const struct waves *waves,
                        const struct unspoken_frame *own) {
    for (int i = 0; i < p->frames; i++) {
        double now = (i + 0.5) / VIDEO_RATE;
        float d[DRIVES];
        for (int k = 0; k < DRIVES; k++) d[k] = frame_mean(drive + (size_t)k * (size_t)p->ticks, i);
        if (own)
            pose_hard(&p->truth[i], d, waves, now, &own[i]);
        else
            pose_plain(&p->truth[i], d, waves, now);
    }
}

static int move_body(struct puppet *p) {
    float *drive = malloc((size_t)DRIVES * (size_t)p->ticks * sizeof *drive);
    if (!drive) return error_set(ERR_DEVICE, "puppet: out of memory");
    drive_body(p, drive);
    struct puppet_dice dice = puppet_dice(p->seed, p->identity, p->utterance, PUPPET_MOTION);
    dice.address.step = (uint64_t)p->draw;
    struct waves waves;
    waves.sway = roll_wave(&dice, 0.10, 0.25), waves.breath = roll_wave(&dice, 0.2, 0.3);
    waves.lean = roll_wave(&dice, 0.1, 0.2);
    waves.glance = roll_wave(&dice, 0.15, 0.4), waves.hands = roll_wave(&dice, 0.2, 0.5);
    struct unspoken_frame *own = NULL;
    int code = p->world == PUPPET_HARD ? choose(p, &own, &dice) : OK;
    if (!code) {
        pose_frames(p, drive, &waves, own);
        lay_blinks(p, &dice);
    }
    free(own);
    free(drive);
    return code;
}

/* ---- the interface ---- */

static int allocate(struct puppet *p) {
    int good = (p->truth = calloc((size_t)p->frames, sizeof *p->truth)) != NULL;
    for (int track = 0; track < 2; track++) {
        struct signals *voice = &p->voice[track];
        float **each[] = {&voice->mouth, &voice->round, &voice->stress, &voice->speaking};
        for (int k = 0; k < 4; k++) good &= (*each[k] = calloc((size_t)p->ticks, sizeof(float))) != NULL;
        good &= (p->pcm[track] = calloc((size_t)p->samples, sizeof(float))) != NULL;
        good &= (p->mask[track] = calloc((size_t)p->frames, sizeof(float))) != NULL;
    }
    return good ? OK : error_set(ERR_DEVICE, "puppet: out of memory");
}

/* Takes the sound and what is known of it from another draw. */
static int take_voices(struct puppet *p, const struct puppet *of) {
    size_t ticks = (size_t)p->ticks * sizeof(float);
    for (int track = 0; track < 2; track++) {
        const struct signals *to = &p->voice[track], *from = &of->voice[track];
        memcpy(to->mouth, from->mouth, ticks), memcpy(to->round, from->round, ticks);
        memcpy(to->stress, from->stress, ticks), memcpy(to->speaking, from->speaking, ticks);
        memcpy(p->pcm[track], of->pcm[track], (size_t)p->samples * sizeof(float));
        memcpy(p->mask[track], of->mask[track], (size_t)p->frames * sizeof(float));
    }
    p->lines = malloc((size_t)(of->line_count + 1) * sizeof *p->lines);
    if (!p->lines) return error_set(ERR_DEVICE, "puppet: out of memory");
    memcpy(p->lines, of->lines, (size_t)of->line_count * sizeof *p->lines);
    p->line_count = of->line_count;
    return OK;
}

/* Fills the puppet; of: another draw of it, or NULL. */
static int fill(struct puppet *p, const struct puppet *of) {
    TRY(allocate(p));
    puppet_looks(&p->looks, p->seed, p->identity);
    if (p->world == PUPPET_HARD) puppet_details(&p->looks, p->seed, p->identity);
    TRY(of ? take_voices(p, of) : hold_dialogue(p, p->seconds));
    return move_body(p);
}

/* Opens a puppet whose numbers are those of `numbers`. */
static int open_puppet(struct puppet **puppet, const struct puppet *numbers, const struct puppet *of) {
    struct puppet *p = calloc(1, sizeof *p);
    *puppet = NULL;
    if (!p) return error_set(ERR_DEVICE, "puppet: out of memory");
    *p = *numbers;
    p->ticks = p->frames * FRAME_TICKS;
    p->samples = (long)p->frames * AUDIO_SAMPLES_PER_FRAME;
    int code = fill(p, of);
    if (code)
        puppet_close(p);
    else
        *puppet = p;
    return code;
}

int puppet_open(struct puppet **puppet, uint64_t seed, int identity, int utterance, double seconds) {
    return puppet_open_world(puppet, PUPPET_PLAIN, seed, identity, utterance, seconds);
}

int puppet_open_world(struct puppet **puppet, enum puppet_world world, uint64_t seed, int identity, int utterance,
                      double seconds) {
    *puppet = NULL;
    if (!(seconds >= 0.5 && seconds <= 3600))
        return error_set(ERR_USAGE, "puppet: %g seconds: expected 0.5 to 3600", seconds);
    const struct puppet numbers = {.seed = seed,
                                   .world = world,
                                   .identity = identity,
                                   .utterance = utterance,
                                   .seconds = seconds,
                                   .frames = (int)lround(seconds * VIDEO_RATE)};
    return open_puppet(puppet, &numbers, NULL);
}

int puppet_open_draw(struct puppet **puppet, const struct puppet *of, int draw) {
    const struct puppet numbers = {.seed = of->seed,
                                   .world = of->world,
                                   .draw = draw,
                                   .identity = of->identity,
                                   .utterance = of->utterance,
                                   .seconds = of->seconds,
                                   .frames = of->frames};
    return open_puppet(puppet, &numbers, of);
}

void puppet_close(struct puppet *p) {
    if (!p) return;
    for (int track = 0; track < 2; track++) {
        struct signals *voice = &p->voice[track];
        free(voice->mouth), free(voice->round), free(voice->stress), free(voice->speaking);
        free(p->pcm[track]), free(p->mask[track]);
    }
    puppet_canvas_close(p->canvas);
    free(p->truth), free(p->lines), free(p);
}

int puppet_frames(const struct puppet *puppet) { return puppet->frames; }
const float *puppet_pcm(const struct puppet *puppet, enum puppet_track track) { return puppet->pcm[track]; }
const float *puppet_mask(const struct puppet *puppet, enum puppet_track track) { return puppet->mask[track]; }
const struct puppet_pose *puppet_truth(const struct puppet *puppet) { return puppet->truth; }

void puppet_transcript(const struct puppet *puppet, FILE *file) {
    for (int i = 0; i < puppet->line_count; i++) {
        const struct line *line = &puppet->lines[i];
        fprintf(file, "%.2f %.2f %s %s\n", (double)line->start, (double)line->end,
                line->track == PUPPET_AGENT ? "agent" : "user", line->text);
    }
}

void puppet_vary(struct puppet *p, const struct picture_view *view) {
    p->view = *view;
    puppet_canvas_close(p->canvas);
    p->canvas = NULL;
}

void puppet_spoil(struct puppet *p, int spoil) { p->spoil = spoil; }
const struct puppet_looks *puppet_person(const struct puppet *p) { return &p->looks; }
enum puppet_world puppet_world(const struct puppet *p) { return p->world; }

static void drift(struct puppet *p, int frame) {
    struct puppet_looks looks = p->looks;
    puppet_dye(&looks, puppet_spoil_hue(p->seed, p->identity, p->utterance, frame));
    puppet_canvas_dress(p->canvas, &looks);
}

int puppet_draw(struct puppet *p, int frame, int height, int width, float *planar) {
    if (frame < 0 || frame >= p->frames) return error_set(ERR_USAGE, "puppet: no frame %d of %d", frame, p->frames);
    if (!p->canvas || p->height != height || p->width != width) {
        puppet_canvas_close(p->canvas);
        p->canvas = NULL;
        TRY(puppet_canvas_open(&p->canvas, height, width, &p->looks, &p->view));
        p->height = height, p->width = width;
    }
    if (p->spoil & PUPPET_SPOIL_DRIFT) drift(p, frame);
    puppet_canvas_draw(p->canvas, &p->truth[frame], planar);
    return p->spoil & PUPPET_SPOIL_HANDS ? puppet_spoil_blur(planar, height, width, &p->truth[frame], &p->view) : OK;
}
