/*
 * What is told of rows whose keys are masked: quarantine, messages, findings of the proof and of
 * checks. Nothing of it has a value of the source that a rule masks.
 */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_TEXT "nobody knows it"
#define SECRET "secret: {env: PGHAUL_TEST_SECRET}\n"

static struct pair pair;

static PGconn *pgcrypto; /* where the documentation's formula can be asked */

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    pgcrypto = sql_connect(pair.src, "postgres");
    sql_exec(pgcrypto, "CREATE EXTENSION pgcrypto");
    return 0;
}

static int
end(void **state)
{
    (void)state;
    PQfinish(pgcrypto);
    return 0;
}

static const char *const secret[] = {"PGHAUL_TEST_SECRET=" SECRET_TEXT, NULL};

static struct pair_db
begin(const char *name)
{
    struct pair_db db = pair_db_new(&pair, name);

    db.env = secret;
    return db;
}

/* Neither what it said nor what it left in the ledger has that. */
static void
lacks(struct pair_db *db, const struct run *run, const char *part)
{
    if (strstr(run_out(run), part) != NULL || strstr(run_err(run), part) != NULL)
        fail_msg("told %s:\n%s\n%s", part, run_out(run), run_err(run));
    assert_int_equal(
        sql_int(db->target,
                scratch_printf("SELECT count(*) FROM (SELECT query_to_xml(format('SELECT * FROM"
                               " pghaul.%%I', relname), true, false, '')::text AS t FROM pg_class"
                               " WHERE relnamespace = 'pghaul'::regnamespace AND relkind = 'r') x"
                               " WHERE t LIKE '%%%s%%'",
                               part)),
        0);
}

/* ---- quarantine ---- */

/* Of a route without a mask, beside one that has it. */
static void
test_another_route_masks(void **state)
{
    struct pair_db db = begin("another_route");
    const char *job = pair_job_file(
        &db, SECRET "tables:\n"
                    "  acct:\n"
                    "    into:\n"
                    "      - {table: a1, columns: {email: {mask: email}}, drop: [age]}\n"
                    "      - {table: a2, columns: {age: {do: [{cast: int4}]}}, drop: [email],"
                    " on_bad: quarantine}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE acct (email text PRIMARY KEY, name text, age text);"
                        "INSERT INTO acct VALUES ('leaky@secret.org', 'N', 'none')");
    sql_exec(db.target, "CREATE TABLE a1 (email text PRIMARY KEY, name text);"
                        "CREATE TABLE a2 (name text, age int)");
    struct run *run = pair_copy(&db, job, "--data-only");
    pair_expect(run, 4, "1 rows stayed behind");
    lacks(&db, run, "leaky");
    assert_int_equal(
        sql_int(db.target, "SELECT count(*) FROM pghaul.quarantine WHERE row_key ~ 'email=hmac:'"),
        1);
    pair_db_end(&db);
}

