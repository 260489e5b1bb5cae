/*
 * Where to start receiving, and whether it may be: the rules that keep a gap from going unnoticed.
 * A server leaves out silently what lies before the slot's position, whatever start it is told.
 * Pure, any thread.
 */
#ifndef PH_SPOOL_START_H
#define PH_SPOOL_START_H

#include "spool/spool.h"

/*
 * `confirmed`: the slot's confirmed_flush_lsn, while nobody uses the slot; `applied`: the ledger's
 * position. After ph_spool_open or ph_spool_end_session. `*start`: the larger of the spool's
 * durable end and `applied`, for START_REPLICATION and the session. PH_E_GAP: transactions are
 * neither here, nor in the target, nor will they come.
 */
ph_code ph_spool_start(const struct ph_spool_positions *spool, ph_lsn confirmed, ph_lsn applied,
                       ph_lsn *start, struct ph_error *err) PH_MUST_CHECK;

#endif
