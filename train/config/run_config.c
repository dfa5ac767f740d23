/* run_config.c: the keys that no stage has for itself, the list of all sections, and the checks between sections. */
#include "train/config/run_config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fileio.h"
#include "checkpoints/state.h"
#include "train/method/pass_reduction.h"

static const char *const persons_names[] = {"test", "development", NULL};
static const char *const states_names[] = {"newest", "best", NULL};
static const char *const mute_input_names[] = {"none", "talk", "listen", "both", NULL}; /* bits: talk, listen */
const char *const comm_transports[] = {"auto", "single", "tcp", "mpi", "nccl", NULL};
static const char *const fault_names[] = {"stop", "rollback", NULL};
static const char *const checkpoint_names[] = {"stop", "go_on", NULL};

#define FIELDS_OF struct run_config
static const struct config_field common[] = {
    TEXT("run", run, "runs/run",
         "Folder of the run: every stage keeps its states, logs and samples in a folder of its own in it."),
    TEXT("data", data, "", "Data set that prepare made (.h5); empty: RUN/data.h5."),
    FLAG("data_changed", data_changed, "no",
         "Lets a run that resumes go on with another data set than the one that it began with."),
    TEXT("codec_weights", codec_weights, "",
         "File or folder of the codec's weights (wan21, wan22); empty: the one that the data set names."),
    TEXT("decoder", decoder, "",
         "Safetensors file of a small decoder that makes the pictures in place of the codec's own; light_decoder "
         "trains one. Empty: the codec decodes."),
    LONG("seed", seed, 0, 4e18, "1",
         "Seed of every random number of the run, from which each stage has one of its own; the same seed, the same "
         "run."),
    INT("threads", threads, 0, 1024, "0",
        "Threads that compute in each process; 0: the host's cores, divided among its processes."),
    FLAG("threads_adapt", threads_adapt, "no",
         "Takes fewer threads while other programs use the cores and a step is faster so (docs/cpu.md). Such a run "
         "cannot be repeated bit for bit."),
    INT("workspace_mib", workspace_mib, 0, 1048576, "0",
        "Largest scratch memory of kernels and libraries, MiB; 0: as much as the sizes of the run ask for."),
    FLAG("deterministic", deterministic, "false",
         "With cuda, uses none of the libraries' algorithms that add numbers in another order each time, so that a run "
         "can be repeated bit for bit; it is slower."),
    INT("frames", frames, 2, CLIP_FRAMES_MAX, "13",
        "Latent frames of a training clip: the reference and whole chunks, so 1 + causal.first_chunk + a multiple of "
        "causal.chunk."),
    INT("samples", samples, 1, 64, "4",
        "Number of held-out clips that a stage shows as pictures or videos when it takes samples."),
    INT("development_clips", development_clips, 1, 65536, "16",
        "Number of held-out clips by which a stage with best_every tells its best state; taken `samples` at a time."),
    CHOICE("states", states, states_names, "newest",
           "Which state of another stage's folder is taken, by stages, export and probe. newest: the last one; best: "
           "the one that the stage's best_every found, where there is one."),

    TEXT("negative.file", negative.file, "",
         "File of prompts' embeddings (text_embed writes it), one of which guidance has in place of no text; empty: "
         "the data set's empty prompt."),
    TEXT("negative.prompt", negative.prompt, "",
         "The prompt of negative.file that is meant, by its text or its name; empty: the file's default."),

    REAL("faults.spike", faults.spike, 0, 1e6, "0",
         "Skips updates whose gradient norm is above this many times its running mean; 0: skips none for that."),
    INT("faults.after", faults.max_skipped_in_row, 1, 1000000, "10",
        "Number of updates skipped in a row at which the run counts as diverged and faults.then acts."),
    CHOICE("faults.then", faults.on_fault, fault_names, "stop",
           "What a diverged run does. stop: ends; rollback: goes back to the last state and on with other batches."),
    CHOICE("faults.checkpoint", faults.checkpoint, checkpoint_names, "stop",
           "What a run does when a checkpoint cannot be written (a full disk). stop: ends; go_on: says so and trains "
           "on without it."),
    INT("faults.rollbacks", faults.rollbacks, 1, 1000, "3",
        "Largest number of rollbacks without a new state in between; the next one ends the run."),

    CHOICE("comm.transport", comm.transport, comm_transports, "auto",
           "What carries numbers between the processes of a job; auto takes what was built in and fits how the job was "
           "started."),
    INT("comm.sequence", comm.sequence, 1, 65536, "1",
        "Number of neighbouring processes that divide the tokens of every clip between them; 1: none do."),
    REAL("comm.timeout", comm.timeout, 0.1, 1e6, "25",
         "Seconds after which a process that gives no sign of life, or keeps the others waiting, ends the job."),
    REAL("comm.connect_timeout", comm.connect_timeout, 0.1, 1e6, "60",
         "Seconds that processes wait at the start until all of the job have come."),

    INT("shard.zero", shard.zero, 0, 3, "0",
        "What is divided over the processes instead of copied to each: 0 nothing, 1 the optimisers' state, 2 the "
        "gradients too, 3 the weights too."),
    FLAG("shard.offload", shard.offload, "false",
         "Keeps the optimisers' state in host memory, which saves the device's and makes updates slower."),

    INT("lora.rank", lora.rank, 0, 4096, "0",
        "Rank of the low-rank adapters (LoRA) that are trained over frozen weights; 0: none, all weights are trained."),
    REAL("lora.alpha", lora.alpha, 0, 1e6, "0",
         "Scale of the adapters: an adapted weight is W + alpha / rank B A; 0: alpha is the rank."),
    TEXT("lora.targets", lora.targets, "self_attn,cross_attn,ffn",
         "Parts of names, with commas between: the weights whose names have one of them get adapters."),
    TEXT("lora.whole", lora.whole, "",
         "Parts of names, with commas between: the weights whose names have one of them are trained whole."),
    TEXT("lora.networks", lora.networks, "student,critic,discriminator",
         "Networks that are trained through adapters: some of teacher, student, critic, discriminator, with commas "
         "between."),

    INT("model.dim", model.dim, 8, 65536, "192", "Width of the transformer: numbers of a token."),
    INT("model.ffn_dim", model.ffn_dim, 8, 262144, "768", "Hidden width of the blocks' feed-forward networks."),
    INT("model.heads", model.heads, 1, 1024, "6", "Number of attention heads."),
    INT("model.layers", model.layers, 1, 1000, "4", "Number of transformer blocks."),
    INT("model.in_channels", model.in_channels, 1, 4096, "48",
        "Channels of the latents that the network reads: those of the codec."),
    INT("model.out_channels", model.out_channels, 1, 4096, "48",
        "Channels of the latents that the network gives; must be model.in_channels."),
    INT("model.height", model.height, 2, 4096, "8",
        "Rows of a latent frame: the picture's height divided by the codec's stride."),
    INT("model.width", model.width, 2, 4096, "8",
        "Columns of a latent frame: the picture's width divided by the codec's stride."),
    INT("model.freq_dim", model.freq_dim, 2, 65536, "256",
        "Width of the sinusoidal embedding of the noise level's timestep."),
    INT("model.text_len", model.text_len, 1, 65536, "8", "Number of text tokens of a prompt."),
    INT("model.text_dim", model.text_dim, 1, 65536, "32", "Width of a text token."),
    INT("model.audio_dim", model.audio_dim, 0, 65536, "32",
        "Number of audio features of a video frame; 0: the network has no audio."),
    INT("model.audio_tokens", model.audio_tokens, 1, 1024, "4", "Number of audio tokens of a latent frame."),
    INT("model.audio_width", model.audio_width, 1, 65536, "96", "Width of an audio token."),
    INT("model.audio_hidden", model.audio_hidden, 1, 65536, "192",
        "Hidden width of the projection from audio features to tokens."),
    INT("model.audio_every", model.audio_every, 1, 1000, "1",
        "Blocks from one with audio attention to the next; 1: every block has it."),
    CHOICE("model.mute_input", model.mute_input, mute_input_names, "none",
           "Whose sound the network hears as silence, for ablations: talk, that of the person in the picture; listen, "
           "the other party's; both; none."),
    REAL("model.rope_theta_t", model.rope_theta_t, 1, 1e9, "100", "Base of the rotary positions in time."),
    REAL("model.rope_theta_hw", model.rope_theta_hw, 1, 1e9, "10", "Base of the rotary positions in rows and columns."),
    REAL("model.eps", model.eps, 1e-20, 1, "1e-6",
         "Number added to the mean square in the norms, against division by zero."),
    REAL("model.clean_floor", model.clean_floor, 0, 1, "0",
         "What the network predicts. 0: the velocity; above 0: the clean latents x0, from which v = (x - x0) / "
         "max(sigma, this)."),
    FLAG("model.reference_gate", model.reference_gate, "no",
         "Lets the network add the reference's own latents to the clean ones, through gates that it opens number by "
         "number; needs clean_floor above 0. What stands still is copied so, also from a reference that is framed or "
         "tinted in ways that the training clips were not."),

    INT("causal.chunk", rollout.causal.chunk, 1, 64, "3", "Latent frames of a chunk, which the student makes at once."),
    INT("causal.first_chunk", rollout.causal.first_chunk, 0, 64, "0",
        "Latent frames of the first chunk, behind the reference, at most causal.chunk; fewer make a live stream start "
        "sooner. 0: causal.chunk."),
    INT("causal.sink", rollout.causal.sink, 0, 64, "4",
        "Frames of the sink, which stay in the cache for good: the reference and whole chunks (with one chunk: 1 + "
        "causal.first_chunk, 4 where that is 3), 1 (the reference) or 0."),
    INT("causal.ring", rollout.causal.ring, 0, 64, "6",
        "Frames of the ring, the latest ones before a chunk, which are overwritten in turn."),
    CHOICE("causal.rapr", rollout.causal.rapr, rapr_names, "end",
           "Which frame's position is capped at causal.rapr_cap (RAPR). end: the chunk's last; start: its first; "
           "context: the last one before it; off: none, positions rise without end."),
    INT("causal.rapr_cap", rollout.causal.rapr_cap, 1, 4096, "9",
        "Largest position D, in latent frames, of the frame that causal.rapr names."),
    CHOICE("causal.sink_pos", rollout.causal.sink_pos, sink_pos_names, "native",
           "Positions of the sink. native: its frames' own, from 0 on; shifted: right before the oldest other frame "
           "that a chunk sees, so that no two frames share a position."),

    INT("causal.audio_lookahead", rollout.causal.audio_lookahead, 0, AUDIO_MARGIN, "2",
        "Pictures beyond a chunk's last whose sound the student hears; a live stream waits for them. 2: as far as the "
        "teacher's windows reach; less makes its answers come earlier."),

    REALS("rollout.sigma", sigma, sigma_count, 0, 1, "[1, 0.857142857142857, 0.6]",
          "Noise levels of a chunk's passes, one each, falling from 1."),
    FLAG("rollout.clean_pass", rollout.clean_pass, "false",
         "Writes the history of a chunk in an extra pass over the finished latents at t = 0, not in the last pass."),

    INT("evaluate.dialogues", evaluate.dialogues, 1, 10000, "10",
        "Number of held-out dialogues that every student streams."),
    INT("evaluate.teacher_dialogues", evaluate.teacher_dialogues, 1, 10000, "10",
        "Number of those dialogues that the teacher samples too."),
    INT("evaluate.reseeded", evaluate.reseeded, 0, 10000, "4",
        "Number of those dialogues that the last student streams a second time from other noise."),
    CHOICE("evaluate.persons", evaluate.persons, persons_names, "test",
           "Persons of the dialogues: test, for what is claimed; development, for choosing settings and checkpoints."),
    CHOICE("evaluate.cache_type", evaluate.cache_type, kv_type_names, "full",
           "How the students that are measured keep their past, as cache_type of stream."),
    INT("evaluate.ablations", evaluate.ablations, 1, 10000, "3",
        "Number of those dialogues that are streamed with the sink, RAPR and the other party's sound switched off in "
        "turn."),
    REAL("evaluate.seconds", evaluate.seconds, 20, 3600, "60", "Length of a dialogue, seconds."),
    VARIATION_FIELDS("evaluate.vary.", evaluate.vary, "between dialogues that the refined student streams once more"),
    SAMPLER_KEYS("evaluate.sampler", evaluate.sampler, "16", "3", "2"),
};

