/* test_comm_launch.c: how processes of a job find each other, and every way in which they should not: variables that
   are missing or wrong, ranks that do not come, come twice, or are of another size, program or config; strangers at the
   ports where the job meets, and a start before this one; strangers at the door, and processes of the
   job that it turned away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>

#include "base/progress.h"
#include "comm/job/job.h"
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
                                        "SLURM_RESTART_COUNT",
                                        "TORCHELASTIC_RUN_ID",
                                        "TORCHELASTIC_RESTART_COUNT",
                                        "GROUP_WORLD_SIZE",
                                        "STREAMAVATAR_JOB",
                                        "PBS_JOBID",
                                        "LSB_JOBID",
                                        "FLUX_JOB_ID",
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

/* The first of what `scontrol show hostnames` of Slurm 22.05 makes of these lists. */
static void node_lists_of_slurm(void **state) {
    (void)state;
    static const char *const lists[][2] = {{"gpu[07-10,12]", "gpu07"},
                                           {"n5", "n5"},
                                           {"n[5]", "n5"},
                                           {"one,two[1-3]", "one"},
                                           {"n[3,1]", "n3"},
                                           {"[1-3]", "1"},
                                           {"n[0009-0011]", "n0009"},
                                           {"rack[2-3]n[0-3]", "rack2n0"},
                                           {"c[1-2][3-4]", "c13"},
                                           {"a[0-1]b[2-3]c[4-5]", "a0b2c4"},
                                           {"10.0.0.[1-3]", "10.0.0.1"},
                                           {"a b", "a"},
                                           {" n3", "n3"},
                                           {",n1", "n1"},
                                           {"n[1-2],,m", "n1"},
                                           {"n[1-2]\tm3", "n1"},
                                           {"fe80::1", "fe80::1"}};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct launch l;
        ENVIRONMENT("SLURM_STEP_ID=0", "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=2", "SLURM_JOB_ID=1");
        setenv("SLURM_STEP_NODELIST", lists[i][0], 1);
        assert_int_equal(launch_read(&l), OK);
        assert_string_equal(l.address, lists[i][1]);
    }
    environment(NULL);
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
    ENVIRONMENT("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=no.such.host.invalid", "MASTER_PORT=29500");
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
    int size[RANKS_MAX], rank[RANKS_MAX]; /* what the environment says; 0, -1: the true values */
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

/* ---- the row of ports ---- */

static int listen_at(int port, int backlog) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons((uint16_t)port);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, backlog)) close(fd), fd = -1;
    return fd;
}

/* LAUNCH_PORTS ports in a row that nobody listens at. */
static int free_row(void) {
    for (;;) {
        int port = 20000 + rand() % 12000, free = 0, fds[LAUNCH_PORTS];
        while (free < LAUNCH_PORTS && (fds[free] = listen_at(port + free, 1)) >= 0) free++;
        for (int i = 0; i < free; i++) close(fds[i]);
        if (free == LAUNCH_PORTS) return port;
    }
}

static int meets(int rank, int size, void *context) {
    struct comm comm;
    (void)rank, (void)size;
    if (context) set_number("MASTER_PORT", *(int *)context);
    CHECK(comm_open(&comm, &(struct comm_options){.connect_timeout = 20}) == OK);
    CHECK(comm_barrier(&comm) == OK);
    comm_close(&comm);
    return 0;
}

/* Accepts and says something (NULL: closes at once) until it is killed. */
static pid_t stranger_at(int fd, const char *text) {
    pid_t pid = fork();
    while (!pid) {
        int guest = accept(fd, NULL, NULL);
        if (text) send(guest, text, strlen(text), MSG_NOSIGNAL);
        if (text) sleep(1);
        close(guest);
    }
    return pid;
}

/* Strangers listen at the first ports: one that never answers, one that hangs up, one that talks. */
static void strangers_in_the_row(void **state) {
    (void)state;
    int port = free_row(), silent = listen_at(port, 5), rude = listen_at(port + 1, 5), talks = listen_at(port + 2, 5);
    pid_t pids[] = {stranger_at(rude, NULL), stranger_at(talks, "HTTP/1.1 400 Bad Request and so on")};
    assert_int_equal(ranks_run(3, meets, &port), 0);
    for (int i = 0; i < 2; i++) kill(pids[i], SIGKILL), waitpid(pids[i], NULL, 0);
    close(silent), close(rude), close(talks);
}

