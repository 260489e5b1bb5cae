/*
 * Decoder of pgoutput, the output plugin of logical replication: message in, event out.
 *
 * Format: PostgreSQL documentation, "Logical Replication Message Formats", and
 * src/backend/replication/logical/proto.c; protocol versions 1 to 4, which the bytes themselves
 * tell apart. Prepared transactions (two_phase) are never asked for and refused when they come.
 *
 * Large transactions may come in blocks while they still run (Stream Start … Stream Stop), blocks
 * of several mixed with whole transactions between. Inside a block every change carries the xid of
 * its (sub)transaction, and tables are announced per transaction (wire/stream_rels.h): so a message
 * can only be understood where it belongs. Order for the decoder: as the server sent them; or the
 * blocks of a streamed transaction later, put back as its first to last block (whole, or without
 * the messages of aborted subtransactions) directly before its Stream Commit.
 *
 * A reader that begins in the middle of a session must first pass the Relation messages that came
 * outside of blocks before that point, in order; the server does not send them again.
 *
 * Pure: bytes in, values out; every length is checked; no allocation per message but when a table
 * is new. One thread at a time. All failures are PH_E_PROTOCOL unless memory runs out; after one
 * the decoder stands where it stood before the message.
 */
#ifndef PH_WIRE_PGOUTPUT_H
#define PH_WIRE_PGOUTPUT_H

#include "base/bytes.h"
#include "base/error.h"
#include "model/change.h"

/* Names of the messages in the documentation are behind them. */
enum ph_stream_kind {
    PH_STREAM_BEGIN,        /* B */
    PH_STREAM_COMMIT,       /* C */
    PH_STREAM_ORIGIN,       /* O */
    PH_STREAM_RELATION,     /* R */
    PH_STREAM_TYPE,         /* Y */
    PH_STREAM_CHANGE,       /* I U D T: Insert, Update, Delete, Truncate */
    PH_STREAM_MESSAGE,      /* M: pg_logical_emit_message */
    PH_STREAM_BLOCK_START,  /* S: Stream Start */
    PH_STREAM_BLOCK_STOP,   /* E: Stream Stop */
    PH_STREAM_BLOCK_COMMIT, /* c: Stream Commit */
    PH_STREAM_BLOCK_ABORT   /* A: Stream Abort */
};

/* What a message is, without its rows. What a kind does not have is 0. */
struct ph_stream_head {
    enum ph_stream_kind kind;
    char type; /* the message's first byte */
    /*
     * Top-level transaction: of B, S, c and A from the message itself; of what lies between B and
     * C or S and E as well when it comes from ph_pgoutput_decode. 0: outside of transactions.
     */
    uint32_t top_xid;
    uint32_t xid;       /* of the (sub)transaction, inside blocks; of A: what aborts, which is the
                           whole transaction when equal to top_xid */
    ph_oid relid;       /* R I U D; of T the first table */
    ph_lsn commit_lsn;  /* B C c: of the commit record */
    ph_lsn end_lsn;     /* C c: behind the commit record: what may be acknowledged */
    ph_lsn lsn;         /* M: of the message; O: of the commit on its origin; A: of the abort, only
                           when the server says it */
    int64_t time_us;    /* B C c: of the commit; A as above. Microseconds since 1970, UTC */
    bool first_block;   /* S: the transaction's first block */
    bool transactional; /* M: part of the transaction; otherwise it was sent at once */
};

/*
 * Names and spans point into the message or the decoder and are valid until the next call or the
 * end of the message; tables until ph_pgoutput_free. A change's fields are in the order of
 * `rel->columns`:
 *  - in a key image what is not part of the key is ABSENT (the server sends NULL: no column of a
 *    replica identity can be NULL);
 *  - UNCHANGED may come in new images, also in that of an INSERT which a row filter of the
 *    publication has made of an UPDATE.
 */
struct ph_stream_event {
    struct ph_stream_head head;
    const struct ph_stream_rel *rel; /* R I U D; of T the first table */
    struct ph_change change;         /* I U D T */
    const char *prefix;              /* M */
    struct ph_span content;          /* M */
    const char *schema;              /* Y */
    const char *name;                /* Y: the type; O: the origin */
    ph_oid type_oid;                 /* Y */
};

enum ph_stream_place { PH_OUTSIDE_BLOCK, PH_INSIDE_BLOCK };

/*
 * What the message is, by itself: no decoder, no tables needed. `place` says whether a Stream Start
 * came and its Stop did not yet. Messages without rows and names (B C S E c A) are checked to their
 * end, of the others only what the head has. Any thread.
 */
ph_code ph_pgoutput_peek(struct ph_span message, enum ph_stream_place place,
                         struct ph_stream_head *out, struct ph_error *err);

struct ph_pgoutput;

struct ph_pgoutput *ph_pgoutput_new(void); /* NULL: no memory */
void ph_pgoutput_free(struct ph_pgoutput *decoder);
/* A new connection begins in the stream: what was half received will come again whole. */
void ph_pgoutput_new_session(struct ph_pgoutput *decoder);

/*
 * Decode one message. `arrival` says when the server sent it, in any ascending measure (a count, a
 * position in the spool), for readers that put blocks back later; it decides which announcement of
 * a table is the latest.
 */
ph_code ph_pgoutput_decode(struct ph_pgoutput *decoder, struct ph_span message, uint64_t arrival,
                           struct ph_stream_event *out, struct ph_error *err);
/* The table as announced at this point of the stream; NULL when it is not. For TRUNCATE's list. */
const struct ph_stream_rel *ph_pgoutput_rel(const struct ph_pgoutput *decoder, ph_oid relid);

#endif
