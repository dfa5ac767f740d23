/* run_config.c: the table of keys. Sections repeat through macros, so that each stage lists only its own defaults. */
#include "train/config/run_config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define AT(member) offsetof(struct run_config, member)
#define INT(key, member, low, high, fallback, help)                                                                    \
    { key, CONFIG_INT, AT(member), low, high, fallback, NULL, 0, 0, help }
#define LONG(key, member, low, high, fallback, help)                                                                   \
    { key, CONFIG_LONG, AT(member), low, high, fallback, NULL, 0, 0, help }
#define REAL(key, member, low, high, fallback, help)                                                                   \
    { key, CONFIG_REAL, AT(member), low, high, fallback, NULL, 0, 0, help }
#define CHOICE(key, member, list, fallback, help)                                                                      \
    { key, CONFIG_CHOICE, AT(member), 0, 0, fallback, list, 0, 0, help }
#define PATH(key, member, fallback, help)                                                                              \
    { key, CONFIG_STRING, AT(member), 0, 0, fallback, NULL, RUN_PATH, 0, help }

#define TEXT(key, member, size, fallback, help)                                                                        \
    { key, CONFIG_STRING, AT(member), 0, 0, fallback, NULL, size, 0, help }

#define STAGE(key, member, steps_default, batch_default)                                                               \
    LONG(key ".steps", member.steps, 0, 1e9, steps_default, "updates of the network that the stage trains"),           \
        INT(key ".batch", member.batch, 1, 65536, batch_default, "samples a step, over all ranks"),                    \
        INT(key ".accumulate", member.accumulate, 1, 65536, "1", "parts that a rank takes its samples in"),            \
        CHOICE(key ".recompute", member.recompute, recompute_names, "none",                                            \
               "block: keep block inputs only and run each block again in backward"),                                  \
        LONG(key ".log_every", member.log_every, 1, 1e9, "10", "steps between log lines"),                             \
        LONG(key ".sample_every", member.sample_every, 0, 1e9, "0", "steps between samples; 0: at the end only"),      \
        LONG(key ".save_every", member.save_every, 0, 1e9, "0", "steps between checkpoints; 0: at the end only"),      \
        INT(key ".keep", member.keep, 1, 1000, "2", "checkpoints kept: the last so many"),                             \
        LONG(key ".keep_every", member.keep_every, 0, 1e9, "0", "steps whose checkpoints are kept for ever; 0: none")

#define OPTIMISER(key, member, lr_default, beta1_default, beta2_default, decay_default, clip_default, warm_default,    \
                  cool_default, ema_default)                                                                           \
    REAL(key ".lr", member.lr, 0, 1, lr_default, "learning rate"),                                                     \
        REAL(key ".beta1", member.beta1, 0, 0.9999999, beta1_default, "decay of the first moment"),                    \
        REAL(key ".beta2", member.beta2, 0, 0.9999999, beta2_default, "decay of the second moment"),                   \
        REAL(key ".eps", member.eps, 1e-20, 1, "1e-8", "added to the root of the second moment"),                      \
        REAL(key ".decay", member.decay, 0, 1, decay_default, "decoupled weight decay"),                               \
        REAL(key ".clip", member.clip, 0, 1e9, clip_default, "largest gradient norm; 0: no clipping"),                 \
        LONG(key ".warmup", member.warmup, 0, 1e9, warm_default, "updates of linear rise"),                            \
        LONG(key ".cooldown", member.cooldown, 0, 1e9, cool_default, "updates of linear fall at the end"),             \
        REAL(key ".ema", member.ema, 0, 0.9999999, ema_default, "decay of the averaged weights"),                      \
        REAL(key ".ema_warmup", member.ema_warmup, 1, 1e9, "10", "decay is at most (1 + u)/(this + u)")

#define LEVEL(key, member, sampling_default, shift_default, min_default, max_default)                                  \
    CHOICE(key ".sampling", member.sampling, level_names, sampling_default, "how noise levels are drawn"),             \
        REAL(key ".shift", member.shift, 1, 100, shift_default, "of shifted_uniform"),                                 \
        REAL(key ".mean", member.mean, -20, 20, "0.3", "of logit_normal"),                                             \
        REAL(key ".deviation", member.deviation, 0, 20, "1.2", "of logit_normal"),                                     \
        REAL(key ".min", member.min, 0, 1, min_default, "smallest level"),                                             \
        REAL(key ".max", member.max, 0, 1, max_default, "largest level")

