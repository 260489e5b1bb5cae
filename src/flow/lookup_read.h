/* Rows of a table that values are looked up in, from its database into memory. */
#ifndef PH_FLOW_LOOKUP_READ_H
#define PH_FLOW_LOOKUP_READ_H

#include "pg/conn.h"
#include "rules/lookup.h"

/* ph_lookups_add or ph_lookups_answer. */
typedef ph_code ph_lookup_take(struct ph_lookups *lookups, uint32_t number, struct ph_value key,
                               struct ph_value value, struct ph_error *err);

/*
 * What `sql`, a SELECT of keys and values, gives, row by row. After a failure of `take` the
 * connection may be in the middle of its COPY: it is to be closed. The connection's thread.
 */
ph_code ph_lookup_read(struct ph_conn *conn, const char *sql, ph_lookup_take *take,
                       struct ph_lookups *lookups, uint32_t number,
                       struct ph_error *err) PH_MUST_CHECK;

#endif
