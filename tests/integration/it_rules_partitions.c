/*
 * Entries of a job file that are about single partitions, and others about the table above them:
 * what one says counts for its own partitions, whatever is said of the rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/scratch.h"

#include <stdlib.h>
#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

static const char *
job_of(const struct pair_db *db, const char *tables)
{
    return pair_job_file(db, scratch_printf("tables:\n%s", tables));
}

/* ---- what an entry says of its own partitions ---- */

#define CLASSIFIED                                                                                 \
    "{columns: {email: {mask: email}, ssn: {mask: fpe}}, keep: [id, region]}" /* of a partition */

/* One partition with an entry does not let the others along, whichever comes first. */
static void
test_classify(void **state)
{
    static const char *const env[] = {"PGHAUL_TEST_SECRET=nobody knows it", NULL};
    static const char *const refused[][2] = {
        {"people_eu: " CLASSIFIED,
         "neither kept nor dropped: public.people_us.id, public.people_us.region, "
         "public.people_us.email, public.people_us.ssn"},
        {"people_us: " CLASSIFIED, "neither kept nor dropped: public.people_eu.id"},
        {"people_eu: " CLASSIFIED
         "\n  people_us: {columns: {email: {mask: email}}, keep: [id, region]}",
         "neither kept nor dropped: public.people_us.ssn"},
        {"people_us: " CLASSIFIED
         "\n  people_eu: {columns: {email: {mask: email}}, keep: [id, region]}",
         "neither kept nor dropped: public.people_eu.ssn"},
    };
    struct pair_db db = pair_db_new(&pair, "classified");
    const char *policy = "secret: {env: PGHAUL_TEST_SECRET}\npolicy: classify\ntables:\n  ";

    (void)state;
    db.env = env;
    pair_both(&db, "CREATE TABLE people (id int, region text, email text, ssn text,"
                   " PRIMARY KEY (id, region)) PARTITION BY LIST (region);"
                   "CREATE TABLE people_eu PARTITION OF people FOR VALUES IN ('eu');"
                   "CREATE TABLE people_us PARTITION OF people FOR VALUES IN ('us')");
    sql_exec(db.source, "INSERT INTO people SELECT g, CASE WHEN g > 10 THEN 'us' ELSE 'eu' END,"
                        " 'p' || g || '@example.org', '078-05-' || 1000 + g"
                        " FROM generate_series(1, 20) g");
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *job = pair_job_file(&db, scratch_printf("%s%s\n", policy, refused[i][0]));
        pair_expect(pair_run(&db, "check", job, "--data-only"), 3, refused[i][1]);
    }
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM people"), 0);
    const char *job = pair_job_file(
        &db, scratch_printf("%speople_eu: " CLASSIFIED "\n  people_us: " CLASSIFIED "\n", policy));
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM people WHERE email !~ '^p[0-9]+@' AND"
                                        " ssn !~ '^078-05-10'"),
                     20);
    pair_db_end(&db);
}

/* The constants of each entry are tried, not those of the first one alone. */
static void
test_constants(void **state)
{
    struct pair_db db = pair_db_new(&pair, "constants");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id int, r text, s text) PARTITION BY LIST (r);"
                        "CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu');"
                        "CREATE TABLE t_us PARTITION OF t FOR VALUES IN ('us');"
                        "INSERT INTO t VALUES (1, 'eu', 'a'), (2, 'us', 'b')");
    sql_exec(db.target, "CREATE TABLE t (id int, r text, s text CONSTRAINT known CHECK"
                        " (s IN ('new', 'done')));"
                        "CREATE TABLE u (id int, r text, s text) PARTITION BY LIST (r);"
                        "CREATE TABLE u_1 PARTITION OF u FOR VALUES IN ('one', 'two')");
    const char *job = job_of(&db, "  t_eu: {into: t, columns: {s: {set: new}}}\n"
                                  "  t_us: {into: t, columns: {s: {set: gone}}}\n");
    pair_expect(pair_run(&db, "check", job, "--data-only"), 3,
                "the rule of s gives gone, which public.t does not allow: constraint known");
    job = job_of(&db, "  t_eu: {into: u, columns: {r: {set: one}}}\n"
                      "  t_us: {into: u, columns: {r: {set: three}}}\n");
    pair_expect(pair_run(&db, "check", job, "--data-only"), 3, "three");
    pair_db_end(&db);
}

/* ---- references ---- */

static const char *const secret[] = {"PGHAUL_TEST_SECRET=nobody knows it", NULL};

#define USERS                                                                                      \
    "CREATE TABLE users (id int, region text, name text, PRIMARY KEY (id, region))"                \
    " PARTITION BY LIST (region);"                                                                 \
    "CREATE TABLE users_eu PARTITION OF users FOR VALUES IN ('eu');"                               \
    "CREATE TABLE users_us PARTITION OF users FOR VALUES IN ('us');"

