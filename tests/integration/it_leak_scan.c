/*
 * `pghaul verify --leak-scan`: what a masked copy left of its source's values is found wherever it
 * stands and named without being told, and what masks give themselves is no alarm.
 */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static struct pair pair;
static const char *const secret[] = {"PGHAUL_TEST_SECRET=nobody knows it", NULL};

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

static const char *
job_file(const struct pair_db *db, const char *text)
{
    return pair_job_file(db, scratch_printf("secret: {env: PGHAUL_TEST_SECRET}\n%s", text));
}

/* Every mask, and names of which many are in the masks' own lists. */
static const char users_sql[] =
    "CREATE TABLE users (id int PRIMARY KEY, email text NOT NULL, name text, first text, city text,"
    " address text, phone text, born date, seen timestamptz, ip inet, uid uuid, ssn int8, about"
    " text, meta jsonb, tags text[], username text);"
    "CREATE TABLE orders (id int PRIMARY KEY, email text, total numeric, note text);"
    "CREATE TABLE docs (id int PRIMARY KEY, body text, data jsonb, old json, marks text[])";

static const char fill_sql[] =
    "INSERT INTO users SELECT g, 'Person' || g || '@corp.example', CASE WHEN g % 2 = 0 THEN"
    " (ARRAY['Ada', 'Charlotte', 'Oliver'])[1 + g % 3] || ' ' || (ARRAY['Smith', 'Murphy',"
    " 'Novak'])[1 + g / 3 % 3] ELSE 'Xaver Q' || md5(g::text) END, (ARRAY['Charlotte', 'Xaveria'"
    " || g, 'Oliver'])[1 + g % 3], (ARRAY['Woodstock', 'Berlin', 'Greenfield'])[1 + g % 3],"
    " CASE WHEN g % 2 = 0 THEN g % 200 || ' Oak Street, ' || 10000 + g || ' Woodstock' ELSE"
    " 'Am Weg ' || g || ', Berlin' END, '+49 30 ' || 1000000 + g * 7, '1960-01-01'::date + g,"
    " '2024-01-01'::timestamptz + g * interval '1.000117 hours', ('10.' || g / 256 % 256 || '.' ||"
    " g % 256 || '.77')::inet, md5('u' || g)::uuid, 123456789000 + g * 31, CASE WHEN g % 25 = 0 "
    "THEN 'Nothing"
    " known' ELSE 'Likes number ' || g || ' and tea' END, jsonb_build_object('nick', 'Nick \"' || "
    "md5('n' || g) || '\"', 'n', g),"
    " ARRAY['tag' || md5('t' || g), 'x'], 'account-' || g FROM generate_series(1, 3000) g;"
    "INSERT INTO orders SELECT g, 'person' || 1 + g % 3000 || '@CORP.example', g * 1.5,"
    " 'paid in Woodstock by card' FROM generate_series(1, 5000) g;"
    "INSERT INTO docs SELECT g, 'nothing known ' || g, '{\"a\": [1, 2]}', '{\"b\": null}',"
    " ARRAY['red', 'green'] FROM generate_series(1, 100) g";

static const char users_job[] = "tables:\n"
                                "  public.users:\n"
                                "    columns:\n"
                                "      email: {do: [trim, lower, {mask: email}]}\n"
                                "      name: {mask: name}\n"
                                "      first: {mask: first_name}\n"
                                "      city: {mask: city}\n"
                                "      address: {mask: address}\n"
                                "      phone: {mask: phone}\n"
                                "      born: {do: [{mask_date: 30}], from: [born, id]}\n"
                                "      seen: {do: [{mask_date: 30}], from: [seen, id]}\n"
                                "      ip: {mask: ip}\n"
                                "      uid: {mask: uuid}\n"
                                "      ssn: {mask: int}\n"
                                "      about: {mask: text}\n"
                                "      meta: {mask: json}\n"
                                "      tags: {set: null}\n"
                                "  public.orders:\n"
                                "    columns: {email: {do: [trim, lower, {mask: email}]}}\n";

