/*
 * Bytes from and to a server below libpq, plain or through the OpenSSL object that libpq made.
 * Nothing here waits: whoever gets PH_SOCKET_WANT_IN or PH_SOCKET_WANT_OUT polls for it and makes
 * the same call again; TLS may want either of them for both directions.
 *
 * Not for other layers. The connection's thread only; a stop shuts the socket down from elsewhere.
 */
#ifndef PH_PG_CONN_SOCKET_H
#define PH_PG_CONN_SOCKET_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct ssl_st; /* OpenSSL's SSL */

struct ph_socket {
    int fd;
    struct ssl_st *ssl; /* libpq's; NULL: plain */
};

enum ph_socket_rc {
    PH_SOCKET_DONE, /* something was read or written */
    PH_SOCKET_WANT_IN,
    PH_SOCKET_WANT_OUT,
    PH_SOCKET_GONE /* no more can come, or go; `cause` says why, "" when it was closed */
};

#define PH_SOCKET_CAUSE_BYTES 128

/* false: bytes of this connection can be handled by libpq only (GSS, another TLS library). */
bool ph_socket_of(PGconn *pg, struct ph_socket *out);

enum ph_socket_rc ph_socket_read(const struct ph_socket *s, void *into, size_t size, size_t *got,
                                 char *cause);
/*
 * `parts[0]` may be all that is sent at a time. Over TLS a call that wanted something has to be
 * repeated with the same bytes.
 */
enum ph_socket_rc ph_socket_write(const struct ph_socket *s, const struct ph_span parts[2],
                                  size_t *sent, char *cause);
/* Poll until what was wanted may be there; wait_ms -1: for ever. */
void ph_socket_wait(const struct ph_socket *s, enum ph_socket_rc wanted, int wait_ms);
/* Bytes that were decrypted and not taken: poll does not see them. */
bool ph_socket_has_decrypted(const struct ph_socket *s);

#endif
