/* config.c: see config.h. */
#include "tools/prepare/config.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "checkpoints/sound_encoder.h"
#include "model/codec/codec.h"

#define AT(member) offsetof(struct prepare_config, member)
static const char *const masks[] = {"auto", "vad", "sidecar", NULL};

const struct config_field prepare_fields[] = {
    {"source", CONFIG_STRING, AT(source), 0, 0, NULL, NULL, sizeof(((struct prepare_config *)0)->source), 0,
     "folder of videos with sound, or puppet for generated dialogues"},
    {"out", CONFIG_STRING, AT(out), 0, 0, NULL, NULL, sizeof(((struct prepare_config *)0)->out), 0,
     "the data set that is written (.h5)"},
    {"seed", CONFIG_LONG, AT(seed), 0, 1e15, "1", NULL, 0, 0, "of the split, the text tokens and the puppet"},
    {"height", CONFIG_INT, AT(height), 8, 4096, "64", NULL, 0, 0, "of the pictures, pixels"},
    {"width", CONFIG_INT, AT(width), 8, 4096, "64", NULL, 0, 0, "of the pictures, pixels"},
    {"codec", CONFIG_STRING, AT(codec), 0, 0, "pca", NULL, 32, 0,
     "pca, fitted here, or wan21, wan22: the Wan video autoencoders"},
    {"codec_weights", CONFIG_STRING, AT(codec_weights), 0, 0, "''", NULL, 768, 0,
     "file or folder of the codec's weights (wan21, wan22)"},
    {"patch", CONFIG_INT, AT(patch), 1, 32, "8", NULL, 0, 0, "pixels of a latent's side (pca)"},
    {"channels", CONFIG_INT, AT(channels), 1, 1024, "48", NULL, 0, 0, "numbers of a latent (pca)"},
    {"scale_power", CONFIG_REAL, AT(scale_power), 0, 1, "0.5", NULL, 0, 0,
     "latents are divided by deviation^scale_power: 0 as they are, 1 all alike"},
    {"motion_weight", CONFIG_REAL, AT(motion_weight), 1e-3, 1e3, "1", NULL, 0, 0,
     "weight of the motion within a latent frame when the codec is fitted: above 1 keeps more of it, and less detail"},
    {"frames", CONFIG_INT, AT(frames), 2, 1000, "13", NULL, 0, 0,
     "latent frames of a window: 1 + 4 (frames - 1) pictures"},
    {"stride", CONFIG_INT, AT(stride), 1, 100000, "25", NULL, 0, 0,
     "pictures from one window's start to the next one's"},
    AUDIO_CONFIG_FIELDS(struct prepare_config, "logmel"),
    {"audio_dim", CONFIG_INT, AT(audio_dim), 0, 65536, "0", NULL, 0, 0,
     "features a picture; 0: as the encoder gives (logmel 32)"},
    {"tracks", CONFIG_INT, AT(tracks), 1, 2, "1", NULL, 0, 0,
     "1: all sound mixed; 2: left channel the person in the picture, right the other one (the puppet always has 2)"},
    {"text", CONFIG_STRING, AT(text), 0, 0, "''", NULL, sizeof(((struct prepare_config *)0)->text), 0,
     "safetensors file of prompts' embeddings (text_embed); without one all clips have the same random tokens"},
    {"prompt", CONFIG_STRING, AT(prompt), 0, 0, "''", NULL, sizeof(((struct prepare_config *)0)->prompt), 0,
     "prompt of clips that have no NAME.txt beside them; empty: the default of the file"},
    {"text_len", CONFIG_INT, AT(text_len), 1, 4096, "8", NULL, 0, 0, "text tokens of the network; padded with zeros"},
    {"text_dim", CONFIG_INT, AT(text_dim), 1, 16384, "32", NULL, 0, 0, "width of a text token"},
    {"mask", CONFIG_CHOICE, AT(mask), 0, 0, "auto", masks, 0, 0,
     "who speaks when: sidecar files, vad (voice activity), or auto: a sidecar where there is one, else vad"},
    {"crop.x", CONFIG_REAL, AT(crop.x), 0, 1, "0.5", NULL, 0, 0, "middle of the window, share of the picture's width"},
    {"crop.y", CONFIG_REAL, AT(crop.y), 0, 1, "0.5", NULL, 0, 0, "middle of the window, share of the picture's height"},
    {"crop.size", CONFIG_REAL, AT(crop.size), 0, 1, "0", NULL, 0, 0,
     "height of the window, share of the picture's; 0: the largest window about the middle"},
    {"held_out", CONFIG_INT, AT(held_out), 0, 1000000, "20", NULL, 0, 0, "clips of a folder that are held out"},
    {"workers", CONFIG_INT, AT(workers), 0, 64, "0", NULL, 0, 0, "processes; 0: one a core"},
    {"patience", CONFIG_REAL, AT(patience), 1, 86400, "120", NULL, 0, 0,
     "seconds after which a clip that hangs is given up"},
    {"fit.clips", CONFIG_INT, AT(fit_clips), 1, 100000, "64", NULL, 0, 0,
     "training clips that the codec is fitted to, at most"},
    {"fit.patches", CONFIG_LONG, AT(fit_patches), 1000, 1e9, "60000", NULL, 0, 0,
     "patches that the codec is fitted to"},
    {"puppet.identities", CONFIG_INT, AT(puppet_identities), 1, 1000000, "90", NULL, 0, 0, "persons in training"},
    {"puppet.dialogues", CONFIG_INT, AT(puppet_dialogues), 1, 1000, "2", NULL, 0, 0,
     "dialogues of each person in training"},
    {"puppet.seconds", CONFIG_REAL, AT(puppet_seconds), 2, 3600, "10", NULL, 0, 0, "length of a dialogue"},
    {"puppet.held_out", CONFIG_INT, AT(puppet_held_out), 0, 100000, "16", NULL, 0, 0,
     "held-out dialogues, each of a person and with words that are in no training dialogue"},
};
const int prepare_field_count = sizeof prepare_fields / sizeof *prepare_fields;

