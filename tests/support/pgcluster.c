/*
 * Throw-away clusters.
 *
 * initdb takes a second, a copy of its outcome a twentieth: one template per major and version is
 * kept in the temp directory and copied. The postmaster is started directly, not by pg_ctl, so that
 * it is our child: its death is seen, and it dies with us.
 */
#include "support/pgcluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLUSTERS_MAX 32
#define CHILDREN_MAX 256
#define START_MS 60000

static struct pg_test_cluster *clusters[CLUSTERS_MAX];
static int cluster_count;

static const char conf_always[] = "fsync = off\n"
                                  "full_page_writes = off\n"
                                  "wal_level = logical\n"
                                  "max_wal_senders = 20\n"
                                  "max_replication_slots = 20\n"
                                  "shared_buffers = 64MB\n"
                                  "unix_socket_permissions = 0777\n"
                                  "log_line_prefix = '%m [%p] %a '\n"
                                  "lc_messages = 'C'\n"
                                  "timezone = 'UTC'\n";

/* Starts a shell command as the servers' user, output to `log`. */
static pid_t
spawn_shell(const char *command, const char *log)
{
    pid_t child = scratch_fork(SIGKILL);

    if (child == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        scratch_become_server_user(SIGKILL);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    return child;
}

static void
await_shell(pid_t child, const char *command, const char *log)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (status != 0)
        fail_msg("%s: status %d\n%s", command, status, scratch_read(log));
}

static bool
find_bin(int major, char *bin, size_t len)
{
    const char *dirs = getenv("PGHAUL_MAJORS_DIR");
    char path[256];

    snprintf(bin, len, "/usr/lib/postgresql/%d/bin", major);
    snprintf(path, sizeof(path), "%s/postgres", bin);
    if (access(path, X_OK) == 0)
        return true;
    snprintf(bin, len, "%s/%d/bin", dirs != NULL ? dirs : "/var/cache/pghaul/pg", major);
    snprintf(path, sizeof(path), "%s/postgres", bin);
    return access(path, X_OK) == 0;
}

bool
pg_test_major_present(int major)
{
    char bin[160];

    return find_bin(major, bin, sizeof(bin));
}

/* The command that makes a data directory from nothing. */
static const char *
initdb_command(const struct pg_test_cluster *cluster, const char *data)
{
    return scratch_printf("'%s/initdb' -D '%s' -U postgres -A trust -N -E UTF8 --locale=C.UTF-8 %s",
                          cluster->bin, data,
                          cluster->params.initdb != NULL ? cluster->params.initdb : "");
}

/* Ours alone, by its name; the servers' user, who fills it, owns it. */
static const char *
template_home(void)
{
    uid_t uid;
    gid_t gid;
    struct stat st;
    const char *home;

    scratch_server_user(&uid, &gid);
    home = scratch_printf("/tmp/pghaul-initdb-%u", (unsigned)geteuid());
    if (mkdir(home, 0700) == 0 && chown(home, uid, gid) != 0)
        fail_msg("chown %s: %s", home, strerror(errno));
    if (lstat(home, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != uid)
        fail_msg("%s is not a directory of ours", home);
    return home;
}

/* Returns the path of a data directory to copy; makes it when no test program has before. */
static const char *
template_data(const struct pg_test_cluster *cluster)
{
    const char *home = template_home();
    const char *made;
    const char *fresh;
    const char *log;
    const char *command;
    struct stat st;
    char postgres[192];
    int lock;

    /* Another build of the server is another template. */
    snprintf(postgres, sizeof(postgres), "%s/postgres", cluster->bin);
    if (stat(postgres, &st) != 0)
        fail_msg("%s: %s", postgres, strerror(errno));
    made = scratch_printf("%s/%d-%lld", home, cluster->params.major, (long long)st.st_mtime);
    fresh = scratch_printf("%s.new", made);
    log = scratch_printf("%s/initdb.log", scratch_dir());
    command = initdb_command(cluster, fresh);
    lock = open(scratch_printf("%s.lock", made), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0 || flock(lock, LOCK_EX) != 0)
        fail_msg("cannot lock %s: %s", made, strerror(errno));
    if (access(made, F_OK) != 0) {
        scratch_remove(fresh);
        await_shell(spawn_shell(command, log), command, log);
        if (rename(fresh, made) != 0)
            fail_msg("rename %s: %s", fresh, strerror(errno));
    }
    close(lock);
    return made;
}

static int
free_tcp_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        fail_msg("no free port: %s", strerror(errno));
    close(fd);
    return ntohs(address.sin_port);
}

