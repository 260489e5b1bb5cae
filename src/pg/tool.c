/*
 * Child programs: found, checked and run (see tool.h).
 *
 * posix_spawn and not fork: other threads hold locks. Both pipes are drained by one poll loop, so a
 * chatty stderr cannot block the child, and only the end of it is kept.
 */
#include "pg/tool.h"

#include "base/stop.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ERROR_WORD "error:"
#define PIECE_BYTES ((size_t)64)
#define TAIL_BYTES 800
#define POLL_MS 100

extern char **environ;

/*
 * The last bytes of a stream of any length; but from the first error on, its beginning: what
 * follows may be the text of a query, longer than all there is room for.
 */
struct tail {
    char text[TAIL_BYTES + 1];
    size_t len;
};

struct child {
    pid_t pid;
    int out_fd;
    int err_fd;
    struct tail tail;
    bool out_full;
};

static void
tail_add_piece(struct tail *tail, const char *data, size_t len)
{
    const char *error = strstr(tail->text, ERROR_WORD);
    size_t may_drop = error != NULL ? (size_t)(error - tail->text) : tail->len;

    if (tail->len + len > TAIL_BYTES) {
        size_t drop = tail->len + len - TAIL_BYTES;

        drop = drop < may_drop ? drop : may_drop;
        memmove(tail->text, tail->text + drop, tail->len - drop);
        tail->len -= drop;
    }
    if (len > TAIL_BYTES - tail->len)
        len = TAIL_BYTES - tail->len;
    memcpy(tail->text + tail->len, data, len);
    tail->len += len;
    tail->text[tail->len] = '\0';
}

/* In pieces, so that no error is dropped before it was seen. */
static void
tail_add(struct tail *tail, const char *data, size_t len)
{
    for (size_t at = 0; at < len; at += PIECE_BYTES)
        tail_add_piece(tail, data + at, len - at < PIECE_BYTES ? len - at : PIECE_BYTES);
}

/* One line for a message: what looks like the error, otherwise the last line. */
static const char *
tail_message(struct tail *tail)
{
    char *found;

    while (tail->len > 0 && isspace((unsigned char)tail->text[tail->len - 1]))
        tail->text[--tail->len] = '\0';
    found = strstr(tail->text, ERROR_WORD);
    if (found == NULL) {
        found = strrchr(tail->text, '\n');
        found = found != NULL ? found + 1 : tail->text;
    }
    for (char *p = found; *p != '\0'; p++) {
        if (*p == '\n')
            *p = ' ';
    }
    return *found != '\0' ? found : "it said nothing";
}

/* The environment as given, or ours, with messages in English. */
static char **
english_env(char *const *env)
{
    size_t n = 0;
    size_t at = 0;
    char **english;

    if (env == NULL)
        env = environ;
    while (env[n] != NULL)
        n++;
    english = calloc(n + 2, sizeof *english);
    if (english == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (strncmp(env[i], "LC_ALL=", 7) != 0)
            english[at++] = env[i];
    }
    english[at] = (char *)(uintptr_t) "LC_ALL=C";
    return english;
}

static int
spawn_with_pipes(const struct ph_tool_run *run, char **env, int out_pipe[2], int err_pipe[2],
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigset_t all;
    int rc;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_pipe[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_pipe[1], STDERR_FILENO);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    /* A group of its own: the terminal's SIGINT reaches us alone, and we end the child. */
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETPGROUP);
    rc = posix_spawn(pid, run->argv[0], &actions, &attr, (char *const *)(uintptr_t)run->argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return rc;
}

static ph_code
start(const struct ph_tool_run *run, struct child *child, struct ph_error *err)
{
    int out_pipe[2] = {-1, -1};
    int err_pipe[2] = {-1, -1};
    char **env = english_env(run->env);
    int rc;

    if (env == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory to start %s", run->argv[0]);
    if (pipe2(out_pipe, O_CLOEXEC) != 0 || pipe2(err_pipe, O_CLOEXEC) != 0)
        rc = errno;
    else
        rc = spawn_with_pipes(run, env, out_pipe, err_pipe, &child->pid);
    free(env);
    if (out_pipe[1] >= 0)
        close(out_pipe[1]);
    if (err_pipe[1] >= 0)
        close(err_pipe[1]);
    if (rc != 0) {
        if (out_pipe[0] >= 0)
            close(out_pipe[0]);
        if (err_pipe[0] >= 0)
            close(err_pipe[0]);
        return PH_FAIL(err, PH_E_TOOL, "cannot start %s: %s", run->argv[0], strerror(rc));
    }
    child->out_fd = out_pipe[0];
    child->err_fd = err_pipe[0];
    return PH_OK;
}

/* false: the stream has ended. */
static bool
drain(int fd, struct ph_buf *into, struct child *child)
{
    char chunk[8192];
    ssize_t n = read(fd, chunk, sizeof chunk);

    if (n < 0)
        return errno == EINTR || errno == EAGAIN;
    if (n == 0)
        return false;
    if (fd == child->err_fd) {
        tail_add(&child->tail, chunk, (size_t)n);
    } else if (into != NULL) {
        ph_buf_append(into, chunk, (size_t)n);
        child->out_full = child->out_full || !ph_buf_ok(into);
    }
    return true;
}

/* Until both pipes are closed; true when it was stopped on the way. */
static bool
pump(const struct ph_tool_run *run, struct child *child)
{
    struct pollfd fds[2] = {{child->out_fd, POLLIN, 0}, {child->err_fd, POLLIN, 0}};
    bool stopped = false;

    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (!stopped && (ph_stop_requested() || child->out_full)) {
            kill(child->pid, SIGTERM);
            stopped = true;
        }
        if (poll(fds, 2, POLL_MS) <= 0)
            continue;
        for (int i = 0; i < 2; i++) {
            if (fds[i].fd >= 0 && fds[i].revents != 0 && !drain(fds[i].fd, run->out, child))
                fds[i].fd = -1;
        }
    }
    return stopped;
}

