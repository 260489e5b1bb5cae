/*
 * Changes of a slot by SQL, a piece of WAL at a time: what the walsender sends in one packet a
 * message comes in a COPY here, which costs the server less than half of the CPU. The piece is read
 * from a temporary copy of the slot, which the server drops with the session: the slot itself does
 * not move, and nobody else is kept from it.
 *
 * PostgreSQL documentation, "Logical Decoding SQL Functions"; decision 0016. The connection's
 * thread; errors as in conn.h. Needs REPLICATION, as the slot does, and one more free slot.
 */
#ifndef PH_PG_SLOT_PIECE_H
#define PH_PG_SLOT_PIECE_H

#include "pg/replication.h"

#define PH_SLOT_COPY_NAME 64

/* As it stands now. `copy` is filled with its name. */
ph_code ph_slot_copy(struct ph_conn *conn, const char *slot, char copy[PH_SLOT_COPY_NAME],
                     struct ph_error *err);

/* How far the server's WAL is flushed (a standby: replayed), and its clock. */
ph_code ph_slot_flushed(struct ph_conn *conn, ph_lsn *lsn, int64_t *clock_us, struct ph_error *err);

/* Where the slot is read into a buffer; {0} at first. */
struct ph_slot_piece {
    uint8_t *bytes; /* the caller's: ph_slot_piece_reset */
    size_t size;
    size_t len;
    size_t at;
    bool begun;
};
void ph_slot_piece_reset(struct ph_slot_piece *piece);

/*
 * Begin to take all transactions whose commit begins before `upto`, which lies behind the last one
 * and is flushed: params->slot is the copy, params->start_lsn does not count. The server decodes
 * the whole piece before this returns. What the copy gave once it does not give again.
 */
ph_code ph_slot_piece_begin(struct ph_conn *conn, const struct ph_stream_params *params,
                            ph_lsn upto, struct ph_slot_piece *piece, struct ph_error *err);
/*
 * The next message of the output plugin, valid until the next call. *got false: that was all;
 * *read says whether the network was asked for it.
 */
ph_code ph_slot_piece_next(struct ph_conn *conn, struct ph_slot_piece *piece,
                           struct ph_span *message, bool *got, bool *read, struct ph_error *err);

/* Move the slot, which nobody reads: what is before `lsn` will not be asked for again. */
ph_code ph_slot_advance(struct ph_conn *conn, const char *slot, ph_lsn lsn, struct ph_error *err);

#endif
