/*
 * One process, one poll loop. Commands come as single bytes through a pipe and are answered by one,
 * so that what the caller does next happens after them.
 */
#include "support/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scratch.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS_MAX 128
#define CHUNK 65536
#define WAIT_MS 60000

enum { ORPHAN = 100, ASK_MARKED, ASK_WAITING };

struct proxy {
    int port;
    int command_fd;
    int answer_fd;
};

struct pair {
    int fds[2];    /* client, server; -1: closed */
    size_t marked; /* bytes of the mark that have come last */
    bool is_held;  /* behind the mark: the server is not listened to */
    char *rest;    /* what was read behind the mark */
    ssize_t n_rest;
};

struct relay {
    int listen_fd;
    int target_port;
    int command_fd;
    int answer_fd;
    int mode;
    struct pair pairs[PAIRS_MAX];
    int n_pairs;
};

static int
listen_anywhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, PAIRS_MAX) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        fail_msg("proxy: cannot listen (%d)", errno);
    *port = ntohs(address.sin_port);
    return fd;
}

static int
connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void
accept_one(struct relay *relay)
{
    int client = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC);

    if (client < 0)
        return;
    if (relay->mode == PROXY_CUT || relay->n_pairs == PAIRS_MAX) {
        close(client);
        return;
    }
    int server = connect_to(relay->target_port);
    if (server < 0) {
        close(client);
        return;
    }
    relay->pairs[relay->n_pairs++] = (struct pair){.fds = {client, server}};
}

static bool
write_all(int fd, const char *bytes, ssize_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, (size_t)len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= n;
    }
    return true;
}

/* How many of the bytes go on: all, or those up to the mark, which may begin in earlier ones. */
static ssize_t
up_to_mark(struct pair *pair, const char *bytes, ssize_t n)
{
    static const char mark[] = PROXY_THE_MARK;

    for (ssize_t i = 0; i < n; i++) {
        pair->marked = bytes[i] == mark[pair->marked] ? pair->marked + 1 : bytes[i] == mark[0];
        if (pair->marked < sizeof mark - 1)
            continue;
        pair->marked = 0;
        pair->is_held = true;
        pair->n_rest = n - i - 1;
        pair->rest = malloc((size_t)pair->n_rest + 1);
        if (pair->rest == NULL)
            _exit(1);
        memcpy(pair->rest, bytes + i + 1, (size_t)pair->n_rest);
        return i + 1;
    }
    return n;
}

static void
let_go(struct pair *pair)
{
    if (pair->is_held && pair->fds[0] >= 0)
        (void)write_all(pair->fds[0], pair->rest, pair->n_rest);
    free(pair->rest);
    pair->rest = NULL;
    pair->is_held = false;
}

/* Bytes from one side to the other; either's end is the end of both. */
static void
relay_bytes(const struct relay *relay, struct pair *pair, int from)
{
    static char bytes[CHUNK]; /* this process has one thread */
    ssize_t n = recv(pair->fds[from], bytes, sizeof bytes, 0);

    if (n > 0 && from == 1 && relay->mode == PROXY_MARK)
        n = up_to_mark(pair, bytes, n);
    if (n > 0 && pair->fds[1 - from] < 0)
        return; /* an orphan: nobody listens */
    if (n <= 0 || !write_all(pair->fds[1 - from], bytes, n)) {
        close_fd(&pair->fds[0]);
        close_fd(&pair->fds[1]);
    }
}

static bool
has_bytes(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    return fd >= 0 && poll(&poll_fd, 1, 0) == 1;
}

static void
answer(const struct relay *relay, unsigned char question)
{
    unsigned char yes = 0;

    for (int i = 0; i < relay->n_pairs; i++) {
        const struct pair *pair = &relay->pairs[i];
        yes |= question == ASK_MARKED ? pair->is_held
                                      : has_bytes(pair->fds[0]) || has_bytes(pair->fds[1]);
    }
    if (write(relay->answer_fd, &yes, 1) != 1)
        _exit(0);
}

