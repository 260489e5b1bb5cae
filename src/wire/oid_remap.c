/*
 * A program is a tree per column: what to rewrite here, and what may lie inside. Types without
 * anything to rewrite have no node at all, so an array of a mere enum costs its header and not a
 * walk over its elements, unless it says that some are NULL. Depth is bounded when it is compiled,
 * so applying may recurse.
 *
 * Every OID is compared with what the source's catalog said before it is replaced: bytes that are
 * not what was planned for end the copy, they are not guessed at.
 */
#include "wire/oid_remap.h"

#include <stdbool.h>

#include "base/bytes.h"
#include "model/type_match.h"

#define ARRAY_MAX_DIMENSIONS 6u /* MAXDIM of every server */
#define NULL_LENGTH (-1)

enum kind { ARRAY, RECORD, RANGE, MULTIRANGE };

/* An embedded OID, and what its value holds in turn (NULL: nothing to rewrite). */
struct slot {
    ph_oid from;
    ph_oid to;
    const struct node *inside;
};

struct node {
    enum kind kind;
    const struct slot *slots; /* ARRAY: the element; RECORD: the live attributes; RANGE: the bound
                                 and MULTIRANGE: the range, both without an OID of their own */
    uint32_t n_slots;
};

struct ph_oid_remap {
    const struct node *const *fields; /* NULL: passes */
    uint32_t n_fields;
};

struct compiler {
    const struct ph_catalog *source;
    const struct ph_catalog *target;
    struct ph_arena *arena;
    struct ph_error *err;
};

static ph_code compile(const struct compiler *with, ph_oid from, ph_oid to, int depth,
                       const struct node **out);

/* *out stays NULL when there is no array, and neither the slots' OIDs nor what is inside them
 * differs. */
static ph_code
compile_slots(const struct compiler *with, enum kind kind, struct slot *slots, uint32_t n_slots,
              int depth, const struct node **out)
{
    bool needed = kind == ARRAY;

    for (uint32_t i = 0; i < n_slots; i++) {
        PH_TRY(compile(with, slots[i].from, slots[i].to, depth + 1, &slots[i].inside));
        needed |= slots[i].inside != NULL;
        needed |= kind == RECORD && slots[i].from != slots[i].to;
    }
    if (!needed)
        return PH_OK;
    struct node *node = ph_arena_alloc(with->arena, sizeof *node);
    if (node == NULL)
        return PH_FAIL(with->err, PH_E_MEMORY, "no memory for a type's program");
    *node = (struct node){kind, slots, n_slots};
    *out = node;
    return PH_OK;
}

static ph_code
compile_one(const struct compiler *with, enum kind kind, ph_oid from, ph_oid to, int depth,
            const struct node **out)
{
    struct slot *slot = ph_arena_alloc(with->arena, sizeof *slot);

    if (slot == NULL)
        return PH_FAIL(with->err, PH_E_MEMORY, "no memory for a type's program");
    *slot = (struct slot){.from = from, .to = to};
    return compile_slots(with, kind, slot, 1, depth, out);
}

static uint32_t
live_attributes(const struct ph_type *type, ph_oid *oids)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < type->n_attributes; i++)
        if (!type->attributes[i].dropped)
            oids[n++] = type->attributes[i].type_oid;
    return n;
}

static ph_code
compile_record(const struct compiler *with, const struct ph_type *source,
               const struct ph_type *target, int depth, const struct node **out)
{
    ph_oid *from = PH_ARENA_ARRAY(with->arena, ph_oid, source->n_attributes + 1);
    ph_oid *to = PH_ARENA_ARRAY(with->arena, ph_oid, target->n_attributes + 1);
    struct slot *slots = PH_ARENA_ARRAY(with->arena, struct slot, source->n_attributes + 1);

    if (from == NULL || to == NULL || slots == NULL)
        return PH_FAIL(with->err, PH_E_MEMORY, "no memory for a type's program");
    uint32_t n = live_attributes(source, from);
    if (live_attributes(target, to) != n)
        return PH_FAIL(with->err, PH_E_INTERNAL, "composite %s differs between the servers",
                       source->name);
    for (uint32_t i = 0; i < n; i++)
        slots[i] = (struct slot){.from = from[i], .to = to[i]};
    return compile_slots(with, RECORD, slots, n, depth, out);
}

