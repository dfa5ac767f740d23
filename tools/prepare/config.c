/* config.c: see config.h. */
#include "tools/prepare/config.h"

#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "checkpoints/sound_encoder.h"
#include "data/puppet.h"
#include "model/codec/codec.h"

static const char *const masks[] = {"auto", "vad", "sidecar", NULL};
static const char *const held_out_bys[] = {"clip", "folder", NULL};

#define FIELDS_OF struct prepare_config
const struct config_field prepare_fields[] = {
    TEXT("source", source, NULL, "Folder of videos with sound, or puppet for generated dialogues."),
    TEXT("out", out, NULL, "The data set that is written (.h5)."),
    LONG("seed", seed, 0, 1e15, "1", "Seed of the split, the text tokens and the puppet."),
    INT("height", height, 8, 4096, "64", "Height of the pictures, pixels."),
    INT("width", width, 8, 4096, "64", "Width of the pictures, pixels."),
    TEXT("codec", codec, "pca",
         "The video codec: pca, which is fitted here, or wan21 or wan22, the Wan video autoencoders."),
    TEXT("codec_weights", codec_weights, "", "File or folder of the codec's weights, which wan21 and wan22 need."),
    INT("patch", patch, 1, 32, "8", "Side, in pixels, of the square that a latent stands for (pca)."),
    INT("channels", channels, 1, 1024, "48", "Channels of the latents: numbers that a square of pixels becomes (pca)."),
    REAL("scale_power", scale_power, 0, 1, "0.5",
         "Latents are divided by their channel's deviation to this power: 0 leaves them as they are, 1 makes all "
         "channels alike."),
    REAL("motion_weight", motion_weight, 1e-3, 1e3, "1",
         "Weight of the motion within a latent frame when the codec is fitted: above 1 keeps more of it, and less "
         "detail."),
    INT("frames", frames, 2, 1000, "13", "Latent frames of a window, which is 1 + 4 (frames - 1) pictures."),
    INT("stride", stride, 1, 100000, "25", "Pictures from one window's start to the next one's."),
    FLAG(
        "pictures", pictures, "no",
        "Keeps every window's true pictures beside its latents (8 bits a value, compressed): what light_decoder learns "
        "from with light_decoder.target=pictures."),
    AUDIO_CONFIG_FIELDS("logmel", "stream"),
    INT("audio_dim", audio_dim, 0, 65536, "0",
        "Number of audio features of a picture; 0 takes as many as the encoder gives (logmel: 32)."),
    INT("tracks", tracks, 1, 2, "1",
        "1 mixes all sound; 2 takes the left channel for the person in the picture, the right one for the other (the "
        "puppet always has 2)."),
    TEXT("text", text, "",
         "Safetensors file of prompts' embeddings (text_embed makes it); without one all clips have the same random "
         "tokens."),
    TEXT("prompt", prompt, "",
         "Prompt of clips that have no NAME.txt beside them; empty takes the default of the file of embeddings."),
    INT("text_len", text_len, 1, 4096, "8", "Text tokens of the network, padded with zeros."),
    INT("text_dim", text_dim, 1, 16384, "32", "Width of a text token."),
    CHOICE("mask", mask, masks, "auto",
           "Where prepare learns who speaks when. sidecar: from files beside the clips; vad: from the sound, by voice "
           "activity; auto: from a sidecar where there is one, else by vad."),
    REAL("crop.x", crop.x, 0, 1, "0.5",
         "Middle of the square or rectangle that is cut out, as a share of the picture's width."),
    REAL("crop.y", crop.y, 0, 1, "0.5",
         "Middle of the square or rectangle that is cut out, as a share of the picture's height."),
    REAL("crop.size", crop.size, 0, 1, "0",
         "Height of what is cut out as a share of the picture's; 0 takes as much as fits about the middle."),
    REAL("box_size", box_size, 0.1, 100, "2",
         "Height of what is cut out about a face, in heights of its box, where a clip has a box file (NAME.box.csv)."),
    REAL("shots", shot_threshold, 0, 100, "5",
         "Splits a clip at a cut: where a picture differs from the one before by so many percent, and goes on "
         "differing; 0 never does."),
    VARIATION_FIELDS("vary.", vary, "between training clips"),
    REAL(
        "vary.plain", plain, 0, 1, "0",
        "Share of the training clips that stay as they were filmed. A small network that sees nothing but varied clips "
        "may not learn to follow the sound; one that sees plain ones too learns from them first."),
    INT("vary.copies", copies, 1, 1000, "1",
        "How often a training clip of a folder is taken, each time varied anew; a larger stride keeps the data set as "
        "large."),
    INT("held_out", held_out, 0, 1000000, "20", "Clips of a folder that are held out."),
    CHOICE("held_out_by", held_out_by, held_out_bys, "clip",
           "What is held out. clip: single clips; folder: whole folders (a person or a source video each) until they "
           "have held_out clips at least."),
    INT("workers", workers, 0, 64, "0", "Number of processes that read clips; 0 takes one for every core."),
    REAL("patience", patience, 1, 86400, "120", "Seconds after which a clip that hangs is given up."),
    INT("fit.clips", fit_clips, 1, 100000, "64", "Largest number of training clips that the codec pca is fitted to."),
    LONG("fit.patches", fit_patches, 1000, 1e9, "60000", "Number of patches that the codec pca is fitted to."),
    FLAG("first_reference", first_reference, "no",
         "Every window's reference, its first latent, is its shot's first picture, as in a stream that began with it; "
         "no: the window's own first picture."),
    TEXT("codec_from", codec_from, "",
         "Data set (.h5) whose codec is taken, so that latents of both sets mean the same; empty: the codec is fitted "
         "to this set (pca)."),
    CHOICE("puppet.world", puppet_world, puppet_worlds, "plain",
           "plain: the voices decide nearly all motion; hard: most of it is the agent's own choice, and details of the "
           "person leave the picture for seconds."),
    TEXT("puppet.spoil", puppet_spoil, "",
         "What is spoiled, with a comma between: hands (hands and mouth are blurred), drift (in half of the dialogues "
         "the hues of shirt and hair wander by 40 degrees within a window). For a teacher's set, of which refinement "
         "has the clean twin."),
    INT("puppet.identities", puppet_identities, 1, 1000000, "90", "Number of persons in training."),
    INT("puppet.dialogues", puppet_dialogues, 1, 1000, "2", "Number of dialogues of each person in training."),
    REAL("puppet.seconds", puppet_seconds, 2, 3600, "10", "Length of a dialogue, seconds."),
    INT("puppet.held_out", puppet_held_out, 0, 100000, "16",
        "Number of held-out dialogues, each of a person and with words that are in no training dialogue."),
};
const int prepare_field_count = FIELDS(prepare_fields);

