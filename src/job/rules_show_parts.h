/* Inside job/rules_show*.c only. */
#ifndef PH_JOB_RULES_SHOW_PARTS_H
#define PH_JOB_RULES_SHOW_PARTS_H

#include "base/buf.h"
#include "job/job.h"

/* Rows of the source before and after the rules of each route. */
ph_code ph_rules_test(struct ph_job *job, struct ph_buf *out, struct ph_error *err) PH_MUST_CHECK;

/*
 * Append to `sql` what stands in FROM in the table's place: the rows of the file, under the table's
 * name alone. *n: how many. PH_E_USAGE, with file and line, when it cannot be read.
 */
ph_code ph_rules_put_file(const char *path, const struct ph_rel *rel, struct ph_buf *sql,
                          uint32_t *n, struct ph_error *err) PH_MUST_CHECK;

#endif
