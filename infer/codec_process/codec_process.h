/* codec_process.h: a student's codec in a process of its own, on a device of its own, so that the network has a GPU for
   itself: latents go there through a pair of sockets, pictures of 8 bits come back in memory that both share. To
   whoever shows pictures (codec_decode_bytes) it is a codec like any other (codec.h), and gives the same frames to the
   bit as one of this process on a device of the same kind with as many threads. It gives no float pixels.

   Ends: the sockets of a process that dies are closed. The codec's process finds that at once: a line on stderr and
   exit code 5. This one finds it with the chunk in hand, or the next: an error (ERR_DEVICE) that says how it died.
   SIGINT and SIGTERM to the codec's process are passed on to this one, which ends both. The shared memory has no name
   and goes with the processes. */
#ifndef INFER_CODEC_PROCESS_CODEC_PROCESS_H
#define INFER_CODEC_PROCESS_CODEC_PROCESS_H

#include "checkpoints/student.h"

struct codec_process;
/* Starts the process, which begins at once to open the codec of the student in `folder` on device number `device`
   (device_use) with so many threads. Called before this process's device_init and before it has threads. description:
   with the codec's weights and the decoder that are meant; both texts outlive the process. ERR_DEVICE. */
int codec_process_start(struct codec_process **process, const char *folder,
                        const struct student_description *description, int device, int threads);
/* For session_options: waits until the other process has opened the codec, and makes a codec of it. It cannot be
   shared. The error of the other process is this one's. */
int codec_process_open(void *process, struct codec *codec);
/* The shared memory, a chunk's frames [H, W, 3]: whoever decodes into it is spared a copy. */
unsigned char *codec_process_frames(const struct codec_process *process);
long codec_process_number(const struct codec_process *process); /* of the process, as the system counts */
/* Ends the other process and waits for it: nothing is left of it. After codec_close; NULL is allowed. */
void codec_process_end(struct codec_process *process);

#endif
