/*
 * Passwords and TLS over a whole job: both servers want scram and TLS, the password stands in the
 * URI, the certificate is verified in full; and the password is nowhere where it must not be.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET "tr1cky-pw"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static const char *env[4];
static const char *state_dir;
static const char *root_cert;

/* A certificate for 127.0.0.1 that is its own root. */
static void
enable_tls(struct pg_test_cluster *cluster)
{
    const char *key = scratch_printf("%s/server.key", cluster->data);
    const char *crt = scratch_printf("%s/server.crt", cluster->data);
    const char *make[] = {"openssl",  "req",
                          "-x509",    "-newkey",
                          "rsa:2048", "-nodes",
                          "-days",    "2",
                          "-subj",    "/CN=pghaul test",
                          "-addext",  "subjectAltName=IP:127.0.0.1",
                          "-keyout",  key,
                          "-out",     crt,
                          NULL};
    run_expect(run_start(NULL, make), 0);
    const char *own[] = {"chown", "--reference", cluster->data, key, crt, NULL};
    run_expect(run_start(NULL, own), 0);
    const char *mode[] = {"chmod", "600", key, NULL};
    run_expect(run_start(NULL, mode), 0);
    pg_test_cluster_conf(cluster, "ssl = on\n");
    pg_test_cluster_restart(cluster);
}

static int
start(void **state)
{
    static const char hba[] = "local all all trust\n"
                              "hostssl all all 127.0.0.1/32 scram-sha-256\n";
    const struct pg_test_params params = {.listen = PG_TEST_SOCKET_AND_TCP, .hba = hba};

    (void)state;
    pg_test_pair_new(&params, &params, &src, &dst);
    enable_tls(src);
    enable_tls(dst);
    state_dir = scratch_new_dir("state");
    env[0] = scratch_printf("XDG_STATE_HOME=%s", state_dir);
    env[1] = "PGPASSWORD";
    struct pg_test_cluster *both[] = {src, dst};
    for (int i = 0; i < 2; i++) {
        PGconn *conn = sql_connect(both[i], "postgres");
        sql_exec(conn, "CREATE ROLE mover LOGIN SUPERUSER PASSWORD '" SECRET "'");
        PQfinish(conn);
    }
    PGconn *conn = sql_connect(src, "postgres");
    sql_exec(conn, "CREATE TABLE t (id int PRIMARY KEY, a text);"
                   "INSERT INTO t SELECT g, repeat(md5(g::text), 10)"
                   " FROM generate_series(1, 200000) g");
    PQfinish(conn);
    /* one file with both roots */
    root_cert = scratch_write(
        "roots.crt",
        scratch_printf("%s%s", scratch_read(scratch_printf("%s/server.crt", src->data)),
                       scratch_read(scratch_printf("%s/server.crt", dst->data))));
    return 0;
}

static const char *
uri(const struct pg_test_cluster *cluster, const char *password, const char *cert)
{
    return scratch_printf("postgresql://mover:%s@127.0.0.1:%d/postgres?sslmode=verify-full"
                          "&sslrootcert=%s",
                          password, cluster->port, cert);
}

static bool
file_has(const char *path, const char *part)
{
    char text[8192];
    FILE *file = fopen(path, "r");
    size_t len = file == NULL ? 0 : fread(text, 1, sizeof text, file);

    if (file != NULL)
        fclose(file);
    return memmem(text, len, part, strlen(part)) != NULL;
}

static bool
file_has_secret(const char *path)
{
    return file_has(path, SECRET);
}

/* Any process of the machine but this test: pghaul, its children, the snapshot's holder. */
static bool
a_title_has_secret(void)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    bool found = false;

    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            found = found || file_has_secret(scratch_printf("/proc/%s/cmdline", entry->d_name));
    }
    closedir(dir);
    return found;
}

/* Its main has begun: the password in its own title is masked. */
static bool
title_is_masked(void *arg)
{
    const struct run *run = arg;

    return file_has(scratch_printf("/proc/%d/cmdline", (int)run->pid), "mover:xxxxxxxxx@");
}

