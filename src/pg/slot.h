/*
 * Logical replication slots of a source, and messages put into its stream, over an ordinary session
 * that is in no transaction. The connection's thread; errors as in conn.h. Making a slot and
 * reading from it: pg/replication.h.
 */
#ifndef PH_PG_SLOT_H
#define PH_PG_SLOT_H

#include "model/change.h"
#include "pg/conn.h"

/* A row of pg_replication_slots. What the server's version does not have is false, 0 or "". */
struct ph_slot {
    char plugin[64];
    char database[64];
    bool is_logical;
    bool is_temporary;
    bool is_active;
    int active_pid;         /* 0: none */
    ph_lsn restart_lsn;     /* from where WAL is kept; 0 when the slot is lost */
    ph_lsn confirmed_flush; /* what was acknowledged; the stream never goes back behind it */
    char wal_status[16];    /* reserved extended unreserved lost */
    int64_t kept_wal_bytes; /* from restart_lsn to the server's present end */
    int64_t safe_wal_bytes; /* may still be written until the slot is in danger; -1: no limit */
    int64_t xmin_age;       /* transactions; -1: the slot holds none */
    int64_t catalog_xmin_age;
    bool two_phase;        /* 14 on */
    bool is_conflicting;   /* 16 on */
    bool has_failover;     /* 17 on */
    bool is_synced;        /* 17 on: on a standby, kept by the server itself */
    char invalidation[48]; /* 17 on: the reason; "" while it is valid */
};
/* *found says whether there is one of that name. */
ph_code ph_slot_read(struct ph_conn *conn, const char *name, struct ph_slot *out, bool *found,
                     struct ph_error *err);

/*
 * Before these minor releases, changes made around ALTER PUBLICATION and by transactions that ran
 * meanwhile could be lost, a slot's restart position could go back, part of a transaction be sent,
 * and a slot that SQL advances let go too early of the catalogs that it still needs.
 * The minor release that mends them, of the major `version` is of (ph_conn_version); 0: it has it.
 */
int ph_slot_mended_minor(int version);
/* Whether pgoutput is in a list like output_plugin_libraries: names parted by commas. */
bool ph_slot_allows_pgoutput(const char *libraries);

/* What of the server's settings bounds a slot. */
struct ph_slot_limits {
    int64_t keep_bytes;     /* max_slot_wal_keep_size; -1: none */
    int64_t max_wal_bytes;  /* max_wal_size */
    int64_t freeze_max_age; /* autovacuum_freeze_max_age */
};
ph_code ph_slot_read_limits(struct ph_conn *conn, struct ph_slot_limits *out, struct ph_error *err);

/*
 * Drop the slot, which is the job's own; none of that name is fine. Whoever reads from it is ended
 * first, if the role may do that, and waited for at most `wait_ms`: PH_E_NOT_READY naming the pid.
 */
ph_code ph_slot_drop(struct ph_conn *conn, const char *name, int wait_ms, struct ph_error *err);

/* Where the server writes next: what is committed by now ends before it. 0: it is a standby. */
ph_code ph_slot_source_end(struct ph_conn *conn, ph_lsn *lsn, struct ph_error *err);

enum ph_message_when {
    PH_MESSAGE_AT_COMMIT, /* as part of the statement's own transaction */
    PH_MESSAGE_AT_ONCE    /* before 17 it reaches the stream only with the server's next flush */
};
/* pg_logical_emit_message; `*lsn` is its position. */
ph_code ph_message_emit(struct ph_conn *conn, enum ph_message_when when, const char *prefix,
                        struct ph_span content, ph_lsn *lsn, struct ph_error *err);

#endif
