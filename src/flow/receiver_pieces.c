/*
 * A large backlog is read by SQL functions, a piece of WAL at a time, before the stream begins: see
 * pg/slot_piece.h and decision 0016. Every piece is a session of the spool, with the same checks of
 * where it starts; the slot itself is moved behind what is durable now and then, so that the server
 * can let WAL go. The applier works on one piece while the server decodes the next: so the first is
 * small, and those before the end are halves of what is left.
 *
 * Decoding begins where the slot's restart_lsn is, so pieces grow with the way from there.
 */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/receiver_parts.h"
#include "pg/slot.h"
#include "pg/slot_piece.h"

#define MB ((uint64_t)1 << 20)
#define LARGEST_PIECE (256 * MB)
/* The server holds a piece's messages, in a file behind work_mem. */
#define LARGEST_DECODED (512 * MB)
/*
 * A longer way to the beginning of a piece costs more than the stream, which goes it once; so many
 * times what is read in bulk at all.
 */
#define LONGEST_WAY 64
#define ADVANCE_EVERY (1024 * MB)
/* Messages between looks at the clock and for the end. */
#define BATCH_MESSAGES 512

struct pieces {
    struct ph_conn *conn;
    struct ph_slot_piece piece;
    struct ph_stream_params stream;
    char copy[PH_SLOT_COPY_NAME];
    ph_lsn end;           /* of the server's flushed WAL */
    ph_lsn reached;       /* the copy gives nothing of what was committed before it any more */
    ph_lsn advanced;      /* where the slot is known to be */
    uint64_t size;        /* of the piece at hand, of WAL; 0: none yet */
    uint64_t decoded;     /* bytes of the last piece's messages */
    uint64_t silent;      /* WAL since the last message */
    bool has_open_blocks; /* a large transaction goes on behind the last piece */
    bool is_full;         /* the spool */
};

bool
ph_receiver_is_far_behind(const struct ph_receiver *receiver)
{
    return receiver->params.bulk_from_bytes > 0 && !receiver->no_pieces &&
           receiver->now.source_end > receiver->frame.start &&
           receiver->now.source_end - receiver->frame.start >= receiver->params.bulk_from_bytes;
}

void
ph_receiver_cancel_pieces(struct ph_receiver *receiver)
{
    pthread_mutex_lock(&receiver->lock);
    if (receiver->pieces != NULL)
        ph_conn_cancel(receiver->pieces);
    pthread_mutex_unlock(&receiver->lock);
}

static void
set_connection(struct ph_receiver *receiver, struct ph_conn *conn)
{
    pthread_mutex_lock(&receiver->lock);
    receiver->pieces = conn;
    pthread_mutex_unlock(&receiver->lock);
}

/* How far the source is by now. */
static ph_code
find_end(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    int64_t clock_us;

    PH_TRY(ph_slot_flushed(pieces->conn, &pieces->end, &clock_us, err));
    if (pieces->end > receiver->now.source_end)
        receiver->now.source_end = pieces->end;
    receiver->now.last_sent_us = clock_us;
    atomic_store_explicit(&receiver->source_clock_us, clock_us, memory_order_relaxed);
    return PH_OK;
}

/*
 * A server that holds every change of a transaction until its commit would hold it a second time in
 * a file, however large it is; and one whose slots have known faults when SQL moves them is not
 * made to.
 */
static ph_code
check_server(const struct ph_receiver *receiver, const struct ph_conn *conn, struct ph_error *err)
{
    int version = ph_conn_version(conn);

    if (version < 140000 || receiver->params.large == PH_STREAM_WHOLE)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "the source sends large transactions whole");
    if (ph_slot_mended_minor(version) != 0)
        return PH_FAIL(err, PH_E_UNSUPPORTED,
                       "the source has faults of logical decoding, mended in %d.%d",
                       version / 10000, ph_slot_mended_minor(version));
    return PH_OK;
}

/*
 * What is here already must not come again: definitions stand in the first transaction that needs
 * them, and would be left out with it. The slot may be older than what was acknowledged: a server
 * that crashed forgets some of it.
 */
static ph_code
skip_known(const struct ph_receiver *receiver, const struct pieces *pieces, struct ph_error *err)
{
    struct ph_slot copy;
    bool found;

    PH_TRY(ph_slot_read(pieces->conn, pieces->copy, &copy, &found, err));
    if (!found)
        return PH_FAIL(err, PH_E_INTERNAL, "the copy of the slot is gone");
    if (receiver->frame.start <= copy.confirmed_flush)
        return PH_OK;
    return ph_slot_advance(pieces->conn, pieces->copy, receiver->frame.start, err);
}