/* A dropped key is found on the source by the formula of docs/rules.md, whatever its type. */
static void
test_keys_are_found_again(void **state)
{
    static const char *const keys[][3] = {
        {"numeric", "1234.50", "k::text"},
        {"citext", "Abc", "k::text"},
        {"mood", "sad", "k::text"},
        {"mail", "a@b", "k::text"},
        {"short", "cd", "k::text"},
        {"char(9)", "ab", "k::text"},
        {"date", "2024-02-29", "k::text"},
        {"timestamptz", "2024-02-29 12:34:56.7+05", "k::text"},
        {"float8", "0.1", "k::text"},
        {"boolean", "t", "k::text"},
        {"bytea", "'\\x' || repeat('ab', 100)", "k::text"},
        {"interval", "3 days", "encode(interval_send(k), 'hex')"},
    };
    const size_t n = sizeof keys / sizeof keys[0];
    struct pair_db db = begin("found_again");
    const char *text = SECRET "tables:\n";

    (void)state;
    sql_exec(db.source, "CREATE EXTENSION pgcrypto; CREATE EXTENSION citext;"
                        "CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN mail AS text;"
                        "CREATE DOMAIN short AS char(5); SET timezone = 'UTC'");
    for (size_t i = 0; i < n; i++) {
        bool is_sql = keys[i][1][0] == '\'';
        sql_execf(db.source,
                  "CREATE TABLE t%zu (k %s PRIMARY KEY, email text, n text);"
                  "INSERT INTO t%zu VALUES ((%s%s%s)::%s, 'e', 'none')",
                  i, keys[i][0], i, is_sql ? "" : "'", keys[i][1], is_sql ? "" : "'", keys[i][0]);
        sql_execf(db.target, "CREATE TABLE t%zu (email text, n int)", i);
        text = scratch_printf("%s  t%zu: {columns: {email: {mask: email}, n: {do: [{cast: int4}]}},"
                              " drop: [k], on_bad: quarantine}\n",
                              text, i);
    }
    pair_expect(pair_copy(&db, pair_job_file(&db, text), "--data-only"), 4, "stayed behind");
    for (size_t i = 0; i < n; i++) {
        const char *key = sql_value(
            db.source, scratch_printf("SELECT '(k=hmac:' || left(encode(hmac(%s, '" SECRET_TEXT
                                      "', 'sha256'), 'hex'), 16) || ')' FROM t%zu",
                                      keys[i][2], i));
        if (sql_int(db.target, scratch_printf("SELECT count(*) FROM pghaul.quarantine"
                                              " WHERE row_key = '%s'",
                                              key)) != 1)
            fail_msg("%s is not found by %s", keys[i][0], key);
    }
    pair_db_end(&db);
}

/* What a lookup has not is named by its key. */
static void
test_key_of_a_lookup(void **state)
{
    struct pair_db db = begin("lookup_key");
    static const char rule[] = SECRET
        "tables:\n"
        "  users:\n"
        "    columns:\n"
        "      email: {mask: email}\n"
        "      owner: {lookup: {table: owners, key: email, value: no}, from: email, else: %s}\n";

    (void)state;
    sql_exec(db.source, "CREATE TABLE owners (email text PRIMARY KEY, no int NOT NULL);"
                        "CREATE TABLE users (id int PRIMARY KEY, email text);"
                        "INSERT INTO users VALUES (1, 'leaky@secret.org')");
    sql_exec(db.target, "CREATE TABLE users (id int PRIMARY KEY, email text, owner int)");
    for (int i = 0; i < 2; i++) {
        struct run *run = pair_copy(
            &db, pair_job_file(&db, scratch_printf(rule, i == 0 ? "error" : "quarantine")),
            "--data-only", "--table", "users", "--restart", "--yes");
        pair_expect(run, i == 0 ? 1 : 4,
                    i == 0 ? "public.owners.email does not have the value" : "stayed behind");
        lacks(&db, run, "leaky");
    }
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.quarantine WHERE reason ~"
                                        " 'does not have the value'"),
                     1);
    pair_db_end(&db);
}

/* ---- rows that differ ---- */

/* Told by the key that they have on the target, of `n` rows one that differs and one missing. */
static void
verify_tells(struct pair_db *db, const char *job, const char *changed, const char *missing)
{
    struct run *run = pair_run(db, "verify", job, "--data-only", "--repair", "--dry-run");

    pair_expect(run, 4, changed);
    pair_expect(run, 4, missing);
    lacks(db, run, "leaky");
}

static const char *
key_of(struct pair_db *db, const char *column, int amount)
{
    return sql_value(db->target,
                     scratch_printf("SELECT %s FROM acct WHERE amount = %d", column, amount));
}

