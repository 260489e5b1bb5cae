/*
 * Random values in send format for the types of fake_types.h, as a server with these OIDs would
 * send them. The same `seed` gives the same values whatever the OIDs are.
 */
#ifndef PH_TEST_FAKE_VALUES_H
#define PH_TEST_FAKE_VALUES_H

#include "fake_types.h"
#include "model/type_match.h"
#include "wire/copy_binary.h"

struct fake_random {
    uint64_t state;
};

static inline uint32_t
fake_below(struct fake_random *random, uint32_t n)
{
    random->state = random->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random->state >> 33) % n;
}

static inline void
fake_put_u32(struct ph_buf *out, uint32_t value)
{
    uint8_t raw[4];

    ph_store_u32(raw, value);
    ph_buf_append(out, raw, 4);
}

static inline void fake_put_value(struct ph_buf *out, const struct ph_catalog *catalog, ph_oid oid,
                                  struct fake_random *random);

/* Length (-1 in one of eight) and bytes. */
static inline void
fake_put_field(struct ph_buf *out, const struct ph_catalog *catalog, ph_oid oid,
               struct fake_random *random)
{
    size_t at = out->len;

    if (fake_below(random, 8) == 0) {
        fake_put_u32(out, UINT32_MAX);
        return;
    }
    fake_put_u32(out, 0);
    fake_put_value(out, catalog, oid, random);
    ph_store_u32(out->data + at, (uint32_t)(out->len - at - 4));
}

static inline void
fake_put_array(struct ph_buf *out, const struct ph_catalog *catalog, ph_oid elem,
               struct fake_random *random)
{
    uint32_t dimensions = fake_below(random, 3);
    uint32_t n = dimensions > 0;

    fake_put_u32(out, dimensions);
    size_t flags = out->len;
    fake_put_u32(out, 0);
    fake_put_u32(out, elem);
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t len = 1 + fake_below(random, 3);
        fake_put_u32(out, len);
        fake_put_u32(out, fake_below(random, 3));
        n *= len;
    }
    for (uint32_t i = 0; i < n; i++) {
        size_t at = out->len;
        fake_put_field(out, catalog, elem, random);
        if (ph_load_u32(out->data + at) == UINT32_MAX)
            ph_store_u32(out->data + flags, 1);
    }
}

static inline void
fake_put_record(struct ph_buf *out, const struct ph_catalog *catalog, const struct ph_type *type,
                struct fake_random *random)
{
    uint32_t live = 0;

    for (uint32_t i = 0; i < type->n_attributes; i++)
        live += !type->attributes[i].dropped;
    fake_put_u32(out, live);
    for (uint32_t i = 0; i < type->n_attributes; i++) {
        if (type->attributes[i].dropped)
            continue;
        fake_put_u32(out, type->attributes[i].type_oid);
        fake_put_field(out, catalog, type->attributes[i].type_oid, random);
    }
}

static inline void
fake_put_bound(struct ph_buf *out, const struct ph_catalog *catalog, ph_oid oid,
               struct fake_random *random)
{
    size_t at = out->len;

    fake_put_u32(out, 0);
    fake_put_value(out, catalog, oid, random);
    ph_store_u32(out->data + at, (uint32_t)(out->len - at - 4));
}

static inline void
fake_put_range(struct ph_buf *out, const struct ph_catalog *catalog, ph_oid subtype,
               struct fake_random *random)
{
    static const uint8_t flags[] = {0x01, 0x02, 0x06, 0x08, 0x10, 0x18, 0x12};
    uint8_t flag = flags[fake_below(random, sizeof flags)];

    ph_buf_putc(out, (char)flag);
    if ((flag & 0x09) == 0)
        fake_put_bound(out, catalog, subtype, random);
    if ((flag & 0x11) == 0)
        fake_put_bound(out, catalog, subtype, random);
}

static inline void
fake_put_value(struct ph_buf *out, const struct ph_catalog *catalog, ph_oid oid,
               struct fake_random *random)
{
    const struct ph_type *type = ph_type_base(catalog, oid);
    uint32_t n = fake_below(random, 3);

    if (ph_type_is_array(type)) {
        fake_put_array(out, catalog, type->elem_oid, random);
    } else if (type->kind == 'c') {
        fake_put_record(out, catalog, type, random);
    } else if (type->kind == 'r') {
        fake_put_range(out, catalog, type->subtype_oid, random);
    } else if (type->kind == 'm') {
        fake_put_u32(out, n);
        for (uint32_t i = 0; i < n; i++)
            fake_put_bound(out, catalog, type->subtype_oid, random);
    } else if (type->kind == 'e') {
        ph_buf_puts(out, type->labels[n]);
    } else {
        for (uint32_t i = fake_below(random, 12); i > 0; i--)
            ph_buf_putc(out, (char)fake_below(random, 256));
    }
}

/* A tuple as COPY BINARY has it. */
static inline void
fake_put_tuple(struct ph_buf *out, const struct ph_catalog *catalog, const ph_oid *oids, uint32_t n,
               struct fake_random *random)
{
    ph_copy_binary_put_count(out, n);
    for (uint32_t i = 0; i < n; i++)
        fake_put_field(out, catalog, oids[i], random);
}

#endif
