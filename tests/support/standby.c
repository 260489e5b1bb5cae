#include "support/standby.h"

#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <stdlib.h>

struct pg_test_cluster *
standby_new(struct pg_test_cluster *primary)
{
    sql_once(primary, "postgres", "SELECT pg_create_physical_replication_slot('physical', true)");
    struct pg_test_cluster *standby = pg_test_cluster_new(&(struct pg_test_params){
        .major = primary->params.major,
        .conf = scratch_printf("hot_standby_feedback = on\nsync_replication_slots = "
                               "on\nprimary_slot_name = 'physical'\n"
                               "primary_conninfo = 'host=%s port=%d user=postgres"
                               " dbname=postgres'\n",
                               primary->dir, primary->port)});
    const char *const argv[] = {"sh", "-c",
                                scratch_printf("rm -rf %s/* && cp -a %s/. %s && "
                                               "rm -rf %s/pg_replslot/*",
                                               standby->data, primary->data, standby->data,
                                               standby->data),
                                NULL};

    pg_test_cluster_stop(standby);
    const char *conf = scratch_read(scratch_printf("%s/postgresql.conf", standby->data));
    pg_test_cluster_stop(primary);
    run_expect(run_start_copy(NULL, argv), 0);
    scratch_write(scratch_printf("%s/postgresql.conf", standby->data), conf);
    scratch_write(scratch_printf("%s/standby.signal", standby->data), "");
    pg_test_cluster_start(primary);
    pg_test_cluster_start(standby);
    return standby;
}

bool
standby_has_slots(const struct pg_test_cluster *standby, int n)
{
    return strtol(sql_once(standby, "postgres",
                           "SELECT count(*) FROM pg_replication_slots WHERE synced AND NOT"
                           " temporary"),
                  NULL, 10) == n;
}

void
standby_promote(struct pg_test_cluster *primary, struct pg_test_cluster *standby)
{
    pg_test_cluster_kill(primary);
    sql_once(standby, "postgres", "SELECT pg_promote()");
}