/* Users 1 to 10 of eu, 11 to 20 of us. */
#define FILL_USERS                                                                                 \
    "INSERT INTO users SELECT g, CASE WHEN g > 10 THEN 'us' ELSE 'eu' END, 'n' || g"               \
    " FROM generate_series(1, 20) g;"

#define ORDERS                                                                                     \
    "CREATE TABLE orders (id int PRIMARY KEY, user_id int, region text, note text,"                \
    " FOREIGN KEY (user_id, region) REFERENCES users);"
#define FILL_ORDERS "INSERT INTO orders SELECT id, id, region, 'x' FROM users;"

#define SECRET "secret: {env: PGHAUL_TEST_SECRET}\n"
#define HASHED "columns: {id: {do: [hash_int]}}"

/* A database of both sides, with these tables, and rows of the source. */
static struct pair_db
begin_case(const char *name, const char *schema, const char *rows)
{
    struct pair_db db = pair_db_new(&pair, name);

    db.env = secret;
    pair_both(&db, schema);
    sql_exec(db.source, rows);
    return db;
}

static const char *
secret_job(const struct pair_db *db, const char *tables)
{
    return pair_job_file(db, scratch_printf(SECRET "tables:\n%s", tables));
}

/* A key that refers to a partition follows the rule of the table above it. */
static void
test_key_to_a_partition(void **state)
{
    struct pair_db db = begin_case(
        "to_part",
        USERS "ALTER TABLE users_eu ADD UNIQUE (id);"
              "CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users_eu (id))",
        FILL_USERS "INSERT INTO orders SELECT id, id FROM users_eu");
    const char *job = secret_job(&db, "  users: {" HASHED "}\n");

    (void)state;
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users WHERE id > 20 OR id < 1"), 20);
    pair_same_as(&db,
                 "SELECT o.id, u.name FROM orders o JOIN users_eu u ON u.id = o.user_id"
                 " ORDER BY 1",
                 "SELECT o.id, u.name FROM orders o JOIN users_eu u ON u.id = o.user_id"
                 " ORDER BY 1");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    pair_db_end(&db);
}

/* Nor need it be the topmost table, or one that has rows itself; they may go into other partitions
 * than they came from. */
static void
test_key_to_a_level_between(void **state)
{
    static const char *const entries[] = {
        "  users: {" HASHED "}\n",
        "  users_eu: {into: users, " HASHED "}\n  users_us: {into: users}\n",
        "  users_eu_1: {into: users, " HASHED "}\n  users_eu_2: {into: users, " HASHED "}\n"
        "  users_us: {into: users}\n",
    };
    static const char joined[] =
        "SELECT o.id, u.name FROM orders o JOIN users_eu u ON u.id = o.user_id ORDER BY 1";

    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct pair_db db = begin_case(
            scratch_printf("between_%zu", i),
            "CREATE TABLE users (id int, region text, name text) PARTITION BY LIST (region);"
            "CREATE TABLE users_eu PARTITION OF users FOR VALUES IN ('eu') PARTITION BY RANGE (id);"
            "CREATE TABLE users_us PARTITION OF users FOR VALUES IN ('us');"
            "ALTER TABLE users_eu ADD PRIMARY KEY (id);"
            "CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users_eu)",
            "CREATE TABLE users_eu_1 PARTITION OF users_eu FOR VALUES FROM (MINVALUE) TO (6);"
            "CREATE TABLE users_eu_2 PARTITION OF users_eu FOR VALUES FROM (6) TO "
            "(MAXVALUE);" FILL_USERS "INSERT INTO orders SELECT id, id FROM users_eu");
        sql_exec(db.target, "CREATE TABLE users_eu_all PARTITION OF users_eu DEFAULT");
        const char *job = secret_job(&db, entries[i]);
        pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
        pair_same_as(&db, joined, joined);
        pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
        pair_db_end(&db);
    }
}

