/*
 * The book of announced tables. A slot per table holds all its versions, which one holds outside of
 * streamed transactions, and which inside each of them: a short list, since few transactions are
 * streamed at a time. Finding a table is one probe; commit and abort of a streamed transaction walk
 * all slots, which is nothing beside the transaction itself.
 */
#include "wire/stream_rels.h"

#include <stdlib.h>

#define FIRST_CAPACITY 64u
#define COLUMNS_MAX 1664u /* the server's own bound of a row, MaxTupleAttributeNumber */
#define COLUMN_IN_KEY 1u
#define COLUMN_BYTES_MIN ((size_t)10)

struct version {
    struct ph_stream_rel rel; /* names point into `body` */
    struct version *older;
    uint8_t *body; /* of the message, to know an equal one by */
    size_t body_len;
    struct ph_stream_column columns[];
};

struct holds {
    uint32_t top_xid; /* 0 for the one outside */
    uint64_t arrival;
    const struct ph_stream_rel *rel;
};

struct ph_stream_slot {
    ph_oid oid;
    uint32_t n_streams;
    uint32_t streams_capacity;
    struct version *versions;
    struct holds outside; /* rel NULL: nothing announced */
    struct holds *streams;
};

void
ph_stream_rels_init(struct ph_stream_rels *rels)
{
    *rels = (struct ph_stream_rels){0};
}

void
ph_stream_rels_reset(struct ph_stream_rels *rels)
{
    for (uint32_t i = 0; i < rels->capacity; i++) {
        struct version *version = rels->slots[i].versions;
        while (version != NULL) {
            struct version *older = version->older;
            free(version);
            version = older;
        }
        free(rels->slots[i].streams);
    }
    free(rels->slots);
    ph_stream_rels_init(rels);
}

/* The table's slot, or the free one where it belongs. There is always a free one. */
static struct ph_stream_slot *
probe(struct ph_stream_slot *slots, uint32_t capacity, ph_oid oid)
{
    uint32_t at = (uint32_t)(oid * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (capacity - 1);

    while (slots[at].oid != 0 && slots[at].oid != oid)
        at = (at + 1) & (capacity - 1);
    return &slots[at];
}

static bool
grow(struct ph_stream_rels *rels)
{
    uint32_t capacity = rels->capacity == 0 ? FIRST_CAPACITY : rels->capacity * 2;
    struct ph_stream_slot *slots = calloc(capacity, sizeof *slots);

    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < rels->capacity; i++) {
        if (rels->slots[i].oid != 0)
            *probe(slots, capacity, rels->slots[i].oid) = rels->slots[i];
    }
    free(rels->slots);
    rels->slots = slots;
    rels->capacity = capacity;
    return true;
}

static struct ph_stream_slot *
slot_for(struct ph_stream_rels *rels, ph_oid oid)
{
    if (rels->used >= rels->capacity / 2 && !grow(rels))
        return NULL;
    struct ph_stream_slot *slot = probe(rels->slots, rels->capacity, oid);
    if (slot->oid == 0) {
        slot->oid = oid;
        rels->used++;
    }
    return slot;
}

static bool
take_name(struct ph_cursor *in, const char **out)
{
    const uint8_t *end = memchr(in->at, 0, ph_cursor_left(in));

    if (end == NULL)
        return false;
    *out = (const char *)in->at;
    in->at = end + 1;
    return true;
}

/* All but the columns; leaves `in` at the first of them. */
static bool
take_head(struct ph_cursor *in, struct ph_stream_rel *rel)
{
    uint8_t identity;
    uint16_t n;

    if (!ph_take_u32(in, &rel->oid) || !take_name(in, &rel->schema) || !take_name(in, &rel->name) ||
        !ph_take_u8(in, &identity) || !ph_take_u16(in, &n))
        return false;
    if (rel->schema[0] == '\0')
        rel->schema = "pg_catalog";
    rel->replica_identity = (char)identity;
    rel->n_columns = n;
    return true;
}

static bool
take_columns(struct ph_cursor *in, struct ph_stream_column *columns, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint8_t flags;
        if (!ph_take_u8(in, &flags) || !take_name(in, &columns[i].name) ||
            !ph_take_u32(in, &columns[i].type_oid) || !ph_take_i32(in, &columns[i].typmod))
            return false;
        columns[i].in_key = (flags & COLUMN_IN_KEY) != 0;
    }
    return ph_cursor_left(in) == 0;
}

static ph_code
check_head(struct ph_span body, struct ph_stream_rel *rel, struct ph_error *err)
{
    struct ph_cursor in = ph_cursor_of(body.data, body.len);

    if (!take_head(&in, rel))
        return PH_FAIL(err, PH_E_PROTOCOL, "a Relation message ends too early");
    if (rel->oid == 0)
        return PH_FAIL(err, PH_E_PROTOCOL, "a Relation message is about no table");
    if (strchr("dnfi", rel->replica_identity) == NULL || rel->replica_identity == '\0')
        return PH_FAIL(err, PH_E_PROTOCOL, "a Relation message has replica identity 0x%02x",
                       (unsigned)(uint8_t)rel->replica_identity);
    if (rel->n_columns > COLUMNS_MAX || rel->n_columns * COLUMN_BYTES_MIN > ph_cursor_left(&in))
        return PH_FAIL(err, PH_E_PROTOCOL, "a Relation message has %u columns in %zu bytes",
                       rel->n_columns, ph_cursor_left(&in));
    return PH_OK;
}