static int finds_no_port(int rank, int size, void *context) {
    struct comm comm;
    (void)size;
    set_number("MASTER_PORT", *(int *)context);
    CHECK(comm_open(&comm, &(struct comm_options){.connect_timeout = 0.5}) == ERR_DEVICE);
    CHECK(strstr(error_text(), rank == 0 ? "finds no free port of 16" : "rank 0 was not met within"));
    CHECK(rank || strstr(error_text(), "Address already in use"));
    return 0;
}
static void a_row_that_is_taken(void **state) {
    (void)state;
    int port = free_row(), fds[LAUNCH_PORTS];
    for (int i = 0; i < LAUNCH_PORTS; i++) fds[i] = listen_at(port + i, 5);
    assert_int_equal(ranks_run(2, finds_no_port, &port), 0);
    for (int i = 0; i < LAUNCH_PORTS; i++) close(fds[i]);
}

/* Rank 0 of a start before this one waits at the first port, and would take this one's rank 1. */
static void a_start_before_this_one(void **state) {
    (void)state;
    int port = free_row();
    struct comm comm;
    setenv("TORCHELASTIC_RUN_ID", "none", 1);
    setenv("TORCHELASTIC_RESTART_COUNT", "0", 1);
    pid_t before = fork();
    if (!before) {
        rank_environment(0, 2, port);
        _exit(comm_open(&comm, &(struct comm_options){.connect_timeout = 30}) == OK ? 7 : 0);
    }
    usleep(300000);
    setenv("TORCHELASTIC_RESTART_COUNT", "1", 1);
    assert_int_equal(ranks_run(2, meets, &port), 0);
    assert_int_equal(waitpid(before, NULL, WNOHANG), 0); /* it still waits for its own */
    kill(before, SIGKILL);
    waitpid(before, NULL, 0);
    unsetenv("TORCHELASTIC_RUN_ID"), unsetenv("TORCHELASTIC_RESTART_COUNT");
}

