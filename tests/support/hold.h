/*
 * Runs that are held at a failpoint while the test does something.
 *
 *     db.env = hold_at("before_restore");
 *     run = ...;
 *     hold_wait(run);      it is there
 *     hold_release();      it may go on
 */
#ifndef PH_TEST_HOLD_H
#define PH_TEST_HOLD_H

#include "support/run.h"

/*
 * The environment of the next run, which lives until the program ends. Who else comes to the
 * failpoint, and later passages, are not held. One hold at a time.
 */
const char *const *hold_at(const char *failpoint);

/* The same for the Nth passage. */
const char *const *hold_at_passage(const char *failpoint, int passage);

/* Waits until the run has come there; fails when it ended without. */
void hold_wait(struct run *run);

void hold_release(void);

#endif
