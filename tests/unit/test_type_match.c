#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_types.h"
#include "model/type_match.h"

static struct fake_types here;
static struct fake_types there;

static int
make_catalogs(void **context)
{
    (void)context;
    fake_types_init(&here, 16400);
    fake_types_init(&there, 90000);
    return 0;
}

static struct ph_type_match
match(ph_oid source_oid, ph_oid target_oid)
{
    struct ph_type_match out;

    ph_type_match(&here.catalog, source_oid, &there.catalog, target_oid, &out);
    assert_int_equal(out.kind == PH_MATCH_PASS, out.reason[0] == '\0');
    return out;
}

static enum ph_match
match_user(enum user_type which)
{
    return match(fake_oid(&here, which), fake_oid(&there, which)).kind;
}

static void
types_of_the_same_structure_go_binary(void **context)
{
    (void)context;
    assert_int_equal(match(INT4, INT4).kind, PH_MATCH_PASS);
    assert_int_equal(match(1007, 1007).kind, PH_MATCH_PASS);
    assert_int_equal(match(INT4RANGE, INT4RANGE).kind, PH_MATCH_PASS);
    assert_int_equal(match_user(MOOD), PH_MATCH_PASS);
    assert_int_equal(match_user(POSINT), PH_MATCH_PASS);
    assert_int_equal(match_user(MOODRANGE), PH_MATCH_PASS);
    assert_int_equal(match_user(MOODMULTIRANGE), PH_MATCH_PASS);
    assert_int_equal(match_user(VECTOR), PH_MATCH_PASS);
    assert_int_equal(match_user(PLAIN), PH_MATCH_PASS);
    assert_int_equal(match(fake_oid(&here, POSINT), INT4).kind, PH_MATCH_PASS);
    assert_int_equal(match(INT4, fake_oid(&there, POSINT)).kind, PH_MATCH_PASS);
}

static void
trap_31_embedded_oids_are_rewritten(void **context)
{
    static const enum user_type embedding[] = {MOODS,     POSINTS,        PAIR,       PAIRS,
                                               PAIRSET,   NEST,           VECTORS,    PLAINS,
                                               PAIRRANGE, PAIRMULTIRANGE, PAIRRANGES, NESTS};

    (void)context;
    for (size_t i = 0; i < sizeof embedding / sizeof embedding[0]; i++)
        assert_int_equal(match_user(embedding[i]), PH_MATCH_REMAP);
    assert_int_equal(match(1015, 1009).kind, PH_MATCH_REMAP); /* varchar[] to text[] */
    /* The same OIDs on both sides: nothing to do. */
    fake_types_init(&there, 16400);
    for (size_t i = 0; i < sizeof embedding / sizeof embedding[0]; i++)
        assert_int_equal(match_user(embedding[i]), PH_MATCH_PASS);
}

static void
types_without_portable_bytes_go_as_text(void **context)
{
    (void)context;
    assert_int_equal(match(2205, 2205).kind, PH_MATCH_TEXT);
    assert_non_null(strstr(match(2205, 2205).reason, "regclass"));
    assert_int_equal(match(2210, 2210).kind, PH_MATCH_TEXT);
    assert_int_equal(match(1033, 1033).kind, PH_MATCH_TEXT);
    assert_int_equal(match(9000, 9000).kind, PH_MATCH_TEXT);
    assert_int_equal(match(22, 22).kind, PH_MATCH_TEXT);
    assert_int_equal(match_user(REGPAIR), PH_MATCH_TEXT);
    assert_int_equal(match_user(OWNBASE), PH_MATCH_TEXT);
    assert_int_equal(match_user(HOLLOW), PH_MATCH_TEXT);
    assert_int_equal(match_user(ENDLESS), PH_MATCH_TEXT);
    fake_user(&there, MOOD)->has_binary = false; /* counts for base types only */
    assert_int_equal(match_user(MOOD), PH_MATCH_PASS);
}

static void
trap_33_extension_types_need_the_same_version(void **context)
{
    struct ph_type *vector = fake_user(&there, VECTOR);

    (void)context;
    vector->schema = "extensions";
    assert_int_equal(match_user(VECTOR), PH_MATCH_PASS);
    vector->extension_version = "0.9";
    assert_int_equal(match_user(VECTOR), PH_MATCH_TEXT);
    assert_int_equal(match_user(VECTORS), PH_MATCH_TEXT);
    vector->extension_version = "0.8";
    vector->has_binary = false;
    assert_int_equal(match_user(VECTOR), PH_MATCH_TEXT);
    vector->extension = "other";
    assert_int_equal(match_user(VECTOR), PH_MATCH_NONE);
    vector->extension = NULL;
    assert_int_equal(match_user(VECTOR), PH_MATCH_NONE);
}