static ph_code
compile(const struct compiler *with, ph_oid from, ph_oid to, int depth, const struct node **out)
{
    const struct ph_type *source = ph_type_base(with->source, from);
    const struct ph_type *target = ph_type_base(with->target, to);

    *out = NULL;
    if (source == NULL || target == NULL || depth > PH_TYPE_DEPTH_MAX ||
        source->kind != target->kind || ph_type_is_array(source) != ph_type_is_array(target))
        return PH_FAIL(with->err, PH_E_INTERNAL, "types %u and %u cannot be sent as binary", from,
                       to);
    if (ph_type_is_array(source))
        return compile_one(with, ARRAY, source->elem_oid, target->elem_oid, depth, out);
    if (source->kind == 'c')
        return compile_record(with, source, target, depth, out);
    if (source->kind == 'r')
        return compile_one(with, RANGE, source->subtype_oid, target->subtype_oid, depth, out);
    if (source->kind == 'm')
        return compile_one(with, MULTIRANGE, source->subtype_oid, target->subtype_oid, depth, out);
    return PH_OK;
}

ph_code
ph_oid_remap_compile(const struct ph_plan_column *columns, uint32_t n_columns,
                     const struct ph_catalog *source, const struct ph_catalog *target,
                     struct ph_arena *arena, const struct ph_oid_remap **out, struct ph_error *err)
{
    const struct compiler with = {source, target, arena, err};
    const struct node **fields = PH_ARENA_ARRAY(arena, const struct node *, n_columns + 1);
    struct ph_oid_remap *remap = ph_arena_alloc(arena, sizeof *remap);
    bool needed = false;

    *out = NULL;
    if (fields == NULL || remap == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a type's program");
    for (uint32_t i = 0; i < n_columns; i++) {
        ph_code rc =
            compile(&with, columns[i].source->type_oid, columns[i].target->type_oid, 0, &fields[i]);
        if (rc != PH_OK) {
            ph_error_note(err, "column %s", columns[i].source_name);
            return rc;
        }
        needed |= fields[i] != NULL;
    }
    *remap = (struct ph_oid_remap){fields, n_columns};
    *out = needed ? remap : NULL;
    return PH_OK;
}

/* Bytes that are being rewritten; every take is checked against what is left. */
struct edit {
    uint8_t *at;
    size_t left;
};

static bool
take(struct edit *in, size_t len, struct edit *out)
{
    if (in->left < len)
        return false;
    *out = (struct edit){in->at, len};
    in->at += len;
    in->left -= len;
    return true;
}

static bool
take_u32(struct edit *in, uint32_t *out)
{
    struct edit raw;

    if (!take(in, 4, &raw))
        return false;
    *out = ph_load_u32(raw.at);
    return true;
}

/* A length and as many bytes; NULL has none. */
static bool
take_value(struct edit *in, struct edit *out, bool *is_null)
{
    uint32_t len;

    if (!take_u32(in, &len))
        return false;
    *is_null = (int32_t)len == NULL_LENGTH;
    return *is_null || ((int32_t)len >= 0 && take(in, len, out));
}

static bool
rewrite_oid(struct edit *in, const struct slot *slot)
{
    struct edit raw;

    if (!take(in, 4, &raw) || ph_load_u32(raw.at) != slot->from)
        return false;
    ph_store_u32(raw.at, slot->to);
    return true;
}

static bool rewrite(const struct node *node, struct edit in);

static bool
rewrite_values(const struct slot *slot, struct edit *in, uint32_t n, uint32_t *n_nulls)
{
    *n_nulls = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct edit value;
        bool is_null;
        if (!take_value(in, &value, &is_null))
            return false;
        *n_nulls += is_null;
        if (!is_null && slot->inside != NULL && !rewrite(slot->inside, value))
            return false;
    }
    return true;
}

/*
 * dimensions, flags, element type, (length, lower bound) per dimension, elements.
 *
 * The one flag says that there are NULLs. A server keeps it when the last NULL has been assigned
 * over (array_set_element), and makes it anew from the elements when it receives an array.
 */
static bool
rewrite_array(const struct node *node, struct edit *in)
{
    const struct slot *slot = &node->slots[0];
    uint32_t dimensions;
    struct edit flags;
    uint32_t n_nulls;
    uint64_t n;

    if (!take_u32(in, &dimensions) || dimensions > ARRAY_MAX_DIMENSIONS || !take(in, 4, &flags) ||
        !rewrite_oid(in, slot))
        return false;
    if (slot->inside == NULL && ph_load_u32(flags.at) == 0)
        return true;
    n = dimensions > 0;
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t len;
        uint32_t lower;
        if (!take_u32(in, &len) || !take_u32(in, &lower))
            return false;
        n *= len; /* below 2^64: both factors are below 2^32 */
        if (n > in->left)
            return false;
    }
    if (!rewrite_values(slot, in, (uint32_t)n, &n_nulls) || in->left != 0)
        return false;
    if (n_nulls == 0)
        ph_store_u32(flags.at, 0);
    return true;
}

/* number of attributes, then type and value of each */
static bool
rewrite_record(const struct node *node, struct edit *in)
{
    uint32_t n_nulls;
    uint32_t n;

    if (!take_u32(in, &n) || n != node->n_slots)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!rewrite_oid(in, &node->slots[i]) || !rewrite_values(&node->slots[i], in, 1, &n_nulls))
            return false;
    return in->left == 0;
}

