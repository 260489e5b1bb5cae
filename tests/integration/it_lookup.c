/*
 * Values looked up in other tables: in the source, in another database, in constant tables while
 * the job follows; what is not found; runs that are killed while the tables stay or change.
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

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

/* The source's table and the target's; a database beside the source that has the plans. */
struct lookup_db {
    struct pair_db db;
    const char *other_name;
    PGconn *other;
};

#define ROWS "20000"

static struct lookup_db
begin(const char *name)
{
    struct lookup_db l = {.db = pair_db_new(&pair, name),
                          .other_name = scratch_printf("%s_o", name)};
    PGconn *admin = sql_connect(pair.src, "postgres");

    sql_execf(admin, "CREATE DATABASE %s", l.other_name);
    PQfinish(admin);
    l.other = sql_connect(pair.src, l.other_name);
    sql_exec(l.other,
             "CREATE TABLE plans (id bigint PRIMARY KEY, code char(8) UNIQUE NOT NULL, name text,"
             " price numeric(8,2));"
             "INSERT INTO plans SELECT g, 'c' || g, nullif('plan ' || g, 'plan 5'), g * 1.5"
             " FROM generate_series(1, 200) g");
    sql_exec(l.db.source, "CREATE TABLE users (id int PRIMARY KEY, plan_id int, code text);"
                          "INSERT INTO users SELECT g, nullif(g % 203, 0), 'c' || g % 201"
                          " FROM generate_series(1, " ROWS ") g");
    sql_exec(l.db.target,
             "CREATE TABLE users (id int PRIMARY KEY, plan varchar(20), price numeric)");
    return l;
}

static void
end(struct lookup_db *l)
{
    PQfinish(l->other);
    pair_db_end(&l->db);
}

static const char *
job_file(const struct lookup_db *l, const char *text)
{
    return scratch_write(scratch_printf("%s.yaml", l->db.name), text);
}

/* `more` stands in the lookup by plan_id, `otherwise` beside both. */
static const char *
there(const struct lookup_db *l, const char *more, const char *otherwise)
{
    const char *where = pg_test_conninfo(pair.src, l->other_name);

    return job_file(
        l, scratch_printf("tables:\n  users:\n    columns:\n"
                          "      plan: {lookup: {table: plans, key: id, value: name, database: "
                          "\"%s\"%s}, from: plan_id%s}\n"
                          "      price: {lookup: {table: plans, key: code, value: price, database: "
                          "\"%s\"%s}, from: code}\n",
                          where, more, otherwise, where, more));
}

/* What must have arrived, made by SQL of what the other database has now. */
static void
same(struct lookup_db *l, const char *otherwise)
{
    const char *plans = sql_value(l->other, "SELECT json_agg(p)::text FROM plans p");
    const char *expected = sql_rows(
        l->db.source,
        scratch_printf("WITH p AS (SELECT * FROM json_to_recordset($j$%s$j$) AS p (id bigint, code"
                       " text, name text, price numeric(8,2))) SELECT u.id, CASE WHEN a.id IS NULL"
                       " AND u.plan_id IS NOT NULL THEN %s ELSE a.name END, b.price FROM users u"
                       " LEFT JOIN p a ON a.id = u.plan_id LEFT JOIN p b ON rtrim(b.code) = u.code"
                       " ORDER BY 1",
                       plans, otherwise));

    assert_true(strlen(expected) > 0);
    assert_string_equal(sql_rows(l->db.target, "SELECT id, plan, price FROM users ORDER BY 1"),
                        expected);
}

static const char *const *
failpoint(const char *spec)
{
    static const char *env[2];

    env[0] = scratch_printf("PGHAUL_FAILPOINT=%s", spec);
    return env;
}

/* ---- copies ---- */

static void
test_another_database(void **state)
{
    struct lookup_db l = begin("there");
    const char *job = there(&l, "", "");

    (void)state;
    pair_expect(pair_run(&l.db, "check", job, "--data-only"), 0, NULL);
    struct run *run = pair_copy(&l.db, job, "--data-only", "--jobs", "2", "--split", "1MB");
    pair_expect(run, 0, "proven");
    same(&l, "NULL");
    /* 201 and 202 have no plan; c0 neither, nor does any row of NULL count */
    assert_non_null(strstr(run_out(run), "plan: 196 rows found nothing in public.plans.id: "
                                         "(plan_id=201) 98 times, (plan_id=202) 98 times"));
    assert_non_null(strstr(run_out(run), "price: 99 rows found nothing in public.plans.code: "
                                         "(code=c0) 99 times"));
    pair_expect(pair_run(&l.db, "verify", job, "--data-only"), 0, "agree");
    /* verify compares with what would be looked up now */
    sql_exec(l.other, "UPDATE plans SET name = 'new' WHERE id = 7");
    struct run *verify = pair_run(&l.db, "verify", job, "--data-only");
    pair_expect(verify, 4, "has changed since the rows were copied");
    end(&l);
}