/* The mark is the same on every rank, and another for another job or start. */
static uint64_t mark(const char *const *list) {
    struct launch l;
    environment(list);
    assert_int_equal(launch_read(&l), OK);
    return l.mark;
}
#define MARK(...) mark((const char *const[]){"WORLD_SIZE=4", "MASTER_ADDR=x", __VA_ARGS__, NULL})
static void marks(void **state) {
    (void)state;
    uint64_t plain = MARK("RANK=0", "MASTER_PORT=29500");
    assert_true(plain == MARK("RANK=3", "MASTER_PORT=29500", "LOCAL_RANK=1"));
    assert_true(plain != MARK("RANK=0", "MASTER_PORT=29501"));
    assert_true(plain != MARK("RANK=0", "MASTER_PORT=29500", "STREAMAVATAR_JOB=a"));
    assert_true(plain != MARK("RANK=0", "MASTER_PORT=29500", "SLURM_JOB_ID=7"));
    assert_true(plain != MARK("RANK=0", "MASTER_PORT=29500", "TORCHELASTIC_RUN_ID=none"));
    uint64_t first = MARK("RANK=0", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=a", "TORCHELASTIC_RESTART_COUNT=0");
    assert_true(first == MARK("RANK=2", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=a", "TORCHELASTIC_RESTART_COUNT=0"));
    assert_true(first != MARK("RANK=0", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=a", "TORCHELASTIC_RESTART_COUNT=1"));
    assert_true(first != MARK("RANK=0", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=b", "TORCHELASTIC_RESTART_COUNT=0"));
    /* agents of several nodes count restarts each for itself */
    assert_true(MARK("RANK=0", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=a", "TORCHELASTIC_RESTART_COUNT=0",
                     "GROUP_WORLD_SIZE=2") == MARK("RANK=2", "MASTER_PORT=1", "TORCHELASTIC_RUN_ID=a",
                                                   "TORCHELASTIC_RESTART_COUNT=1", "GROUP_WORLD_SIZE=2"));
    environment(NULL);
}

static void the_row(void **state) {
    (void)state;
    struct launch l;
    ENVIRONMENT("RANK=0", "WORLD_SIZE=2", "MASTER_ADDR=x", "MASTER_PORT=65534");
    assert_int_equal(launch_read(&l), OK);
    assert_true(launch_port(&l, 0) == 65534 && launch_port(&l, 1) == 65535 && launch_port(&l, 2) == 1024);
    putenv((char *)(uintptr_t) "TORCHELASTIC_RUN_ID=none"); /* its agent has the first */
    assert_int_equal(launch_read(&l), OK);
    assert_true(launch_port(&l, 0) == 65535 && launch_port(&l, 1) == 1024);
    environment(NULL);
}

/* ---- addresses ---- */

static int meets_at(int rank, int size, void *context) {
    setenv("MASTER_ADDR", context, 1);
    return meets(rank, size, NULL);
}
static void addresses_of_this_host(void **state) {
    (void)state;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM, 0), v6 = fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    char *const names[] = {"localhost", "127.0.0.1", "127.1.2.3", "[::1]", "::1"};
    for (int i = 0; i < (v6 ? 5 : 3); i++) assert_int_equal(ranks_run(2, meets_at, names[i]), 0);
}

/* ---- strangers at the door ---- */

static int call_rank_0(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_port = htons((uint16_t)port);
    while (connect(fd, (struct sockaddr *)&address, sizeof address)) usleep(1000);
    return fd;
}

/* A stranger that says this, or nothing, is turned away within a second. */
static void turned_away(int port, const char *text) {
    char answer;
    int fd = call_rank_0(port);
    double begun = wall_seconds();
    if (text) CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) > 0);
    CHECK(recv(fd, &answer, 1, 0) <= 0);
    CHECK(wall_seconds() - begun < 1);
    close(fd);
}

/* Before the others have come, and while the job works: rank 0 turns them away, and names their address once. */
static int with_strangers(int rank, int size, void *context) {
    static const char *const words[] = {NULL, "GET / HTTP/1.1\r\n\r\n", "short"};
    int port = atoi(getenv("MASTER_PORT"));
    char line[256] = "";
    FILE *said = context;
    struct comm comm;
    if (rank == 0) dup2(fileno(said), STDERR_FILENO);
    for (int i = 0; i < 3 && rank == 1; i++) turned_away(port, words[i]);
    CHECK(comm_open(&comm, &(struct comm_options){0}) == OK && comm.size == size);
    for (int i = 0; i < 3 && rank == 1; i++) turned_away(port, words[i]);
    CHECK(comm_barrier(&comm) == OK);
    comm_close(&comm);
    if (rank) return 0;
    int lines = 0;
    rewind(said);
    while (fgets(line, sizeof line, said)) lines += strstr(line, "closed a connection from 127.0.0.1:") != NULL;
    CHECK(lines == 1);
    return 0;
}
static void strangers(void **state) {
    (void)state;
    FILE *said = tmpfile();
    assert_int_equal(ranks_run(2, with_strangers, said), 0);
    fclose(said);
}

/* ---- those who belong here and were turned away ---- */

/* A listener for a door, which accepts what is there and waits for nobody. */
static int door_at(int port) {
    int fd = listen_at(port, 5);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* Closes the first that comes at `fd` without a word; a door of this mark opens there after it. */
static struct door *late_door(int fd, uint64_t mark, int meeting) {
    struct door *door;
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    if (poll(&entry, 1, 5000) < 1) return NULL;
    int guest = accept(fd, NULL, NULL);
    usleep(100000);
    close(guest);
    return door_open(&door, fd, mark, meeting) ? NULL : door;
}

/* A rank that connects to a lower one and is turned away, as a slow one is, comes again. */
static void turned_away_by_a_rank(void **state) {
    (void)state;
    enum { ID = 7, SECRET = 5, MARK_OF_JOB = 3 };
    int port = free_row(), fd = door_at(port), fds[2], members[] = {0, 1};
    pid_t caller = fork();
    if (!caller) {
        struct tcp_peer peers[2] = {{.host = "here"}, {.host = "here"}};
        struct tcp_job job = {
            .rank = 1, .size = 2, .peers = peers, .mark = MARK_OF_JOB, .secret = SECRET, .timeout = 10};
        alarm(20);
        pthread_mutex_init(&job.lock, NULL);
        CHECK(!socket_resolve(&peers[0].address, "127.0.0.1", port));
        _exit(tcp_job_connect(&job, fds, members, 2, ID));
    }
    struct door_guest guest = {.fd = -1};
    struct door *door = late_door(fd, MARK_OF_JOB, 0);
    assert_non_null(door);
    assert_int_equal(door_take(door, SECRET, ID, clock_seconds() + 5, &guest), OK);
    int status;
    waitpid(caller, &status, 0);
    assert_true(guest.fd >= 0 && guest.word.rank == 1);
    assert_int_equal(status, 0);
    socket_close(&guest.fd);
    door_close(door);
}

/* Who is inside when the meeting ends hears it at once. */
static void inside_when_the_meeting_ends(void **state) {
    (void)state;
    struct door_word word = {.mark = 3, .id = DOOR_MEETING, .rank = 1};
    struct door_answer answer;
    struct door *door;
    int port = free_row(), fd, code = door_open(&door, door_at(port), word.mark, 1);
    assert_int_equal(code, OK);
    fd = call_rank_0(port);
    assert_int_equal(send(fd, &word, sizeof word, MSG_NOSIGNAL), sizeof word);
    assert_int_equal(recv(fd, &answer, sizeof answer, MSG_WAITALL), sizeof answer);
    assert_true(door_let_in(&answer, word.mark));
    door_end_meeting(door);
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&entry, 1, 2000), 1);
    assert_int_equal(recv(fd, &answer, 1, 0), 0);
    close(fd);
    door_close(door);
}

/* Rank 1 meets rank 0 of a start before this one, which has the same mark and ends before it says a word more. */
static void met_one_that_ends(void **state) {
    (void)state;
    int port = free_row(), fd = door_at(port);
    struct launch l;
    struct door *door;
    struct door_guest guest;
    rank_environment(0, 2, port);
    assert_int_equal(launch_read(&l), OK);
    pid_t other = fork();
    if (!other) {
        rank_environment(1, 2, port);
        alarm(30);
        _exit(meets(1, 2, NULL));
    }
    assert_int_equal(door_open(&door, fd, l.mark, 1), OK);
    assert_int_equal(door_take(door, 0, DOOR_MEETING, clock_seconds() + 10, &guest), OK);
    assert_true(guest.fd >= 0);
    door_close(door);
    socket_close(&guest.fd);
    pid_t first = fork();
    if (!first) {
        alarm(30);
        _exit(meets(0, 2, NULL));
    }
    int status[2];
    waitpid(first, &status[0], 0), waitpid(other, &status[1], 0);
    assert_true(status[0] == 0 && status[1] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(as_torchrun_starts),
        cmocka_unit_test(as_slurm_starts),
        cmocka_unit_test(node_lists_of_slurm),
        cmocka_unit_test(missing_and_wrong_variables),
        cmocka_unit_test(transports_that_see_fewer_ranks),
        cmocka_unit_test(nccl_without_a_gpu),
        cmocka_unit_test(configs_that_agree),
        cmocka_unit_test(configs_that_differ),
        cmocka_unit_test(sizes_that_differ),
        cmocka_unit_test(ranks_that_do_not_come),
        cmocka_unit_test(a_rank_that_comes_twice),
        cmocka_unit_test(marks),
        cmocka_unit_test(the_row),
        cmocka_unit_test(strangers_in_the_row),
        cmocka_unit_test(a_row_that_is_taken),
        cmocka_unit_test(a_start_before_this_one),
        cmocka_unit_test(addresses_of_this_host),
        cmocka_unit_test(strangers),
        cmocka_unit_test(turned_away_by_a_rank),
        cmocka_unit_test(inside_when_the_meeting_ends),
        cmocka_unit_test(met_one_that_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
