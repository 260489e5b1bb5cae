/*
 * Workers that apply disjoint sets of tables while the job is far behind (docs/decisions/0022): the
 * part of the ledger that says who does what. As pg/ledger.h: on the connection given, on its
 * thread; begin and end are transactions of their own, and durable.
 *
 * While there is a team each of its workers has a position, and worker 0, who is all there is
 * otherwise, has none: a session of a former run cannot go on as him. The target is no state that
 * the source had until all have come to one position, `meet`.
 */
#ifndef PH_PG_LEDGER_TEAM_H
#define PH_PG_LEDGER_TEAM_H

#include <stdint.h>

#include "base/arena.h"
#include "model/lsn.h"
#include "pg/conn.h"

#define PH_NO_WORKER UINT32_MAX /* of a table: none applies it */

struct ph_ledger_team {
    ph_lsn meet;         /* 0: there is none, and nothing below */
    uint32_t n_workers;  /* numbers 1 to this */
    ph_lsn *positions;   /* of number i + 1; in the arena */
    uint32_t *worker_of; /* of each table of the plan: a number, or PH_NO_WORKER; in the arena */
};

/* From worker 0's position on. PH_E_POSITION when that is not `position`, or there is a team. */
ph_code ph_ledger_begin_team(struct ph_conn *conn, const char *job,
                             const struct ph_ledger_team *team, uint32_t n_tables, ph_lsn position,
                             struct ph_error *err) PH_MUST_CHECK;
/* Whether there is one. */
ph_code ph_ledger_has_team(struct ph_conn *conn, const char *job, bool *has,
                           struct ph_error *err) PH_MUST_CHECK;
/*
 * As it is written down, with where each worker stands; waits for sessions of a former run that are
 * still committing. `n_tables` of the plan: those that came later are nobody's. PH_E_LEDGER when it
 * does not hold together.
 */
ph_code ph_ledger_load_team(struct ph_conn *conn, const char *job, uint32_t n_tables,
                            struct ph_arena *arena, struct ph_ledger_team *out,
                            struct ph_error *err) PH_MUST_CHECK;
/* They have met: worker 0 goes on from there. PH_E_LEDGER unless each stands at team->meet. */
ph_code ph_ledger_end_team(struct ph_conn *conn, const char *job, const struct ph_ledger_team *team,
                           struct ph_error *err) PH_MUST_CHECK;

#endif
