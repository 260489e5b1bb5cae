/* Running commands under test. */
#include "support/run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
apply_env(const char *const *env)
{
    for (; env != NULL && *env != NULL; env++) {
        if (strchr(*env, '=') != NULL)
            putenv((char *)*env);
        else
            unsetenv(*env);
    }
}

static void
exec_command(const struct run *run, const char *const *env)
{
    const char *program = run->argv[0];
    int in = open("/dev/null", O_RDONLY);
    int out = open(run->out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(run->err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(in);
    close(out);
    close(err);
    apply_env(env);
    if (strcmp(program, "pghaul") == 0)
        program = getenv("PGHAUL_BIN");
    execvp(program != NULL ? program : "", (char *const *)run->argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", program != NULL ? program : "PGHAUL_BIN",
            strerror(errno));
    _exit(127);
}

struct run *
run_start(const char *const *env, const char *const *argv)
{
    struct run *run = scratch_keep(calloc(1, sizeof(*run)));
    const char *dir = scratch_new_dir("run");

    run->argv = argv;
    run->out_path = scratch_printf("%s/stdout", dir);
    run->err_path = scratch_printf("%s/stderr", dir);
    /* Made here, so that they can be read however early. */
    scratch_write(run->out_path, "");
    scratch_write(run->err_path, "");
    sql_let_go();
    run->pid = scratch_fork(SIGKILL);
    if (run->pid == 0)
        exec_command(run, env);
    return run;
}

struct run *
run_start_copy(const char *const *env, const char *const *argv)
{
    const char **copy;
    size_t count = 0;

    while (argv[count] != NULL)
        count++;
    copy = scratch_keep(calloc(count + 1, sizeof(*copy)));
    for (size_t i = 0; i < count; i++)
        copy[i] = scratch_printf("%s", argv[i]);
    return run_start(env, copy);
}

static double
cpu_seconds(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
           (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

/*
 * The largest resident size so far. What wait4 tells of it would count the children too, such as
 * the compiler, and what the test program itself had when it forked.
 */
static long
resident_peak_kb(pid_t pid)
{
    const char *path = scratch_printf("/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "r");
    char line[256];
    long kb = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "VmHWM: %ld kB", &kb) == 1)
            break;
    }
    if (file != NULL)
        fclose(file);
    return kb;
}

bool
run_alive(struct run *run)
{
    struct rusage usage;
    int status;

    if (run->pid == 0)
        return false;
    long peak_kb = resident_peak_kb(run->pid);
    if (peak_kb > run->memory_kb)
        run->memory_kb = peak_kb;
    if (wait4(run->pid, &status, WNOHANG, &usage) != run->pid)
        return true;
    run->pid = 0;
    run->code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    run->cpu_s = cpu_seconds(&usage);
    return false;
}

static bool
has_ended(void *arg)
{
    return !run_alive(arg);
}

static const char *
command_line(const struct run *run)
{
    const char *line = "";

    for (const char *const *arg = run->argv; *arg != NULL; arg++)
        line = scratch_printf("%s%s%s", line, line[0] != '\0' ? " " : "", *arg);
    return line;
}

int
run_wait(struct run *run, int deadline_ms)
{
    if (!scratch_wait(has_ended, run, deadline_ms)) {
        run_kill(run);
        fail_msg("%s\nstill ran after %d ms\n%s%s", command_line(run), deadline_ms, run_out(run),
                 run_err(run));
    }
    return run->code;
}

void
run_signal(struct run *run, int number)
{
    if (run_alive(run))
        kill(run->pid, number);
}

void
run_kill(struct run *run)
{
    run_signal(run, SIGKILL);
    scratch_wait(has_ended, run, RUN_DEADLINE_MS);
}

void
run_expect(struct run *run, int code)
{
    if (run_wait(run, RUN_DEADLINE_MS) == code)
        return;
    fprintf(stderr, "%s%s", run_out(run), run_err(run)); /* cmocka cuts what is long */
    fail_msg("%s\nexit code %d, expected %d", command_line(run), run->code, code);
}

void
run_expect_memory(const struct run *run, long limit_kb)
{
    fprintf(stderr, "  memory: %ld kB of %ld\n", run->memory_kb, limit_kb);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (run->memory_kb <= 0 || run->memory_kb > limit_kb)
        fail_msg("%s\nneeded %ld kB, more than %ld", command_line(run), run->memory_kb, limit_kb);
#endif
}

const char *
run_out(const struct run *run)
{
    return scratch_read(run->out_path);
}

const char *
run_err(const struct run *run)
{
    return scratch_read(run->err_path);
}

struct awaited {
    struct run *run;
    const char *text;
};

static bool
has_said(void *arg)
{
    const struct awaited *awaited = arg;
    bool ended = !run_alive(awaited->run);

    if (strstr(run_out(awaited->run), awaited->text) != NULL ||
        strstr(run_err(awaited->run), awaited->text) != NULL)
        return true;
    if (ended)
        fail_msg("%s\nended (%d) without saying: %s\n%s%s", command_line(awaited->run),
                 awaited->run->code, awaited->text, run_out(awaited->run), run_err(awaited->run));
    return false;
}

void
run_wait_output(struct run *run, const char *text, int deadline_ms)
{
    struct awaited awaited = {run, text};

    if (!scratch_wait(has_said, &awaited, deadline_ms))
        fail_msg("%s\ndid not say in %d ms: %s\n%s%s", command_line(run), deadline_ms, text,
                 run_out(run), run_err(run));
}

struct run *
run_pghaul_args(const char *const *env, const char *const *argv)
{
    struct run *run = run_start_copy(env, argv);

    run_wait(run, RUN_DEADLINE_MS);
    return run;
}
