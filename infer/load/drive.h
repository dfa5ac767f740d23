/* drive.h: the sockets of a load: hundreds of clients in one thread, through libwebsockets. Memory is bounded by the
   number of clients that are present: of a unit that comes only the header is kept, of a text at most what the protocol
   allows. */
#ifndef INFER_LOAD_DRIVE_H
#define INFER_LOAD_DRIVE_H

#include "infer/load/load_options.h"
#include "infer/load/target.h"
#include "infer/load/visitor.h"

/* Carries out the visits and returns when the last one has left, or when the program was asked to end
   (base/interrupt.h). The results are in the company's tally. ERR_DEVICE: the server is gone. */
int drive(struct company *company, const struct target *target, const struct load_options *options,
          const struct visit *visits, long count);

#endif
