/* change_file.h: reads a script of changes while streaming: a table (base/csv.h) with the columns time,what,value.

     time        seconds of video, not falling from row to row; the change takes effect with the first chunk whose first
                 frame has this time or a later one
     what        reference: value is the path of a picture or video; prompt: a text or name of the file of prompts;
                 talk, listen: guidance of the agent's and of the user's sound, 0 to SESSION_GUIDANCE_MAX */
#ifndef INFER_CHANGE_FILE_H
#define INFER_CHANGE_FILE_H

#include "infer/session.h"

enum change_what { CHANGE_REFERENCE, CHANGE_PROMPT, CHANGE_TALK, CHANGE_LISTEN, CHANGES };
struct change {
    double time;
    enum change_what what;
    double strength; /* value with talk and listen */
    char *text;      /* path or prompt; NULL with talk and listen */
};
enum { CHANGES_MAX = 1000 };
struct change_list {
    struct change *change;
    int count, done; /* rows; how many have been made */
    double guidance[AUDIO_STREAMS];
};
/* Reads a script. ERR_INPUT names the file, the line and what is wrong there. Nothing but the table is looked at. */
int change_list_read(struct change_list *list, const char *path);
void change_list_free(struct change_list *list);
/* Looks whether each picture and prompt can be read, so that a mistake shows before the stream begins. */
int change_list_check(const struct change_list *list, const struct session *session);
/* 1: a change is due before the chunk whose first video frame is this one. */
int change_list_due(const struct change_list *list, long frame);
/* Makes those changes of the session, in the order of the rows. An error leaves a row without effect; the rows before
   and after it have theirs if it is called again. */
int change_list_make(struct change_list *list, struct session *session, long frame);

#endif