static ph_code
make_version(struct ph_span body, uint32_t n_columns, struct version **out, struct ph_error *err)
{
    size_t head = sizeof **out + n_columns * sizeof(struct ph_stream_column);
    struct version *version = malloc(head + body.len);

    if (version == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    memset(version, 0, head);
    version->body = (uint8_t *)version + head;
    version->body_len = body.len;
    memcpy(version->body, body.data, body.len);
    struct ph_cursor in = ph_cursor_of(version->body, body.len);
    if (!take_head(&in, &version->rel) || !take_columns(&in, version->columns, n_columns)) {
        free(version);
        return PH_FAIL(err, PH_E_PROTOCOL, "a Relation message ends too early or too late");
    }
    version->rel.columns = version->columns;
    *out = version;
    return PH_OK;
}

static const struct ph_stream_rel *
known_version(const struct ph_stream_slot *slot, struct ph_span body)
{
    for (const struct version *v = slot->versions; v != NULL; v = v->older) {
        if (v->body_len == body.len && memcmp(v->body, body.data, body.len) == 0)
            return &v->rel;
    }
    return NULL;
}

/* Where that transaction's announcement of the table stands; NULL when there is none. */
static struct holds *
find_stream(const struct ph_stream_slot *slot, uint32_t top_xid)
{
    for (uint32_t i = 0; i < slot->n_streams; i++) {
        if (slot->streams[i].top_xid == top_xid)
            return &slot->streams[i];
    }
    return NULL;
}

/* The place for the announcement, with room made for it. */
static struct holds *
place_for(struct ph_stream_rels *rels, struct ph_stream_slot *slot, uint32_t top_xid)
{
    struct holds *place = top_xid == 0 ? &slot->outside : find_stream(slot, top_xid);

    if (place != NULL)
        return place;
    if (slot->n_streams == slot->streams_capacity) {
        uint32_t capacity = slot->streams_capacity == 0 ? 4 : slot->streams_capacity * 2;
        struct holds *streams = realloc(slot->streams, capacity * sizeof *streams);
        if (streams == NULL)
            return NULL;
        slot->streams = streams;
        slot->streams_capacity = capacity;
    }
    place = &slot->streams[slot->n_streams++];
    *place = (struct holds){.top_xid = top_xid};
    rels->streams++;
    return place;
}

ph_code
ph_stream_rels_announce(struct ph_stream_rels *rels, uint32_t top_xid, uint64_t arrival,
                        struct ph_span body, const struct ph_stream_rel **out, struct ph_error *err)
{
    struct ph_stream_rel head;
    struct version *made = NULL;

    PH_TRY(check_head(body, &head, err));
    struct ph_stream_slot *slot = slot_for(rels, head.oid);
    if (slot == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    const struct ph_stream_rel *rel = known_version(slot, body);
    if (rel == NULL) {
        PH_TRY(make_version(body, head.n_columns, &made, err));
        rel = &made->rel;
    }
    struct holds *place = place_for(rels, slot, top_xid);
    if (place == NULL) {
        free(made);
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    if (made != NULL) {
        made->older = slot->versions;
        slot->versions = made;
    }
    *place = (struct holds){top_xid, arrival, rel};
    if (rel->n_columns > rels->max_columns)
        rels->max_columns = rel->n_columns;
    *out = rel;
    return PH_OK;
}

const struct ph_stream_rel *
ph_stream_rels_find(const struct ph_stream_rels *rels, uint32_t top_xid, ph_oid oid)
{
    if (rels->capacity == 0 || oid == 0)
        return NULL;
    const struct ph_stream_slot *slot = probe(rels->slots, rels->capacity, oid);
    if (top_xid == 0)
        return slot->outside.rel;
    const struct holds *place = find_stream(slot, top_xid);
    return place == NULL ? NULL : place->rel;
}

/* Calls for each announcement made inside the transaction; they are gone afterwards. */
static void
end_stream(struct ph_stream_rels *rels, uint32_t top_xid,
           void (*each)(struct ph_stream_slot *slot, const struct holds *stream))
{
    for (uint32_t i = 0; i < rels->capacity && rels->streams > 0; i++) {
        struct ph_stream_slot *slot = &rels->slots[i];
        struct holds *stream = find_stream(slot, top_xid);
        if (stream == NULL)
            continue;
        if (each != NULL)
            each(slot, stream);
        *stream = slot->streams[--slot->n_streams];
        rels->streams--;
    }
}

static void
make_global(struct ph_stream_slot *slot, const struct holds *stream)
{
    if (slot->outside.rel == NULL || stream->arrival >= slot->outside.arrival)
        slot->outside = (struct holds){0, stream->arrival, stream->rel};
}

void
ph_stream_rels_commit(struct ph_stream_rels *rels, uint32_t top_xid)
{
    end_stream(rels, top_xid, make_global);
}

void
ph_stream_rels_abort(struct ph_stream_rels *rels, uint32_t top_xid)
{
    end_stream(rels, top_xid, NULL);
}

void
ph_stream_rels_forget(struct ph_stream_rels *rels)
{
    for (uint32_t i = 0; i < rels->capacity; i++) {
        rels->slots[i].n_streams = 0;
        rels->slots[i].outside.rel = NULL;
    }
    rels->streams = 0;
}
