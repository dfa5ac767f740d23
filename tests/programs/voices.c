/* voices.c: not a test but a source of speech for scripts: both voices of a generated dialogue (data/puppet.h), one
   over the other, as raw 16-bit PCM at 16 kHz on standard output, so that somebody speaks nearly all the time.
   usage: voices SEED SECONDS */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "data/puppet.h"

int main(int argc, char **argv) {
    struct puppet *puppet;
    if (argc != 3 || puppet_open(&puppet, (uint64_t)atoi(argv[1]), 0, 0, atof(argv[2]))) {
        fprintf(stderr, "voices: %s\n", argc != 3 ? "usage: voices SEED SECONDS" : error_text());
        return 2;
    }
    const float *agent = puppet_pcm(puppet, PUPPET_AGENT), *user = puppet_pcm(puppet, PUPPET_USER);
    long samples = (long)puppet_frames(puppet) * AUDIO_SAMPLES_PER_FRAME;
    for (long i = 0; i < samples; i++) {
        float sum = fmaxf(-1, fminf(1, agent[i] + user[i]));
        int16_t sample = (int16_t)lrintf(32767 * sum);
        fwrite(&sample, sizeof sample, 1, stdout);
    }
    puppet_close(puppet);
    return ferror(stdout) || fflush(stdout) ? 3 : 0;
}
