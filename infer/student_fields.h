/* student_fields.h: the keys that say how a student is run and where its parts lie, written once for all programs that
   open one. The struct that FIELDS_OF names (base/config.h) needs the members graphs, cache_type, weights_mib, text,
   prompt, decoder, codec_weights, codec_tile and audio_weights. */
#ifndef INFER_STUDENT_FIELDS_H
#define INFER_STUDENT_FIELDS_H

#include "checkpoints/network_weights.h"
#include "model/codec/codec.h"
#include "model/dit/kv_cache.h"

extern const char *const graphs_choices[]; /* on, off; shared_student.c */

#define STUDENT_FIELDS                                                                                                 \
    CHOICE("graphs", graphs, graphs_choices, "on",                                                                     \
           "Whether the network's passes are recorded once and replayed, where the device does that; off queues "      \
           "every kernel by itself."),                                                                                 \
        CHOICE("cache_type", cache_type, kv_type_names, "full",                                                        \
               "How the network's past (keys and values of earlier frames) is kept: full in its own numbers, fp8 in "  \
               "8 bits with a scale for each head and token, which takes about a third of that memory and changes "    \
               "pictures slightly."),                                                                                  \
        WEIGHTS_MIB_FIELD,                                                                                             \
        TEXT("text", text, "",                                                                                         \
             "Safetensors file with embeddings of prompts (text_embed writes it); empty takes the student's own."),    \
        TEXT("prompt", prompt, "", "Prompt to take from the file `text`; empty takes the file's default."),            \
        TEXT("decoder", decoder, "",                                                                                   \
             "Safetensors file of a decoder that takes the place of the codec's own (light_decoder writes it)."),      \
        TEXT("codec_weights", codec_weights, "",                                                                       \
             "File of the codec's weights (wan21, wan22); empty takes the path that the student's folder names."),     \
        INT("codec_tile", codec_tile, 0, CODEC_PIXELS_MAX, "0",                                                        \
            "Side in pixels of the square tiles in which an autoencoder (wan21, wan22) encodes and decodes, to take "  \
            "less device memory; neighbours overlap by a quarter and are blended. 0 works on whole pictures."),        \
        TEXT("audio_weights", audio_weights, "",                                                                       \
             "Checkpoint of the audio encoder; empty takes the path that the student's folder names.")

/* Members of struct session_options that follow from those keys, of options `o`: a part of its initialiser. The second
   of graphs_choices switches recordings off. */
#define STUDENT_SESSION_OPTIONS(o)                                                                                     \
    .direct = (o)->graphs, .cache_type = (enum kv_type)(o)->cache_type, .weights_mib = (o)->weights_mib,               \
    .decoder = (o)->decoder, .codec_weights = (o)->codec_weights, .codec_tile = (o)->codec_tile,                       \
    .audio_weights = (o)->audio_weights, .text = *(o)->text ? (o)->text : NULL, .prompt = (o)->prompt

#endif
