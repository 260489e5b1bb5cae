/*
 * Frames read from one segment file through a window. One owner, one thread.
 */
#ifndef PH_SPOOL_SOURCE_H
#define PH_SPOOL_SOURCE_H

#include "base/error.h"
#include "wire/spool_frame.h"

/* How much is read ahead: of who hops from header to header, and of who wants the bodies. */
#define PH_SOURCE_HOP 4096u
#define PH_SOURCE_READ (256u << 10)

#define PH_SEGMENT_NAME_SIZE 24 /* sixteen hexadecimal digits, ".spool" and the terminator */

struct ph_frame_source {
    int fd;
    uint64_t number; /* segment */
    uint64_t key;
    uint32_t nonce;
    size_t ahead;
    uint8_t *window;
    size_t cap;
    size_t len;
    uint64_t at; /* file offset of the window */
};

/* Sortable by number. */
void ph_segment_name(uint64_t number, char out[PH_SEGMENT_NAME_SIZE]);
bool ph_segment_name_parse(const char *name, uint64_t *number);

/* `source` is empty: no file, no memory. */
void ph_frame_source_init(struct ph_frame_source *source, size_t ahead);
void ph_frame_source_free(struct ph_frame_source *source);
/* Go to another segment, which is opened for reading; *found false: it is not there. */
ph_code ph_frame_source_open(struct ph_frame_source *source, int dir_fd, uint64_t number,
                             bool *found, struct ph_error *err) PH_MUST_CHECK;
/*
 * `len` bytes at `offset`, not beyond `end`; *bytes NULL: there are less. They live until the next
 * call.
 */
ph_code ph_frame_source_fetch(struct ph_frame_source *source, uint64_t offset, size_t len,
                              uint64_t end, const uint8_t **bytes,
                              struct ph_error *err) PH_MUST_CHECK;
/* The header at `offset`; *found false: there is no frame of this segment that ends by `end`. */
ph_code ph_frame_source_header(struct ph_frame_source *source, uint64_t offset, uint64_t end,
                               struct ph_frame *frame, bool *found,
                               struct ph_error *err) PH_MUST_CHECK;
/* The body of the frame at `offset`, as it lies there. */
ph_code ph_frame_source_body(struct ph_frame_source *source, uint64_t offset,
                             const struct ph_frame *frame, struct ph_span *stored,
                             struct ph_error *err) PH_MUST_CHECK;
/* "segment N, byte OFFSET: …" */
ph_code ph_frame_source_damaged(const struct ph_frame_source *source, uint64_t offset,
                                const char *what, struct ph_error *err) PH_MUST_CHECK;

#endif
