/*
 * What of a target acts by itself on rows that are written: triggers that would fire, and rules
 * that would rewrite statements (COPY asks none of them, but changes and repairs come as
 * statements). Each is on its own, also of partitions, so that every one gets its very state back.
 */
#ifndef PH_JOB_ACTING_H
#define PH_JOB_ACTING_H

#include "pg/conn.h"

enum ph_acting_field {
    PH_ACTING_SUSPEND, /* the statement that has it rest */
    PH_ACTING_RESTORE, /* the one that gives it its state back */
    PH_ACTING_OBJECT,  /* its name, for people */
    PH_ACTING_IS_OURS, /* whether the role may do either */
};

/*
 * A row for each that acts on the tables ("{1,2}") and their partitions; is_replica: when
 * session_replication_role is replica. The caller frees `*out`.
 */
ph_code ph_acting_list(struct ph_conn *target, const char *tables, bool is_replica,
                       struct ph_result **out, struct ph_error *err);

#endif
