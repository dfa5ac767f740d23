/* codec_process.h: runs a student's codec in a process of its own, on a device of its own, so that the network has a
   GPU for itself. Latents go there through a pair of sockets, pictures of 8 bits come back in memory that both
   processes share. Callers that show pictures (codec_decode_bytes) use it like any other codec (codec.h); its frames
   are, bit for bit, those of a codec in this process on a device of the same kind with as many threads. It gives no
   float pixels.

   When one of the two dies, its sockets are closed. The codec's process sees that at once, prints a line to stderr and
   exits with code 5. This process sees it while it handles the present chunk or the next: an error (ERR_DEVICE) says
   how the other one died. SIGINT and SIGTERM to the codec's process are passed on to this one, which ends both. The
   shared memory has no name and vanishes with the processes. */
#ifndef INFER_CODEC_PROCESS_CODEC_PROCESS_H
#define INFER_CODEC_PROCESS_CODEC_PROCESS_H

#include "checkpoints/student.h"

struct codec_process;
/* Starts the process, which begins at once to open the codec of the student in `folder` on device number `device`
   (device_use) with `threads` threads. Call before this process's device_init and before it has threads. description
   names the codec's weights and the decoder to open; it and `folder` must outlive the process. ERR_DEVICE. */
int codec_process_start(struct codec_process **process, const char *folder,
                        const struct student_description *description, int device, int threads);
/* The function give_codec of session_options: waits until the other process has opened its codec, and makes a codec
   that stands for it. Sessions cannot share it. An error of the other process is returned as this one's. */
int codec_process_open(void *process, struct codec *codec);
/* The shared memory for a chunk's frames [H, W, 3]; decoding into it saves a copy. */
unsigned char *codec_process_frames(const struct codec_process *process);
long codec_process_number(const struct codec_process *process); /* the process's id */
/* Ends the other process and waits until it is gone. Call after codec_close; NULL is allowed. */
void codec_process_end(struct codec_process *process);

#endif
