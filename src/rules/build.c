/*
 * From C to a shared object with the system's compiler: no shell, everything in a folder of our
 * own, the result renamed into place when it is whole, so that two runs at a time do no harm. The
 * interface's header is in the binary (rule_header.c, made by CMake): nothing has to be installed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/stop.h"
#include "rules/rule_header.h"
#include "rules/ruleset_parts.h"

#define SAID_MAX 700
#define POLL_MS 100
#define FINGERPRINT_LEN 32u
#define HEADER_FOLDER "pghaul" /* as in #include <pghaul/rule.h> */
/* Above that much C, functions stay what they are: 2,000 columns with a map compile in 1.3 instead
 * of 2.3 seconds, and a map costs a call more. -O1 with inlining takes longer than -O2. */
#define LARGE_CODE_BYTES ((size_t)512 << 10)

extern char **environ;

static ph_code
fail_at(const char *what, const char *path, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_COMPILER, "%s %s: %s", what, path, strerror(errno));
}

static ph_code
make_folder(const char *path, struct ph_error *err)
{
    struct stat is;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return fail_at("cannot make the folder", path, err);
    if (lstat(path, &is) != 0)
        return fail_at("cannot look at", path, err);
    if (!S_ISDIR(is.st_mode) || is.st_uid != geteuid() || (is.st_mode & 022) != 0) {
        PH_FAIL(err, PH_E_COMPILER,
                "%s must be a folder of this user that nobody else can write to", path);
        ph_error_hint(err, "chmod 700 it when it is yours, or name another one with --dir");
        return PH_E_COMPILER;
    }
    return PH_OK;
}

static ph_code
write_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return PH_E_COMPILER;
        at += n;
        len -= (size_t)n;
    }
    return PH_OK;
}

/* Written beside it and renamed: whoever reads it sees all of it. */
static ph_code
write_file(const char *path, const void *data, size_t len, struct ph_error *err)
{
    char temporary[4096];
    int n = snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());

    if (n < 0 || (size_t)n >= sizeof temporary)
        return PH_FAIL(err, PH_E_COMPILER, "the path is too long: %s", path);
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail_at("cannot write", temporary, err);
    ph_code rc = write_all(fd, data, len);
    if (close(fd) != 0 || rc != PH_OK || rename(temporary, path) != 0) {
        rc = fail_at("cannot write", path, err);
        (void)unlink(temporary);
    }
    return rc;
}

/* ---- the compiler ---- */

static int
spawn(const char *const *argv, int said, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    sigset_t all;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, said, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                        POSIX_SPAWN_SETPGROUP);
    int rc = posix_spawnp(pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    return rc;
}

/* The beginning of what it says; the rest is read and forgotten. */
static void
listen_to(int fd, pid_t pid, char said[SAID_MAX + 1])
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    char rest[4096];

    for (;;) {
        if (ph_stop_requested())
            (void)kill(-pid, SIGTERM);
        if (poll(&wait, 1, POLL_MS) <= 0)
            continue;
        ssize_t n = read(fd, rest, sizeof rest);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        size_t kept = (size_t)n < SAID_MAX - len ? (size_t)n : SAID_MAX - len;
        memcpy(said + len, rest, kept);
        len += kept;
    }
    said[len] = '\0';
}

static ph_code
run_compiler(const char *const *argv, struct ph_error *err)
{
    char said[SAID_MAX + 1];
    int ends[2];
    pid_t pid;
    int status = 0;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return PH_FAIL(err, PH_E_COMPILER, "no pipe for the compiler: %s", strerror(errno));
    int rc = spawn(argv, ends[1], &pid);
    close(ends[1]);
    if (rc != 0) {
        close(ends[0]);
        return PH_FAIL(err, PH_E_COMPILER, "no compiler: %s: %s", argv[0], strerror(rc));
    }
    listen_to(ends[0], pid, said);
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (ph_stop_requested())
        return PH_FAIL(err, PH_E_STOPPED, "stopped while the rules were compiled");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return PH_FAIL(err, PH_E_COMPILER, "%s failed: %s", argv[0],
                       said[0] != '\0' ? said : "it said nothing");
    return PH_OK;
}

