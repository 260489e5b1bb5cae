/*
 * Input: length of the archive (4 bytes, big-endian), the archive, the script that goes with it.
 * Whatever the bytes, entries stay within the script and are found by their ids.
 */
#include <stdlib.h>
#include <string.h>

#include "pg/archive_script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define LIMIT_BYTES ((size_t)1 << 26)

static void
check_entries(const struct ph_archive *archive)
{
    const char *start = (const char *)archive->script.data;

    for (uint32_t i = 0; i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];
        bool inside = entry->sql >= start && entry->sql <= start + archive->script.len;

        if (entry->sql[0] != '\0' && !inside)
            abort();
        if (ph_archive_find(archive, entry->dump_id) == NULL)
            abort();
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ph_archive archive = {.n_entries = 0};
    struct ph_arena scratch;
    struct ph_toc toc;
    size_t toc_len;

    if (len < 4)
        return 0;
    toc_len = ph_load_u32(data) % (len - 3);
    ph_arena_init(&scratch, LIMIT_BYTES);
    ph_arena_init(&archive.arena, LIMIT_BYTES);
    ph_buf_init(&archive.script, LIMIT_BYTES);
    ph_buf_append(&archive.script, data + 4 + toc_len, len - 4 - toc_len);
    if (ph_toc_parse((struct ph_span){data + 4, toc_len}, &scratch, &toc, NULL) == PH_OK &&
        ph_archive_split(&archive, &toc, NULL) == PH_OK) {
        ph_arena_reset(&scratch);
        check_entries(&archive);
    }
    ph_arena_reset(&scratch);
    ph_archive_reset(&archive);
    return 0;
}
