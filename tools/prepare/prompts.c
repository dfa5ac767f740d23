/* prompts.c: see prompts.h. */
#include "tools/prepare/prompts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "base/fileio.h"
#include "base/log.h"
#include "base/philox.h"
#include "base/text.h"
#include "tools/prepare/sidecar.h"

/* ---- without a file ---- */

static int make_stored(struct prepare_prompts *p) {
    const struct prepare_config *c = p->config;
    long n = (long)c->text_len * c->text_dim;
    p->stored = malloc(sizeof *p->stored * (size_t)n);
    if (!p->stored) return error_set(ERR_DEVICE, "out of memory");
    struct random_address address = {.seed = (uint64_t)c->seed, .purpose = RANDOM_INIT};
    for (long i = 0; i < n; i++) { /* Box and Muller */
        double u = 1 - random_uniform(&address, (uint32_t)(2 * i)), v = random_uniform(&address, (uint32_t)(2 * i + 1));
        p->stored[i] = (float)(sqrt(-2 * log(u)) * cos(2 * M_PI * v));
    }
    return OK;
}

/* ---- the list ---- */

static int append(struct prepare_prompts *p, char *text, const struct prompt_entry *entry) {
    if (!(p->count & (p->count - 1))) { /* a power of two is full */
        struct clip_prompt *list = realloc(p->list, sizeof *list * (size_t)(p->count ? 2 * p->count : 1));
        if (!list) return error_set(ERR_DEVICE, "out of memory");
        p->list = list;
    }
    TRY(hash_index_add(&p->index, hash_text(text), p->count));
    p->list[p->count++] = (struct clip_prompt){text, entry};
    return OK;
}

/* Finds the number of a text, or adds it; it takes the text over. */
static int number_of(struct prepare_prompts *p, char *text, const struct prompt_entry *entry, int *number) {
    size_t at = 0;
    while ((*number = hash_index_next(&p->index, hash_text(text), &at)) >= 0)
        if (p->list[*number].entry == entry && !strcmp(p->list[*number].text, text)) {
            free(text);
            return OK;
        }
    *number = p->count;
    int code = append(p, text, entry);
    if (code) free(text);
    return code;
}

static int number_of_copy(struct prepare_prompts *p, const char *text, const struct prompt_entry *entry, int *number) {
    char *copy = strdup(text);
    return copy ? number_of(p, copy, entry, number) : error_set(ERR_DEVICE, "out of memory");
}

static int check_size(const struct prepare_prompts *p, const struct prompt_entry *entry) {
    if (entry->length <= p->config->text_len) return OK;
    return error_set(ERR_INPUT, "%s: prompt \"%.60s\" has %ld tokens, text_len is %d", p->file.path,
                     entry->text ? entry->text : entry->name, entry->length, p->config->text_len);
}

/* Names who asks for a text, for errors: a clip's file, the config, or nobody (""). */
static int find_prompt(struct prepare_prompts *p, const char *text, int *number) {
    const struct prompt_entry *entry;
    char *clean;
    TRY(prompt_file_find(&p->file, text, &entry));
    TRY(check_size(p, entry));
    TRY(prompt_clean(text, &clean));
    if (*clean) return number_of(p, clean, entry, number);
    free(clean);
    return number_of_copy(p, entry->text ? entry->text : entry->name, entry, number);
}

/* Reads the text of NAME.txt beside NAME.mp4; *text stays NULL when there is none. */
static int read_sidecar(const struct prepare_config *c, const struct clip_entry *clip, char **text) {
    char video[FILE_PATH_MAX], path[FILE_PATH_MAX];
    if (!strcmp(c->source, "puppet")) return OK;
    TRY(file_join(video, sizeof video, c->source, clip->path));
    if (!sidecar_beside(video, "txt", path, sizeof path)) return OK;
    return text_read(path, PROMPT_TEXT_MAX, text);
}

static int find_clip_prompt(struct prepare_prompts *p, const struct clip_entry *clip, int *number) {
    char *text = NULL;
    TRY(read_sidecar(p->config, clip, &text));
    int code = find_prompt(p, text ? text : p->config->prompt, number);
    free(text);
    return code ? error_context(code, "%s", clip->path) : OK;
}

static int find_all(struct prepare_prompts *p, const struct clip_list *clips) {
    const struct prompt_entry *empty = prompt_file_empty(&p->file);
    int none;
    if (p->file.dim != p->config->text_dim)
        return error_set(ERR_INPUT, "%s: embeddings are %d wide, text_dim is %d", p->file.path, p->file.dim,
                         p->config->text_dim);
    if (!empty)
        log_line("%s has no empty prompt: where training drops text, padding alone stands in a prompt's place",
                 p->file.path);
    if (empty) TRY(check_size(p, empty));
    TRY(number_of_copy(p, "", empty, &none));
    for (int i = 0; i < clips->count; i++) TRY(find_clip_prompt(p, &clips->entries[i], &p->of_clip[i]));
    return OK;
}

/* Makes the stamp: a line with the checksum of the embeddings and of which clip has which text. */
static int make_stamp(struct prepare_prompts *p, const struct clip_list *clips) {
    uint64_t length, hash = HASH_START;
    uint32_t crc;
    TRY(file_checksum(p->config->text, &length, &crc));
    for (int i = 0; i < clips->count; i++) {
        const char *text = p->list[p->of_clip[i]].text;
        hash = hash_bytes(hash, text, strlen(text) + 1);
    }
    snprintf(p->stamp, sizeof p->stamp, "prompts: %d, %08x, %016llx\n", p->count, crc, (unsigned long long)hash);
    return OK;
}

static int open_prompts(struct prepare_prompts *p, const struct clip_list *clips) {
    int number;
    p->of_clip = calloc((size_t)clips->count + 1, sizeof *p->of_clip);
    if (!p->of_clip) return error_set(ERR_DEVICE, "out of memory");
    if (*p->config->text) {
        TRY(prompt_file_open(&p->file, p->config->text));
        TRY(find_all(p, clips));
        return make_stamp(p, clips);
    }
    TRY(make_stored(p));
    TRY(number_of_copy(p, "", NULL, &number));
    TRY(number_of_copy(p, "stored tokens", NULL, &number));
    for (int i = 0; i < clips->count; i++) p->of_clip[i] = number;
    return OK;
}

int prepare_prompts_open(struct prepare_prompts *p, const struct prepare_config *config,
                         const struct clip_list *clips) {
    memset(p, 0, sizeof *p);
    p->config = config;
    int code = open_prompts(p, clips);
    if (code) prepare_prompts_close(p);
    return code;
}

void prepare_prompts_close(struct prepare_prompts *p) {
    for (int i = 0; i < p->count; i++) free(p->list[i].text);
    free(p->list);
    hash_index_free(&p->index);
    free(p->of_clip);
    free(p->stored);
    prompt_file_close(&p->file);
    memset(p, 0, sizeof *p);
}

int prepare_prompts_write(const struct prepare_prompts *p, struct dataset_writer *writer) {
    for (int i = 0; i < p->count; i++) {
        const struct prompt_entry *entry = p->list[i].entry;
        float *rows = NULL;
        struct prompt_rows prompt = {.text = p->list[i].text};
        if (entry) {
            TRY(prompt_file_read(&p->file, entry, &rows));
            prompt.length = entry->length;
            prompt.rows = rows;
        } else if (p->stored && i) {
            prompt.length = p->config->text_len;
            prompt.rows = p->stored;
        }
        int code = dataset_add_prompt(writer, &prompt);
        free(rows);
        TRY(code);
    }
    return OK;
}