#define SAMPLER(key, member, steps_default, shift_default, guidance_default)                                           \
    INT(key ".steps", member.steps, 1, 1000, steps_default, "steps of the solver"),                                    \
        CHOICE(key ".solver", member.solver, solver_names, "euler", "unipc: order 2, for fewer steps"),                \
        CHOICE(key ".schedule", member.schedule, schedule_names, "linear",                                             \
               "of the levels; wan, diffusers: as those programs have them, with whole timesteps"),                    \
        REAL(key ".shift", member.shift, 1, 100, shift_default, "of the levels"),                                      \
        REAL(key ".guidance", member.guidance, 0, 100, guidance_default, "of audio; 1: none"),                         \
        REAL(key ".text_guidance", member.text_guidance, 0, 100, "1", "of text; 1: none")

static const char *const rapr_names[] = {"off", "end", "start", "context", NULL};
static const char *const deaf_names[] = {"none", "talk", "listen", "both", NULL}; /* bits: talk, listen */
const char *const comm_transports[] = {"auto", "single", "tcp", "mpi", "nccl", NULL};
static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const fault_names[] = {"stop", "rollback", NULL};
static const char *const checkpoint_names[] = {"stop", "go_on", NULL};
static const char *const recompute_names[] = {"none", "block", NULL};
static const char *const solver_names[] = {"euler", "unipc", NULL};
static const char *const schedule_names[] = {"linear", "wan", "diffusers", NULL};
static const char *const level_names[] = {"shifted_uniform", "logit_normal", NULL};
static const char *const history_names[] = {"own", "last", NULL};
static const char *const loss_names[] = {"sid", "dmd", NULL};
static const char *const light_names[] = {"l1", "mse", NULL};
static const char *const exit_names[] = {"last", "random", NULL};

