/* Looking at a spool, and removing one, without having it open. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "spool/internal.h"

/* A spool in use may lose segments while they are looked at. */
#define LOOKS 3

/* *found false: there is no such directory. */
static ph_code
open_directory(const char *dir, int *fd, bool *found, struct ph_error *err)
{
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *found = *fd >= 0;
    if (*found || errno == ENOENT)
        return PH_OK;
    return ph_spool_disk_error("open the directory", dir, 0, err);
}

/* The id of a segment, for who asks of any spool. */
static ph_code
any_id(int dir_fd, struct ph_spool_id *id, struct ph_error *err)
{
    struct ph_segment_header header;
    uint64_t *numbers;
    uint64_t size;
    size_t n;
    bool valid = false;

    PH_TRY(ph_spool_list(dir_fd, &numbers, &n, err));
    ph_code rc = PH_OK;
    for (size_t i = 0; i < n && rc == PH_OK && !valid; i++) {
        rc = ph_spool_read_header(dir_fd, numbers[i], &header, &valid, &size, err);
        if (rc == PH_OK && valid)
            *id = header.id;
    }
    free(numbers);
    return rc;
}

static ph_code
look(const char *dir, const struct ph_spool_id *id, struct ph_spool_positions *out, bool *found,
     struct ph_error *err)
{
    struct ph_spool_params params = {.dir = dir, .mode = PH_SPOOL_OPEN};
    struct ph_spool *spool;

    PH_TRY(ph_spool_make(&params, &spool, err));
    ph_code rc = open_directory(dir, &spool->dir_fd, found, err);
    if (rc == PH_OK && *found) {
        if (id != NULL)
            spool->id = *id;
        else
            rc = any_id(spool->dir_fd, &spool->id, err);
        if (rc == PH_OK)
            rc = ph_spool_recover(spool, PH_RECOVER_LOOK, err);
        *found = spool->n_segments > 0;
    }
    ph_spool_fill_positions(spool, out);
    ph_spool_unmake(spool);
    return rc;
}

ph_code
ph_spool_inspect(const char *dir, const struct ph_spool_id *id, struct ph_spool_positions *out,
                 bool *found, struct ph_error *err)
{
    ph_code rc = PH_OK;

    for (int i = 0; i < LOOKS; i++) {
        ph_error_reset(err);
        rc = look(dir, id, out, found, err);
        if (rc != PH_E_SPOOL_DAMAGED && rc != PH_E_DISK)
            break;
    }
    if (rc != PH_OK)
        ph_error_object(err, "%s", dir);
    return rc;
}

static ph_code
check_owner(int dir_fd, const struct ph_spool_id *id, const uint64_t *numbers, size_t n,
            struct ph_error *err)
{
    struct ph_segment_header header;
    uint64_t size;
    bool valid;

    for (size_t i = 0; id != NULL && i < n; i++) {
        PH_TRY(ph_spool_read_header(dir_fd, numbers[i], &header, &valid, &size, err));
        if (valid && memcmp(&header.id, id, sizeof *id) != 0)
            return PH_FAIL(err, PH_E_SPOOL_OTHER, "the spool is another job's");
    }
    return PH_OK;
}

static ph_code
remove_files(int dir_fd, const struct ph_spool_id *id, uint64_t *removed, struct ph_error *err)
{
    uint64_t *numbers;
    size_t n;

    if (flock(dir_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return PH_FAIL(err, PH_E_JOB_RUNNING, "another process uses the spool");
    PH_TRY(ph_spool_list(dir_fd, &numbers, &n, err));
    ph_code rc = check_owner(dir_fd, id, numbers, n, err);
    for (size_t i = 0; i < n && rc == PH_OK; i++) {
        if (ph_spool_unlink(dir_fd, numbers[i]) != 0)
            rc = ph_spool_disk_error("remove a segment of", "the spool", 0, err);
        else
            (*removed)++;
    }
    if (rc == PH_OK)
        (void)unlinkat(dir_fd, PH_SPOOL_TEMPORARY, 0);
    free(numbers);
    return rc;
}

ph_code
ph_spool_remove(const char *dir, const struct ph_spool_id *id, uint64_t *removed,
                struct ph_error *err)
{
    bool found;
    int fd;

    *removed = 0;
    PH_TRY(open_directory(dir, &fd, &found, err));
    if (!found)
        return PH_OK;
    ph_code rc = remove_files(fd, id, removed, err);
    close(fd);
    if (rc == PH_OK && rmdir(dir) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        rc = ph_spool_disk_error("remove the directory", dir, 0, err);
    if (rc != PH_OK)
        ph_error_object(err, "%s", dir);
    return rc;
}
