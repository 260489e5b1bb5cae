/*
 * Catalogs of a few tables without a server, said in one line each:
 *
 *     fake_table(&world, "public.users", "id int4*, email varchar(20)!, note text, at date=");
 *
 * `*` of the primary key, `!` NOT NULL, `=` has a default, `~` generated, `^` a unique key of its
 * own. Types are built-in ones, `phase` and `old_phase`, two enums, or `citext`.
 */
#ifndef PH_TEST_FAKE_TABLES_H
#define PH_TEST_FAKE_TABLES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pghaul/rule.h"

#define FAKE_RELS 260
#define FAKE_COLUMNS 16
#define FAKE_INDEXES 4
#define FAKE_PHASE 16400u

struct fake_tables {
    struct ph_catalog catalog;
    struct ph_rel rels[FAKE_RELS];
    struct ph_column columns[FAKE_RELS][FAKE_COLUMNS];
    struct ph_index indexes[FAKE_RELS][FAKE_INDEXES];
    int16_t keys[FAKE_RELS][FAKE_INDEXES][FAKE_COLUMNS];
    char names[FAKE_RELS][FAKE_COLUMNS + 2][64];
    struct ph_foreign_key foreign_keys[16];
    struct ph_type types[48];
};

static const struct ph_type fake_table_types[] = {
    {.oid = 16, .name = "bool", .kind = 'b', .category = 'B', .array_oid = 1000},
    {.oid = 17, .name = "bytea", .kind = 'b', .category = 'U', .array_oid = 1001},
    {.oid = 20, .name = "int8", .kind = 'b', .category = 'N', .array_oid = 1016},
    {.oid = 21, .name = "int2", .kind = 'b', .category = 'N', .array_oid = 1005},
    {.oid = 23, .name = "int4", .kind = 'b', .category = 'N', .array_oid = 1007},
    {.oid = 25, .name = "text", .kind = 'b', .category = 'S', .array_oid = 1009},
    {.oid = 114, .name = "json", .kind = 'b', .category = 'U'},
    {.oid = 600, .name = "point", .kind = 'b', .category = 'G'},
    {.oid = 701, .name = "float8", .kind = 'b', .category = 'N'},
    {.oid = 1007, .name = "_int4", .kind = 'b', .category = 'A', .elem_oid = 23},
    {.oid = 1009, .name = "_text", .kind = 'b', .category = 'A', .elem_oid = 25},
    {.oid = 1015, .name = "_varchar", .kind = 'b', .category = 'A', .elem_oid = 1043},
    {.oid = 1042, .name = "bpchar", .kind = 'b', .category = 'S'},
    {.oid = 1043, .name = "varchar", .kind = 'b', .category = 'S', .array_oid = 1015},
    {.oid = 1082, .name = "date", .kind = 'b', .category = 'D'},
    {.oid = 1114, .name = "timestamp", .kind = 'b', .category = 'D'},
    {.oid = 1184, .name = "timestamptz", .kind = 'b', .category = 'D'},
    {.oid = 1700, .name = "numeric", .kind = 'b', .category = 'N'},
    {.oid = 2205, .name = "regclass", .kind = 'b', .category = 'N'},
    {.oid = 2950, .name = "uuid", .kind = 'b', .category = 'U'},
    {.oid = 3802, .name = "jsonb", .kind = 'b', .category = 'U'},
};

static inline void
fake_tables_init(struct fake_tables *world)
{
    static const char *const phases[] = {"generation", "dns", "http"};
    static const char *const old_phases[] = {"generation", "domain_generation"};
    const uint32_t n = sizeof fake_table_types / sizeof fake_table_types[0];

    memset(world, 0, sizeof *world);
    memcpy(world->types, fake_table_types, sizeof fake_table_types);
    for (uint32_t i = 0; i < n; i++) {
        world->types[i].schema = "pg_catalog";
        world->types[i].has_binary = true;
    }
    world->types[n] = (struct ph_type){.oid = FAKE_PHASE,
                                       .schema = "public",
                                       .name = "phase",
                                       .kind = 'e',
                                       .category = 'E',
                                       .has_binary = true,
                                       .labels = phases,
                                       .n_labels = 3};
    world->types[n + 1] = world->types[n];
    world->types[n + 1].oid = FAKE_PHASE + 1;
    world->types[n + 1].name = "old_phase";
    world->types[n + 1].labels = old_phases;
    world->types[n + 1].n_labels = 2;
    world->types[n + 2] = (struct ph_type){.oid = FAKE_PHASE + 2,
                                           .schema = "public",
                                           .name = "citext",
                                           .kind = 'b',
                                           .category = 'S',
                                           .has_binary = true,
                                           .extension = "citext",
                                           .extension_version = "1.6"};
    world->catalog = (struct ph_catalog){.version_num = 160000,
                                         .encoding = "UTF8",
                                         .lc_monetary = "C",
                                         .rels = world->rels,
                                         .types = world->types,
                                         .n_types = n + 3,
                                         .foreign_keys = world->foreign_keys};
}

static inline const struct ph_type *
fake_type_named(const struct fake_tables *world, const char *name)
{
    char array[64];
    size_t len = strlen(name);

    snprintf(array, sizeof array, "%s", name);
    if (len > 2 && strcmp(name + len - 2, "[]") == 0)
        snprintf(array, sizeof array, "_%.*s", (int)(len - 2), name);
    for (uint32_t i = 0; i < world->catalog.n_types; i++) {
        if (strcmp(world->types[i].name, array) == 0)
            return &world->types[i];
    }
    abort();
}

