/* run_config.c: the keys that no stage has for itself, the list of all sections, and what no section can say alone. */
#include "train/config/run_config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static const char *const mute_input_names[] = {"none", "talk", "listen", "both", NULL}; /* bits: talk, listen */
const char *const comm_transports[] = {"auto", "single", "tcp", "mpi", "nccl", NULL};
static const char *const fault_names[] = {"stop", "rollback", NULL};
static const char *const checkpoint_names[] = {"stop", "go_on", NULL};

#define FIELDS_OF struct run_config
static const struct config_field common[] = {
    TEXT("run", run, "runs/run", "folder of the run"),
    TEXT("data", data, "", "data set; empty: RUN/data.h5"),
    FLAG("data_changed", data_changed, "no",
         "Lets a run that resumes go on with another data set than the one that it began with."),
    TEXT("codec_weights", codec_weights, "", "file of the codec's weights (wan21, wan22); empty: as the data set says"),
    TEXT("decoder", decoder, "",
         "decoder in place of the codec's own, a safetensors file (light_decoder makes it); empty: none"),
    LONG("seed", seed, 0, 4e18, "1",
         "Seed of every random number of the run, from which each stage has one of its own; the same seed, the same "
         "run."),
    INT("threads", threads, 0, 1024, "0", "0: all cores"),
    INT("workspace_mib", workspace_mib, 0, 1048576, "0",
        "scratch memory of kernels and libraries at most; 0: as much as the sizes ask for"),
    FLAG("deterministic", deterministic, "false",
         "cuda: none of the libraries' algorithms that add in another order each time"),
    INT("frames", frames, 2, CLIP_FRAMES_MAX, "13", "latent frames of a training clip: the reference and whole chunks"),
    INT("samples", samples, 1, 64, "4", "held-out clips shown"),

    TEXT("negative.file", negative.file, "",
         "prompts' embeddings (text_embed), one of which guidance has in place of no text"),
    TEXT("negative.prompt", negative.prompt, "", "its text or name; empty: the file's default"),

    REAL("faults.spike", faults.spike, 0, 1e6, "0",
         "skip updates whose gradient norm is this many times the mean; 0: none"),
    INT("faults.after", faults.after, 1, 1000000, "10", "updates skipped in a row that are a fault"),
    CHOICE("faults.then", faults.then, fault_names, "stop",
           "stop, or rollback to the last state and on with other batches"),
    CHOICE("faults.checkpoint", faults.checkpoint, checkpoint_names, "stop",
           "when a checkpoint cannot be written (a full disk): stop, or go_on without it"),
    INT("faults.rollbacks", faults.rollbacks, 1, 1000, "3", "rollbacks without a new state in between before it stops"),

    CHOICE("comm.transport", comm.transport, comm_transports, "auto", "between the processes of a job"),
    INT("comm.sequence", comm.sequence, 1, 65536, "1",
        "neighbouring processes that divide the tokens of every clip between them"),
    REAL("comm.timeout", comm.timeout, 0.1, 1e6, "25",
         "seconds without a sign of life, or behind the others, that end it"),
    REAL("comm.connect_timeout", comm.connect_timeout, 0.1, 1e6, "60", "seconds for all processes to come"),

    INT("shard.zero", shard.zero, 0, 3, "0", "divided over ranks: 1 optimiser state, 2 gradients, 3 weights too"),
    FLAG("shard.offload", shard.offload, "false", "optimiser state in host memory"),

    INT("lora.rank", lora.rank, 0, 4096, "0", "of the low-rank adapters that are trained; 0: all weights are"),
    REAL("lora.alpha", lora.alpha, 0, 1e6, "0", "an adapted weight is W + alpha / rank B A; 0: the rank"),
    TEXT("lora.targets", lora.targets, "self_attn,cross_attn,ffn", "parts of the names of what is adapted"),
    TEXT("lora.whole", lora.whole, "", "parts of the names of what is trained whole"),
    TEXT("lora.networks", lora.networks, "student,critic,discriminator",
         "which have adapters: of teacher, student, critic, discriminator"),

    INT("model.dim", model.dim, 8, 65536, "192", "width"),
    INT("model.ffn_dim", model.ffn_dim, 8, 262144, "768", "hidden width of the FFN"),
    INT("model.heads", model.heads, 1, 1024, "6", "attention heads"),
    INT("model.layers", model.layers, 1, 1000, "4", "blocks"),
    INT("model.in_channels", model.in_channels, 1, 4096, "48", "latent channels in"),
    INT("model.out_channels", model.out_channels, 1, 4096, "48", "latent channels out"),
    INT("model.height", model.height, 2, 4096, "8", "latent rows"),
    INT("model.width", model.width, 2, 4096, "8", "latent columns"),
    INT("model.freq_dim", model.freq_dim, 2, 65536, "256", "width of the time sinusoid"),
    INT("model.text_len", model.text_len, 1, 65536, "8", "text tokens"),
    INT("model.text_dim", model.text_dim, 1, 65536, "32", "width of a text token"),
    INT("model.audio_dim", model.audio_dim, 0, 65536, "32", "audio features a video frame; 0: no audio"),
    INT("model.audio_tokens", model.audio_tokens, 1, 1024, "4", "audio tokens a latent frame"),
    INT("model.audio_width", model.audio_width, 1, 65536, "96", "width of an audio token"),
    INT("model.audio_hidden", model.audio_hidden, 1, 65536, "192", "hidden width of the audio projection"),
    INT("model.audio_every", model.audio_every, 1, 1000, "1", "audio attention in every such block"),
    CHOICE("model.mute_input", model.mute_input, mute_input_names, "none",
           "whose sound is heard as silence: of ablations"),
    REAL("model.rope_theta_t", model.rope_theta_t, 1, 1e9, "100", "base of the temporal positions"),
    REAL("model.rope_theta_hw", model.rope_theta_hw, 1, 1e9, "10", "base of the spatial positions"),
    REAL("model.eps", model.eps, 1e-20, 1, "1e-6", "of the norms"),
    REAL("model.clean_floor", model.clean_floor, 0, 1, "0",
         "0: the network gives the velocity; above: the clean latents, v = (x - x0)/max(sigma, this)"),

    INT("causal.chunk", rollout.causal.chunk, 1, 64, "3", "latent frames a chunk"),
    INT("causal.sink", rollout.causal.sink, 0, 64, "4", "frames pinned: 1 + chunk, 1, or 0"),
    INT("causal.ring", rollout.causal.ring, 0, 64, "6", "frames of rolling history"),
    CHOICE("causal.rapr", rollout.causal.rapr, rapr_names, "end", "which frame of the chunk the cap acts on"),
    INT("causal.rapr_cap", rollout.causal.rapr_cap, 1, 4096, "9", "largest position D"),
    CHOICE(
        "causal.sink_pos", rollout.causal.sink_pos, sink_pos_names, "native",
        "Positions of the sink. native: its frames' own, from 0 on; shifted: right before the oldest other frame that "
        "a chunk sees, so that no two frames share a position."),

    REALS("rollout.sigma", sigma, sigma_count, 0, 1, "[1, 0.857142857142857, 0.6]",
          "level of every pass, falling from 1"),
    FLAG("rollout.clean_pass", rollout.clean_pass, "false", "an extra pass at t = 0 writes the history"),

    INT("evaluate.dialogues", evaluate.dialogues, 1, 10000, "10", "held-out dialogues streamed by every student"),
    INT("evaluate.teacher_dialogues", evaluate.teacher_dialogues, 1, 10000, "10", "of them, sampled by the teacher"),
    INT("evaluate.ablations", evaluate.ablations, 1, 10000, "3", "of them, streamed with parts switched off"),
    REAL("evaluate.seconds", evaluate.seconds, 20, 3600, "60", "length of a dialogue"),
    VARIATION_FIELDS("evaluate.vary.", evaluate.vary, "of dialogues that the refined student streams once more"),
    SAMPLER_KEYS("evaluate.sampler", evaluate.sampler, "16", "3", "2"),
};

