/*
 * The tables that a change stream has announced (pgoutput's Relation messages), and which
 * announcement holds where.
 *
 * The server keeps the same book and announces a table again when its book says so:
 *  - an announcement outside streamed transactions holds for all that follows outside of them;
 *  - one inside a streamed transaction holds for that transaction only, of which the server assumes
 *    nothing from elsewhere; with its commit it holds outside too, unless a later one does already;
 *  - when a streamed transaction or a subtransaction of it aborts, all announcements made inside
 *    the transaction are void.
 *
 * Equal announcements are one object: a pointer that stays the same says that nothing changed. All
 * live until ph_stream_rels_reset. One thread at a time.
 */
#ifndef PH_WIRE_STREAM_RELS_H
#define PH_WIRE_STREAM_RELS_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/change.h"

struct ph_stream_rels {
    struct ph_stream_slot *slots; /* hashed by OID, by linear probing; oid 0: free */
    uint32_t capacity;            /* 0 or a power of two */
    uint32_t used;
    uint32_t max_columns; /* of any table so far */
    uint32_t streams;     /* announcements inside streamed transactions, of all tables */
};

void ph_stream_rels_init(struct ph_stream_rels *rels);
void ph_stream_rels_reset(struct ph_stream_rels *rels); /* frees all tables */

/*
 * Take the body of a Relation message, from the table's OID on. `top_xid` is the streamed
 * transaction it came inside of, or 0. `arrival` orders announcements as the server sent them.
 * PH_E_PROTOCOL, PH_E_MEMORY; then nothing has changed.
 */
ph_code ph_stream_rels_announce(struct ph_stream_rels *rels, uint32_t top_xid, uint64_t arrival,
                                struct ph_span body, const struct ph_stream_rel **out,
                                struct ph_error *err);
/* What holds inside that streamed transaction (0: outside of all); NULL when nothing does. */
const struct ph_stream_rel *ph_stream_rels_find(const struct ph_stream_rels *rels, uint32_t top_xid,
                                                ph_oid oid);
/* The streamed transaction committed, or it (or a subtransaction of it) aborted. */
void ph_stream_rels_commit(struct ph_stream_rels *rels, uint32_t top_xid);
void ph_stream_rels_abort(struct ph_stream_rels *rels, uint32_t top_xid);
/* A new connection: the server announces all tables anew. The objects stay. */
void ph_stream_rels_forget(struct ph_stream_rels *rels);

#endif
