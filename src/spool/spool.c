#include "spool/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "spool/internal.h"

#define SEGMENT_BYTES ((uint64_t)64 << 20)
#define FRAME_BYTES ((size_t)64 << 10)
/* So that one segment, which stays as long as it is written to, can not use up the limit. */
#define SEGMENTS_PER_LIMIT 4

struct ph_spool_id
ph_spool_id_of(const char *token)
{
    XXH128_canonical_t canonical;
    struct ph_spool_id id;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(token, strlen(token)));
    memcpy(id.bytes, canonical.digest, sizeof id.bytes);
    return id;
}

static ph_code
init_locks(struct ph_spool *spool, struct ph_error *err)
{
    pthread_condattr_t attr;

    if (pthread_condattr_init(&attr) != 0)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the spool");
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&spool->sync_lock, NULL);
    pthread_mutex_init(&spool->prune_lock, NULL);
    pthread_mutex_init(&spool->lock, NULL);
    pthread_cond_init(&spool->changed, &attr);
    pthread_condattr_destroy(&attr);
    return PH_OK;
}

static uint64_t
segment_bytes(const struct ph_spool_params *params)
{
    uint64_t bytes = params->segment_bytes > 0 ? params->segment_bytes : SEGMENT_BYTES;
    uint64_t most = params->limit_bytes / SEGMENTS_PER_LIMIT;

    return params->limit_bytes > 0 && bytes > most ? most : bytes;
}

ph_code
ph_spool_make(const struct ph_spool_params *params, struct ph_spool **out, struct ph_error *err)
{
    struct ph_spool *spool = calloc(1, sizeof *spool);
    const size_t most = PH_FRAME_RAW_MAX - PH_SPOOL_MESSAGE_PREFIX;

    if (spool == NULL || init_locks(spool, err) != PH_OK) {
        free(spool);
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the spool");
    }
    spool->dir_fd = -1;
    spool->id = params->id;
    spool->limit_bytes = params->limit_bytes;
    spool->segment_bytes = segment_bytes(params);
    spool->frame_bytes = params->frame_bytes > 0 ? params->frame_bytes : FRAME_BYTES;
    spool->message_bytes =
        params->message_bytes > 0 && params->message_bytes < most ? params->message_bytes : most;
    ph_streams_init(&spool->streams);
    ph_spool_packer_init(&spool->packer, params->packing);
    ph_buf_init(&spool->gathered, PH_FRAME_RAW_MAX);
    ph_buf_init(&spool->frame_out, SIZE_MAX / 2);
    ph_buf_init(&spool->head_out, SIZE_MAX / 2);
    spool->dir = strdup(params->dir);
    *out = spool;
    if (spool->dir != NULL && ph_buf_reserve(&spool->gathered, spool->frame_bytes))
        return PH_OK;
    ph_spool_unmake(spool);
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the spool");
}

void
ph_spool_unmake(struct ph_spool *spool)
{
    for (size_t i = 0; i < spool->n_segments; i++) {
        if (spool->segments[i].fd >= 0)
            close(spool->segments[i].fd);
    }
    free(spool->segments);
    ph_streams_free(&spool->streams);
    ph_schema_clear(&spool->schema);
    ph_spool_packer_free(&spool->packer);
    ph_buf_free(&spool->gathered);
    ph_buf_free(&spool->frame_out);
    ph_buf_free(&spool->head_out);
    pthread_cond_destroy(&spool->changed);
    pthread_mutex_destroy(&spool->lock);
    pthread_mutex_destroy(&spool->prune_lock);
    pthread_mutex_destroy(&spool->sync_lock);
    if (spool->dir_fd >= 0)
        close(spool->dir_fd);
    free(spool->dir);
    free(spool);
}

ph_code
ph_spool_check_poison(const struct ph_spool *spool, struct ph_error *err)
{
    if (!spool->poisoned)
        return PH_OK;
    return PH_FAIL(err, PH_E_DISK, "the spool in %s could not be synced before; it is not used on",
                   spool->dir);
}

bool
ph_spool_wait(struct ph_spool *spool, uint64_t deadline_ns)
{
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                             .tv_nsec = (long)(deadline_ns % 1000000000u)};

    return pthread_cond_timedwait(&spool->changed, &spool->lock, &until) != ETIMEDOUT;
}

