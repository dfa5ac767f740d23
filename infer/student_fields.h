/* student_fields.h: the keys that say how a student is run and where its parts lie, for the tables of all programs that
   open one: members graphs, text, prompt, decoder, codec_weights, audio_weights of FIELDS_OF (base/config.h). */
#ifndef INFER_STUDENT_FIELDS_H
#define INFER_STUDENT_FIELDS_H

/* choices: {"on", "off", NULL} */
#define STUDENT_FIELDS(choices)                                                                                        \
    CHOICE("graphs", graphs, choices, "on",                                                                            \
           "on records the network's passes and replays them, where the device does that; off queues every kernel by " \
           "itself."),                                                                                                 \
        TEXT("text", text, "",                                                                                         \
             "Safetensors file of prompts' embeddings (text_embed); without one the student's own."),                  \
        TEXT("prompt", prompt, "", "Which prompt of that file is meant; empty takes its default."),                    \
        TEXT("decoder", decoder, "",                                                                                   \
             "Decoder in place of the codec's own: a safetensors file, as light_decoder writes one."),                 \
        TEXT("codec_weights", codec_weights, "",                                                                       \
             "File of the codec's weights (wan21, wan22), where it is not where the student says."),                   \
        TEXT("audio_weights", audio_weights, "",                                                                       \
             "Checkpoint of the student's audio encoder, where it is not where it was in training.")

#endif
