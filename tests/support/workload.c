#include "support/workload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/sql.h"
#include "support/workload_tables.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSIONS 5u
#define KEYS 300u
#define MAX_SAVEPOINTS 5u
#define MAX_PREPARED 4u
#define SQL_BYTES 65536u

struct session {
    PGconn *conn;
    unsigned number;
    unsigned left; /* statements until its transaction ends; 0: none */
    unsigned savepoints;
    bool large;
};

struct workload {
    struct session sessions[SESSIONS];
    struct workload_counts counts;
    uint64_t seed;
    uint64_t state;
    unsigned next_gid;
    unsigned prepared[MAX_PREPARED]; /* open ones, as numbers of their names */
    unsigned n_prepared;
    unsigned n_tables;
    unsigned n_statements;
    FILE *log;
    char sql[SQL_BYTES];
    size_t len;
};

/* ---- chance ---- */

static unsigned
any(struct workload *workload, unsigned below)
{
    uint64_t z = workload->state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % below);
}

static bool
once_in(struct workload *workload, unsigned n)
{
    return any(workload, n) == 0;
}

/* ---- texts ---- */

static void __attribute__((format(printf, 2, 3)))
put(struct workload *workload, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int n = vsnprintf(workload->sql + workload->len, SQL_BYTES - workload->len, format, args);
    va_end(args);
    workload->len += (size_t)n;
    assert_true(workload->len < SQL_BYTES);
}

static void
put_expanded(struct workload *workload, const char *text)
{
    unsigned k = any(workload, KEYS);
    unsigned j = any(workload, KEYS);
    unsigned n = any(workload, 1000000);
    unsigned l = any(workload, 10);

    for (; *text != '\0'; text++) {
        if (text[0] == '{' && text[1] != '\0' && text[2] == '}' && strchr("kjnl", text[1])) {
            put(workload, "%u", text[1] == 'k' ? k : text[1] == 'j' ? j : text[1] == 'n' ? n : l);
            text += 2;
        } else {
            put(workload, "%c", *text);
        }
    }
}

/* Rows (k, k2, n) named v. */
static void
put_numbers(struct workload *workload, const struct session *session)
{
    unsigned many = session->large ? 4 : 40;

    if (once_in(workload, many)) {
        unsigned from = any(workload, KEYS);
        unsigned n_rows = 20 + any(workload, session->large ? 250 : 60);
        put(workload,
            "(SELECT i AS k, i + %u AS k2, (i * 7919 + %u) %% 1000000 AS n FROM"
            " generate_series(%u, %u) i) v",
            1 + any(workload, 400), any(workload, 1000000), from, from + n_rows);
        return;
    }
    put(workload, "(VALUES ");
    for (unsigned rows = 1 + any(workload, 5), i = 0; i < rows; i++)
        put(workload, "%s(%u, %u, %u)", i == 0 ? "" : ", ", any(workload, KEYS),
            any(workload, KEYS), any(workload, 1000000));
    put(workload, ") v(k, k2, n)");
}

static void
put_value(struct workload *workload, const struct workload_column *column)
{
    if (column->kind == WORKLOAD_KEY || column->kind == WORKLOAD_ALWAYS || !once_in(workload, 5))
        put(workload, "%s", column->value);
    else
        put(workload, "CASE WHEN (v.n / 7) %% 3 > 0 THEN %s END", column->value);
}

static void
put_insert_head(struct workload *workload, const struct workload_table *table, const char *verb)
{
    put(workload, "%s %s (", verb, table->name);
    for (const struct workload_column *c = table->columns; c->name != NULL; c++)
        put(workload, "%s%s", c == table->columns ? "" : ", ", c->name);
    put(workload, ") ");
}

static void
put_rows(struct workload *workload, const struct session *session,
         const struct workload_table *table)
{
    put(workload, "SELECT ");
    for (const struct workload_column *c = table->columns; c->name != NULL; c++) {
        put(workload, "%s", c == table->columns ? "" : ", ");
        if (c->kind == WORKLOAD_BIG && !once_in(workload, 3))
            put(workload, "NULL");
        else
            put_value(workload, c);
    }
    put(workload, " FROM ");
    put_numbers(workload, session);
}

static bool
is_updatable(struct workload *workload, const struct workload_column *column, bool all)
{
    if (column->kind == WORKLOAD_KEY)
        return false;
    return all || once_in(workload, column->kind == WORKLOAD_BIG ? 8 : 3);
}