static void
obey(struct relay *relay)
{
    unsigned char command;

    if (read(relay->command_fd, &command, 1) != 1)
        _exit(0);
    if (command == ASK_MARKED || command == ASK_WAITING) {
        answer(relay, command);
        return;
    }
    if (command != ORPHAN)
        relay->mode = command;
    for (int i = 0; i < relay->n_pairs; i++) {
        if (command == PROXY_CUT || command == ORPHAN)
            close_fd(&relay->pairs[i].fds[0]);
        if (command == PROXY_CUT)
            close_fd(&relay->pairs[i].fds[1]);
        if (command != PROXY_STALL)
            let_go(&relay->pairs[i]);
    }
    if (write(relay->answer_fd, &command, 1) != 1)
        _exit(0);
}

static void
drop_closed_pairs(struct relay *relay)
{
    for (int i = relay->n_pairs - 1; i >= 0; i--) {
        if (relay->pairs[i].fds[0] >= 0 || relay->pairs[i].fds[1] >= 0)
            continue;
        free(relay->pairs[i].rest);
        relay->pairs[i] = relay->pairs[--relay->n_pairs];
    }
}

static void
run(struct relay *relay)
{
    struct pollfd fds[2 + PAIRS_MAX * 2];

    for (;;) {
        bool stalled = relay->mode == PROXY_STALL;
        nfds_t n = 2;
        drop_closed_pairs(relay);
        fds[0] = (struct pollfd){.fd = relay->command_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = stalled ? -1 : relay->listen_fd, .events = POLLIN};
        for (int i = 0; i < relay->n_pairs; i++) {
            for (int side = 0; side < 2; side++) {
                bool waits = stalled || (side == 1 && relay->pairs[i].is_held);
                int fd = relay->pairs[i].fds[side];
                fds[n++] = (struct pollfd){.fd = waits ? -1 : fd, .events = POLLIN};
            }
        }
        int pairs = relay->n_pairs;
        if (poll(fds, n, -1) < 0)
            continue;
        if (fds[0].revents != 0) {
            obey(relay);
            continue;
        }
        for (int i = 0; i < pairs * 2; i++) {
            if (fds[2 + i].revents != 0 && relay->pairs[i / 2].fds[i % 2] >= 0)
                relay_bytes(relay, &relay->pairs[i / 2], i % 2);
        }
        if (fds[1].revents != 0)
            accept_one(relay);
    }
}

struct proxy *
proxy_new(const struct pg_test_cluster *cluster)
{
    struct proxy *proxy = scratch_keep(calloc(1, sizeof *proxy));
    struct relay relay = {.target_port = cluster->port, .mode = PROXY_FORWARD};
    int commands[2];
    int answers[2];

    relay.listen_fd = listen_anywhere(&proxy->port);
    if (pipe2(commands, O_CLOEXEC) != 0 || pipe2(answers, O_CLOEXEC) != 0)
        fail_msg("proxy: no pipes (%d)", errno);
    if (scratch_fork(SIGKILL) == 0) {
        close(commands[1]);
        close(answers[0]);
        relay.command_fd = commands[0];
        relay.answer_fd = answers[1];
        run(&relay);
    }
    close(relay.listen_fd);
    close(commands[0]);
    close(answers[1]);
    proxy->command_fd = commands[1];
    proxy->answer_fd = answers[0];
    return proxy;
}

static unsigned char
tell(const struct proxy *proxy, unsigned char command)
{
    unsigned char answer;

    if (write(proxy->command_fd, &command, 1) != 1 || read(proxy->answer_fd, &answer, 1) != 1)
        fail_msg("the proxy is gone");
    return answer;
}

static bool
is_marked(void *arg)
{
    return tell(arg, ASK_MARKED) != 0;
}

void
proxy_wait_marked(struct proxy *proxy)
{
    assert_true(scratch_wait(is_marked, proxy, WAIT_MS));
}

static bool
has_waiting(void *arg)
{
    return tell(arg, ASK_WAITING) != 0;
}

void
proxy_wait_stalled(struct proxy *proxy)
{
    assert_true(scratch_wait(has_waiting, proxy, WAIT_MS));
}

void
proxy_set(struct proxy *proxy, enum proxy_mode mode)
{
    (void)tell(proxy, (unsigned char)mode);
}

void
proxy_orphan(struct proxy *proxy)
{
    (void)tell(proxy, ORPHAN);
}

const char *
proxy_conninfo(const struct proxy *proxy, const char *dbname)
{
    return scratch_printf("host=127.0.0.1 port=%d user=postgres dbname=%s", proxy->port, dbname);
}
