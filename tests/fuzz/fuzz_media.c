/* fuzz_media.c: what we read of pictures and sound ourselves; the rest is libav's. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "data/media/byte_source.h"
#include "data/media/orientation.h"
#include "data/media/wav_head.h"
#include "tools/prepare/faces.h"

int fuzz_picture(const unsigned char *data, size_t size) {
    int number = exif_orientation(data, size);
    fuzz_promise(number >= 1 && number <= 8, "an orientation is 1 to 8");
    return number > 1;
}

int fuzz_wav_head(const unsigned char *data, size_t size) {
    struct byte_source source;
    struct wav_head head;
    unsigned char rest[256];
    if (byte_source_open(&source, fuzz_file("pipe.wav", data, size))) return 0;
    int taken = wav_head_take(&head, &source);
    if (taken) fuzz_promise(head.samples && head.channels > 0 && head.rate > 0, "samples are told");
    long n = byte_source_read(&source, rest, sizeof rest);
    if (!taken && n > 0) fuzz_promise(!memcmp(rest, data, (size_t)n), "what is no wav is left as it was");
    byte_source_close(&source);
    return taken;
}

int fuzz_box_csv(const unsigned char *data, size_t size) {
    struct video_face *faces;
    long count;
    if (faces_read(fuzz_file("clip.box.csv", data, size), 2, &faces, &count)) return 0;
    for (long f = 0; f < count; f++)
        fuzz_promise(faces[f].height >= 0 && faces[f].height < 1e8 && faces[f].x == faces[f].x, "windows are numbers");
    free(faces);
    return 1;
}
