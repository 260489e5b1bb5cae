/* labels: short */
/*
 * The spool against what a machine does to it: kills at any time, full disks, and threads that
 * write, sync, read and prune at once. No server.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../unit/spool_case.h"
#include "base/clock.h"
#include "support/scratch.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/*
 * A history without end that any process can write from any point on. Transaction n ends at
 * lsn_of(n); one in ten is large and streamed, its blocks scattered over the ones before it.
 */
#define STREAMED_EVERY 10u
#define BLOCKS 4u

static ph_lsn
lsn_of(uint64_t n)
{
    return SPOOL_BEGIN_LSN + 100 * n;
}

static uint64_t
txn_of(ph_lsn lsn)
{
    return (lsn - SPOOL_BEGIN_LSN) / 100;
}

static bool
is_streamed(uint64_t n)
{
    return n % STREAMED_EVERY == STREAMED_EVERY - 1;
}

static uint32_t
changes_of(uint64_t n)
{
    return (uint32_t)(n * 7 % 13);
}

static size_t
make_message(uint64_t n, uint32_t i, char out[600])
{
    size_t len = (size_t)snprintf(out, 600, "%" PRIu64 ".%u ", n, (unsigned)i);
    size_t filler = (size_t)((n * 31 + i * 17) % 400);
    uint32_t noise = (uint32_t)n * 2654435761u + i;

    for (size_t k = 0; k < filler; k++) {
        noise = noise * 1664525u + 1013904223u;
        out[len++] = (char)('a' + (noise >> 24) % 26);
    }
    return len;
}

static ph_code
put(struct ph_spool *spool, enum ph_spool_message_kind kind, uint64_t n, uint32_t i, uint32_t xid,
    struct ph_error *err)
{
    char text[600];
    size_t len = make_message(n, i, text);
    bool end = kind == PH_SPOOL_COMMIT || kind == PH_SPOOL_STREAM_COMMIT;
    struct ph_spool_message message = {.kind = kind,
                                       .bytes = {(const uint8_t *)text, len},
                                       .xid = xid,
                                       .end_lsn = end ? lsn_of(n) : 0};

    return ph_spool_append(spool, &message, err);
}

/* Block b of the next streamed transaction comes before each of the transactions in front of it. */
static ph_code
put_txn(struct ph_spool *spool, uint64_t n, uint64_t from, struct ph_error *err)
{
    uint64_t streamed = n - n % STREAMED_EVERY + STREAMED_EVERY - 1;
    uint64_t ahead = streamed - n;

    if (ahead <= BLOCKS && (ahead > 0 || n == from)) {
        uint64_t block = ahead > 0 ? BLOCKS - ahead : BLOCKS - 1;

        /* A session that begins between gets all so far. */
        for (uint64_t b = n == from ? 0 : block; b <= block; b++) {
            for (uint32_t i = 0; i < 20; i++)
                PH_TRY(put(spool, PH_SPOOL_CHANGE, streamed, (uint32_t)b * 20 + i,
                           (uint32_t)streamed, err));
        }
    }
    if (is_streamed(n))
        return put(spool, PH_SPOOL_STREAM_COMMIT, n, 999, (uint32_t)n, err);
    PH_TRY(put(spool, PH_SPOOL_BEGIN, n, 0, 0, err));
    for (uint32_t i = 0; i < changes_of(n); i++)
        PH_TRY(put(spool, PH_SPOOL_CHANGE, n, i + 1, 0, err));
    return put(spool, PH_SPOOL_COMMIT, n, 999, 0, err);
}

static void
check_message(const struct ph_spool_item *item, uint64_t n, uint32_t i)
{
    char text[600];
    size_t len = make_message(n, i, text);

    CHECK(item->bytes.len == len && memcmp(item->bytes.data, text, len) == 0);
}

/* Reads the history: every transaction whole, in order, exactly once. */
struct checker {
    uint64_t next; /* transaction */
    uint32_t i;    /* of its messages; 0: it has not begun */
    uint64_t streams_read;
};

static void
check_stream(struct ph_spool *spool, uint64_t n)
{
    struct ph_spool_stream *stream;
    struct ph_spool_item item;
    bool more;

    MUST(ph_spool_stream_open(spool, (uint32_t)n, lsn_of(n), &stream, must));
    CHECK(stream != NULL);
    for (uint32_t i = 0; i < 20 * BLOCKS; i++) {
        MUST(ph_spool_stream_next(stream, &item, &more, must));
        CHECK(more);
        check_message(&item, n, i);
    }
    MUST(ph_spool_stream_next(stream, &item, &more, must));
    CHECK(!more);
    ph_spool_stream_close(stream);
}