/* A copy, rows alone, into tables that greet people by what the mask called them. */
static struct pair_db
copied(const char *name, const char **job)
{
    struct pair_db db = pair_db_new(&pair, name);

    db.env = secret;
    *job = job_file(&db, users_job);
    pair_both(&db, users_sql);
    sql_exec(db.source, fill_sql);
    sql_exec(db.target, "ALTER TABLE users ADD greeting text GENERATED ALWAYS AS ('Dear ' || first"
                        " || ', ' || name || ' of ' || city || ', ' || address) STORED");
    pair_expect(pair_copy(&db, *job, "--data-only"), 0, "proven");
    return db;
}

/* ---- the report for machines ---- */

static json_t *report;

static void
read_report(const char *path)
{
    json_error_t why;

    json_decref(report);
    report = json_load_file(path, 0, &why);
    if (report == NULL)
        fail_msg("%s: %s", path, why.text);
}

/* The leak between these two columns; NULL: there is none. */
static json_t *
leak_of(const char *source, const char *target)
{
    json_t *leak;
    size_t i;

    json_array_foreach(json_object_get(report, "leaks"), i, leak)
    {
        if (strcmp(json_string_value(json_object_get(leak, "source")), source) == 0 &&
            strcmp(json_string_value(json_object_get(leak, "target")), target) == 0)
            return leak;
    }
    return NULL;
}

static void
leaked(const char *source, const char *target, int values, int rows, const char *row,
       const char *how)
{
    json_t *leak = leak_of(source, target);

    if (leak == NULL)
        fail_msg("no leak %s -> %s in\n%s", source, target,
                 json_dumps(json_object_get(report, "leaks"), JSON_INDENT(2)));
    assert_int_equal(json_integer_value(json_object_get(leak, "values")), values);
    assert_int_equal(json_integer_value(json_object_get(leak, "rows")), rows);
    assert_string_equal(json_string_value(json_array_get(json_object_get(leak, "rows_named"), 0)),
                        row);
    assert_non_null(strstr(json_string_value(json_object_get(leak, "how")), how));
}

static int
n_leaks(void)
{
    return (int)json_array_size(json_object_get(report, "leaks"));
}

/* The value is nowhere in what was said. */
static void
not_told(const struct run *run, const char *value)
{
    char *text = json_dumps(report, 0);

    assert_null(strstr(run_out(run), value));
    assert_null(strstr(run_err(run), value));
    assert_null(strstr(text, value));
    free(text);
}

/* ---- tests ---- */

static void
test_nothing_leaked(void **state)
{
    const char *job;
    struct pair_db db = copied("nothing_leaked", &job);
    const char *path = scratch_printf("%s/report.json", scratch_dir());

    (void)state;
    /* names in the target are names of the source too: that they are is chance */
    assert_string_not_equal(sql_value(db.target, "SELECT count(*) FROM users WHERE first IN"
                                                 " ('Charlotte', 'Oliver')"),
                            "0");
    struct run *run = pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--report", path);
    pair_expect(run, 0, "no leak was found");
    read_report(path);
    assert_int_equal(n_leaks(), 0);
    pair_expect(run, 0, "public.users.email: 3,000 of 3,000 different values are looked for");
    pair_expect(run, 0, "public.users.born: nothing of it is looked for");
    pair_expect(run, 0,
                "public.users.city: 0 of 1 different values are looked for; names and "
                "places that masks give themselves are left out; values that one row in "
                "100 has are left out");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--leak-values", "100"),
                0, "100 of some ");
    pair_db_end(&db);
}