/* All sections. A stage's has its rows beside its step and its settings at offset `at` of struct run_config. */
#define STAGE(key, member)                                                                                             \
    { #key, NULL, 0, &key##_section, offsetof(struct run_config, member) }
static const struct {
    const char *name, *about;
    int all; /* every stage reads it */
    const struct config_section *stage;
    size_t at;
} sections[] = {
    {"", "The run.", 1, NULL, 0},
    {"negative", "Prompt that guidance has in place of no text.", 0, NULL, 0},
    {"faults", "What happens at updates that would do harm, and at checkpoints that cannot be written.", 1, NULL, 0},
    {"comm", "The processes of a job, and how they reach one another.", 1, NULL, 0},
    {"shard", "How networks are divided over the processes.", 1, NULL, 0},
    {"lora", "Networks that are trained through adapters over frozen weights.", 0, NULL, 0},
    {"model", "Shape of the diffusion transformer, the same for all networks of the run.", 1, NULL, 0},
    {"causal", "What a chunk of the student sees of earlier ones, and how far it hears.", 1, NULL, 0},
    {"rollout", "The student's passes over a chunk.", 0, NULL, 0},
    {"evaluate", "The report on held-out dialogues.", 0, NULL, 0},
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

int run_config_source(const struct run_config *config, const char *path, const char *stage, char *source, size_t size) {
    char folder[FILE_PATH_MAX];
    if (path[0] && snprintf(folder, sizeof folder, "%s", path) >= (int)sizeof folder)
        return error_set(ERR_USAGE, "%.80s...: the path is too long", path);
    if (!path[0]) TRY(file_join(folder, sizeof folder, config->run, stage));
    if (config->states == STATES_BEST) TRY(state_best(folder, source, size));
    if (config->states == STATES_BEST && source[0]) return OK;
    if (snprintf(source, size, "%s", folder) < (int)size) return OK;
    return error_set(ERR_USAGE, "%.80s...: the path is too long", folder);
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
                fprintf(file, "%s%s", others++ ? ", " : "Sections that other programs read: ", sections[s].name);
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

struct rollout_config run_config_rollout(const struct run_config *config, const char *stage, long step) {
    struct rollout_config rollout = config->rollout;
    const struct refine_config *r = &config->refine;
    if (!strcmp(stage, refine_section.name)) reduce_passes_at(&rollout, r->passes, step, r->stage.steps);
    return rollout;
}

/* ---- checks between sections ---- */

/* Each network that lora.networks names must be one that some optimiser trains. */
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

/* Copies the keys that hold for every optimiser (faults.spike, lora) into the settings of each. */
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

/* Checks the number of latent frames of a stage's rollouts: whole chunks, and not fewer than a clip has. */
static int check_rollout(const struct run_config *c, const char *key, int frames) {
    const struct causal_config *causal = &c->rollout.causal;
    int chunk = causal->chunk;
    if (!frames || frames == c->frames) return OK;
    if (causal_own(causal, 1) < chunk)
        return error_set(ERR_USAGE,
                         "%s: expected 0 with a causal.first_chunk (%d) below causal.chunk (%d), because a "
                         "clip late in a rollout begins with a whole chunk",
                         key, causal->first_chunk, chunk);
    if (frames >= c->frames && causal_chunks(causal, frames)) return OK;
    return error_set(ERR_USAGE,
                     "%s: expected 0, or 1 + a multiple of causal.chunk (%d) that is not below frames (%d), "
                     "found %d",
                     key, chunk, c->frames, frames);
}

/* Checks the lengths that consist of chunks. */
static int check_chunks(const struct run_config *c) {
    const struct causal_config *causal = &c->rollout.causal;
    if (causal->first_chunk > causal->chunk)
        return error_set(ERR_USAGE, "causal.first_chunk: expected at most causal.chunk (%d), found %d", causal->chunk,
                         causal->first_chunk);
    int begins = 1 + causal_own(causal, 1);
    if (!causal_chunks(causal, c->frames))
        return error_set(ERR_USAGE, "frames: expected %d + a multiple of causal.chunk (%d), found %d", begins,
                         causal->chunk, c->frames);
    if (causal->sink > 1 && !causal_chunks(causal, causal->sink))
        return error_set(ERR_USAGE, "causal.sink: expected 0, 1 or %d + a multiple of causal.chunk (%d), found %d",
                         begins, causal->chunk, causal->sink);
    return OK;
}

static int check(struct run_config *c) {
    const struct causal_config *causal = &c->rollout.causal;
    if (!c->run[0]) return error_set(ERR_USAGE, "run: expected a folder, found nothing");
    TRY(check_chunks(c));
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
    int varied = picture_variation_check(&c->evaluate.vary);
    if (varied) return error_context(varied, "evaluate.vary");
    TRY(check_rollout(c, "distill.frames", c->distill.frames));
    TRY(check_rollout(c, "refine.frames", c->refine.frames));
    if (c->refine.passes > c->sigma_count)
        return error_set(ERR_USAGE, "refine.passes: expected at most the %d passes of rollout.sigma, found %d",
                         c->sigma_count, c->refine.passes);
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
