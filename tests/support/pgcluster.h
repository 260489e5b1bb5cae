/*
 * Throw-away PostgreSQL clusters for tests.
 *
 * A cluster lives in the scratch directory of the program, listens on a unix socket there, runs as
 * an unprivileged user, with fsync off and wal_level logical, superuser `postgres` without a
 * password. It ends with the test program, however that ends.
 */
#ifndef PH_TEST_PGCLUSTER_H
#define PH_TEST_PGCLUSTER_H

#include <stdbool.h>
#include <sys/types.h>

enum pg_test_listen { PG_TEST_SOCKET, PG_TEST_SOCKET_AND_TCP };

struct pg_test_params {
    int major;                  /* 0: PG_TEST_MAJOR */
    enum pg_test_listen listen; /* TCP is 127.0.0.1 with a free port */
    const char *conf;           /* further lines of postgresql.conf, or NULL */
    const char *hba;            /* the whole pg_hba.conf instead of `trust` for all, or NULL */
    const char *initdb;         /* further options of initdb, parted by spaces, or NULL */
};

#define PG_TEST_MAJOR 15

/* Fields are for reading only. Freed when the program ends. */
struct pg_test_cluster {
    struct pg_test_params params;
    char bin[160];  /* directory of initdb and postgres */
    char dir[96];   /* holds the socket, data/ and log */
    char data[112]; /* the data directory */
    char log[112];  /* the server's log */
    int port;
    pid_t postmaster; /* 0 while it is down */
};

/* Whether this machine has that major; a test of the version matrix skips itself otherwise. */
bool pg_test_major_present(int major);

/* Makes a cluster and starts it. `params` may be NULL. */
struct pg_test_cluster *pg_test_cluster_new(const struct pg_test_params *params);

/* Two clusters at once, started side by side. Either of the params may be NULL. */
void pg_test_pair_new(const struct pg_test_params *src_params,
                      const struct pg_test_params *dst_params, struct pg_test_cluster **src,
                      struct pg_test_cluster **dst);

/* Stops it as `pg_ctl stop -m fast` does and waits for that. */
void pg_test_cluster_stop(struct pg_test_cluster *cluster);

/* SIGKILL to the postmaster and all of its processes: a power cut, as the clients see it. */
void pg_test_cluster_kill(struct pg_test_cluster *cluster);

/* Starts a cluster that is down, with the same port, and waits until it takes connections. */
void pg_test_cluster_start(struct pg_test_cluster *cluster);

void pg_test_cluster_restart(struct pg_test_cluster *cluster);

/* Adds lines to postgresql.conf; they hold from the next start or reload. */
void pg_test_cluster_conf(struct pg_test_cluster *cluster, const char *lines);

/* Connection string by the socket, user postgres. The string lives until the program ends. */
const char *pg_test_conninfo(const struct pg_test_cluster *cluster, const char *dbname);

/* The same by TCP, for a cluster made with PG_TEST_SOCKET_AND_TCP. */
const char *pg_test_conninfo_tcp(const struct pg_test_cluster *cluster, const char *dbname);

#endif