static void
test_planted(void **state)
{
    const char *job;
    struct pair_db db = copied("planted", &job);
    const char *path = scratch_printf("%s/report.json", scratch_dir());

    (void)state;
    /* in the source too, so that rows are equal: the job copies these columns as they are */
    pair_both(
        &db, "UPDATE docs SET body = 'Call (person17@corp.example), she asked twice' WHERE id = 5;"
             "UPDATE docs SET body = 'PERSON18@corp.example' WHERE id = 6;"
             "UPDATE docs SET body = 'born near +49 30 1000070.' WHERE id = 7;"
             "UPDATE docs SET body = 'no leak: xperson19@corp.example, 10.0.19.7' WHERE id = 8;"
             "UPDATE docs SET data = jsonb_build_object('by', jsonb_build_array(jsonb_build_object("
             " 'x', 'Nick \"' || md5('n4') || '\"'))) WHERE id = 9;"
             "UPDATE docs SET old = '{\"t\": \"\\u0050erson20@corp.example\"}' WHERE id = 10;"
             "UPDATE docs SET marks = ARRAY['green', 'said \"person21@corp.example\"'] WHERE id ="
             " 11");
    sql_exec(db.target,
             "CREATE TABLE extra (who text PRIMARY KEY, at timestamptz, uid uuid, n int8, ip inet,"
             " raw bytea);"
             "INSERT INTO extra SELECT 'Person30@corp.example', '2024-01-01'::timestamptz + 30 *"
             " interval '1.000117 hours', md5('u31')::uuid, 123456789000 + 32 * 31, '10.0.33.77',"
             " 'x Person34@corp.example'::bytea;"
             "CREATE TABLE tick (mail text PRIMARY KEY, body text);"
             "INSERT INTO tick VALUES ('zoe@corp.example', 'Person35@corp.example')");
    struct run *run = pair_run(&db, "verify", job, "--data-only", "--table", "users", "--table",
                               "orders", "--table", "docs", "--leak-scan", "--report", path);
    pair_expect(run, 4, "PH-LEAK");
    read_report(path);
    leaked("public.users.email", "public.docs.body", 2, 2, "(id=5)",
           "copies the column unmasked from public.docs.body");
    leaked("public.orders.email", "public.docs.body", 2, 2, "(id=5)", "unmasked");
    leaked("public.users.phone", "public.docs.body", 1, 1, "(id=7)", "unmasked");
    leaked("public.users.meta", "public.docs.data", 1, 1, "(id=9)", "unmasked");
    leaked("public.users.email", "public.docs.old", 1, 1, "(id=10)", "unmasked");
    leaked("public.users.email", "public.docs.marks", 1, 1, "(id=11)", "unmasked");
    leaked("public.users.email", "public.extra.who", 1, 1, "(who=Pe…)", "does not fill the table");
    leaked("public.users.seen", "public.extra.at", 1, 1, "(who=Pe…)", "does not fill the table");
    leaked("public.users.uid", "public.extra.uid", 1, 1, "(who=Pe…)", "does not fill");
    leaked("public.users.ssn", "public.extra.n", 1, 1, "(who=Pe…)", "does not fill");
    leaked("public.users.ip", "public.extra.ip", 1, 1, "(who=Pe…)", "does not fill");
    leaked("public.users.email", "public.extra.raw", 1, 1, "(who=Pe…)", "does not fill");
    leaked("public.users.email", "public.tick.body", 1, 1, "(mail=zo…)", "does not fill");
    not_told(run, "zoe@"); /* no masked value as far as is known */
    not_told(run, "erson30");
    not_told(run, "erson17");
    pair_expect(run, 4,
                "leak public.users.phone -> public.docs.body: 1 of 3,000 source values in "
                "1 row, as in (id=7)");

    /* what may be there is said */
    sql_exec(db.target, "DROP TABLE extra, tick");
    run = pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--leak-skip",
                   "public.docs.[bo]*", "--leak-skip", "*.docs.data", "--report", path);
    pair_expect(run, 4, "are on the target: 2 leaks");
    read_report(path);
    leaked("public.orders.email", "public.docs.marks", 1, 1, "(id=11)", "unmasked");
    assert_int_equal(n_leaks(), 2);
    const char *skips = scratch_write(
        "skips.yaml",
        scratch_printf("secret: {env: PGHAUL_TEST_SECRET}\nleak: {scan: true, values: 20000, skip:"
                       " [docs]}\n%s",
                       users_job));
    pair_expect(pair_run(&db, "verify", skips, "--data-only"), 0, "no leak was found");
    pair_expect(
        pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--leak-skip", "a.b.c.d"), 2,
        "--leak-skip");
    pair_db_end(&db);
}

