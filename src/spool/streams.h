/*
 * Where the frames of streamed transactions lie: for each transaction its extents, which may hold
 * frames of others as well. Guarded by the spool's mutex.
 */
#ifndef PH_SPOOL_STREAMS_H
#define PH_SPOOL_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/change.h"
#include "wire/spool_frame.h"

struct ph_stream_extent {
    uint64_t segment;
    uint64_t begin;
    uint64_t end;
};

enum ph_stream_state {
    PH_STREAM_OPEN,
    PH_STREAM_COMMITTED,
    PH_STREAM_VOID /* aborted or annulled; a reader may still be before that */
};

struct ph_stream {
    struct ph_stream *next;
    uint64_t session;
    uint32_t xid;
    enum ph_stream_state state;
    ph_lsn end_lsn; /* COMMITTED: of the commit; VOID: the last end before it became so */
    struct ph_spool_place ended; /* of the frame that ended it */
    struct ph_stream_extent *extents;
    uint32_t n_extents;
    uint32_t cap_extents;
    uint32_t in_segment; /* extents that lie in the last one's segment */
};

struct ph_streams {
    struct ph_stream *open;
    struct ph_stream *ended; /* in the order they ended */
    struct ph_stream **ended_tail;
    uint64_t n_open;
};

void ph_streams_init(struct ph_streams *streams);
void ph_streams_free(struct ph_streams *streams);
/*
 * A frame of an open transaction, after all earlier ones. *segment_is_new: it has none in this
 * segment yet. false: no memory.
 */
bool ph_streams_add(struct ph_streams *streams, uint64_t session, uint32_t xid,
                    const struct ph_stream_extent *frame, bool *segment_is_new);
/* NULL: none. end_lsn 0: the open one of this session; otherwise the one committed there. */
struct ph_stream *ph_streams_find(struct ph_streams *streams, uint64_t session, uint32_t xid,
                                  ph_lsn end_lsn);
/* The one of this session, whatever has become of it; NULL: none. */
const struct ph_stream *ph_streams_of_session(const struct ph_streams *streams, uint64_t session,
                                              uint32_t xid);
/* The open one ends; nothing when there is none. */
void ph_streams_end(struct ph_streams *streams, uint64_t session, uint32_t xid,
                    enum ph_stream_state state, ph_lsn end_lsn, struct ph_spool_place at);
/* All open ones become void. */
void ph_streams_annul(struct ph_streams *streams, ph_lsn end_lsn, struct ph_spool_place at);
/* Take out one that nobody needs when all up to `applied` is applied, and all up to `passed` is
 * read; the caller frees it. NULL: none. */
struct ph_stream *ph_streams_take_done(struct ph_streams *streams, ph_lsn applied,
                                       struct ph_spool_place passed);
void ph_stream_free(struct ph_stream *stream);

#endif