/* False: there was nothing to set. */
static bool
put_sets(struct workload *workload, const struct workload_table *table, bool some)
{
    bool all = once_in(workload, 12);

    for (const struct workload_column *c = table->columns; c->name != NULL; c++) {
        if (!is_updatable(workload, c, all))
            continue;
        put(workload, "%s%s = ", some ? ", " : "", c->name);
        put_value(workload, c);
        some = true;
    }
    return some;
}

/* ---- statements ---- */

static void
make_insert(struct workload *workload, const struct session *session,
            const struct workload_table *table)
{
    put_insert_head(workload, table, "INSERT INTO");
    put(workload, "%s ", table->overriding == NULL ? "" : table->overriding);
    put_rows(workload, session, table);
    if (once_in(workload, 4))
        return;
    size_t before = workload->len;
    if (table->conflict != NULL && once_in(workload, 2)) {
        put(workload, " ON CONFLICT %s DO UPDATE SET ", table->conflict);
        bool some = false;
        for (const struct workload_column *c = table->columns; c->name != NULL; c++) {
            if (!is_updatable(workload, c, false))
                continue;
            put(workload, "%s%s = excluded.%s", some ? ", " : "", c->name, c->name);
            some = true;
        }
        if (some)
            return;
        workload->len = before;
    }
    put(workload, " ON CONFLICT DO NOTHING");
}

static void
make_update(struct workload *workload, const struct session *session,
            const struct workload_table *table)
{
    put(workload, "UPDATE %s t SET ", table->name);
    if (!put_sets(workload, table, false)) {
        workload->len = 0;
        return;
    }
    put(workload, " FROM ");
    put_numbers(workload, session);
    put(workload, " WHERE %s", table->hit);
}

static void
make_move(struct workload *workload, const struct session *session,
          const struct workload_table *table)
{
    if (table->move == NULL)
        return;
    put(workload, "UPDATE %s t SET %s", table->name, table->move);
    if (once_in(workload, 3))
        put_sets(workload, table, true);
    put(workload, " FROM ");
    put_numbers(workload, session);
    put(workload, " WHERE %s", table->hit);
}

static void
make_delete(struct workload *workload, const struct session *session,
            const struct workload_table *table)
{
    put(workload, "DELETE FROM %s t USING ", table->name);
    put_numbers(workload, session);
    put(workload, " WHERE %s", table->hit);
}

/* Nothing, once in a while, for it takes much away. */
static void
make_truncate(struct workload *workload, const struct workload_table *table)
{
    if (table->truncate != NULL && once_in(workload, 3))
        put(workload, "TRUNCATE %s", table->truncate);
}

/* Leaves an empty text when there is nothing to do. */
static void
make_statement(struct workload *workload, const struct session *session)
{
    const struct workload_table *table = &workload_tables[any(workload, workload->n_tables)];
    unsigned kind = any(workload, 100);

    workload->len = 0;
    workload->sql[0] = '\0';
    if (kind < 25)
        put_expanded(workload, workload_statements[any(workload, workload->n_statements)]);
    else if (kind < 55 && !table->fixed)
        make_insert(workload, session, table);
    else if (kind < 80)
        make_update(workload, session, table);
    else if (kind < 89)
        make_move(workload, session, table);
    else if (kind < 97 && !table->fixed)
        make_delete(workload, session, table);
    else if (kind >= 97)
        make_truncate(workload, table);
    workload->sql[workload->len] = '\0';
}

/* ---- running ---- */

/* What a workload of several sessions has to expect. */
static bool
may_fail(const char *sqlstate)
{
    static const char *const states[] = {
        "55P03", /* lock not available */
        "55006", /* TRUNCATE with pending trigger events */
        "21000", /* ON CONFLICT hits a row twice */
        "40P01", "27000",
    };

    if (strncmp(sqlstate, "23", 2) == 0)
        return true;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(sqlstate, states[i]) == 0)
            return true;
    }
    return false;
}

static void
note(struct workload *workload, const struct session *session, const char *sql, const char *outcome)
{
    if (workload->log != NULL)
        fprintf(workload->log, "/* %u %s */ %s;\n", session->number, outcome, sql);
}

