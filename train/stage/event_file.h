/* event_file.h: TensorBoard event files with scalars: TFRecord frames (length, masked CRC-32C of the length, data,
   masked CRC-32C of the data) around Event protocol buffers, both written by hand. */
#ifndef TRAIN_STAGE_EVENT_FILE_H
#define TRAIN_STAGE_EVENT_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "train/stage/metrics.h"

/* CRC-32C (Castagnoli), and TensorFlow's masking of it. */
uint32_t event_crc(const void *bytes, size_t length);
uint32_t event_masked_crc(const void *bytes, size_t length);
/* Writes the first record of a file; wall_time: seconds since 1970. Errors are left in the stream (ferror). */
void event_write_header(FILE *file, double wall_time);
/* Writes one record with all finite values of a step. */
void event_write(FILE *file, double wall_time, long step, const struct metric *list, int count);

#endif
