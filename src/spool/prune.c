/*
 * Segments without use go away: whole from the front; behind one that must stay (a streamed
 * transaction has frames in it) they are made hollow, a header alone, so that the chain of numbers
 * has no holes and a missing segment is seen as what it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "spool/internal.h"

static void
free_streams(struct ph_spool *spool, ph_lsn applied)
{
    for (struct ph_stream *stream = ph_streams_take_done(&spool->streams, applied, spool->passed);
         stream != NULL; stream = ph_streams_take_done(&spool->streams, applied, spool->passed)) {
        uint64_t number = 0;

        for (uint32_t i = 0; i < stream->n_extents; i++) {
            struct ph_segment *segment = ph_spool_find_segment(spool, stream->extents[i].segment);

            if (segment != NULL && segment->number != number)
                segment->streams--;
            number = stream->extents[i].segment;
        }
        ph_stream_free(stream);
    }
}

/* The last one stays: it says where the spool ends. */
static bool
is_useless(const struct ph_spool *spool, size_t i, ph_lsn applied)
{
    const struct ph_segment *segment = &spool->segments[i];

    return i + 1 < spool->n_segments && segment->streams == 0 && segment->in_directory &&
           segment->synced == segment->size && segment->needed_to <= applied;
}

/*
 * Take the next segment without use from the readers; they pass it over from now on. Those that are
 * to become hollow come after `from`; 0: only the very first one is asked for. false: there is
 * none.
 */
static bool
claim(struct ph_spool *spool, uint64_t from, ph_lsn applied, struct ph_segment *claimed)
{
    size_t i = 0;

    pthread_mutex_lock(&spool->lock);
    while (from > 0 && i < spool->n_segments &&
           (spool->segments[i].number <= from || spool->segments[i].hollow ||
            !is_useless(spool, i, applied)))
        i++;
    bool found = i < spool->n_segments && is_useless(spool, i, applied);
    if (found) {
        *claimed = spool->segments[i];
        spool->segments[i].hollow = true;
    }
    pthread_mutex_unlock(&spool->lock);
    return found;
}

static ph_code
remove_front(struct ph_spool *spool, ph_lsn applied, struct ph_error *err)
{
    struct ph_segment segment;

    while (claim(spool, 0, applied, &segment)) {
        if (ph_spool_unlink(spool->dir_fd, segment.number) != 0)
            return ph_spool_disk_error("remove a segment of", spool->dir, 0, err);
        pthread_mutex_lock(&spool->lock);
        spool->bytes -= segment.size;
        spool->n_segments--;
        memmove(spool->segments, spool->segments + 1, spool->n_segments * sizeof *spool->segments);
        pthread_mutex_unlock(&spool->lock);
        PH_FAILPOINT(spool_pruned_one);
    }
    return PH_OK;
}

static int
write_hollow(const struct ph_spool *spool, const uint8_t header[PH_SEGMENT_HEADER_SIZE])
{
    int fd = openat(spool->dir_fd, PH_SPOOL_TEMPORARY,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return -1;
    bool done = pwrite(fd, header, PH_SEGMENT_HEADER_SIZE, 0) == (ssize_t)PH_SEGMENT_HEADER_SIZE &&
                fsync(fd) == 0;
    return close(fd) == 0 && done ? 0 : -1;
}

/* In the directory. */
static ph_code
replace_file(const struct ph_spool *spool, uint64_t number, struct ph_error *err)
{
    struct ph_segment_header header;
    uint8_t bytes[PH_SEGMENT_HEADER_SIZE];
    char name[PH_SEGMENT_NAME_SIZE];
    uint64_t size;
    bool valid;

    PH_TRY(ph_spool_read_header(spool->dir_fd, number, &header, &valid, &size, err));
    if (!valid)
        return PH_FAIL(err, PH_E_SPOOL_DAMAGED, "segment %" PRIu64 " of the spool has no header",
                       number);
    header.flags |= PH_SEGMENT_HOLLOW;
    ph_segment_header_encode(&header, bytes);
    ph_segment_name(number, name);
    if (write_hollow(spool, bytes) != 0 ||
        renameat(spool->dir_fd, PH_SPOOL_TEMPORARY, spool->dir_fd, name) != 0)
        return ph_spool_disk_error("empty a segment of", spool->dir, PH_SEGMENT_HEADER_SIZE, err);
    return PH_OK;
}

static ph_code
make_hollow(struct ph_spool *spool, const struct ph_segment *claimed, struct ph_error *err)
{
    ph_code rc = replace_file(spool, claimed->number, err);

    pthread_mutex_lock(&spool->lock);
    struct ph_segment *segment = ph_spool_find_segment(spool, claimed->number);
    segment->hollow = rc == PH_OK;
    if (rc == PH_OK) {
        spool->bytes -= segment->size - PH_SEGMENT_HEADER_SIZE;
        segment->size = segment->synced = PH_SEGMENT_HEADER_SIZE;
    }
    pthread_mutex_unlock(&spool->lock);
    PH_FAILPOINT(spool_hollowed_one);
    return rc;
}

/* Files are removed and replaced outside of the lock, since that may take long. */
static ph_code
prune(struct ph_spool *spool, ph_lsn applied, struct ph_error *err)
{
    struct ph_segment segment;
    uint64_t from;

    PH_TRY(remove_front(spool, applied, err));
    pthread_mutex_lock(&spool->lock);
    from = spool->segments[0].number;
    pthread_mutex_unlock(&spool->lock);
    while (claim(spool, from, applied, &segment)) {
        PH_TRY(make_hollow(spool, &segment, err));
        from = segment.number;
    }
    return PH_OK;
}

ph_code
ph_spool_prune(struct ph_spool *spool, ph_lsn applied, struct ph_error *err)
{
    pthread_mutex_lock(&spool->prune_lock);
    pthread_mutex_lock(&spool->lock);
    ph_code rc = ph_spool_check_poison(spool, err);
    /* What the next opening may have to begin with must be on disk. */
    if (applied > spool->durable)
        applied = spool->durable;
    if (rc == PH_OK)
        free_streams(spool, applied);
    pthread_mutex_unlock(&spool->lock);
    if (rc == PH_OK)
        rc = prune(spool, applied, err);
    pthread_mutex_unlock(&spool->prune_lock);
    return rc;
}

void
ph_spool_has_passed(struct ph_spool *spool, struct ph_spool_place place)
{
    pthread_mutex_lock(&spool->lock);
    if (ph_spool_place_before(spool->passed, place))
        spool->passed = place;
    pthread_mutex_unlock(&spool->lock);
}
