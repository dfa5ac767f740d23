/* test_text_encoder.c: UMT5 checkpoints: what is refused and how it is said, the full-size encoder's names, shapes and
   count from a file without data, and the memory that encoding takes. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/fileio.h"
#include "kernels/device.h"
#include "tests/folder.h"
#include "tests/text_encoder_file.h"

static char folder[FOLDER_MAX];

static const char *in_folder(const char *name) {
    static char path[FILE_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- small files ---- */

static void write_small(void (*change)(struct umt5_file *f)) {
    struct umt5_file f;
    umt5_file_make(&f, &small_umt5, 0);
    if (change) change(&f);
    assert_int_equal(safetensors_write(in_folder("e.safetensors"), f.entries, f.count, NULL), OK);
    umt5_file_free(&f);
}

static void expect_refusal(const char *words) {
    struct text_encoder e;
    assert_int_equal(text_encoder_open(&e, in_folder("e.safetensors")), ERR_INPUT);
    if (!strstr(error_text(), words)) fail_msg("\"%s\" is not in \"%s\"", words, error_text());
}

static struct safetensors_entry *entry_of(struct umt5_file *f, const char *name) {
    for (int i = 0; i < f->count; i++)
        if (!strcmp(f->entries[i].name, name)) return &f->entries[i];
    fail_msg("%s: is not there", name);
    return NULL;
}

static void rename_one(struct umt5_file *f) {
    struct safetensors_entry *e = entry_of(f, "blocks.1.ffn.gate.0.weight");
    free(e->name);
    e->name = strdup("blocks.1.ffn.gates.weight");
}
static void turn_one(struct umt5_file *f) {
    struct safetensors_entry *e = entry_of(f, "blocks.2.attn.o.weight");
    e->shape[0] = 40;
    e->shape[1] = 48;
}
static void drop_all(struct umt5_file *f) { f->count = 1; }
static void count_in_integers(struct umt5_file *f) { entry_of(f, "norm.weight")->type = ST_I32; }
static void odd_heads(struct umt5_file *f) {
    struct safetensors_entry *e = entry_of(f, "blocks.0.pos_embedding.embedding.weight");
    e->shape[0] = 160 / 32;
    e->shape[1] = 32;
}

static void refusals(void **state) {
    (void)state;
    struct text_encoder e;
    write_small(rename_one);
    expect_refusal("missing blocks.1.ffn.gate.0.weight [72, 48]");
    expect_refusal("surplus blocks.1.ffn.gates.weight");
    write_small(turn_one);
    expect_refusal("blocks.2.attn.o.weight is [40, 48], expected [48, 40]");
    write_small(drop_all);
    expect_refusal("holds no UMT5 encoder");
    write_small(count_in_integers);
    expect_refusal("norm.weight is of type I32");
    write_small(odd_heads);
    expect_refusal("40 rows for 32 heads");
    assert_int_equal(text_encoder_open(&e, in_folder("missing.safetensors")), ERR_INPUT);
}

static void configs(void **state) {
    (void)state;
    static const struct {
        const char *json, *refusal; /* NULL: taken */
    } cases[] = {
        {"{\"model_type\": \"umt5\", \"d_model\": 48, \"num_heads\": 5, \"num_layers\": 3, \"d_kv\": 8, \"d_ff\": 72, "
         "\"vocab_size\": 90, \"feed_forward_proj\": \"gated-gelu\", \"relative_attention_max_distance\": 64, "
         "\"layer_norm_epsilon\": 1e-5}",
         NULL},
        {"{\"num_heads\": 6}", "num_heads: the tensors say 5"},
        {"{\"num_heads\": \"5\"}", "num_heads"},
        {"{\"model_type\": \"t5\"}", "only umt5"},
        {"{\"feed_forward_proj\": \"relu\"}", "only gated-gelu"},
        {"{\"relative_attention_max_distance\": 8}", "relative_attention_max_distance"},
        {"{\"layer_norm_epsilon\": -1}", "layer_norm_epsilon"},
        {"[1]", "JSON"},
        {"{", "JSON"}};
    write_small(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct text_encoder e;
        assert_int_equal(file_write(in_folder("config.json"), cases[i].json, strlen(cases[i].json)), OK);
        if (cases[i].refusal) {
            expect_refusal(cases[i].refusal);
            continue;
        }
        if (text_encoder_open(&e, in_folder("e.safetensors"))) fail_msg("%s", error_text());
        assert_int_equal(e.net.config.max_distance, 64);
        assert_true(e.net.config.eps == 1e-5);
        text_encoder_close(&e);
    }
    unlink(in_folder("config.json"));
}

static void wrong_tokens(void **state) {
    (void)state;
    struct text_encoder e;
    float out[3 * 48];
    write_small(NULL);
    assert_int_equal(text_encoder_open(&e, in_folder("e.safetensors")), OK);
    assert_int_equal(text_encoder_encode(&e, (int[]){3, 90, 1}, (int[]){3}, 1, out), ERR_INPUT);
    assert_non_null(strstr(error_text(), "token 90"));
    assert_int_equal(text_encoder_encode(&e, (int[]){3, -1, 1}, (int[]){3}, 1, out), ERR_INPUT);
    assert_int_equal(text_encoder_encode(&e, (int[]){3, 1}, (int[]){2, 0}, 2, out), ERR_INPUT);
    assert_int_equal(text_encoder_encode(&e, NULL, NULL, 0, out), ERR_INPUT);
    assert_int_equal(text_encoder_encode(&e, (int[]){3, 1}, (int[]){2}, 1, out), OK);
    text_encoder_close(&e);
}