ph_code
ph_tool_run(const struct ph_tool_run *run, struct ph_error *err)
{
    struct child child = {.pid = -1};
    int status = 0;
    bool stopped;

    PH_TRY(start(run, &child, err));
    stopped = pump(run, &child);
    close(child.out_fd);
    close(child.err_fd);
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (child.out_full)
        return PH_FAIL(err, PH_E_MEMORY, "the output of %s is too large", run->argv[0]);
    if (stopped)
        return PH_FAIL(err, PH_E_STOPPED, "stopped while %s ran", run->argv[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return PH_OK;
    if (WIFSIGNALED(status))
        return PH_FAIL(err, PH_E_TOOL, "%s was ended by signal %d", run->argv[0], WTERMSIG(status));
    return PH_FAIL(err, PH_E_TOOL, "%s failed: %s", run->argv[0], tail_message(&child.tail));
}

int
ph_tool_parse_version(const char *text)
{
    const char *at = strstr(text, "(PostgreSQL)");
    long major;

    if (at == NULL)
        return 0;
    major = strtol(at + strlen("(PostgreSQL)"), NULL, 10);
    return major > 0 && major < 1000 ? (int)major : 0;
}

/*
 * Debian's /usr/bin/pg_dump is a Perl script that starts one of those in /usr/lib/postgresql, which
 * are looked at anyway: it would only cost time, twice for each call.
 */
static bool
is_debian_wrapper(const char *path)
{
    char *real = realpath(path, NULL);
    bool is_wrapper = real != NULL && strstr(real, "/postgresql-common/pg_wrapper") != NULL;

    free(real);
    return is_wrapper;
}

/* Its major, 0 when it is not there or not what it should be. */
static int
probe(const char *path)
{
    const char *argv[] = {path, "--version", NULL};
    struct ph_error ignored;
    struct ph_buf out;
    int major = 0;

    if (access(path, X_OK) != 0 || is_debian_wrapper(path))
        return 0;
    ph_buf_init(&out, 4096);
    ph_error_reset(&ignored);
    if (ph_tool_run(&(struct ph_tool_run){.argv = argv, .out = &out}, &ignored) == PH_OK)
        major = ph_tool_parse_version(ph_buf_text(&out));
    ph_buf_free(&out);
    return major;
}

struct search {
    const char *name;
    int min_major;
    int wanted_major;
    int newest; /* of all that were seen, suitable or not */
    struct ph_tool *out;
};

static void
consider(struct search *search, const char *path)
{
    struct ph_tool *best = search->out;

    if (best->major != 0 && best->major == search->wanted_major)
        return;
    int major = probe(path);
    if (major > search->newest)
        search->newest = major;
    if (major < search->min_major || major == 0)
        return;
    if (best->major != 0 && major != search->wanted_major && major <= best->major)
        return;
    snprintf(best->path, sizeof best->path, "%s", path);
    best->major = major;
}

static void
search_path(struct search *search)
{
    const char *path = getenv("PATH");
    char file[sizeof search->out->path];

    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");

        if (len > 0 && *path == '/' &&
            (size_t)snprintf(file, sizeof file, "%.*s/%s", (int)len, path, search->name) <
                sizeof file)
            consider(search, file);
        path += len;
        path += *path == ':';
    }
}

static void
search_installed(struct search *search)
{
    char pattern[128];
    glob_t found = {0};

    snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", search->name);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            consider(search, found.gl_pathv[i]);
    }
    globfree(&found);
}

ph_code
ph_tool_find(const char *name, int min_major, int wanted_major, struct ph_tool *out,
             struct ph_error *err)
{
    struct search search = {name, min_major, wanted_major, 0, out};

    *out = (struct ph_tool){0};
    search_path(&search);
    search_installed(&search);
    if (out->major != 0)
        return PH_OK;
    if (search.newest == 0) {
        PH_FAIL(err, PH_E_TOOL, "%s was not found on PATH nor in /usr/lib/postgresql", name);
    } else {
        PH_FAIL(err, PH_E_VERSION, "%s %d is too old: the source is version %d", name,
                search.newest, min_major);
    }
    ph_error_object(err, "%s", name);
    ph_error_hint(err,
                  "install %s of version %d or newer (Debian: postgresql-client-%d), or put "
                  "it on PATH",
                  name, min_major, min_major);
    return err != NULL ? err->code : PH_E_TOOL;
}

ph_code
ph_tool_sibling(const struct ph_tool *tool, const char *name, struct ph_tool *out,
                struct ph_error *err)
{
    const char *slash = strrchr(tool->path, '/');
    int len = slash != NULL ? (int)(slash - tool->path) : 0;

    *out = (struct ph_tool){0};
    if ((size_t)snprintf(out->path, sizeof out->path, "%.*s/%s", len, tool->path, name) <
        sizeof out->path)
        out->major = probe(out->path);
    if (out->major != tool->major)
        return PH_FAIL(err, PH_E_TOOL, "%s of version %d is missing beside %s", name, tool->major,
                       tool->path);
    return PH_OK;
}