/* The directory, made when it is to be; held against other processes as long as it is open. */
static ph_code
open_directory(struct ph_spool *spool, enum ph_spool_mode mode, struct ph_error *err)
{
    if (mode == PH_SPOOL_CREATE && mkdir(spool->dir, S_IRWXU) != 0 && errno != EEXIST)
        return ph_spool_disk_error("make the directory", spool->dir, 0, err);
    spool->dir_fd = open(spool->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (spool->dir_fd < 0 && errno == ENOENT)
        return PH_FAIL(err, PH_E_GAP, "there is no spool in %s", spool->dir);
    if (spool->dir_fd < 0)
        return ph_spool_disk_error("open the directory", spool->dir, 0, err);
    /* Rows lie in it: not for others, whoever made it. */
    if (mode == PH_SPOOL_CREATE && fchmod(spool->dir_fd, S_IRWXU) != 0)
        return ph_spool_disk_error("close to others", spool->dir, 0, err);
    if (flock(spool->dir_fd, LOCK_EX | LOCK_NB) == 0)
        return PH_OK;
    if (errno == EWOULDBLOCK)
        return PH_FAIL(err, PH_E_JOB_RUNNING, "another process uses the spool in %s", spool->dir);
    return ph_spool_disk_error("lock", spool->dir, 0, err);
}

/* The entry of the directory itself is durable, too. */
static ph_code
sync_parent(const struct ph_spool *spool, struct ph_error *err)
{
    int fd = openat(spool->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;

    if (fd >= 0)
        close(fd);
    /* One that we may not read is not ours to sync. */
    if (rc == 0 || errno == EACCES)
        return PH_OK;
    return ph_spool_disk_error("sync the directory of", spool->dir, 0, err);
}

/*
 * Who was killed while it made the first segment leaves a file without a whole header. Nothing was
 * received yet then.
 */
static ph_code
clear_stillborn(struct ph_spool *spool, const uint64_t *numbers, size_t n, struct ph_error *err)
{
    struct ph_segment_header header;
    uint64_t size = 0;
    bool valid = false;

    if (n == 0)
        return PH_OK;
    if (n == 1)
        PH_TRY(ph_spool_read_header(spool->dir_fd, numbers[0], &header, &valid, &size, err));
    if (n > 1 || valid || size >= PH_SEGMENT_HEADER_SIZE)
        return PH_FAIL(err, PH_E_SPOOL_OTHER, "%s holds a spool already", spool->dir);
    return ph_spool_unlink(spool->dir_fd, numbers[0]) == 0
               ? PH_OK
               : ph_spool_disk_error("remove half a segment of", spool->dir, 0, err);
}

static ph_code
create(struct ph_spool *spool, ph_lsn begin, struct ph_error *err)
{
    uint64_t *numbers;
    size_t n;

    PH_TRY(ph_spool_list(spool->dir_fd, &numbers, &n, err));
    ph_code rc = clear_stillborn(spool, numbers, n, err);
    free(numbers);
    PH_TRY(rc);
    PH_TRY(sync_parent(spool, err));
    spool->written = spool->taken = begin;
    PH_TRY(ph_spool_begin_segment(spool, PH_START_SESSION, NULL, err));
    return ph_spool_sync_all(spool, err);
}

static ph_code
reopen(struct ph_spool *spool, struct ph_error *err)
{
    PH_TRY(ph_spool_recover(spool, PH_RECOVER_CUT, err));
    if (spool->n_segments == 0)
        return PH_FAIL(err, PH_E_GAP, "there is no spool in %s", spool->dir);
    spool->taken = spool->written;
    return PH_OK;
}

ph_code
ph_spool_open(const struct ph_spool_params *params, struct ph_spool **out, struct ph_error *err)
{
    struct ph_spool *spool;

    *out = NULL;
    PH_TRY(ph_spool_make(params, &spool, err));
    ph_code rc = open_directory(spool, params->mode, err);
    if (rc == PH_OK)
        rc = params->mode == PH_SPOOL_CREATE ? create(spool, params->begin, err)
                                             : reopen(spool, err);
    if (rc == PH_OK) {
        *out = spool;
        return PH_OK;
    }
    ph_error_object(err, "%s", params->dir);
    ph_spool_unmake(spool);
    return rc;
}

/*
 * A clean end leaves a mark that says that all is durable: then no damage, not even of the last
 * frame, looks like a torn tail.
 */
static void
leave_mark(struct ph_spool *spool)
{
    struct ph_frame frame = {.type = PH_FRAME_MARK};

    if (spool->poisoned || ph_spool_last_segment(spool)->fd < 0)
        return;
    if (ph_spool_sync_all(spool, NULL) == PH_OK &&
        ph_spool_write_frame(spool, &frame, (struct ph_span){(const uint8_t *)"", 0}, NULL) ==
            PH_OK)
        (void)!ph_spool_sync_all(spool, NULL);
}

void
ph_spool_close(struct ph_spool *spool)
{
    if (spool == NULL)
        return;
    leave_mark(spool);
    ph_spool_unmake(spool);
}

static bool
same_source(const struct ph_spool_session *a, const struct ph_spool_session *b)
{
    return a->system_id == b->system_id && strcmp(a->database, b->database) == 0 &&
           strcmp(a->slot, b->slot) == 0 && strcmp(a->publication, b->publication) == 0;
}

static ph_code
check_session(const struct ph_spool *spool, const struct ph_spool_session *session,
              struct ph_error *err)
{
    const struct ph_spool_session *last = &spool->session;

    if (session->start < spool->written)
        return PH_FAIL(err, PH_E_INTERNAL, "a session starts before the end of the spool");
    if (last->number == 0)
        return PH_OK;
    if (!same_source(last, session))
        return PH_FAIL(err, PH_E_SPOOL_OTHER,
                       "the spool in %s is of another source, database, slot or publication",
                       spool->dir);
    if (last->timeline != session->timeline && session->timeline_switch < spool->durable)
        return PH_FAIL(err, PH_E_GAP,
                       "the source is on timeline %u, the spool on %u: what it has may not have "
                       "happened there",
                       (unsigned)session->timeline, (unsigned)last->timeline);
    return PH_OK;
}

ph_code
ph_spool_end_session(struct ph_spool *spool, struct ph_error *err)
{
    ph_buf_clear(&spool->gathered);
    ph_schema_clear(&spool->schema);
    spool->in_txn = false;
    spool->in_session = false;
    spool->taken = spool->written;
    return ph_spool_sync_all(spool, err);
}

/* What was before the last segment counts no longer. */
static ph_code
drop_before_last(struct ph_spool *spool, struct ph_error *err)
{
    int failed = 0;

    pthread_mutex_lock(&spool->prune_lock);
    ph_code rc = ph_spool_sync_all(spool, err);
    pthread_mutex_lock(&spool->lock);
    size_t last = rc == PH_OK ? spool->n_segments - 1 : 0;
    for (size_t i = 0; i < last; i++) {
        failed |= ph_spool_unlink(spool->dir_fd, spool->segments[i].number);
        if (spool->segments[i].fd >= 0)
            close(spool->segments[i].fd);
    }
    if (rc == PH_OK) {
        spool->segments[0] = spool->segments[last];
        spool->n_segments = 1;
        spool->bytes = spool->segments[0].size;
        ph_streams_free(&spool->streams);
    }
    pthread_mutex_unlock(&spool->lock);
    pthread_mutex_unlock(&spool->prune_lock);
    /* What is left is dropped by the next opening: the segment says so. */
    if (failed != 0)
        return ph_spool_disk_error("remove segments of", spool->dir, 0, err);
    return rc;
}

ph_code
ph_spool_begin_session(struct ph_spool *spool, struct ph_spool_session *session,
                       struct ph_error *err)
{
    bool restart = session->start > spool->written;

    if (spool->in_session || spool->gathered.len > 0)
        return PH_FAIL(err, PH_E_INTERNAL, "the session before was not ended");
    PH_TRY(check_session(spool, session, err));
    session->number = spool->session.number + 1;
    PH_TRY(
        ph_spool_begin_segment(spool, restart ? PH_START_RESTART : PH_START_SESSION, session, err));
    pthread_mutex_lock(&spool->lock);
    spool->session = *session;
    pthread_mutex_unlock(&spool->lock);
    spool->taken = session->start;
    spool->in_session = true;
    return restart ? drop_before_last(spool, err) : PH_OK;
}

bool
ph_spool_last_session(struct ph_spool *spool, struct ph_spool_session *session)
{
    pthread_mutex_lock(&spool->lock);
    *session = spool->session;
    pthread_mutex_unlock(&spool->lock);
    return session->number > 0;
}

void
ph_spool_leave_sessions(struct ph_spool *spool)
{
    pthread_mutex_lock(&spool->lock);
    spool->left_to = spool->session.number;
    pthread_mutex_unlock(&spool->lock);
}

void
ph_spool_get_positions(struct ph_spool *spool, struct ph_spool_positions *out)
{
    pthread_mutex_lock(&spool->lock);
    ph_spool_fill_positions(spool, out);
    pthread_mutex_unlock(&spool->lock);
}
