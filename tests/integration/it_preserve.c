/*
 * Columns and rows of the target that stay: what arrives is compared with what SQL makes of the
 * source and of the rows that the target had, whatever happens to the copy in between.
 */
/* timeout: 600 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/hold.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

/* ---- a table of keys: some rows are of both sides, some stay whole, some are new ---- */

#define PRESERVED                                                                                  \
    "tables:\n"                                                                                    \
    "  accounts:\n"                                                                                \
    "    columns: {api_key: {do: [upper]}, state: {from: status}}\n"                               \
    "    preserve: {rows: \"env = 'own'\", columns: [secret, api_key, extra, label]}\n"

/* One more row of every kind than fits into a question. */
#define ROWS "12000"

static void
make_accounts(struct pair_db *db)
{
    pair_both(db, "CREATE EXTENSION citext; CREATE TYPE kind AS ENUM ('a', 'b');"
                  "CREATE DOMAIN tenant AS text CHECK (value <> '');"
                  "CREATE SCHEMA t; CREATE TABLE t.old (tenant text, id numeric, code citext,"
                  " name text, env text, api_key text, secret bytea, extra jsonb, state kind,"
                  " label char(8))");
    sql_exec(db->source,
             "CREATE TABLE accounts (tenant tenant, id numeric, code citext, name text NOT NULL,"
             " env text, api_key text, secret bytea, extra jsonb, status kind, label char(8),"
             " PRIMARY KEY (tenant, id, code));"
             "INSERT INTO accounts SELECT 't' || g % 7, g, 'Code' || g, repeat('n', 1200) || g,"
             " 'all', nullif('source ' || g, 'source 11'), nullif(sha256(g::text::bytea),"
             " sha256('13')), jsonb_build_object('g', g), (ARRAY['a', 'b'])[1 + g % 2]::kind,"
             " 's' || g FROM generate_series(1, " ROWS ") g");
    /* the same keys by other bytes: a scale more, capitals; a third stays whole or is none of ours
     */
    pair_both(db, "INSERT INTO t.old SELECT 't' || g % 7, g::numeric(12, 2), 'cODE' || g, 'old',"
                  " CASE WHEN g % 50 = 25 THEN 'own' WHEN g % 3 = 0 THEN NULL ELSE 'theirs' END,"
                  " nullif('target ' || g, 'target 17'), decode(repeat('0f', g % 90), 'hex'),"
                  " CASE WHEN g % 4 > 0 THEN jsonb_build_array(repeat('x', g % 300)) END, 'a', 'o'"
                  " FROM generate_series(1, 20000, 2) g");
    sql_exec(db->target,
             "CREATE TABLE accounts (tenant tenant, id numeric, code citext, name text NOT NULL,"
             " env text, state kind, api_key text, secret bytea, extra jsonb, label char(8),"
             " size int GENERATED ALWAYS AS (length(api_key)) STORED,"
             " PRIMARY KEY (tenant, id, code));"
             "INSERT INTO accounts (tenant, id, code, name, env, api_key, secret, extra, state,"
             " label) SELECT * FROM t.old; ANALYZE accounts");
}

/* What the source should make of the target. */
static const char expected_rows[] =
    "SELECT s.tenant, s.id, s.code, s.name, s.env, CASE WHEN o.id IS NULL THEN upper(s.api_key)"
    " ELSE o.api_key END, CASE WHEN o.id IS NULL THEN s.secret ELSE o.secret END,"
    " CASE WHEN o.id IS NULL THEN s.extra ELSE o.extra END, s.status,"
    " CASE WHEN o.id IS NULL THEN s.label ELSE o.label END FROM accounts s"
    " LEFT JOIN t.old o ON o.tenant = s.tenant AND o.id = s.id AND o.code = s.code"
    " WHERE o.env IS DISTINCT FROM 'own'"
    " UNION ALL SELECT tenant, id, code, name, env, api_key, secret, extra, state, label FROM t.old"
    " WHERE env = 'own' ORDER BY 1, 2, 3";
