/* test_train_state.c: a state is that of the moment of the save, though updates change the arrays while it is copied
   and written; what N ranks wrote with any ZeRO level, M read with another; where a rank cannot write its part, it and
   the first rank say so, the state before is whole, and the next save works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "tests/folder.h"
#include "tests/unit/ranks.h"
#include "train/state/state.h"

/* LARGE: so many that the copy of what comes after them is late; five samples' rows in three slots. */
enum { LARGE = 1 << 22, SMALL = 1 << 16, NARROW = 33, BATCH = 5, SLOTS = 3, ROW = 7 };

struct world {
    struct comm comm;
    struct sharding shards;
    struct param_table table;
    struct arena device, host;
    struct optimiser o;
    struct batch_split split;
    struct train_state saved;
    real *rows; /* device [SLOTS][split][ROW] */
    int64_t step;
};

struct job {
    const char *folder;
    int zero, seed;
    long wide; /* elements of the largest parameter */
};

static int lay_out(struct world *w) {
    static const struct optimiser_config config = {
        .lr = 0.01, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1, .ema = 0.9, .ema_warmup = 4};
    TRY(optimiser_layout(&w->o, "test", &w->table, &config, 100, &w->shards, &w->device));
    w->rows = ARENA_TAKE(&w->device, "rows", real, SLOTS * w->split.count * ROW);
    train_state_begin(&w->saved, &w->shards, &w->split);
    train_state_network(&w->saved, "net", &w->o);
    train_state_integer(&w->saved, "step", &w->step);
    TRY(train_state_rows(&w->saved, "rows", w->rows, SLOTS, ROW));
    sharding_layout(&w->shards, &w->device);
    train_state_layout(&w->saved, &w->host);
    return device_sync();
}

static void open_world(struct world *w, int size, const struct job *job) {
    memset(w, 0, sizeof *w);
    CHECK(device_init(2) == OK);
    CHECK(comm_open(&w->comm, &(struct comm_options){.timeout = 20}) == OK && w->comm.size == size);
    CHECK(sharding_open(&w->shards, &w->comm, size, job->zero) == OK);
    param_table_open(&w->table);
    param_add(&w->table, 0, "narrow", INIT_ZERO, 0, 1, (const long[]){NARROW, 0});
    param_add(&w->table, 0, "wide", INIT_ZERO, 0, 0, (const long[]){job->wide / 4, 4, 0});
    param_add(&w->table, 1, "last", INIT_ZERO, 0, 1, (const long[]){NARROW, NARROW, 0});
    CHECK(param_table_close(&w->table) == OK && sharding_divide(&w->shards, &w->table) == OK);
    CHECK(sharding_batch_split(&w->shards, &w->split, BATCH, 1) == OK);
    arena_begin(&w->device, "device");
    arena_begin_host(&w->host, "staging");
    CHECK(lay_out(w) == OK);
    CHECK(arena_commit(&w->device) == OK && arena_commit(&w->host) == OK);
    CHECK(lay_out(w) == OK);
}

static int close_world(struct world *w) {
    CHECK(train_state_wait(&w->saved) == OK);
    optimiser_free(&w->o);
    arena_free(&w->device);
    arena_free(&w->host);
    param_table_free(&w->table);
    sharding_close(&w->shards);
    comm_close(&w->comm);
    return 0;
}

/* Parameter i, element j of an array, of one seed; of the rows: array OPTIMISER_ARRAYS, sample, element. */
static float value(int seed, int array, int i, size_t j) {
    return (float)(seed + 10 * array + 100 * i) + (float)(j % 4096) / 8192;
}

/* The rows of this rank's samples, of one seed; returns how many values. */
static int rows_of(const struct world *w, int seed, real *rows) {
    int n = w->split.count;
    for (int i = 0; i < SLOTS * n * ROW; i++)
        rows[i] =
            (real)value(seed, OPTIMISER_ARRAYS, w->split.first + i / ROW % n, (size_t)(i / ROW / n * 100 + i % ROW));
    return SLOTS * n * ROW;
}

static void fill(struct world *w, int seed) {
    float *slice = calloc(w->table.total, sizeof *slice);
    CHECK(slice);
    for (int s = 0; s < w->table.slices; s++)
        for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
            for (int i = 0; i < w->table.count; i++)
                for (size_t j = 0; j < w->table.list[i].count && w->table.list[i].slice == s; j++)
                    slice[w->table.list[i].offset + j] = value(seed, k, i, j);
            optimiser_write(&w->o, k, s, slice);
        }
    free(slice);
    real rows[SLOTS * BATCH * ROW];
    int count = rows_of(w, seed, rows);
    mem_upload(w->rows, rows, sizeof *rows * (size_t)count);
    const struct optim_state account = {.updates = seed};
    mem_upload(w->o.state, &account, sizeof account);
    w->step = seed;
    CHECK(device_sync() == OK);
}