static void
check_item(struct checker *checker, struct ph_spool *spool, const struct ph_spool_item *item)
{
    uint64_t n = strtoull((const char *)item->bytes.data, NULL, 10);

    if (n < checker->next)
        return; /* applied before */
    CHECK(n == checker->next);
    if (item->kind == PH_SPOOL_STREAM_COMMIT) {
        check_message(item, n, 999);
        check_stream(spool, n);
        checker->streams_read++;
        checker->next++;
        return;
    }
    CHECK((item->kind == PH_SPOOL_BEGIN) == (checker->i == 0));
    if (item->kind == PH_SPOOL_COMMIT) {
        CHECK(checker->i == changes_of(n) + 1);
        check_message(item, n, 999);
        checker->i = 0;
        checker->next++;
        return;
    }
    check_message(item, n, checker->i++);
}

/* One step; false: there was none. */
static bool
check_step(struct checker *checker, struct ph_spool *spool, struct ph_spool_reader *reader,
           uint32_t wait_ms)
{
    struct ph_spool_step step;
    struct ph_spool_item item;
    bool more = true;

    MUST(ph_spool_reader_next(reader, wait_ms, &step, must));
    if (step.what == PH_READ_NOTHING)
        return false;
    if (step.what == PH_READ_SESSION)
        checker->i = 0;
    if (step.what != PH_READ_CHANGES && step.what != PH_READ_STREAM_COMMIT)
        return true;
    while (more) {
        MUST(ph_spool_reader_message(reader, &item, &more, must));
        if (more)
            check_item(checker, spool, &item);
    }
    return true;
}

static struct ph_spool_params
params_in(const char *dir, enum ph_spool_mode mode)
{
    return (struct ph_spool_params){.dir = dir,
                                    .id = ph_spool_id_of("it"),
                                    .mode = mode,
                                    .packing = PH_PACK_LZ4,
                                    .begin = SPOOL_BEGIN_LSN,
                                    .frame_bytes = 2000,
                                    .segment_bytes = 40000};
}

static uint64_t
begin_session(struct ph_spool *spool)
{
    struct ph_spool_positions positions;

    MUST(ph_spool_end_session(spool, must));
    ph_spool_get_positions(spool, &positions);
    struct ph_spool_session session = case_session(positions.durable);
    MUST(ph_spool_begin_session(spool, &session, must));
    return txn_of(positions.durable) + 1;
}

/* ---- kills ---- */

#define ENDLESS_XID 4000000000u
#define CHILD_S 3 /* a failpoint may never be passed */

/* What the child has done, told by a pipe that outlives it. */
struct told {
    ph_lsn durable;
    ph_lsn pruned;
};

struct child {
    struct ph_spool *spool;
    int pipe_fd;
};

static void *
sync_and_tell(void *arg)
{
    struct child *child = arg;
    struct ph_spool_positions positions;

    for (uint64_t round = 0;; round++) {
        MUST(ph_spool_sync(child->spool, 100, must));
        ph_spool_get_positions(child->spool, &positions);
        struct told told = {positions.durable, 0};
        /* As a target that is some way behind. */
        if (positions.durable > SPOOL_BEGIN_LSN + 10000)
            told.pruned = positions.durable - 10000;
        CHECK(write(child->pipe_fd, &told, sizeof told) == sizeof told);
        if (told.pruned > 0)
            MUST(ph_spool_prune(child->spool, told.pruned, must));
    }
    return NULL;
}

static void
child_main(const char *dir, int pipe_fd)
{
    struct ph_spool_params params = params_in(dir, PH_SPOOL_OPEN);
    struct child child = {.pipe_fd = pipe_fd};
    pthread_t syncer;

    MUST(ph_spool_open(&params, &child.spool, must));
    uint64_t from = begin_session(child.spool);
    CHECK(pthread_create(&syncer, NULL, sync_and_tell, &child) == 0);
    alarm(CHILD_S);
    for (uint64_t n = from;; n++) {
        MUST(put_txn(child.spool, n, from, must));
        /* One that never ends keeps its segments, others behind them become hollow. */
        if (n % 50 == 0)
            MUST(put(child.spool, PH_SPOOL_CHANGE, n, 0, ENDLESS_XID, must));
        if (n % 5 == 0)
            MUST(ph_spool_flush(child.spool, must));
    }
}

