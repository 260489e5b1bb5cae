/* A standby of a source, from PostgreSQL 17 on, that keeps its failover slots in step. */
#ifndef PH_TEST_STANDBY_H
#define PH_TEST_STANDBY_H

#include "support/pgcluster.h"

#include <stdbool.h>

/* Restarts the primary, which gets a slot `physical` that the standby uses. */
struct pg_test_cluster *standby_new(struct pg_test_cluster *primary);

/* Whether it has so many slots that would outlive a promotion. */
bool standby_has_slots(const struct pg_test_cluster *standby, int n);

/* The primary is killed, the standby takes its place. */
void standby_promote(struct pg_test_cluster *primary, struct pg_test_cluster *standby);

#endif
