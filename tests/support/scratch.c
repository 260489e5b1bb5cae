/*
 * Scratch directory, kept memory and process lifetimes of a test program.
 *
 * A test may end by return, by exit, by a crash or by ctest's SIGKILL at the timeout. In each case
 * its servers must go and its directory too, or a few red runs fill the machine. Servers carry a
 * parent death signal. The directory is removed by a guardian: a forked process that sleeps until
 * its own death signal, waits for the servers in the directory to be gone, and removes it.
 * Rejected: signal handlers in the test, which SIGKILL does not ask.
 */
#include "support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHORTEST_PAUSE_MS 10
#define LONGEST_PAUSE_MS 30
#define LONGEST_LOOK_MS 200L

#define HOOKS_MAX 16
#define SERVERS_MAX 16
#define SERVER_END_MS 20000

struct kept {
    struct kept *next;
    void *memory;
};

static struct {
    char dir[64];
    pid_t owner;
    pid_t guardian;
    struct kept *kept;
    void (*hooks[HOOKS_MAX])(void);
    int hook_count;
} scratch;

static void
sleep_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static long
now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
scratch_gone(pid_t pid)
{
    char path[64];
    char state = 'Z';
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (file == NULL)
        return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'Z';
    fclose(file);
    return state == 'Z' || state == 'X';
}

static int
remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    remove(path);
    return 0;
}

void
scratch_remove(const char *path)
{
    nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS);
}

/* Keeps the pids of the servers that still run under the scratch directory: its postmaster.pid
 * files. */
static pid_t found_servers[SERVERS_MAX];
static int found_count;

static int
note_server(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    FILE *file;
    int pid;

    (void)st;
    if (kind != FTW_F || strcmp(path + ftw->base, "postmaster.pid") != 0)
        return 0;
    file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &pid) == 1 && pid > 1 && found_count < SERVERS_MAX)
        found_servers[found_count++] = pid;
    fclose(file);
    return 0;
}

static void
wait_for_servers(void)
{
    long end = now_ms() + SERVER_END_MS;

    found_count = 0;
    nftw(scratch.dir, note_server, 32, FTW_PHYS);
    for (int i = 0; i < found_count; i++) {
        while (!scratch_gone(found_servers[i]) && now_ms() < end)
            sleep_ms(10);
    }
}

static void
guard(void)
{
    sigset_t wanted;
    int number;
    int null = open("/dev/null", O_RDWR);

    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGUSR1);
    while (getppid() == scratch.owner && sigwait(&wanted, &number) != 0)
        continue;
    wait_for_servers();
    scratch_remove(scratch.dir);
    _exit(0);
}

