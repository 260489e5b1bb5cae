#include "support/bank.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/sql.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TELLERS 4
#define ACCOUNTS 200u
#define RENUMBERED 100000u /* added to the key of an account that has its second one */
#define BIG_TRANSFERS 1500u
#define PAUSE_US 8000u

struct teller {
    pthread_t thread;
    const struct bank *bank;
    unsigned number;
    uint64_t state;
    unsigned gid;
    PGconn *conn;
};

struct bank {
    struct teller tellers[TELLERS];
    const char *conninfo;
    atomic_bool closing;
    _Atomic uint64_t transfers;
};

static const char schema[] =
    "CREATE SCHEMA bank;"
    "CREATE TABLE bank.account (id int PRIMARY KEY, balance bigint NOT NULL,"
    " moves bigint NOT NULL DEFAULT 0, papers text);"
    "ALTER TABLE bank.account ALTER papers SET STORAGE EXTERNAL;"
    "CREATE TABLE bank.vault (LIKE bank.account INCLUDING ALL);"
    "CREATE TABLE bank.transfer (id bigserial PRIMARY KEY, payer int, payee int, amount bigint,"
    " at timestamptz DEFAULT now());"
    "CREATE TABLE bank.archive (id int PRIMARY KEY, pages text);"
    "INSERT INTO bank.account SELECT i, 1000, 0, repeat(md5(i::text), 100)"
    " FROM generate_series(0, 199) i;"
    "INSERT INTO bank.vault VALUES (0, 0, 0, NULL);"
    "INSERT INTO bank.archive SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 12000) i";

/* Each transfer counts once for the payer and once for the payee. */
static const char books[] =
    "SELECT CASE WHEN money <> 200000 OR moves <> 2 * transfers THEN 'money ' || money || ', moves "
    "'"
    " || moves || ', transfers ' || transfers ELSE '' END FROM (SELECT"
    " (SELECT sum(balance) FROM bank.account) + (SELECT sum(balance) FROM bank.vault) AS money,"
    " (SELECT sum(moves) FROM bank.account) + (SELECT sum(moves) FROM bank.vault) AS moves,"
    " (SELECT count(*) FROM bank.transfer) AS transfers) s";

/* ---- chance and time ---- */

static unsigned
any(struct teller *teller, unsigned below)
{
    uint64_t z = teller->state += 0x9e3779b97f4a7c15u; /* splitmix64 */

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((z ^ (z >> 31)) % below);
}

static void
pause_us(unsigned us)
{
    struct timespec pause = {us / 1000000, (long)(us % 1000000) * 1000};

    nanosleep(&pause, NULL);
}

/* ---- a teller's work; nothing here may fail the test, for that is up to the main thread ---- */

static void
ignore_notice(void *arg, const PGresult *result)
{
    (void)arg;
    (void)result;
}

static bool
run(struct teller *teller, const char *sql)
{
    PGresult *result = PQexec(teller->conn, sql);
    bool ok =
        PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;

    PQclear(result);
    return ok;
}

/* What a crash left prepared would keep its rows locked for ever. */
static void
end_prepared(struct teller *teller)
{
    char sql[200];

    snprintf(sql, sizeof sql,
             "SELECT 'ROLLBACK PREPARED ''' || gid || '''' FROM pg_prepared_xacts WHERE"
             " database = current_database() AND gid LIKE 'bank %u %%'",
             teller->number);
    PGresult *result = PQexec(teller->conn, sql);
    for (int i = 0; PQresultStatus(result) == PGRES_TUPLES_OK && i < PQntuples(result); i++)
        run(teller, PQgetvalue(result, i, 0));
    PQclear(result);
}

static bool
has_connection(struct teller *teller)
{
    if (teller->conn != NULL && PQstatus(teller->conn) == CONNECTION_OK)
        return true;
    PQfinish(teller->conn);
    teller->conn = PQconnectdb(teller->bank->conninfo);
    if (PQstatus(teller->conn) != CONNECTION_OK)
        return false;
    PQsetNoticeReceiver(teller->conn, ignore_notice, NULL);
    end_prepared(teller);
    return true;
}

/* The lower account first, so that no two tellers wait for each other (for long). */
static void
make_transfer(struct teller *teller, char *sql, size_t size)
{
    unsigned a = any(teller, ACCOUNTS);
    unsigned b = (a + 1 + any(teller, ACCOUNTS - 1)) % ACCOUNTS;
    int amount = (int)any(teller, 200) - 100;
    const char *other = any(teller, 10) == 0 ? "vault" : "account";

    if (a > b) {
        unsigned swapped = a;
        a = b;
        b = swapped;
    }
    if (strcmp(other, "vault") == 0)
        b = 0;
    snprintf(sql, size,
             "UPDATE bank.account SET balance = balance - %d, moves = moves + 1"
             " WHERE id IN (%u, %u);"
             "UPDATE bank.%s SET balance = balance + %d, moves = moves + 1 WHERE id IN (%u, %u);"
             "INSERT INTO bank.transfer (payer, payee, amount) VALUES (%u, %u, %d)",
             amount, a, a + RENUMBERED, other, amount, b, b + RENUMBERED, a, b, amount);
}

static bool
transfer(struct teller *teller)
{
    char sql[1000];

    make_transfer(teller, sql, sizeof sql);
    return run(teller, sql);
}

static bool
mistake(struct teller *teller)
{
    return run(teller, "SAVEPOINT mistake") && transfer(teller) &&
           run(teller, "ROLLBACK TO SAVEPOINT mistake") && transfer(teller);
}

