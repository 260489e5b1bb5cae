/*
 * The messages inside CopyData while a server streams changes: XLogData and Primary keepalive from
 * it, Standby status update to it. PostgreSQL documentation, "Streaming Replication Protocol",
 * START_REPLICATION. Pure; any thread.
 */
#ifndef PH_WIRE_WALSENDER_H
#define PH_WIRE_WALSENDER_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/change.h"

enum ph_walsender_item { PH_WALSENDER_DATA, PH_WALSENDER_KEEPALIVE };

struct ph_walsender_message {
    enum ph_walsender_item item;
    bool reply_wanted;      /* KEEPALIVE: answer at once, or the server hangs up before long */
    ph_lsn wal_start;       /* DATA: of the record the message was made of; not ascending */
    ph_lsn wal_end;         /* how far the server has read (KEEPALIVE) or sent */
    int64_t sent_us;        /* by the server's clock; microseconds since 1970, UTC */
    struct ph_span payload; /* DATA: one message of the output plugin, within the bytes given */
};

/* PH_E_PROTOCOL. */
ph_code ph_walsender_read(struct ph_span bytes, struct ph_walsender_message *out,
                          struct ph_error *err);

/* What the server may rely on; each is the end of what was … and 0 when nothing was yet. */
struct ph_walsender_status {
    ph_lsn written; /* received */
    ph_lsn flushed; /* made durable: the slot moves up to here, and never back */
    ph_lsn applied; /* applied; shown in pg_stat_replication */
};
#define PH_WALSENDER_STATUS_BYTES 34
/* `now_us` as above. */
void ph_walsender_put_status(const struct ph_walsender_status *status, int64_t now_us,
                             uint8_t out[PH_WALSENDER_STATUS_BYTES]);

#endif
