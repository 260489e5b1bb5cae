#include "pg/ledger_follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/ledger.h"

static ph_code
read_lsn(const struct ph_result *r, int row, int column, ph_lsn *out, struct ph_error *err)
{
    const char *text = ph_result_text(r, row, column);

    *out = 0;
    if (ph_result_is_null(r, row, column) || ph_lsn_parse(text, out))
        return PH_OK;
    return PH_FAIL(err, PH_E_LEDGER, "the ledger holds a position that is none: %.40s", text);
}

ph_code
ph_ledger_begin_follow(struct ph_conn *conn, const char *job, struct ph_ledger_follow *follow,
                       struct ph_error *err)
{
    char timeline[16];
    struct ph_result *r;

    snprintf(timeline, sizeof timeline, "%u", follow->timeline);
    const char *params[] = {job,
                            follow->slot,
                            follow->publication,
                            follow->own_publication ? "t" : "f",
                            follow->via_root ? "t" : "f",
                            follow->system_id,
                            timeline,
                            follow->plugin_options};
    PH_TRY(ph_conn_run(conn, "DELETE FROM pghaul.follow WHERE job = $1 AND s0 IS NULL", 1, params,
                       err));
    PH_TRY(ph_conn_query(conn,
                         "INSERT INTO pghaul.follow (job, slot, publication, own_publication,"
                         " via_root, system_id, timeline, plugin_options, spool_id) VALUES ($1, $2,"
                         " $3, $4::bool, $5::bool, $6, $7::bigint, $8, gen_random_uuid()::text)"
                         " RETURNING spool_id",
                         8, params, &r, err));
    snprintf(follow->spool_id, sizeof follow->spool_id, "%s", ph_result_text(r, 0, 0));
    ph_result_free(r);
    follow->made = false;
    follow->slot_lsn = 0;
    return PH_OK;
}

ph_code
ph_ledger_follow_is_made(struct ph_conn *conn, const char *job, const char *s0, ph_lsn slot_lsn,
                         struct ph_error *err)
{
    char lsn[PH_LSN_TEXT];
    const char *params[] = {job, s0, ph_lsn_print(slot_lsn, lsn)};
    const char *position[] = {job, params[2]};

    PH_TRY(ph_conn_expect(conn,
                          "UPDATE pghaul.follow SET s0 = $2, slot_lsn = $3::pg_lsn"
                          " WHERE job = $1 AND s0 IS NULL",
                          3, params, 1, err));
    return ph_conn_expect(conn,
                          "INSERT INTO pghaul.position (job, worker, lsn)"
                          " VALUES ($1, 0, $2::pg_lsn)",
                          2, position, 1, err);
}

static void
copy_text(char *out, size_t size, const struct ph_result *r, int column)
{
    snprintf(out, size, "%s", ph_result_text(r, 0, column));
}

ph_code
ph_ledger_load_follow(struct ph_conn *conn, const char *job, struct ph_ledger_follow *out,
                      bool *found, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(
        conn,
        "SELECT slot, publication, own_publication, via_root, system_id, timeline,"
        " plugin_options, spool_id, s0 IS NOT NULL, slot_lsn, coalesce(published::text, '0')"
        " FROM pghaul.follow"
        " WHERE job = $1",
        1, params, &r, err));
    *found = ph_result_rows(r) == 1;
    if (*found) {
        *out = (struct ph_ledger_follow){
            .own_publication = ph_result_bool(r, 0, 2),
            .via_root = ph_result_bool(r, 0, 3),
            .timeline = ph_result_u32(r, 0, 5),
            .made = ph_result_bool(r, 0, 8),
            .published = strtoull(ph_result_text(r, 0, 10), NULL, 10),
        };
        copy_text(out->slot, sizeof out->slot, r, 0);
        copy_text(out->publication, sizeof out->publication, r, 1);
        copy_text(out->system_id, sizeof out->system_id, r, 4);
        copy_text(out->plugin_options, sizeof out->plugin_options, r, 6);
        copy_text(out->spool_id, sizeof out->spool_id, r, 7);
        rc = read_lsn(r, 0, 9, &out->slot_lsn, err);
    }
    ph_result_free(r);
    return rc;
}