/* How many values that this rank has are not those of the seed. */
static long differences(struct world *w, int seed) {
    long wrong = w->step != seed;
    size_t n = shard_pieces(&w->o.shard);
    real *have = malloc(n * sizeof *have);
    CHECK(have);
    for (int k = 0; k < OPTIMISER_ARRAYS; k++) {
        mem_download(have, w->o.array[k], n * sizeof *have);
        for (int i = 0; i < w->table.count; i++) {
            const struct param *p = &w->table.list[i];
            struct shard_piece piece = shard_piece(&w->o.shard, p->slice);
            for (size_t j = 0; j < p->count; j++) {
                size_t at = p->offset + j;
                if (at < piece.from || at >= piece.from + piece.count) continue;
                wrong += have[piece.at + at - piece.from] != (real)value(seed, k, i, j);
            }
        }
    }
    free(have);
    real rows[SLOTS * BATCH * ROW], want[SLOTS * BATCH * ROW];
    int count = rows_of(w, seed, want);
    mem_download(rows, w->rows, sizeof *rows * (size_t)count);
    for (int i = 0; i < count; i++) wrong += rows[i] != want[i];
    struct optim_state account;
    mem_download(&account, w->o.state, sizeof account);
    return wrong + (account.updates != seed);
}

/* An update in two: gradients before the save, so that what follows it changes at once what is copied last. */
static void begin_update(struct world *w) {
    const struct params params = optimiser_params(&w->o);
    optimiser_begin(&w->o);
    for (int s = 0; s < w->table.slices; s++) {
        real *grads = grads_acquire(&params, s);
        real_fill(grads, 1, (long)(w->table.slice_offset[s + 1] - w->table.slice_offset[s]));
        grads_done(&params, s);
    }
}

static void end_update(struct world *w) {
    CHECK(optimiser_step(&w->o, w->step, 1) == OK);
    real_fill(w->rows, 0, SLOTS * w->split.count * ROW);
    w->step++;
}

static const struct state_keeping keeping = {.keep = 3, .config = "a: 1\n"};

static int save_and_go_on(int rank, int size, void *context) {
    const struct job *job = context;
    struct world w;
    (void)rank;
    open_world(&w, size, job);
    for (int seed = job->seed; seed < job->seed + 2; seed++) {
        fill(&w, seed);
        CHECK(differences(&w, seed) == 0);
        begin_update(&w);
        CHECK(train_state_save(&w.saved, job->folder, seed, &keeping) == OK);
        end_update(&w);
        CHECK(differences(&w, seed) > NARROW * NARROW / size);
    }
    return close_world(&w);
}

static int read_back(int rank, int size, void *context) {
    const struct job *job = context;
    struct world w;
    int found;
    (void)rank;
    open_world(&w, size, job);
    fill(&w, 1000);
    CHECK(train_state_resume(&w.saved, job->folder, &found) == OK && found);
    CHECK(differences(&w, job->seed + 1) == 0);
    return close_world(&w);
}

static void is_of_its_moment(void **state) {
    static const struct { int ranks, zero; } cuts[] = {{1, 0}, {3, 0}, {2, 1}, {3, 2}, {4, 3}};
    enum { CUTS = sizeof cuts / sizeof *cuts };
    struct job job = {.folder = *state, .seed = 1};
    for (int i = 0; i < CUTS; i++, job.seed += 10) {
        job.zero = cuts[i].zero;
        job.wide = i ? SMALL : LARGE;
        assert_int_equal(ranks_run(cuts[i].ranks, save_and_go_on, &job), 0);
        for (int j = i; j < i + 2; j++) {
            job.zero = cuts[j % CUTS].zero;
            assert_int_equal(ranks_run(cuts[j % CUTS].ranks, read_back, &job), 0);
        }
    }
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
}

/* Rank 1 may write no byte of the second state. */
static int lacks_a_part(int rank, int size, void *context) {
    const struct job *job = context;
    struct world w;
    int found;
    open_world(&w, size, job);
    fill(&w, 1);
    CHECK(train_state_save(&w.saved, job->folder, 1001, &keeping) == OK);
    CHECK(train_state_wait(&w.saved) == OK);
    fill(&w, 2);
    if (rank == 1) limit_files(0);
    CHECK(train_state_save(&w.saved, job->folder, 1002, &keeping) == OK);
    int code = train_state_wait(&w.saved);
    if (rank == 1) limit_files(RLIM_INFINITY);
    if (rank == 0)
        CHECK(code == ERR_INPUT && strstr(error_text(), "step_00001002.h5: rank 1 could not write its part"));
    if (rank == 1) CHECK(code == ERR_INPUT && strstr(error_text(), "step_00001002.h5: cannot write net/master/"));
    if (rank == 2) CHECK(code == OK);
    CHECK(train_state_resume(&w.saved, job->folder, &found) == OK && found);
    CHECK(differences(&w, 1) == 0);
    fill(&w, 3);
    CHECK(train_state_save(&w.saved, job->folder, 1003, &keeping) == OK);
    CHECK(train_state_wait(&w.saved) == OK);
    CHECK(train_state_resume(&w.saved, job->folder, &found) == OK && differences(&w, 3) == 0);
    return close_world(&w);
}

static void a_part_that_cannot_be_written(void **state) {
    struct job job = {.folder = *state, .zero = 1, .wide = SMALL};
    assert_int_equal(ranks_run(3, lacks_a_part, &job), 0);
}

int main(void) {
    static char folder[FOLDER_MAX];
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(is_of_its_moment, folder),
                                       cmocka_unit_test_prestate(a_part_that_cannot_be_written, folder)};
    if (folder_make(folder, "test_train_state")) return 1;
    int bad = cmocka_run_group_tests(tests, NULL, NULL);
    return folder_remove(folder) ? 1 : bad;
}
