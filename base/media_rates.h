/* media_rates.h: the rates of sound, pictures and latents: 16 kHz mono sound, 25 pictures a second, a
   latent frame of its own for the first picture and one for every four pictures after it. So F latent
   frames are 1 + 4 (F - 1) video frames. */
#ifndef BASE_MEDIA_RATES_H
#define BASE_MEDIA_RATES_H

enum { AUDIO_RATE = 16000, VIDEO_RATE = 25, AUDIO_SAMPLES_PER_FRAME = AUDIO_RATE / VIDEO_RATE };
enum { FRAMES_PER_LATENT = 4 };

#ifdef __CUDACC__
#define MEDIA_HD __host__ __device__ static inline
#else
#define MEDIA_HD static inline
#endif

/* Video frames of a clip of `latents` latent frames. It is also the number of the first
   video frame of latent frame `latents`, counted from 0. */
MEDIA_HD long video_frames(long latents) { return latents > 0 ? 1 + FRAMES_PER_LATENT * (latents - 1) : 0; }

/* Latent frames that are complete after `video` video frames of a clip. */
MEDIA_HD long latent_frames(long video) { return video > 0 ? 1 + (video - 1) / FRAMES_PER_LATENT : 0; }

/* Rows of sound features, one per video frame, that a latent frame hears: those of its own video frames and of
   AUDIO_MARGIN more on either side. Latent frame 0 has one video frame, so its window has AUDIO_WINDOW_FIRST rows. */
enum {
    AUDIO_MARGIN = 2,
    AUDIO_WINDOW = AUDIO_MARGIN + FRAMES_PER_LATENT + AUDIO_MARGIN,
    AUDIO_WINDOW_FIRST = AUDIO_MARGIN + 1 + AUDIO_MARGIN
};

/* How far latent frames hear: up to `ahead` video frames beyond the last one of their chunk. The first chunk, behind
   latent frame 0, has first_chunk latent frames, every other one has `chunk`; latent frame 0 hears as far as the first
   chunk, because the two are made together. chunk 0: there are no chunks, and nothing is cut off. */
struct audio_reach {
    int first_chunk, chunk, ahead;
};

/* Video frames, from the clip's first, that latent frame `latent` may hear; chunk is not 0. */
MEDIA_HD long audio_reach_end(struct audio_reach reach, long latent) {
    long behind = latent - reach.first_chunk, chunks = behind > 0 ? (behind + reach.chunk - 1) / reach.chunk : 0;
    return video_frames(1 + reach.first_chunk + chunks * reach.chunk) + reach.ahead;
}

#endif
