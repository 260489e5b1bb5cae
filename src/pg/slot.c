/* See slot.h. */
#include "pg/slot.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "model/lsn.h"

#define LOOK_EVERY_NS 50000000

static const char in_use_state[] = "55006";

static ph_lsn
lsn_of(const struct ph_result *r, int column)
{
    ph_lsn lsn = 0;

    return ph_lsn_parse(ph_result_text(r, 0, column), &lsn) ? lsn : 0;
}

static int64_t
number_or_none(const struct ph_result *r, int column)
{
    return ph_result_is_null(r, 0, column) ? -1 : ph_result_i64(r, 0, column);
}

static void
take_row(const struct ph_result *r, struct ph_slot *out)
{
    snprintf(out->plugin, sizeof out->plugin, "%s", ph_result_text(r, 0, 0));
    snprintf(out->database, sizeof out->database, "%s", ph_result_text(r, 0, 1));
    out->is_logical = ph_result_bool(r, 0, 2);
    out->is_temporary = ph_result_bool(r, 0, 3);
    out->is_active = ph_result_bool(r, 0, 4);
    out->active_pid = (int)ph_result_i64(r, 0, 5);
    out->restart_lsn = lsn_of(r, 6);
    out->confirmed_flush = lsn_of(r, 7);
    snprintf(out->wal_status, sizeof out->wal_status, "%s", ph_result_text(r, 0, 8));
    out->kept_wal_bytes = ph_result_i64(r, 0, 9);
    out->safe_wal_bytes = number_or_none(r, 10);
    out->xmin_age = number_or_none(r, 11);
    out->catalog_xmin_age = number_or_none(r, 12);
    out->two_phase = ph_result_bool(r, 0, 13);
    out->is_conflicting = ph_result_bool(r, 0, 14);
    out->has_failover = ph_result_bool(r, 0, 15);
    out->is_synced = ph_result_bool(r, 0, 16);
    snprintf(out->invalidation, sizeof out->invalidation, "%s", ph_result_text(r, 0, 17));
}

/* The statement with what this version has, and `false` or NULL for the rest. */
static void
put_query(struct ph_buf *sql, int version)
{
    ph_buf_puts(sql,
                "SELECT plugin, database, slot_type = 'logical', temporary, active, active_pid,"
                " restart_lsn, confirmed_flush_lsn, wal_status,"
                " pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()"
                " THEN pg_catalog.pg_last_wal_replay_lsn() ELSE pg_catalog.pg_current_wal_lsn()"
                " END, restart_lsn)::bigint, safe_wal_size, pg_catalog.age(xmin),"
                " pg_catalog.age(catalog_xmin)");
    ph_buf_printf(sql, ", %s, %s, %s", version >= 140000 ? "two_phase" : "false",
                  version >= 160000 ? "conflicting" : "false",
                  version >= 170000 ? "failover, synced, invalidation_reason"
                                    : "false, false, NULL");
    ph_buf_puts(sql, " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1");
}

ph_code
ph_slot_read(struct ph_conn *conn, const char *name, struct ph_slot *out, bool *found,
             struct ph_error *err)
{
    struct ph_result *r = NULL;
    struct ph_buf sql;

    *out = (struct ph_slot){.safe_wal_bytes = -1, .xmin_age = -1, .catalog_xmin_age = -1};
    *found = false;
    ph_buf_init(&sql, 8192);
    put_query(&sql, ph_conn_version(conn));
    ph_code rc = ph_conn_query(conn, ph_buf_text(&sql), 1, &name, &r, err);
    ph_buf_free(&sql);
    PH_TRY(rc);
    *found = ph_result_rows(r) == 1;
    if (*found)
        take_row(r, out);
    ph_result_free(r);
    return PH_OK;
}

#define SETTING_BYTES(name) "pg_catalog.pg_size_bytes(pg_catalog.current_setting('" name "'))"

ph_code
ph_slot_read_limits(struct ph_conn *conn, struct ph_slot_limits *out, struct ph_error *err)
{
    struct ph_result *r = NULL;

    PH_TRY(ph_conn_query(conn,
                         "SELECT " SETTING_BYTES("max_slot_wal_keep_size") ", " SETTING_BYTES(
                             "max_wal_size") ", pg_catalog.current_setting("
                                             "'autovacuum_freeze_max_age')::bigint",
                         0, NULL, &r, err));
    *out = (struct ph_slot_limits){
        .keep_bytes = ph_result_i64(r, 0, 0),
        .max_wal_bytes = ph_result_i64(r, 0, 1),
        .freeze_max_age = ph_result_i64(r, 0, 2),
    };
    ph_result_free(r);
    return PH_OK;
}

