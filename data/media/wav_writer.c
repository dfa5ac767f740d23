/* wav_writer.c: writes sound into wav files: 16 kHz, 16 bit. See media.h. */
#include "data/media.h"

#include <math.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/media_rates.h"

static void put_little(unsigned char *to, unsigned long value, int bytes) {
    for (int i = 0; i < bytes; i++) to[i] = (unsigned char)(value >> 8 * i);
}

int audio_write_wav(const char *path, const float *pcm, long samples, int channels) {
    if (channels < 1 || samples < 0 || samples > 0x7fffff00L / (2 * channels))
        return error_set(ERR_USAGE, "%s: a wav file cannot hold %ld samples of %d channels", path, samples, channels);
    struct file_writer w;
    unsigned long bytes = 2UL * (unsigned long)samples * (unsigned long)channels;
    unsigned char head[44] = "RIFF....WAVEfmt ....";
    put_little(head + 4, 36 + bytes, 4);
    put_little(head + 16, 16, 4);
    put_little(head + 20, 1, 2); /* format 1: integers */
    put_little(head + 22, (unsigned long)channels, 2);
    put_little(head + 24, AUDIO_RATE, 4);
    put_little(head + 28, 2UL * AUDIO_RATE * (unsigned long)channels, 4);
    put_little(head + 32, 2UL * (unsigned long)channels, 2);
    put_little(head + 34, 16, 2);
    memcpy(head + 36, "data", 4);
    put_little(head + 40, bytes, 4);
    TRY(file_create(&w, path));
    fwrite(head, 1, sizeof head, w.file);
    for (long i = 0; i < samples * channels; i++) {
        float v = pcm[i] < 1 ? pcm[i] > -1 ? pcm[i] : -1 : 1;
        unsigned char two[2];
        put_little(two, (unsigned long)lrintf(v == v ? v * 32767 : 0), 2);
        fwrite(two, 1, 2, w.file);
    }
    return file_commit(&w);
}
