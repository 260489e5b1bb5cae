/*
 * Hashes, password hashes and encryption against PostgreSQL and pgcrypto: what SQL computes of the
 * same values, reads back and accepts, by the statements that docs/rules.md gives.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../unit/mask_run.h"
#include "support/scratch.h"
#include "support/sql.h"

#define SECRET "a secret with 'quotes' \xc3\xa4"
#define SECRET_SQL "'a secret with ''quotes'' \xc3\xa4'"
/* the encryption key in SQL */
#define KEY_SQL "hmac(" SECRET_SQL ", 'pghaul encrypt key', 'sha256')"

static PGconn *conn;

static const char *const values[] = {
    "",
    "a",
    "sixteen bytes 16",
    "sixteen bytes 16+",
    "Gr\xc3\xbc\xc3\x9f"
    "e an alle, \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
    "it''s a quote, which SQL doubles",
    "a text of more than sixty-four bytes, so that more than one block of SHA-256 is read, and of"
    " more than seventy-two, where bcrypt stops reading"};
#define N_VALUES (sizeof values / sizeof values[0])

static int
start(void **state)
{
    (void)state;
    conn = sql_connect(pg_test_cluster_new(NULL), "postgres");
    sql_exec(conn, "CREATE EXTENSION pgcrypto; SET client_min_messages = error");
    return 0;
}

static int
end(void **state)
{
    (void)state;
    PQfinish(conn);
    return 0;
}

/* The value as the operator gets it: SQL's doubled quotes are single ones. */
static const char *
plain(size_t i)
{
    static char text[512];
    size_t n = 0;

    for (const char *c = values[i]; *c != '\0'; c++) {
        text[n++] = *c;
        c += *c == '\'';
    }
    text[n] = '\0';
    return text;
}

static void
begin(struct mask *mask, const char *name, const char *signature, const char *const *param)
{
    assert_true(mask_try(mask, name, signature, param, param == NULL ? 0 : 1, SECRET));
    mask->run.call.row_key = (struct ph_value){(const uint8_t *)"\0\0\0\4\0\0\0\1", 8};
}

static void
same_as(const char *name, const char *format)
{
    struct mask mask;

    begin(&mask, name, "text -> text", NULL);
    for (size_t i = 0; i < N_VALUES; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        const char *sql = scratch_printf(format, values[i]);
#pragma GCC diagnostic pop
        assert_string_equal(mask_text(&mask, plain(i)), sql_value(conn, sql));
    }
    mask_end(&mask);
}

static void
hashes(void **state)
{
    (void)state;
    same_as("sha256", "SELECT encode(sha256(convert_to('%s', 'UTF8')), 'hex')");
    same_as("md5", "SELECT md5('%s')");
    same_as("hmac", "SELECT encode(hmac('%s', " SECRET_SQL ", 'sha256'), 'hex')");
}

static void
bcrypt(void **state)
{
    static const char *const cost[] = {"5"};
    struct mask mask;

    (void)state;
    begin(&mask, "bcrypt", "text -> text", cost);
    for (size_t i = 0; i < N_VALUES; i++) {
        const char *hash = mask_text(&mask, plain(i));
        assert_string_equal(sql_valuef(conn, "SELECT crypt('%s', '%s')", values[i], hash), hash);
        assert_string_equal(
            sql_valuef(conn, "SELECT crypt('x%s', '%s') = '%s'", values[i], hash, hash), "f");
    }
    /* bytes above 127, where implementations of $2a$ have differed */
    for (int c = 0xa1; c <= 0xff; c++) {
        const char text[] = {(char)(c < 0xc0 ? 0xc2 : 0xc3), (char)(c < 0xc0 ? c : c - 0x40), 'x',
                             (char)(c < 0xc0 ? 0xc2 : 0xc3), (char)(c < 0xc0 ? c : c - 0x40), 0};
        const char *hash = mask_text(&mask, text);
        assert_string_equal(sql_valuef(conn, "SELECT crypt('%s', '%s')", text, hash), hash);
    }
    mask_end(&mask);
}

static void
bcrypt_keeps_hashes(void **state)
{
    static const char *const methods[] = {"bf", "md5"};
    static const char *const cost[] = {"4"};
    struct mask mask;

    (void)state;
    begin(&mask, "bcrypt", "text -> text", cost);
    for (size_t i = 0; i < 2; i++) {
        const char *hash = sql_valuef(conn, "SELECT crypt('pw', gen_salt('%s'))", methods[i]);
        assert_string_equal(mask_text(&mask, hash), hash);
    }
    mask_end(&mask);
}

