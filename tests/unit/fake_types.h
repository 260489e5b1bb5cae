/*
 * Two small catalogs of types without a server: built-in types under their real OIDs, user types
 * under OIDs from `base` on, so that two of them differ as those of two servers do.
 */
#ifndef PH_TEST_FAKE_TYPES_H
#define PH_TEST_FAKE_TYPES_H

#include <stdlib.h>
#include <string.h>

#include "model/catalog.h"

enum { BYTEA = 17, INT8 = 20, INT4 = 23, TEXT = 25, JSON = 114, INT4RANGE = 3904 };

/* Offsets of user types from `base`. */
enum user_type {
    MOOD,           /* enum sad, ok, happy */
    MOODS,          /* mood[] */
    POSINT,         /* domain over int4 */
    POSINTS,        /* posint[] */
    PAIR,           /* composite a posint, (dropped), m mood, note text */
    PAIRS,          /* pair[] */
    PAIRSET,        /* domain over pair[] */
    NEST,           /* composite x int4, ps pairset, r moodrange */
    MOODRANGE,      /* range over mood */
    PAIRRANGE,      /* range over pair */
    PAIRMULTIRANGE, /* its multirange */
    MOODMULTIRANGE,
    VECTOR,  /* base type of extension vector 0.8 */
    VECTORS, /* vector[] */
    OWNBASE, /* base type of no extension */
    REGPAIR, /* composite c regclass */
    LOOP,    /* domain over itself: no server has it */
    ENDLESS, /* array of itself: no server has it */
    HOLLOW,  /* composite whose attributes are not known */
    PLAIN,   /* composite a int4, b text */
    PLAINS,  /* plain[] */
    PAIRRANGES,
    NESTS, /* nest[] */
    USER_TYPES
};

struct fake_types {
    struct ph_catalog catalog;
    struct ph_type types[80];
    struct ph_attribute attributes[16];
    ph_oid base;
};

static inline struct ph_type *
fake_user(struct fake_types *fake, enum user_type which)
{
    return &fake->types[fake->catalog.n_types - USER_TYPES + which];
}

static inline ph_oid
fake_oid(const struct fake_types *fake, enum user_type which)
{
    return fake->base + which;
}

static const struct ph_type fake_builtins[] = {
    {.oid = 16, .name = "bool", .kind = 'b', .category = 'B'},
    {.oid = BYTEA, .name = "bytea", .kind = 'b', .category = 'U'},
    {.oid = INT8, .name = "int8", .kind = 'b', .category = 'N'},
    {.oid = 21, .name = "int2", .kind = 'b', .category = 'N'},
    {.oid = 22, .name = "int2vector", .kind = 'b', .category = 'A', .elem_oid = 21},
    {.oid = INT4, .name = "int4", .kind = 'b', .category = 'N'},
    {.oid = TEXT, .name = "text", .kind = 'b', .category = 'S'},
    {.oid = JSON, .name = "json", .kind = 'b', .category = 'U'},
    {.oid = 700, .name = "float4", .kind = 'b', .category = 'N'},
    {.oid = 701, .name = "float8", .kind = 'b', .category = 'N'},
    {.oid = 790, .name = "money", .kind = 'b', .category = 'N'},
    {.oid = 1007, .name = "_int4", .kind = 'b', .category = 'A', .elem_oid = INT4},
    {.oid = 1009, .name = "_text", .kind = 'b', .category = 'A', .elem_oid = TEXT},
    {.oid = 1015, .name = "_varchar", .kind = 'b', .category = 'A', .elem_oid = 1043},
    {.oid = 1033, .name = "aclitem", .kind = 'b', .category = 'U'},
    {.oid = 1042, .name = "bpchar", .kind = 'b', .category = 'S'},
    {.oid = 1043, .name = "varchar", .kind = 'b', .category = 'S'},
    {.oid = 1082, .name = "date", .kind = 'b', .category = 'D'},
    {.oid = 1114, .name = "timestamp", .kind = 'b', .category = 'D'},
    {.oid = 1184, .name = "timestamptz", .kind = 'b', .category = 'D'},
    {.oid = 1700, .name = "numeric", .kind = 'b', .category = 'N'},
    {.oid = 2205, .name = "regclass", .kind = 'b', .category = 'N'},
    {.oid = 2210, .name = "_regclass", .kind = 'b', .category = 'A', .elem_oid = 2205},
    {.oid = 2249, .name = "record", .kind = 'p', .category = 'P'},
    {.oid = 3642, .name = "gtsvector", .kind = 'b', .category = 'U'},
    {.oid = 3802, .name = "jsonb", .kind = 'b', .category = 'U'},
    {.oid = INT4RANGE, .name = "int4range", .kind = 'r', .category = 'R', .subtype_oid = INT4},
    {.oid = 9000, .name = "newtype", .kind = 'b', .category = 'U'},
};