static const char arrived_rows[] =
    "SELECT tenant, id, code, name, env, api_key, secret, extra, state, label FROM accounts"
    " ORDER BY 1, 2, 3";

static void
accounts_are_right(struct pair_db *db)
{
    pair_same_as(db, expected_rows, arrived_rows);
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM accounts WHERE size IS DISTINCT FROM"
                                         " length(api_key)"),
                     0);
}

/* Nothing that was set aside is left. */
static void
nothing_is_aside(struct pair_db *db)
{
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON"
                                         " n.oid = relnamespace WHERE nspname = 'pghaul' AND"
                                         " relname LIKE 'preserved\\_%' AND relkind = 'r'"),
                     0);
    assert_int_equal(sql_int(db->target, "SELECT count(*) FROM pghaul.preserved"), 0);
}

#define ACCOUNTS "--data-only", "--schema", "public"
#define INTO_OLD ACCOUNTS, "--truncate", "--yes", "--split", "1MB", "--jobs", "2"

/* Of the only table in the report. */
static void
left_out_are(const char *report, int n)
{
    json_t *root = json_load_file(report, 0, NULL);
    json_t *table = json_array_get(json_object_get(root, "tables"), 0);

    assert_int_equal(json_integer_value(json_object_get(table, "rows_left_out")), n);
    assert_int_equal(json_integer_value(json_object_get(table, "rows")), 12000 - n);
    json_decref(root);
}

static void
test_columns_stay(void **state)
{
    struct pair_db db = pair_db_new(&pair, "columns_stay");
    const char *job = pair_job_file(&db, PRESERVED);
    const char *report = scratch_printf("%s/preserved.json", scratch_dir());

    (void)state;
    make_accounts(&db);
    pair_expect(pair_copy(&db, job, ACCOUNTS), 3, "already has rows");
    pair_expect(pair_run(&db, "check", job, ACCOUNTS, "--truncate", "--yes"), 0, "ready");
    struct run *run = pair_copy(&db, job, INTO_OLD, "--report", report);
    pair_expect(run, 0, "proven");
    pair_expect(run, 0, "9600 rows of the target keep api_key, secret, extra, label");
    pair_expect(run, 0, "400 stay whole, and 240 rows of the source with their keys were left out");
    accounts_are_right(&db);
    nothing_is_aside(&db);
    left_out_are(report, 240);
    /* what the ledger has kept of it */
    pair_expect(pair_copy(&db, job, INTO_OLD, "--report", report), 0, "240 left out");
    left_out_are(report, 240);
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS, "--split", "1MB"), 0, "agree");
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS, "--verify", "count"), 0, "agree");
    pair_expect(pair_run(&db, "rules", "explain", job, ACCOUNTS), 0,
                "where the target has the row, what it has");
    pair_expect(pair_run(&db, "rules", "test", job, ACCOUNTS), 0, "SOURCE 1");
    pair_db_end(&db);
}

/* What is the target's own is not compared afterwards; everything else is. */
static void
test_verify(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_verify");
    const char *job = pair_job_file(&db, PRESERVED);

    (void)state;
    make_accounts(&db);
    pair_expect(pair_copy(&db, job, INTO_OLD), 0, "proven");
    sql_exec(db.target, "UPDATE accounts SET api_key = 'a new one', secret = NULL WHERE id < 300;"
                        "UPDATE accounts SET name = 'its own' WHERE env = 'own'");
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS), 0, "agree");
    sql_exec(db.target, "UPDATE accounts SET name = 'damaged' WHERE id = 301");
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS), 4, "id=301, code=Code301) differs in name");
    sql_exec(db.target, "UPDATE accounts SET name = repeat('n', 1200) || 301 WHERE id = 301;"
                        "DELETE FROM accounts WHERE id = 303");
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS), 4, "id=303, code=Code303) is missing");
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS, "--verify", "count"), 4, "different");
    pair_db_end(&db);
}

/* ---- killed ---- */

