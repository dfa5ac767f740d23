/* export_sums.h: checksums over an exported student's files, in its config.json, so that a damaged file is never used
   unnoticed:
     "sums": {"audio.safetensors": "length 1234 crc32 0a1b2c3d", ...}    every other file
     "sum": "0a1b2c3d"                                                 config.json itself, as JSON without this key
   CRC-32 is zlib's; white space and line ends in config.json do not matter. */
#ifndef CHECKPOINTS_EXPORT_SUMS_H
#define CHECKPOINTS_EXPORT_SUMS_H

#include <cjson/cJSON.h>

/* Adds to config.json (`root`) the sums of all files that student_write (student.h) leaves in the folder, then its
   own. */
int export_sums_add(cJSON *root, const char *folder);
/* Checks config.json against its own sum, if it has one. ERR_INPUT: it has been changed or damaged. */
int export_sums_check_config(const cJSON *root);
/* Reads every file that config.json has a sum for and checks it. ERR_INPUT names the file that is missing or differs.
   Folders of earlier versions have no sums; a line in the log says so, once in a process. */
int export_sums_check(const char *folder);

#endif