/* ---- full size, without data ---- */

/* A file of the header and a hole. */
static void write_hollow(const char *path, const struct umt5_config *config, int transformers) {
    struct umt5 net;
    char name[160], *header = NULL;
    size_t length = 0, at = 0;
    assert_int_equal(umt5_create(&net, config), OK);
    FILE *text = open_memstream(&header, &length);
    assert_non_null(text);
    for (int i = 0; i < net.table.count; i++) {
        const struct param *p = &net.table.list[i];
        snprintf(name, sizeof name, "%s", p->name);
        if (transformers) assert_int_equal(text_encoder_transformers_name(p->name, name, sizeof name), OK);
        fprintf(text, "%s\"%s\":{\"dtype\":\"BF16\",\"shape\":[%ld", i ? "," : "{", name, p->shape[0]);
        if (p->ndim > 1) fprintf(text, ",%ld", p->shape[1]);
        fprintf(text, "],\"data_offsets\":[%zu,%zu]}", at, at + 2 * p->count);
        at += 2 * p->count;
    }
    fprintf(text, "}");
    fclose(text);
    unsigned char size[8];
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)(length >> (8 * i));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, size, 8), 8);
    assert_int_equal(write(fd, header, length), (long)length);
    assert_int_equal(ftruncate(fd, (off_t)(8 + length + at)), 0);
    close(fd);
    free(header);
    umt5_destroy(&net);
}

static void full_size(void **state) {
    (void)state;
    const struct umt5_config xxl = umt5_xxl();
    for (int transformers = 0; transformers < 2; transformers++) {
        struct text_encoder e;
        write_hollow(in_folder("e.safetensors"), &xxl, transformers);
        if (text_encoder_open(&e, in_folder("e.safetensors"))) fail_msg("%s", error_text());
        assert_int_equal(e.net.table.values, 5680910336);
        assert_int_equal(e.shards.count, 242);
        assert_int_equal(e.net.config.heads, xxl.heads);
        assert_int_equal(e.net.config.head_dim, xxl.head_dim);
        assert_int_equal(e.net.config.layers, xxl.layers);
        text_encoder_close(&e);
    }
}

/* ---- memory ---- */

/* 50 layers, 1.3 million weights each: 130 MB of bf16 in the file; encoding may take a tenth. */
static const struct umt5_config tall = {.vocab = 1000,
                                        .dim = 320,
                                        .heads = 4,
                                        .head_dim = 80,
                                        .ffn_dim = 960,
                                        .layers = 50,
                                        .buckets = 32,
                                        .max_distance = 128,
                                        .eps = 1e-6};
enum { BESIDES = 6 }; /* data that the allocator and the libraries may take besides, MiB */

/* What the arena and the piece take, with room for the allocator. */
static size_t allowance(const struct umt5_config *c) {
    size_t layer = 4 * (size_t)c->dim * c->dim + 3 * (size_t)c->dim * c->ffn_dim;
    return layer * sizeof(elem) + (4 << 20) + ((size_t)BESIDES << 20);
}

static size_t data_now(void) {
    size_t pages[6] = {0};
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file ||
        fscanf(file, "%zu %zu %zu %zu %zu %zu", &pages[0], &pages[1], &pages[2], &pages[3], &pages[4], &pages[5]) != 6)
        pages[5] = 0;
    if (file) fclose(file);
    return pages[5] * (size_t)sysconf(_SC_PAGESIZE);
}

/* The program again, in memory that ends `bytes` above what it has after a first text, when the libraries have what
   they keep. Exit code: the library's. */
static int encode_within(const char *path, size_t bytes) {
    struct text_encoder e;
    float *out = malloc(sizeof *out * 8 * (size_t)tall.dim);
    if (!out || device_init(1)) return ERR_DEVICE;
    int code = text_encoder_open(&e, path);
    if (!code) code = text_encoder_encode(&e, (int[]){9, 9, 9, 9, 1}, (int[]){5}, 1, out);
    size_t now = data_now();
    struct rlimit limit = {now + bytes, now + bytes};
    if (!code && (!now || setrlimit(RLIMIT_DATA, &limit))) return 1;
    if (!code) code = text_encoder_encode(&e, (int[]){5, 6, 7, 8, 1}, (int[]){5}, 1, out);
    if (code) fprintf(stderr, "%s\n", error_text());
    return code;
}

static int run_within(size_t bytes) {
    char program[1024] = {0}, number[32];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    assert_true(n > 0);
    snprintf(number, sizeof number, "%zu", bytes);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        execl(program, program, in_folder("e.safetensors"), number, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void one_layer_in_memory(void **state) {
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* the sanitizer's own memory counts */
#endif
    write_hollow(in_folder("e.safetensors"), &tall, 0);
    assert_int_equal(run_within(allowance(&tall)), OK);
    /* the measure measures: without room for a layer it is refused, and said */
    assert_int_equal(run_within(allowance(&tall) / 4), ERR_DEVICE);
}

static int start(void **state) {
    (void)state;
    device_poison(1);
    return device_init(2) || folder_make(folder, "test_text_encoder");
}

static int stop(void **state) {
    (void)state;
    unlink(in_folder("e.safetensors"));
    return rmdir(folder);
}

int main(int argc, char **argv) {
    if (argc == 3) return encode_within(argv[1], (size_t)strtoull(argv[2], NULL, 10));
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(configs),
                                       cmocka_unit_test(wrong_tokens), cmocka_unit_test(full_size),
                                       cmocka_unit_test(one_layer_in_memory)};
    return cmocka_run_group_tests(tests, start, stop);
}
