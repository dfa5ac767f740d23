/* hdr.h: pictures of high dynamic range, PQ (SMPTE ST 2084) and HLG (ITU-R BT.2100), to ordinary ones. Light is taken
   relative to diffuse white, 203 cd/m2 (ITU-R BT.2408), which lands at 0.9 of full light (244 of 255); brighter light
   is compressed. */
#ifndef DATA_HDR_H
#define DATA_HDR_H

#include <libavutil/frame.h>
#include <stdint.h>

/* NULL: an ordinary picture; else the name of its kind: "PQ", "HLG". */
const char *hdr_kind(const AVFrame *frame);
struct hdr_map;
/* Tables for pictures like this one, malloc'd; NULL: out of memory. */
struct hdr_map *hdr_map_make(const AVFrame *frame);
/* A pixel of 16-bit R, G, B as coded (BT.2020) to R, G, B in [0, 1] as coded for BT.709's primaries. */
void hdr_map_pixel(const struct hdr_map *map, const uint16_t from[3], float to[3]);
void hdr_map_free(struct hdr_map *map);

#endif