static void
test_else(void **state)
{
    struct lookup_db l = begin("otherwise");

    (void)state;
    pair_expect(pair_copy(&l.db, there(&l, "", ", else: error"), "--data-only"), 1,
                "column plan: public.plans.id does not have the value");
    pair_expect(pair_copy(&l.db, there(&l, "", ", else: {value: none}"), "--data-only", "--restart",
                          "--truncate", "--yes"),
                0, "proven");
    same(&l, "'none'");
    pair_expect(pair_copy(&l.db, there(&l, "", ", else: quarantine"), "--data-only", "--restart",
                          "--truncate", "--yes"),
                4, "196 rows stayed behind");
    assert_int_equal(sql_int(l.db.target, "SELECT count(*) FROM users"), 20000 - 196);
    end(&l);
}

/* The same through the source's SELECT, where NULL that was found is not what was not found. */
static void
test_in_the_source(void **state)
{
    struct lookup_db l = begin("here");
    static const char rule[] =
        "tables:\n  users:\n    columns:\n      plan: {lookup: {table: plans,"
        " key: id, value: name%s}, from: plan_id, else: {value: none}}\n"
        "    drop: [code]\n";
    const char *const options[] = {"", ", constant: true"};

    (void)state;
    sql_exec(l.db.source, "CREATE TABLE plans (id int PRIMARY KEY, name text);"
                          "INSERT INTO plans SELECT g, nullif('plan ' || g, 'plan 5')"
                          " FROM generate_series(1, 200) g");
    for (int i = 0; i < 2; i++) {
        const char *job = job_file(&l, scratch_printf(rule, options[i]));
        struct run *run = pair_copy(&l.db, job, "--data-only", "--table", "users", "--restart",
                                    "--truncate", "--yes");
        pair_expect(run, 0, "proven");
        assert_non_null(strstr(run_out(run), "plan: 196 rows found nothing in public.plans.id"));
        assert_string_equal(
            sql_rows(l.db.target, "SELECT id, plan FROM users ORDER BY id"),
            sql_rows(l.db.source,
                     "SELECT u.id, CASE WHEN p.id IS NULL AND u.plan_id IS NOT NULL THEN 'none' "
                     "ELSE p.name END FROM users u LEFT JOIN plans p ON p.id = u.plan_id ORDER BY "
                     "u.id"));
    }
    end(&l);
}

/* ---- what is refused ---- */

