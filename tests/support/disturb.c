#include "support/disturb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LONGEST_AWAY_MS 400u
#define REAPED_MS 20000

static void
crash_server(struct pg_test_cluster *cluster, unsigned choice)
{
    struct timespec away = {0, (long)(choice * 97 % LONGEST_AWAY_MS) * 1000000};

    pg_test_cluster_kill(cluster);
    nanosleep(&away, NULL);
    pg_test_cluster_start(cluster);
}

/* Their kinds (what they are for is the last word of their names) in turn, then any of that kind.
 */
static const char some_session[] =
    "WITH s AS (SELECT pid, substring(application_name from '[^ ]+$') AS kind FROM pg_stat_activity"
    " WHERE application_name LIKE 'pghaul%%' OR application_name = 'pg_dump'),"
    " k AS (SELECT kind, row_number() OVER (ORDER BY kind) - 1 AS nr, count(*) OVER () AS n FROM s"
    " GROUP BY kind)"
    " SELECT pid || ' ' || kind FROM s JOIN k USING (kind)"
    " ORDER BY nr <> %u %% n, hashtext(pid || '%u') LIMIT 1";

/* "" when there is none. */
static const char *
pick_session(const struct pg_test_cluster *cluster, unsigned choice)
{
    const char *found = sql_once(cluster, "postgres", scratch_printf(some_session, choice, choice));

    if (found[0] != '\0')
        print_message("    %s", found);
    return found;
}

static void
end_session(const struct pg_test_cluster *cluster, unsigned choice)
{
    sql_once(cluster, "postgres",
             scratch_printf("SELECT pg_terminate_backend(%ld)",
                            strtol(pick_session(cluster, choice), NULL, 10)));
}

static bool
is_reaped(void *arg)
{
    return kill((pid_t)(intptr_t)arg, 0) != 0;
}

/*
 * Once its postmaster has reaped the process it takes nobody before it has recovered. The server's
 * list of sessions would not say: one that was killed while it ended is no longer there.
 */
static void
kill_session(const struct pg_test_cluster *cluster, unsigned choice)
{
    pid_t pid = (pid_t)strtol(pick_session(cluster, choice), NULL, 10);

    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    assert_true(scratch_wait(is_reaped, (void *)(intptr_t)pid, REAPED_MS));
    PQfinish(sql_connect(cluster, "postgres"));
}

static void
kill_holder(const struct disturb *where)
{
    const char *pid = "";

    if (strcmp(sql_once(where->dst, where->dst_db, "SELECT to_regclass('pghaul.epoch') IS NULL"),
               "f\n") == 0)
        pid = sql_once(where->dst, where->dst_db,
                       "SELECT holder_pid FROM pghaul.epoch ORDER BY epoch DESC LIMIT 1");
    if (strtol(pid, NULL, 10) > 0)
        kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
}

const char *
disturb_name(enum disturbance what)
{
    static const char *const names[DISTURBANCES] = {
        "kill pghaul",         "stop pghaul",        "kill holder",        "crash target",
        "kill target session", "end target session", "end source session", "crash source",
        "kill source session", "restart target",     "restart source",
    };

    return names[what];
}

void
disturb(enum disturbance what, const struct disturb *where)
{
    switch (what) {
    case DISTURB_KILL_PGHAUL:
        run_kill(where->run);
        break;
    case DISTURB_STOP_PGHAUL:
        run_signal(where->run, SIGTERM);
        break;
    case DISTURB_KILL_HOLDER:
        kill_holder(where);
        break;
    case DISTURB_CRASH_TARGET:
        crash_server(where->dst, where->choice);
        break;
    case DISTURB_KILL_TARGET_SESSION:
        kill_session(where->dst, where->choice);
        break;
    case DISTURB_END_TARGET_SESSION:
        end_session(where->dst, where->choice);
        break;
    case DISTURB_END_SOURCE_SESSION:
        end_session(where->src, where->choice);
        break;
    case DISTURB_CRASH_SOURCE:
        crash_server(where->src, where->choice);
        break;
    case DISTURB_KILL_SOURCE_SESSION:
        kill_session(where->src, where->choice);
        break;
    case DISTURB_RESTART_TARGET:
        pg_test_cluster_restart(where->dst);
        break;
    case DISTURB_RESTART_SOURCE:
        pg_test_cluster_restart(where->src);
        break;
    case DISTURBANCES:
        break;
    }
}

bool
disturb_may_go_on(const struct run *run)
{
    /* SIGTERM ends what has only just been started, and has not begun to listen */
    return run->code == 5 || run->code == -SIGKILL || run->code == -SIGTERM ||
           (run->code == 3 && strstr(run_err(run), "PH-CONNECT") != NULL);
}
