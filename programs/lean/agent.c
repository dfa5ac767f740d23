/* agent.c: the agent that `serve` starts for a session: it speaks typed words through the synthesiser flite, or repeats
   what the user says. It is a program of its own, so that its crash ends a turn and not the server. Its descriptors
   are those of docs/serving.md: 0 the user's sound at 16 kHz, 1 the agent's at 24 kHz, 3 and 4 JSON lines. It ends when
   0 or 3 ends. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "data/puppet_script.h"
#include "infer/serve/lines.h"
#include "infer/serve/message.h"
#include "infer/serve/resample.h"
#include "infer/serve/talk.h"
#include "infer/serve/words.h"

enum { SOUND = 0, SPEECH = 1, HEARS = 3, TELLS = 4 };
enum {
    PHRASE_MAX = 300, /* bytes that are synthesised at once; short, because a phrase is heard only when it is made */
    TEXTS_MAX = 64,   /* texts that may wait */
    ECHO_FRAMES = 15  /* frames (600 ms) that are kept until it is certain that someone talks */
};
static const char *const voices[] = {"kal", "slt", "rms", "awb", NULL};
static struct agent_options { int voice; } options;
#define FIELDS_OF struct agent_options
static const struct config_field keys[] = {
    CHOICE("voice", voice, voices, "slt", "One of flite's voices: kal, rms and awb are men's, slt is a woman's."),
};

static struct agent {
    char *texts[TEXTS_MAX]; /* ring */
    int text_first, text_count;
    size_t text_at;       /* place in the first text where its next phrase begins */
    unsigned char *sound; /* s16le at 24 kHz that is still to be written */
    size_t sound_bytes, sound_at;
    long turn_bytes; /* bytes of this turn's sound that are written */
    struct lines lines;
} a;

/* ---- telling ---- */

static int write_all(int to, const char *bytes, size_t length) {
    while (length) {
        ssize_t n = write(to, bytes, length);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return 0;
        bytes += n;
        length -= (size_t)n;
    }
    return 1;
}

static void tell(char *message) {
    if (message && write_all(TELLS, message, strlen(message))) write_all(TELLS, "\n", 1);
    free(message);
}

/* ---- sound ---- */

/* Brings sound at 16 kHz to 24 kHz and appends it to what is still to be written. */
static int add_sound(struct resampler *r, const float *pcm, long samples) {
    float *fast = malloc(sizeof *fast * (size_t)(2 * samples + 2));
    unsigned char *sound = realloc(a.sound, a.sound_bytes + 4 * (size_t)samples + 4);
    if (sound) a.sound = sound;
    if (!fast || !sound) {
        free(fast);
        return error_set(ERR_DEVICE, "out of memory for sound");
    }
    long made = resample_up(r, pcm, samples, fast);
    for (long i = 0; i < made; i++) {
        float v = fast[i] * 32768;
        int sample = v > 32767 ? 32767 : v < -32768 ? -32768 : (int)v;
        a.sound[a.sound_bytes++] = (unsigned char)sample;
        a.sound[a.sound_bytes++] = (unsigned char)((unsigned)sample >> 8);
    }
    free(fast);
    return OK;
}

/* Says that the turn is over, and how many samples it had; unknown (-1) where an interruption left half a sample. */
static void end_turn(void) {
    tell(words_end(a.turn_bytes % 2 ? -1 : a.turn_bytes / 2));
    a.turn_bytes = 0;
}

static void drop_sound(void) { a.sound_bytes = a.sound_at = 0; }

/* Writes as much as the pipe takes. 0: nobody reads it any more. */
static int send_sound(void) {
    ssize_t n = write(SPEECH, a.sound + a.sound_at, a.sound_bytes - a.sound_at);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    a.sound_at += (size_t)n;
    a.turn_bytes += n;
    if (a.sound_at == a.sound_bytes) drop_sound();
    return 1;
}

/* ---- saying words ---- */

