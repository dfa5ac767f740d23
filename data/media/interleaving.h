/* interleaving.h: estimates the speed of a sound's clock where its container states no times for it. A track of PCM in
   QuickTime, and any sound in AVI, is a bare row of samples, so that sound recorded with a clock half a percent too
   fast seems to last half a percent longer than its pictures. But a recorder writes sound and pictures as they come:
   the place of each piece of sound between the pictures tells when it was heard, to within a picture's duration. */
#ifndef DATA_INTERLEAVING_H
#define DATA_INTERLEAVING_H

#include <libavformat/avformat.h>

/* Returns the drift of the sound's stamps against the pictures, as a fraction: 0.005 where a second by the stamps is
   1.005 s by the pictures. 0 where the container states times, or where its order does not tell: interleaving is
   uneven, the drift is not clear of the scatter, or the lengths of sound and pictures contradict it (*doubtful then
   says so). Reads only the container's index, which is in memory once the file is open. */
double interleaved_drift(const AVFormatContext *format, const AVStream *sound, int *doubtful);

#endif
