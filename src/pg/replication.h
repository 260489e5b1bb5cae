/*
 * A session with a walsender: makes the slot, and streams changes from it.
 *
 * PostgreSQL documentation, "Streaming Replication Protocol". The session is pinned like all others
 * (conn.h), so values in text look the same here as in a COPY; timeouts of statements are off.
 * One thread; ph_endpoint_cancel_all makes blocked calls, poll() on the descriptor and all later
 * calls return with PH_E_STOPPED. Errors otherwise as in conn.h; when the server ends the stream
 * (shutdown, walsender terminated, slot invalidated) that is PH_E_CONNECT or what the server says.
 */
#ifndef PH_PG_REPLICATION_H
#define PH_PG_REPLICATION_H

#include "pg/conn.h"
#include "wire/walsender.h"

struct ph_replication;

struct ph_replication_params {
    const char *purpose;   /* end of application_name */
    int sender_timeout_ms; /* wal_sender_timeout of the session; 0: the server's own */
};

/* Needs a role with REPLICATION (PH_E_RIGHTS or PH_E_AUTH) and a free walsender (PH_E_CONNECT). */
ph_code ph_replication_open(const struct ph_endpoint *endpoint,
                            const struct ph_replication_params *params, struct ph_replication **out,
                            struct ph_error *err);
void ph_replication_free(struct ph_replication *session); /* NULL is fine */
/*
 * Before the stream: transactions are sent while they run from 8 MB of changes on, where the server
 * would gather more (logical_decoding_work_mem, 64 MB unless changed). 14 on; earlier servers send
 * them whole.
 */
ph_code ph_replication_send_early(struct ph_replication *session, struct ph_error *err);
int ph_replication_version(const struct ph_replication *session); /* as ph_conn_version */
int ph_replication_backend_pid(const struct ph_replication *session);

struct ph_replication_system {
    char system_id[24]; /* decimal; of the cluster since initdb */
    uint32_t timeline;
    ph_lsn flush_lsn; /* end of what the server has flushed (or replayed: a standby) */
    char database[64];
};
ph_code ph_replication_identify(struct ph_replication *session, struct ph_replication_system *out,
                                struct ph_error *err);

/*
 * Where the way from `timeline` to the server's own, `now`, leaves `timeline`: what lies behind
 * *end did not happen here. 0: the server never was on it.
 */
ph_code ph_replication_timeline_end(struct ph_replication *session, uint32_t now, uint32_t timeline,
                                    ph_lsn *end, struct ph_error *err);

enum ph_slot_failover { PH_SLOT_NO_FAILOVER, PH_SLOT_FAILOVER };
struct ph_slot_params {
    const char *name;               /* [a-z0-9_]{1,63} */
    enum ph_slot_failover failover; /* servers from 17 on; PH_E_UNSUPPORTED before */
    int wait_ms;                    /* 0: as long as it takes */
};
struct ph_slot_made {
    ph_lsn consistent_point; /* commits at or behind it are streamed */
    /* as it was then; to import on other sessions until the next command on this one */
    char snapshot[64];
};
/*
 * CREATE_REPLICATION_SLOT … LOGICAL pgoutput with EXPORT_SNAPSHOT. The server waits for all
 * transactions that run now to end; PH_E_NOT_READY after `wait_ms`, and then no slot is left.
 * PH_E_SQL with SQLSTATE 42710 when there is one of that name, 53400 when there is room for none.
 */
ph_code ph_replication_create_slot(struct ph_replication *session,
                                   const struct ph_slot_params *params, struct ph_slot_made *out,
                                   struct ph_error *err);

enum ph_stream_values { PH_STREAM_TEXT, PH_STREAM_BINARY };
enum ph_stream_large { PH_STREAM_WHOLE, PH_STREAM_IN_BLOCKS };
enum ph_stream_origins { PH_STREAM_ANY_ORIGIN, PH_STREAM_OWN_ORIGIN };
struct ph_stream_params {
    const char *slot;
    const char *const *publications;
    uint32_t n_publications; /* at least one */
    ph_lsn start_lsn;
    enum ph_stream_values values;   /* BINARY: 14 on, text before; the message says what it is */
    enum ph_stream_large large;     /* large transactions: IN_BLOCKS 14 on, whole before */
    enum ph_stream_origins origins; /* OWN: 16 on, PH_E_UNSUPPORTED before: leave out what the
                                       server itself got by replication */
};
/*
 * START_REPLICATION with the newest version of the protocol that the server has (1 to 4), logical
 * messages included (14 on). When `start_lsn` lies before the slot's confirmed_flush, the server
 * starts at the latter without a word: compare before. Once a session: a walsender's second logical
 * stream would end at once.
 */
ph_code ph_replication_start(struct ph_replication *session, const struct ph_stream_params *params,
                             struct ph_error *err);
/*
 * The next message, without waiting: *got says whether there was one. `out->payload` is valid until
 * the next call. Read until there is none before polling the descriptor for input.
 */
ph_code ph_replication_read(struct ph_replication *session, struct ph_walsender_message *out,
                            bool *got, struct ph_error *err);
int ph_replication_fd(const struct ph_replication *session);
/* Send a status update now. Blocks only while the server does not take bytes. */
ph_code ph_replication_status(struct ph_replication *session,
                              const struct ph_walsender_status *status, struct ph_error *err);
/*
 * End the stream, if there is one; what still comes is thrown away. A server in the middle of a
 * large transaction may take long to notice: PH_E_CONNECT after `wait_ms`, and only free is left to
 * do. Otherwise the session takes other commands again; another stream needs a new session.
 */
ph_code ph_replication_stop(struct ph_replication *session, int wait_ms, struct ph_error *err);

#endif
