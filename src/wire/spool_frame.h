/*
 * The spool's format: a segment file is a segment header and frames, one behind the other. All
 * integers are big-endian, all checksums XXH3-64.
 *
 *   segment header  88 bytes: who (spool id), which (number, nonce), where it begins, how long the
 *                   segment before it became, what was durable when it was made
 *   frame           a header of 80 bytes, then its body, packed or as it is
 *   body            messages: kind u8, length u32, bytes; or one message alone (PH_FRAME_SINGLE),
 *                   then kind and length are in the header; a SESSION's body is its own
 *
 * A frame's header checksum covers the spool's id, the segment's number and the frame's offset as
 * well, so a frame is nothing at any other place; the nonce tells it from one that an earlier file
 * of the same number had there. The header holds the body's checksum. `durable` says how far the
 * spool was known to be on disk when the header was written: bytes before that place can not be a
 * torn tail, whatever they look like.
 *
 * Pure functions and plain values, any thread.
 */
#ifndef PH_WIRE_SPOOL_FRAME_H
#define PH_WIRE_SPOOL_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "model/change.h"

#define PH_SEGMENT_HEADER_SIZE 88u
#define PH_FRAME_HEADER_SIZE 80u
#define PH_SPOOL_MESSAGE_PREFIX 5u
/* What a body may be at most; a server's message is below 1 GB. */
#define PH_FRAME_RAW_MAX 0x7e000000u
#define PH_FRAME_STORED_MAX 0x7fffffffu
#define PH_SPOOL_ID_SIZE 16u

/* A random token, made with the slot; the ledger has the same. */
struct ph_spool_id {
    uint8_t bytes[PH_SPOOL_ID_SIZE];
};

/* A place in the spool; places are ordered by segment, then offset. */
struct ph_spool_place {
    uint64_t segment;
    uint64_t offset;
};

enum ph_segment_flag {
    PH_SEGMENT_RESTART = 1, /* earlier segments count no longer: transactions are missing between */
    PH_SEGMENT_HOLLOW = 2,  /* its frames are all applied and gone; it only keeps the chain */
    PH_SEGMENT_OPEN = 4     /* a transaction is open where it begins */
};

struct ph_segment_header {
    struct ph_spool_id id;
    uint64_t number; /* from 1 on, without holes */
    uint64_t session;
    ph_lsn begin;       /* the written end when it was made */
    uint64_t prev_size; /* bytes of the segment before; 0: of the first one */
    struct ph_spool_place durable;
    uint32_t nonce;
    uint16_t flags; /* enum ph_segment_flag */
};

enum ph_frame_type {
    PH_FRAME_SESSION = 1, /* a connection begins; with PH_FRAME_HEAD it only says so again */
    PH_FRAME_CHANGES, /* messages in the order they arrived, of whole or parts of transactions */
    PH_FRAME_STREAM,  /* messages of one streamed transaction */
    PH_FRAME_STREAM_COMMIT,
    PH_FRAME_STREAM_ABORT, /* of the whole transaction; of a part of it: a message in STREAM */
    PH_FRAME_PROGRESS,     /* nothing to apply before this position */
    PH_FRAME_MARK          /* says `durable`, no more */
};

enum ph_frame_flag {
    PH_FRAME_CONTINUES = 1, /* begins inside a transaction (CHANGES) */
    PH_FRAME_OPEN = 2,      /* ends inside a transaction (CHANGES) */
    PH_FRAME_SCHEMA = 4,    /* holds messages of kind SCHEMA (not of a streamed transaction) */
    PH_FRAME_HEAD = 8,      /* repeated at the head of a segment, for who starts reading there */
    PH_FRAME_SINGLE = 16    /* the body is one message's bytes */
};

enum ph_spool_packing { PH_PACK_NONE, PH_PACK_LZ4, PH_PACK_ZSTD };

