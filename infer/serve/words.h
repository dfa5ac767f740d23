/* words.h: writes the text messages that the server sends (docs/protocol.md). Each is malloc'd; NULL: out of memory. */
#ifndef INFER_SERVE_WORDS_H
#define INFER_SERVE_WORDS_H

#include <stdint.h>

struct words_created {
    const char *session, *token, *codec, *decoder, *agent; /* agent: "", "say", "echo", "command" */
    int resumed, resume_seconds, width, height, agent_rate, user_rate;
    int64_t chunk_us, ahead_us, lead_us;
    uint32_t next_agent, next_user; /* sequence numbers that are expected next */
};
char *words_created(const struct words_created *created);
/* Times of what happened to the chunk whose first picture has the media time from_us: the server's wall clock in
   microseconds; 0: not said. */
struct words_chunk {
    int64_t from_us, user_us, agent_us, due_us, begun_us, made_us, coded_us;
    int64_t lead_us; /* media time that the client had in hand when the chunk was due */
};
char *words_chunk(const struct words_chunk *chunk);
/* session.changed: the pictures from this media time on are made with the change. */
char *words_changed(int64_t from_us);
char *words_queued(int place, const char *token);
char *words_state(const char *state, uint32_t turn, int64_t from_us);
char *words_started(uint32_t turn, int64_t position_us);
/* playback.finished. next_us 0: the client has nothing of the turn. */
char *words_finished(uint32_t turn, int64_t position_us, int interrupted, int64_t next_us);
/* clock. client_us: time in the client's question, which is sent back; negative: nobody asked. */
char *words_clock(int64_t server_us, int64_t media_us, int64_t client_us);
/* Answer to GET /v1/access: whether a token is asked for, whether the request may do everything, whether its host holds
   too many connections. */
char *words_access(int token, int authorized, int crowded);
/* text: words that the user or the agent said; turn 0: they belong to no turn. */
char *words_text(const char *text, int from_user, uint32_t turn);
char *words_end(long samples);      /* audio.end; samples of the turn, -1: left out */
char *words_only(const char *type); /* a message that has a type and nothing else */
char *words_error(const char *code, const char *message, int fatal);

#endif