static ph_code
begin(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    PH_TRY(ph_conn_open(receiver->params.source, "backlog", &pieces->conn, err));
    set_connection(receiver, pieces->conn);
    /* whoever stops looked for the connection before, or cuts it from now on */
    if (ph_receiver_is_over(receiver))
        return PH_FAIL(err, PH_E_STOPPED, "stopped");
    PH_TRY(check_server(receiver, pieces->conn, err));
    PH_TRY(ph_conn_exec(pieces->conn, "SET work_mem = '64MB'", err));
    PH_TRY(ph_slot_copy(pieces->conn, receiver->params.slot, pieces->copy, err));
    PH_TRY(skip_known(receiver, pieces, err));
    pieces->stream = ph_receiver_stream_params(receiver);
    pieces->stream.slot = pieces->copy;
    pieces->advanced = receiver->now.acknowledged;
    return PH_OK;
}

/* ---- one piece ---- */

static ph_code
take(struct ph_receiver *receiver, struct ph_span message, struct ph_error *err)
{
    PH_TRY(ph_intake_take(&receiver->intake, message, err));
    receiver->now.messages++;
    receiver->now.bytes += message.len;
    receiver->unflushed = true;
    return PH_OK;
}

static ph_code
flush_if_due(struct ph_receiver *receiver, struct ph_error *err)
{
    uint64_t now = ph_clock_ns();

    receiver->now.last_input_ns = receiver->heard_ns = now;
    if (!receiver->unflushed || now - receiver->flushed_ns < PH_RECEIVER_FLUSH_NS)
        return PH_OK;
    PH_TRY(ph_receiver_flush(receiver, err));
    ph_receiver_show(receiver, PH_RECEIVER_STREAMING, NULL);
    return PH_OK;
}

static ph_code
take_messages(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    struct ph_span message;
    bool got = true;
    bool read;

    for (uint32_t n = 1;; n++) {
        PH_TRY(ph_slot_piece_next(pieces->conn, &pieces->piece, &message, &got, &read, err));
        if (!got)
            return PH_OK;
        if (ph_receiver_is_over(receiver))
            return PH_FAIL(err, PH_E_STOPPED, "stopped");
        PH_TRY(take(receiver, message, err));
        if (read || n % BATCH_MESSAGES == 0)
            PH_TRY(flush_if_due(receiver, err));
    }
}

/* All that was committed before `upto`, into a session of the spool that ends durable there. */
static ph_code
take_piece(struct ph_receiver *receiver, struct pieces *pieces, ph_lsn upto, struct ph_error *err)
{
    struct ph_spool *spool = receiver->params.spool;
    struct ph_spool_positions positions;

    receiver->intake = (struct ph_intake){
        .spool = spool, .start = receiver->frame.start, .reached = receiver->frame.start};
    PH_TRY(ph_slot_piece_begin(pieces->conn, &pieces->stream, upto, &pieces->piece, err));
    PH_TRY(ph_spool_begin_session(spool, &receiver->frame, err));
    PH_TRY(take_messages(receiver, pieces, err));
    ph_spool_get_positions(spool, &positions);
    pieces->has_open_blocks = positions.open_streams > 0;
    if (!ph_intake_is_between(&receiver->intake))
        return PH_FAIL(err, PH_E_PROTOCOL,
                       "a piece of the slot's changes ends inside a transaction");
    PH_TRY(ph_spool_flush(spool, err));
    PH_TRY(ph_intake_progress(&receiver->intake, upto, err));
    pieces->reached = receiver->intake.reached;
    receiver->now.pieces++;
    return PH_OK;
}

static ph_code
read_piece(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    uint64_t before = receiver->now.bytes;
    struct ph_error ignored;

    ph_code rc = take_piece(receiver, pieces, receiver->frame.start + pieces->size, err);
    pieces->decoded = receiver->now.bytes - before;
    pieces->silent = pieces->decoded > 0 ? 0 : pieces->silent + pieces->size;
    pieces->is_full = rc == PH_E_SPOOL_LIMIT || rc == PH_E_DISK_FULL;
    ph_receiver_count_transactions(receiver);
    receiver->unflushed = false;
    ph_code end = ph_spool_end_session(receiver->params.spool, rc == PH_OK ? err : &ignored);
    return rc == PH_OK ? end : rc;
}

/* ---- one after the other ---- */

/* The server keeps WAL from the slot on: let go what is not needed any more. */
static ph_code
advance_slot(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    struct ph_spool_positions positions;

    ph_spool_get_positions(receiver->params.spool, &positions);
    ph_lsn safe = ph_receiver_safe_position(receiver, &positions);
    if (safe < pieces->advanced + ADVANCE_EVERY)
        return PH_OK;
    PH_TRY(ph_slot_advance(pieces->conn, receiver->params.slot, safe, err));
    receiver->now.acknowledged = pieces->advanced = safe;
    return PH_OK;
}

/* What the server has to decode once more before it comes to the next piece. */
static ph_code
find_way(const struct ph_receiver *receiver, const struct pieces *pieces, uint64_t *way,
         struct ph_error *err)
{
    struct ph_slot copy;
    bool found;