/* Length of the phrase that a text begins with: up to the end of a sentence, or to a space where that is too far. */
static size_t phrase_length(const char *text) {
    size_t space = 0;
    for (size_t i = 0; text[i]; i++) {
        if (strchr(".!?;:\n", text[i]) && (!text[i + 1] || strchr(" \t\n", text[i + 1]))) return i + 1;
        if (text[i] == ' ') space = i + 1;
        if (i + 1 >= PHRASE_MAX && space) return space;
        if (i + 1 >= 2 * PHRASE_MAX && ((unsigned char)text[i + 1] & 0xc0) != 0x80) return i + 1;
    }
    return strlen(text);
}

/* Synthesises a phrase; one that flite has no sound for, a smiley for example, is silence. */
static int add_phrase(struct resampler *r, const char *text, size_t length) {
    const struct script_voice voice = {options.voice, 1, 1};
    const float pause[AUDIO_RATE / 5] = {0};
    struct script_speech speech;
    char *phrase = strndup(text, length);
    if (!phrase) return error_set(ERR_DEVICE, "out of memory for words");
    int said = phrase[strspn(phrase, " \t\n.!?;:,-")] && !script_say(&speech, &voice, phrase, 1);
    int code = said ? add_sound(r, speech.pcm, speech.samples) : OK;
    if (said) script_free(&speech);
    free(phrase);
    return code ? code : add_sound(r, pause, AUDIO_RATE / 5);
}

static void drop_text(void) {
    free(a.texts[a.text_first]);
    a.text_first = (a.text_first + 1) % TEXTS_MAX;
    a.text_count--;
    a.text_at = 0;
}

/* Speaks the next phrase of the first text; after its last phrase the turn is over. */
static int go_on(void) {
    static struct resampler resampler;
    const char *text = a.texts[a.text_first];
    if (!a.text_at) tell(words_text(text, 0, 0));
    if (!text[a.text_at]) {
        end_turn();
        drop_text();
        return OK;
    }
    size_t length = phrase_length(text + a.text_at);
    TRY(add_phrase(&resampler, text + a.text_at, length));
    a.text_at += length;
    return OK;
}

static void interrupt(void) {
    drop_sound();
    while (a.text_count) drop_text();
    end_turn();
}

static void take_line(const char *line, int says) {
    struct message m;
    if (message_parse(&m, line, strlen(line))) {
        fprintf(stderr, "agent: %s\n", error_text());
        return;
    }
    if (m.type == MESSAGE_INTERRUPT) interrupt();
    if (m.type == MESSAGE_TEXT && says && a.text_count < TEXTS_MAX) {
        a.texts[(a.text_first + a.text_count++) % TEXTS_MAX] = m.text;
        m.text = NULL;
    }
    message_free(&m);
}

/* ---- saying what the user says ---- */

struct echo {
    struct talk talk;
    struct resampler resampler;
    float kept[ECHO_FRAMES * AUDIO_SAMPLES_PER_FRAME]; /* sound from before it was certain that someone talks */
    long kept_count;
};

/* Keeps the newest sound while nobody talks: a word is recognised as one only a while after it began, and its beginning
   must be repeated too. */
static int keep(struct echo *e, const float *pcm, long samples) {
    long most = (long)(sizeof e->kept / sizeof *e->kept), over = e->kept_count + samples - most;
    if (over > 0) {
        e->kept_count -= over;
        memmove(e->kept, e->kept + over, sizeof *e->kept * (size_t)e->kept_count);
    }
    memcpy(e->kept + e->kept_count, pcm, sizeof *pcm * (size_t)samples);
    e->kept_count += samples;
    return OK;
}

static int echo_sound(struct echo *e, const float *pcm, long samples) {
    for (long taken; samples > 0; pcm += taken, samples -= taken) {
        enum talk_event event = talk_push(&e->talk, pcm, samples, &taken);
        if (event == TALK_BEGINS) {
            TRY(add_sound(&e->resampler, e->kept, e->kept_count));
            e->kept_count = 0;
        }
        TRY(e->talk.talks ? add_sound(&e->resampler, pcm, taken) : keep(e, pcm, taken));
        if (event != TALK_ENDS) continue;
        while (a.sound_bytes && send_sound()) poll(&(struct pollfd){SPEECH, POLLOUT, 0}, 1, -1);
        end_turn();
    }
    return OK;
}

