#include "base/failpoint.h"

#ifdef PH_FAILPOINTS

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Test-only state, written down in docs/shared-state.md: how often each armed point was passed. */
#define MAX_POINTS 16
#define HOLD_LOOK_MS 5
#define LONGEST_HOLD_MS 600000
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const char *name;
    unsigned passed;
} counts[MAX_POINTS];

static unsigned
count_passage(const char *name)
{
    unsigned passed = 0;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAX_POINTS; i++) {
        if (counts[i].name == NULL)
            counts[i].name = name;
        if (strcmp(counts[i].name, name) == 0) {
            passed = ++counts[i].passed;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return passed;
}

static void
rest(long ms)
{
    struct timespec pause = {ms / 1000, (ms % 1000) * 1000000};

    nanosleep(&pause, NULL);
}

/* The test sees that we are here, does what it has to, and lets us go on. */
static void
hold(const char *file, size_t len)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%.*s.here", (int)len, file);
    int fd = open(path, O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    (void)snprintf(path, sizeof path, "%.*s", (int)len, file);
    for (long ms = 0; access(path, F_OK) != 0 && ms < LONGEST_HOLD_MS; ms += HOLD_LOOK_MS)
        rest(HOLD_LOOK_MS);
}

static bool
act(const char *action, size_t len)
{
    if (strncmp(action, "kill", 4) == 0)
        kill(getpid(), SIGKILL);
    if (len > 6 && strncmp(action, "sleep:", 6) == 0)
        rest(strtol(action + 6, NULL, 10));
    if (len > 5 && strncmp(action, "hold:", 5) == 0)
        hold(action + 5, len - 5);
    return strncmp(action, "error", 5) == 0;
}

bool
ph_failpoint_hit(const char *name)
{
    const char *armed = getenv("PGHAUL_FAILPOINT");
    size_t name_len = strlen(name);

    for (const char *at = armed; at != NULL && *at != '\0';) {
        size_t len = strcspn(at, ",");
        if (len > name_len && at[name_len] == '=' && strncmp(at, name, name_len) == 0) {
            const char *action = at + name_len + 1;
            size_t action_len = len - name_len - 1;
            const char *nth = memchr(action, '@', action_len);
            unsigned want = nth == NULL ? 1 : (unsigned)strtoul(nth + 1, NULL, 10);
            if (nth != NULL)
                action_len = (size_t)(nth - action);
            return count_passage(name) == want && act(action, action_len);
        }
        at += len;
        at += *at == ',';
    }
    return false;
}

#else
/* ISO C wants something in every translation unit. */
typedef int ph_failpoint_compiled_out;
#endif
