/* inspect.c: prints what a file or folder holds: data sets and training states (HDF5), safetensors, a run's folder (its
   newest whole training state), an exported student's (config.json and its safetensors). It prints names, types,
   shapes, attributes and the config; with stats=yes also the range, mean and deviation of every array. */
#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "checkpoints/pretrained.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/state.h"
#include "tools/inspect_hdf5.h"
#include "tools/tensor_stats.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIG_MAX = 1 << 20, ERROR_LINE_MAX = 1024 };

/* ---- HDF5 ---- */

/* Inspects an HDF5 file in a child process, because the library may crash on a damaged file. The child's error line
   comes back through a pipe. */
static int inspect_apart(const char *path, int stats) {
    int line[2], status;
    char text[ERROR_LINE_MAX] = "";
    if (pipe(line)) return error_set(ERR_DEVICE, "%s: cannot start a process: %s", path, strerror(errno));
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) return error_set(ERR_DEVICE, "%s: cannot start a process: %s", path, strerror(errno));
    if (!child) {
        int code = inspect_hdf5(path, stats);
        if (!code && (fflush(stdout) || ferror(stdout)))
            code = error_set(ERR_INPUT, "cannot write: %s", strerror(errno));
        if (code && write(line[1], error_text(), strlen(error_text())) < 0) code = ERR_DEVICE;
        _exit(code);
    }
    close(line[1]);
    size_t used = 0;
    for (ssize_t n; used < sizeof text - 1 && (n = read(line[0], text + used, sizeof text - 1 - used)) > 0;)
        used += (size_t)n;
    close(line[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (WIFEXITED(status) && WEXITSTATUS(status) == OK) return OK;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE)
        raise(SIGPIPE); /* the reader of our output has left, which is no fault of the file */
    if (WIFEXITED(status) && text[0]) return error_set((enum error_code)WEXITSTATUS(status), "%s", text);
    return error_set(ERR_INPUT, "%s: is damaged: the HDF5 library could not cope with it", path);
}

/* seen: the file's identity, where all of it was read already; NULL: it was not. */
static int inspect_hdf5_file(const char *path, struct file_identity *seen, int stats) {
    char sum[FILE_PATH_MAX + 8];
    snprintf(sum, sizeof sum, "%s.sum", path);
    if (!file_exists(sum)) {
        printf("%s: HDF5, no checksum beside it\n", path);
    } else {
        TRY(state_verify(path, seen));
        printf("%s: HDF5, whole by its checksum\n", path);
    }
    return inspect_apart(path, stats);
}

/* ---- safetensors ---- */

static int print_tensor(const struct safetensors_entry *e, int stats) {
    fputs("  ", stdout);
    print_clean(e->name, NULL);
    printf("%*s %s", strlen(e->name) < 44 ? (int)(44 - strlen(e->name)) : 0, "", safetensors_type_name(e->type));
    for (int d = 0; d < e->ndim; d++) printf("%s%ld", d ? " x " : " ", e->shape[d]);
    if (stats && e->type < ST_I32) {
        struct tensor_stats numbers = {0};
        char text[160];
        float *values = malloc(e->count * sizeof *values + 1);
        if (!values) return error_set(ERR_DEVICE, "out of memory for %s", e->name);
        int code = safetensors_read_any(e, values);
        if (!code) tensor_stats_add(&numbers, values, e->count);
        free(values);
        if (code) return code;
        tensor_stats_text(&numbers, text, sizeof text);
        printf("  %s", text);
    }
    putchar('\n');
    return OK;
}

static int inspect_safetensors(const char *path, int stats) {
    struct safetensors file;
    size_t values = 0;
    TRY(safetensors_open(&file, path));
    printf("%s: safetensors\n", path);
    for (char **m = file.metadata; m && m[0]; m += 2) {
        fputs("  @", stdout);
        print_clean(m[0], NULL);
        fputs(" = ", stdout);
        print_clean(m[1], "    ");
        putchar('\n');
    }
    int code = OK;
    for (int i = 0; i < file.count && !code; i++) {
        code = print_tensor(&file.entries[i], stats);
        values += file.entries[i].count;
    }
    if (!code) printf("  %d arrays, %zu values\n", file.count, values);
    safetensors_close(&file);
    return code;
}

/* ---- files and folders ---- */

static int inspect_file(const char *path, int stats) {
    unsigned char start[9] = {0};
    FILE *file = fopen(path, "rb");
    if (!file) return error_set(ERR_INPUT, "%s: cannot open: %s", path, strerror(errno));
    size_t n = fread(start, 1, 9, file);
    fclose(file);
    if (n >= 8 && !memcmp(start, "\211HDF\r\n\032\n", 8)) return inspect_hdf5_file(path, NULL, stats);
    if (n == 9 && start[8] == '{') return inspect_safetensors(path, stats);
    return error_set(ERR_INPUT, "%s: is neither HDF5 nor safetensors", path);
}