static const char *const points[] = {
    "before_prepare_commit",
    "before_truncate_commit",
    "after_truncate_commit",
    "before_plan_commit",
    "after_claim",
    "before_write",
    "after_commit",
    "before_commit",
    "after_copy_before_receipt",
    "before_restore",
    "before_verdict_commit",
    "after_verdict",
};

#define kill_at(db, job, point, ...)                                                               \
    kill_args(db, point, (const char *const[]){job, __VA_ARGS__, NULL})

static void
kill_args(struct pair_db *db, const char *point, const char *const *args)
{
    const char *env[] = {scratch_printf("PGHAUL_FAILPOINT=%s=kill", point), NULL};

    db->env = env;
    struct run *run = pair_run_args(db, "copy", args);
    db->env = NULL;
    if (run->code != -SIGKILL)
        fail_msg("not killed at %s:\n%s", point, run_err(run));
}

/* At each place in turn, by one job. */
static void
test_killed_again_and_again(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_killed");
    const char *job = pair_job_file(&db, PRESERVED);

    (void)state;
    make_accounts(&db);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        kill_at(&db, job, points[i], INTO_OLD);
    pair_expect(pair_copy(&db, job, INTO_OLD), 0, "240 rows of the source with their keys");
    accounts_are_right(&db);
    nothing_is_aside(&db);
    pair_expect(pair_run(&db, "verify", job, ACCOUNTS), 0, "agree");
    pair_db_end(&db);
}

/* The sessions that ask for values are ended while rows are on their way. */
static void
test_lost_sessions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "lost");
    const char *job = pair_job_file(&db, PRESERVED);

    (void)state;
    make_accounts(&db);
    db.env = hold_at_passage("before_write", 2);
    struct run *run = pair_start_args(&db, "copy", (const char *const[]){job, INTO_OLD, NULL});
    hold_wait(run);
    sql_wait_true(pair.dst, db.name,
                  "SELECT count(pg_terminate_backend(pid, 10000)) > 0 FROM pg_stat_activity WHERE"
                  " application_name LIKE 'pghaul% preserved' AND datname = current_database()",
                  60000);
    hold_release();
    pair_expect(run, 0, "proven");
    db.env = NULL;
    accounts_are_right(&db);
    nothing_is_aside(&db);
    pair_db_end(&db);
}

/* The snapshot is gone with the run: what was loaded is deleted and comes once more. */
static void
test_lost_snapshot(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_snapshot");
    const char *job = pair_job_file(&db, PRESERVED);

    (void)state;
    make_accounts(&db);
    const char *env[] = {"PGHAUL_FAILPOINT=before_commit=kill@2", NULL};
    db.env = env;
    struct run *run = pair_copy(&db, job, INTO_OLD, "--hold", "1s");
    assert_int_equal(run->code, -SIGKILL);
    db.env = NULL;
    sql_wait_true(pair.src, db.name,
                  "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pghaul%'"
                  " AND datname = current_database()",
                  60000);
    sql_exec(db.source, "DELETE FROM accounts WHERE id % 10 = 1; UPDATE accounts SET name = 'later'"
                        " WHERE id % 10 = 3");
    pair_expect(pair_copy(&db, job, INTO_OLD, "--hold", "1s"), 0, "proven");
    accounts_are_right(&db);
    pair_db_end(&db);
}

