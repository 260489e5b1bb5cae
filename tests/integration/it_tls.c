/*
 * Rows over TLS: the same digests, memory within its contract. The servers' certificates are signed
 * by an authority made here.
 */
/* timeout: 600 */
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
static const char *ca;

static void
shell(const char *command)
{
    const char *const argv[] = {"sh", "-ec", command, NULL};

    run_expect(run_start(NULL, argv), 0);
}

static void
enable_tls(struct pg_test_cluster *cluster)
{
    const char *d = cluster->data;

    shell(scratch_printf(
        "cd %s && openssl req -newkey rsa:2048 -nodes -subj /CN=server -keyout server.key"
        " -out server.csr && printf 'subjectAltName=IP:127.0.0.1' > ext && openssl x509 -req -in"
        " server.csr -CA %s.crt -CAkey %s.key -CAcreateserial -days 2 -extfile ext -out server.crt"
        " && chown --reference . server.key server.crt && chmod 600 server.key",
        d, ca, ca));
    pg_test_cluster_conf(cluster, "ssl = on\n");
    pg_test_cluster_restart(cluster);
}

static int
start(void **state)
{
    const struct pg_test_params params = {
        .listen = PG_TEST_SOCKET_AND_TCP,
        .hba = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n"};

    (void)state;
    pg_test_pair_new(&params, &params, &pair.src, &pair.dst);
    ca = scratch_printf("%s/ca", scratch_dir());
    shell(scratch_printf("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority"
                         " -keyout %s.key -out %s.crt",
                         ca, ca));
    enable_tls(pair.src);
    enable_tls(pair.dst);
    return 0;
}

static void
by_tls(struct pair_db *db)
{
    db->source_extra = db->target_extra =
        scratch_printf("host=127.0.0.1 sslmode=verify-full sslrootcert=%s.crt", ca);
}

static const char DIGESTS[] = "SELECT source_name, digest, target_digest FROM pghaul.tbl WHERE"
                              " job = '%s' ORDER BY 1";

static void
test_same_digests(void **state)
{
    struct pair_db db = pair_db_new(&pair, "digests");

    (void)state;
    pair_both(&db,
              "CREATE TABLE n (id int PRIMARY KEY, v numeric);"
              "CREATE TABLE w (id int, a text[], j jsonb, r regclass); CREATE TABLE none (i int);"
              "CREATE TABLE b (v bytea)");
    sql_exec(db.source, "INSERT INTO n SELECT i, i / 7.0 FROM generate_series(1, 100000) i;"
                        "INSERT INTO w SELECT i, ARRAY[repeat('x', i % 900), NULL], '{\"a\": [1]}',"
                        " 'pg_class' FROM generate_series(1, 9000) i;"
                        "INSERT INTO b SELECT decode(repeat('00ff', 200000), 'hex') FROM"
                        " generate_series(1, 40)");
    pair_expect(pair_copy(&db, "--data-only", "--name", "plain", "--split", "1MB"), 0, "proven");
    by_tls(&db);
    db.dir = scratch_new_dir("tls");
    struct run *run = pair_copy(&db, "--data-only", "--name", "tls", "--truncate", "--yes",
                                "--split", "1MB", "--jobs", "3");
    pair_expect(run, 0, "proven");
    assert_string_equal(sql_rows(db.target, scratch_printf(DIGESTS, "tls")),
                        sql_rows(db.target, scratch_printf(DIGESTS, "plain")));
    pair_same_table(&db, "n");
    pair_same_table(&db, "w");
    pair_same_table(&db, "b");
    pair_db_end(&db);
}

static void
test_memory_with_a_large_row(void **state)
{
    struct pair_db db = pair_db_new(&pair, "large");

    (void)state;
    pair_both(&db, "CREATE TABLE large (id int PRIMARY KEY, v text);"
                   "ALTER TABLE large ALTER v SET STORAGE EXTERNAL");
    sql_exec(db.source,
             "INSERT INTO large VALUES (1, 'short'), (2, repeat('0123456789', 20000000)),"
             " (3, 'short')");
    by_tls(&db);
    struct run *run = pair_copy(&db, "--data-only", "--jobs", "2");
    pair_expect(run, 0, "proven");
    run_expect_memory(run, 64 * 1024 + 4 * 200000000 / 1024);
    pair_same(&db, "SELECT id, length(v), md5(v) FROM large ORDER BY 1");
    db.dir = scratch_new_dir("small_rows");
    run = pair_copy(&db, "--data-only", "--name", "rows", "--truncate", "--yes", "--max-row",
                    "100MB");
    pair_expect(run, 1, "(id=2)");
    pair_db_end(&db);
}

/* Rows of some MB in every lane, on both sides: nobody keeps a buffer of their size for itself. */
static void
test_memory_with_large_rows_on_many_lanes(void **state)
{
    struct pair_db db = pair_db_new(&pair, "lanes");

    (void)state;
    for (int i = 0; i < 8; i++) {
        pair_both(&db, scratch_printf("CREATE TABLE l%d (id int PRIMARY KEY, v text);"
                                      "ALTER TABLE l%d ALTER v SET STORAGE EXTERNAL",
                                      i, i));
        sql_execf(db.source,
                  "INSERT INTO l%d SELECT i, repeat('0123456789', 100000 * (1 + (i + %d) %% 10))"
                  " FROM generate_series(1, 10) i",
                  i, i);
    }
    by_tls(&db);
    struct run *run = pair_copy(&db, "--data-only", "--jobs", "8");
    pair_expect(run, 0, "proven");
    run_expect_memory(run, 64 * 1024 + 4 * 10000000 / 1024);
    for (int i = 0; i < 8; i++)
        pair_same(&db, scratch_printf("SELECT id, length(v), md5(v) FROM l%d ORDER BY 1", i));
    pair_db_end(&db);
}

static void
test_refused(void **state)
{
    struct pair_db db = pair_db_new(&pair, "refused");
    const char *other = scratch_printf("%s/other", scratch_dir());

    (void)state;
    shell(scratch_printf("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority"
                         " -keyout %s.key -out %s.crt",
                         other, other));
    db.source_extra = scratch_printf("host=127.0.0.1 sslmode=verify-ca sslrootcert=%s.crt", other);
    pair_expect(pair_copy(&db, "--data-only"), 3, "certificate verify failed");
    /* signed well, but for another name */
    db.source_extra = scratch_printf("host=localhost hostaddr=127.0.0.1 sslmode=verify-full"
                                     " sslrootcert=%s.crt",
                                     ca);
    pair_expect(pair_copy(&db, "--data-only"), 3, "does not match host name");
    /* the server takes nothing but TLS */
    db.source_extra = "host=127.0.0.1 sslmode=disable";
    pair_expect(pair_copy(&db, "--data-only"), 3, "no encryption");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_digests),
        cmocka_unit_test(test_memory_with_a_large_row),
        cmocka_unit_test(test_memory_with_large_rows_on_many_lanes),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