static void
test_refusals(void **state)
{
    struct lookup_db l = begin("refused");
    const char *where = pg_test_conninfo(pair.src, l.other_name);
    static const char rule[] = "tables:\n  users:\n    columns:\n      plan: {lookup: {table: %s,"
                               " key: %s, value: %s, database: \"%s\"}, from: plan_id}\n"
                               "    drop: [code]\n";

    (void)state;
    pair_expect(pair_run(&l.db, "check",
                         job_file(&l, scratch_printf(rule, "plan", "id", "name", where)),
                         "--data-only"),
                3, "the lookup's database has no table public.plan");
    pair_expect(pair_run(&l.db, "check",
                         job_file(&l, scratch_printf(rule, "plans", "id", "nam", where)),
                         "--data-only"),
                3, "did you mean name?");
    pair_expect(pair_run(&l.db, "check",
                         job_file(&l, scratch_printf(rule, "plans", "price", "name", where)),
                         "--data-only"),
                3, "public.plans.price is not unique");
    pair_expect(pair_run(&l.db, "check",
                         job_file(&l, scratch_printf(rule, "plans", "code", "name", where)),
                         "--data-only"),
                3, "public.plans.code is of another type than plan_id");
    pair_expect(pair_run(&l.db, "check",
                         job_file(&l, scratch_printf(rule, "plans", "id", "name", where)),
                         "--data-only", "--follow"),
                3, "say `constant: true` of one that nobody changes");
    struct run *run = pair_copy(
        &l.db,
        job_file(&l, scratch_printf(rule, "plans", "id", "name",
                                    pg_test_conninfo(pair.src, "nowhere password=hunter2"))),
        "--data-only");
    pair_expect(run, 3, "the database of the lookup at");
    assert_null(strstr(run_out(run), "hunter2"));
    assert_null(strstr(run_err(run), "hunter2"));
    run = pair_copy(&l.db, job_file(&l, scratch_printf(rule, "plans", "id", "name", "hunter2")),
                    "--data-only");
    pair_expect(run, 2, "database: not a libpq connection string or URI");
    assert_null(strstr(run_err(run), "hunter2"));
    /* too large, and labels are not asked for one by one */
    sql_exec(l.other,
             "CREATE TYPE size AS ENUM ('s', 'm', 'l'); CREATE TABLE sizes (size size PRIMARY"
             " KEY, name text); INSERT INTO sizes SELECT unnest(enum_range(NULL::size)),"
             " repeat('x', 4000000)");
    sql_exec(l.db.source, "ALTER TABLE users ADD size text");
    run = pair_copy(
        &l.db,
        job_file(&l, scratch_printf("tables:\n  users:\n    columns:\n      plan: {lookup: "
                                    "{table: sizes, key: size, value: name, database: "
                                    "\"%s\"}, from: size}\n    drop: [plan_id, code]\n",
                                    where)),
        "--data-only", "--memory", "32MB");
    pair_expect(run, 3, "need more than 8 MB, a quarter of --memory");
    assert_int_equal(sql_int(l.db.target, "SELECT count(*) FROM users"), 0);
    end(&l);
}

/* A password in the job file gets nowhere. */
static void
test_secret(void **state)
{
    struct lookup_db l = begin("secretly");
    const char *where =
        scratch_printf("%s password=hunter2", pg_test_conninfo(pair.src, l.other_name));
    const char *job = job_file(
        &l, scratch_printf("tables:\n  users:\n    columns:\n      plan: {lookup: {table: plans,"
                           " key: id, value: name, database: \"%s\"}, from: plan_id}\n"
                           "    drop: [code]\n",
                           where));
    const char *c = scratch_printf("%s/secretly.c", scratch_dir());

    (void)state;
    struct run *run = pair_copy(&l.db, job, "--data-only", "--keep-c", c);
    pair_expect(run, 0, "proven");
    assert_null(strstr(run_out(run), "hunter2"));
    assert_null(strstr(run_err(run), "hunter2"));
    assert_null(strstr(scratch_read(c), "hunter2"));
    run = pair_run(&l.db, "rules", "explain", job);
    assert_null(strstr(run_out(run), "hunter2"));
    assert_int_equal(sql_int(l.db.target,
                             "SELECT count(*) FROM (SELECT query_to_xml(format('SELECT * FROM"
                             " pghaul.%I', relname), true, false, '')::text AS t FROM pg_class"
                             " WHERE relnamespace = 'pghaul'::regnamespace AND relkind = 'r') x"
                             " WHERE t LIKE '%hunter2%'"),
                     0);
    end(&l);
}

/* ---- kills ---- */

static const char *
done_chunks(struct lookup_db *l)
{
    return sql_rows(l->db.target, "SELECT chunk, xmin FROM pghaul.chunk WHERE state = 'done'"
                                  " ORDER BY chunk");
}

static void
kill_in_rows(struct lookup_db *l, const char *job)
{
    sql_exec(l->db.source, "INSERT INTO users SELECT g, g % 200, repeat('y', 200) FROM"
                           " generate_series(100001, 200000) g; ANALYZE");
    l->db.env = failpoint("after_commit=kill@2");
    pair_expect(pair_copy(&l->db, job, "--data-only", "--jobs", "1", "--split", "1MB"), -SIGKILL,
                NULL);
    l->db.env = NULL;
    assert_true(strlen(done_chunks(l)) > 0);
    assert_true(sql_int(l->db.target, "SELECT count(*) FROM pghaul.chunk WHERE state <> 'done'") >
                0);
}

static void
test_killed(void **state)
{
    struct lookup_db l = begin("killed");
    const char *job = there(&l, "", "");

    (void)state;
    kill_in_rows(&l, job);
    const char *before = done_chunks(&l);
    pair_expect(pair_copy(&l.db, job, "--data-only", "--jobs", "1", "--split", "1MB"), 0, "proven");
    assert_non_null(strstr(done_chunks(&l), before)); /* the first ones, by the same transactions */
    same(&l, "NULL");
    end(&l);
}

