/*
 * Failpoints: named places where a test can make the process die, fail or wait.
 *
 * PGHAUL_FAILPOINT="name=action[@N]" (comma-separated): action is `kill` (SIGKILL to itself),
 * `error` (PH_FAILPOINT_ERROR is true), `hold:FILE` (makes FILE.here, waits until there is a FILE;
 * ten minutes at most), or `sleep:MS`. @N: at the Nth passage (default the first).
 * Compiled out without PH_FAILPOINTS. The list of names is scripts/failpoints' output (a grep).
 */
#ifndef PH_BASE_FAILPOINT_H
#define PH_BASE_FAILPOINT_H

#include <stdbool.h>

#ifdef PH_FAILPOINTS
/* Any thread. True: the caller is to fail here. */
bool ph_failpoint_hit(const char *name);
#define PH_FAILPOINT(name) ((void)ph_failpoint_hit(#name))
#define PH_FAILPOINT_ERROR(name) ph_failpoint_hit(#name)
#else
#define PH_FAILPOINT(name) ((void)0)
#define PH_FAILPOINT_ERROR(name) false
#endif

#endif