/* The sections; of a stage with its place in run_config. */
#define STAGE(key, member)                                                                                             \
    { #key, NULL, 0, &key##_section, offsetof(struct run_config, member) }
static const struct {
    const char *name, *about;
    int all; /* every stage reads it */
    const struct config_section *stage;
    size_t at;
} sections[] = {
    {"", "the run", 1, NULL, 0},
    {"negative", "what guidance has in place of no text", 0, NULL, 0},
    {"faults", "updates that would do harm, and checkpoints that cannot be written", 1, NULL, 0},
    {"comm", "the processes of a job", 1, NULL, 0},
    {"shard", "how networks are divided over processes", 1, NULL, 0},
    {"lora", "networks that are trained through adapters", 0, NULL, 0},
    {"model", "the diffusion transformer", 1, NULL, 0},
    {"causal", "what a chunk of the student sees of earlier ones", 1, NULL, 0},
    {"rollout", "the student's passes", 0, NULL, 0},
    {"evaluate", "the report on held-out dialogues", 0, NULL, 0},
    STAGE(teacher, teacher),
    STAGE(ode_init, ode_init),
    STAGE(distill, distill),
    STAGE(refine, refine),
    STAGE(light_decoder, light),
};
enum { SECTIONS = sizeof sections / sizeof *sections, FIELDS_MAX = 512 };

const struct config_field *run_config_fields(int *count) {
    static struct config_field all[FIELDS_MAX];
    memcpy(all, common, sizeof common);
    *count = FIELDS(common);
    for (int s = 0; s < SECTIONS; s++)
        for (int i = 0; sections[s].stage && i < sections[s].stage->count; i++) {
            assert(*count < FIELDS_MAX);
            struct config_field *field = &all[(*count)++];
            *field = sections[s].stage->fields[i];
            field->offset += sections[s].at;
            if (field->type == CONFIG_REALS) field->count_offset += sections[s].at;
        }
    return all;
}

struct optimiser_config *run_config_optimiser(struct run_config *config, int i, const char **network) {
    for (int s = 0; s < SECTIONS; s++)
        for (int k = 0; sections[s].stage && sections[s].stage->optimisers[k].at; k++) {
            if (i-- > 0) continue;
            *network = sections[s].stage->optimisers[k].network;
            return (void *)((char *)config + sections[s].at + sections[s].stage->optimisers[k].at);
        }
    return NULL;
}

/* ---- help ---- */

/* Whether a word is in a list with commas or spaces between. */
static int has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; (at = strstr(at, word)); at += n)
        if ((at == list || strchr(", ", at[-1])) && strchr(", ", at[n])) return 1;
    return 0;
}