/* No row of before and of after the change is side by side in the table. */
static void
test_killed_and_changed(void **state)
{
    struct lookup_db l = begin("killed_changed");
    const char *job = there(&l, "", "");

    (void)state;
    kill_in_rows(&l, job);
    sql_exec(l.other, "UPDATE plans SET name = 'new ' || id; DELETE FROM plans WHERE id = 100");
    pair_expect(pair_copy(&l.db, job, "--data-only", "--jobs", "1", "--split", "1MB"), 0,
                "has changed since the rows were begun");
    same(&l, "NULL");
    assert_int_equal(sql_int(l.db.target, "SELECT count(DISTINCT epoch) FROM pghaul.chunk"), 1);
    /* the counts of what was not found are those of the rows that are there */
    assert_int_equal(
        sql_int(l.db.target, "SELECT sum(rows) FROM pghaul.orphan WHERE column_name = 'plan'"),
        sql_int(l.db.source, "SELECT count(*) FROM users WHERE plan_id IN (0, 100, 201, 202)"));
    end(&l);
}

static void
test_constant_changed(void **state)
{
    struct lookup_db l = begin("constant_changed");
    const char *job = there(&l, ", constant: true", "");

    (void)state;
    kill_in_rows(&l, job);
    sql_exec(l.other, "UPDATE plans SET name = 'new' WHERE id = 9");
    pair_expect(pair_copy(&l.db, job, "--data-only", "--jobs", "1", "--split", "1MB"), 3,
                "is declared constant and has changed");
    sql_exec(l.other, "UPDATE plans SET name = 'plan 9' WHERE id = 9");
    pair_expect(pair_copy(&l.db, job, "--data-only", "--jobs", "1", "--split", "1MB"), 0, "proven");
    same(&l, "NULL");
    end(&l);
}

/* ---- tables that do not fit into memory ---- */

/* Keys of all kinds that are asked for, values long enough to push each other out. */
static void
make_large(struct lookup_db *l)
{
    sql_exec(l->other,
             "CREATE TABLE large (id bigint PRIMARY KEY, u uuid UNIQUE NOT NULL, t text UNIQUE NOT"
             " NULL, c char(12) UNIQUE NOT NULL, v text);"
             "INSERT INTO large SELECT g, md5(g::text)::uuid, E'it''s \\\\ ' || g, 'c' || g,"
             " nullif(repeat('v' || g, 10), repeat('v77', 10)) FROM generate_series(1, 60000) g;"
             "ANALYZE");
    sql_exec(
        l->db.source,
        "CREATE TABLE uses (id int PRIMARY KEY, i int, u uuid, t varchar(30), c text);"
        "INSERT INTO uses SELECT g, nullif(g * 7 % 61000, 0), md5((g * 3 % 61000)::text)::uuid,"
        " E'it''s \\\\ ' || g * 5 % 61000, 'c' || g * 11 % 61000"
        " FROM generate_series(1, 100000) g; ANALYZE");
    sql_exec(l->db.target,
             "CREATE TABLE uses (id int PRIMARY KEY, i text, u text, t text, c text)");
}

static const char *
large_job(const struct lookup_db *l, const char *more)
{
    const char *where = pg_test_conninfo(pair.src, l->other_name);
    const char *text = "tables:\n  uses:\n    columns:\n";
    static const char *const columns[][2] = {{"i", "id"}, {"u", "u"}, {"t", "t"}, {"c", "c"}};

    for (int i = 0; i < 4; i++)
        text = scratch_printf("%s      %s: {lookup: {table: large, key: %s, value: v, database: "
                              "\"%s\"%s}, else: {value: none}}\n",
                              text, columns[i][0], columns[i][1], where, more);
    return job_file(l, text);
}

