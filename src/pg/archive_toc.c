/*
 * Decoder of pg_dump's custom format, header and table of contents (see archive_toc.h).
 *
 *   "PGDMP" major minor revision int_size offset_size format
 *   compression: 1.15 and later one byte, before an int
 *   7 ints (time of creation), strings: database, server version, pg_dump version
 *   int count, then per entry:
 *     int dump_id, int has_data, str class oid, str oid, str tag, str desc, int section,
 *     str definition, str drop, str copy, str schema, str tablespace, [1.14 str access method],
 *     [1.16 int relation kind], str owner, str with_oids, str dependency..., str NULL,
 *     offset of the data: one byte of state and offset_size bytes
 *   int: a sign byte and int_size bytes, least first; str: int length (-1 NULL), bytes
 */
#include "pg/archive_toc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES (64u << 20)
#define FORMAT_CUSTOM 1

struct reader {
    struct ph_cursor in;
    struct ph_arena *arena;
    uint8_t int_size;
    uint8_t offset_size;
    uint8_t minor;
    bool bad; /* ran out of bytes, or a length that cannot be */
    bool no_memory;
};

static int64_t
take_int(struct reader *reader)
{
    struct ph_span bytes;
    uint8_t sign = 0;
    uint64_t value = 0;

    if (!ph_take_u8(&reader->in, &sign) || !ph_take_span(&reader->in, reader->int_size, &bytes)) {
        reader->bad = true;
        return 0;
    }
    for (uint8_t i = 0; i < reader->int_size; i++)
        value |= (uint64_t)bytes.data[i] << (8 * i);
    if (value > INT32_MAX) {
        reader->bad = true;
        return 0;
    }
    return sign != 0 ? -(int64_t)value : (int64_t)value;
}

/* Bytes of a string; data NULL for SQL's NULL and after a failure. */
static struct ph_span
take_span(struct reader *reader)
{
    struct ph_span span = {NULL, 0};
    int64_t len = take_int(reader);

    if (reader->bad || len < 0)
        return span;
    if (!ph_take_span(&reader->in, (size_t)len, &span)) {
        reader->bad = true;
        span.data = NULL;
    }
    return span;
}

static const char *
take_string(struct reader *reader)
{
    struct ph_span span = take_span(reader);
    char *copy;

    if (span.data == NULL)
        return "";
    copy = ph_arena_strndup(reader->arena, (const char *)span.data, span.len);
    if (copy == NULL)
        reader->no_memory = true;
    return copy != NULL ? copy : "";
}

static uint32_t
number_of(struct ph_span span)
{
    char digits[16] = "";

    if (span.data == NULL || span.len >= sizeof digits)
        return 0;
    memcpy(digits, span.data, span.len);
    return (uint32_t)strtoul(digits, NULL, 10);
}

static void
take_dependencies(struct reader *reader, struct ph_toc_entry *entry)
{
    struct ph_cursor start = reader->in;
    uint32_t n = 0;
    uint32_t *deps;

    while (!reader->bad && take_span(reader).data != NULL)
        n++;
    if (reader->bad || n == 0)
        return;
    deps = PH_ARENA_ARRAY(reader->arena, uint32_t, n);
    if (deps == NULL) {
        reader->no_memory = true;
        return;
    }
    reader->in = start;
    for (uint32_t i = 0; i < n; i++)
        deps[i] = number_of(take_span(reader));
    (void)take_span(reader); /* the NULL that ends them */
    entry->deps = deps;
    entry->n_deps = n;
}

static void
take_entry(struct reader *reader, struct ph_toc_entry *entry)
{
    struct ph_span skipped;

    entry->dump_id = (uint32_t)take_int(reader);
    (void)take_int(reader);
    entry->class_oid = number_of(take_span(reader));
    entry->oid = number_of(take_span(reader));
    entry->tag = take_string(reader);
    entry->desc = take_string(reader);
    int64_t section = take_int(reader);
    if (section < PH_TOC_NONE || section > PH_TOC_POST_DATA) {
        reader->bad = true;
        return;
    }
    entry->section = (enum ph_toc_section)section;
    entry->definition = take_string(reader);
    (void)take_span(reader);
    (void)take_span(reader);
    entry->schema = take_string(reader);
    (void)take_span(reader);
    if (reader->minor >= 14)
        (void)take_span(reader);
    if (reader->minor >= 16)
        (void)take_int(reader);
    entry->owner = take_string(reader);
    (void)take_span(reader);
    take_dependencies(reader, entry);
    if (!ph_take_span(&reader->in, 1u + reader->offset_size, &skipped))
        reader->bad = true;
}

static ph_code
take_header(struct reader *reader, struct ph_error *err)
{
    struct ph_span magic;
    uint8_t major = 0;
    uint8_t revision = 0;
    uint8_t format = 0;
    uint8_t compression = 0;

    if (!ph_take_span(&reader->in, 5, &magic) || memcmp(magic.data, "PGDMP", 5) != 0 ||
        !ph_take_u8(&reader->in, &major) || !ph_take_u8(&reader->in, &reader->minor) ||
        !ph_take_u8(&reader->in, &revision) || !ph_take_u8(&reader->in, &reader->int_size) ||
        !ph_take_u8(&reader->in, &reader->offset_size) || !ph_take_u8(&reader->in, &format))
        return PH_FAIL(err, PH_E_PROTOCOL, "the file is no archive of pg_dump");
    if (major != 1 || reader->minor < 12 || reader->minor > 16)
        return PH_FAIL(err, PH_E_VERSION, "archive version %u.%u of pg_dump is not known",
                       (unsigned)major, (unsigned)reader->minor);
    if (format != FORMAT_CUSTOM || reader->int_size == 0 || reader->int_size > 8 ||
        reader->offset_size > 8)
        return PH_FAIL(err, PH_E_PROTOCOL, "the archive is not in custom format");
    if (reader->minor >= 15)
        reader->bad = !ph_take_u8(&reader->in, &compression);
    else
        (void)take_int(reader);
    for (int i = 0; i < 7; i++)
        (void)take_int(reader);
    return PH_OK;
}

ph_code
ph_toc_parse(struct ph_span in, struct ph_arena *arena, struct ph_toc *out, struct ph_error *err)
{
    struct reader reader = {.in = {in.data, in.data + in.len}, .arena = arena};

    *out = (struct ph_toc){0};
    PH_TRY(take_header(&reader, err));
    out->database = take_string(&reader);
    (void)take_span(&reader);
    (void)take_span(&reader);
    int64_t count = take_int(&reader);
    if (reader.bad || count < 0 || count > MAX_ENTRIES ||
        (uint64_t)count > ph_cursor_left(&reader.in))
        return PH_FAIL(err, PH_E_PROTOCOL, "the archive's header is cut off");
    out->entries = PH_ARENA_ARRAY(arena, struct ph_toc_entry, (size_t)count + 1);
    reader.no_memory = reader.no_memory || out->entries == NULL;
    for (int64_t i = 0; i < count && !reader.bad && !reader.no_memory; i++)
        take_entry(&reader, &out->entries[out->n_entries++]);
    if (reader.no_memory)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the archive's table of contents");
    if (reader.bad)
        return PH_FAIL(err, PH_E_PROTOCOL, "the archive is cut off in entry %u", out->n_entries);
    return PH_OK;
}