static void
encrypt(void **state)
{
    struct mask mask;

    (void)state;
    begin(&mask, "encrypt", "text -> text", NULL);
    for (size_t i = 0; i < N_VALUES; i++) {
        const char *got = mask_text(&mask, plain(i));
        assert_string_equal(
            sql_valuef(conn,
                       "SELECT convert_from(decrypt_iv(substring(v from 17), " KEY_SQL ","
                       " substring(v for 16), 'aes-cbc/pad:pkcs'), 'UTF8') = '%s'"
                       " FROM decode('%s', 'base64') v",
                       values[i], got),
            "t");
    }
    mask_end(&mask);
    begin(&mask, "encrypt", "bytea -> bytea", NULL);
    for (size_t i = 0; i < N_VALUES; i++) {
        assert_int_equal(mask_bytes(&mask, plain(i), strlen(plain(i))), PH_RULE_OK);
        assert_true(mask.out.len <= 250);
        assert_string_equal(
            sql_valuef(conn,
                       "SELECT convert_from(decrypt_iv(substring(v from 17), " KEY_SQL ","
                       " substring(v for 16), 'aes-cbc/pad:pkcs'), 'UTF8') = '%s'"
                       " FROM decode('%s', 'hex') v",
                       values[i], mask_hex(&mask)),
            "t");
    }
    mask_end(&mask);
}

/* Values of types that have a form of their own are taken by their receive functions. */
static void
binary(const char *name, const char *signature, const char *const *params, uint32_t n_params,
       const char *type, const char *const *inputs)
{
    struct mask mask;

    assert_true(mask_try(&mask, name, signature, params, n_params, SECRET));
    mask.run.call.row_key = (struct ph_value){(const uint8_t *)"\0\0\0\4\0\0\0\1", 8};
    for (; *inputs != NULL; inputs++) {
        const char *sql = scratch_printf("SELECT '%s'::%s", *inputs, type);
        PGresult *in = PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, 1);
        assert_int_equal(PQresultStatus(in), PGRES_TUPLES_OK);
        assert_int_equal(mask_bytes(&mask, PQgetvalue(in, 0, 0), (size_t)PQgetlength(in, 0, 0)),
                         PH_RULE_OK);
        const char *const sent[] = {(const char *)mask.out.data};
        const Oid types[] = {PQftype(in, 0)};
        const int lengths[] = {mask.out.len};
        const int formats[] = {1};
        PGresult *out = PQexecParams(conn, "SELECT $1", 1, types, sent, lengths, formats, 1);
        if (PQresultStatus(out) != PGRES_TUPLES_OK)
            fail_msg("%s of %s %s: %s", name, type, *inputs, PQresultErrorMessage(out));
        /* canonical: what it sends again is what was given */
        assert_int_equal(PQgetlength(out, 0, 0), mask.out.len);
        assert_memory_equal(PQgetvalue(out, 0, 0), mask.out.data, mask.out.len);
        PQclear(out);
        PQclear(in);
    }
    mask_end(&mask);
}

static void
values_are_received(void **state)
{
    static const char *const range[] = {"-1234.5", "99999.99"};
    static const char *const numerics[] = {"0",      "1.00", "-77777777777777777777.123456789012",
                                           "0.0001", "NaN",  "1e300",
                                           "12",     "5.5",  NULL};
    static const char *const dates[] = {"2024-02-29", "infinity", "4714-11-24 BC", "5874897-12-31",
                                        NULL};
    static const char *const times[] = {"2024-02-29 12:13:14.15", "-infinity", "294276-12-31",
                                        NULL};
    static const char *const ips[] = {"10.1.2.3", "::1", "192.168.0.1/24", "2001:db8::/32", NULL};
    static const char *const nets[] = {"10.0.0.0/8", "0.0.0.0/0", "2001:db8::/33", "::1/128", NULL};
    static const char *const uuids[] = {"00000000-0000-0000-0000-000000000000",
                                        "ed6657de-2092-46b8-8b59-e12665a8aea6", NULL};
    static const char *const jsons[] = {
        "{\"a\": [1.50, \"B\\u00e9 c\\n\", {\"d\": \"\\ud83d\\ude00\"}], \"e\": null}",
        "\"x\"",
        "0",
        "[]",
        "-12.30",
        NULL};
    static const char *const numbers[] = {"numbers"};

    (void)state;
    binary("mask_number", "numeric -> numeric", range, 2, "numeric", numerics);
    binary("mask_date", "date -> date", NULL, 0, "date", dates);
    binary("mask_date", "timestamptz -> timestamptz", NULL, 0, "timestamptz", times);
    binary("mask_ip", "inet -> inet", NULL, 0, "inet", ips);
    binary("mask_ip", "cidr -> cidr", NULL, 0, "cidr", nets);
    binary("mask_uuid", "uuid -> uuid", NULL, 0, "uuid", uuids);
    binary("mask_json", "json -> json", NULL, 0, "json", jsons);
    binary("mask_json", "jsonb -> jsonb", numbers, 1, "jsonb", jsons);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes),
        cmocka_unit_test(bcrypt),
        cmocka_unit_test(bcrypt_keeps_hashes),
        cmocka_unit_test(encrypt),
        cmocka_unit_test(values_are_received),
    };

    return cmocka_run_group_tests(tests, start, end);
}
