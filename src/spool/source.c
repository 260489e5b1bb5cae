#include "spool/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_DIGITS 16

void
ph_segment_name(uint64_t number, char out[PH_SEGMENT_NAME_SIZE])
{
    snprintf(out, PH_SEGMENT_NAME_SIZE, "%016" PRIx64 ".spool", number);
}

bool
ph_segment_name_parse(const char *name, uint64_t *number)
{
    char again[PH_SEGMENT_NAME_SIZE];

    if (strlen(name) != PH_SEGMENT_NAME_SIZE - 2 || strspn(name, "0123456789abcdef") < NAME_DIGITS)
        return false;
    *number = strtoull(name, NULL, 16);
    ph_segment_name(*number, again);
    return *number > 0 && strcmp(again, name) == 0;
}

void
ph_frame_source_init(struct ph_frame_source *source, size_t ahead)
{
    *source = (struct ph_frame_source){.fd = -1, .ahead = ahead};
}

void
ph_frame_source_free(struct ph_frame_source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    free(source->window);
    ph_frame_source_init(source, source->ahead);
}

ph_code
ph_frame_source_open(struct ph_frame_source *source, int dir_fd, uint64_t number, bool *found,
                     struct ph_error *err)
{
    char name[PH_SEGMENT_NAME_SIZE];

    if (source->fd >= 0)
        close(source->fd);
    ph_segment_name(number, name);
    source->fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    source->number = number;
    source->len = 0;
    *found = source->fd >= 0;
    if (*found || errno == ENOENT)
        return PH_OK;
    return PH_FAIL(err, PH_E_DISK, "cannot open segment %s of the spool: %s", name,
                   strerror(errno));
}

/* Room for `len` bytes; a window that a large frame made is given back. */
static bool
fit_window(struct ph_frame_source *source, size_t len)
{
    size_t want = len > source->ahead ? len : source->ahead;

    if (source->window != NULL && source->cap >= len && source->cap <= 4 * source->ahead)
        return true;
    if (source->window != NULL && source->cap == want)
        return true;
    free(source->window);
    source->window = malloc(want);
    source->cap = source->window != NULL ? want : 0;
    return source->window != NULL;
}

static ph_code
fill(struct ph_frame_source *source, uint64_t offset, size_t len, struct ph_error *err)
{
    source->at = offset;
    source->len = 0;
    while (source->len < len) {
        ssize_t n = pread(source->fd, source->window + source->len, len - source->len,
                          (off_t)(offset + source->len));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return PH_FAIL(err, PH_E_DISK, "cannot read segment %" PRIu64 " of the spool: %s",
                           source->number, strerror(errno));
        if (n == 0)
            break;
        source->len += (size_t)n;
    }
    return PH_OK;
}

ph_code
ph_frame_source_fetch(struct ph_frame_source *source, uint64_t offset, size_t len, uint64_t end,
                      const uint8_t **bytes, struct ph_error *err)
{
    *bytes = NULL;
    if (offset > end || end - offset < len)
        return PH_OK;
    if (source->len == 0 || offset < source->at || offset - source->at > source->len ||
        source->len - (offset - source->at) < len) {
        uint64_t left = end - offset;

        if (!fit_window(source, len))
            return PH_FAIL(err, PH_E_MEMORY, "no memory for %zu bytes of the spool", len);
        PH_TRY(fill(source, offset, left < source->cap ? (size_t)left : source->cap, err));
    }
    if (source->len - (offset - source->at) >= len)
        *bytes = source->window + (offset - source->at);
    return PH_OK;
}

ph_code
ph_frame_source_header(struct ph_frame_source *source, uint64_t offset, uint64_t end,
                       struct ph_frame *frame, bool *found, struct ph_error *err)
{
    const uint8_t *bytes;

    PH_TRY(ph_frame_source_fetch(source, offset, PH_FRAME_HEADER_SIZE, end, &bytes, err));
    *found = bytes != NULL && ph_frame_decode(bytes, source->key, offset, frame) &&
             frame->nonce == source->nonce && ph_frame_size(frame) <= end - offset;
    return PH_OK;
}

ph_code
ph_frame_source_body(struct ph_frame_source *source, uint64_t offset, const struct ph_frame *frame,
                     struct ph_span *stored, struct ph_error *err)
{
    const uint8_t *bytes;
    uint64_t end = offset + ph_frame_size(frame);

    /* The window may read on to `end` of the file in vain; what is behind this frame is asked for
     * by its own header. */
    PH_TRY(ph_frame_source_fetch(source, offset + PH_FRAME_HEADER_SIZE, frame->stored_len, end,
                                 &bytes, err));
    if (bytes == NULL)
        return ph_frame_source_damaged(source, offset, "the file ends inside a frame", err);
    *stored = (struct ph_span){bytes, frame->stored_len};
    return PH_OK;
}

ph_code
ph_frame_source_damaged(const struct ph_frame_source *source, uint64_t offset, const char *what,
                        struct ph_error *err)
{
    return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "spool segment %" PRIu64 ", byte %" PRIu64 ": %s",
                   source->number, offset, what);
}
