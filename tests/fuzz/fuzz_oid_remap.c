/*
 * Input: a tuple of COPY BINARY whose columns have every user type of fake_types.h. What is
 * rewritten to what the other server sends is rewritten back, and there again, to the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/fake_types.h"
#include "wire/oid_remap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

static const enum user_type used[] = {MOODS, PAIR, NEST, PAIRRANGES, PAIRMULTIRANGE};
#define COLUMNS (sizeof used / sizeof used[0])

static const struct ph_oid_remap *
compiled(const struct fake_types *from, const struct fake_types *to, struct ph_arena *arena)
{
    struct ph_column columns[2][COLUMNS];
    struct ph_plan_column plan[COLUMNS];
    const struct ph_oid_remap *remap;

    memset(columns, 0, sizeof columns);
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[0][i].type_oid = fake_oid(from, used[i]);
        columns[1][i].type_oid = fake_oid(to, used[i]);
        plan[i] = (struct ph_plan_column){"a", "b", &columns[0][i], &columns[1][i], false};
    }
    CHECK(ph_oid_remap_compile(plan, COLUMNS, &from->catalog, &to->catalog, arena, &remap, NULL) ==
          PH_OK);
    return remap;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct fake_types here;
    static struct fake_types there;
    static struct ph_arena arena;
    static const struct ph_oid_remap *forth;
    static const struct ph_oid_remap *back;
    size_t consumed;

    if (forth == NULL) {
        fake_types_init(&here, 16400);
        fake_types_init(&there, 90000);
        ph_arena_init(&arena, 1u << 20);
        forth = compiled(&here, &there, &arena);
        back = compiled(&there, &here, &arena);
    }
    uint8_t *bytes = malloc(len + 1);
    uint8_t *once = malloc(len + 1);
    CHECK(bytes != NULL && once != NULL);
    if (len > 0)
        memcpy(bytes, data, len);
    if (ph_oid_remap_apply(forth, bytes, len, NULL) == PH_OK) {
        memcpy(once, bytes, len);
        CHECK(ph_oid_remap_apply(back, bytes, len, NULL) == PH_OK);
        CHECK(ph_oid_remap_apply(forth, bytes, len, NULL) == PH_OK);
        CHECK(memcmp(bytes, once, len) == 0);
    }
    if (len > 0)
        memcpy(bytes, data, len);
    ph_code rc = ph_oid_remap_apply_all(forth, bytes, len, &consumed, NULL);
    CHECK(consumed <= len);
    if (rc == PH_OK && consumed > 0) {
        memcpy(once, bytes, len);
        CHECK(ph_oid_remap_apply_all(back, bytes, consumed, &consumed, NULL) == PH_OK);
        CHECK(ph_oid_remap_apply_all(forth, bytes, consumed, &consumed, NULL) == PH_OK);
        CHECK(memcmp(bytes, once, len) == 0);
    }
    free(bytes);
    free(once);
    return 0;
}