/*
 * An address of two lines, a tab between two words: JSON writes them by letters, an array and a
 * text as they are, and JSON within an array by letters that are quoted once more.
 */
static void
test_lines_and_tabs(void **state)
{
    struct pair_db db = pair_db_new(&pair, "lines");
    const char *path = scratch_printf("%s/report.json", scratch_dir());
    const char *job = job_file(&db, "tables:\n  users:\n    columns:\n      addr: {mask: text}\n"
                                    "      notes: {do: [{array_join: \", \"}, {mask: text}]}\n"
                                    "      meta: {mask: json}\n");
    static const char users[] = "CREATE TABLE users (id int PRIMARY KEY, addr text, notes %s,"
                                " meta jsonb)";
    static const char *const found[] = {"free", "payload", "many", "tags", "packed"};

    (void)state;
    db.env = secret;
    sql_exec(db.source, scratch_printf(users, "text[]"));
    sql_exec(db.target, scratch_printf(users, "text"));
    pair_both(&db, "CREATE TYPE packet AS (n int, body jsonb);"
                   "CREATE TABLE audit (id int PRIMARY KEY, free text, payload jsonb, many jsonb[],"
                   " tags text[], packed packet[])");
    sql_exec(
        db.source,
        "INSERT INTO users SELECT g, g || E' Maple Street\\nSpringfield', ARRAY['first' || g ||"
        " E'\\tnote', 'x'], jsonb_build_object('a', g || E' meta\\r\\nvalue') FROM"
        " generate_series(1, 50) g;"
        "INSERT INTO audit SELECT row_number() OVER (), v, jsonb_build_object('v', v),"
        " ARRAY[jsonb_build_object('v', v)], ARRAY[v, 'y'],"
        " ARRAY[ROW(1, jsonb_build_object('v', v))::packet] FROM (SELECT unnest(ARRAY[addr,"
        " notes[1], meta ->> 'a']) v FROM users WHERE id <= 10) of_users");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--report", path), 4,
                "PH-LEAK");
    read_report(path);
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++) {
        const char *target = scratch_printf("public.audit.%s", found[i]);
        leaked("public.users.addr", target, 10, 10, "(id=1)", "unmasked");
        leaked("public.users.notes", target, 10, 10, "(id=2)", "unmasked");
        leaked("public.users.meta", target, 10, 10, "(id=3)", "unmasked");
    }
    pair_db_end(&db);
}

/* A column that is copied as it is and has the masked one's values, and rows that nobody masked. */
static void
test_unmasked(void **state)
{
    struct pair_db db = pair_db_new(&pair, "unmasked");
    const char *path = scratch_printf("%s/report.json", scratch_dir());
    const char *job = job_file(&db, "tables:\n  people:\n    columns:\n"
                                    "      email: {mask: email}\n"
                                    "      shown: {do: [upper], from: login}\n"
                                    "    drop: [shown]\n    preserve: \"id < 0\"\n");

    (void)state;
    db.env = secret;
    pair_both(&db, "CREATE TABLE people (id int PRIMARY KEY, email text, login text, shown text)");
    sql_exec(db.source, "INSERT INTO people SELECT g, 'who' || g || '@x.example', CASE WHEN g = 7"
                        " THEN 'who7@x.example' ELSE 'login' || g END, '' FROM"
                        " generate_series(1, 500) g");
    sql_exec(db.target, "INSERT INTO people VALUES (-1, 'who8@x.example', 'old', 'old')");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--report", path), 4,
                "are on the target: 3 leaks");
    read_report(path);
    leaked("public.people.email", "public.people.login", 1, 1, "(id=7)",
           "copies the column unmasked from public.people.login");
    leaked("public.people.email", "public.people.shown", 1, 1, "(id=7)",
           "rule for the column masks nothing");
    leaked("public.people.email", "public.people.email", 1, 1, "(id=-1)", "preserves");

    /* copied by somebody else, without masks, and only counted */
    sql_exec(db.target, "TRUNCATE people; INSERT INTO people SELECT g, 'who' || g || '@x.example',"
                        " 'login' || g, '' FROM generate_series(1, 500) g");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--verify", "count",
                         "--leak-values", "50", "--report", path),
                4, "PH-LEAK");
    read_report(path);
    leaked("public.people.email", "public.people.email", 50, 50,
           json_string_value(json_array_get(
               json_object_get(leak_of("public.people.email", "public.people.email"), "rows_named"),
               0)),
           "not proven equal");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan"), 4,
                "besides, 1 table or object differs");
    pair_db_end(&db);
}