/* Whether it succeeded. */
static bool
done(struct workload *workload, const struct session *session, const char *sql, PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    ExecStatusType status = PQresultStatus(result);
    bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_IN;

    workload->counts.statements++;
    workload->counts.failed += !ok;
    note(workload, session, sql, ok ? "ok" : sqlstate == NULL ? "lost" : sqlstate);
    if (!ok && (sqlstate == NULL || !may_fail(sqlstate)))
        fail_msg("PH_WORKLOAD_SEED=%" PRIu64 ": %s\n%s", workload->seed, sql,
                 PQerrorMessage(session->conn));
    PQclear(result);
    return ok;
}

static bool
run(struct workload *workload, const struct session *session, const char *sql)
{
    return done(workload, session, sql, PQexec(session->conn, sql));
}

/* The rows of a query, as COPY's text. */
static bool
copy_out(struct workload *workload, const struct session *session, const char *sql, char **text,
         size_t *len)
{
    FILE *out = open_memstream(text, len);
    PGresult *result = PQexec(session->conn, sql);
    char *row;
    int n;

    if (PQresultStatus(result) == PGRES_COPY_OUT) {
        PQclear(result);
        while ((n = PQgetCopyData(session->conn, &row, 0)) > 0) {
            fwrite(row, 1, (size_t)n, out);
            PQfreemem(row);
        }
        result = PQgetResult(session->conn);
    }
    fclose(out);
    bool ok = done(workload, session, sql, result);
    while ((result = PQgetResult(session->conn)) != NULL)
        PQclear(result);
    return ok;
}

static bool
run_copy(struct workload *workload, const struct session *session)
{
    const struct workload_table *table = &workload_tables[any(workload, workload->n_tables)];
    char *text = NULL;
    size_t len = 0;

    if (table->fixed)
        return true;
    workload->len = 0;
    put(workload, "COPY (");
    put_rows(workload, session, table);
    put(workload, ") TO STDOUT");
    bool ok = copy_out(workload, session, workload->sql, &text, &len);
    workload->len = 0;
    put_insert_head(workload, table, "COPY");
    put(workload, "FROM STDIN");
    if (ok)
        ok = run(workload, session, workload->sql);
    if (ok) {
        assert_int_equal(PQputCopyData(session->conn, text, (int)len), 1);
        assert_int_equal(PQputCopyEnd(session->conn, NULL), 1);
        ok = done(workload, session, "\\.", PQgetResult(session->conn));
        PQclear(PQgetResult(session->conn));
    }
    free(text);
    return ok;
}

static bool
run_statement(struct workload *workload, const struct session *session)
{
    if (once_in(workload, 15))
        return run_copy(workload, session);
    make_statement(workload, session);
    return workload->len == 0 || run(workload, session, workload->sql);
}

/* ---- transactions ---- */

static void
roll_back(struct workload *workload, struct session *session)
{
    run(workload, session, "ROLLBACK");
    workload->counts.rollbacks++;
    session->left = 0;
    session->savepoints = 0;
}

static void
roll_back_to(struct workload *workload, struct session *session)
{
    char sql[64];

    session->savepoints = 1 + any(workload, session->savepoints);
    snprintf(sql, sizeof sql, "ROLLBACK TO SAVEPOINT s%u", session->savepoints);
    run(workload, session, sql);
    workload->counts.rollbacks_to++;
    if (once_in(workload, 2)) {
        snprintf(sql, sizeof sql, "RELEASE SAVEPOINT s%u", session->savepoints);
        run(workload, session, sql);
        session->savepoints--;
    }
}

static void
recover(struct workload *workload, struct session *session)
{
    if (session->savepoints > 0 && !once_in(workload, 8))
        roll_back_to(workload, session);
    else
        roll_back(workload, session);
}

static void
commit(struct workload *workload, struct session *session)
{
    session->left = 0;
    session->savepoints = 0;
    if (run(workload, session, "COMMIT"))
        workload->counts.commits++;
    else
        workload->counts.rollbacks++;
}

static void
prepare(struct workload *workload, struct session *session)
{
    char sql[64];
    unsigned gid = workload->next_gid++;

    snprintf(sql, sizeof sql, "PREPARE TRANSACTION 'workload %u'", gid);
    session->left = 0;
    session->savepoints = 0;
    if (!run(workload, session, sql)) {
        workload->counts.rollbacks++;
        return;
    }
    workload->counts.prepared++;
    workload->prepared[workload->n_prepared++] = gid;
}

