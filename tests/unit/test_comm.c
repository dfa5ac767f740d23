/* test_comm.c: every collective over tcp between 1 to 5 processes of this host, or, started by mpirun
   (tests/e2e/mpi.sh), over MPI between its processes, or alone in its process: odd, zero and unequal counts, sizes of
   several chunks, sums in rank order to the bit, overlap by tickets, parts, host values, agreement on errors. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/ranks.h"

static struct comm world;
static int started_by_mpi; /* MPI cannot be started twice: one communicator serves all tests */

static void join(int size) {
    if (started_by_mpi && world.size) return;
    CHECK(device_init(1) == OK);
    CHECK(comm_open(&world, &(struct comm_options){.timeout = 10}) == OK);
    CHECK(world.size == size && world.local_size == size && world.local_rank == world.rank);
}

static int leave(void) {
    CHECK(comm_barrier(&world) == OK);
    if (!started_by_mpi) comm_close(&world);
    return 0;
}

/* Values whose sum depends on the order: of very different size. */
static real value(int rank, long i) {
    uint32_t h = (uint32_t)(i * 2654435761u) ^ (uint32_t)(rank + 1) * 0x9e3779b9u;
    h ^= h >> 15, h *= 0x85ebca6bu, h ^= h >> 13;
    return (real)ldexp((double)(h & 0xffff) - 32768, (int)(h >> 16) % 24 - 12);
}

static real expected(int size, long i) {
    real sum = value(0, i);
    for (int r = 1; r < size; r++) sum += value(r, i);
    return sum;
}

static real *filled(int rank, long n) {
    real *host = malloc((size_t)(n + 1) * sizeof *host), *device = device_alloc((size_t)(n + 1) * sizeof *device);
    CHECK(host && device);
    for (long i = 0; i <= n; i++) host[i] = i < n ? value(rank, i) : (real)123;
    mem_upload(device, host, (size_t)(n + 1) * sizeof *host);
    free(host);
    return device;
}

static void check_sums(const real *device, long n, long first, int size, real guard) {
    real *host = malloc((size_t)(n + 1) * sizeof *host);
    mem_download(host, device, (size_t)(n + 1) * sizeof *host);
    for (long i = 0; i < n; i++) {
        real want = expected(size, first + i);
        CHECK(!memcmp(&host[i], &want, sizeof want));
    }
    if (guard != 0) CHECK(host[n] == guard);
    free(host);
}

static const long sizes[] = {0, 1, 2, 3, 7, 1000, 65536, 65537, 200003, 1000003};
enum { SIZES = sizeof sizes / sizeof *sizes };

static int all_reduce(int rank, int size, void *context) {
    (void)context;
    join(size);
    for (int k = 0; k < SIZES; k++) {
        real *x = filled(rank, sizes[k]);
        comm_at(&world, k, "sums", k);
        CHECK(comm_all_reduce(&world, x, sizes[k]) == OK);
        check_sums(x, sizes[k], 0, size, 123);
        device_free(x);
    }
    return leave();
}

/* Counts that differ by rank, some zero. */
static long split_counts(long *counts, int size, long n) {
    long total = 0;
    for (int r = 0; r < size; r++) total += counts[r] = r % 3 == 1 ? 0 : n / size + 13 * r;
    return total;
}

static int reduce_scatter(int rank, int size, void *context) {
    (void)context;
    join(size);
    for (int k = 0; k < SIZES; k++)
        for (int in_place = 0; in_place < 2; in_place++) {
            long counts[RANKS_MAX], total = split_counts(counts, size, sizes[k]), first = 0;
            for (int r = 0; r < rank; r++) first += counts[r];
            real *all = filled(rank, total), *own = in_place ? all + first : filled(rank, counts[rank]);
            CHECK(comm_reduce_scatter(&world, own, all, counts) == OK);
            check_sums(own, counts[rank], first, size, in_place ? 0 : 123);
            if (!in_place) device_free(own);
            device_free(all);
        }
    return leave();
}

static unsigned char byte(int from, int to, long i) { return (unsigned char)(i * 31 + from * 7 + to * 101 + (i >> 8)); }