/* Inspects a folder of safetensors with their config.json, and its folder transformer/. */
static int inspect_student(const char *folder, const char *config, int stats) {
    char path[FILE_PATH_MAX], folder_below[FILE_PATH_MAX], *text;
    TRY(file_read(config, CONFIG_MAX, &text, NULL));
    printf("%s:\n  ", config);
    print_clean(text, "  ");
    if (*text && text[strlen(text) - 1] != '\n') putchar('\n');
    free(text);
    struct dirent **list;
    int count = scandir(folder, &list, NULL, alphasort), code = OK;
    if (count < 0) return error_set(ERR_INPUT, "%s: cannot read the folder: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        const char *ending = strrchr(list[i]->d_name, '.');
        if (!code && ending && !strcmp(ending, ".safetensors")) {
            code = file_join(path, sizeof path, folder, list[i]->d_name);
            if (!code) code = inspect_safetensors(path, stats);
        }
        free(list[i]);
    }
    free(list);
    if (code) return code;
    TRY(file_join(folder_below, sizeof folder_below, folder, "transformer"));
    TRY(file_join(path, sizeof path, folder_below, "config.json"));
    return file_exists(path) ? inspect_student(folder_below, path, stats) : OK;
}

static int inspect_folder(const char *folder, int stats) {
    char path[FILE_PATH_MAX];
    struct file_identity seen = {0};
    TRY(file_join(path, sizeof path, folder, "config.json"));
    if (file_exists(path)) return inspect_student(folder, path, stats);
    TRY(state_newest(folder, path, sizeof path, &seen));
    if (!*path) return error_set(ERR_INPUT, "%s: holds neither an exported student nor a whole training state", folder);
    return inspect_hdf5_file(path, &seen, stats);
}

/* Prints the section `model` of a run's config that fits a transformer's checkpoint. The latent size is not in a
   checkpoint: it is the run's to say. */
static int print_model_section(const char *path) {
    struct dit_config c;
    TRY(pretrained_config(path, &c));
    printf("model:\n  dim: %d\n  ffn_dim: %d\n  heads: %d\n  layers: %d\n  in_channels: %d\n  out_channels: %d\n",
           c.dim, c.ffn_dim, c.heads, c.layers, c.in_channels, c.out_channels);
    printf("  freq_dim: %d\n  text_len: %d\n  text_dim: %d\n  rope_theta_t: %g\n  rope_theta_hw: %g\n  eps: %g\n",
           c.freq_dim, c.text_len, c.text_dim, c.rope_theta_t, c.rope_theta_hw, c.eps);
    if (c.clean_floor > 0) printf("  clean_floor: %g\n", c.clean_floor);
    if (c.reference_gate) printf("  reference_gate: yes\n");
    if (c.height) printf("  height: %d\n  width: %d\n", c.height, c.width);
    if (c.audio_dim)
        printf("  audio_dim: %d\n  audio_tokens: %d\n  audio_width: %d\n  audio_hidden: %d\n  audio_every: %d\n",
               c.audio_dim, c.audio_tokens, c.audio_width, c.audio_hidden, c.audio_every);
    return OK;
}

struct settings {
    int stats, model;
};
#define FIELDS_OF struct settings
static const struct config_field keys[] = {
    FLAG("stats", stats, "no", "Prints smallest, largest, mean and deviation of every array."),
    FLAG("model", model, "no", "Prints the section of a run's config that fits a transformer's checkpoint."),
};
static const struct command command = {
    .name = "inspect",
    .does = "Prints what data sets, training states, safetensors, runs and exported students hold.",
    .words = "FILE|FOLDER ...",
    .min_words = 1,
    .max_words = ARGS_MAX,
    .keys = keys,
    .key_count = FIELDS(keys)};

static int inspect(const char *path, const struct settings *o) {
    struct stat info;
    int folder = !stat(path, &info) && S_ISDIR(info.st_mode);
    if (o->model)
        TRY(print_model_section(path));
    else
        TRY(folder ? inspect_folder(path, o->stats) : inspect_file(path, o->stats));
    if (fflush(stdout) || ferror(stdout)) return error_set(ERR_INPUT, "cannot write: %s", strerror(errno));
    return OK;
}

int main(int argc, char **argv) {
    struct args args;
    struct settings o;
    int code = args_parse(&args, &command, &o, argc, argv);
    for (int i = 0; i < args.word_count && !code && !args.done; i++) code = inspect(args.words[i], &o);
    fflush(stdout);
    return args_exit("inspect", code);
}
