#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool/internal.h"

ph_code
ph_spool_disk_error(const char *doing, const char *what, uint64_t bytes, struct ph_error *err)
{
    int error = errno;

    /* EFBIG: the limit of the process on file sizes. */
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        return PH_FAIL(err, PH_E_DISK_FULL, "cannot %s %s: %s; %" PRIu64 " bytes are needed", doing,
                       what, strerror(error), bytes);
    return PH_FAIL(err, PH_E_DISK, "cannot %s %s: %s", doing, what, strerror(error));
}

static int
by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static bool
add_number(uint64_t **numbers, size_t *n, uint64_t number)
{
    /* Room doubles at each power of two. */
    if ((*n & (*n - 1)) == 0) {
        void *more = realloc(*numbers, (*n == 0 ? 1 : *n * 2) * sizeof **numbers);

        if (more == NULL)
            return false;
        *numbers = more;
    }
    (*numbers)[(*n)++] = number;
    return true;
}

ph_code
ph_spool_list(int dir_fd, uint64_t **numbers, size_t *n, struct ph_error *err)
{
    /* A descriptor of its own, since a directory's offset is shared by duplicates. */
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    ph_code rc = PH_OK;
    uint64_t number;

    *numbers = NULL;
    *n = 0;
    if (dir == NULL) {
        rc = PH_FAIL(err, PH_E_DISK, "cannot read the spool's directory: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL && rc == PH_OK;
         entry = readdir(dir)) {
        if (ph_segment_name_parse(entry->d_name, &number) && !add_number(numbers, n, number))
            rc = PH_FAIL(err, PH_E_MEMORY, "no memory for the list of segments");
    }
    closedir(dir);
    if (rc == PH_OK && *n > 1)
        qsort(*numbers, *n, sizeof **numbers, by_number);
    if (rc != PH_OK) {
        free(*numbers);
        *numbers = NULL;
    }
    return rc;
}

int
ph_spool_unlink(int dir_fd, uint64_t number)
{
    char name[PH_SEGMENT_NAME_SIZE];

    ph_segment_name(number, name);
    return unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT ? 0 : -1;
}

ph_code
ph_spool_sync_directory(int dir_fd, struct ph_error *err)
{
    if (fsync(dir_fd) == 0)
        return PH_OK;
    return PH_FAIL(err, PH_E_DISK, "cannot sync the spool's directory: %s", strerror(errno));
}

ph_code
ph_spool_read_header(int dir_fd, uint64_t number, struct ph_segment_header *header, bool *valid,
                     uint64_t *file_size, struct ph_error *err)
{
    uint8_t bytes[PH_SEGMENT_HEADER_SIZE];
    char name[PH_SEGMENT_NAME_SIZE];
    struct stat st;

    ph_segment_name(number, name);
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return ph_spool_disk_error("open", name, 0, err);
    ssize_t len = pread(fd, bytes, sizeof bytes, 0);
    int rc = fstat(fd, &st);
    int error = errno;
    close(fd);
    errno = error;
    if (len < 0 || rc != 0)
        return ph_spool_disk_error("read", name, 0, err);
    *file_size = (uint64_t)st.st_size;
    *valid = (size_t)len == sizeof bytes && ph_segment_header_decode(bytes, header) &&
             header->number == number;
    return PH_OK;
}