static int all_gather(int rank, int size, void *context) {
    (void)context;
    join(size);
    for (int k = 0; k < SIZES; k++)
        for (int in_place = 0; in_place < 2; in_place++) {
            long counts[RANKS_MAX], total = split_counts(counts, size, sizes[k]), first = 0, at = 0;
            for (int r = 0; r < rank; r++) first += counts[r];
            unsigned char *host = malloc((size_t)total + 1), *all = device_alloc((size_t)total + 1);
            for (long i = 0; i < counts[rank]; i++) host[i] = byte(rank, 0, i);
            unsigned char *own = in_place ? all + first : device_alloc((size_t)counts[rank]);
            mem_zero(all, (size_t)total + 1);
            mem_upload(own, host, (size_t)counts[rank]);
            CHECK(comm_all_gather(&world, all, own, counts) == OK);
            mem_download(host, all, (size_t)total + 1);
            for (int r = 0; r < size; r++)
                for (long i = 0; i < counts[r]; i++, at++) CHECK(host[at] == byte(r, 0, i));
            CHECK(host[total] == 0);
            if (!in_place) device_free(own);
            device_free(all);
            free(host);
        }
    return leave();
}

/* From r to p: tokens of unequal shares times heads, as sequence parallelism has them; and none on a diagonal. */
static long pair_bytes(int from, int to, int size, long n) {
    if ((from + to) % 4 == 3) return 0;
    return n / size + (from < n % size) + 3 * to;
}

static int all_to_all(int rank, int size, void *context) {
    (void)context;
    join(size);
    for (int k = 0; k < SIZES; k++) {
        long to[RANKS_MAX], from[RANKS_MAX], sent = 0, taken = 0, at = 0;
        for (int r = 0; r < size; r++) {
            sent += from[r] = pair_bytes(rank, r, size, sizes[k]);
            taken += to[r] = pair_bytes(r, rank, size, sizes[k]);
        }
        unsigned char *host = malloc((size_t)(sent > taken ? sent : taken) + 1);
        unsigned char *out = device_alloc((size_t)sent), *in = device_alloc((size_t)taken + 1);
        for (int r = 0; r < size; r++)
            for (long i = 0; i < from[r]; i++) host[at++] = byte(rank, r, i);
        mem_upload(out, host, (size_t)sent);
        mem_zero(in, (size_t)taken + 1);
        CHECK(comm_all_to_all(&world, in, to, out, from) == OK);
        mem_download(host, in, (size_t)taken + 1);
        at = 0;
        for (int r = 0; r < size; r++)
            for (long i = 0; i < to[r]; i++) CHECK(host[at++] == byte(r, rank, i));
        CHECK(host[taken] == 0);
        device_free(out);
        device_free(in);
        free(host);
    }
    return leave();
}

static int broadcast(int rank, int size, void *context) {
    (void)context;
    join(size);
    for (int k = 0; k < SIZES; k++) {
        int root = k % size;
        long n = sizes[k];
        unsigned char *host = malloc((size_t)n + 1), *x = device_alloc((size_t)n + 1);
        for (long i = 0; i <= n; i++) host[i] = rank == root ? byte(root, 1, i) : 0;
        mem_upload(x, host, (size_t)n + 1);
        CHECK(comm_broadcast(&world, x, n, root) == OK);
        mem_download(host, x, (size_t)n + 1);
        for (long i = 0; i < n; i++) CHECK(host[i] == byte(root, 1, i));
        CHECK(rank == root || host[n] == 0);
        device_free(x);
        free(host);
    }
    return leave();
}

/* Host values: combined in rank order; NaN from any rank shows on all. */
static int host_values(int rank, int size, void *context) {
    (void)context;
    join(size);
    double v[3] = {rank + 0.25, -rank, 1e-3 * rank};
    CHECK(comm_values(&world, COMM_MAX, v, 3) == OK);
    CHECK(v[0] == size - 1 + 0.25 && v[1] == 0 && v[2] == 1e-3 * (size - 1));
    double w[2] = {rank + 5, -rank};
    CHECK(comm_values(&world, COMM_MIN, w, 2) == OK);
    CHECK(w[0] == 5 && w[1] == 1 - size);
    double s = 0.1 * (rank + 1), want = 0.1;
    for (int r = 1; r < size; r++) want += 0.1 * (r + 1);
    CHECK(comm_values(&world, COMM_SUM, &s, 1) == OK && s == want);
    for (int how = COMM_SUM; how <= COMM_MAX; how++) {
        double bad = rank == size - 1 ? NAN : 1;
        CHECK(comm_values(&world, (enum comm_combine)how, &bad, 1) == OK && isnan(bad));
    }
    CHECK(comm_values(&world, COMM_MAX, v, COMM_VALUES + 1) == ERR_USAGE);
    int word = rank == size / 2 ? 77 : 0;
    CHECK(comm_broadcast_host(&world, &word, sizeof word, size / 2) == OK && word == 77);
    return leave();
}