/* Its papers are not in the message: nobody touched them. */
static bool
renumber(struct teller *teller)
{
    char sql[300];
    unsigned k = any(teller, ACCOUNTS);

    snprintf(sql, sizeof sql,
             "UPDATE bank.account SET id = CASE WHEN id < %u THEN id + %u ELSE id - %u END"
             " WHERE id IN (%u, %u)",
             RENUMBERED, RENUMBERED, RENUMBERED, k, k + RENUMBERED);
    return run(teller, sql);
}

/* Locked, for an update that waits for a row to be deleted does not find its successor. */
static bool
open_anew(struct teller *teller)
{
    char sql[400];
    unsigned k = any(teller, ACCOUNTS);

    snprintf(sql, sizeof sql,
             "LOCK TABLE bank.account IN SHARE ROW EXCLUSIVE MODE;"
             "WITH gone AS (DELETE FROM bank.account WHERE id IN (%u, %u) RETURNING *)"
             " INSERT INTO bank.account SELECT id %% %u + %u, balance, moves, papers FROM gone",
             k, k + RENUMBERED, RENUMBERED, any(teller, 2) * RENUMBERED);
    return run(teller, sql);
}

/* Everybody pays the next one; many entries of nothing, all counted by one account. */
static bool
settle_all(struct teller *teller)
{
    char sql[800];
    unsigned k = any(teller, ACCOUNTS);

    snprintf(sql, sizeof sql,
             "LOCK TABLE bank.account IN SHARE ROW EXCLUSIVE MODE;"
             "UPDATE bank.account a SET balance = a.balance + d FROM (SELECT id,"
             " row_number() OVER (ORDER BY id) * 2 - count(*) OVER () - 1 AS d FROM bank.account) s"
             " WHERE s.id = a.id; SAVEPOINT entries;"
             "INSERT INTO bank.transfer (payer, payee, amount) SELECT %u, %u, 0"
             " FROM generate_series(1, %u); RELEASE SAVEPOINT entries;"
             "UPDATE bank.account SET moves = moves + 2 * %u WHERE id IN (%u, %u)",
             k, k, BIG_TRANSFERS, BIG_TRANSFERS, k, k + RENUMBERED);
    return run(teller, sql);
}

static bool
commit_prepared(struct teller *teller)
{
    char sql[100];
    unsigned gid = teller->gid++;

    snprintf(sql, sizeof sql, "PREPARE TRANSACTION 'bank %u %u'", teller->number, gid);
    if (!run(teller, sql))
        return false;
    pause_us(any(teller, 20000));
    snprintf(sql, sizeof sql, "COMMIT PREPARED 'bank %u %u'", teller->number, gid);
    return run(teller, sql);
}

/* Whether it committed. */
static bool
work(struct teller *teller)
{
    unsigned what = any(teller, 100);
    bool ok = run(teller, "BEGIN");

    if (what < 10)
        ok = ok && mistake(teller);
    else if (what < 15)
        ok = ok && renumber(teller);
    else if (what < 20)
        ok = ok && open_anew(teller);
    else if (what == 20 && any(teller, 3) == 0)
        ok = ok && settle_all(teller);
    else
        ok = ok && transfer(teller);
    if (ok && what >= 95)
        return commit_prepared(teller);
    if (ok && what >= 90)
        ok = false;
    if (!run(teller, ok ? "COMMIT" : "ROLLBACK"))
        return false;
    return ok;
}

static void *
serve(void *arg)
{
    struct teller *teller = arg;
    struct bank *bank = (struct bank *)teller->bank;

    while (!atomic_load(&bank->closing)) {
        if (!has_connection(teller))
            pause_us(50000);
        else if (work(teller))
            atomic_fetch_add(&bank->transfers, 1);
        pause_us(any(teller, 2 * PAUSE_US));
    }
    PQfinish(teller->conn);
    return NULL;
}

/* ---- the whole ---- */

void
bank_make(const struct pg_test_cluster *cluster, const char *dbname)
{
    sql_once(cluster, dbname, schema);
}

struct bank *
bank_begin(const struct pg_test_cluster *cluster, const char *dbname, uint64_t seed)
{
    struct bank *bank = scratch_keep(calloc(1, sizeof *bank));

    assert_non_null(bank);
    bank->conninfo = scratch_printf("%s connect_timeout=5", pg_test_conninfo(cluster, dbname));
    for (unsigned i = 0; i < TELLERS; i++) {
        struct teller *teller = &bank->tellers[i];
        *teller = (struct teller){.bank = bank, .number = i, .state = seed * TELLERS + i};
        assert_int_equal(pthread_create(&teller->thread, NULL, serve, teller), 0);
    }
    return bank;
}

void
bank_end(struct bank *bank)
{
    atomic_store(&bank->closing, true);
    for (unsigned i = 0; i < TELLERS; i++)
        pthread_join(bank->tellers[i].thread, NULL);
}

uint64_t
bank_transfers(const struct bank *bank)
{
    return atomic_load(&bank->transfers);
}

const char *
bank_wrong(PGconn *conn)
{
    PGresult *result = PQexec(conn, books);
    const char *wrong;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        wrong = scratch_printf("error: %s", PQerrorMessage(conn));
    else
        wrong =
            scratch_printf("%s", PQgetisnull(result, 0, 0) ? "no rows" : PQgetvalue(result, 0, 0));
    PQclear(result);
    return wrong;
}