static inline int32_t
fake_typmod(const char *type, const char *modifier)
{
    int a = 0;
    int b = 0;

    if (modifier == NULL || sscanf(modifier, "(%d,%d)", &a, &b) < 1)
        return -1;
    if (strncmp(type, "numeric", 7) == 0)
        return ((a << 16) | (b & 0x7ff)) + 4;
    return strncmp(type, "time", 4) == 0 ? a : a + 4;
}

static inline void
fake_column(struct fake_tables *world, uint32_t rel, char *spec)
{
    uint32_t n = world->rels[rel].n_columns++;
    struct ph_column *column = &world->columns[rel][n];
    struct ph_index *key = &world->indexes[rel][0];
    char *type = strchr(spec, ' ') + 1;
    size_t marks = strcspn(type, "*!=~^");
    char *at = type + marks;

    type[-1] = '\0';
    snprintf(world->names[rel][n + 2], 64, "%.63s", spec);
    *column = (struct ph_column){.name = world->names[rel][n + 2], .attnum = (int16_t)(n + 1)};
    for (; *at != '\0'; at++) {
        column->not_null |= *at == '*' || *at == '!';
        column->has_default |= *at == '=';
        column->generated = *at == '~' ? 's' : column->generated;
        if (*at == '*')
            world->keys[rel][0][key->n_keys++] = column->attnum;
        if (*at == '^') {
            uint32_t i = ++world->rels[rel].n_indexes;
            world->keys[rel][i][0] = column->attnum;
            world->indexes[rel][i] = (struct ph_index){.name = "unique",
                                                       .is_unique = true,
                                                       .is_valid = true,
                                                       .is_immediate = true,
                                                       .key_attnums = world->keys[rel][i],
                                                       .n_keys = 1};
        }
    }
    type[marks] = '\0';
    char *modifier = strchr(type, '(');
    column->typmod = fake_typmod(type, modifier);
    if (modifier != NULL)
        *modifier = '\0';
    const struct ph_type *found = fake_type_named(world, type);
    column->type_oid = found->oid;
    column->type_text = found->name;
}

static inline struct ph_rel *
fake_table(struct fake_tables *world, const char *name, const char *columns)
{
    uint32_t n = world->catalog.n_rels++;
    struct ph_rel *rel = &world->rels[n];
    char specs[1024];
    char *save = NULL;

    if (n >= FAKE_RELS)
        abort();
    snprintf(world->names[n][0], 64, "%.*s", (int)strcspn(name, "."), name);
    snprintf(world->names[n][1], 64, "%.63s", strchr(name, '.') + 1);
    snprintf(specs, sizeof specs, "%s", columns);
    *rel = (struct ph_rel){.oid = 20000 + n,
                           .root_oid = 20000 + n,
                           .schema = world->names[n][0],
                           .name = world->names[n][1],
                           .kind = PH_REL_TABLE,
                           .persistence = 'p',
                           .replica_identity = 'd',
                           .can_read = true,
                           .columns = world->columns[n],
                           .indexes = world->indexes[n]};
    world->indexes[n][0] = (struct ph_index){.name = "pkey",
                                             .is_unique = true,
                                             .is_primary = true,
                                             .is_valid = true,
                                             .is_immediate = true,
                                             .key_attnums = world->keys[n][0]};
    for (char *spec = strtok_r(specs, ",", &save); spec != NULL;
         spec = strtok_r(NULL, ",", &save)) {
        /* "numeric(10,2)" was cut in two */
        char whole[128];
        snprintf(whole, sizeof whole, "%s", spec + strspn(spec, " "));
        if (strchr(whole, '(') != NULL && strchr(whole, ')') == NULL)
            snprintf(whole + strlen(whole), sizeof whole - strlen(whole), ",%s",
                     strtok_r(NULL, ",", &save));
        fake_column(world, n, whole);
    }
    if (world->indexes[n][0].n_keys > 0)
        rel->n_indexes++;
    else
        rel->indexes = &world->indexes[n][1];
    return rel;
}

/* As the target would read a constant: numbers, booleans and texts. */
static inline ph_code
fake_constant(void *arg, const struct ph_column *column, const char *text, struct ph_arena *arena,
              struct ph_value *out, struct ph_error *err)
{
    uint8_t *bytes = ph_arena_alloc(arena, 16);
    char *end;
    long long number = strtoll(text, &end, 10);
    bool is_number = *end == '\0' && end != text;

    (void)arg;
    if (bytes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory");
    switch (column->type_oid) {
    case 23:
        ph_rule_put_i32(bytes, (int32_t)number);
        *out = (struct ph_value){bytes, 4};
        break;
    case 20:
        ph_rule_put_i64(bytes, number);
        *out = (struct ph_value){bytes, 8};
        break;
    case 16:
        bytes[0] = text[0] == 't';
        is_number = true;
        *out = (struct ph_value){bytes, 1};
        break;
    default:
        is_number = true;
        *out = (struct ph_value){(const uint8_t *)text, (int32_t)strlen(text)};
        break;
    }
    if (!is_number)
        return PH_FAIL(err, PH_E_TYPES, "\"%s\" is not of type %s", text, column->type_text);
    return PH_OK;
}

#endif