static ph_code
compile(const char *dir, const char *source, const char *object, size_t code_bytes,
        struct ph_error *err)
{
    const char *argv[] = {"cc",
                          "-O2",
                          "-std=gnu11",
                          "-shared",
                          "-fPIC",
                          "-fvisibility=default",
                          "-w",
                          "-I",
                          dir,
                          "-o",
                          object,
                          source,
                          code_bytes > LARGE_CODE_BYTES ? "-fno-inline" : NULL,
                          NULL};

    (void)unlink(object);
    return run_compiler(argv, err);
}

ph_code
ph_rules_temporary_folder(char *path, size_t size, struct ph_error *err)
{
    const char *base = getenv("TMPDIR");
    int n = snprintf(path, size, "%s/pghaul-rules.XXXXXX",
                     base != NULL && base[0] == '/' ? base : "/tmp");

    if (n < 0 || (size_t)n >= size)
        return PH_FAIL(err, PH_E_COMPILER, "the path is too long: %s", base);
    if (mkdtemp(path) == NULL) {
        fail_at("cannot make the folder", path, err);
        ph_error_hint(err, "name a folder that can be written to in TMPDIR");
        return PH_E_COMPILER;
    }
    return PH_OK;
}

/* "FINGERPRINT.so", and what a run that was killed has left: "FINGERPRINT.PID.c" and the like. */
static bool
is_made_here(const char *name)
{
    size_t len = strlen(name);

    return strspn(name, "0123456789abcdef") == FINGERPRINT_LEN && name[FINGERPRINT_LEN] == '.' &&
           (strcmp(name + len - 2, ".c") == 0 || strcmp(name + len - 3, ".so") == 0);
}

void
ph_rules_clear_folder(const char *path)
{
    char header[4096];
    struct dirent *entry;
    DIR *dir = opendir(path);

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (is_made_here(entry->d_name))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    if (snprintf(header, sizeof header, "%s/" HEADER_FOLDER "/rule.h", path) >= (int)sizeof header)
        return;
    (void)unlink(header);
    *strrchr(header, '/') = '\0';
    (void)rmdir(header);
}

ph_code
ph_rules_write_code(const char *path, const struct ph_buf *code, struct ph_error *err)
{
    return write_file(path, code->data, code->len, err);
}

ph_code
ph_rules_cached(const char *dir, const char *fingerprint, char *path, size_t size)
{
    int n = snprintf(path, size, "%s/%s.so", dir, fingerprint);

    return n < 0 || (size_t)n >= size ? PH_E_COMPILER : PH_OK;
}

ph_code
ph_rules_build(const struct ph_build_params *params, char *path, size_t size, struct ph_error *err)
{
    char folder[4096];
    char file[4096];
    char temporary[4096];
    const char *target = params->output;

    if (target == NULL) {
        if (ph_rules_cached(params->dir, params->fingerprint, path, size) != PH_OK)
            return PH_FAIL(err, PH_E_COMPILER, "the path is too long: %s", params->dir);
        target = path;
    }
    PH_TRY(make_folder(params->dir, err));
    snprintf(folder, sizeof folder, "%s/" HEADER_FOLDER, params->dir);
    PH_TRY(make_folder(folder, err));
    if (snprintf(file, sizeof file, "%s/rule.h", folder) >= (int)sizeof file ||
        snprintf(temporary, sizeof temporary, "%s.%d.so", target, (int)getpid()) >=
            (int)sizeof temporary)
        return PH_FAIL(err, PH_E_COMPILER, "the path is too long: %s", params->dir);
    PH_TRY(write_file(file, ph_rule_header, ph_rule_header_len, err));
    if (snprintf(file, sizeof file, "%s/%s.%d.c", params->dir, params->fingerprint,
                 (int)getpid()) >= (int)sizeof file)
        return PH_FAIL(err, PH_E_COMPILER, "the path is too long: %s", params->dir);
    PH_TRY(write_file(file, params->code->data, params->code->len, err));
    ph_code rc = compile(params->dir, file, temporary, params->code->len, err);
    if (rc == PH_OK && (chmod(temporary, 0700) != 0 || rename(temporary, target) != 0))
        rc = fail_at("cannot write", target, err);
    (void)unlink(file);
    if (rc != PH_OK)
        (void)unlink(temporary);
    return rc;
}
