/* interleaving.h: how fast a sound's clock runs where its container states no times of its own. A track of PCM in
   QuickTime, and any sound in AVI, is a bare row of samples: what was recorded with a clock half a percent off claims
   to last half a percent longer than its pictures. A recorder writes sound and pictures as they come, though, so that
   the place of each piece of sound between the pictures says when it was heard, to a picture's duration. */
#ifndef DATA_INTERLEAVING_H
#define DATA_INTERLEAVING_H

#include <libavformat/avformat.h>

/* By how much time passes faster than the stamps of `sound` say, as a part of it: 0.005 where a second by them is
   1.005 s by the pictures. 0 where the container states times, or where its order does not tell: it is no even
   interleaving, the drift is not clear of the scatter, or the lengths of sound and pictures do not bear it out, which
   is what `doubtful` says. Reads the container's index alone, which is in memory once the file is open. */
double interleaved_drift(const AVFormatContext *format, const AVStream *sound, int *doubtful);

#endif