    PH_TRY(ph_slot_read(pieces->conn, pieces->copy, &copy, &found, err));
    *way = found && copy.restart_lsn != 0 ? receiver->frame.start - copy.restart_lsn : 0;
    return PH_OK;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* As long as the way that decoding it again costs, within what the server should hold. */
static uint64_t
choose_size(const struct ph_receiver *receiver, const struct pieces *pieces, uint64_t way)
{
    uint64_t from = receiver->params.bulk_from_bytes;
    uint64_t left = pieces->end - receiver->frame.start;
    uint64_t most = LARGEST_PIECE;

    if (pieces->size == 0)
        return smaller(from / 4, left);
    if (pieces->decoded > pieces->size)
        most = smaller(most, LARGEST_DECODED / (pieces->decoded / pieces->size));
    most = smaller(most, ph_receiver_larger(left / 2, from / 2));
    return smaller(ph_receiver_larger(way, from / 2), most);
}

/* A transaction so large that it is still open behind much WAL is applied while it arrives. */
static bool
is_for_the_stream(const struct ph_receiver *receiver, const struct pieces *pieces)
{
    return pieces->has_open_blocks || pieces->silent >= receiver->params.bulk_from_bytes / 2;
}

static ph_code
read_next(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    uint64_t way;

    if (ph_receiver_is_over(receiver))
        return PH_FAIL(err, PH_E_STOPPED, "stopped");
    PH_TRY(find_way(receiver, pieces, &way, err));
    if (way / LONGEST_WAY > receiver->params.bulk_from_bytes)
        return PH_FAIL(err, PH_E_UNSUPPORTED,
                       "decoding would begin %" PRIu64 " MB before every piece", way / MB);
    pieces->size = choose_size(receiver, pieces, way);
    PH_TRY(read_piece(receiver, pieces, err));
    PH_TRY(ph_receiver_find_start(receiver, pieces->conn, err));
    if (receiver->frame.start < pieces->reached)
        return PH_FAIL(err, PH_E_INTERNAL, "the spool has less than was read from the slot");
    return advance_slot(receiver, pieces, err);
}

static ph_code
read_all(struct ph_receiver *receiver, struct pieces *pieces, struct ph_error *err)
{
    PH_TRY(begin(receiver, pieces, err));
    for (;;) {
        PH_TRY(find_end(receiver, pieces, err));
        if (pieces->end < receiver->frame.start + receiver->params.bulk_from_bytes ||
            is_for_the_stream(receiver, pieces))
            return PH_OK;
        PH_TRY(read_next(receiver, pieces, err));
    }
}

/*
 * A server that cannot, or may not, do it is read by the stream, which says what is wrong with it;
 * so is one that gave what cannot be, for the slot itself has not moved. A query that somebody
 * cancelled is not asked again.
 */
static bool
is_of_pieces_alone(const struct pieces *pieces, const struct ph_error *err)
{
    static const char cancelled_state[] = "57014";
    bool told = err->code != PH_E_CONNECT && err->code != PH_E_STOPPED &&
                err->sqlstate[0] != '\0' &&
                (!ph_error_is_retryable(err) || strcmp(err->sqlstate, cancelled_state) == 0);

    return pieces->is_full || (told && pieces->conn != NULL) || err->code == PH_E_INTERNAL ||
           err->code == PH_E_PROTOCOL || err->code == PH_E_UNSUPPORTED;
}

/* There may be room in the spool when the next session begins; the rest stays as it is. */
static void
leave_pieces(struct ph_receiver *receiver, const struct pieces *pieces, const struct ph_error *why)
{
    if (pieces->is_full) {
        ph_log(PH_LOG_DEBUG, "backlog.full", "the rest of the backlog is left to the stream: %s",
               why->message);
        return;
    }
    receiver->no_pieces = true;
    bool is_fault = why->code == PH_E_INTERNAL || why->code == PH_E_PROTOCOL;
    ph_log(is_fault ? PH_LOG_WARN : PH_LOG_INFO, "backlog.left",
           "the backlog is not read in bulk, but by the stream: %s%s%s%s", why->message,
           why->sqlstate[0] != '\0' ? " (SQLSTATE " : "", why->sqlstate,
           why->sqlstate[0] != '\0' ? ")" : "");
}

ph_code
ph_receiver_read_pieces(struct ph_receiver *receiver, struct ph_error *err)
{
    struct pieces pieces = {0};
    struct ph_error why = {0};

    ph_code rc = read_all(receiver, &pieces, &why);
    set_connection(receiver, NULL);
    ph_conn_free(pieces.conn);
    ph_slot_piece_reset(&pieces.piece);
    if (rc == PH_OK) {
        receiver->awaits_large = is_for_the_stream(receiver, &pieces);
        return PH_OK;
    }
    if (ph_receiver_is_over(receiver))
        return PH_FAIL(err, PH_E_STOPPED, "stopped");
    if (!is_of_pieces_alone(&pieces, &why)) {
        if (err != NULL)
            *err = why;
        return rc;
    }
    leave_pieces(receiver, &pieces, &why);
    return ph_receiver_find_start(receiver, NULL, err);
}