/* Whoever starts over, cleans up or begins another job does not lose what is aside. */
static void
test_nobody_loses_them(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_others");
    const char *job = pair_job_file(&db, PRESERVED);

    (void)state;
    make_accounts(&db);
    kill_at(&db, job, "before_receipt", INTO_OLD);
    const char *other = scratch_write("preserve_other.yaml", PRESERVED "name: another\n");
    pair_expect(pair_copy(&db, other, INTO_OLD, "--name", "another"), 3,
                "has set values of it aside and has not brought all of them back");
    pair_expect(pair_run(&db, "clean", job, "--yes"), 3, "has set values of it aside");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.preserved"), 1);
    const char *less = scratch_write("preserve_less.yaml", "tables:\n"
                                                           "  accounts:\n"
                                                           "    columns: {state: {from: status}}\n"
                                                           "    preserve: {columns: [secret]}\n");
    pair_expect(pair_copy(&db, less, INTO_OLD, "--restart"), 3,
                "has set other columns of it aside");
    const char *none =
        scratch_write("preserve_none.yaml", "tables:\n"
                                            "  accounts: {columns: {state: {from: status}}}\n");
    pair_expect(pair_copy(&db, none, INTO_OLD, "--restart"), 3, "the rules preserve none now");
    pair_expect(pair_copy(&db, job, INTO_OLD, "--restart"), 0, "proven");
    accounts_are_right(&db);
    nothing_is_aside(&db);
    pair_expect(pair_run(&db, "clean", job, "--yes"), 0, NULL);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pg_namespace WHERE nspname ="
                                        " 'pghaul'"),
                     0);
    pair_db_end(&db);
}

/* Begun anew and refused, the job is gone; whoever wants no values back says so by dropping them.
 */
static void
test_given_up(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_given_up");
    const char *job = pair_job_file(&db, "tables: {keys: {preserve: {columns: [v]}}}");
    const char *none = scratch_write("preserve_given_up_none.yaml", "tables: {keys: {}}");

    (void)state;
    pair_both(&db, "CREATE TABLE keys (id int PRIMARY KEY, v text); INSERT INTO keys VALUES (1, "
                   "'a')");
    kill_at(&db, job, "before_plan_commit", "--data-only", "--truncate", "--yes");
    pair_expect(pair_copy(&db, none, "--data-only", "--truncate", "--yes", "--restart"), 3,
                "the rules preserve none now");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.job"), 0);
    pair_expect(pair_run(&db, "clean", job, "--yes"), 3, "public.keys");
    const char *kept_in =
        scratch_printf("%s", sql_value(db.target, "SELECT kept_in FROM pghaul.preserved"));
    assert_string_equal(sql_rows(db.target, scratch_printf("SELECT * FROM pghaul.%s", kept_in)),
                        "1|a|f\n");
    sql_execf(db.target, "DROP TABLE pghaul.%s", kept_in);
    pair_expect(pair_copy(&db, none, "--data-only", "--truncate", "--yes"), 0, "proven");
    pair_expect(pair_run(&db, "clean", job, "--yes"), 0, NULL);
    assert_int_equal(
        sql_int(db.target, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pghaul'"), 0);
    pair_db_end(&db);
}

/* A finished job sets aside anew what the table has by then. */
static void
test_every_night(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_nightly");
    const char *job = pair_job_file(&db, "tables:\n  keys: {preserve: {columns: [api_key]}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE keys (id int PRIMARY KEY, v text, api_key text UNIQUE)");
    sql_exec(db.source, "INSERT INTO keys VALUES (1, 'a', 'x'), (2, 'b', 'y'), (3, 'c', 'z')");
    sql_exec(db.target, "INSERT INTO keys VALUES (1, 'o', 'y'), (2, 'o', 'x'), (9, 'o', 'gone')");
    struct run *run = pair_copy(&db, job, "--data-only", "--truncate", "--yes");
    pair_expect(run, 0, "proven");
    pair_expect(run, 0, "part of the unique index keys_api_key_key");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM keys ORDER BY 1"),
                        "1|a|y\n2|b|x\n3|c|z\n");
    sql_exec(db.target, "UPDATE keys SET api_key = 'turned' WHERE id = 1");
    sql_exec(db.source, "UPDATE keys SET v = 'later', api_key = 'q' || id WHERE id < 3");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes", "--restart"), 0,
                "proven");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM keys ORDER BY 1"),
                        "1|later|turned\n2|later|x\n3|c|z\n");
    job = pair_job_file(&db, "tables: {keys: {columns: {api_key: {set: null}}, preserve: {columns:"
                             " [api_key]}}}");
    run = pair_run(&db, "check", job, "--data-only", "--truncate", "--name", "other");
    pair_expect(run, 0, "ready");
    assert_null(strstr(run_out(run), "unique index"));
    if (PQserverVersion(db.target) >= 150000) {
        sql_exec(db.target, "ALTER TABLE keys DROP CONSTRAINT keys_api_key_key, ADD UNIQUE NULLS"
                            " NOT DISTINCT (api_key)");
        pair_expect(pair_run(&db, "check", job, "--data-only", "--truncate", "--name", "other"), 3,
                    "may make different values equal");
    }
    pair_db_end(&db);
}