/* A key that only one partition has is followed there; the others refer to something else. */
static void
test_key_of_a_partition(void **state)
{
    static const char joined[] =
        "SELECT o.id, u.name, f.name FROM orders o LEFT JOIN users u ON u.id = o.user_id AND"
        " o.region = 'eu' LEFT JOIN firms f ON f.id = o.user_id AND o.region = 'us' ORDER BY 1";
    static const char *const entries[] = {"", "  orders: {columns: {note: {set: null}}}\n",
                                          "  orders_us: {columns: {note: {set: null}}}\n",
                                          "  orders_eu: {columns: {note: {set: null}}}\n"};

    (void)state;
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        struct pair_db db = begin_case(
            scratch_printf("of_part_%zu", i),
            "CREATE TABLE users (id int PRIMARY KEY, name text);"
            "CREATE TABLE firms (id int PRIMARY KEY, name text);"
            "CREATE TABLE orders (id int, user_id int, region text, note text,"
            " PRIMARY KEY (id, region)) PARTITION BY LIST (region);"
            "CREATE TABLE orders_eu PARTITION OF orders FOR VALUES IN ('eu');"
            "CREATE TABLE orders_us PARTITION OF orders FOR VALUES IN ('us');"
            "ALTER TABLE orders_eu ADD FOREIGN KEY (user_id) REFERENCES users;"
            "ALTER TABLE orders_us ADD FOREIGN KEY (user_id) REFERENCES firms",
            "INSERT INTO users SELECT g, 'u' || g FROM generate_series(1, 10) g;"
            "INSERT INTO firms SELECT g, 'f' || g FROM generate_series(1, 10) g;"
            "INSERT INTO orders SELECT g, 1 + g / 2, CASE g % 2 WHEN 1 THEN 'eu' ELSE 'us' END,"
            " 'x' FROM generate_series(1, 18) g");
        const char *job = secret_job(&db, scratch_printf("  users: {" HASHED "}\n%s", entries[i]));
        pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
        pair_same_as(&db, joined, joined);
        pair_same_table(&db, "firms");
        pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
        pair_db_end(&db);
    }
}

/* Partitions with an entry of their own follow as well, beside those that have none. */
static void
test_followed_beside_an_entry(void **state)
{
    static const char joined[] = "SELECT o.id, o.part, u.name FROM orders o JOIN users u ON u.id ="
                                 " o.user_id ORDER BY 1";
    struct pair_db db =
        begin_case("beside",
                   "CREATE TABLE users (id int PRIMARY KEY, name text);"
                   "CREATE TABLE orders (id int, part int, user_id int REFERENCES users, note text,"
                   " PRIMARY KEY (id, part)) PARTITION BY LIST (part);"
                   "CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);"
                   "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2)",
                   "INSERT INTO users SELECT g, 'u' || g FROM generate_series(1, 10) g;"
                   "INSERT INTO orders SELECT g, 1 + g % 2, g, 'x' FROM generate_series(1, 10) g");
    const char *job = secret_job(&db, "  users: {" HASHED "}\n"
                                      "  orders_1: {columns: {note: {set: null}}}\n");

    (void)state;
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(&db, joined, joined);
    assert_string_equal(sql_rows(db.target, "SELECT part, count(note) FROM orders GROUP BY 1"
                                            " ORDER BY 1"),
                        "1|0\n2|5\n");
    pair_db_end(&db);
}

/* What refers to a key could follow one of its rules only: several are refused. */
static void
test_key_by_several_rules(void **state)
{
    static const char *const refused[][2] = {
        {"  users_eu: {" HASHED "}\n",
         "public.orders: column user_id refers to public.users_eu.id, whose values come by one "
         "rule "
         "from public.users_eu and by another or none from public.users_us: both must have the "
         "same"},
        {"  users_us: {" HASHED "}\n",
         "by one rule from public.users_us and by another or none from public.users_eu"},
        {"  users_eu: {" HASHED "}\n  users_us: {columns: {id: {do: [{add: 100}]}}}\n",
         "by one rule from public.users_eu and by another or none from public.users_us"},
    };
    struct pair_db db = begin_case("several", USERS ORDERS, FILL_USERS FILL_ORDERS);

    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        const char *job = secret_job(&db, refused[i][0]);
        pair_expect(pair_run(&db, "check", job, "--data-only"), 3, refused[i][1]);
        pair_expect(pair_copy(&db, job, "--data-only"), 2, refused[i][1]);
    }
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM users"), 0);
    const char *job = secret_job(&db, "  users_eu: {" HASHED "}\n  users_us: {" HASHED "}\n");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    pair_same_as(&db,
                 "SELECT o.id, u.name FROM orders o JOIN users u ON u.id = o.user_id"
                 " ORDER BY 1",
                 "SELECT o.id, u.name FROM orders o JOIN users u ON u.id = o.user_id"
                 " ORDER BY 1");
    pair_db_end(&db);
}