static void
test_nothing_to_look_for(void **state)
{
    struct pair_db db = pair_db_new(&pair, "no_mask");
    const char *job = job_file(&db, "tables:\n  t: {columns: {v: {set: null}}}\n");

    (void)state;
    db.env = secret;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan"), 2,
                "no rule of the job is a mask");
    pair_expect(pair_run(&db, "verify", "--data-only", "--leak-scan"), 2,
                "needs a job file with masks");
    pair_expect(pair_run(&db, "verify", job, "--schema-only", "--leak-scan"), 2,
                "excludes --schema-only");
    pair_db_end(&db);
}

/* Partitions as one table, views that hold rows, tables that the role may not read. */
static void
test_kinds_of_tables(void **state)
{
    const char *job;
    struct pair_db db = copied("kinds", &job);
    const char *path = scratch_printf("%s/report.json", scratch_dir());

    (void)state;
    sql_exec(
        db.target,
        "CREATE SCHEMA other; CREATE TABLE other.p (id int, v text) PARTITION BY LIST (id);"
        "CREATE TABLE other.p1 PARTITION OF other.p FOR VALUES IN (1);"
        "CREATE TABLE other.p2 PARTITION OF other.p FOR VALUES IN (2);"
        "INSERT INTO other.p VALUES (1, 'Person1@corp.example'), (2, 'Person2@corp.example');"
        "CREATE TYPE other.pair AS (a int, b text);"
        "CREATE TABLE other.parent (c other.pair, u uuid); CREATE TABLE other.child () INHERITS"
        " (other.parent); INSERT INTO other.child VALUES ((1, 'by \"Person3@corp.example\"'),"
        " md5('u3')::uuid);"
        "CREATE MATERIALIZED VIEW other.seen AS SELECT * FROM other.p;"
        "CREATE MATERIALIZED VIEW other.later AS SELECT * FROM other.p WITH NO DATA;"
        "CREATE VIEW other.view AS SELECT * FROM other.p;"
        "CREATE TABLE other.closed (id int, v text); INSERT INTO other.closed VALUES (1,"
        " 'Person4@corp.example');"
        "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA other, pghaul TO reader;"
        "GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO reader;"
        "GRANT SELECT ON ALL TABLES IN SCHEMA other, pghaul TO reader;"
        "REVOKE SELECT ON other.closed FROM reader");
    db.target_user = "reader"; /* of other tables SELECT is all that a scan needs */
    struct run *run = pair_run(&db, "verify", job, "--data-only", "--table", "users", "--table",
                               "orders", "--leak-scan", "--report", path);
    pair_expect(run, 4, "warning: leak scan other.closed: was not searched: no right to read it");
    read_report(path);
    leaked("public.users.email", "other.p.v", 2, 2,
           scratch_printf("(ctid=%s)", sql_value(db.target, "SELECT min(ctid) FROM other.p")),
           "does not fill");
    leaked("public.users.email", "other.child.c", 1, 1, "(ctid=(0,1))", "does not fill");
    leaked("public.users.uid", "other.child.u", 1, 1, "(ctid=(0,1))", "does not fill");
    leaked("public.users.email", "other.seen.v", 2, 2, "(ctid=(0,1))", "does not fill");
    assert_null(leak_of("public.users.email", "other.p1.v"));
    assert_null(leak_of("public.users.email", "other.parent.c"));
    assert_null(leak_of("public.users.email", "other.view.v"));
    pair_db_end(&db);
}