/* By way of a copy of the other table beside what has arrived. */
static void
same_large(struct lookup_db *l)
{
    static const char wrong[] =
        "SELECT count(*) FROM got g JOIN uses u USING (id) LEFT JOIN large i ON i.id = u.i LEFT "
        "JOIN"
        " large k ON k.u = u.u LEFT JOIN large t ON t.t = u.t LEFT JOIN large c ON c.c = u.c WHERE"
        " (g.i, g.u, g.t, g.c) IS DISTINCT FROM ("
        " CASE WHEN i.id IS NULL AND u.i IS NOT NULL THEN 'none' ELSE i.v END,"
        " CASE WHEN k.id IS NULL AND u.u IS NOT NULL THEN 'none' ELSE k.v END,"
        " CASE WHEN t.id IS NULL AND u.t IS NOT NULL THEN 'none' ELSE t.v END,"
        " CASE WHEN c.id IS NULL AND u.c IS NOT NULL THEN 'none' ELSE c.v END)";
    const char *dir = scratch_new_dir("tables");
    const char *got = scratch_printf("%s/got", dir);
    const char *large = scratch_printf("%s/large", dir);

    assert_int_equal(chmod(dir, 0777), 0);
    sql_execf(l->db.target, "COPY uses TO '%s'", got);
    sql_execf(l->other, "COPY large TO '%s'", large);
    sql_execf(l->db.source,
              "CREATE TEMP TABLE got (id int, i text, u text, t text, c text); COPY got FROM '%s';"
              "CREATE TEMP TABLE large (id bigint, u uuid, t text, c char(12), v text);"
              "COPY large FROM '%s'; ANALYZE got; ANALYZE large",
              got, large);
    assert_int_equal(sql_int(l->db.source, "SELECT count(*) FROM got"),
                     sql_int(l->db.source, "SELECT count(*) FROM uses"));
    assert_int_equal(sql_int(l->db.source, wrong), 0);
    sql_exec(l->db.source, "DROP TABLE pg_temp.got; DROP TABLE pg_temp.large");
}

#define LARGE_OPTIONS "--data-only", "--table", "uses", "--memory", "32MB", "--jobs", "2"

static void
test_large(void **state)
{
    struct lookup_db l = begin("large");

    (void)state;
    make_large(&l);
    const char *job = large_job(&l, "");
    struct run *run = pair_copy(&l.db, job, LARGE_OPTIONS, "--split", "1MB");
    pair_expect(run, 0, "proven");
    same_large(&l);
    assert_non_null(strstr(run_out(run), "rows found nothing in public.large.id"));
    pair_expect(pair_run(&l.db, "verify", job, LARGE_OPTIONS), 0, "agree");
    end(&l);
}

/* Of such a table nobody knows afterwards whether it is what it was. */
static void
test_large_killed(void **state)
{
    struct lookup_db l = begin("large_killed");

    (void)state;
    make_large(&l);
    const char *job = large_job(&l, "");
    sql_exec(l.db.source,
             "UPDATE uses SET t = t || repeat(' ', 15); UPDATE uses SET t = rtrim(t);"
             "INSERT INTO uses SELECT g, g % 100 FROM generate_series(100001, 400000) g");
    l.db.env = failpoint("after_commit=kill@1");
    pair_expect(pair_copy(&l.db, job, LARGE_OPTIONS, "--split", "1MB"), -SIGKILL, NULL);
    sql_exec(l.other, "UPDATE large SET v = 'new' || id WHERE id < 1000");
    l.db.env = NULL;
    pair_expect(pair_copy(&l.db, job, LARGE_OPTIONS, "--split", "1MB"), 0, "proven");
    same_large(&l);
    end(&l);
}

/* The session that keeps the snapshot is lost with all others: the epoch ends, nothing is mixed. */
static void
test_large_lost(void **state)
{
    struct lookup_db l = begin("large_lost");

    (void)state;
    make_large(&l);
    l.db.env = hold_at_passage("before_lookup", 20);
    const char *args[] = {large_job(&l, ""), LARGE_OPTIONS, "--split", "1MB", NULL};
    struct run *run = pair_start_args(&l.db, "copy", args);
    hold_wait(run);
    sql_wait_true(pair.src, "postgres",
                  "SELECT count(*) > 3 FROM pg_stat_activity WHERE datname = 'large_lost_o'",
                  60000);
    sql_exec(l.other,
             "UPDATE large SET v = 'new' || id WHERE id % 3 = 0;"
             "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname ="
             " current_database() AND pid <> pg_backend_pid()");
    hold_release();
    pair_expect(run, 0, "proven");
    assert_non_null(strstr(run_err(run), "too large to be compared"));
    same_large(&l);
    end(&l);
}

/* ---- the stream ---- */