static void
start_guardian(void)
{
    sigset_t block;
    sigset_t before;

    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, &before);
    scratch.guardian = scratch_fork(SIGUSR1);
    if (scratch.guardian == 0) {
        signal(SIGINT, SIG_IGN);
        signal(SIGTERM, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        guard();
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void
end_program(void)
{
    if (getpid() != scratch.owner)
        return;
    while (scratch.hook_count > 0)
        scratch.hooks[--scratch.hook_count]();
    if (scratch.guardian > 0) {
        kill(scratch.guardian, SIGUSR1);
        waitpid(scratch.guardian, NULL, 0);
    }
    while (scratch.kept != NULL) {
        struct kept *kept = scratch.kept;

        scratch.kept = kept->next;
        free(kept->memory);
        free(kept);
    }
}

static void
own_program(void)
{
    if (scratch.owner == 0) {
        scratch.owner = getpid();
        atexit(end_program);
    }
}

const char *
scratch_dir(void)
{
    const char *parent = getenv("TMPDIR");

    if (scratch.dir[0] != '\0')
        return scratch.dir;
    /* The path of a unix socket has to fit in 107 bytes. */
    if (parent == NULL || strlen(parent) > 24)
        parent = "/tmp";
    snprintf(scratch.dir, sizeof(scratch.dir), "%s/pghaul-test-XXXXXX", parent);
    if (mkdtemp(scratch.dir) == NULL || chmod(scratch.dir, 0755) != 0)
        fail_msg("cannot make %s: %s", scratch.dir, strerror(errno));
    own_program();
    start_guardian();
    return scratch.dir;
}

const char *
scratch_new_dir(const char *name)
{
    const char *path = scratch_printf("%s/%s-XXXXXX", scratch_dir(), name);

    if (mkdtemp((char *)path) == NULL)
        fail_msg("cannot make %s: %s", path, strerror(errno));
    return path;
}

const char *
scratch_write(const char *name, const char *text)
{
    const char *path = name[0] == '/' ? name : scratch_printf("%s/%s", scratch_dir(), name);
    FILE *file = fopen(path, "w");

    if (file == NULL)
        fail_msg("cannot write %s: %s", path, strerror(errno));
    fputs(text, file);
    if (fclose(file) != 0)
        fail_msg("cannot write %s: %s", path, strerror(errno));
    return path;
}

void *
scratch_keep(void *memory)
{
    struct kept *kept = malloc(sizeof(*kept));

    if (kept == NULL || memory == NULL)
        fail_msg("out of memory");
    own_program();
    kept->next = scratch.kept;
    kept->memory = memory;
    scratch.kept = kept;
    return memory;
}

const char *
scratch_printf(const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    return scratch_keep(text);
}

const char *
scratch_read(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t room = 0;

    if (file == NULL)
        fail_msg("cannot read %s: %s", path, strerror(errno));
    /* A delimiter that text does not hold makes getdelim read to the end. */
    if (getdelim(&text, &room, '\0', file) < 0) {
        free(text);
        text = strdup("");
    }
    fclose(file);
    return scratch_keep(text);
}

void
scratch_at_end(void (*hook)(void))
{
    own_program();
    if (scratch.hook_count == HOOKS_MAX)
        fail_msg("more than %d hooks", HOOKS_MAX);
    scratch.hooks[scratch.hook_count++] = hook;
}

bool
scratch_wait(bool (*ready)(void *arg), void *arg, int deadline_ms)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    long left = deadline_ms * 10L;
#else
    long left = deadline_ms;
#endif
    long last = now_ms();
    int pause = SHORTEST_PAUSE_MS;

    while (!ready(arg)) {
        if (left <= 0)
            return false;
        sleep_ms(pause); /* looking costs the server something, too */
        pause += pause < LONGEST_PAUSE_MS;
        long now = now_ms();
        /* a machine that stood still, or had no time for us, had none for what is awaited either */
        left -= now - last < LONGEST_LOOK_MS ? now - last : LONGEST_LOOK_MS;
        last = now;
    }
    return true;
}

bool
scratch_is_long(void)
{
    return getenv("PH_TEST_LONG") != NULL;
}

pid_t
scratch_fork(int death_signal)
{
    pid_t parent = getpid();
    pid_t child;

    fflush(NULL);
    child = fork();
    if (child < 0)
        fail_msg("fork: %s", strerror(errno));
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent)
            raise(death_signal);
    }
    return child;
}

void
scratch_server_user(uid_t *uid, gid_t *gid)
{
    const struct passwd *user;

    *uid = geteuid();
    *gid = getegid();
    if (*uid != 0)
        return;
    user = getpwnam("postgres");
    if (user == NULL)
        fail_msg("root cannot run a server and there is no user postgres");
    *uid = user->pw_uid;
    *gid = user->pw_gid;
}

void
scratch_become_server_user(int death_signal)
{
    uid_t uid;
    gid_t gid;

    if (geteuid() != 0)
        return;
    scratch_server_user(&uid, &gid);
    if (initgroups("postgres", gid) != 0 || setgid(gid) != 0 || setuid(uid) != 0 || chdir("/") != 0)
        _exit(126);
    /* A change of user clears the death signal. */
    prctl(PR_SET_PDEATHSIG, death_signal);
    if (getppid() == 1)
        _exit(126);
}