static void
trap_32_other_types_go_as_text_or_not_at_all(void **context)
{
    (void)context;
    assert_int_equal(match(INT4, INT8).kind, PH_MATCH_TEXT);
    assert_false(match(INT4, INT8).may_change);
    assert_false(match(INT8, 1700).may_change);
    assert_true(match(700, 701).may_change);
    assert_int_equal(match(1043, TEXT).kind, PH_MATCH_PASS);
    assert_int_equal(match(1042, 1043).kind, PH_MATCH_PASS);
    assert_int_equal(match(TEXT, 1042).kind, PH_MATCH_TEXT);
    assert_true(match(TEXT, 1042).may_change);
    assert_int_equal(match(JSON, 3802).kind, PH_MATCH_TEXT);
    assert_int_equal(match(1114, 1184).kind, PH_MATCH_TEXT);
    assert_true(match(1114, 1184).may_change);
    assert_int_equal(match(1007, TEXT).kind, PH_MATCH_TEXT);
    assert_int_equal(match(TEXT, fake_oid(&there, MOOD)).kind, PH_MATCH_TEXT);
    assert_int_equal(match(1114, INT4).kind, PH_MATCH_NONE);
    assert_int_equal(match(1007, INT4).kind, PH_MATCH_NONE);
    assert_int_equal(match(INT4, 12345678).kind, PH_MATCH_NONE);
    assert_int_equal(match(12345678, INT4).kind, PH_MATCH_NONE);
    assert_int_equal(match(2249, 2249).kind, PH_MATCH_NONE);
    assert_int_equal(match(3642, 3642).kind, PH_MATCH_NONE);
    assert_int_equal(match_user(LOOP), PH_MATCH_NONE);
}

static void
trap_34_enum_labels_must_exist(void **context)
{
    static const char *const fewer[] = {"happy", "sad"};
    static const char *const more[] = {"new", "happy", "ok", "sad"};
    struct ph_type *mood = fake_user(&there, MOOD);

    (void)context;
    mood->labels = more;
    mood->n_labels = 4;
    assert_int_equal(match_user(MOOD), PH_MATCH_PASS);
    mood->labels = fewer;
    mood->n_labels = 2;
    assert_int_equal(match_user(MOOD), PH_MATCH_NONE);
    assert_int_equal(match_user(NEST), PH_MATCH_NONE);
    assert_non_null(strstr(match(fake_oid(&here, MOOD), fake_oid(&there, MOOD)).reason, "'ok'"));
}

static void
composites_are_compared_by_live_attributes(void **context)
{
    struct ph_type *pair = fake_user(&there, PAIR);

    (void)context;
    pair->attributes++; /* as if `a` had never been: dropped, m, note */
    pair->n_attributes--;
    assert_int_equal(match_user(PAIR), PH_MATCH_NONE);
    fake_types_init(&there, 90000);
    fake_user(&there, PAIR)->n_attributes = 3;
    assert_int_equal(match_user(PAIR), PH_MATCH_NONE);
    fake_types_init(&there, 90000);
    fake_user(&here, PAIR)->n_attributes = 3;
    assert_int_equal(match_user(PAIR), PH_MATCH_NONE);
    /* Without the dropped one: the same. */
    fake_types_init(&here, 16400);
    here.attributes[1] = here.attributes[2];
    here.attributes[2] = here.attributes[3];
    fake_user(&here, PAIR)->n_attributes = 3;
    assert_int_equal(match_user(PAIR), PH_MATCH_REMAP);
}

static void
trap_36_money_needs_the_same_locale(void **context)
{
    (void)context;
    assert_int_equal(match(790, 790).kind, PH_MATCH_PASS);
    memcpy(there.catalog.lc_monetary, "C.UTF-8", 8);
    assert_int_equal(match(790, 790).kind, PH_MATCH_PASS);
    memcpy(there.catalog.lc_monetary, "ja_JP", 6);
    assert_int_equal(match(790, 790).kind, PH_MATCH_NONE);
}

static bool
typmod_matters(ph_oid oid, int32_t source, int32_t target)
{
    struct ph_column a = {.name = "a", .type_oid = oid, .typmod = source};
    struct ph_column b = {.name = "b", .type_oid = oid, .typmod = target};
    struct ph_type_match out;

    ph_type_match_column(&here.catalog, &a, &there.catalog, &b, &out);
    assert_int_equal(out.kind, PH_MATCH_PASS);
    return out.may_change;
}

static void
typmods_that_change_values_are_told(void **context)
{
    const int32_t numeric_10_2 = ((10 << 16) | 2) + 4;
    const int32_t numeric_12_2 = ((12 << 16) | 2) + 4;
    const int32_t numeric_12_4 = ((12 << 16) | 4) + 4;

    (void)context;
    assert_false(typmod_matters(1043, 14, 14));
    assert_false(typmod_matters(1043, 14, -1));
    assert_false(typmod_matters(1043, 14, 24));
    assert_true(typmod_matters(1043, 24, 14));
    assert_true(typmod_matters(1043, -1, 14));
    assert_true(typmod_matters(1042, 14, 24));
    assert_false(typmod_matters(1700, numeric_10_2, numeric_12_2));
    assert_true(typmod_matters(1700, numeric_10_2, numeric_12_4));
    assert_true(typmod_matters(1114, 3, 6));
}

