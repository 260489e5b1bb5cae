/*
 * Why a process and not a thread: a snapshot lives as long as the session that exported it, and the
 * point is to survive kill -9 of the mover. Why a lock and not the parent's pid: the next mover is
 * another process, and pids are used again.
 */
#include "pg/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop.h"
#include "model/lsn.h"
#include "pg/conn_internal.h"

#define LINE_LIMIT 8192
#define FLUSH_GRACE_MS 100

/* ---- files both sides know ---- */

static ph_code
file_error(const char *what, const char *path, struct ph_error *err)
{
    int cause = errno;

    PH_FAIL(err, PH_E_DISK, "%s: %s", what, strerror(cause));
    ph_error_object(err, "%s", path);
    return PH_E_DISK;
}

ph_code
ph_mover_lock(const char *dir, int *fd, struct ph_error *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/mover.lock", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return file_error("cannot open the lock file", path, err);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(*fd, F_OFD_SETLK, &lock) == 0)
        return PH_OK;
    ph_code rc = errno == EAGAIN || errno == EACCES
                     ? PH_FAIL(err, PH_E_JOB_RUNNING, "another process on this host runs this job")
                     : file_error("cannot lock", path, err);
    ph_error_object(err, "%s", path);
    close(*fd);
    *fd = -1;
    return rc;
}

static void
stop_path(const char *dir, char *out, size_t size)
{
    snprintf(out, size, "%s/holder.stop", dir);
}