static struct pg_test_cluster *
allocate_cluster(const struct pg_test_params *params)
{
    struct pg_test_cluster *cluster = scratch_keep(calloc(1, sizeof(*cluster)));
    uid_t uid;
    gid_t gid;

    if (params != NULL)
        cluster->params = *params;
    if (cluster->params.major == 0)
        cluster->params.major = PG_TEST_MAJOR;
    if (!find_bin(cluster->params.major, cluster->bin, sizeof(cluster->bin)))
        fail_msg("PostgreSQL %d is not installed", cluster->params.major);
    snprintf(cluster->dir, sizeof(cluster->dir), "%s/pg%d", scratch_dir(), cluster_count);
    snprintf(cluster->data, sizeof(cluster->data), "%s/data", cluster->dir);
    snprintf(cluster->log, sizeof(cluster->log), "%s/log", cluster->dir);
    cluster->port = cluster->params.listen == PG_TEST_SOCKET ? 5432 : free_tcp_port();
    scratch_server_user(&uid, &gid);
    if (mkdir(cluster->dir, 0755) != 0 || chown(cluster->dir, uid, gid) != 0)
        fail_msg("cannot make %s: %s", cluster->dir, strerror(errno));
    return cluster;
}

void
pg_test_cluster_conf(struct pg_test_cluster *cluster, const char *lines)
{
    FILE *file = fopen(scratch_printf("%s/postgresql.conf", cluster->data), "a");

    if (file == NULL)
        fail_msg("cannot open postgresql.conf of %s: %s", cluster->data, strerror(errno));
    fprintf(file, "%s\n", lines);
    fclose(file);
}

static void
configure(struct pg_test_cluster *cluster)
{
    bool tcp = cluster->params.listen == PG_TEST_SOCKET_AND_TCP;

    pg_test_cluster_conf(cluster, conf_always);
    pg_test_cluster_conf(cluster,
                         scratch_printf("listen_addresses = '%s'\nport = %d\n"
                                        "unix_socket_directories = '%s'\n",
                                        tcp ? "127.0.0.1" : "", cluster->port, cluster->dir));
    if (cluster->params.conf != NULL)
        pg_test_cluster_conf(cluster, cluster->params.conf);
    if (cluster->params.hba != NULL)
        scratch_write(scratch_printf("%s/pg_hba.conf", cluster->data), cluster->params.hba);
}