/* What is of a row that could not go stays aside until it comes, and the newest counts. */
static void
test_quarantine(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_quarantine");
    const char *rules = "maps: {m: {a: A}}\n"
                        "tables:\n"
                        "  keys:\n"
                        "    columns: {v: {map: m}}\n"
                        "    on_bad: quarantine\n"
                        "    preserve: {columns: [api_key]}\n";
    const char *job = pair_job_file(&db, rules);

    (void)state;
    pair_both(&db, "CREATE TABLE keys (id int PRIMARY KEY, v text, api_key text)");
    sql_exec(db.source, "INSERT INTO keys VALUES (1, 'a', 's'), (2, 'bad', 's'), (3, 'a', 's')");
    sql_exec(db.target, "INSERT INTO keys VALUES (1, 'o', 'one'), (2, 'o', 'two'), (9, 'o', '')");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 4, "quarantine");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM keys ORDER BY 1"), "1|A|one\n3|A|s\n");
    pair_expect(pair_run(&db, "clean", job, "--yes"), 3, "has set values of it aside");
    sql_exec(db.source, "UPDATE keys SET v = 'a', api_key = 'later'");
    sql_exec(db.target, "UPDATE keys SET api_key = api_key || ' turned'");
    kill_at(&db, job, "after_truncate_commit", "--data-only", "--truncate", "--yes", "--restart");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM keys ORDER BY 1"),
                        "1|A|one turned\n2|A|two\n3|A|s turned\n");
    nothing_is_aside(&db);
    pair_db_end(&db);
}

/* Partitions, a table that rows of two come into, and nothing to empty. */
static void
test_shapes(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_shapes");
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  parts: {preserve: {columns: [k]}}\n"
                                         "  one: {into: mixed, columns: {kind: {set: one}},\n"
                                         "        preserve: {columns: [k]}}\n"
                                         "  two: {into: mixed, columns: {kind: {set: two}},\n"
                                         "        preserve: {columns: [k]}}\n"
                                         "  fresh: {preserve: {rows: id > 90, columns: [k]}}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE parts (id int, at int, k text, PRIMARY KEY (id, at)) PARTITION BY"
                   " RANGE (at); CREATE TABLE fresh (id int PRIMARY KEY, k text)");
    sql_exec(db.source,
             "CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (50);"
             "CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (50) TO (100);"
             "INSERT INTO parts SELECT g, g, 's' FROM generate_series(1, 99) g;"
             "CREATE TABLE one (id int PRIMARY KEY, k text); INSERT INTO one VALUES (1, 's');"
             "CREATE TABLE two (id int PRIMARY KEY, k text); INSERT INTO two VALUES (1, 's');"
             "INSERT INTO fresh VALUES (1, 's'), (91, 's')");
    sql_exec(db.target, "CREATE TABLE parts_all PARTITION OF parts FOR VALUES FROM (0) TO (100);"
                        "INSERT INTO parts SELECT g, g, 't' FROM generate_series(1, 99, 2) g;"
                        "CREATE TABLE mixed (id int, kind text, k text, PRIMARY KEY (id, kind));"
                        "INSERT INTO mixed VALUES (1, 'two', 't');"
                        "INSERT INTO fresh VALUES (91, 't')");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    pair_same_as(&db,
                 "SELECT id, at, CASE at % 2 WHEN 1 THEN 't' ELSE 's' END FROM parts ORDER BY 1",
                 "SELECT * FROM parts ORDER BY 1");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM mixed ORDER BY 2"),
                        "1|one|s\n1|two|t\n");
    assert_string_equal(sql_rows(db.target, "SELECT * FROM fresh ORDER BY 1"), "1|s\n91|t\n");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    pair_db_end(&db);
}