/* The source has a column of the key's name, which is dropped, and a row in the clear elsewhere. */
static void
test_rows_by_their_masks(void **state)
{
    struct pair_db db = begin("masked_rows");
    static const char rule[] =
        SECRET "tables:\n"
               "  acct:\n"
               "    columns: {%s: {mask: email%s}, amount: {do: [{multiply: 1}]}}\n%s";
    static const char *const columns[][3] = {{"email", "", ""},
                                             {"other", ", from: email", ""},
                                             {"mail", ", from: email", "    drop: [mail]\n"}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *column = columns[i][0];
        const char *job =
            pair_job_file(&db, scratch_printf(rule, column, columns[i][1], columns[i][2]));
        sql_execf(db.source,
                  "DROP TABLE IF EXISTS acct; CREATE TABLE acct (email text PRIMARY KEY, %s amount"
                  " int); INSERT INTO acct SELECT 'leaky' || g || '@secret.org', %s g FROM"
                  " generate_series(1, 3) g",
                  i == 2 ? "mail text," : "", i == 2 ? "'leaky mail'," : "");
        sql_execf(db.target,
                  "DROP TABLE IF EXISTS acct; CREATE TABLE acct (%s text PRIMARY KEY, amount int)",
                  column);
        pair_expect(pair_copy(&db, job, "--data-only", "--restart", "--yes"), 0, "proven");
        const char *one = key_of(&db, column, 1);
        const char *two = key_of(&db, column, 2);
        sql_exec(db.target, "UPDATE acct SET amount = 7 WHERE amount = 1;"
                            "DELETE FROM acct WHERE amount = 2");
        verify_tells(&db, job, scratch_printf("(%s=%s) differs in amount", column, one),
                     scratch_printf("(%s=%s) is missing on the target", column, two));
    }
    pair_db_end(&db);
}

/* The copy keeps in its ledger what its proof has found. */
static void
test_the_proof_keeps_masks(void **state)
{
    struct pair_db db = begin("masked_proof");
    const char *job = pair_job_file(
        &db, SECRET "tables: {acct: {columns: {email: {mask: email}, amount: {do: [abs]}}}}\n");
    static const char *const killed[] = {"PGHAUL_TEST_SECRET=" SECRET_TEXT,
                                         "PGHAUL_FAILPOINT=after_commit=kill@1", NULL};

    (void)state;
    sql_exec(db.source, "CREATE TABLE acct (email text PRIMARY KEY, amount int);"
                        "INSERT INTO acct VALUES ('leaky@secret.org', 1)");
    sql_exec(db.target, "CREATE TABLE acct (email text PRIMARY KEY, amount int)");
    db.env = killed;
    assert_int_equal(pair_copy(&db, job, "--data-only")->code, -SIGKILL);
    sql_exec(db.target, "UPDATE acct SET amount = 2");
    db.env = secret;
    struct run *run = pair_copy(&db, job, "--data-only");
    pair_expect(run, 4, ") differs in amount");
    lacks(&db, run, "leaky");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.finding, acct WHERE finding"
                                        " LIKE '%(email=' || email || ') differs in amount%'"),
                     1);
    pair_db_end(&db);
}

/* The source has no column of the key's name at all. */
static void
test_rows_of_columns_and_elements(void **state)
{
    struct pair_db db = begin("made_rows");
    const char *job =
        pair_job_file(&db, "tables:\n"
                           "  phones: {unpivot: {columns: [home, work], name: k, value: v}}\n"
                           "  lists: {each: {column: a, value: v, position: n}}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE phones (id int PRIMARY KEY, home text, work text);"
                        "CREATE TABLE lists (id int PRIMARY KEY, a int[]);"
                        "INSERT INTO phones VALUES (1, 'h', 'w'), (2, 'h', 'w');"
                        "INSERT INTO lists VALUES (1, '{5,6}'), (2, '{7,8}')");
    sql_exec(db.target, "CREATE TABLE phones (id int, k text, v text, PRIMARY KEY (id, k));"
                        "CREATE TABLE lists (id int, v int, n int, PRIMARY KEY (id, n))");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    sql_exec(db.target, "UPDATE phones SET v = 'x' WHERE id = 1 AND k = 'home';"
                        "DELETE FROM phones WHERE id = 2 AND k = 'work';"
                        "UPDATE lists SET v = 0 WHERE id = 1 AND n = 1;"
                        "DELETE FROM lists WHERE id = 2 AND n = 1");
    verify_tells(&db, job, "(id=1, k=home) differs in v", "(id=2, k=work) is missing");
    verify_tells(&db, job, "(id=1, n=1) differs in v", "(id=2, n=1) is missing");
    pair_db_end(&db);
}