static void
spawn_postmaster(struct pg_test_cluster *cluster)
{
    const char *postgres = scratch_printf("%s/postgres", cluster->bin);

    /* SIGQUIT is the server's immediate shutdown: it takes its processes along. */
    cluster->postmaster = scratch_fork(SIGQUIT);
    if (cluster->postmaster == 0) {
        int null = open("/dev/null", O_RDONLY);
        int out;

        scratch_become_server_user(SIGQUIT);
        out = open(cluster->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        dup2(null, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        /* Ctrl-C at the terminal is for the test, which then stops its servers. */
        setsid();
        execl(postgres, postgres, "-D", cluster->data, (char *)NULL);
        _exit(127);
    }
}

static bool
is_up(void *arg)
{
    struct pg_test_cluster *cluster = arg;
    int status;

    if (waitpid(cluster->postmaster, &status, WNOHANG) == cluster->postmaster) {
        cluster->postmaster = 0;
        fail_msg("the server did not start:\n%s", scratch_read(cluster->log));
    }
    return PQping(pg_test_conninfo(cluster, "postgres")) == PQPING_OK;
}

static void
await_postmaster(struct pg_test_cluster *cluster)
{
    if (!scratch_wait(is_up, cluster, START_MS))
        fail_msg("the server is not up after %d ms:\n%s", START_MS, scratch_read(cluster->log));
}

static void
await_death(struct pg_test_cluster *cluster)
{
    while (waitpid(cluster->postmaster, NULL, 0) < 0 && errno == EINTR)
        continue;
    cluster->postmaster = 0;
}

static void
stop_all(void)
{
    for (int i = 0; i < cluster_count; i++) {
        if (clusters[i]->postmaster > 0)
            kill(clusters[i]->postmaster, SIGQUIT);
    }
    for (int i = 0; i < cluster_count; i++) {
        if (clusters[i]->postmaster > 0)
            await_death(clusters[i]);
    }
}

static void
start_many(struct pg_test_cluster **started, int count)
{
    const char *commands[CLUSTERS_MAX];
    pid_t children[CLUSTERS_MAX];

    for (int i = 0; i < count; i++) {
        struct pg_test_cluster *cluster = started[i];

        if (cluster->params.initdb != NULL)
            commands[i] = initdb_command(cluster, cluster->data);
        else
            commands[i] = scratch_printf("cp -a --reflink=auto '%s' '%s'", template_data(cluster),
                                         cluster->data);
        children[i] = spawn_shell(commands[i], cluster->log);
    }
    for (int i = 0; i < count; i++) {
        await_shell(children[i], commands[i], started[i]->log);
        unlink(started[i]->log);
        configure(started[i]);
        spawn_postmaster(started[i]);
    }
    for (int i = 0; i < count; i++)
        await_postmaster(started[i]);
}

static struct pg_test_cluster *
add_cluster(const struct pg_test_params *params)
{
    if (cluster_count == CLUSTERS_MAX)
        fail_msg("more than %d clusters", CLUSTERS_MAX);
    if (cluster_count == 0)
        scratch_at_end(stop_all);
    clusters[cluster_count] = allocate_cluster(params);
    return clusters[cluster_count++];
}

struct pg_test_cluster *
pg_test_cluster_new(const struct pg_test_params *params)
{
    struct pg_test_cluster *cluster = add_cluster(params);

    start_many(&cluster, 1);
    return cluster;
}

void
pg_test_pair_new(const struct pg_test_params *src_params, const struct pg_test_params *dst_params,
                 struct pg_test_cluster **src, struct pg_test_cluster **dst)
{
    struct pg_test_cluster *both[2];

    both[0] = add_cluster(src_params);
    both[1] = add_cluster(dst_params);
    start_many(both, 2);
    *src = both[0];
    *dst = both[1];
}

void
pg_test_cluster_stop(struct pg_test_cluster *cluster)
{
    if (cluster->postmaster == 0)
        return;
    kill(cluster->postmaster, SIGINT);
    await_death(cluster);
}

/* The children of a process, from /proc; returns how many. */
static int
list_children(pid_t parent, pid_t *children)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    int count = 0;

    if (proc == NULL)
        fail_msg("/proc: %s", strerror(errno));
    while ((entry = readdir(proc)) != NULL && count < CHILDREN_MAX) {
        char path[280];
        FILE *file;
        int pid = 0;
        int ppid = 0;

        snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
        file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fscanf(file, "%d (%*[^)]) %*c %d", &pid, &ppid) == 2 && ppid == parent)
            children[count++] = pid;
        fclose(file);
    }
    closedir(proc);
    return count;
}

static bool
is_gone(void *arg)
{
    return scratch_gone(*(pid_t *)arg);
}

void
pg_test_cluster_kill(struct pg_test_cluster *cluster)
{
    pid_t children[CHILDREN_MAX];
    int count;

    if (cluster->postmaster == 0)
        return;
    /* Stopped first, so that it starts no process while they are counted. */
    kill(cluster->postmaster, SIGSTOP);
    count = list_children(cluster->postmaster, children);
    kill(cluster->postmaster, SIGKILL);
    for (int i = 0; i < count; i++)
        kill(children[i], SIGKILL);
    await_death(cluster);
    for (int i = 0; i < count; i++)
        scratch_wait(is_gone, &children[i], START_MS);
}

void
pg_test_cluster_start(struct pg_test_cluster *cluster)
{
    if (cluster->postmaster != 0)
        return;
    spawn_postmaster(cluster);
    await_postmaster(cluster);
}

void
pg_test_cluster_restart(struct pg_test_cluster *cluster)
{
    pg_test_cluster_stop(cluster);
    pg_test_cluster_start(cluster);
}

const char *
pg_test_conninfo(const struct pg_test_cluster *cluster, const char *dbname)
{
    return scratch_printf("host=%s port=%d user=postgres dbname=%s", cluster->dir, cluster->port,
                          dbname);
}

const char *
pg_test_conninfo_tcp(const struct pg_test_cluster *cluster, const char *dbname)
{
    if (cluster->params.listen != PG_TEST_SOCKET_AND_TCP)
        fail_msg("this cluster does not listen on TCP");
    return scratch_printf("host=127.0.0.1 port=%d user=postgres dbname=%s", cluster->port, dbname);
}
