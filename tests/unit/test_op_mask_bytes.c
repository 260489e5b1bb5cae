/*
 * Every operator on bytes that are no value of its type, cut, long, random: PH_RULE_BAD or a
 * result, the same for the same bytes, and text that was UTF-8 stays UTF-8. The bytes lie at the
 * end of their memory, so that a sanitizer sees one read too many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mask_run.h"

#include "rules/mask_letter.h"

#define ROUNDS 400

static const char *const param_sets[][2] = {{NULL, NULL}, {"4", NULL},       {"dns", NULL},
                                            {"1", "100"}, {"numbers", NULL}, {"example.net", NULL}};

static uint32_t
next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t
fill(uint8_t *bytes, uint32_t *state)
{
    static const uint8_t lengths[] = {0, 1, 2, 3, 4, 8, 16, 20, 33, 47};
    size_t len = lengths[next(state) % sizeof lengths];
    uint32_t kind = next(state) % 4;

    for (size_t i = 0; i < len; i++) {
        uint32_t c = next(state);
        const char *json = "\"\\u{}[]:,e-.0129 aZ\303\244";
        if (kind == 0)
            bytes[i] = (uint8_t)c;
        else if (kind == 1)
            bytes[i] = (uint8_t)(c & 1);
        else if (kind == 2)
            bytes[i] = (uint8_t)(32 + c % 95);
        else
            bytes[i] = (uint8_t)json[c % 22];
    }
    return len;
}

static void
run_on(struct mask *mask, const uint8_t *bytes, size_t len)
{
    uint8_t *exact = malloc(len == 0 ? 1 : len);
    struct ph_value args[2] = {{exact, (int32_t)len}, {exact, (int32_t)len}};
    size_t n;

    memcpy(exact, bytes, len);
    bool is_text = strncmp(mask->run.op->signature, "text ->", 7) == 0 &&
                   strstr(mask->run.op->signature, "-> text") != NULL;
    enum ph_rule_result rc = mask_values(mask, args);
    if (rc == PH_RULE_BAD) {
        assert_true((mask->run.op->flags & PH_RULE_MAY_BAD) != 0);
        assert_string_not_equal(mask->run.call.message, "");
    } else {
        assert_int_equal(rc, PH_RULE_OK);
        if (mask->out.len == PH_VALUE_NULL)
            assert_true((mask->run.op->flags & PH_RULE_MAY_NULL) != 0);
        else if (is_text && ph_letter_count((struct ph_span){bytes, len}, &n))
            assert_true(
                ph_letter_count((struct ph_span){mask->out.data, (size_t)mask->out.len}, &n));
        uint64_t first = mask_fold(&mask->out);
        assert_int_equal(mask_values(mask, args), PH_RULE_OK);
        assert_true(mask_fold(&mask->out) == first);
    }
    free(exact);
}

static bool
is_ours(const char *name)
{
    static const char *const names[] = {"sha256", "md5",     "hmac",    "hmac_short",
                                        "bcrypt", "encrypt", "uuid_v5", "hash_int"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return strncmp(name, "mask_", 5) == 0;
}

static void
any_bytes(void **context)
{
    uint32_t state = 1;

    (void)context;
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        for (uint32_t i = 0; i < family->n_ops; i++) {
            const struct ph_rule_op *op = &family->ops[i];
            bool has_run = false;
            if (!is_ours(op->name))
                continue;
            for (size_t p = 0; p < sizeof param_sets / sizeof param_sets[0]; p++) {
                struct mask mask;
                uint32_t n = (param_sets[p][0] != NULL) + (param_sets[p][1] != NULL);
                if ((op->params == NULL && n > 0) || (strcmp(op->name, "bcrypt") == 0 && n != 1))
                    continue;
                if (mask_try(&mask, op->name, op->signature, param_sets[p], n, MASK_SECRET)) {
                    uint8_t bytes[64];
                    int rounds = strcmp(op->name, "bcrypt") == 0 ? 20 : ROUNDS;
                    mask.run.call.row_key = (struct ph_value){(const uint8_t *)"\0\0\0\1x", 5};
                    for (int round = 0; round < rounds; round++)
                        run_on(&mask, bytes, fill(bytes, &state));
                    has_run = true;
                }
                mask_end(&mask);
            }
            if (!has_run)
                fail_msg("%s(%s) has not run", op->name, op->signature);
        }
    }
}

static void *
no_memory(void *arena, size_t len)
{
    (void)arena;
    (void)len;
    return NULL;
}

/* On a letter or digits, as far as it takes them. */
static void
out_of_memory(void **context)
{
    (void)context;
    for (const struct ph_rule_family *family = ph_rule_families; family->name != NULL; family++) {
        for (uint32_t i = 0; i < family->n_ops; i++) {
            const struct ph_rule_op *op = &family->ops[i];
            struct mask mask;
            if (!is_ours(op->name))
                continue;
            if (mask_try(&mask, op->name, op->signature, NULL, 0, MASK_SECRET)) {
                const struct ph_value args[2] = {{(const uint8_t *)"12345678", 8},
                                                 {(const uint8_t *)"12345678", 8}};
                mask.run.call.row_key = args[0];
                mask.run.call.alloc = no_memory;
                enum ph_rule_result rc = mask_values(&mask, args);
                assert_true(rc != PH_RULE_OK || strcmp(op->name, "mask_null") == 0);
            }
            mask_end(&mask);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes),
        cmocka_unit_test(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