static ph_code
keep(struct ph_arena *arena, const struct ph_result *r, int row, int column, const char **out,
     struct ph_error *err)
{
    *out = ph_arena_strdup(arena, ph_result_text(r, row, column));
    return *out != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

ph_code
ph_ledger_load_s0(struct ph_conn *conn, const char *job, struct ph_arena *arena, const char **s0,
                  struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, "SELECT s0 FROM pghaul.follow WHERE job = $1 AND s0 IS NOT NULL", 1,
                         params, &r, err));
    ph_code rc = ph_result_rows(r) == 1
                     ? keep(arena, r, 0, 0, s0, err)
                     : PH_FAIL(err, PH_E_LEDGER, "the ledger has no slot's snapshot of this job");
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_load_marks(struct ph_conn *conn, const char *job, struct ph_arena *arena,
                     struct ph_ledger_mark **marks, uint32_t *n, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "SELECT epoch, lsn, pg_snapshot FROM pghaul.epoch WHERE job = $1 AND"
                         " lsn IS NOT NULL ORDER BY epoch",
                         1, params, &r, err));
    *n = (uint32_t)ph_result_rows(r);
    *marks = PH_ARENA_ARRAY(arena, struct ph_ledger_mark, *n + 1u);
    ph_code rc = *marks != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; rc == PH_OK && i < *n; i++) {
        struct ph_ledger_mark *mark = &(*marks)[i];
        mark->number = ph_result_u32(r, (int)i, 0);
        rc = read_lsn(r, (int)i, 1, &mark->lsn, err);
        if (rc == PH_OK)
            rc = keep(arena, r, (int)i, 2, &mark->snapshot, err);
    }
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_read_position(struct ph_conn *conn, const char *job, uint32_t worker, ph_lsn *lsn,
                        struct ph_error *err)
{
    char number[16];
    struct ph_result *r;

    snprintf(number, sizeof number, "%u", worker);
    const char *params[] = {job, number};
    PH_TRY(ph_conn_query(conn,
                         "SELECT lsn FROM pghaul.position WHERE job = $1 AND worker = $2::int"
                         " FOR UPDATE",
                         2, params, &r, err));
    ph_code rc = ph_result_rows(r) == 1
                     ? read_lsn(r, 0, 0, lsn, err)
                     : PH_FAIL(err, PH_E_LEDGER, "the ledger has no position of this job");
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_read_applied(struct ph_conn *conn, const char *job, ph_lsn *lsn, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "SELECT min(p.lsn) FROM (SELECT lsn FROM pghaul.position WHERE job = $1"
                         " FOR UPDATE) p",
                         1, params, &r, err));
    ph_code rc = ph_result_is_null(r, 0, 0)
                     ? PH_FAIL(err, PH_E_LEDGER, "the ledger has no position of this job")
                     : read_lsn(r, 0, 0, lsn, err);
    ph_result_free(r);
    return rc;
}

ph_code
ph_ledger_fail_position(const char *from, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_POSITION,
                   "the position in the ledger is not at %s any more: a commit that was under way"
                   " has moved it",
                   from);
}

ph_code
ph_ledger_advance(struct ph_conn *conn, const char *job, uint32_t worker, ph_lsn old, ph_lsn lsn,
                  struct ph_error *err)
{
    char number[16];
    char from[PH_LSN_TEXT];
    char to[PH_LSN_TEXT];

    snprintf(number, sizeof number, "%u", worker);
    const char *params[] = {job, number, ph_lsn_print(lsn, to), ph_lsn_print(old, from)};
    ph_code rc = ph_conn_expect(conn, PH_LEDGER_ADVANCE_SQL, 4, params, 1, err);
    return rc == PH_E_LEDGER ? ph_ledger_fail_position(from, err) : rc;
}

ph_code
ph_ledger_conflicts(struct ph_conn *conn, const char *job, uint64_t *n, struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, "SELECT conflicts FROM pghaul.follow WHERE job = $1", 1, params, &r,
                         err));
    *n = ph_result_rows(r) == 1 ? (uint64_t)ph_result_i64(r, 0, 0) : 0;
    ph_result_free(r);
    return PH_OK;
}

void
ph_ledger_put_add_conflicts(struct ph_buf *sql, const char *job, uint64_t n)
{
    ph_buf_printf(sql,
                  "UPDATE pghaul.follow SET conflicts = conflicts + %" PRIu64 " WHERE job = ", n);
    ph_buf_put_literal(sql, job);
}

ph_code
ph_ledger_end_follow(struct ph_conn *conn, const char *job, struct ph_error *err)
{
    const char *params[] = {job};

    PH_TRY(ph_conn_run(conn, "DELETE FROM pghaul.team WHERE job = $1", 1, params, err));
    return ph_conn_expect(conn, "DELETE FROM pghaul.follow WHERE job = $1", 1, params, 1, err);
}