static int not_a_number(int rank, int size, void *context) {
    (void)context;
    join(size);
    real host[5] = {1, rank == 0 ? (real)NAN : 1, 1, rank == size - 1 ? (real)INFINITY : 1, 1};
    real *x = device_alloc(sizeof host);
    mem_upload(x, host, sizeof host);
    CHECK(comm_all_reduce(&world, x, 5) == OK);
    mem_download(host, x, sizeof host);
    CHECK(isnan(host[1]) && isinf(host[3]) && host[0] == size && host[2] == size && host[4] == size);
    device_free(x);
    return leave();
}

static int agreement(int rank, int size, void *context) {
    (void)context;
    join(size);
    CHECK(comm_agree(&world, OK) == OK);
    int code = rank == size - 1 ? error_set(ERR_INPUT, "no such file") : OK;
    CHECK(comm_agree(&world, code) == ERR_INPUT);
    char want[64];
    snprintf(want, sizeof want, "rank %d: no such file", size - 1);
    CHECK(!strcmp(error_text(), rank == size - 1 ? "no such file" : want));
    CHECK(comm_agree(&world, OK) == OK); /* it can go on from there */
    return leave();
}

/* Numbers told beside the collectives: the last one arrives, of every rank at every rank, in a part by its
   own ranks. */
static int numbers_told(int rank, int size, void *context) {
    (void)context;
    struct comm part;
    join(size);
    CHECK(comm_split(&part, &world, 0, -rank) == OK);
    for (int k = 1; k <= 50; k++) comm_publish(k % 2 ? &world : &part, 1000 * rank + k);
    for (int r = 0; r < size && size > 1; r++) {
        int64_t number = 0, same = 0;
        double until = wall_seconds() + 10;
        while (number != 1000 * r + 50 && wall_seconds() < until) {
            CHECK(comm_progress_of(&world, r, &number) == OK);
            usleep(1000);
        }
        CHECK(comm_progress_of(&part, size - 1 - r, &same) == OK);
        CHECK(number == 1000 * r + 50 && same == number);
    }
    CHECK(comm_barrier(&world) == OK);
    comm_close(&part);
    return leave();
}

/* Many collectives started at once, waited for late and out of order; the queue is longer than its ring. */
static int overlap(int rank, int size, void *context) {
    (void)context;
    enum { CALLS = 600, N = 300 };
    static real *x[CALLS];
    static comm_ticket tickets[CALLS];
    join(size);
    for (int k = 0; k < CALLS; k++) {
        x[k] = filled(rank, N + k);
        comm_at(&world, 0, "block", k);
        CHECK(comm_start_all_reduce(&world, x[k], N + k, &tickets[k]) == OK);
    }
    CHECK(comm_wait(&world, tickets[CALLS / 2]) == OK);
    check_sums(x[0], N, 0, size, 123);
    check_sums(x[CALLS / 2], N + CALLS / 2, 0, size, 123);
    CHECK(comm_wait(&world, tickets[CALLS - 1]) == OK);
    CHECK(comm_wait(&world, tickets[3]) == OK);
    for (int k = 0; k < CALLS; k++) {
        check_sums(x[k], N + k, 0, size, 123);
        device_free(x[k]);
    }
    return leave();
}

/* Two groupings at once, as for data and sequence parallelism; keys turn the order round; parts of parts. */
static int parts(int rank, int size, void *context) {
    (void)context;
    struct comm rows, columns, part;
    join(size);
    CHECK(comm_split(&rows, &world, rank / 2, -rank) == OK);
    CHECK(comm_split(&columns, &world, rank % 2, 0) == OK);
    int row_size = rank / 2 * 2 + 1 < size ? 2 : 1;
    CHECK(rows.size == row_size && rows.rank == (row_size == 2 ? 1 - rank % 2 : 0));
    CHECK(columns.size == (size + 1 - rank % 2) / 2 && columns.rank == rank / 2);
    double v = rank;
    CHECK(comm_values(&rows, COMM_SUM, &v, 1) == OK && v == (row_size == 2 ? rank / 2 * 4 + 1 : rank));
    v = rank;
    CHECK(comm_values(&columns, COMM_MIN, &v, 1) == OK && v == rank % 2);
    /* one grouping under way while the other works */
    real *x = filled(rank, 100000);
    comm_ticket ticket;
    CHECK(comm_start_all_reduce(&columns, x, 100000, &ticket) == OK);
    for (int k = 0; k < 20; k++) CHECK(comm_barrier(&rows) == OK);
    CHECK(comm_wait(&columns, ticket) == OK);
    device_free(x);
    CHECK(comm_split(&part, &columns, columns.rank == 0, 0) == OK);
    CHECK(part.size == (columns.rank == 0 ? 1 : columns.size - 1));
    v = 1;
    CHECK(comm_values(&part, COMM_SUM, &v, 1) == OK && v == part.size);
    comm_close(&part);
    comm_close(&columns);
    comm_close(&rows);
    return leave();
}