static int find_section(const char *name) {
    int s = 0;
    while (s < SECTIONS && strcmp(sections[s].name, name)) s++;
    return s;
}

int run_config_describe_section(const char *name, FILE *file) {
    int count, s = find_section(name);
    const struct config_field *fields = run_config_fields(&count);
    if (s == SECTIONS) return error_set(ERR_USAGE, "the config has no section %s", name);
    fprintf(file, "%s%s%s\n", name, name[0] ? ": " : "",
            sections[s].stage ? sections[s].stage->does : sections[s].about);
    for (int i = 0; i < count; i++) {
        size_t dot = strcspn(fields[i].key, "."), word = fields[i].key[dot] ? dot : 0;
        if (word == strlen(name) && !strncmp(fields[i].key, name, word)) config_describe(&fields[i], 1, file);
    }
    return OK;
}

void run_config_describe(const char *stage, FILE *file) {
    int own = find_section(stage), others = 0;
    const char *reads = own < SECTIONS && sections[own].stage ? sections[own].stage->reads : "";
    for (int told = 1; told >= 0; told--)
        for (int s = 0; s < SECTIONS; s++) {
            if ((sections[s].all || s == own || has_word(reads, sections[s].name)) != told) continue;
            if (told)
                run_config_describe_section(sections[s].name, file);
            else
                fprintf(file, "%s%s", others++ ? ", " : "of other programs: ", sections[s].name);
        }
    fputc('\n', file);
}

uint64_t run_config_seed(const struct run_config *config, const char *stage) {
    uint64_t number = 0;
    for (int s = 0; s < SECTIONS && strcmp(sections[s].name, stage); s++) number += sections[s].stage != NULL;
    return (uint64_t)config->seed +
           number * 0x9E3779B97F4A7C15u; /* Knuth's multiplier: far from any seed's neighbours */
}

const char *run_config_network(const char *stage) {
    int s = find_section(stage);
    return s < SECTIONS && sections[s].stage ? sections[s].stage->optimisers[0].network : NULL;
}

/* ---- what no section can say alone ---- */

/* lora.networks: each must be one that some optimiser trains. */
static int check_networks(struct run_config *c) {
    char known[LORA_LIST] = "", copy[LORA_LIST], *rest = copy;
    const char *network;
    for (int i = 0; run_config_optimiser(c, i, &network); i++) {
        size_t n = strlen(known);
        if (network && !has_word(known, network)) snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", network);
    }
    snprintf(copy, sizeof copy, "%s", c->lora.networks);
    for (const char *name; (name = strtok_r(rest, ", ", &rest));)
        if (!has_word(known, name))
            return error_set(ERR_USAGE, "lora.networks: expected some of %s, found %s", known, name);
    return OK;
}

