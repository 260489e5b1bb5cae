/*
 * The scratch directory of a test program, what is kept until its end, and waiting.
 *
 * Everything here and in the other headers of this folder is for the main thread only: processes
 * die with the thread that forked them (PR_SET_PDEATHSIG). On failure all of it fails the running
 * cmocka test or fixture and does not return.
 */
#ifndef PH_TEST_SCRATCH_H
#define PH_TEST_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * The directory of this test program, made at the first call, mode 0755. It goes away with the
 * program however that ends, SIGKILL included: a guardian process sees to it.
 */
const char *scratch_dir(void);

/* A new empty directory under it, mode 0700. */
const char *scratch_new_dir(const char *name);

/* Writes a file and returns its path. A relative name lies in the scratch directory. */
const char *scratch_write(const char *name, const char *text);

/* printf into a string that lives until the program ends. */
const char *scratch_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The file's whole text, which lives until the program ends. */
const char *scratch_read(const char *path);

/* Hands memory from malloc over: it is freed when the program ends. Returns it. */
void *scratch_keep(void *memory);

/* Runs at the end of the program, before the scratch directory goes. At most 16 of them. */
void scratch_at_end(void (*hook)(void));

/* Removes a directory and all in it; no error when it is not there. */
void scratch_remove(const char *path);

/*
 * Calls `ready` every few milliseconds until it says true; false after deadline_ms. Deadlines are
 * ten times as long under sanitizers.
 */
bool scratch_wait(bool (*ready)(void *arg), void *arg, int deadline_ms);

/* Whether a process has ended; one that nobody has waited for yet has. */
bool scratch_gone(pid_t pid);

/* Whether scripts/test-long runs this: what is tried again and again is tried more often then. */
bool scratch_is_long(void);

/*
 * Forks. The child, which is to exec at once, gets `death_signal` when this program dies.
 * Never fails in the child; returns 0 there.
 */
pid_t scratch_fork(int death_signal);

/* In a child: becomes the user that servers run as (`postgres` when root, else no change). */
void scratch_become_server_user(int death_signal);

/* The uid and gid of that user, as far as it differs from ours; otherwise our own. */
void scratch_server_user(uid_t *uid, gid_t *gid);

#endif
