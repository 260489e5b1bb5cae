/* Runs that are held at a failpoint. */
#include "support/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <unistd.h>

static const char *file; /* whose existence ends the hold */

const char *const *
hold_at(const char *failpoint)
{
    return hold_at_passage(failpoint, 1);
}

const char *const *
hold_at_passage(const char *failpoint, int passage)
{
    static const char *env[2];

    file = scratch_printf("%s/go", scratch_new_dir("hold"));
    env[0] = scratch_printf("PGHAUL_FAILPOINT=%s=hold:%s@%d", failpoint, file, passage);
    return env;
}

static bool
is_here_or_over(void *arg)
{
    return access(scratch_printf("%s.here", file), F_OK) == 0 || !run_alive(arg);
}

void
hold_wait(struct run *run)
{
    if (!scratch_wait(is_here_or_over, run, RUN_DEADLINE_MS) || !run_alive(run))
        fail_msg("it did not come to its failpoint\n%s%s", run_out(run), run_err(run));
}

void
hold_release(void)
{
    (void)scratch_write(file, "");
}