static inline void
fake_attributes(struct fake_types *fake, enum user_type which, struct ph_attribute *from,
                uint32_t n)
{
    fake_user(fake, which)->attributes = from;
    fake_user(fake, which)->n_attributes = n;
}

static inline void
fake_composites(struct fake_types *fake)
{
    const struct ph_attribute all[] = {
        {"a", fake_oid(fake, POSINT), false},
        {"........pg.dropped.2........", 0, true},
        {"m", fake_oid(fake, MOOD), false},
        {"note", TEXT, false},
        {"x", INT4, false},
        {"ps", fake_oid(fake, PAIRSET), false},
        {"r", fake_oid(fake, MOODRANGE), false},
        {"c", 2205, false},
        {"a", INT4, false},
        {"b", TEXT, false},
    };

    memcpy(fake->attributes, all, sizeof all);
    fake_attributes(fake, PAIR, fake->attributes, 4);
    fake_attributes(fake, NEST, fake->attributes + 4, 3);
    fake_attributes(fake, REGPAIR, fake->attributes + 7, 1);
    fake_attributes(fake, PLAIN, fake->attributes + 8, 2);
}

/* `fake` must not move afterwards. Nothing to free. */
static inline void
fake_types_init(struct fake_types *fake, ph_oid base)
{
    static const char *const moods[] = {"sad", "ok", "happy"};
    const size_t n_builtins = sizeof fake_builtins / sizeof fake_builtins[0];
    const struct ph_type user[USER_TYPES] = {
        [MOOD] = {.name = "mood", .kind = 'e', .labels = moods, .n_labels = 3},
        [MOODS] = {.name = "_mood", .kind = 'b', .elem_oid = base + MOOD},
        [POSINT] = {.name = "posint", .kind = 'd', .base_oid = INT4, .typmod = -1},
        [POSINTS] = {.name = "_posint", .kind = 'b', .elem_oid = base + POSINT},
        [PAIR] = {.name = "pair", .kind = 'c'},
        [PAIRS] = {.name = "_pair", .kind = 'b', .elem_oid = base + PAIR},
        [PAIRSET] = {.name = "pairset", .kind = 'd', .base_oid = base + PAIRS, .typmod = -1},
        [NEST] = {.name = "nest", .kind = 'c'},
        [MOODRANGE] = {.name = "moodrange", .kind = 'r', .subtype_oid = base + MOOD},
        [PAIRRANGE] = {.name = "pairrange", .kind = 'r', .subtype_oid = base + PAIR},
        [PAIRMULTIRANGE] = {.name = "pmr", .kind = 'm', .subtype_oid = base + PAIRRANGE},
        [MOODMULTIRANGE] = {.name = "mmr", .kind = 'm', .subtype_oid = base + MOODRANGE},
        [VECTOR] = {.name = "vector", .kind = 'b', .extension = "vector"},
        [VECTORS] = {.name = "_vector", .kind = 'b', .elem_oid = base + VECTOR},
        [OWNBASE] = {.name = "ownbase", .kind = 'b'},
        [REGPAIR] = {.name = "regpair", .kind = 'c'},
        [LOOP] = {.name = "loop", .kind = 'd', .base_oid = base + LOOP, .typmod = -1},
        [ENDLESS] = {.name = "endless", .kind = 'b', .elem_oid = base + ENDLESS},
        [HOLLOW] = {.name = "hollow", .kind = 'c'},
        [PLAIN] = {.name = "plain", .kind = 'c'},
        [PLAINS] = {.name = "_plain", .kind = 'b', .elem_oid = base + PLAIN},
        [PAIRRANGES] = {.name = "_pairrange", .kind = 'b', .elem_oid = base + PAIRRANGE},
        [NESTS] = {.name = "_nest", .kind = 'b', .elem_oid = base + NEST},
    };

    *fake = (struct fake_types){.base = base};
    memcpy(fake->catalog.lc_monetary, "C", 2);
    fake->catalog.types = fake->types;
    fake->catalog.n_types = (uint32_t)(n_builtins + USER_TYPES);
    memcpy(fake->types, fake_builtins, sizeof fake_builtins);
    memcpy(fake->types + n_builtins, user, sizeof user);
    for (uint32_t i = 0; i < fake->catalog.n_types; i++) {
        struct ph_type *type = &fake->types[i];
        type->schema = i < n_builtins ? "pg_catalog" : "app";
        type->has_binary = strcmp(type->name, "aclitem") != 0;
        if (i < n_builtins)
            continue;
        type->oid = base + (ph_oid)(i - n_builtins);
        type->category = type->elem_oid != 0 ? 'A' : 'U';
    }
    fake_user(fake, VECTOR)->extension_version = "0.8";
    fake_composites(fake);
}

#endif
