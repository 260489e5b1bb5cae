#include "wire/copy_trim.h"

#include <string.h>

#include "base/bytes.h"

/* What is kept moves to the front, a run of bytes between two gaps at a time. */
struct runs {
    uint8_t *out;        /* where the next run goes */
    const uint8_t *from; /* where it begins */
};

static void
end_run(struct runs *runs, const uint8_t *to)
{
    size_t len = (size_t)(to - runs->from);

    if (runs->out != runs->from)
        memmove(runs->out, runs->from, len);
    runs->out += len;
    runs->from = to;
}

static size_t
without_blanks(const uint8_t *text, size_t len)
{
    static const uint8_t blanks[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

    while (len >= sizeof blanks && memcmp(text + len - sizeof blanks, blanks, sizeof blanks) == 0)
        len -= sizeof blanks;
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return len;
}

/* NULL when the bytes are no whole field. */
static uint8_t *
skip_field(uint8_t *at, const uint8_t *end, size_t *len)
{
    if (end - at < 4)
        return NULL;
    int32_t n = (int32_t)ph_load_u32(at);
    *len = n > 0 ? (size_t)n : 0;
    return (size_t)(end - at - 4) < *len ? NULL : at + 4 + *len;
}

/* Returns what follows the tuple; NULL at the trailer or when it is not whole. */
static uint8_t *
trim_tuple(const uint16_t *fields, uint32_t n_fields, uint8_t *at, const uint8_t *end,
           struct runs *runs)
{
    uint32_t count = end - at < 2 ? UINT16_MAX : ph_load_u16(at);
    uint32_t next = 0;

    if (count == UINT16_MAX)
        return NULL;
    at += 2;
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        uint8_t *behind = skip_field(at, end, &len);
        if (behind == NULL)
            return NULL;
        if (next < n_fields && fields[next] == i) {
            size_t kept = without_blanks(at + 4, len);
            next++;
            if (kept < len) {
                ph_store_u32(at, (uint32_t)kept);
                end_run(runs, at + 4 + kept);
                runs->from = behind;
            }
        }
        at = behind;
    }
    return at;
}

size_t
ph_copy_binary_trim(const uint16_t *fields, uint32_t n_fields, uint8_t *rows, size_t len)
{
    struct runs runs = {rows, rows};
    uint8_t *at = rows;

    while (at != NULL)
        at = trim_tuple(fields, n_fields, at, rows + len, &runs);
    end_run(&runs, rows + len);
    return (size_t)(runs.out - rows);
}
