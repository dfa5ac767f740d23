/* test_comm_launch.c: how processes of a job find each other, and every way in which they should not: variables that are
   missing or wrong, ranks that do not come, come twice, or are of another size, program or config; a port that is taken;
   strangers at the door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "comm/job/launch.h"
#include "tests/unit/ranks.h"

static const char *const variables[] = {"RANK",
                                        "WORLD_SIZE",
                                        "LOCAL_RANK",
                                        "LOCAL_WORLD_SIZE",
                                        "MASTER_ADDR",
                                        "MASTER_PORT",
                                        "OMPI_COMM_WORLD_SIZE",
                                        "OMPI_COMM_WORLD_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_RANK",
                                        "OMPI_COMM_WORLD_LOCAL_SIZE",
                                        "PMI_SIZE",
                                        "PMI_RANK",
                                        "SLURM_STEP_ID",
                                        "SLURM_PROCID",
                                        "SLURM_LOCALID",
                                        "SLURM_NTASKS",
                                        "SLURM_STEP_NUM_TASKS",
                                        "SLURM_STEP_NODELIST",
                                        "SLURM_NODELIST",
                                        "SLURM_LAUNCH_NODE_IPADDR",
                                        "SLURMD_NODENAME",
                                        "SLURM_JOB_ID",
                                        "STREAMAVATAR_COMM_TIMEOUT"};

/* The environment is these "NAME=VALUE", and none of the others. */
static void environment(const char *const *list) {
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
    for (; list && *list; list++) putenv((char *)(uintptr_t)*list);
}
#define ENVIRONMENT(...) environment((const char *const[]){__VA_ARGS__, NULL})

static void alone(void **state) {
    (void)state;
    struct launch l;
    struct comm comm;
    environment(NULL);
    assert_int_equal(launch_read(&l), OK);
    assert_true(l.by == LAUNCH_ALONE && l.size == 1);
    assert_int_equal(comm_open(&comm, &(struct comm_options){0}), OK);
    assert_true(comm.rank == 0 && comm.size == 1 && comm.local_size == 1);
    comm_close(&comm);
    /* a batch script's own shell is no task of the job's 4 */
    ENVIRONMENT("SLURM_PROCID=0", "SLURM_NTASKS=4", "SLURM_JOB_ID=5");
    assert_int_equal(launch_read(&l), OK);
    assert_true(l.by == LAUNCH_ALONE && l.size == 1);
}

static void as_torchrun_starts(void **state) {
    (void)state;
    struct launch l;
    ENVIRONMENT("RANK=3", "WORLD_SIZE=4", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2", "MASTER_ADDR=node7",
                "MASTER_PORT=29500");
    assert_int_equal(launch_read(&l), OK);
    assert_true(l.by == LAUNCH_ENVIRONMENT && l.rank == 3 && l.size == 4 && l.local_rank == 1 && l.local_size == 2);
    assert_string_equal(l.address, "node7");
    assert_int_equal(l.port, 29500);
}

static void as_slurm_starts(void **state) {
    (void)state;
    struct launch l;
    ENVIRONMENT("SLURM_STEP_ID=0", "SLURM_PROCID=5", "SLURM_LOCALID=1", "SLURM_STEP_NUM_TASKS=8", "SLURM_JOB_ID=20003",
                "SLURM_STEP_NODELIST=gpu[07-10,12]", "SLURMD_NODENAME=gpu08", "SLURM_LAUNCH_NODE_IPADDR=10.0.0.9");
    assert_int_equal(launch_read(&l), OK);
    assert_true(l.by == LAUNCH_SLURM && l.rank == 5 && l.size == 8 && l.local_rank == 1);
    assert_string_equal(l.address, "gpu07");
    assert_string_equal(l.fallback, "10.0.0.9");
    assert_string_equal(l.host, "gpu08");
    assert_int_equal(l.port, 10003);
    putenv((char *)(uintptr_t) "SLURM_STEP_NODELIST=one,two[1-3]");
    putenv((char *)(uintptr_t) "MASTER_PORT=777");
    assert_int_equal(launch_read(&l), OK);
    assert_string_equal(l.address, "one");
    assert_int_equal(l.port, 777);
}

static void refuse(const char *pattern) {
    struct comm comm;
    assert_int_equal(comm_open(&comm, &(struct comm_options){.connect_timeout = 0.2}), ERR_USAGE);
    if (!strstr(error_text(), pattern)) fail_msg("\"%s\" is not in \"%s\"", pattern, error_text());
}

