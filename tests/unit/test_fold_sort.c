/* Keys of a group go to the target in order, where rows do not stand in each other's way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/statement.h"
#include "fake_apply.h"

#define ROWS 500u
#define ARRAY_HEADER 20u

static struct ph_error err;

struct fixture {
    struct fake_apply fake;
    struct ph_index indexes[2];
    const struct ph_apply_table *table;
    struct ph_fold *fold;
    struct ph_apply_statements *statements;
};

static void
begin(struct fixture *f, ph_oid key_type, bool has_second_index)
{
    static const int16_t second[] = {2};
    const struct ph_apply_limits limits = {.rows = 100};
    const struct fake_column columns[] = {
        {.name = "k", .source_type = key_type, .is_key = true},
        {.name = "v", .source_type = 23},
        {.name = NULL},
    };

    fake_apply_init(&f->fake, 'd', columns);
    f->indexes[0] = f->fake.index;
    f->indexes[1] = (struct ph_index){.is_unique = true, .key_attnums = second, .n_keys = 1};
    f->fake.target_rel.indexes = f->indexes;
    f->fake.target_rel.n_indexes = has_second_index ? 2 : 1;
    f->table = fake_apply_table(&f->fake);
    f->fold = ph_fold_new(PH_FOLD_NET, (size_t)1 << 24);
    f->statements = ph_apply_statements_new(&limits);
}

static void
end(struct fixture *f)
{
    ph_apply_statements_free(f->statements);
    ph_fold_free(f->fold);
    fake_apply_free(&f->fake);
}

/* The n-th key: all numbers below ROWS, in no order. */
static uint32_t
key_of(uint32_t n)
{
    return n * 7 % ROWS;
}

static struct ph_field
number(uint8_t *room, uint32_t size, uint32_t value)
{
    memset(room, 0, size);
    ph_store_u32(room + size - 4, value);
    return (struct ph_field){{room, size}, PH_FIELD_BINARY};
}

static void
update_all(struct fixture *f, uint32_t key_size, uint32_t plus)
{
    for (uint32_t n = 0; n < ROWS; n++) {
        uint8_t key[8];
        uint8_t value[4];
        const struct ph_field fields[] = {
            number(key, key_size, key_of(n)),
            number(value, 4, key_of(n) + plus),
        };
        const struct ph_change change = {
            .kind = PH_CHANGE_UPDATE, .new_fields = fields, .n_fields = 2};
        assert_int_equal(ph_fold_add(f->fold, f->table, &change, &err), PH_OK);
    }
}

static uint32_t
element(const struct ph_apply_statement *statement, uint32_t param, uint32_t size, uint32_t row)
{
    const uint8_t *at = statement->params[param].data + ARRAY_HEADER + row * (4 + size);

    assert_int_equal(ph_load_u32(at), size);
    return ph_load_u32(at + size);
}

/* All rows come once, with their values; *in_order: by key; else as they were added. */
static void
check(struct fixture *f, uint32_t key_size, uint32_t plus, bool in_order)
{
    struct ph_apply_statement statement;
    uint32_t n = 0;

    assert_int_equal(ph_apply_statements_begin(f->statements, f->fold, &err), PH_OK);
    for (;;) {
        assert_int_equal(ph_apply_statements_next(f->statements, &statement, &err), PH_OK);
        if (statement.kind == PH_APPLY_NONE)
            break;
        assert_int_equal(statement.kind, PH_APPLY_UPDATE);
        for (uint32_t row = 0; row < statement.n_rows; row++, n++) {
            uint32_t key = element(&statement, 0, key_size, row);
            assert_int_equal(key, in_order ? n : key_of(n));
            assert_int_equal(element(&statement, 1, 4, row), key + plus);
        }
    }
    assert_int_equal(n, ROWS);
}

/* A second group finds an empty map behind the first one, whose entries have moved. */
static void
two_groups(ph_oid key_type, uint32_t key_size, bool has_second_index)
{
    struct fixture f;

    begin(&f, key_type, has_second_index);
    for (uint32_t group = 1; group <= 2; group++) {
        update_all(&f, key_size, group);
        update_all(&f, key_size, group + 1);
        check(&f, key_size, group + 1, !has_second_index);
        ph_fold_clear(f.fold);
    }
    end(&f);
}

static void
keys_come_in_order(void **state)
{
    (void)state;
    two_groups(23, 4, false);
    two_groups(20, 8, false);
}

static void
a_second_unique_index_keeps_the_order(void **state)
{
    (void)state;
    two_groups(23, 4, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_in_order),
        cmocka_unit_test(a_second_unique_index_keeps_the_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