/* What the encoder says of itself: width, checksum of the weights. */
static int settle_audio(struct prepare_config *c, const char *name) {
    struct sound_encoder encoder;
    int code = sound_encoder_open(&encoder, &c->audio.recipe, c->audio_dim, c->audio.weights);
    if (code) return error_context(code, "%s: audio_encoder", name);
    c->audio.recipe = encoder.recipe;
    c->audio_dim = encoder.dim;
    sound_encoder_close(&encoder);
    return OK;
}

int prepare_config_load(struct prepare_config *c, const char *path, const char *const *overrides, int count) {
    TRY(config_load(c, prepare_fields, prepare_field_count, path, overrides, count));
    const char *name = path ? path : "command line";
    if (!*c->out || !*c->source) return error_set(ERR_USAGE, "%s: source and out must be named", name);
    int external = codec_is_external(c->codec);
    if (!external && strcmp(c->codec, "pca"))
        return error_set(ERR_USAGE, "%s: codec: expected pca, wan21 or wan22, got \"%s\"", name, c->codec);
    if (external && !*c->codec_weights)
        return error_set(ERR_USAGE, "%s: codec_weights: codec %s needs the file of its weights", name, c->codec);
    if (!external && (c->height % c->patch || c->width % c->patch))
        return error_set(ERR_USAGE, "%s: patch: %d does not divide %d x %d pixels", name, c->patch, c->height,
                         c->width);
    if (!external && c->channels > 12 * c->patch * c->patch)
        return error_set(ERR_USAGE, "%s: channels: a patch of %d has %d components at most, not %d", name, c->patch,
                         12 * c->patch * c->patch, c->channels);
    if (*c->prompt && !*c->text)
        return error_set(ERR_USAGE, "%s: prompt: needs the file of its embedding (text)", name);
    if (!strcmp(c->source, "puppet")) c->tracks = 2;
    return settle_audio(c, name);
}