/* What the run says for all optimisers. */
static int set_optimisers(struct run_config *c) {
    struct lora_config lora = {
        .rank = c->lora.rank, .alpha = c->lora.alpha > 0 ? c->lora.alpha : c->lora.rank, .seed = (uint64_t)c->seed};
    const char *network;
    struct optimiser_config *o;
    memcpy(lora.targets, c->lora.targets, sizeof lora.targets);
    memcpy(lora.whole, c->lora.whole, sizeof lora.whole);
    TRY(check_networks(c));
    for (int i = 0; (o = run_config_optimiser(c, i, &network)); i++) {
        o->spike = c->faults.spike;
        if (network && has_word(c->lora.networks, network)) o->lora = lora;
    }
    return OK;
}

/* Frames of a stage's rollouts. */
static int check_rollout(const struct run_config *c, const char *key, int frames) {
    int chunk = c->rollout.causal.chunk;
    if (!frames || (frames >= c->frames && (frames - 1) % chunk == 0)) return OK;
    return error_set(ERR_USAGE,
                     "%s: expected 0, or 1 + a multiple of causal.chunk (%d) that is not below frames (%d), "
                     "found %d",
                     key, chunk, c->frames, frames);
}

static int check(struct run_config *c) {
    const struct causal_config *causal = &c->rollout.causal;
    if (!c->run[0]) return error_set(ERR_USAGE, "run: expected a folder, found nothing");
    if (c->frames < 1 + causal->chunk || (c->frames - 1) % causal->chunk)
        return error_set(ERR_USAGE, "frames: expected 1 + a multiple of causal.chunk (%d), found %d", causal->chunk,
                         c->frames);
    if (causal->sink != 0 && causal->sink != 1 && causal->sink != 1 + causal->chunk)
        return error_set(ERR_USAGE, "causal.sink: expected 0, 1 or 1 + causal.chunk (%d), found %d", 1 + causal->chunk,
                         causal->sink);
    if (causal->sink + causal->ring > HISTORY_MAX)
        return error_set(ERR_USAGE, "causal.sink + causal.ring: expected at most %d", HISTORY_MAX);
    if (c->sigma_count < 1 || c->sigma[0] != 1)
        return error_set(ERR_USAGE, "rollout.sigma: expected levels that fall from 1");
    for (int i = 1; i < c->sigma_count; i++)
        if (c->sigma[i] >= c->sigma[i - 1] || c->sigma[i] <= 0)
            return error_set(ERR_USAGE, "rollout.sigma: expected levels that fall from 1 and stay above 0");
    if (c->model.in_channels != c->model.out_channels)
        return error_set(ERR_USAGE, "model.out_channels: expected model.in_channels (%d), found %d",
                         c->model.in_channels, c->model.out_channels);
    TRY(check_rollout(c, "distill.frames", c->distill.frames));
    TRY(check_rollout(c, "refine.frames", c->refine.frames));
    for (int s = 0; s < SECTIONS; s++)
        if (sections[s].stage && sections[s].stage->check)
            TRY(sections[s].stage->check((const char *)c + sections[s].at));
    return set_optimisers(c);
}

int run_config_load(struct run_config *config, const char *path, const char *const *overrides, int override_count) {
    memset(config, 0, sizeof *config);
    int count;
    const struct config_field *fields = run_config_fields(&count);
    TRY(config_load(config, fields, count, path, overrides, override_count));
    config->light.net.light.channels = config->light.net.residual.channels = config->model.in_channels;
    config->rollout.steps = config->sigma_count;
    memcpy(config->rollout.sigma, config->sigma, sizeof config->sigma);
    if (!config->data[0] && snprintf(config->data, RUN_PATH, "%s/data.h5", config->run) >= RUN_PATH)
        return error_set(ERR_USAGE, "run: the path is too long");
    int code = check(config);
    return code ? error_context(code, "%s", path ? path : "config") : OK;
}

int run_config_text(const struct run_config *config, char **text) {
    size_t size = 0;
    int count;
    const struct config_field *fields = run_config_fields(&count);
    FILE *file = open_memstream(text, &size);
    if (!file) return error_set(ERR_DEVICE, "out of memory for the config's text");
    int code = config_write(config, fields, count, file);
    if (fclose(file) && !code) code = error_set(ERR_DEVICE, "out of memory for the config's text");
    if (code) free(*text), *text = NULL;
    return code;
}