/* Columns of a domain have no modifier of their own; what the domain is over has. */
static void
typmods_of_domains(void **context)
{
    const int32_t numeric_10_2 = ((10 << 16) | 2) + 4;
    const int32_t numeric_12_4 = ((12 << 16) | 4) + 4;
    struct ph_type *domain = fake_user(&there, POSINT);
    struct ph_column source = {.name = "a", .type_oid = 1700, .typmod = numeric_12_4};
    struct ph_column target = {.name = "a", .type_oid = fake_oid(&there, POSINT), .typmod = -1};
    struct ph_column array = {.name = "a", .type_oid = fake_oid(&there, POSINTS), .typmod = -1};
    struct ph_column loop = {.name = "a", .type_oid = fake_oid(&there, LOOP), .typmod = -1};
    struct ph_type_match out;

    (void)context;
    domain->base_oid = 1700;
    ph_type_match_column(&here.catalog, &source, &there.catalog, &target, &out);
    assert_int_equal(out.kind, PH_MATCH_PASS);
    assert_false(out.may_change);
    domain->typmod = numeric_10_2;
    ph_type_match_column(&here.catalog, &source, &there.catalog, &target, &out);
    assert_true(out.may_change);
    assert_int_equal(ph_type_column_typmod(&there.catalog, &target), numeric_10_2);
    assert_int_equal(ph_type_column_typmod(&there.catalog, &array), numeric_10_2);
    assert_int_equal(ph_type_column_typmod(&there.catalog, &loop), -1);
    fake_user(&there, LOOP)->base_oid = fake_oid(&there, POSINT); /* a domain over it */
    assert_int_equal(ph_type_column_typmod(&there.catalog, &loop), numeric_10_2);
}

static void
tables_take_the_format_of_the_worst_column(void **context)
{
    struct ph_column source[4] = {{.name = "id", .type_oid = INT4, .typmod = -1},
                                  {.name = "moods", .type_oid = fake_oid(&here, MOODS)},
                                  {.name = "rel", .type_oid = 2205, .typmod = -1},
                                  {.name = "bad", .type_oid = 1114, .typmod = -1}};
    struct ph_column target[4] = {{.name = "id", .type_oid = INT4, .typmod = -1},
                                  {.name = "moods", .type_oid = fake_oid(&there, MOODS)},
                                  {.name = "rel", .type_oid = 2205, .typmod = 3},
                                  {.name = "bad", .type_oid = INT4, .typmod = -1}};
    struct ph_plan_column columns[4];
    struct ph_table_match out;
    struct ph_error err;

    (void)context;
    for (int i = 0; i < 4; i++)
        columns[i] =
            (struct ph_plan_column){source[i].name, target[i].name, &source[i], &target[i], false};
    assert_int_equal(ph_type_match_table(columns, 0, &here.catalog, &there.catalog, &out, &err),
                     PH_OK);
    assert_int_equal(out.format, PH_FORMAT_BINARY);
    assert_int_equal(ph_type_match_table(columns, 1, &here.catalog, &there.catalog, &out, &err),
                     PH_OK);
    assert_int_equal(out.format, PH_FORMAT_BINARY);
    assert_string_equal(out.reason, "binary");
    assert_int_equal(ph_type_match_table(columns, 2, &here.catalog, &there.catalog, &out, &err),
                     PH_OK);
    assert_int_equal(out.format, PH_FORMAT_BINARY);
    assert_int_equal(ph_type_match_table(columns, 3, &here.catalog, &there.catalog, &out, &err),
                     PH_OK);
    assert_int_equal(out.format, PH_FORMAT_TEXT);
    assert_true(out.may_change);
    assert_string_equal(out.reason, "column rel: regclass names an object by OID");
    assert_int_equal(ph_type_match_table(columns, 4, &here.catalog, &there.catalog, &out, &err),
                     PH_E_TYPES);
    assert_string_equal(err.message, "column bad: timestamp on the source cannot become int4 on "
                                     "the target");
}

#define WITH_CATALOGS(test) cmocka_unit_test_setup(test, make_catalogs)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CATALOGS(types_of_the_same_structure_go_binary),
        WITH_CATALOGS(trap_31_embedded_oids_are_rewritten),
        WITH_CATALOGS(types_without_portable_bytes_go_as_text),
        WITH_CATALOGS(trap_33_extension_types_need_the_same_version),
        WITH_CATALOGS(trap_32_other_types_go_as_text_or_not_at_all),
        WITH_CATALOGS(trap_34_enum_labels_must_exist),
        WITH_CATALOGS(composites_are_compared_by_live_attributes),
        WITH_CATALOGS(trap_36_money_needs_the_same_locale),
        WITH_CATALOGS(typmods_that_change_values_are_told),
        WITH_CATALOGS(typmods_of_domains),
        WITH_CATALOGS(tables_take_the_format_of_the_worst_column),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