ph_code
ph_ledger_ask_end(struct ph_conn *conn, const char *job, const struct ph_until *until,
                  enum ph_heard_by *heard, struct ph_error *err)
{
    char text[PH_UNTIL_TEXT];
    const char *params[] = {job, ph_until_print(until, text)};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn,
                         "UPDATE pghaul.follow f SET end_at = $2 FROM pghaul.job j"
                         " LEFT JOIN pghaul.run r ON r.job = j.job AND r.run = j.run"
                         " WHERE j.job = $1 AND f.job = j.job"
                         " RETURNING " PH_LEDGER_HEARD_BY,
                         2, params, &r, err));
    *heard = ph_result_rows(r) == 1 ? (enum ph_heard_by)ph_result_u32(r, 0, 0) : PH_HEARD_BY_NONE;
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_ledger_end_asked(struct ph_conn *conn, const char *job, struct ph_until *until,
                    struct ph_error *err)
{
    const char *params[] = {job};
    struct ph_result *r;
    ph_code rc = PH_OK;

    PH_TRY(ph_conn_query(conn,
                         "SELECT end_at FROM pghaul.follow WHERE job = $1 AND end_at IS NOT NULL",
                         1, params, &r, err));
    *until = (struct ph_until){PH_UNTIL_STOPPED, 0};
    if (ph_result_rows(r) == 1 && !ph_until_parse(ph_result_text(r, 0, 0), until))
        rc = PH_FAIL(err, PH_E_LEDGER, "the ledger holds an end that is none: %.40s",
                     ph_result_text(r, 0, 0));
    ph_result_free(r);
    return rc;
}

/* Asked for something else meanwhile, it stays that. */
ph_code
ph_ledger_now_is(struct ph_conn *conn, const char *job, ph_lsn lsn, struct ph_error *err)
{
    static const struct ph_until now = {.kind = PH_UNTIL_NOW};
    char text[PH_LSN_TEXT];
    char word[PH_UNTIL_TEXT];
    const char *params[] = {job, ph_lsn_print(lsn, text), ph_until_print(&now, word)};

    return ph_conn_run(conn, "UPDATE pghaul.follow SET end_at = $2 WHERE job = $1 AND end_at = $3",
                       3, params, err);
}

/* Elements are the table's OID, a blank, and what it is published by. */
static const char note_publishing_sql[] =
    "UPDATE pghaul.follow SET publishing = ARRAY(SELECT x FROM unnest(publishing) x WHERE"
    " x LIKE '0 %' OR split_part(x, ' ', 1) NOT IN (SELECT split_part(y, ' ', 1) FROM"
    " unnest($2::text[]) y) UNION SELECT y FROM unnest($2::text[]) y WHERE y NOT LIKE '0 %' OR"
    " NOT EXISTS (SELECT FROM unnest(publishing) x WHERE x LIKE '0 %')) WHERE job = $1";

ph_code
ph_ledger_note_publishing(struct ph_conn *conn, const char *job, const char *publishing,
                          struct ph_error *err)
{
    const char *params[] = {job, publishing};

    return ph_conn_expect(conn, note_publishing_sql, 2, params, 1, err);
}

static const char find_republished_sql[] =
    "WITH noted AS (SELECT split_part(x, ' ', 1) AS rel, x FROM pghaul.follow,"
    " unnest(publishing) x WHERE job = $1), now AS (SELECT split_part(x, ' ', 1) AS rel, x FROM"
    " unnest($2::text[]) x) SELECT rel FROM noted WHERE rel IN (SELECT rel FROM now) AND rel NOT IN"
    " (SELECT noted.rel FROM noted JOIN now USING (x)) ORDER BY rel LIMIT 1";

ph_code
ph_ledger_find_republished(struct ph_conn *conn, const char *job, const char *publishing, char *oid,
                           size_t size, struct ph_error *err)
{
    const char *params[] = {job, publishing};
    struct ph_result *r;

    PH_TRY(ph_conn_query(conn, find_republished_sql, 2, params, &r, err));
    snprintf(oid, size, "%s", ph_result_rows(r) > 0 ? ph_result_text(r, 0, 0) : "");
    ph_result_free(r);
    return PH_OK;
}

ph_code
ph_ledger_sequences_carried(struct ph_conn *conn, const char *job, struct ph_error *err)
{
    const char *params[] = {job};

    return ph_conn_expect(conn, "UPDATE pghaul.follow SET sequences_at = now() WHERE job = $1", 1,
                          params, 1, err);
}
