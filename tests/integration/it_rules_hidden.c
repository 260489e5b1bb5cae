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

#include <stdlib.h>
#include <string.h>

#define SECRET_TEXT "nobody knows it"
#define SECRET "secret: {env: PGHAUL_TEST_SECRET}\n"

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

static struct pair_db
begin(const char *name)
{
    static const char *const secret[] = {"PGHAUL_TEST_SECRET=" SECRET_TEXT, NULL};
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

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_route_masks),
        cmocka_unit_test(test_key_of_a_lookup),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