ph_code
ph_holder_stop(const char *dir, struct ph_error *err)
{
    char path[4096];

    stop_path(dir, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error("cannot tell the snapshot's holder to stop", path, err);
    (void)futimens(fd, NULL);
    close(fd);
    return PH_OK;
}

/* ---- the mover's side ---- */

static void
exec_holder(int in, int out)
{
    static const char *const argv[] = {"pghaul", PH_HOLDER_ARGUMENT, NULL};

    setsid();
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* Twice forked, so that nobody has to wait for the holder. */
static pid_t
fork_holder(int in, int out)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    pid = fork();
    if (pid == 0)
        exec_holder(in, out);
    _exit(pid > 0 ? 0 : 126);
}

static ph_code
send_params(int fd, const struct ph_holder_params *params, struct ph_error *err)
{
    struct ph_buf text;
    ph_code rc = PH_OK;

    ph_buf_init(&text, (size_t)LINE_LIMIT * 4);
    ph_buf_printf(&text, "%s\n%s\n%s\n%llu\n%d\n%s\n", params->source->conninfo, params->job,
                  params->dir, (unsigned long long)params->hold_seconds, (int)params->use,
                  params->snapshot_id != NULL ? params->snapshot_id : "");
    if (!ph_buf_ok(&text) || write(fd, text.data, text.len) != (ssize_t)text.len)
        rc = PH_FAIL(err, PH_E_INTERNAL, "cannot start the snapshot's holder");
    if (text.data != NULL)
        explicit_bzero(text.data, text.len);
    ph_buf_free(&text);
    return rc;
}

/*
 * What an open transaction wrote last may stay unflushed for minutes on an idle server. A commit
 * flushes it; the message is for nobody. Best effort: the holder goes on waiting.
 */
static void
flush_wal(struct ph_conn *conn)
{
    (void)ph_conn_exec(
        conn,
        "BEGIN; SET LOCAL synchronous_commit = local;"
        " SELECT pg_catalog.pg_logical_emit_message(true, 'pghaul', 'epoch'); COMMIT",
        NULL);
    (void)ph_conn_leave_transaction(conn, NULL);
}

/* Until the holder has said something, or is gone. */
static ph_code
await_answer(int fd, const struct ph_holder_params *params, struct ph_error *err)
{
    struct pollfd answer = {.fd = fd, .events = POLLIN};

    for (unsigned waits = 0; poll(&answer, 1, FLUSH_GRACE_MS) <= 0; waits++) {
        if (ph_stop_requested()) {
            (void)ph_holder_stop(params->dir, NULL);
            return ph_stop_check(err);
        }
        if (params->flusher != NULL && params->use == PH_HOLD_FOR_STREAM && waits % 50 == 0)
            flush_wal(params->flusher);
    }
    return PH_OK;
}

static ph_code
read_answer(int fd, const struct ph_holder_params *params, struct ph_held_snapshot *out,
            struct ph_error *err)
{
    char line[2048];
    size_t len = 0;
    ssize_t got;

    PH_TRY(await_answer(fd, params, err));
    while (len < sizeof line - 1 && (got = read(fd, line + len, sizeof line - 1 - len)) > 0)
        len += (size_t)got;
    line[len] = '\0';
    *out = (struct ph_held_snapshot){0};
    long long start = 0;
    unsigned long long lsn = 0;
    if (sscanf(line, "OK %63s %255s %d %lld %d %llu", out->snapshot_id, out->mark.visible,
               &out->mark.backend_pid, &start, &out->process_pid, &lsn) == 6) {
        out->mark.backend_start = start;
        out->lsn = lsn;
        return PH_OK;
    }
    int code;
    int at = 0;
    if (sscanf(line, "FAILED %d %n", &code, &at) == 1 && at > 0 && code > 0 && code < PH_CODE_COUNT)
        return PH_FAIL(err, (ph_code)code, "%s", line + at);
    return PH_FAIL(err, PH_E_INTERNAL, "the snapshot's holder did not start");
}

ph_code
ph_holder_start(const struct ph_holder_params *params, struct ph_held_snapshot *out,
                struct ph_error *err)
{
    int to[2];
    int from[2];
    int status;

    if (pipe2(to, O_CLOEXEC) != 0)
        return file_error("cannot start the snapshot's holder", "pipe", err);
    if (pipe2(from, O_CLOEXEC) != 0) {
        close(to[0]);
        close(to[1]);
        return file_error("cannot start the snapshot's holder", "pipe", err);
    }
    pid_t pid = fork_holder(to[0], from[1]);
    close(to[0]);
    close(from[1]);
    ph_code rc = pid < 0 ? file_error("cannot start the snapshot's holder", "fork", err)
                         : send_params(to[1], params, err);
    close(to[1]);
    if (rc == PH_OK)
        rc = read_answer(from[0], params, out, err);
    close(from[0]);
    if (pid > 0)
        (void)waitpid(pid, &status, 0);
    return rc;
}

/* ---- the holder's side ---- */

struct holder {
    char conninfo[LINE_LIMIT];
    char job[128];
    char dir[2048];
    unsigned long long hold_seconds;
    enum ph_hold_use use;
    char snapshot_id[64]; /* to import; "": a new one */
    int lock_fd;
    struct timespec old_stop; /* the stop file's time when this one began; 0: there was none */
    struct ph_endpoint source;
    struct ph_conn *conn;
};

static bool
read_line(char *out, size_t size)
{
    if (fgets(out, (int)size, stdin) == NULL)
        return false;
    size_t len = strlen(out);
    if (len == 0 || out[len - 1] != '\n')
        return false;
    out[len - 1] = '\0';
    return true;
}

static bool
read_params(struct holder *holder)
{
    char seconds[32];
    char use[8];

    if (!read_line(holder->conninfo, sizeof holder->conninfo) ||
        !read_line(holder->job, sizeof holder->job) ||
        !read_line(holder->dir, sizeof holder->dir) || !read_line(seconds, sizeof seconds) ||
        !read_line(use, sizeof use) || !read_line(holder->snapshot_id, sizeof holder->snapshot_id))
        return false;
    holder->hold_seconds = strtoull(seconds, NULL, 10);
    holder->use = use[0] == '0' ? PH_HOLD_FOR_COPY : PH_HOLD_FOR_STREAM;
    return true;
}

/* Whoever exported it need not keep it from here on. */
static ph_code
export_snapshot(struct holder *holder, struct ph_held_snapshot *out, struct ph_error *err)
{
    struct ph_result *r;

    PH_TRY(ph_conn_query(holder->conn,
                         "SELECT pg_catalog.pg_export_snapshot(), pg_catalog.pg_backend_pid(),"
                         " pg_catalog.left(pg_catalog.pg_current_snapshot()::text, 255),"
                         " (pg_catalog.date_part('epoch', backend_start) * 1000000)::bigint"
                         " FROM pg_catalog.pg_stat_activity WHERE"
                         " pid = pg_catalog.pg_backend_pid()",
                         0, NULL, &r, err));
    snprintf(out->snapshot_id, sizeof out->snapshot_id, "%s", ph_result_text(r, 0, 0));
    out->mark.backend_pid = (int)ph_result_i64(r, 0, 1);
    snprintf(out->mark.visible, sizeof out->mark.visible, "%s", ph_result_text(r, 0, 2));
    out->mark.backend_start = ph_result_i64(r, 0, 3);
    ph_result_free(r);
    return PH_OK;
}

static ph_code
take_snapshot(struct holder *holder, struct ph_held_snapshot *out, struct ph_error *err)
{
    PH_TRY(ph_endpoint_init(&holder->source, PH_SOURCE, holder->conninfo, holder->job, err));
    explicit_bzero(holder->conninfo, sizeof holder->conninfo);
    PH_TRY(ph_conn_open(&holder->source, "holder", &holder->conn, err));
    if (holder->snapshot_id[0] != '\0')
        PH_TRY(ph_snapshot_import(holder->conn, holder->snapshot_id, err));
    else
        PH_TRY(ph_conn_exec(holder->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    return export_snapshot(holder, out, err);
}

static struct timespec
stop_time(const struct holder *holder)
{
    char path[4096];
    struct stat info;

    stop_path(holder->dir, path, sizeof path);
    return stat(path, &info) == 0 ? info.st_mtim : (struct timespec){0};
}

/*
 * By a stop file that was not there or is newer than what was there at the beginning: it stays
 * where it is, since the former holder may not have seen it yet.
 *
 * Without its directory nobody could tell it any more, and no mover would find it.
 */
static bool
is_told_to_stop(const struct holder *holder)
{
    struct timespec now = stop_time(holder);

    if (now.tv_sec != 0 &&
        (now.tv_sec != holder->old_stop.tv_sec || now.tv_nsec != holder->old_stop.tv_nsec))
        return true;
    return access(holder->dir, F_OK) != 0 && errno == ENOENT;
}

/*
 * Whether a mover is there: it holds the lock for as long as it lives. Asked, not tried: a lock
 * taken for an instant would make a mover that starts just then believe in a second one.
 */
static bool
mover_is_there(const struct holder *holder)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(holder->lock_fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* The server says nothing unless it ends the session. */
static bool
source_is_there(struct holder *holder)
{
    return PQconsumeInput(holder->conn->pg) == 1 && PQstatus(holder->conn->pg) == CONNECTION_OK;
}

static ph_code
read_insert_lsn(struct holder *holder, ph_lsn *lsn, struct ph_error *err)
{
    char text[32];

    PH_TRY(ph_conn_value(holder->conn, "SELECT pg_catalog.pg_is_in_recovery()", text, sizeof text,
                         err));
    if (text[0] == 't')
        return PH_FAIL(err, PH_E_NOT_READY,
                       "the source is a standby: its snapshots do not list what runs");
    PH_TRY(ph_conn_value(holder->conn, "SELECT pg_catalog.pg_current_wal_insert_lsn()", text,
                         sizeof text, err));
    return ph_lsn_parse(text, lsn) ? PH_OK
                                   : PH_FAIL(err, PH_E_PROTOCOL, "not a position: %.31s", text);
}

/*
 * A crash of the source forgets what was committed asynchronously and not flushed, and gives the
 * transaction's id to another one. So the flush is seen by the session that holds the snapshot.
 */
static ph_code
see_flushed(struct holder *holder, ph_lsn lsn, struct ph_error *err)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    uint64_t last_seen = ph_clock_ns();
    char text[32];
    ph_lsn flushed = 0;

    for (;;) {
        PH_TRY(ph_conn_value(holder->conn, "SELECT pg_catalog.pg_current_wal_flush_lsn()", text,
                             sizeof text, err));
        if (!ph_lsn_parse(text, &flushed))
            return PH_FAIL(err, PH_E_PROTOCOL, "not a position: %.31s", text);
        if (flushed >= lsn)
            return PH_OK;
        bool is_waited_for = mover_is_there(holder);
        if (is_waited_for)
            last_seen = ph_clock_ns();
        if (is_told_to_stop(holder) ||
            (!is_waited_for && ph_clock_seconds_since(last_seen) >= (double)holder->hold_seconds))
            return PH_FAIL(err, PH_E_STOPPED, "nobody waits for the snapshot any more");
        nanosleep(&pause, NULL);
    }
}

static ph_code
begin_holding(struct holder *holder, struct ph_held_snapshot *out, struct ph_error *err)
{
    PH_TRY(take_snapshot(holder, out, err));
    if (holder->use == PH_HOLD_FOR_COPY)
        return PH_OK;
    PH_TRY(read_insert_lsn(holder, &out->lsn, err));
    return see_flushed(holder, out->lsn, err);
}

static void
hold(struct holder *holder)
{
    uint64_t last_seen = ph_clock_ns();

    for (;;) {
        struct pollfd socket = {.fd = PQsocket(holder->conn->pg), .events = POLLIN};
        if (poll(&socket, 1, 500) > 0 && !source_is_there(holder))
            return;
        if (is_told_to_stop(holder))
            return;
        if (mover_is_there(holder))
            last_seen = ph_clock_ns();
        else if (ph_clock_seconds_since(last_seen) >= (double)holder->hold_seconds)
            return;
    }
}

static bool
open_lock(struct holder *holder)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/mover.lock", holder->dir);
    holder->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    return holder->lock_fd >= 0;
}

/* The terminal and the pipes belong to the mover; a holder keeps none of them. */
static void
let_go_of_files(void)
{
    int null = open("/dev/null", O_RDWR);

    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

int
ph_holder_main(void)
{
    static struct holder holder; /* large; this process has one thread */
    struct ph_held_snapshot held = {0};
    struct ph_error err;

    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    ph_error_reset(&err);
    if (!read_params(&holder) || !open_lock(&holder)) {
        printf("FAILED %d the directory of the job cannot be used\n", (int)PH_E_DISK);
        return 1;
    }
    holder.old_stop = stop_time(&holder);
    if (begin_holding(&holder, &held, &err) != PH_OK) {
        printf("FAILED %d %s\n", (int)err.code, err.message);
        return 1;
    }
    printf("OK %s %s %d %lld %d %llu\n", held.snapshot_id, held.mark.visible, held.mark.backend_pid,
           (long long)held.mark.backend_start, (int)getpid(), (unsigned long long)held.lsn);
    fflush(stdout);
    let_go_of_files();
    hold(&holder);
    ph_conn_free(holder.conn);
    ph_endpoint_reset(&holder.source);
    return 0;
}