static void missing_and_wrong_variables(void **state) {
    (void)state;
    ENVIRONMENT("RANK=0");
    refuse("WORLD_SIZE is not set");
    ENVIRONMENT("WORLD_SIZE=2");
    refuse("RANK is not set");
    ENVIRONMENT("RANK=0", "WORLD_SIZE=2");
    refuse("MASTER_ADDR is not set");
    ENVIRONMENT("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1");
    refuse("MASTER_PORT is not set");
    ENVIRONMENT("RANK=2", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=1");
    refuse("RANK: expected a number from 0 to 1, found \"2\"");
    ENVIRONMENT("RANK=x", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=1");
    refuse("RANK: expected");
    ENVIRONMENT("RANK=0", "WORLD_SIZE=0");
    refuse("WORLD_SIZE: expected");
    ENVIRONMENT("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=70000");
    refuse("MASTER_PORT: expected");
    ENVIRONMENT("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=no.such.host.invalid", "MASTER_PORT=29500");
    refuse("MASTER_ADDR: no.such.host.invalid");
    ENVIRONMENT("STREAMAVATAR_COMM_TIMEOUT=soon");
    refuse("STREAMAVATAR_COMM_TIMEOUT");
    ENVIRONMENT("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0", "WORLD_SIZE=4");
    refuse("WORLD_SIZE is 4, but mpirun started 2");
}

/* Never N runs of one rank. */
static void transports_that_see_fewer_ranks(void **state) {
    (void)state;
    struct comm comm;
    struct comm_options single = {.transport = "single"}, tcp = {.transport = "tcp"}, mpi = {.transport = "mpi"};
    ENVIRONMENT("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=29500");
    assert_int_equal(comm_open(&comm, &single), ERR_USAGE);
    assert_int_equal(comm_open(&comm, &mpi), ERR_USAGE);
    ENVIRONMENT("OMPI_COMM_WORLD_SIZE=2", "OMPI_COMM_WORLD_RANK=0");
    assert_int_equal(comm_open(&comm, &single), ERR_USAGE);
    assert_int_equal(comm_open(&comm, &tcp), ERR_USAGE);
    environment(NULL);
}

/* NCCL is the cuda backend's, and needs a driver there: every rank says so. */
static int asks_for_nccl(int rank, int size, void *context) {
    struct comm comm;
    int code = comm_open(&comm, &(struct comm_options){.transport = "nccl"});
    (void)rank, (void)size, (void)context;
    if (code == OK) return comm_close(&comm), 0; /* a machine with GPUs */
    if (strcmp(device_name(), "cuda"))
        CHECK(code == ERR_USAGE && strstr(error_text(), "of the cuda backend"));
    else
        CHECK(code == ERR_DEVICE && strstr(error_text(), "cuda: "));
    return 0;
}
static void nccl_without_a_gpu(void **state) {
    (void)state;
    assert_int_equal(ranks_run(2, asks_for_nccl, NULL), 0);
}

/* ---- with processes ---- */

struct plan {
    const char *config[RANKS_MAX];
    int size[RANKS_MAX], rank[RANKS_MAX]; /* as told; 0, -1: as they are */
    int start;                            /* ranks that are started */
    int code;
    const char *pattern[2];
};

static int attempt(int rank, int size, void *context) {
    const struct plan *plan = context;
    struct comm comm;
    if (rank >= plan->start) return plan->code;
    if (plan->size[rank]) set_number("WORLD_SIZE", plan->size[rank]);
    if (plan->rank[rank] >= 0) set_number("RANK", plan->rank[rank]);
    (void)size;
    int code = comm_open(&comm, &(struct comm_options){.connect_timeout = 1, .config = plan->config[rank]});
    if (code) {
        CHECK(code == plan->code);
        CHECK(strstr(error_text(), plan->pattern[0]) && strstr(error_text(), plan->pattern[1]));
        return code;
    }
    comm_close(&comm);
    return 0;
}

static const struct plan ordinary = {.rank = {-1, -1, -1, -1, -1, -1, -1, -1}, .start = RANKS_MAX};

static void expect(int size, const struct plan *plan) {
    struct ranks r;
    ranks_start(&r, size, attempt, (void *)(uintptr_t)plan);
    ranks_wait(&r);
    for (int i = 0; i < size; i++) assert_int_equal(r.codes[i], plan->code);
}

static void configs_that_agree(void **state) {
    (void)state;
    struct plan plan = ordinary;
    for (int i = 0; i < 3; i++) plan.config[i] = "seed: 1\nmodel:\n  dim: 64\n";
    expect(3, &plan);
}

static void configs_that_differ(void **state) {
    (void)state;
    struct plan plan = ordinary;
    for (int i = 0; i < 3; i++) plan.config[i] = "seed: 1\nmodel:\n  dim: 64\n";
    plan.config[2] = "seed: 1\nmodel:\n  dim: 65\n";
    plan.code = ERR_USAGE;
    plan.pattern[0] = "configs differ in line 3: rank 2 has \"  dim: 65\", rank 0 has \"  dim: 64\"";
    plan.pattern[1] = "";
    expect(3, &plan);
    plan.config[2] = "seed: 1\nmodel:\n  dim: 64\nmore: 1\n";
    plan.pattern[0] = "configs differ in line 4: rank 2 has \"more: 1\", rank 0 has \"\"";
    expect(3, &plan);
}

static void sizes_that_differ(void **state) {
    (void)state;
    struct plan plan = ordinary;
    plan.size[1] = 3;
    plan.code = ERR_USAGE;
    plan.pattern[0] = "WORLD_SIZE is 3 on rank 1 and 2 on rank 0";
    plan.pattern[1] = "";
    expect(2, &plan);
}

static void ranks_that_do_not_come(void **state) {
    (void)state;
    struct plan plan = ordinary;
    plan.start = 2;
    plan.code = ERR_DEVICE;
    plan.pattern[0] = "2 of 4 ranks did not come within 1 s: 2, 3";
    plan.pattern[1] = "";
    expect(4, &plan);
}

static int comes_twice(int rank, int size, void *context) {
    struct comm comm;
    (void)size, (void)context;
    if (rank == 2) set_number("RANK", 1);
    int code = comm_open(&comm, &(struct comm_options){.connect_timeout = 1});
    CHECK(code);
    if (rank == 0) CHECK(code == ERR_USAGE && strstr(error_text(), "rank 1 was given twice"));
    return 0;
}
static void a_rank_that_comes_twice(void **state) {
    (void)state;
    assert_int_equal(ranks_run(3, comes_twice, NULL), 0);
}

static int finds_the_port_taken(int rank, int size, void *context) {
    struct comm comm;
    (void)rank, (void)size;
    set_number("MASTER_PORT", *(int *)context);
    CHECK(comm_open(&comm, &(struct comm_options){.connect_timeout = 0.5}) == ERR_DEVICE);
    CHECK(strstr(error_text(), rank == 0 ? "cannot listen: Address already in use" : "rank 0"));
    return 0;
}
static void a_port_that_is_taken(void **state) {
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), port;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 5), 0);
    getsockname(fd, (struct sockaddr *)&address, &length);
    port = ntohs(address.sin_port);
    assert_int_equal(ranks_run(1, attempt, (void *)(uintptr_t)&ordinary), 0);
    set_number("WORLD_SIZE", 2);
    struct ranks r;
    ranks_start(&r, 2, finds_the_port_taken, &port);
    ranks_wait(&r);
    assert_true(r.codes[0] == 0 && r.codes[1] == 0);
    close(fd);
}