/* ---- refused beforehand ---- */

static void
refused(struct pair_db *db, const char *rules, int code, const char *part)
{
    const char *job = pair_job_file(db, rules);

    pair_expect(pair_run(db, "check", job, "--data-only", "--truncate"), 3, part);
    pair_expect(pair_copy(db, job, "--data-only", "--truncate", "--yes"), code, part);
}

static void
test_refused(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_refused");

    (void)state;
    pair_both(&db, "CREATE TABLE owners (id int PRIMARY KEY, tag text UNIQUE);"
                   "CREATE TABLE things (id int PRIMARY KEY, owner int REFERENCES owners,"
                   " tag text REFERENCES owners (tag));"
                   "CREATE TABLE heap (id int, v text);"
                   "INSERT INTO owners VALUES (1, 'a'); INSERT INTO things VALUES (1, 1, 'a')");
    refused(&db, "tables: {things: {preserve: {columns: [owner]}}}", 3,
            "it refers to public.owners");
    refused(&db, "tables: {owners: {preserve: {columns: [tag]}}}", 3, "refers to it");
    refused(&db, "tables: {heap: {preserve: {columns: [v]}}}", 2, "neither a primary key");
    refused(&db, "tables: {owners: {preserve: {columns: [id]}}}", 2, "to be preserved itself");
    pair_expect(pair_run(&db, "check",
                         pair_job_file(&db, "tables: {owners: {preserve: {columns: "
                                            "[tag]}}}"),
                         "--data-only", "--follow"),
                3, "--follow cannot be exact: columns are preserved");
    pair_db_end(&db);
}

/* Rows that stay and rows that come with their keys. */
static void
test_collisions(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_collide");

    (void)state;
    sql_exec(db.source, "CREATE TABLE users (no int PRIMARY KEY, mail text UNIQUE, env text);"
                        "INSERT INTO users SELECT g, 'm' || g, 'all' FROM generate_series(1, 3000)"
                        " g; UPDATE users SET env = 'no' WHERE no = 7");
    sql_exec(db.target, "CREATE TABLE users (id int PRIMARY KEY, mail text UNIQUE, env text);"
                        "INSERT INTO users SELECT g, 'own' || g, 'own' FROM generate_series(7,"
                        " 20007, 10) g; INSERT INTO users VALUES (-1, 'm5', 'own'), (-2, NULL,"
                        " 'own')");
    const char *rules = "tables:\n"
                        "  users:\n"
                        "    columns: {id: {from: no}}\n"
                        "    preserve: \"env = 'own'\"\n";
    refused(&db, rules, 3, "300 rows of the source have keys of rows that stay");
    refused(&db, rules, 3, "(users_pkey)");
    pair_expect(pair_run(&db, "check", pair_job_file(&db, rules), "--data-only"), 3,
                "1 rows of the source have keys of rows that stay on the target (users_mail_key):"
                " mail=m5");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users"), 2003);
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  users:\n"
                                         "    columns: {id: {from: no}}\n"
                                         "    where: no % 10 <> 7 and no <> 5\n"
                                         "    preserve: \"env = 'own'\"\n");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    job = pair_job_file(&db, "tables:\n"
                             "  users:\n"
                             "    columns: {id: {do: [{add: [100000]}], from: no}}\n"
                             "    preserve: \"env = 'own'\"\n");
    pair_expect(pair_run(&db, "check", job, "--data-only", "--truncate", "--name", "other"), 3,
                "not looked whether rows come with keys of rows that stay");
    pair_db_end(&db);
}

/*
 * Rows that are left out meet nobody, whatever else they have; another row with a unique value of
 * one that stays is found before anything is written.
 */
