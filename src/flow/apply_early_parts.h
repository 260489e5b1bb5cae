/* What the files of apply_early share. Not for others. */
#ifndef PH_FLOW_APPLY_EARLY_PARTS_H
#define PH_FLOW_APPLY_EARLY_PARTS_H

#include "flow/apply_early.h"
#include "model/xid_set.h"
#include "model/xid_spans.h"

/* Savepoints at a time; with more, the later half becomes one and new ones come more rarely. */
#define PH_EARLY_POINTS 32u

/* Where the target can be taken back to. */
struct early_point {
    struct ph_spool_mark mark; /* the first message that is not applied there */
    uint32_t name;
    uint32_t newest;  /* no change before it is of a later subtransaction */
    uint64_t renamed; /* as early.renamed then */
    uint64_t changes;
    uint64_t taken;
};

/* What there is of the transaction at hand; all of it goes with it. */
struct early_reading {
    struct ph_spool_stream *stream;
    struct ph_pgoutput *decoder;
    struct ph_fold *fold;         /* changes that were not sent */
    struct ph_change_notes notes; /* of them */
    struct ph_stream_event event;
    struct ph_xid_set aborted; /* subtransactions, as the messages have come */
    struct ph_xid_spans gone;  /* and all that must have been rolled back with them */
    uint32_t newest;           /* latest (sub)transaction of any change taken */
    uint64_t renamed;          /* announcements that took the place of others */
    struct early_point part;   /* before the fold's changes; its name is not used */
    struct early_point points[PH_EARLY_POINTS];
    uint32_t n_points;
    uint32_t named;       /* points so far */
    uint64_t spacing;     /* between points, in changes */
    uint64_t changes;     /* sent, and not taken back */
    uint64_t taken;       /* messages with changes, sent or not, and not taken back */
    bool went_back;       /* once or more */
    uint64_t wasted;      /* taken back */
    uint32_t back_to_xid; /* what is of this one or later has to go; 0: nothing has */
};

struct ph_early {
    struct ph_applier *applier;
    struct ph_apply_target target;
    bool is_connected;
    char pids[2][16]; /* of the sessions of the groups and of this; as the server says them */
    struct ph_buf scratch;
    struct ph_xid_set given_up; /* of this connection: they are applied at their commit */
    uint32_t xid;               /* whose blocks are looked at; 0: none */
    uint64_t session;
    uint64_t waiting;            /* blocks of it that were not read */
    struct ph_spool_place place; /* of the last of them */
    bool is_reading;
    bool is_open;     /* its transaction on the target is */
    bool has_yielded; /* and was rolled back: a group waited for it */
    bool has_failed;  /* the applier, whose error it is */
    uint32_t asked;   /* while the same group was under way */
    uint64_t asked_group;
    struct early_reading reading;
};

/* ---- apply_early.c ---- */

/* The transaction at hand is none any more: it is applied at its commit. */
void ph_early_give_up(struct ph_early *early, const char *why);
/*
 * What becomes of a failure: what concerns the changes or this session alone ends only the early
 * way, and when it was no fault of that it comes again at the commit. Others are the applier's.
 */
ph_code ph_early_failure(struct ph_early *early, ph_code rc, const struct ph_error *why,
                         struct ph_error *err);

/* ---- apply_early_send.c ---- */

void ph_early_disconnect(struct ph_early *early);
/* Its transaction on the target as if it had not been. */
void ph_early_roll_back(struct ph_early *early);
/* What was committed on the source before is applied, all of it. */
ph_code ph_early_settle(struct ph_early *early, struct ph_error *err);
/* Gives up when it had to yield meanwhile. */
void ph_early_take_yield(struct ph_early *early);
/*
 * The changes that are gathered, after all that was committed before. When it goes wrong there is
 * nothing at hand any more.
 */
ph_code ph_early_send_part(struct ph_early *early, struct ph_error *err);
ph_code ph_early_back_to_point(struct ph_early *early, const struct early_point *point,
                               struct ph_error *err);

/* ---- apply_early_read.c ---- */

ph_code ph_early_decode(struct ph_early *early, struct ph_span message, struct ph_error *err);
/*
 * All that lies before `until`, but what was taken back by the last of it, which a second call
 * reads. Failures of the changes end the early way.
 */
ph_code ph_early_read_on(struct ph_early *early, struct ph_spool_place until, struct ph_error *err);
/*
 * Whether as many changes were taken as lie before `until` and were not rolled back: asked where
 * the way went back and forth, before the commit. All was read up to there.
 */
ph_code ph_early_has_all(struct ph_early *early, struct ph_spool_place until, bool *has_all,
                         struct ph_error *err);

#endif
