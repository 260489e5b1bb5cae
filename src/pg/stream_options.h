/*
 * What pgoutput is told, in the walsender's grammar and as arguments of the SQL functions that read
 * a slot: one list, so that both give the same messages. Not for other files than those that start
 * a stream.
 */
#ifndef PH_PG_STREAM_OPTIONS_H
#define PH_PG_STREAM_OPTIONS_H

#include "base/buf.h"
#include "pg/replication.h"

enum ph_option_form {
    PH_OPTIONS_OF_COMMAND, /* name 'value', … */
    PH_OPTIONS_OF_FUNCTION /* 'name', 'value', … */
};

/* `server` as ph_conn_version. Without anything around the list. */
void ph_put_stream_options(struct ph_buf *out, int server, const struct ph_stream_params *params,
                           enum ph_option_form form);

#endif
