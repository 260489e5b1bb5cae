/*
 * Where a server is, and the list of what is open to it.
 *
 * The conninfo may hold a password, so nothing but libpq and the environment of child programs ever
 * sees it; messages use the label.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "pg/conn_internal.h"

#define CANCEL_WAIT_S 2

extern char **environ;

const char *
ph_side_name(enum ph_side side)
{
    return side == PH_SOURCE ? "source" : "target";
}

static const char *
option_value(const PQconninfoOption *options, const char *keyword, const char *fallback)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (strcmp(o->keyword, keyword) == 0 && o->val != NULL && o->val[0] != '\0')
            return o->val;
    }
    return fallback;
}

/* The message of libpq may quote the conninfo, and with it the password: only its kind is told. */
static ph_code
bad_conninfo(enum ph_side side, struct ph_error *err)
{
    PH_FAIL(err, PH_E_USAGE, "the %s is neither a libpq connection string nor a URI",
            ph_side_name(side));
    ph_error_object(err, "--%s", ph_side_name(side));
    return PH_E_USAGE;
}

/*
 * Whether part of a password ended up in what is shown: of a URI with an "@" or "/" in its password
 * that was not written as %40 or %2F, or of a conninfo within a conninfo. A host that begins with
 * "@" is an abstract socket.
 */
static bool
shows_password(const PQconninfoOption *options)
{
    const char *host = option_value(options, "host", "");
    const char *port = option_value(options, "port", "");
    const char *dbname = option_value(options, "dbname", "");

    return (host[0] != '\0' && strchr(host + 1, '@') != NULL) ||
           strspn(port, "0123456789,") != strlen(port) || strstr(dbname, "://") != NULL ||
           strstr(dbname, "password=") != NULL;
}

static ph_code
torn_conninfo(enum ph_side side, struct ph_error *err)
{
    PH_FAIL(err, PH_E_USAGE, "the %s falls into wrong parts", ph_side_name(side));
    ph_error_object(err, "--%s", ph_side_name(side));
    ph_error_hint(err, "in a URI write %%40 for @ and %%2F for / in user and password");
    return PH_E_USAGE;
}

static char *
format_label(enum ph_side side, const PQconninfoOption *options)
{
    const char *service = option_value(options, "service", NULL);
    const char *host = option_value(options, "host", getenv("PGHOST"));
    const char *port = option_value(options, "port", getenv("PGPORT"));
    const char *dbname = option_value(options, "dbname", getenv("PGDATABASE"));
    char text[512];

    if (service != NULL && dbname == NULL)
        snprintf(text, sizeof text, "%s service=%s", ph_side_name(side), service);
    else
        snprintf(text, sizeof text, "%s %s@%s:%s", ph_side_name(side),
                 dbname != NULL ? dbname : "(default)", host != NULL ? host : "local",
                 port != NULL ? port : "5432");
    return strdup(text);
}