/* Two tables become one: each reference follows the one that it had, if the source says which. */
static void
test_merged_by_several_rules(void **state)
{
    static const char target[] =
        "CREATE TABLE users (id int PRIMARY KEY, name text);"
        "CREATE TABLE orders (id int, user_id int REFERENCES users, name text);"
        "CREATE TABLE visits (user_id int REFERENCES users)";
    static const char entries[] = "  a: {into: users, columns: {id: {do: [{add: 100}]}}}\n"
                                  "  b: {into: users}\n"
                                  "  orders_a: {into: orders}\n  orders_b: {into: orders}\n";
    struct pair_db db = pair_db_new(&pair, "merged");

    (void)state;
    sql_exec(db.source, "CREATE TABLE a (id int PRIMARY KEY, name text);"
                        "CREATE TABLE b (id int PRIMARY KEY, name text);"
                        "CREATE TABLE orders_a (id int, user_id int REFERENCES a, name text);"
                        "CREATE TABLE orders_b (id int, user_id int REFERENCES b, name text);"
                        "CREATE TABLE visits (user_id int);"
                        "INSERT INTO a SELECT g, 'a' || g FROM generate_series(1, 10) g;"
                        "INSERT INTO b SELECT g, 'b' || g FROM generate_series(1, 10) g;"
                        "INSERT INTO orders_a SELECT id, id, name FROM a;"
                        "INSERT INTO orders_b SELECT id, id, name FROM b;"
                        "INSERT INTO visits SELECT id FROM b");
    sql_exec(db.target, target);
    const char *job = job_of(&db, entries);
    pair_expect(pair_run(&db, "check", job, "--data-only"), 3,
                "public.visits: column user_id refers to public.users.id, whose values come by one "
                "rule from public.a and by another or none from public.b");
    sql_exec(db.source, "ALTER TABLE visits ADD FOREIGN KEY (user_id) REFERENCES b");
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "proven");
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM orders o JOIN users u"
                                        " ON u.id = o.user_id AND u.name = o.name"),
                     20);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM visits JOIN users u"
                                        " ON u.id = user_id WHERE u.name LIKE 'b%'"),
                     10);
    pair_db_end(&db);
}

/* ---- the proof of references ---- */

/* Rows that refer to what was left out are found wherever the job file speaks of partitions. */
static void
test_orphans_are_found(void **state)
{
    static const struct {
        const char *schema;
        const char *rows;
        const char *tables;
    } cases[] = {
        {USERS ORDERS, FILL_USERS FILL_ORDERS, "  users: {where: \"id > 5\"}\n"},
        {USERS ORDERS, FILL_USERS FILL_ORDERS, "  users_eu: {where: \"id > 5\"}\n"},
        {USERS "ALTER TABLE users_eu ADD UNIQUE (id);"
               "CREATE TABLE orders (id int PRIMARY KEY, user_id int REFERENCES users_eu (id))",
         FILL_USERS "INSERT INTO orders SELECT id, id FROM users_eu",
         "  users: {where: \"id > 5\"}\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pair_db db =
            begin_case(scratch_printf("orphans_%zu", i), cases[i].schema, cases[i].rows);
        const char *job = job_of(&db, cases[i].tables);
        pair_expect(pair_copy(&db, job, "--data-only"), 4, "rows that refer to none: 5");
        pair_expect(pair_run(&db, "verify", job, "--data-only"), 4, "rows that refer to none: 5");
        pair_db_end(&db);
    }
}

/* The same where a partition of what they refer to is not taken, without any rule. */
static void
test_orphans_of_what_is_not_taken(void **state)
{
    struct pair_db db = begin_case("excluded", USERS ORDERS, FILL_USERS FILL_ORDERS);
    const char *job = pair_job_file(&db, "{}\n");

    (void)state;
    pair_expect(pair_copy(&db, job, "--data-only", "--exclude", "public.users_us"), 4,
                "rows that refer to none: 10");
    pair_db_end(&db);
}

/* A sequence that numbers rows of a partition which has rules need not be there. */
static void
test_sequence_of_a_partition(void **state)
{
    struct pair_db db = pair_db_new(&pair, "sequence");
    const char *job = job_of(&db, "  t_eu: {where: \"id > 0\"}\n");

    (void)state;
    sql_exec(db.source, "CREATE TABLE t (id serial, r text) PARTITION BY LIST (r);"
                        "CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu');"
                        "INSERT INTO t (r) VALUES ('eu'), ('eu')");
    sql_exec(db.target, "CREATE TABLE t (id int, r text) PARTITION BY LIST (r);"
                        "CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu')");
    pair_expect(pair_copy(&db, job, "--data-only"), 0,
                "where the rules' rows are numbered by another one");
    pair_expect(pair_run(&db, "verify", job, "--data-only"), 0, "agree");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_key_to_a_partition),
        cmocka_unit_test(test_key_to_a_level_between),
        cmocka_unit_test(test_key_of_a_partition),
        cmocka_unit_test(test_followed_beside_an_entry),
        cmocka_unit_test(test_key_by_several_rules),
        cmocka_unit_test(test_merged_by_several_rules),
        cmocka_unit_test(test_orphans_are_found),
        cmocka_unit_test(test_orphans_of_what_is_not_taken),
        cmocka_unit_test(test_sequence_of_a_partition),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
