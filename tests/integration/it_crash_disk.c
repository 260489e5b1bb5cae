/* A disk that is full, on the target and under the job's directory: a small tmpfs, as root only. */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/mixed.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static bool can_mount;

/* A directory of its own on a tmpfs of that size, for the servers' user; NULL: not permitted. */
static const char *
small_disk(const char *name, const char *size)
{
    const char *dir = scratch_new_dir(name);
    uid_t uid;
    gid_t gid;

    if (mount("tmpfs", dir, "tmpfs", 0, scratch_printf("size=%s,mode=0700", size)) != 0)
        return NULL;
    scratch_server_user(&uid, &gid);
    if (chown(dir, uid, gid) != 0)
        fail_msg("chown %s: %s", dir, strerror(errno));
    return dir;
}

static void
resize(const char *dir, const char *size)
{
    if (mount("tmpfs", dir, "tmpfs", MS_REMOUNT, scratch_printf("size=%s,mode=0700", size)) != 0)
        fail_msg("remount %s: %s", dir, strerror(errno));
}

static int
start(void **state)
{
    (void)state;
    scratch_dir(); /* its guardian stays outside */
    /* mounts that nobody else sees, and that end with this program and its servers */
    can_mount = unshare(CLONE_NEWNS) == 0 &&
                mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                small_disk("probe", "64k") != NULL;
    if (!can_mount) {
        fprintf(stderr, "SKIPPED: a full disk needs a tmpfs, which only root may mount\n");
        return 0;
    }
    pg_test_pair_new(NULL, NULL, &src, &dst);
    mixed_new(src, "mixed");
    return 0;
}

static void
expect_stopped(struct run *run, const char *code)
{
    run_expect(run, 5);
    if (strstr(run_err(run), code) == NULL)
        fail_msg("not %s:\n%s", code, run_err(run));
}

static void
test_trap_74_target_full(void **state)
{
    struct copy_case c;

    (void)state;
    if (!can_mount)
        skip();
    const char *disk = small_disk("tablespace", "20m");
    PGconn *conn = sql_connect(dst, "postgres");
    sql_execf(conn, "CREATE TABLESPACE small LOCATION '%s'", disk);
    sql_exec(conn, "CREATE DATABASE crowded TEMPLATE template0 TABLESPACE small");
    copy_case_init(&c, src, "mixed", dst, "crowded");
    expect_stopped(copy_case_start(&c, NULL), "PH-TARGET-FULL");
    expect_stopped(copy_case_start(&c, NULL), "PH-TARGET-FULL");
    const char *done = copy_case_done(&c);
    resize(disk, "200m");
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_not_repeated(&c, done);
    copy_case_drop(&c);
    sql_exec(conn, "DROP TABLESPACE small");
    PQfinish(conn);
}

/* Fills the disk. */
static void
fill(const char *path)
{
    static const char bytes[4096];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    while (write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        continue;
    close(fd);
}

static void
test_trap_74_job_directory_full(void **state)
{
    struct copy_case c;

    (void)state;
    if (!can_mount)
        skip();
    const char *disk = small_disk("spool", "256k");
    const char *filler = scratch_printf("%s/filler", disk);
    copy_case_init(&c, src, "mixed", dst, "no_room");
    c.argv[7] = disk;
    fill(filler);
    expect_stopped(copy_case_start(&c, NULL), "PH-DISK");
    unlink(filler);
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_drop(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_74_target_full),
        cmocka_unit_test(test_trap_74_job_directory_full),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    return cmocka_run_group_tests(tests, start, NULL);
}
