/*
 * What the files of the spool share. Not for other layers.
 *
 * Guarded by `lock`: everything in struct ph_spool from `segments` on, up to the writer's own part.
 * `sync_lock` lets one thread at a time sync, `prune_lock` remove segments; each is taken before
 * `lock`, and prune_lock before sync_lock.
 */
#ifndef PH_SPOOL_INTERNAL_H
#define PH_SPOOL_INTERNAL_H

#include <pthread.h>

#include "base/buf.h"
#include "spool/schema.h"
#include "spool/source.h"
#include "spool/spool.h"
#include "spool/streams.h"
#include "wire/spool_pack.h"

#define PH_LSN_UNKNOWN UINT64_MAX
#define PH_SPOOL_TEMPORARY "hollow.tmp" /* of a prune under way, or killed */

struct ph_segment {
    uint64_t number;
    uint64_t size;   /* what readers may see */
    uint64_t synced; /* what is known to be on disk */
    uint64_t key;
    ph_lsn begin; /* W when it was made */
    ph_lsn ready; /* reading can begin here from this on; UNKNOWN: not before its first commit */
    ph_lsn needed_to; /* last end of the transactions that begin here; UNKNOWN: one is open */
    uint32_t nonce;
    uint32_t streams;  /* streamed transactions that have frames here and are not freed */
    int fd;            /* open while there is something to write or to sync; otherwise -1 */
    bool in_directory; /* its name is on disk */
    bool hollow;       /* readers pass it over */
};

struct ph_spool {
    char *dir;
    int dir_fd; /* holds the lock against other processes */
    struct ph_spool_id id;
    uint64_t limit_bytes;
    uint64_t segment_bytes;
    size_t frame_bytes;
    size_t message_bytes;

    pthread_mutex_t sync_lock;
    pthread_mutex_t prune_lock;
    pthread_mutex_t lock;
    pthread_cond_t changed;      /* something was written */
    struct ph_segment *segments; /* in order, without holes; the last one is written to */
    size_t n_segments;
    size_t cap_segments;
    uint64_t bytes;
    ph_lsn written;
    ph_lsn durable;
    struct ph_spool_place durable_place;
    struct ph_streams streams;
    struct ph_spool_place passed; /* who reads blocks is there: those void by then are of no use */
    struct ph_spool_session session; /* the last one; number 0: none */
    uint64_t left_to;                /* frames of sessions up to this one are for no reader */
    bool txn_open;                   /* what is written ends inside a transaction */
    bool poisoned;

    /* The writer's own. */
    struct ph_spool_packer packer;
    struct ph_schema schema;
    struct ph_buf gathered;  /* messages that are not written */
    struct ph_frame gather;  /* their frame so far: type, flags, xid, ends */
    bool only_schema;        /* all that is gathered are definitions */
    struct ph_buf frame_out; /* a whole frame */
    struct ph_buf head_out;  /* head of a segment */
    uint64_t head_size;      /* of the current segment */
    ph_lsn taken;            /* last end among all messages taken */
    bool in_txn;             /* the last message taken lies inside a transaction */
    bool in_session;
};

/* ---- table.c; under the lock ---- */

/* Add an empty last segment with fd, key, nonce, number set. false: no memory. */
bool ph_spool_add_segment(struct ph_spool *spool, const struct ph_segment *segment);
/* NULL: it is not there (any more). */
struct ph_segment *ph_spool_find_segment(struct ph_spool *spool, uint64_t number);
static inline struct ph_segment *
ph_spool_last_segment(struct ph_spool *spool)
{
    return &spool->segments[spool->n_segments - 1];
}
/* Index of the first segment behind all hollow ones: readers can begin there. */
size_t ph_spool_first_readable(const struct ph_spool *spool);
/* The transaction that was open has ended at `end`, or will never. */
void ph_spool_settle(struct ph_spool *spool, ph_lsn end);
/* A frame now lies at the end of the last segment. false: no memory. */
bool ph_spool_note_frame(struct ph_spool *spool, const struct ph_frame *frame);
void ph_spool_fill_positions(const struct ph_spool *spool, struct ph_spool_positions *out);

/* ---- spool.c ---- */

/* Everything empty but the mutexes. PH_E_MEMORY. */
ph_code ph_spool_make(const struct ph_spool_params *params, struct ph_spool **out,
                      struct ph_error *err);
/* Frees what ph_spool_make and the rest made; closes files, syncs nothing. */
void ph_spool_unmake(struct ph_spool *spool);
/* PH_E_DISK when poisoned. Under the lock. */
ph_code ph_spool_check_poison(const struct ph_spool *spool, struct ph_error *err);
/* Waits for `changed`, at most until deadline_ns of the monotonic clock; false: it is over. Under
 * the lock. */
bool ph_spool_wait(struct ph_spool *spool, uint64_t deadline_ns);

/* ---- write.c ---- */

/* All of `bytes` at `offset`; on failure what was written is cut off again. Writer only. */
ph_code ph_spool_put(struct ph_spool *spool, int fd, uint64_t offset, struct ph_span bytes,
                     struct ph_error *err);
/* PH_E_SPOOL_LIMIT when the files may not grow by this. */
ph_code ph_spool_check_limit(struct ph_spool *spool, uint64_t more, struct ph_error *err);
/* Pack `raw` and write it as one frame. Writer only. */
ph_code ph_spool_write_frame(struct ph_spool *spool, struct ph_frame *frame, struct ph_span raw,
                             struct ph_error *err);

/* ---- segment.c ---- */

enum ph_segment_start {
    PH_START_ROTATED, /* the session goes on */
    PH_START_SESSION,
    PH_START_RESTART /* a session, without what was before */
};
/*
 * Make the next segment, with its head, and write to it from now on. `session` NULL: of none (the
 * first one, which holds nothing). Writer only.
 */
ph_code ph_spool_begin_segment(struct ph_spool *spool, enum ph_segment_start start,
                               const struct ph_spool_session *session, struct ph_error *err);

/* ---- sync.c ---- */

ph_code ph_spool_sync_all(struct ph_spool *spool, struct ph_error *err);
/* Never again; what is not durable is cut off. Under the lock. */
void ph_spool_poison(struct ph_spool *spool);

/* ---- recover.c ---- */

enum ph_recover_how { PH_RECOVER_CUT, PH_RECOVER_LOOK };
/*
 * Fill an empty spool from its directory. CUT: cuts a torn tail, removes what a restart left
 * behind, syncs. LOOK: changes nothing; `durable` is the last known. Without any segment:
 * n_segments is 0.
 */
ph_code ph_spool_recover(struct ph_spool *spool, enum ph_recover_how how, struct ph_error *err);

/* ---- directory.c ---- */

/* Numbers of all segments in the directory, ascending; *numbers is the caller's (NULL: none). */
ph_code ph_spool_list(int dir_fd, uint64_t **numbers, size_t *n, struct ph_error *err);
/* 0: fine, or not there. */
int ph_spool_unlink(int dir_fd, uint64_t number);
ph_code ph_spool_sync_directory(int dir_fd, struct ph_error *err);
/* The segment's header; *valid false: it has none. */
ph_code ph_spool_read_header(int dir_fd, uint64_t number, struct ph_segment_header *header,
                             bool *valid, uint64_t *file_size, struct ph_error *err);
/* PH_E_DISK_FULL or PH_E_DISK from errno. */
ph_code ph_spool_disk_error(const char *doing, const char *what, uint64_t bytes,
                            struct ph_error *err);

#endif