/* Masked keys of rows that stayed behind are not in the ledger; if they were, they would be found.
 */
static void
test_quarantine(void **state)
{
    struct pair_db db = pair_db_new(&pair, "quarantined");
    const char *path = scratch_printf("%s/report.json", scratch_dir());
    const char *job = job_file(&db, "maps:\n  m: {a: b}\ntables:\n  people:\n    columns:\n"
                                    "      email: {mask: email}\n      kind: {map: m}\n"
                                    "    on_bad: quarantine\n");

    (void)state;
    db.env = secret;
    pair_both(&db, "CREATE TABLE people (email text PRIMARY KEY, kind text)");
    sql_exec(db.source, "INSERT INTO people VALUES ('one@x.example', 'a'), ('two@x.example', 'z')");
    pair_expect(pair_copy(&db, job, "--data-only"), 4, "quarantine");
    struct run *run = pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--report", path);
    pair_expect(run, 0, NULL);
    sql_exec(db.target, "UPDATE pghaul.quarantine SET row_key = '(email=two@x.example)'");
    run = pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--report", path);
    pair_expect(run, 4, "PH-LEAK");
    read_report(path);
    json_t *leak = leak_of("public.people.email", "pghaul.quarantine.row_key");
    assert_non_null(leak);
    assert_non_null(strstr(json_string_value(json_object_get(leak, "how")), "pghaul clean"));
    pair_db_end(&db);
}

/* What a preserved column kept is the target's, and not what the mask gives. */
static void
test_preserved_columns(void **state)
{
    struct pair_db db = pair_db_new(&pair, "kept");
    const char *path = scratch_printf("%s/report.json", scratch_dir());
    const char *job = job_file(&db, "tables:\n  people:\n    columns:\n"
                                    "      email: {mask: email}\n"
                                    "    preserve: {columns: [email]}\n");

    (void)state;
    db.env = secret;
    pair_both(&db, "CREATE TABLE people (id int PRIMARY KEY, email text)");
    sql_exec(db.source, "INSERT INTO people SELECT g, 'who' || g || '@x.example' FROM"
                        " generate_series(1, 500) g");
    sql_exec(db.target, "INSERT INTO people VALUES (8, 'who8@x.example'), (9, 'own@y.example')");
    pair_expect(pair_copy(&db, job, "--data-only", "--truncate", "--yes"), 0, "proven");
    pair_expect(pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--report", path), 4,
                "PH-LEAK");
    read_report(path);
    leaked("public.people.email", "public.people.email", 1, 1, "(id=8)", "keep what they had");
    pair_db_end(&db);
}

