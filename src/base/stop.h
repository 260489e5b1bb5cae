/*
 * The wish to stop: set once by SIGINT, SIGTERM, SIGHUP or any thread, seen by everybody.
 *
 * Loops ask ph_stop_requested() between two steps; whoever sleeps in poll() adds ph_stop_fd(),
 * which becomes readable with the wish and stays so. Nothing here stops anything by itself: each
 * thread ends its step, leaves a state from which the same command goes on, and returns
 * PH_E_STOPPED.
 */
#ifndef PH_BASE_STOP_H
#define PH_BASE_STOP_H

#include <stdbool.h>

#include "base/error.h"

/*
 * Make the wake-up descriptor and catch SIGINT, SIGTERM and SIGHUP (unless that is ignored, as
 * nohup has it); SIGPIPE is ignored. Call once, before
 * other threads exist. A second SIGINT ends the process at once (its work is safe: it resumes).
 * PH_E_INTERNAL when the system refuses.
 */
ph_code ph_stop_init(struct ph_error *err);
/* Any thread; also from a signal handler. */
void ph_stop_request(void);
bool ph_stop_requested(void);
/* For poll() with POLLIN, never read from or closed; -1 before ph_stop_init. */
int ph_stop_fd(void);
/* The signal that asked, e.g. SIGINT; 0: none, or a thread asked. */
int ph_stop_signal(void);
/* Sleep for so long, or until a stop is wished: true when it is. Any thread. */
bool ph_stop_wait_ms(unsigned wait_ms);
/* Return PH_E_STOPPED with its message when a stop is wished, else PH_OK. */
ph_code ph_stop_check(struct ph_error *err);
/* Forget the wish and give the signals back their default meaning. Tests, one thread. */
void ph_stop_reset(void);

#endif