enum ph_spool_message_kind {
    PH_SPOOL_BEGIN = 1,
    PH_SPOOL_CHANGE, /* inside a transaction, streamed or not */
    PH_SPOOL_SCHEMA, /* defines a relation or a type for the rest of the session */
    PH_SPOOL_COMMIT,
    PH_SPOOL_ASIDE, /* outside of any transaction */
    PH_SPOOL_STREAM_COMMIT,
    PH_SPOOL_STREAM_ABORT
};

struct ph_frame {
    enum ph_frame_type type;
    enum ph_spool_packing packing;
    uint8_t flags;       /* enum ph_frame_flag */
    uint8_t single_kind; /* enum ph_spool_message_kind; with SINGLE */
    uint32_t stored_len; /* of the body as it lies there */
    uint32_t raw_len;
    uint32_t xid;     /* top-level transaction of STREAM…; otherwise 0 */
    uint32_t nonce;   /* its segment's */
    uint64_t session; /* counted from 1 */
    ph_lsn first_end; /* first and last position reached in it: commits' ends, progress, a */
    ph_lsn last_end;  /* session's start; 0: none */
    struct ph_spool_place durable;
    uint64_t body_sum;
};

/* One message of a body. */
struct ph_spool_item {
    enum ph_spool_message_kind kind;
    struct ph_span bytes; /* of the body's owner */
};

/* What a connection was made of. Strings are terminated. */
struct ph_spool_session {
    uint64_t number; /* set by the spool */
    uint64_t system_id;
    uint32_t timeline;
    ph_lsn timeline_switch; /* where the timeline left the one before; 0: not known or not needed */
    ph_lsn start;           /* START_REPLICATION's position */
    char database[64];
    char slot[64];
    char publication[256]; /* its name and the options that must stay as they are */
    char options[256];     /* as given to the output plugin; may change */
};

#define PH_SPOOL_SESSION_BODY_MAX 800u

static inline bool
ph_spool_place_before(struct ph_spool_place a, struct ph_spool_place b)
{
    return a.segment < b.segment || (a.segment == b.segment && a.offset < b.offset);
}

void ph_segment_header_encode(const struct ph_segment_header *header,
                              uint8_t out[PH_SEGMENT_HEADER_SIZE]);
/* false: these bytes are no segment header. Whose and which it is, is the caller's to compare. */
bool ph_segment_header_decode(const uint8_t in[PH_SEGMENT_HEADER_SIZE],
                              struct ph_segment_header *header);

/* A number that spool and segment give to the checksums of their frames. */
uint64_t ph_spool_segment_key(const struct ph_spool_id *id, uint64_t number);

void ph_frame_encode(const struct ph_frame *frame, uint64_t key, uint64_t offset,
                     uint8_t out[PH_FRAME_HEADER_SIZE]);
/*
 * false: no frame was written at this place, or its header is damaged. The nonce is the caller's to
 * compare; lengths and enumerations are within their bounds.
 */
bool ph_frame_decode(const uint8_t in[PH_FRAME_HEADER_SIZE], uint64_t key, uint64_t offset,
                     struct ph_frame *frame);
/* Offset of the next place in `bytes` (from `from` on) that may be a frame's header; or len. */
size_t ph_frame_find(struct ph_span bytes, size_t from);

uint64_t ph_frame_body_sum(struct ph_span stored);

static inline uint64_t
ph_frame_size(const struct ph_frame *frame)
{
    return (uint64_t)PH_FRAME_HEADER_SIZE + frame->stored_len;
}

/* `out` has room for the prefix; the message's bytes follow it. len < 2^32. */
void ph_spool_message_prefix(enum ph_spool_message_kind kind, size_t len,
                             uint8_t out[PH_SPOOL_MESSAGE_PREFIX]);
/* Take the next message; false: what is left is none (nothing left: look before). */
bool ph_spool_message_take(struct ph_cursor *in, struct ph_spool_item *item);

/* Returns the length; `number` is not in it (the frame has it), nor is `timeline_switch`. */
size_t ph_spool_session_encode(const struct ph_spool_session *session,
                               uint8_t out[PH_SPOOL_SESSION_BODY_MAX]);
bool ph_spool_session_decode(struct ph_span body, struct ph_spool_session *session);

#endif
