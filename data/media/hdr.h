/* hdr.h: converts pictures of high dynamic range, PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100), to ordinary ones. Light
   is measured relative to diffuse white, 203 cd/m2 (ITU-R BT.2408), which becomes 0.9 of full light (244 of 255);
   brighter light is compressed. */
#ifndef DATA_HDR_H
#define DATA_HDR_H

#include <libavutil/frame.h>
#include <stdint.h>

/* Returns the kind of HDR, "PQ" or "HLG"; NULL: an ordinary picture. */
const char *hdr_kind(const AVFrame *frame);
struct hdr_map;
/* Makes the tables for pictures of this frame's kind, malloc'd; NULL: out of memory. */
struct hdr_map *hdr_map_make(const AVFrame *frame);
/* Converts a pixel of 16-bit coded R, G, B (BT.2020) to coded R, G, B in [0, 1] with BT.709's primaries. */
void hdr_map_pixel(const struct hdr_map *map, const uint16_t from[3], float to[3]);
void hdr_map_free(struct hdr_map *map);

#endif
