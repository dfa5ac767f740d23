/* streamavatar.c: the one command. `streamavatar NAME ...` runs the program NAME that lies beside it (bin/ of a build)
   or in ../libexec/streamavatar (installed), or the script NAME.sh, where its header says "usage: streamavatar NAME".
   It holds no list of names: which commands there are is read from the folders, what they do from their --help. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/args.h"
#include "base/error.h"
#include "base/fileio.h"
#include "base/version.h"

enum { COMMANDS_MAX = 256, NAME_SIZE = 64, DEPTH = 4 };

struct house {
    char programs[FILE_PATH_MAX];
    char scripts[FILE_PATH_MAX]; /* "": there are none */
    char names[COMMANDS_MAX][NAME_SIZE];
    int count;
};

/* ---- where things are ---- */

/* Writes to `path` FOLDER without its last `up` parts, then NAME. 1: that exists. */
static int look(char *path, size_t size, const char *folder, int up, const char *name) {
    snprintf(path, size, "%s", folder);
    for (char *slash; up > 0 && (slash = strrchr(path, '/')); up--) *slash = 0;
    size_t n = strlen(path);
    return snprintf(path + n, size - n, "/%s", name) < (int)(size - n) && file_exists(path);
}

/* Finds the folders of programs and scripts. Installed, the programs lie apart from what else is in bin. In a checkout
   they lie beside this one, at most DEPTH folders below the one that holds scripts/. Anywhere else nothing is taken:
   what lies beside this program there is not ours. */
static int find_house(struct house *h) {
    char own[FILE_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n < 0) return error_set(ERR_DEVICE, "cannot find the program's own folder: %s", strerror(errno));
    own[n] = 0;
    *strrchr(own, '/') = 0;
    if (look(h->programs, sizeof h->programs, own, 1, "libexec/streamavatar")) {
        if (!look(h->scripts, sizeof h->scripts, own, 1, "share/streamavatar/scripts")) h->scripts[0] = 0;
        return OK;
    }
    memcpy(h->programs, own, sizeof own);
    for (int up = 1; up <= DEPTH; up++)
        if (look(h->scripts, sizeof h->scripts, own, up, "scripts/launch.sh")) return *strrchr(h->scripts, '/') = 0, OK;
    return error_set(ERR_INPUT, "%s: no commands: neither ../libexec/streamavatar nor a checkout around it", own);
}

static int program_path(const struct house *h, const char *name, char *path, size_t size) {
    struct stat info;
    return snprintf(path, size, "%s/%s", h->programs, name) < (int)size && !stat(path, &info) &&
           S_ISREG(info.st_mode) && !access(path, X_OK) && strcmp(name, "streamavatar");
}

/* A script is a command when its header says how it is used as one. */
static int script_path(const struct house *h, const char *name, char *path, size_t size) {
    char line[256], wanted[NAME_SIZE + 40];
    int found = 0;
    if (!h->scripts[0] || snprintf(path, size, "%s/%s.sh", h->scripts, name) >= (int)size) return 0;
    FILE *file = fopen(path, "r");
    snprintf(wanted, sizeof wanted, "usage: streamavatar %.60s", name);
    while (file && !found && fgets(line, sizeof line, file) && line[0] == '#') found = strstr(line, wanted) != NULL;
    if (file) fclose(file);
    return found;
}

static int find_command(const struct house *h, const char *name, char *path, size_t size) {
    return !strchr(name, '/') && strlen(name) < NAME_SIZE &&
           (program_path(h, name, path, size) || script_path(h, name, path, size));
}

static int by_name(const void *a, const void *b) { return strcmp(a, b); }

static void list_folder(struct house *h, const char *folder) {
    char path[FILE_PATH_MAX];
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) && h->count < COMMANDS_MAX;) {
        char *name = h->names[h->count];
        size_t n = strcspn(e->d_name, ".");
        if (!n || n >= NAME_SIZE) continue;
        snprintf(name, NAME_SIZE, "%.*s", (int)n, e->d_name);
        h->count += find_command(h, name, path, sizeof path);
    }
    if (dir) closedir(dir);
}

static void list_commands(struct house *h) {
    list_folder(h, h->programs);
    if (h->scripts[0]) list_folder(h, h->scripts);
    qsort(h->names, (size_t)h->count, NAME_SIZE, by_name);
}

/* ---- what it does ---- */

/* Replaces this process by the command; the variable BIN tells scripts where the programs are. */
static int run(const struct house *h, const char *name, char **argv) {
    char path[FILE_PATH_MAX];
    if (!find_command(h, name, path, sizeof path)) return error_set(ERR_USAGE, "unknown command %.60s", name);
    argv[0] = path;
    setenv("BIN", h->programs, 0);
    execv(path, argv);
    return error_set(ERR_DEVICE, "%s: cannot be run: %s", path, strerror(errno));
}

/* Prints the first line of each command's --help, "NAME: what it does". All are asked at once, which is quicker. */
static void print_summaries(const struct house *h) {
    char path[FILE_PATH_MAX], line[256];
    FILE *said[COMMANDS_MAX];
    for (int i = 0; i < h->count; i++) {
        find_command(h, h->names[i], path, sizeof path);
        setenv("COMMAND", path, 1);
        said[i] = popen("\"$COMMAND\" --help 2>/dev/null", "r");
    }
    for (int i = 0; i < h->count; i++) {
        const char *does = said[i] && fgets(line, sizeof line, said[i]) ? strchr(line, ':') : NULL;
        printf("  %-16s %s", h->names[i], does ? does + 2 : "does not say what it does\n");
        if (said[i]) pclose(said[i]);
    }
}

static void print_help(struct house *h) {
    printf("streamavatar: Trains, distils and streams talking and listening avatars.\n\n"
           "usage: streamavatar COMMAND WORD ... [key=value ...]\n\ncommands:\n"
           "  help             Prints this text; help COMMAND prints what that command takes.\n"
           "  version          Prints version, commit, backend, number type and libraries.\n");
    fflush(stdout);
    list_commands(h);
    print_summaries(h);
}

static int refuse(struct house *h, const char *name) {
    const char *nearest = "help";
    int best = config_distance(name, nearest);
    list_commands(h);
    for (int i = 0; i < h->count; i++) {
        int distance = config_distance(name, h->names[i]);
        if (distance < best) best = distance, nearest = h->names[i];
    }
    return error_set(ERR_USAGE, "unknown command %.60s; did you mean %s? (streamavatar help lists all)", name, nearest);
}

static int streamavatar(int argc, char **argv) {
    static struct house h;
    char path[FILE_PATH_MAX], *help[] = {argv[0], "--help", NULL};
    const char *name = argc > 1 ? argv[1] : "";
    TRY(find_house(&h));
    if (!*name) return error_set(ERR_USAGE, "a command is needed (streamavatar help lists all)");
    if (!strcmp(name, "version") || !strcmp(name, "--version")) {
        version_print("streamavatar", stdout);
        version_print_libraries(stdout);
        return OK;
    }
    int asks = !strcmp(name, "help") || !strcmp(name, "--help");
    if (asks && argc < 3) return print_help(&h), OK;
    if (asks) name = argv[2];
    if (!find_command(&h, name, path, sizeof path)) return refuse(&h, name);
    return run(&h, name, asks ? help : argv + 1);
}

int main(int argc, char **argv) { return args_exit("streamavatar", streamavatar(argc, argv)); }