static const struct config_field fields[] = {
    PATH("run", run, "runs/run", "folder of the run"),
    PATH("data", data, "", "data set; empty: RUN/data.h5"),
    CHOICE("data_changed", data_changed, no_yes, "no",
           "whether a run that resumes may go on with another data set than it began with"),
    PATH("codec_weights", codec_weights, "", "file of the codec's weights (wan21, wan22); empty: as the data set says"),
    PATH("decoder", decoder, "", "light decoder in place of the codec's own, a safetensors file; empty: none"),
    PATH("negative.file", negative.file, "",
         "prompts' embeddings (text_embed), one of which guidance has in place of no text"),
    TEXT("negative.prompt", negative.prompt, PROMPT_TEXT, "", "its text or name; empty: the file's default"),
    LONG("seed", seed, 0, 4e18, "1", "of every random number of the run"),
    INT("threads", threads, 0, 1024, "0", "0: all cores"),
    INT("workspace_mib", workspace_mib, 0, 1048576, "0",
        "scratch memory of kernels and libraries at most; 0: as much as the sizes ask for"),
    {"deterministic", CONFIG_BOOL, AT(deterministic), 0, 1, "false", NULL, 0, 0,
     "cuda: none of the libraries' algorithms that add in another order each time"},
    REAL("faults.spike", faults.spike, 0, 1e6, "0",
         "skip updates whose gradient norm is this many times the mean; 0: none"),
    INT("faults.after", faults.after, 1, 1000000, "10", "updates skipped in a row that are a fault"),
    CHOICE("faults.then", faults.then, fault_names, "stop",
           "stop, or rollback to the last state and on with other batches"),
    CHOICE("faults.checkpoint", faults.checkpoint, checkpoint_names, "stop",
           "when a checkpoint cannot be written (a full disk): stop, or go_on without it"),
    INT("faults.rollbacks", faults.rollbacks, 1, 1000, "3", "rollbacks without a new state in between before it stops"),
    INT("frames", frames, 2, CLIP_FRAMES_MAX, "13", "latent frames of a training clip: the reference and whole chunks"),
    INT("samples", samples, 1, 64, "4", "held-out clips shown"),

    CHOICE("comm.transport", comm.transport, comm_transports, "auto", "between the processes of a job"),
    INT("comm.sequence", comm.sequence, 1, 65536, "1",
        "neighbouring processes that divide the tokens of every clip between them"),
    REAL("comm.timeout", comm.timeout, 0.1, 1e6, "25",
         "seconds without a sign of life, or behind the others, that end it"),
    REAL("comm.connect_timeout", comm.connect_timeout, 0.1, 1e6, "60", "seconds for all processes to come"),

    INT("shard.zero", shard.zero, 0, 3, "0", "divided over ranks: 1 optimiser state, 2 gradients, 3 weights too"),
    {"shard.offload", CONFIG_BOOL, AT(shard.offload), 0, 1, "false", NULL, 0, 0, "optimiser state in host memory"},

    INT("lora.rank", lora.rank, 0, 4096, "0", "of the low-rank adapters that are trained; 0: all weights are"),
    REAL("lora.alpha", lora.alpha, 0, 1e6, "0", "an adapted weight is W + alpha / rank B A; 0: the rank"),
    TEXT("lora.targets", lora.targets, LORA_LIST, "self_attn,cross_attn,ffn", "parts of the names of what is adapted"),
    TEXT("lora.whole", lora.whole, LORA_LIST, "", "parts of the names of what is trained whole"),
    TEXT("lora.networks", lora.networks, LORA_LIST, "student,critic,discriminator",
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
    CHOICE("model.deaf", model.deaf, deaf_names, "none", "whose sound is heard as silence: of ablations"),
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
    {"rollout.sigma", CONFIG_REALS, AT(sigma), 0, 1, "[1, 0.857142857142857, 0.6]", NULL, ROLLOUT_STEPS_MAX,
     AT(sigma_count), "level of every pass, falling from 1"},
    {"rollout.clean_pass", CONFIG_BOOL, AT(rollout.clean_pass), 0, 1, "false", NULL, 0, 0,
     "an extra pass at t = 0 writes the history"},

    STAGE("teacher", teacher.stage, "1600", "16"),
    OPTIMISER("teacher.optimiser", teacher.stage.optimiser, "1e-3", "0.9", "0.99", "0.01", "1", "100", "250", "0.995"),
    PATH("teacher.init", teacher.init, "", "Wan checkpoint to start from, file or folder; empty: random weights"),
    LEVEL("teacher.level", teacher.level, "shifted_uniform", "5", "0", "1"),
    REAL("teacher.drop_text", teacher.drop_text, 0, 1, "0", "share of samples whose text is dropped"),
    REAL("teacher.drop_audio", teacher.drop_audio, 0, 1, "0.1", "share of samples whose audio is dropped"),
    SAMPLER("teacher.sampler", teacher.sampler, "16", "3", "2"),

    STAGE("ode_init", ode_init.stage, "100", "8"),
    OPTIMISER("ode_init.optimiser", ode_init.stage.optimiser, "5e-4", "0.9", "0.99", "0.01", "1", "10", "30", "0.99"),
    PATH("ode_init.teacher", ode_init.teacher, "", "folder of a stage, or a state; empty: RUN/teacher"),
    INT("ode_init.trajectories", ode_init.trajectories, 1, 100000000, "320", "clips recorded from the teacher"),
    SAMPLER("ode_init.sampler", ode_init.sampler, "12", "3", "2"),
    CHOICE("ode_init.history", ode_init.history, history_names, "last",
           "last: a chunk's history is made at the last level, as in serving; own: at each chunk's own level"),

    STAGE("distill", distill.stage, "80", "8"),
    OPTIMISER("distill.optimiser", distill.stage.optimiser, "4e-5", "0", "0.99", "0", "1", "0", "0", "0.97"),
    PATH("distill.student", distill.student, "", "where the student starts; empty: RUN/ode_init"),
    PATH("distill.teacher", distill.teacher, "", "real score, and where the critic starts; empty: RUN/teacher"),
    CHOICE("distill.exit", distill.exit, exit_names, "last", "the pass whose prediction is judged and trained"),
    CHOICE("distill.loss", distill.score.loss, loss_names, "sid", "of the generator"),
    REAL("distill.guidance", distill.score.guidance, 0, 100, "2", "of the real score; 1: none"),
    {"distill.guide_text", CONFIG_BOOL, AT(distill.score.guide_text), 0, 1, "false", NULL, 0, 0,
     "guidance leaves text out too: the empty prompt, or the negative one, in its place"},
    REAL("distill.alpha", distill.score.alpha, 0, 10, "1", "of sid"),
    LEVEL("distill.level", distill.score.level, "shifted_uniform", "3", "0.02", "0.98"),
    OPTIMISER("distill.critic", distill.score.critic, "3e-4", "0", "0.99", "0", "1", "0", "0", "0"),
    LONG("distill.critic_warmup", distill.score.critic_warmup, 0, 1e9, "80", "critic updates before all else"),
    INT("distill.critic_ratio", distill.score.critic_ratio, 0, 100, "5", "critic updates a generator update"),
    INT("distill.critic_replay", distill.score.critic_replay, 0, 1000, "5",
        "rollouts that critic batches are drawn from; 0: a fresh one each"),

    STAGE("refine", refine.stage, "100", "8"),
    OPTIMISER("refine.optimiser", refine.stage.optimiser, "3e-5", "0", "0.99", "0", "1", "0", "0", "0.97"),
    PATH("refine.student", refine.student, "", "where the student starts; empty: RUN/distill"),
    PATH("refine.teacher", refine.teacher, "", "where the trunk starts; empty: RUN/teacher"),
    CHOICE("refine.exit", refine.exit, exit_names, "last", "the pass whose prediction is judged and trained"),
    INT("refine.discriminator.tap0", refine.discriminator.taps[0], -1, 1000, "-1", "block read; all -1: by depth"),
    INT("refine.discriminator.tap1", refine.discriminator.taps[1], -1, 1000, "-1", "block read"),
    INT("refine.discriminator.tap2", refine.discriminator.taps[2], -1, 1000, "-1", "block read"),
    INT("refine.discriminator.queries", refine.discriminator.queries, 1, 64, "1", "learned queries a frame and tap"),
    INT("refine.discriminator.heads", refine.discriminator.heads, 0, 1024, "0",
        "attention heads of the readers; 0: as the trunk"),
    INT("refine.discriminator.ffn_dim", refine.discriminator.ffn_dim, 0, 262144, "0",
        "hidden width of the readers; 0: as the trunk"),
    OPTIMISER("refine.critic", refine.critic, "2e-4", "0", "0.99", "0", "1", "0", "0", "0"),
    LEVEL("refine.level", refine.level, "shifted_uniform", "1", "0.02", "0.6"),
    LONG("refine.head_warmup", refine.head_warmup, 0, 1e9, "25", "discriminator updates of the heads alone"),
    INT("refine.ratio", refine.ratio, 1, 100, "1", "discriminator updates a generator update"),
    REAL("refine.local_weight", refine.local_weight, 0, 1e6, "1", "of the frames' logits"),
    REAL("refine.global_weight", refine.global_weight, 0, 1e6, "1", "of the clip's logit"),
    REAL("refine.r1", refine.r1, 0, 1e6, "0.05", "weight of the penalty on real clips"),
    REAL("refine.r2", refine.r2, 0, 1e6, "0.05", "weight of the penalty on generated clips"),
    REAL("refine.fd_step", refine.fd_step, 1e-6, 10, "0.1", "step h of the finite differences"),
    REAL("refine.distill_share", refine.distill_share, 0, 1e6, "0", "weight of the distillation loss beside it"),

    STAGE("light_decoder", light.stage, "400", "4"),
    OPTIMISER("light_decoder.optimiser", light.stage.optimiser, "2e-3", "0.9", "0.99", "0", "1", "20", "100", "0.99"),
    PATH("light_decoder.from", light.from, "",
         "safetensors file to start from, with its sizes; empty: the sizes below"),
    INT("light_decoder.width0", light.net.first, 1, 8192, "64", "channels of the first stage"),
    INT("light_decoder.width1", light.net.stage[0], 1, 8192, "48", "of the second"),
    INT("light_decoder.width2", light.net.stage[1], 1, 8192, "32", "of the third"),
    INT("light_decoder.width3", light.net.stage[2], 1, 8192, "32", "after it"),
    INT("light_decoder.blocks", light.net.blocks, 0, LIGHT_BLOCKS_MAX, "3", "memory blocks a stage"),
    INT("light_decoder.grow0", light.net.grow[0], 1, 2, "1", "frames that a frame becomes in the first stage"),
    INT("light_decoder.grow1", light.net.grow[1], 1, 2, "2", "in the second"),
    INT("light_decoder.grow2", light.net.grow[2], 1, 2, "2", "in the third; 4 in all"),
    INT("light_decoder.scale0", light.net.scale[0], 1, 2, "2", "growth of the sides in the first stage"),
    INT("light_decoder.scale1", light.net.scale[1], 1, 2, "2", "in the second"),
    INT("light_decoder.scale2", light.net.scale[2], 1, 2, "2", "in the third"),
    REAL("light_decoder.clamp", light.net.clamp, 0, LIGHT_CLAMP_MAX, "3",
         "the latents are held within this; 0: as they are"),
    INT("light_decoder.patch", light.net.patch, 1, 16, "1", "pixels of a side that the last layer gives at once"),
    CHOICE("light_decoder.pixel", light.pixel, light_names, "l1", "pixel loss against the codec's own decode"),
    REAL("light_decoder.pixel_weight", light.pixel_weight, 0, 1e6, "1", "of the pixel loss"),
    REAL("light_decoder.gradient_weight", light.gradient_weight, 0, 1e6, "1", "of the gradient-difference loss"),
    REAL("light_decoder.consistency_weight", light.consistency_weight, 0, 1e6, "0",
         "of the re-encoded output's distance from the latents (codec pca)"),

    INT("evaluate.dialogues", evaluate.dialogues, 1, 10000, "10", "held-out dialogues streamed by every student"),
    INT("evaluate.teacher_dialogues", evaluate.teacher_dialogues, 1, 10000, "10", "of them, sampled by the teacher"),
    INT("evaluate.ablations", evaluate.ablations, 1, 10000, "3", "of them, streamed with parts switched off"),
    REAL("evaluate.seconds", evaluate.seconds, 20, 3600, "60", "length of a dialogue"),
    SAMPLER("evaluate.sampler", evaluate.sampler, "16", "3", "2"),
};
enum { FIELDS = sizeof fields / sizeof *fields };

static int check_levels(const char *section, const struct level_config *level) {
    if (level->min > level->max)
        return error_set(ERR_USAGE, "%s.level: min %g lies above max %g", section, level->min, level->max);
    return OK;
}

enum { LORA_NETWORKS = 4 };
static const char *const lora_networks[LORA_NETWORKS] = {"teacher", "student", "critic", "discriminator"};

/* Which of the names are in the list: bits. */
static int read_networks(const char *list, int *networks) {
    char copy[LORA_LIST], *rest = copy;
    snprintf(copy, sizeof copy, "%s", list);
    *networks = 0;
    for (const char *name; (name = strtok_r(rest, ", ", &rest));) {
        int i = 0;
        while (i < LORA_NETWORKS && strcmp(name, lora_networks[i])) i++;
        if (i == LORA_NETWORKS)
            return error_set(ERR_USAGE,
                             "lora.networks: expected some of teacher, student, critic, discriminator, found %s", name);
        *networks |= 1 << i;
    }
    return OK;
}

static int set_adapters(struct run_config *c) {
    struct optimiser_config *of[LORA_NETWORKS][3] = {
        {&c->teacher.stage.optimiser},
        {&c->ode_init.stage.optimiser, &c->distill.stage.optimiser, &c->refine.stage.optimiser},
        {&c->distill.score.critic},
        {&c->refine.critic}};
    struct lora_config lora = {
        .rank = c->lora.rank, .alpha = c->lora.alpha > 0 ? c->lora.alpha : c->lora.rank, .seed = (uint64_t)c->seed};
    int networks;
    memcpy(lora.targets, c->lora.targets, sizeof lora.targets);
    memcpy(lora.whole, c->lora.whole, sizeof lora.whole);
    TRY(read_networks(c->lora.networks, &networks));
    for (int i = 0; i < LORA_NETWORKS; i++)
        for (int k = 0; k < 3 && of[i][k]; k++)
            if (networks >> i & 1) of[i][k]->lora = lora;
    return OK;
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
    TRY(set_adapters(c));
    TRY(check_levels("teacher", &c->teacher.level));
    TRY(check_levels("distill", &c->distill.score.level));
    return check_levels("refine", &c->refine.level);
}

int run_config_load(struct run_config *config, const char *path, const char *const *overrides, int override_count) {
    memset(config, 0, sizeof *config);
    TRY(config_load(config, fields, FIELDS, path, overrides, override_count));
    config->light.net.channels = config->model.in_channels;
    config->rollout.steps = config->sigma_count;
    memcpy(config->rollout.sigma, config->sigma, sizeof config->sigma);
    if (!config->data[0] && snprintf(config->data, RUN_PATH, "%s/data.h5", config->run) >= RUN_PATH)
        return error_set(ERR_USAGE, "run: the path is too long");
    struct optimiser_config *all[] = {&config->teacher.stage.optimiser, &config->ode_init.stage.optimiser,
                                      &config->distill.stage.optimiser, &config->distill.score.critic,
                                      &config->refine.stage.optimiser,  &config->refine.critic};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) all[i]->spike = config->faults.spike;
    int code = check(config);
    return code ? error_context(code, "%s", path ? path : "config") : OK;
}

const struct config_field *run_config_fields(int *count) {
    *count = FIELDS;
    return fields;
}

int run_config_text(const struct run_config *config, char **text) {
    size_t size = 0;
    FILE *file = open_memstream(text, &size);
    if (!file) return error_set(ERR_DEVICE, "out of memory for the config's text");
    int code = config_write(config, fields, FIELDS, file);
    if (fclose(file) && !code) code = error_set(ERR_DEVICE, "out of memory for the config's text");
    if (code) free(*text), *text = NULL;
    return code;
}