/* flags, then the bounds that they say there are */
static bool
rewrite_range(const struct node *node, struct edit *in)
{
    enum {
        EMPTY = 0x01,
        LOWER_OPEN = 0x08, /* RANGE_LB_INF */
        UPPER_OPEN = 0x10, /* RANGE_UB_INF */
        LOWER_NULL = 0x20, /* RANGE_LB_NULL, RANGE_UB_NULL: not used by any server */
        UPPER_NULL = 0x40
    };
    struct edit flags;
    uint32_t n_nulls;
    uint32_t n = 0;

    if (!take(in, 1, &flags))
        return false;
    if ((*flags.at & EMPTY) == 0) {
        n += (*flags.at & (LOWER_OPEN | LOWER_NULL)) == 0;
        n += (*flags.at & (UPPER_OPEN | UPPER_NULL)) == 0;
    }
    return rewrite_values(&node->slots[0], in, n, &n_nulls) && in->left == 0;
}

/* number of ranges, then each with its length */
static bool
rewrite_multirange(const struct node *node, struct edit *in)
{
    uint32_t n_nulls;
    uint32_t n;

    return take_u32(in, &n) && n <= in->left && rewrite_values(&node->slots[0], in, n, &n_nulls) &&
           in->left == 0;
}

static bool
rewrite(const struct node *node, struct edit in)
{
    static bool (*const of_kind[])(const struct node *, struct edit *) = {
        [ARRAY] = rewrite_array,
        [RECORD] = rewrite_record,
        [RANGE] = rewrite_range,
        [MULTIRANGE] = rewrite_multirange,
    };

    return of_kind[node->kind](node, &in);
}

ph_code
ph_oid_remap_field(const struct ph_oid_remap *remap, uint32_t column, uint8_t *bytes, size_t len,
                   struct ph_error *err)
{
    const struct edit value = {bytes, len};

    if (remap->fields[column] != NULL && !rewrite(remap->fields[column], value))
        return PH_FAIL(err, PH_E_PROTOCOL, "field %u is not made as the source's catalog says",
                       column + 1);
    return PH_OK;
}

bool
ph_oid_remap_needs(const struct ph_oid_remap *remap, uint32_t column)
{
    return remap != NULL && remap->fields[column] != NULL;
}

ph_code
ph_oid_remap_apply(const struct ph_oid_remap *remap, uint8_t *tuple, size_t len,
                   struct ph_error *err)
{
    struct edit in = {tuple, len};
    struct edit count;

    if (!take(&in, 2, &count) || ph_load_u16(count.at) != remap->n_fields)
        return PH_FAIL(err, PH_E_PROTOCOL, "a tuple does not have %u fields", remap->n_fields);
    for (uint32_t i = 0; i < remap->n_fields; i++) {
        struct edit value;
        bool is_null;
        if (!take_value(&in, &value, &is_null))
            return PH_FAIL(err, PH_E_PROTOCOL, "field %u does not fit into its tuple", i + 1);
        if (!is_null)
            PH_TRY(ph_oid_remap_field(remap, i, value.at, value.left, err));
    }
    if (in.left != 0)
        return PH_FAIL(err, PH_E_PROTOCOL, "%zu bytes behind the last field of a tuple", in.left);
    return PH_OK;
}

/* false: cut short. A tuple that is wrong in itself ends where the wrong length stands. */
static bool
measure(const struct ph_oid_remap *remap, struct edit in, size_t *len)
{
    size_t before = in.left;
    struct edit count;

    if (!take(&in, 2, &count))
        return false;
    for (uint32_t i = 0; ph_load_u16(count.at) == remap->n_fields && i < remap->n_fields; i++) {
        struct edit value;
        uint32_t field_len;
        if (!take_u32(&in, &field_len))
            return false;
        if ((int32_t)field_len < NULL_LENGTH)
            break;
        if ((int32_t)field_len != NULL_LENGTH && !take(&in, field_len, &value))
            return false;
    }
    *len = before - in.left;
    return true;
}

ph_code
ph_oid_remap_apply_all(const struct ph_oid_remap *remap, uint8_t *bytes, size_t len,
                       size_t *consumed, struct ph_error *err)
{
    struct edit in = {bytes, len};
    struct edit tuple;
    size_t tuple_len;

    *consumed = 0;
    while (measure(remap, in, &tuple_len) && ph_load_u16(in.at) != UINT16_MAX &&
           take(&in, tuple_len, &tuple)) {
        PH_TRY(ph_oid_remap_apply(remap, tuple.at, tuple.left, err));
        *consumed += tuple.left;
    }
    return PH_OK;
}
