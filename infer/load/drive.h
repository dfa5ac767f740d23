/* drive.h: the sockets of a load: hundreds of clients in one thread, by libwebsockets. Memory is bounded by the clients
   that are present: of a unit that comes only the header is kept, of a text what the protocol allows. */
#ifndef INFER_LOAD_DRIVE_H
#define INFER_LOAD_DRIVE_H

#include "infer/load/load_options.h"
#include "infer/load/target.h"
#include "infer/load/visitor.h"

/* Makes the visits happen and returns when the last one has left, or when the program was asked to end
   (base/interrupt.h). The results are in the company's tally. */
int drive(struct company *company, const struct target *target, const struct load_options *options,
          const struct visit *visits, long count);

#endif
