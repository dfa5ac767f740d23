/* student.h: an exported student: a folder that holds everything that streaming needs (docs/formats.md).
     config.json        networks, chunking, levels, codec, audio encoder
     transformer/       the trunk with a config.json of its own, in Diffusers or original Wan names, as other tools
                        load it
     audio.safetensors  talk and listen modules and the audio projection
     codec.safetensors  the video codec's tensors; absent for a codec whose weights have a file of their own, for which
                        config.json has path and checksum
     decoder.safetensors  a decoder (decoder_file.h), where one decodes in the codec's place
     text.safetensors   the prompt and the empty prompt (prompt_file.h)
   config.json is written last, with sums over the others (export_sums.h), and the reader starts from it, so that a
   folder written in part is never read. */
#ifndef CHECKPOINTS_STUDENT_H
#define CHECKPOINTS_STUDENT_H

#include <stdio.h>
#include "checkpoints/student_config.h"
#include "checkpoints/network_weights.h"
#include "model/text/prompt.h"
#include "model/codec/codec.h"

/* Writes a student's folder. prompts: the one to stream with, and the empty one. table: the parameters of a DiT built
   from description->dit. The trunk may be cut into shards; the audio modules, whose names have one form only, are one
   file. */
int student_write(const char *folder, const struct student_description *description, const struct param_table *table,
                  const struct weights_source *source, const struct weights_format *format, const struct codec *codec,
                  const struct prompt_rows prompts[2]);

/* A student in memory. */
struct student {
    struct student_description description;
    struct dit net;
    struct params params; /* without gradients */
    struct codec codec;
    struct network_weights weights;
    const char *text_file, *prompt; /* set before student_load; NULL: the folder's file; its default prompt */
    /* Called by student_load to provide the codec; NULL: student_open_codec does. */
    int (*give_codec)(void *user, struct codec *codec);
    void *giver;
    float *text, *empty; /* host [text_len, text_dim] each: the prompt, the empty one */
};
/* Reads config.json and builds the network, without weights. Before student_load the caller may change
   description.rollout, description.codec_weights and decoder, text_file and prompt. */
int student_open(struct student *student, const char *folder);
/* Plans the weights anew, within `mib` of device memory (network_weights.h). Between student_open, which plans to keep
   all of them, and student_load. */
int student_limit(struct student *student, long mib);
/* Allocates and loads weights, codec and text. ERR_INPUT names the file and lists what does not fit. */
int student_load(struct student *student, const char *folder);
/* Reads a prompt of the text file (prompt_file_find), host [text_len, text_dim]; NULL or "": its default. In
   any thread, after student_open. */
int student_prompt(const struct student *student, const char *folder, const char *prompt, float *text);
void student_close(struct student *student);
/* Opens only the codec, with the decoder that the description names in its place. */
int student_open_codec(struct codec *codec, const char *folder, const struct student_description *description);
/* Plans the codec and the decoder in its place: what all streams share; what a stream takes that decodes. A plan that
   is NULL is left out. A codec that works on the host (pca) is not listed: it keeps a few frames. */
int student_plan_codec(const struct student_description *description, struct memory_plan *shared,
                       struct memory_plan *stream);

#endif