static ph_code
try_to_drop(struct ph_conn *conn, const char *name, struct ph_error *err)
{
    struct ph_result *r = NULL;
    ph_code rc = ph_conn_query(conn,
                               "SELECT pg_catalog.pg_drop_replication_slot(slot_name)"
                               " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
                               1, &name, &r, err);
    ph_result_free(r);
    return rc;
}

/* Ends whoever reads from it, who may be gone by now, or not ours to end. */
static void
end_reader(struct ph_conn *conn, const char *name)
{
    struct ph_result *r = NULL;

    (void)ph_conn_query(conn,
                        "SELECT pg_catalog.pg_terminate_backend(active_pid)"
                        " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active",
                        1, &name, &r, NULL);
    ph_result_free(r);
}

static ph_code
still_read(const char *name, const struct ph_slot *slot, struct ph_error *err)
{
    PH_FAIL(err, PH_E_NOT_READY, "the slot is still read by process %d of the server",
            slot->active_pid);
    ph_error_object(err, "slot %s", name);
    ph_error_hint(err, "end that process (SELECT pg_terminate_backend(%d)) or wait for it",
                  slot->active_pid);
    return PH_E_NOT_READY;
}

ph_code
ph_slot_drop(struct ph_conn *conn, const char *name, int wait_ms, struct ph_error *err)
{
    static const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    uint64_t until = ph_clock_ns() + (uint64_t)wait_ms * 1000000;
    struct ph_error why = {0};
    struct ph_slot slot;
    bool found;

    for (;;) {
        PH_TRY(ph_slot_read(conn, name, &slot, &found, err));
        if (!found)
            return PH_OK;
        if (slot.is_active)
            end_reader(conn, name);
        ph_code rc = try_to_drop(conn, name, &why);
        if (rc == PH_OK)
            return PH_OK;
        if (strcmp(why.sqlstate, in_use_state) != 0 || ph_clock_ns() >= until)
            break;
        (void)nanosleep(&pause, NULL);
    }
    if (strcmp(why.sqlstate, in_use_state) == 0)
        return still_read(name, &slot, err);
    if (err != NULL)
        *err = why;
    return why.code;
}

ph_code
ph_slot_source_end(struct ph_conn *conn, ph_lsn *lsn, struct ph_error *err)
{
    char text[PH_LSN_TEXT];

    PH_TRY(ph_conn_value(conn,
                         "SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery()"
                         " THEN pg_catalog.pg_current_wal_insert_lsn() END",
                         text, sizeof text, err));
    if (!ph_lsn_parse(text, lsn))
        *lsn = 0;
    return PH_OK;
}

ph_code
ph_message_emit(struct ph_conn *conn, enum ph_message_when when, const char *prefix,
                struct ph_span content, ph_lsn *lsn, struct ph_error *err)
{
    struct ph_result *r = NULL;
    struct ph_buf hex;

    *lsn = 0;
    ph_buf_init(&hex, 16 + 2 * content.len);
    ph_buf_puts(&hex, "\\x");
    for (size_t i = 0; i < content.len; i++)
        ph_buf_printf(&hex, "%02x", content.data[i]);
    if (!ph_buf_ok(&hex)) {
        ph_buf_free(&hex);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    const char *const params[] = {when == PH_MESSAGE_AT_COMMIT ? "true" : "false", prefix,
                                  ph_buf_text(&hex)};
    ph_code rc = ph_conn_query(
        conn,
        ph_conn_version(conn) >= 170000
            ? "SELECT pg_catalog.pg_logical_emit_message($1::bool, $2, $3::bytea, true)"
            : "SELECT pg_catalog.pg_logical_emit_message($1::bool, $2, $3::bytea)",
        3, params, &r, err);
    ph_buf_free(&hex);
    PH_TRY(rc);
    *lsn = ph_result_rows(r) == 1 ? lsn_of(r, 0) : 0;
    ph_result_free(r);
    return PH_OK;
}

int
ph_slot_mended_minor(int version)
{
    static const struct {
        int major;
        int minor;
    } mended[] = {{13, 21}, {14, 18}, {15, 13}, {16, 9}, {17, 5}};

    for (size_t i = 0; i < sizeof mended / sizeof *mended; i++) {
        if (mended[i].major == version / 10000 && version % 10000 < mended[i].minor)
            return mended[i].minor;
    }
    return 0;
}

bool
ph_slot_allows_pgoutput(const char *libraries)
{
    static const char name[] = "pgoutput";
    static const char around[] = " \t\n\"";

    for (const char *at = libraries; *at != '\0';) {
        at += strspn(at, around);
        size_t len = strcspn(at, ",");
        size_t word = len;
        while (word > 0 && strchr(around, at[word - 1]) != NULL)
            word--;
        if (word == sizeof name - 1 && memcmp(at, name, word) == 0)
            return true;
        at += len + (at[len] == ',');
    }
    return false;
}
