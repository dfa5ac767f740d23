/* export_sums.h: sums over an exported student's files, in its config.json, so that no damaged file of it is used in
   silence:
     "sums": {"audio.safetensors": "length 1234 crc32 0a1b2c3d", ...}    every other file
     "sum": "0a1b2c3d"                                                 config.json itself, as JSON without this key
   CRC-32 is zlib's; white space and line ends in config.json do not matter. */
#ifndef CHECKPOINTS_EXPORT_SUMS_H
#define CHECKPOINTS_EXPORT_SUMS_H

#include <cjson/cJSON.h>

/* Adds the sums of all files that student_write (student.h) leaves in the folder, then the one of `root` itself. */
int export_sums_add(cJSON *root, const char *folder);
/* ERR_INPUT: `root` says its own sum, and is not what it was. */
int export_sums_check_config(const cJSON *root);
/* Every file that config.json in the folder has a sum of against that; reads all of them. ERR_INPUT names the one that
   is missing or another. A folder without sums, as earlier versions wrote them, is said once in a process. */
int export_sums_check(const char *folder);

#endif