/* Rows of the source's own tables, in the same database, are no leaks. */
static void
test_one_database(void **state)
{
    struct pair_db db = pair_db_new(&pair, "one_database");
    const char *job = job_file(&db, "tables:\n  live.people:\n    into: shadow.people\n"
                                    "    columns: {email: {mask: email}}\n");
    const char *conninfo = pg_test_conninfo(pair.src, "one_database");
    const char *args[] = {"pghaul",   "copy",        job,           "--source", conninfo,
                          "--target", conninfo,      "--dir",       db.dir,     "--data-only",
                          "--table",  "live.people", "--leak-scan", NULL};

    (void)state;
    sql_exec(db.source, "CREATE SCHEMA live; CREATE SCHEMA shadow;"
                        "CREATE TABLE live.people (id int PRIMARY KEY, email text, note text);"
                        "CREATE TABLE live.mails (id int PRIMARY KEY, email text);"
                        "INSERT INTO live.people SELECT g, 'who' || g || '@x.example', '' FROM"
                        " generate_series(1, 100) g; INSERT INTO live.mails SELECT id, email FROM"
                        " live.people;"
                        "CREATE TABLE shadow.people (LIKE live.people INCLUDING ALL)");
    args[12] = NULL;
    pair_expect(run_start_copy(secret, args), 0, "proven");
    args[1] = "verify";
    args[12] = "--leak-scan";
    pair_expect(run_start_copy(secret, args), 0, "no leak was found");
    sql_exec(db.source, "UPDATE live.people SET note = 'see who5@x.example' WHERE id = 9;"
                        "UPDATE shadow.people SET note = 'see who5@x.example' WHERE id = 9");
    struct run *run = run_start_copy(secret, args);
    pair_expect(run, 4, "live.people.email -> shadow.people.note");
    pair_expect(run, 4, "only tables that the job fills were searched");
    pair_db_end(&db);
}

static void
test_while_it_follows(void **state)
{
    struct pair_db db = pair_db_new(&pair, "leak_follow");
    const char *job = job_file(&db, users_job);

    (void)state;
    db.env = secret;
    sql_exec(db.source, users_sql);
    sql_exec(db.source, "ALTER TABLE users REPLICA IDENTITY FULL;"
                        "ALTER TABLE orders REPLICA IDENTITY FULL");
    sql_exec(db.source, fill_sql);
    struct run *run = pair_follow(&db, job);
    pair_wait_following(&db, run);
    pair_expect(pair_run(&db, "verify", job, "--name", db.name, "--leak-scan"), 0,
                "no leak was found");
    sql_exec(db.source, "INSERT INTO docs VALUES (1000, 'ask Person5@corp.example', NULL, NULL)");
    sql_wait_true(pair.dst, db.name, "SELECT count(*) = 1 FROM docs WHERE id = 1000", 60000);
    pair_expect(pair_run(&db, "verify", job, "--name", db.name, "--leak-scan"), 4,
                "public.users.email -> public.docs.body: 1 of 3,000 source values in 1 row, as in"
                " (id=1000)");
    pair_expect(pair_stop(&db, "now"), 0, NULL);
    pair_expect(run, 0, NULL);
    pair_db_end(&db);
}

/* Asked for more values than --memory has room for, of tables that are larger than it. */
static void
test_memory(void **state)
{
    struct pair_db db = pair_db_new(&pair, "leak_memory");
    const char *job = job_file(&db, "tables: {people: {columns: {mail: {mask: email}, about: {mask:"
                                    " text}}}}\n");

    (void)state;
    db.env = secret;
    pair_both(&db, "CREATE TABLE people (id int PRIMARY KEY, mail text, about text, free text)");
    sql_exec(db.source, "INSERT INTO people SELECT g, 'person' || g || '@corp.example', CASE WHEN g"
                        " % 50000 = 0 THEN repeat('a long story ' || g || ' ', 100000) ELSE"
                        " repeat(md5(g::text), 4) END, 'free' || repeat(md5('f' || g), 16) FROM"
                        " generate_series(1, 150000) g");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    struct run *run =
        pair_run(&db, "verify", job, "--data-only", "--leak-scan", "--leak-values", "1000000");
    pair_expect(run, 0, "no leak was found");
    pair_expect(run, 0, "--memory has room for");
    run_expect_memory(run, 64 * 1024);
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_leaked),
        cmocka_unit_test(test_planted),
        cmocka_unit_test(test_lines_and_tabs),
        cmocka_unit_test(test_unmasked),
        cmocka_unit_test(test_nothing_to_look_for),
        cmocka_unit_test(test_kinds_of_tables),
        cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_preserved_columns),
        cmocka_unit_test(test_one_database),
        cmocka_unit_test(test_while_it_follows),
        cmocka_unit_test(test_memory),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