/* ---- checks of the source ---- */

/* "email=hmac:…" as the documentation says that the value is found by it. */
static const char *
hidden(const char *column, const char *value)
{
    return scratch_printf(
        "%s=hmac:%s", column,
        sql_value(pgcrypto, scratch_printf("SELECT left(encode(hmac('%s', '" SECRET_TEXT
                                           "', 'sha256'), 'hex'), 16)",
                                           value)));
}

static void
test_checks_of_the_source(void **state)
{
    struct pair_db db = begin("source_checks");
    const char *there = pg_test_conninfo(pair.src, db.name);
    const char *job = pair_job_file(
        &db,
        scratch_printf(SECRET "tables:\n"
                              "  acct: {columns: {email: {mask: email}, code: {mask: text}}}\n"
                              "checks:\n"
                              "  - orphans: {table: acct, columns: [email], references: refs, key:"
                              " [e], on: source}\n"
                              "  - orphans: {table: acct, columns: [email], references: refs, key:"
                              " [e], on: source, database: \"%s\"}\n"
                              "  - unique: {table: acct, columns: [email], on: source}\n"
                              "  - matrix: {table: acct, columns: [n, code], on: source}\n"
                              "  - matrix: {table: seen, columns: [email], on: source}\n",
                       there));

    (void)state;
    sql_exec(db.source,
             "CREATE TABLE refs (e text PRIMARY KEY);"
             "CREATE TABLE acct (id int PRIMARY KEY, email text, code char(9), n int);"
             "INSERT INTO acct SELECT g, 'leaky@secret.org', 'leaky', 5 FROM generate_series(1, 2)"
             " g; CREATE VIEW seen AS SELECT email FROM acct");
    sql_exec(db.target, "CREATE TABLE acct (id int PRIMARY KEY, email text, code char(9), n int)");
    struct run *run = pair_copy(&db, job, "--data-only", "--table", "acct");
    const char *email = hidden("email", "leaky@secret.org");
    pair_expect(run, 0, scratch_printf("1 values are orphans in 2 rows: (%s) 2 times", email));
    pair_expect(run, 0, scratch_printf("1 of 1 values are orphans, in 2 rows: (%s)", email));
    pair_expect(run, 0, scratch_printf("occur more than once in 2 rows: (%s) 2 times", email));
    pair_expect(run, 0, scratch_printf("n=5, %s: 2 rows", hidden("code", "leaky")));
    pair_expect(run, 0, scratch_printf("%s: 2 rows", email));
    lacks(&db, run, "leaky");
    pair_db_end(&db);
}

/* ---- where the route or the partition at hand has no mask ---- */

/* The source brings a key that stays there, on a route that does not mask it. */
static void
test_collisions_of_another_route(void **state)
{
    struct pair_db db = begin("collisions");
    const char *job =
        pair_job_file(&db, SECRET "tables:\n"
                                  "  acct:\n"
                                  "    into:\n"
                                  "      - {table: a1, columns: {email: {mask: email}}}\n"
                                  "      - {table: a2, preserve: \"kept\"}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE acct (email text PRIMARY KEY, name text);"
                        "INSERT INTO acct VALUES ('leaky@secret.org', 'N')");
    sql_exec(db.target, "CREATE TABLE a1 (email text PRIMARY KEY, name text);"
                        "CREATE TABLE a2 (email text PRIMARY KEY, name text, kept boolean);"
                        "INSERT INTO a2 VALUES ('leaky@secret.org', 'old', true)");
    struct run *run = pair_run(&db, "check", job, "--data-only");
    pair_expect(run, 3,
                scratch_printf("1 rows of the source have keys of rows that stay on the target "
                               "(a2_pkey): %s",
                               hidden("email", "leaky@secret.org")));
    assert_null(strstr(run_out(run), "leaky"));
    assert_null(strstr(run_err(run), "leaky"));
    pair_db_end(&db);
}