/* A rank that comes late is waited for. */
static int late(int rank, int size, void *context) {
    (void)context;
    join(size);
    if (rank == size - 1) usleep(700000);
    CHECK(comm_barrier(&world) == OK);
    return leave();
}

static const struct {
    const char *name;
    int (*run)(int rank, int size, void *context);
    int least; /* ranks */
} all[] = {{"all_reduce", all_reduce, 1},
           {"reduce_scatter", reduce_scatter, 1},
           {"all_gather", all_gather, 1},
           {"all_to_all", all_to_all, 1},
           {"broadcast", broadcast, 1},
           {"host_values", host_values, 1},
           {"not_a_number", not_a_number, 1},
           {"agreement", agreement, 2},
           {"numbers_told", numbers_told, 1},
           {"overlap", overlap, 2},
           {"parts", parts, 2},
           {"late", late, 2}};
enum { ALL = sizeof all / sizeof *all };

/* Sums without end, for tests/e2e/mpi.sh, which does something to a rank. */
static int work(void) {
    real *x = filled(0, 100000);
    int code = OK;
    printf("rank %d is process %d\n", world.rank, (int)getpid());
    fflush(stdout);
    while (!code) code = comm_all_reduce(&world, x, 100000);
    fprintf(stderr, "test_comm: %s\n", error_text());
    comm_abort(&world, code);
    return code;
}

static int as_a_rank_of_mpi(void) {
    int rank = atoi(getenv("OMPI_COMM_WORLD_RANK")), size = atoi(getenv("OMPI_COMM_WORLD_SIZE"));
    started_by_mpi = 1;
    join(size);
    if (getenv("TEST_COMM_WORK")) return work();
    for (int i = 0; i < ALL; i++) {
        int code = all[i].run(rank, size, NULL);
        if (code) return code;
        if (rank == 0) printf("%s: passed on %d ranks\n", all[i].name, size);
    }
    comm_close(&world);
    return 0;
}

static void on_every_size(void **state) {
    const int i = *(const int *)*state;
    for (int n = all[i].least; n <= 5; n++) assert_int_equal(ranks_run(n, all[i].run, NULL), 0);
}

static void one_process_needs_no_collectives(void **state) {
    (void)state;
    struct comm comm;
    assert_int_equal(device_init(1), OK);
    real host[2] = {1, 2}, *x = device_alloc(sizeof host);
    assert_int_equal(comm_open(&comm, &(struct comm_options){.transport = "carrier pigeon"}), ERR_USAGE);
    assert_int_equal(comm_open(&comm, &(struct comm_options){.transport = "single"}), OK);
    assert_true(comm.rank == 0 && comm.size == 1);
    mem_upload(x, host, sizeof host);
    assert_int_equal(comm_all_reduce(&comm, x, 2), OK);
    assert_int_equal(comm_broadcast(&comm, x, sizeof host, 0), OK);
    assert_int_equal(comm_barrier(&comm), OK);
    mem_download(host, x, sizeof host);
    assert_true(host[0] == 1 && host[1] == 2);
    comm_close(&comm);
    device_free(x);
}

int main(void) {
    static int index[ALL];
    struct CMUnitTest tests[ALL + 1] = {[ALL] = cmocka_unit_test(one_process_needs_no_collectives)};
    if (getenv("OMPI_COMM_WORLD_SIZE")) return as_a_rank_of_mpi();
    for (int i = 0; i < ALL; i++) {
        index[i] = i;
        tests[i] = (struct CMUnitTest){.name = all[i].name, .test_func = on_every_size, .initial_state = &index[i]};
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