ph_code
ph_endpoint_init(struct ph_endpoint *endpoint, enum ph_side side, const char *conninfo,
                 const char *job_name, struct ph_error *err)
{
    char prefix[80];

    *endpoint = (struct ph_endpoint){.side = side};
    PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
    if (options == NULL)
        return bad_conninfo(side, err);
    if (shows_password(options)) {
        PQconninfoFree(options);
        return torn_conninfo(side, err);
    }
    endpoint->label = format_label(side, options);
    PQconninfoFree(options);
    snprintf(prefix, sizeof prefix, "pghaul %.40s", job_name);
    endpoint->conninfo = strdup(conninfo);
    endpoint->app_prefix = strdup(prefix);
    endpoint->open = calloc(1, sizeof *endpoint->open);
    if (endpoint->conninfo == NULL || endpoint->label == NULL || endpoint->app_prefix == NULL ||
        endpoint->open == NULL) {
        free(endpoint->open);
        endpoint->open = NULL;
        ph_endpoint_reset(endpoint);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    pthread_mutex_init(&endpoint->open->lock, NULL);
    endpoint->open->users = 1;
    return PH_OK;
}

static void
leave_set(struct ph_conn_set *set)
{
    pthread_mutex_lock(&set->lock);
    bool last = --set->users == 0;
    pthread_mutex_unlock(&set->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&set->lock);
    free(set);
}

void
ph_endpoint_cancel_with(struct ph_endpoint *endpoint, const struct ph_endpoint *other)
{
    leave_set(endpoint->open);
    pthread_mutex_lock(&other->open->lock);
    other->open->users++;
    pthread_mutex_unlock(&other->open->lock);
    endpoint->open = other->open;
}

void
ph_endpoint_reset(struct ph_endpoint *endpoint)
{
    if (endpoint->conninfo != NULL)
        explicit_bzero(endpoint->conninfo, strlen(endpoint->conninfo));
    free(endpoint->conninfo);
    free(endpoint->label);
    free(endpoint->app_prefix);
    free(endpoint->encoding);
    if (endpoint->open != NULL)
        leave_set(endpoint->open);
    *endpoint = (struct ph_endpoint){.side = endpoint->side};
}

ph_code
ph_endpoint_set_token(struct ph_endpoint *endpoint, const char *job_name, const char *token,
                      struct ph_error *err)
{
    char prefix[80];

    snprintf(prefix, sizeof prefix, "pghaul %.40s#%.8s", job_name, token);
    char *copy = strdup(prefix);
    if (copy == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    free(endpoint->app_prefix);
    endpoint->app_prefix = copy;
    return PH_OK;
}

bool
ph_conn_set_add(struct ph_conn_set *set, struct ph_conn *conn)
{
    pthread_mutex_lock(&set->lock);
    bool open = !set->closed;
    if (open) {
        conn->next = set->first;
        set->first = conn;
    }
    pthread_mutex_unlock(&set->lock);
    return open;
}

void
ph_conn_set_remove(struct ph_conn_set *set, struct ph_conn *conn)
{
    pthread_mutex_lock(&set->lock);
    for (struct ph_conn **at = &set->first; *at != NULL; at = &(*at)->next) {
        if (*at == conn) {
            *at = conn->next;
            break;
        }
    }
    pthread_mutex_unlock(&set->lock);
}

/* ---- cancel requests ---- */

/*
 * PQcancel waits for the server to hang up, for ever when the network is stalled. So the requests
 * are made by a thread of their own that is waited for a moment only; who of the two is last frees.
 */
struct cancels {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    unsigned users;
    size_t n;
    PGcancel *requests[];
};

static void
release_cancels(struct cancels *cancels)
{
    pthread_mutex_lock(&cancels->lock);
    bool last = --cancels->users == 0;
    pthread_mutex_unlock(&cancels->lock);
    if (!last)
        return;
    for (size_t i = 0; i < cancels->n; i++)
        PQfreeCancel(cancels->requests[i]);
    pthread_cond_destroy(&cancels->done);
    pthread_mutex_destroy(&cancels->lock);
    free(cancels);
}

static void *
send_cancels(void *arg)
{
    struct cancels *cancels = arg;
    char ignored[256];

    for (size_t i = 0; i < cancels->n; i++)
        (void)PQcancel(cancels->requests[i], ignored, sizeof ignored);
    pthread_mutex_lock(&cancels->lock);
    cancels->is_done = true;
    pthread_cond_signal(&cancels->done);
    pthread_mutex_unlock(&cancels->lock);
    release_cancels(cancels);
    return NULL;
}

static struct cancels *
new_cancels(size_t room)
{
    struct cancels *cancels = calloc(1, sizeof *cancels + room * sizeof *cancels->requests);

    if (cancels == NULL)
        return NULL;
    pthread_mutex_init(&cancels->lock, NULL);
    pthread_cond_init(&cancels->done, NULL);
    cancels->users = 1;
    return cancels;
}

static void
run_cancels(struct cancels *cancels)
{
    struct timespec until;
    pthread_t thread;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CANCEL_WAIT_S;
    cancels->users = 2;
    if (cancels->n == 0 || pthread_create(&thread, NULL, send_cancels, cancels) != 0) {
        cancels->users = 1;
        release_cancels(cancels);
        return;
    }
    pthread_detach(thread);
    pthread_mutex_lock(&cancels->lock);
    while (!cancels->is_done &&
           pthread_cond_timedwait(&cancels->done, &cancels->lock, &until) != ETIMEDOUT)
        continue;
    pthread_mutex_unlock(&cancels->lock);
    release_cancels(cancels);
}

/* Its blocked calls return, which needs no network. The set's lock is held, likewise below. */
static void
cut(struct ph_conn *conn)
{
    atomic_store(&conn->cancelled, true);
    shutdown(PQsocket(conn->pg), SHUT_RDWR);
}

/* The request of a connection, which owns it no more. */
static void
take_cancel(struct cancels *cancels, struct ph_conn *conn)
{
    if (conn->cancel != NULL)
        cancels->requests[cancels->n++] = conn->cancel;
    conn->cancel = NULL;
}

static struct cancels *
take_cancels(const struct ph_conn_set *set)
{
    size_t n = 0;

    for (struct ph_conn *conn = set->first; conn != NULL; conn = conn->next)
        n++;
    struct cancels *cancels = new_cancels(n);
    for (struct ph_conn *conn = set->first; cancels != NULL && conn != NULL; conn = conn->next)
        take_cancel(cancels, conn);
    return cancels;
}

void
ph_conn_cancel(struct ph_conn *conn)
{
    struct ph_conn_set *set = conn->endpoint->open;

    pthread_mutex_lock(&set->lock);
    cut(conn);
    struct cancels *cancels = new_cancels(1);
    if (cancels != NULL)
        take_cancel(cancels, conn);
    pthread_mutex_unlock(&set->lock);
    if (cancels != NULL)
        run_cancels(cancels);
}

void
ph_endpoint_cancel_all(const struct ph_endpoint *endpoint)
{
    struct ph_conn_set *set = endpoint->open;

    pthread_mutex_lock(&set->lock);
    set->closed = true;
    /* first make every blocked read and write return … */
    for (struct ph_conn *conn = set->first; conn != NULL; conn = conn->next)
        cut(conn);
    struct cancels *cancels = take_cancels(set);
    pthread_mutex_unlock(&set->lock);
    /* … then tell the servers, which may be busy with an index and would not notice for long */
    if (cancels != NULL)
        run_cancels(cancels);
}

void
ph_endpoint_reopen(const struct ph_endpoint *endpoint)
{
    pthread_mutex_lock(&endpoint->open->lock);
    endpoint->open->closed = false;
    pthread_mutex_unlock(&endpoint->open->lock);
}

/* keyword of PQconninfoOption -> variable that libpq reads, by libpq's own table */
static char *
env_entry(const PQconninfoOption *option)
{
    size_t size = strlen(option->envvar) + strlen(option->val) + 2;
    char *entry = malloc(size);

    if (entry != NULL)
        snprintf(entry, size, "%s=%s", option->envvar, option->val);
    return entry;
}

static bool
starts_with_name(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool
is_overridden(const char *entry, const PQconninfoOption *options)
{
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->envvar != NULL && o->val != NULL && starts_with_name(entry, o->envvar))
            return true;
    }
    return false;
}

static size_t
count_entries(const PQconninfoOption *options)
{
    size_t n = 1;

    for (char **at = environ; *at != NULL; at++)
        n++;
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++)
        n++;
    return n;
}

ph_code
ph_endpoint_env(const struct ph_endpoint *endpoint, char ***env, struct ph_error *err)
{
    size_t n = 0;
    bool complete = true;

    *env = NULL;
    PQconninfoOption *options = PQconninfoParse(endpoint->conninfo, NULL);
    if (options == NULL)
        return bad_conninfo(endpoint->side, err);
    char **out = calloc(count_entries(options), sizeof *out);
    for (char **at = environ; out != NULL && *at != NULL; at++) {
        if (!is_overridden(*at, options))
            complete &= (out[n++] = strdup(*at)) != NULL;
    }
    for (const PQconninfoOption *o = options; out != NULL && o->keyword != NULL; o++) {
        if (o->envvar != NULL && o->val != NULL)
            complete &= (out[n++] = env_entry(o)) != NULL;
    }
    PQconninfoFree(options);
    if (out == NULL || !complete) {
        ph_endpoint_free_env(out);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    *env = out;
    return PH_OK;
}

void
ph_endpoint_free_env(char **env)
{
    for (char **at = env; at != NULL && *at != NULL; at++) {
        explicit_bzero(*at, strlen(*at));
        free(*at);
    }
    free(env);
}
