/*
 * OpenSSL's object is libpq's own, on libpq's own socket, which never blocks: SSL_read and
 * SSL_write go on where libpq stopped, bytes that are decrypted already included, and libpq goes on
 * where they stop. Its record layer reads no further than the record at hand (libpq leaves
 * read-ahead off), so nothing of what follows is lost in between.
 */
#include "pg/conn_socket.h"

#include <errno.h>
#include <link.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int
count_libssl(struct dl_phdr_info *info, size_t size, void *arg)
{
    int *n = arg;

    (void)size;
    if (strstr(info->dlpi_name, "libssl") != NULL)
        (*n)++;
    return 0;
}

/* With two versions of the library in the process libpq's object may not be of the one used here.
 */
static bool
has_one_libssl(void)
{
    int n = 0;

    (void)dl_iterate_phdr(count_libssl, &n);
    return n == 1;
}

bool
ph_socket_of(PGconn *pg, struct ph_socket *out)
{
    *out = (struct ph_socket){.fd = PQsocket(pg)};
    if (out->fd < 0 || PQgssEncInUse(pg) != 0)
        return false;
    if (PQsslInUse(pg) == 0)
        return true;
    out->ssl = has_one_libssl() ? PQsslStruct(pg, "OpenSSL") : NULL;
    return out->ssl != NULL;
}

static enum ph_socket_rc
plain_failure(enum ph_socket_rc wanted, char *cause)
{
    if (errno == EAGAIN || errno == EINTR)
        return wanted;
    snprintf(cause, PH_SOCKET_CAUSE_BYTES, "%s", strerrordesc_np(errno));
    return PH_SOCKET_GONE;
}

/* `rc` is what SSL_read or SSL_write returned when it was no success. */
static enum ph_socket_rc
tls_failure(const struct ph_socket *s, int rc, char *cause)
{
    int saved = errno;

    cause[0] = '\0';
    switch (SSL_get_error(s->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return PH_SOCKET_WANT_IN;
    case SSL_ERROR_WANT_WRITE:
        return PH_SOCKET_WANT_OUT;
    case SSL_ERROR_ZERO_RETURN:
        return PH_SOCKET_GONE;
    case SSL_ERROR_SYSCALL:
        if (saved != 0)
            snprintf(cause, PH_SOCKET_CAUSE_BYTES, "%s", strerrordesc_np(saved));
        return PH_SOCKET_GONE;
    default: {
        const char *reason = ERR_reason_error_string(ERR_peek_error());
        snprintf(cause, PH_SOCKET_CAUSE_BYTES, "TLS: %s", reason != NULL ? reason : "failure");
        ERR_clear_error();
        return PH_SOCKET_GONE;
    }
    }
}

enum ph_socket_rc
ph_socket_read(const struct ph_socket *s, void *into, size_t size, size_t *got, char *cause)
{
    cause[0] = '\0';
    if (s->ssl == NULL) {
        ssize_t n = recv(s->fd, into, size, MSG_DONTWAIT);
        if (n < 0)
            return plain_failure(PH_SOCKET_WANT_IN, cause);
        *got = (size_t)n;
        return n == 0 ? PH_SOCKET_GONE : PH_SOCKET_DONE;
    }
    ERR_clear_error();
    errno = 0;
    int rc = SSL_read_ex(s->ssl, into, size, got);
    return rc == 1 ? PH_SOCKET_DONE : tls_failure(s, rc, cause);
}

/* sendmsg reads only, but its type does not say so. */
static struct iovec
iov_of(struct ph_span span)
{
    union {
        const void *in;
        void *out;
    } base = {.in = span.data};

    return (struct iovec){base.out, span.len};
}

enum ph_socket_rc
ph_socket_write(const struct ph_socket *s, const struct ph_span parts[2], size_t *sent, char *cause)
{
    cause[0] = '\0';
    if (s->ssl == NULL) {
        struct iovec iov[2] = {iov_of(parts[0]), iov_of(parts[1])};
        struct msghdr out = {.msg_iov = iov, .msg_iovlen = 2};
        ssize_t n = sendmsg(s->fd, &out, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0)
            return plain_failure(PH_SOCKET_WANT_OUT, cause);
        *sent = (size_t)n;
        return PH_SOCKET_DONE;
    }
    const struct ph_span *part = parts[0].len > 0 ? &parts[0] : &parts[1];
    ERR_clear_error();
    errno = 0;
    int rc = SSL_write_ex(s->ssl, part->data, part->len, sent);
    return rc == 1 ? PH_SOCKET_DONE : tls_failure(s, rc, cause);
}

void
ph_socket_wait(const struct ph_socket *s, enum ph_socket_rc wanted, int wait_ms)
{
    struct pollfd fd = {.fd = s->fd, .events = wanted == PH_SOCKET_WANT_OUT ? POLLOUT : POLLIN};

    (void)poll(&fd, 1, wait_ms);
}

bool
ph_socket_has_decrypted(const struct ph_socket *s)
{
    return s->ssl != NULL && SSL_pending(s->ssl) > 0;
}
