/*
 * What the servers' sessions of the lanes wait for, asked every two seconds: tells the target's
 * disk from the target, and the wire from the source. For the display only; failures are left
 * alone.
 */
#include <stdio.h>

#include "job/rows_internal.h"

static bool
most_wait(struct ph_conn *conn, const char *condition, const char *purpose)
{
    struct ph_buf sql;
    char answer[8];

    ph_buf_init(&sql, 4096);
    ph_buf_printf(&sql,
                  "SELECT 2 * count(*) FILTER (WHERE %s) > count(*) FROM"
                  " pg_catalog.pg_stat_activity WHERE state = 'active' AND"
                  " pg_catalog.starts_with(application_name, ",
                  condition);
    char prefix[128];
    snprintf(prefix, sizeof prefix, "%s %s ", ph_conn_endpoint(conn)->app_prefix, purpose);
    ph_buf_put_literal(&sql, prefix);
    ph_buf_puts(&sql, ")");
    bool most = ph_conn_value(conn, ph_buf_text(&sql), answer, sizeof answer, NULL) == PH_OK &&
                answer[0] == 't';
    ph_buf_free(&sql);
    return most;
}

void
ph_rows_look_at_waits(struct ph_rows *rows, struct ph_conn *target, struct ph_conn **source)
{
    if (target != NULL)
        atomic_store(&rows->target_disk,
                     most_wait(target,
                               "wait_event_type = 'IO' OR wait_event IN ('WALWrite', 'WALSync',"
                               " 'WalWrite', 'WalSync')",
                               "load"));
    if (*source == NULL && ph_conn_open_briefly(&rows->job->source, "watch", source, NULL) != PH_OK)
        return;
    /* a source that waits until its bytes are taken, while pghaul waits for bytes: the wire */
    atomic_store(&rows->wire, most_wait(*source, "wait_event = 'ClientWrite'", "read"));
    if (!ph_conn_is_alive(*source)) {
        ph_conn_free(*source);
        *source = NULL;
    }
}