static void
finish_prepared(struct workload *workload, struct session *session)
{
    char sql[64];
    unsigned which = any(workload, workload->n_prepared);
    bool back = once_in(workload, 4);

    snprintf(sql, sizeof sql, "%s PREPARED 'workload %u'", back ? "ROLLBACK" : "COMMIT",
             workload->prepared[which]);
    run(workload, session, sql);
    if (back)
        workload->counts.rollbacks++;
    else
        workload->counts.commits++;
    workload->prepared[which] = workload->prepared[--workload->n_prepared];
}

static void
start(struct workload *workload, struct session *session)
{
    session->large = once_in(workload, 6);
    session->left = 1 + any(workload, session->large ? 30 : 6);
    run(workload, session, "BEGIN");
    if (once_in(workload, 3))
        run(workload, session, "SET CONSTRAINTS ALL DEFERRED");
}

static void
end(struct workload *workload, struct session *session)
{
    unsigned fate = any(workload, 20);

    if (fate == 0)
        roll_back(workload, session);
    else if (fate <= 2 && workload->n_prepared < MAX_PREPARED)
        prepare(workload, session);
    else
        commit(workload, session);
}

static void
go_on(struct workload *workload, struct session *session)
{
    unsigned what = any(workload, 10);
    char sql[64];

    session->left--;
    if (session->left == 0) {
        end(workload, session);
    } else if (what < 2 && session->savepoints < MAX_SAVEPOINTS) {
        snprintf(sql, sizeof sql, "SAVEPOINT s%u", ++session->savepoints);
        run(workload, session, sql);
    } else if (what == 2 && session->savepoints > 0) {
        roll_back_to(workload, session);
    } else if (what == 3 && session->savepoints > 0) {
        snprintf(sql, sizeof sql, "RELEASE SAVEPOINT s%u", session->savepoints--);
        run(workload, session, sql);
    } else if (!run_statement(workload, session)) {
        recover(workload, session);
    }
}

static void
step(struct workload *workload, struct session *session)
{
    if (session->left > 0)
        go_on(workload, session);
    else if (workload->n_prepared > 0 && once_in(workload, 6))
        finish_prepared(workload, session);
    else if (once_in(workload, 2))
        start(workload, session);
    else if (run_statement(workload, session))
        workload->counts.commits++;
}

/* ---- the whole ---- */

void
workload_make(const struct pg_test_cluster *cluster, const char *dbname)
{
    sql_file(cluster, dbname, PH_TEST_DIR "/data/workload.sql");
}

const char *
workload_schema(void)
{
    return scratch_read(PH_TEST_DIR "/data/workload.sql");
}

uint64_t
workload_seed(void)
{
    const char *text = getenv("PH_WORKLOAD_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL) % 1000000;

    print_message("PH_WORKLOAD_SEED=%" PRIu64 "\n", seed);
    return seed;
}

struct workload *
workload_begin(const struct pg_test_cluster *cluster, const char *dbname, uint64_t seed)
{
    struct workload *workload = calloc(1, sizeof *workload);
    const char *log = getenv("PH_WORKLOAD_LOG");

    assert_non_null(workload);
    workload->seed = seed;
    workload->state = seed;
    workload->log = log == NULL ? NULL : fopen(log, "a");
    while (workload_tables[workload->n_tables].name != NULL)
        workload->n_tables++;
    while (workload_statements[workload->n_statements] != NULL)
        workload->n_statements++;
    for (unsigned i = 0; i < SESSIONS; i++) {
        workload->sessions[i].number = i;
        workload->sessions[i].conn = sql_connect(cluster, dbname);
        sql_exec(workload->sessions[i].conn, "SET lock_timeout = '20ms'; SET timezone = 'UTC'");
        if (i == 0)
            sql_exec(workload->sessions[i].conn, "SET synchronous_commit = off");
    }
    return workload;
}

void
workload_steps(struct workload *workload, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++)
        step(workload, &workload->sessions[any(workload, SESSIONS)]);
}

void
workload_settle(struct workload *workload)
{
    for (unsigned i = 0; i < SESSIONS; i++) {
        if (workload->sessions[i].left > 0)
            end(workload, &workload->sessions[i]);
    }
    while (workload->n_prepared > 0)
        finish_prepared(workload, &workload->sessions[0]);
}

struct workload_counts
workload_counts(const struct workload *workload)
{
    return workload->counts;
}

void
workload_end(struct workload *workload)
{
    workload_settle(workload);
    for (unsigned i = 0; i < SESSIONS; i++)
        PQfinish(workload->sessions[i].conn);
    if (workload->log != NULL)
        fclose(workload->log);
    free(workload);
}
