/*
 * A TCP proxy on loopback between pghaul and a server: it can stall (bytes stay where they are,
 * nobody is told), cut (all connections are closed, new ones refused or taken) and go on. It is a
 * process of its own that ends with the test program.
 */
#ifndef PH_TEST_PROXY_H
#define PH_TEST_PROXY_H

#include "support/pgcluster.h"

struct proxy; /* freed when the program ends */

#define PROXY_THE_MARK "~ here the proxy stalls" /* its first byte is not in it again */

enum proxy_mode {
    PROXY_FORWARD,
    PROXY_STALL, /* also new connections: they are taken, and nothing more happens */
    PROXY_MARK,  /* what a server sends ends right behind PROXY_THE_MARK; the rest is to come */
    PROXY_CUT    /* what is open is closed once; new connections are closed at once */
};

/* Listens on a free port and forwards to the cluster's TCP port. */
struct proxy *proxy_new(const struct pg_test_cluster *cluster);
void proxy_set(struct proxy *proxy, enum proxy_mode mode);
/* Until it holds back what comes behind the mark. */
void proxy_wait_marked(struct proxy *proxy);
/* Until somebody has sent what it does not carry, PROXY_STALL being set. */
void proxy_wait_stalled(struct proxy *proxy);
/* Closes the client's side of all connections only: the server does not notice. */
void proxy_orphan(struct proxy *proxy);
/* Connection string through it, user postgres. */
const char *proxy_conninfo(const struct proxy *proxy, const char *dbname);

#endif