/* A stranger connects to rank 0 first and talks nonsense, another says nothing and goes: the job is formed all the same. */
static int with_strangers(int rank, int size, void *context) {
    struct comm comm;
    (void)size, (void)context;
    if (rank == 1) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        address.sin_port = htons((uint16_t)atoi(getenv("MASTER_PORT")));
        for (int k = 0; k < 2; k++) {
            char nonsense[4096];
            int fd = socket(AF_INET, SOCK_STREAM, 0);
            while (connect(fd, (struct sockaddr *)&address, sizeof address)) usleep(1000);
            memset(nonsense, 'x', sizeof nonsense);
            if (k == 0) CHECK(send(fd, nonsense, sizeof nonsense, MSG_NOSIGNAL) > 0);
            close(fd);
        }
    }
    CHECK(comm_open(&comm, &(struct comm_options){0}) == OK);
    CHECK(comm_barrier(&comm) == OK);
    comm_close(&comm);
    return 0;
}
static void strangers(void **state) {
    (void)state;
    assert_int_equal(ranks_run(2, with_strangers, NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(as_torchrun_starts),
        cmocka_unit_test(as_slurm_starts),
        cmocka_unit_test(missing_and_wrong_variables),
        cmocka_unit_test(transports_that_see_fewer_ranks),
        cmocka_unit_test(nccl_without_a_gpu),
        cmocka_unit_test(configs_that_agree),
        cmocka_unit_test(configs_that_differ),
        cmocka_unit_test(sizes_that_differ),
        cmocka_unit_test(ranks_that_do_not_come),
        cmocka_unit_test(a_rank_that_comes_twice),
        cmocka_unit_test(a_port_that_is_taken),
        cmocka_unit_test(strangers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