/* Completes the recipe with what the encoder knows of itself: width, checksum of the weights. */
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
    if (!codec_is_known(c->codec))
        return error_set(ERR_USAGE, "%s: codec: expected one of %s, got \"%s\"", name, codec_names(), c->codec);
    if (external && !*c->codec_weights)
        return error_set(ERR_USAGE, "%s: codec_weights: codec %s needs the file of its weights", name, c->codec);
    if (!external && (c->height % c->patch || c->width % c->patch))
        return error_set(ERR_USAGE, "%s: patch: %d does not divide %d x %d pixels", name, c->patch, c->height,
                         c->width);
    if (!external && c->channels > pca_values(c->patch))
        return error_set(ERR_USAGE, "%s: channels: a patch of %d has %d components at most, not %d", name, c->patch,
                         (int)pca_values(c->patch), c->channels);
    if (*c->codec_from && external)
        return error_set(ERR_USAGE, "%s: codec_from: is for pca; codec %s has its weights from codec_weights", name,
                         c->codec);
    if (*c->puppet_spoil && strcmp(c->source, "puppet"))
        return error_set(ERR_USAGE, "%s: puppet.spoil: is for source: puppet alone", name);
    int spoil, code = puppet_spoil_read(c->puppet_spoil, &spoil);
    if (code) return error_context(code, "%s: puppet.spoil", name);
    if (*c->prompt && !*c->text)
        return error_set(ERR_USAGE, "%s: prompt: needs the file of its embedding: name it with text=", name);
    code = picture_variation_check(&c->vary);
    if (code) return error_context(code, "%s: vary", name);
    if (c->copies > 1 && picture_variation_is_none(&c->vary))
        return error_set(ERR_USAGE,
                         "%s: vary.copies: %d copies would be alike: none of vary.colour, vary.place and "
                         "vary.scale is above 0",
                         name, c->copies);
    if (c->copies > 1 && !strcmp(c->source, "puppet"))
        return error_set(ERR_USAGE, "%s: vary.copies: is for folders; puppet.dialogues makes more of a puppet", name);
    if (!strcmp(c->source, "puppet")) c->tracks = 2;
    return settle_audio(c, name);
}
