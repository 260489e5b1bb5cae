/*
 * Running pghaul and other commands.
 *
 * Output goes to files in the scratch directory, so that a command never waits for its reader and
 * its words so far can be read while it runs. Commands die with the test program.
 */
#ifndef PH_TEST_RUN_H
#define PH_TEST_RUN_H

#include <stdbool.h>
#include <sys/types.h>

/* Fields are for reading only. Freed when the program ends. */
struct run {
    const char *const *argv;
    const char *out_path;
    const char *err_path;
    pid_t pid;      /* 0 once it has ended and was waited for */
    int code;       /* exit code, or minus the signal that ended it */
    long memory_kb; /* the largest resident size it had, without its children */
    double cpu_s;   /* user and system time */
};

/* Long enough for any command of a test that is not stuck. */
#define RUN_DEADLINE_MS 120000

/*
 * Starts a command in the background. `argv` ends with NULL and has to live as long as the run;
 * argv[0] "pghaul" stands for the binary under test (environment PGHAUL_BIN). `env`, which may be
 * NULL, lists "NAME=value" to set and "NAME" to unset.
 */
struct run *run_start(const char *const *env, const char *const *argv);

/* Whether it still runs. */
bool run_alive(struct run *run);

/* Waits for its end and returns `code`; kills it and fails the test after deadline_ms. */
int run_wait(struct run *run, int deadline_ms);

/* Sends a signal, if it still runs. */
void run_signal(struct run *run, int number);

/* SIGKILL, and waits until it is gone. */
void run_kill(struct run *run);

/* Waits for the end; fails the test, showing all output, when the exit code is another. */
void run_expect(struct run *run, int code);

/*
 * What it had resident stayed within that. Said, but not asked of a build for the sanitizers, whose
 * memory is not ours.
 */
void run_expect_memory(const struct run *run, long limit_kb);

/* Waits until `text` has come out on stdout or stderr; fails when the command ended without. */
void run_wait_output(struct run *run, const char *text, int deadline_ms);

/* What it has written so far. */
const char *run_out(const struct run *run);
const char *run_err(const struct run *run);

/* run_pghaul("copy", "--source", src, ...): runs it to its end; the caller looks at `code`. */
#define run_pghaul(...) run_pghaul_args(NULL, (const char *const[]){"pghaul", __VA_ARGS__, NULL})

/* The same with an environment: run_pghaul_env(env, "copy", ...). */
#define run_pghaul_env(env, ...)                                                                   \
    run_pghaul_args(env, (const char *const[]){"pghaul", __VA_ARGS__, NULL})

/* start_pghaul(env, "copy", ...): starts it in the background. */
#define start_pghaul(env, ...)                                                                     \
    run_start_copy(env, (const char *const[]){"pghaul", __VA_ARGS__, NULL})

struct run *run_pghaul_args(const char *const *env, const char *const *argv);

/* run_start with a copy of argv, for an argv that does not live long. */
struct run *run_start_copy(const char *const *env, const char *const *argv);

#endif