/* Reads the user's sound. 0: there is no more. With `echo` NULL it is thrown away. */
static int take_sound(struct echo *echo) {
    enum { PIECE = AUDIO_SAMPLES_PER_FRAME };
    static unsigned char bytes[2 * PIECE];
    static size_t have;
    float pcm[PIECE];
    ssize_t n = read(SOUND, bytes + have, sizeof bytes - have);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    have += (size_t)n;
    long samples = (long)have / 2;
    for (long i = 0; i < samples; i++) pcm[i] = (float)(int16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8) / 32768.f;
    bytes[0] = have % 2 ? bytes[have - 1] : 0;
    have %= 2;
    return n && (!echo || !echo_sound(echo, pcm, samples));
}

/* ---- the programs ---- */

/* Makes a sound beforehand, so that the first phrase need not wait until the voice's tables are read from the disk. */
static void warm_up(void) {
    const struct script_voice voice = {options.voice, 1, 1};
    struct script_speech speech;
    if (!script_say(&speech, &voice, "a", 1)) script_free(&speech);
}

/* Speaks texts until it is told to stop; with `echo` repeats the user's words instead. */
static int converse(struct echo *echo) {
    if (fcntl(HEARS, F_GETFD) < 0 || fcntl(TELLS, F_GETFD) < 0)
        return error_set(ERR_USAGE, "descriptors 3 and 4 are not open: serve starts this program (agent=say)");
    fcntl(SPEECH, F_SETFL, O_NONBLOCK);
    if (!echo) warm_up();
    for (;;) {
        struct pollfd look[] = {{SOUND, POLLIN, 0}, {HEARS, POLLIN, 0}, {a.sound_bytes ? SPEECH : -1, POLLOUT, 0}};
        int busy = !a.sound_bytes && a.text_count;
        if (poll(look, 3, busy ? 0 : -1) < 0 && errno != EINTR) return error_set(ERR_DEVICE, "poll failed");
        if (look[0].revents && !take_sound(echo)) return OK;
        if (look[1].revents && lines_fill(&a.lines, HEARS) < 0) return OK;
        for (char *line; (line = lines_next(&a.lines));) take_line(line, !echo);
        if (a.sound_bytes && look[2].revents && !send_sound()) return OK;
        if (!a.sound_bytes && a.text_count) TRY(go_on());
    }
}

/* Speaks lines of standard input to standard output. */
static int speak(void) {
    static struct resampler resampler;
    char *line = NULL;
    size_t size = 0;
    int code = OK;
    while (!code && getline(&line, &size, stdin) > 0) {
        for (size_t at = 0, length; !code && line[at]; at += length) {
            length = phrase_length(line + at);
            code = add_phrase(&resampler, line + at, length);
            if (!code && !write_all(SPEECH, (const char *)a.sound, a.sound_bytes))
                code = error_set(ERR_DEVICE, "cannot write the sound");
            drop_sound();
        }
    }
    free(line);
    return code;
}

static int run(const char *what) {
    static struct echo echo;
    talk_reset(&echo.talk);
    if (!strcmp(what, "say")) return converse(NULL);
    if (!strcmp(what, "echo")) return converse(&echo);
    if (!strcmp(what, "speak")) return speak();
    return error_set(ERR_USAGE, "%s: expected say, echo or speak", what);
}

int main(int argc, char **argv) {
    const struct command command = {
        .name = "agent",
        .does = "Speaks in a session of serve: typed words, or what the user says.",
        .words = "say|echo|speak",
        .min_words = 1,
        .max_words = 1,
        .text =
            "say    speaks typed words through flite; serve starts it with agent=say\n"
            "echo   repeats what the user says into the microphone; serve starts it with agent=echo\n"
            "speak  reads lines from standard input and writes them, spoken, to standard output as 16-bit mono PCM at\n"
            "       24 kHz, for agents of your own\n"
            "What serve gives an agent and takes from it is in docs/serving.md.\n",
        .keys = keys,
        .key_count = FIELDS(keys)};
    struct args args;
    int code = args_parse(&args, &command, &options, argc, argv);
    if (code || args.done) return args_exit("agent", code);
    code = run(args.words[0]);
    free(a.sound);
    while (a.text_count) drop_text();
    return args_exit("agent", code);
}
