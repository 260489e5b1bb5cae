/*
 * `pghaul verify --leak-scan`: whether the target holds values that masks should have hidden.
 *
 * Values of every masked column are taken from the source, as many as were asked for, and looked
 * for in all tables of the target, also in those that the job knows nothing of. Both are done here
 * and not by the servers: the source sends the masked columns once, the target the columns that can
 * hold such a value, each statement under a snapshot of its own, and nothing is written anywhere,
 * no temporary table either. A column that masks make and that the rows' proof found equal holds
 * what masks give and is not searched: equal values there are chance.
 */
#ifndef PH_JOB_LEAK_SCAN_H
#define PH_JOB_LEAK_SCAN_H

#include "job/verify_parts.h"

/* Before anything is compared: PH_E_USAGE when no rule of the job masks anything. */
ph_code ph_leak_check(const struct ph_verify *verify, struct ph_error *err) PH_MUST_CHECK;
/* After the rows were compared. Counts what it found in verify->leaks. */
ph_code ph_leak_scan(struct ph_verify *verify, struct ph_error *err) PH_MUST_CHECK;

#endif