static void
test_follow(void **state)
{
    struct lookup_db l = begin("followed");
    const char *where = pg_test_conninfo(pair.src, l.other_name);
    const char *job = job_file(
        &l, scratch_printf("tables:\n  users:\n    columns:\n"
                           "      plan: {lookup: {table: plans, key: id, value: name, database: "
                           "\"%s\", constant: true}, from: plan_id, else: {value: none}}\n"
                           "      price: {lookup: {table: prices, key: code, value: price, "
                           "constant: true}, from: code}\n",
                           where));

    (void)state;
    sql_exec(l.db.source, "CREATE TABLE prices (code text PRIMARY KEY, price numeric(8,2))");
    sql_exec(l.db.source,
             scratch_printf("INSERT INTO prices SELECT 'c' || g, g * 1.5 FROM"
                            " generate_series(1, 200) g; ALTER TABLE users ALTER code SET STORAGE"
                            " EXTERNAL"));
    sql_exec(l.db.source, "INSERT INTO users VALUES (900000, 3, repeat('long', 5000));"
                          "INSERT INTO prices VALUES (repeat('long', 500), 17)");
    struct run *run = pair_follow(&l.db, job, "--data-only", "--table", "users");
    pair_wait_following(&l.db, run);
    sql_exec(l.db.source, "INSERT INTO users SELECT g, g % 207, 'c' || g % 210 FROM"
                          " generate_series(200001, 200500) g;"
                          "UPDATE users SET plan_id = plan_id + 1 WHERE id % 3 = 0;"
                          "UPDATE users SET code = 'c' || id % 250 WHERE id % 7 = 0;"
                          "DELETE FROM users WHERE id % 11 = 0;"
                          "UPDATE users SET id = id + 1000000 WHERE id % 13 = 0;"
                          "UPDATE users SET plan_id = 4 WHERE id = 900000");
    run_kill(run);
    sql_exec(l.db.source, "UPDATE users SET plan_id = 5 WHERE id % 17 = 0;"
                          "INSERT INTO users VALUES (300001, 777, NULL), (300002, NULL, 'c1')");
    run = pair_follow(&l.db, job, "--data-only", "--table", "users");
    pair_wait_following(&l.db, run);
    pair_expect(pair_stop(&l.db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    same(&l, "'none'");
    end(&l);
}

static void
test_follow_large(void **state)
{
    struct lookup_db l = begin("follow_large");

    (void)state;
    make_large(&l);
    const char *job = large_job(&l, ", constant: true");
    struct run *run = pair_follow(&l.db, job, LARGE_OPTIONS);
    pair_wait_following(&l.db, run);
    sql_exec(l.db.source,
             "INSERT INTO uses SELECT g, g % 70000, md5((g % 70000)::text)::uuid, NULL,"
             " 'c' || g % 70000 FROM generate_series(500001, 505000) g;"
             "UPDATE uses SET i = i + 1, c = 'c' || id WHERE id % 10 = 0;"
             "DELETE FROM uses WHERE id % 11 = 0");
    run_kill(run);
    sql_exec(l.db.source, "UPDATE uses SET i = 60000 - i WHERE id % 17 = 0");
    run = pair_follow(&l.db, job, LARGE_OPTIONS);
    pair_wait_following(&l.db, run);
    pair_expect(pair_stop(&l.db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    same_large(&l);
    end(&l);
}

/* A run that goes on finds the declaration broken. */
static void
test_follow_changed(void **state)
{
    struct lookup_db l = begin("follow_changed");
    const char *job = there(&l, ", constant: true", "");

    (void)state;
    struct run *run = pair_follow(&l.db, job, "--data-only");
    pair_wait_following(&l.db, run);
    run_kill(run);
    sql_exec(l.other, "DELETE FROM plans WHERE id = 9");
    run = pair_follow(&l.db, job, "--data-only");
    pair_expect(run, 3, "is declared constant and has changed");
    sql_exec(l.other, "INSERT INTO plans VALUES (9, 'c9', 'plan 9', 13.5)");
    run = pair_follow(&l.db, job, "--data-only");
    pair_wait_following(&l.db, run);
    pair_expect(pair_stop(&l.db, "now"), 0, "told to end");
    pair_expect(run, 0, "followed to");
    same(&l, "NULL");
    end(&l);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_another_database),
        cmocka_unit_test(test_else),
        cmocka_unit_test(test_in_the_source),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_killed_and_changed),
        cmocka_unit_test(test_constant_changed),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_large_killed),
        cmocka_unit_test(test_large_lost),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_follow_large),
        cmocka_unit_test(test_follow_changed),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