static void
check_modes(const char *path)
{
    struct stat st;
    DIR *dir = opendir(path);
    struct dirent *entry;

    assert_non_null(dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    while ((entry = readdir(dir)) != NULL) {
        const char *file = scratch_printf("%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || stat(file, &st) != 0)
            continue;
        assert_int_equal(st.st_mode & 07777, S_ISDIR(st.st_mode) ? 0700 : 0600);
        assert_false(file_has_secret(file));
    }
    closedir(dir);
}

static void
test_copy_by_verified_tls(void **state)
{
    const char *report = scratch_printf("%s/report.json", scratch_new_dir("report"));
    struct run *run = start_pghaul(env, "copy", "--source", uri(src, SECRET, root_cert), "--target",
                                   uri(dst, SECRET, root_cert), "--name", "tls", "--report", report,
                                   "--log-format", "json");
    unsigned looked = 0;

    (void)state;
    assert_true(scratch_wait(title_is_masked, run, 5000));
    while (run_alive(run)) {
        assert_false(a_title_has_secret());
        looked++;
    }
    assert_true(looked > 3);
    run_expect(run, 0);
    assert_null(strstr(run_out(run), SECRET));
    assert_null(strstr(run_err(run), SECRET));
    assert_null(strstr(scratch_read(report), SECRET));
    struct stat st;
    assert_int_equal(stat(report, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    check_modes(scratch_printf("%s/pghaul/tls", state_dir));
    const char *dump[] = {"pg_dump", "-n", "pghaul", "-d", pg_test_conninfo(dst, "postgres"), NULL};
    run = run_start(NULL, dump);
    run_expect(run, 0);
    assert_non_null(strstr(run_out(run), "COPY pghaul.chunk"));
    assert_null(strstr(run_out(run), SECRET));
    assert_string_equal(sql_once(dst, "postgres", "SELECT count(*) FROM t"), "200000\n");
}

static void
test_wrong_root_is_refused(void **state)
{
    const char *other = scratch_printf("%s/server.crt", dst->data);
    struct run *run = run_pghaul_env(env, "check", "--source", uri(src, SECRET, other), "--target",
                                     uri(dst, SECRET, root_cert), "--name", "tls2");

    (void)state;
    run_expect(run, 3);
    assert_non_null(strstr(run_out(run), "PH-CONNECT"));
    assert_non_null(strstr(run_out(run), "certificate verify failed"));
    assert_null(strstr(run_out(run), SECRET));
}

/* A password that was not escaped falls apart into what is shown: nothing of it is. */
static void
test_torn_password_is_not_shown(void **state)
{
    static const char *const sources[] = {
        "postgresql://mover:tr1cky@pw@127.0.0.1/db",
        "postgresql://mover:tr1cky/pw@127.0.0.1/db",
        "host=127.0.0.1 dbname='postgresql://mover:tr1cky-pw@127.0.0.1/db'",
    };

    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        struct run *run = run_pghaul("copy", "--source", sources[i], "--target", "dbname=x",
                                     "--dir", scratch_new_dir("torn"));
        run_expect(run, 2);
        assert_non_null(strstr(run_err(run), "%40"));
        assert_null(strstr(run_err(run), "pw@"));
        assert_null(strstr(run_err(run), "tr1cky"));
    }
}

static void
test_wrong_password_is_refused(void **state)
{
    struct run *run = run_pghaul_env(env, "copy", "--source", uri(src, SECRET, root_cert),
                                     "--target", uri(dst, SECRET "x", root_cert), "--name", "tls3");

    (void)state;
    run_expect(run, 3);
    assert_non_null(strstr(run_err(run), "PH-AUTH"));
    assert_null(strstr(run_err(run), SECRET));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_by_verified_tls),
        cmocka_unit_test(test_wrong_root_is_refused),
        cmocka_unit_test(test_wrong_password_is_refused),
        cmocka_unit_test(test_torn_password_is_not_shown),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