static void
test_collisions_by_other_keys(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_collide_other");
    const char *rules = "tables:\n"
                        "  users: {preserve: {rows: \"env = 'own'\", columns: [secret]}}\n";

    (void)state;
    pair_both(&db, "CREATE TABLE users (id int PRIMARY KEY, mail text UNIQUE, org int, login text,"
                   " env text, secret text, UNIQUE (org, login))");
    sql_exec(db.source, "INSERT INTO users SELECT g, 'm' || g, g % 7, 'l' || g, 'all', 's'"
                        " FROM generate_series(1, 3000) g");
    /* of the same rows; ids 7 and 17 have each other's mail */
    sql_exec(db.target, "INSERT INTO users SELECT g, 'm' || g, g % 7, 'l' || g, 'own', 't'"
                        " FROM generate_series(7, 2007, 10) g;"
                        "UPDATE users SET mail = NULL WHERE id = 7;"
                        "UPDATE users SET mail = 'm7' WHERE id = 17;"
                        "UPDATE users SET mail = 'm17' WHERE id = 7;"
                        "INSERT INTO users VALUES (-1, 'm5', 1, 'none', 'theirs', 't')");
    pair_expect(pair_run(&db, "check", pair_job_file(&db, rules), "--data-only", "--truncate"), 0,
                "ready");
    sql_exec(db.target, "UPDATE users SET mail = 'm8' WHERE id = 27;"
                        "UPDATE users SET org = 3, login = 'l3' WHERE id = 37");
    refused(&db, rules, 3,
            "1 rows of the source have keys of rows that stay on the target (users_mail_key): "
            "mail=m8");
    refused(&db, rules, 3, "(users_org_login_key): org=3, login=l3");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users"), 202);
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  users:\n"
                                         "    where: id not in (3, 8)\n"
                                         "    preserve: {rows: \"env = 'own'\","
                                         " columns: [secret]}\n");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users"), 2998);
    pair_db_end(&db);
}

/* A preserved value of a row that stays, and a new row that brings the same. */
static void
test_collisions_by_preserved_values(void **state)
{
    struct pair_db db = pair_db_new(&pair, "preserve_collide_values");
    const char *rules = "tables:\n"
                        "  keys: {preserve: {rows: own, columns: [api_key]}}\n";

    (void)state;
    pair_both(&db, "CREATE TABLE keys (id int PRIMARY KEY, api_key text UNIQUE, own bool)");
    sql_exec(db.source, "INSERT INTO keys SELECT g, 'k' || g, false FROM generate_series(1, 9) g");
    sql_exec(db.target, "INSERT INTO keys VALUES (1, 'k2', true), (2, 'k20', false), (20, 'k9',"
                        " false)");
    sql_exec(db.target, "UPDATE keys SET api_key = 'k10' WHERE own");
    sql_exec(db.source, "INSERT INTO keys VALUES (10, 'k10', false)");
    refused(&db, rules, 3,
            "1 rows of the source have keys of rows that stay on the target (keys_api_key_key): "
            "api_key=k10");
    sql_exec(db.source, "DELETE FROM keys WHERE id = 10");
    kill_at(&db, pair_job_file(&db, rules), "before_plan_commit", "--data-only", "--truncate",
            "--yes");
    /* 2 is aside now, and is none that is new to the target */
    pair_expect(pair_copy(&db, pair_job_file(&db, rules), "--data-only", "--truncate", "--yes",
                          "--restart"),
                0, "proven");
    assert_string_equal(sql_value(db.target, "SELECT api_key FROM keys WHERE id = 2"), "k20");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_stay),
        cmocka_unit_test(test_verify),
        cmocka_unit_test(test_killed_again_and_again),
        cmocka_unit_test(test_lost_sessions),
        cmocka_unit_test(test_lost_snapshot),
        cmocka_unit_test(test_nobody_loses_them),
        cmocka_unit_test(test_given_up),
        cmocka_unit_test(test_every_night),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_collisions_by_other_keys),
        cmocka_unit_test(test_collisions_by_preserved_values),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