static void
check_after_kill(const char *dir, const struct told *told)
{
    struct ph_spool_params params = params_in(dir, PH_SPOOL_OPEN);
    struct ph_spool_positions positions;
    struct ph_spool_reader *reader;
    struct ph_spool *spool;
    ph_lsn start;

    MUST(ph_spool_open(&params, &spool, must));
    ph_spool_get_positions(spool, &positions);
    CHECK(positions.durable >= told->durable);
    CHECK(positions.begin <= (told->pruned > 0 ? told->pruned : SPOOL_BEGIN_LSN));
    ph_lsn applied = told->pruned > positions.begin ? told->pruned : positions.begin;
    MUST(ph_spool_start(&positions, told->durable, applied, &start, must));
    struct checker checker = {.next = txn_of(applied) + 1};
    MUST(ph_spool_reader_open(spool, applied, &reader, must));
    while (check_step(&checker, spool, reader, 0)) {
    }
    CHECK(lsn_of(checker.next - 1) == positions.written);
    ph_spool_reader_close(reader);
    ph_spool_close(spool);
}

static void
run_and_kill(const char *dir, const char *failpoint, uint32_t after_us, struct told *told)
{
    int fds[2];
    int status;

    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        if (failpoint != NULL)
            setenv("PGHAUL_FAILPOINT", failpoint, 1);
        child_main(dir, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    if (failpoint == NULL) {
        usleep(after_us);
        kill(pid, SIGKILL);
    }
    while (read(fds[0], told, sizeof *told) == sizeof *told) {
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(WTERMSIG(status) == SIGKILL || (failpoint != NULL && WTERMSIG(status) == SIGALRM));
    close(fds[0]);
}

static void
test_killed(void **state)
{
    static const char *const points[] = {"spool_half_written", "spool_synced", "spool_pruned_one",
                                         "spool_hollowed_one"};
    const char *dir = scratch_new_dir("killed");
    struct ph_spool_params params = params_in(dir, PH_SPOOL_CREATE);
    struct told told = {SPOOL_BEGIN_LSN, 0};
    struct ph_spool *spool;
    uint32_t noise = 1;

    (void)state;
    MUST(ph_spool_open(&params, &spool, must));
    ph_spool_close(spool);
    for (int i = 0; i < 24; i++) {
        noise = noise * 1664525u + 1013904223u;
        run_and_kill(dir, NULL, 2000 + noise % 60000, &told);
        check_after_kill(dir, &told);
    }
#ifdef PH_FAILPOINTS
    for (size_t i = 0; i < 3 * sizeof points / sizeof points[0]; i++) {
        char armed[64];

        snprintf(armed, sizeof armed, "%s=kill@%d", points[i / 3], (int)(1 + i % 3 * 5));
        run_and_kill(dir, armed, 0, &told);
        check_after_kill(dir, &told);
    }
#endif
    (void)points;
}

/* ---- full disks ---- */

/* Write until it is full, see that it is usable, make room, go on. */
static void
fill_disk(const char *dir, ph_code expected)
{
    struct ph_spool_params params = params_in(dir, PH_SPOOL_CREATE);
    struct ph_spool_positions positions;
    struct ph_spool_reader *reader;
    struct ph_error err = {0};
    struct ph_spool *spool;
    struct checker checker = {.next = 1};
    ph_code rc = PH_OK;
    int times = 0;

    MUST(ph_spool_open(&params, &spool, must));
    uint64_t from = begin_session(spool);
    MUST(ph_spool_reader_open(spool, SPOOL_BEGIN_LSN, &reader, must));
    for (uint64_t n = from; times < 4; n++) {
        /* Small transactions that are not streamed, so that each either is in or can be tried
         * again. */
        rc = put(spool, PH_SPOOL_BEGIN, n, 0, 0, &err);
        for (uint32_t i = 0; i < changes_of(n) && rc == PH_OK; i++)
            rc = put(spool, PH_SPOOL_CHANGE, n, i + 1, 0, &err);
        if (rc == PH_OK)
            rc = put(spool, PH_SPOOL_COMMIT, n, 999, 0, &err);
        if (rc == PH_OK)
            rc = ph_spool_flush(spool, &err);
        if (rc == PH_OK)
            continue;
        CHECK(rc == expected);
        CHECK(strstr(err.message, "bytes") != NULL);
        CHECK(ph_spool_flush(spool, &err) == expected || rc == PH_OK);
        /* The connection is broken off; what is here is whole, readable and durable. */
        times++;
        MUST(ph_spool_end_session(spool, must));
        ph_spool_get_positions(spool, &positions);
        CHECK(positions.durable == positions.written);
        while (check_step(&checker, spool, reader, 0)) {
        }
        CHECK(lsn_of(checker.next - 1) == positions.written);
        MUST(ph_spool_prune(spool, positions.written, must));
        struct ph_spool_session session = case_session(positions.durable);
        MUST(ph_spool_begin_session(spool, &session, must));
        n = checker.next - 1;
    }
    ph_spool_reader_close(reader);
    ph_spool_close(spool);
    params.mode = PH_SPOOL_OPEN;
    MUST(ph_spool_open(&params, &spool, must));
    ph_spool_close(spool);
}

static void
in_child(void (*body)(const char *dir), const char *dir)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        body(dir);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void
fill_tmpfs(const char *dir)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=200k") != 0)
        _exit(77);
    char inside[256];
    snprintf(inside, sizeof inside, "%s/spool", dir);
    fill_disk(inside, PH_E_DISK_FULL);
}

/* TRAPS 74 */
static void
test_trap74_disk_full(void **state)
{
    (void)state;
    in_child(fill_tmpfs, scratch_new_dir("full"));
}

/* A limit on the size of files stands for a disk where nothing can be mounted. */
static void
fill_limited(const char *dir)
{
    struct rlimit limit = {25000, 25000};

    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    fill_disk(dir, PH_E_DISK_FULL);
}

static void
test_trap74_file_too_large(void **state)
{
    (void)state;
    in_child(fill_limited, scratch_new_dir("limited"));
}

/* ---- threads ---- */

struct threads {
    struct ph_spool *spool;
    atomic_uint_fast64_t read; /* last transaction */
    atomic_bool done;
};

static void *
syncing(void *arg)
{
    struct threads *threads = arg;

    while (!atomic_load(&threads->done))
        MUST(ph_spool_sync(threads->spool, 1000, must));
    return NULL;
}

static void *
reading(void *arg)
{
    struct threads *threads = arg;
    struct checker checker = {.next = 1};
    struct ph_spool_reader *reader;

    MUST(ph_spool_reader_open(threads->spool, SPOOL_BEGIN_LSN, &reader, must));
    while (!atomic_load(&threads->done)) {
        check_step(&checker, threads->spool, reader, 1000);
        atomic_store(&threads->read, checker.next - 1);
        if (checker.next % 64 == 0)
            MUST(ph_spool_prune(threads->spool, lsn_of(checker.next - 1), must));
    }
    while (check_step(&checker, threads->spool, reader, 0)) {
    }
    atomic_store(&threads->read, checker.next - 1);
    CHECK(checker.streams_read > 10);
    ph_spool_reader_close(reader);
    return NULL;
}

static void
test_threads(void **state)
{
    struct ph_spool_params params = params_in(scratch_new_dir("threads"), PH_SPOOL_CREATE);
    struct threads threads = {0};
    struct ph_spool_positions positions;
    const uint64_t total = 3000;
    pthread_t syncer;
    pthread_t reader;

    (void)state;
    MUST(ph_spool_open(&params, &threads.spool, must));
    assert_int_equal(pthread_create(&syncer, NULL, syncing, &threads), 0);
    assert_int_equal(pthread_create(&reader, NULL, reading, &threads), 0);
    uint64_t from = begin_session(threads.spool);
    uint64_t broke = 0;
    for (uint64_t n = from; n <= total; n++) {
        MUST(put_txn(threads.spool, n, from, must));
        if (n % 50 == 0)
            MUST(ph_spool_flush(threads.spool, must));
        if (n % 777 == 0 && n > broke) { /* the connection; what was not written comes again */
            broke = n;
            from = begin_session(threads.spool);
            n = from - 1;
        }
    }
    MUST(ph_spool_flush(threads.spool, must));
    /* Whoever waits for more gets it at once, not at the end of its patience. */
    for (int i = 0; i < 2000 && atomic_load(&threads.read) < total; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&threads.read), total);
    atomic_store(&threads.done, true);
    pthread_join(reader, NULL);
    pthread_join(syncer, NULL);
    MUST(ph_spool_sync(threads.spool, 0, must));
    ph_spool_get_positions(threads.spool, &positions);
    assert_int_equal(positions.durable, lsn_of(total));
    ph_spool_close(threads.spool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_trap74_disk_full),
        cmocka_unit_test(test_trap74_file_too_large),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