/* A row that is not there, on a route that does not mask its key, and of a partition without any.
 */
static void
test_conflicts(void **state)
{
    static const char *const wanted[][2] = {{"DELETE FROM a2", "UPDATE acct SET name = 'M'"},
                                            {"DELETE FROM p WHERE n > 9", "UPDATE p2 SET name ="
                                                                          " 'M'"}};
    struct pair_db db = begin("conflicts");
    const char *job =
        pair_job_file(&db, SECRET "tables:\n"
                                  "  acct:\n"
                                  "    into:\n"
                                  "      - {table: a1, columns: {email: {mask: email}}}\n"
                                  "      - {table: a2}\n"
                                  "  p1: {columns: {email: {mask: email}}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE p (n int, email text, name text, PRIMARY KEY (n, email))"
                   " PARTITION BY RANGE (n);"
                   "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
                   "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)");
    sql_exec(db.source, "CREATE TABLE acct (email text PRIMARY KEY, name text);"
                        "INSERT INTO acct VALUES ('leaky@secret.org', 'N');"
                        "INSERT INTO p VALUES (1, 'leaky@secret.org', 'N'),"
                        " (11, 'leaky@secret.org', 'N')");
    sql_exec(db.target, "CREATE TABLE a1 (email text PRIMARY KEY, name text);"
                        "CREATE TABLE a2 (email text PRIMARY KEY, name text)");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (i > 0)
            run = pair_follow(&db, job, "--data-only");
        sql_exec(db.target, wanted[i][0]);
        sql_exec(db.source, wanted[i][1]);
        pair_expect(run, 1, hidden("email", "leaky@secret.org"));
        lacks(&db, run, "leaky");
        sql_exec(db.target, "INSERT INTO a2 SELECT 'leaky@secret.org', 'N' WHERE NOT EXISTS"
                            " (SELECT FROM a2)");
    }
    pair_db_end(&db);
}

/* Its partition has no rule, its table has: messages of a copy, and of rows that differ. */
static void
test_partitions_without_a_rule(void **state)
{
    struct pair_db db = begin("partition");
    const char *job =
        pair_job_file(&db, SECRET "tables:\n  p1: {columns: {email: {mask: email}}}\n");
    const char *email = hidden("email", "leaky@secret.org");

    (void)state;
    pair_both(&db, "CREATE TABLE p (email text, n int, name text, PRIMARY KEY (n, email))"
                   " PARTITION BY RANGE (n);"
                   "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
                   "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)");
    sql_exec(db.source, "INSERT INTO p VALUES ('leaky@secret.org', 1, 'N'),"
                        " ('leaky@secret.org', 11, repeat('N', 2000000))");
    struct run *run = pair_copy(&db, job, "--data-only", "--max-row", "1MB");
    pair_expect(run, 1, email);
    lacks(&db, run, "leaky");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    sql_exec(db.target, "UPDATE p2 SET name = 'other'");
    run = pair_run(&db, "verify", job, "--data-only", "--name", db.name);
    pair_expect(run, 4, email);
    lacks(&db, run, "leaky");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_route_masks),
        cmocka_unit_test(test_keys_are_found_again),
        cmocka_unit_test(test_key_of_a_lookup),
        cmocka_unit_test(test_rows_by_their_masks),
        cmocka_unit_test(test_the_proof_keeps_masks),
        cmocka_unit_test(test_rows_of_columns_and_elements),
        cmocka_unit_test(test_checks_of_the_source),
        cmocka_unit_test(test_collisions_of_another_route),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_partitions_without_a_rule),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, end);
}
