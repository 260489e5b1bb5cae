/*
 * Bodies of spool frames, packed and unpacked, with LZ4 or zstd. A body that gets no smaller is
 * kept as it is. See spool_frame.h for the format.
 *
 * A packer belongs to one thread at a time.
 */
#ifndef PH_WIRE_SPOOL_PACK_H
#define PH_WIRE_SPOOL_PACK_H

#include "base/buf.h"
#include "base/error.h"
#include "wire/spool_frame.h"

struct ph_spool_packer {
    enum ph_spool_packing packing;
    void *lz4;  /* working memory; NULL until needed */
    void *zstd; /* a compression context */
    void *unzstd;
};

/* No memory is taken until it is needed. `packing` is what ph_frame_build packs with. */
void ph_spool_packer_init(struct ph_spool_packer *packer, enum ph_spool_packing packing);
void ph_spool_packer_free(struct ph_spool_packer *packer);

/*
 * Put the whole frame, header and body, into `out` (cleared before). Sets the frame's packing,
 * lengths and body checksum; all else is the caller's. `raw` may not lie in `out`.
 * PH_E_MEMORY; PH_E_ROW_TOO_LARGE: raw is over PH_FRAME_RAW_MAX.
 */
ph_code ph_frame_build(struct ph_spool_packer *packer, struct ph_frame *frame, uint64_t key,
                       uint64_t offset, struct ph_span raw, struct ph_buf *out,
                       struct ph_error *err) PH_MUST_CHECK;

/*
 * Check the body against the frame's checksum and give it as it was. `*raw` lies in `out` (cleared
 * before), or is `stored` itself when it was not packed. PH_E_SPOOL_DAMAGED; PH_E_MEMORY.
 */
ph_code ph_frame_unpack(struct ph_spool_packer *packer, const struct ph_frame *frame,
                        struct ph_span stored, struct ph_buf *out, struct ph_span *raw,
                        struct ph_error *err) PH_MUST_CHECK;

#endif
