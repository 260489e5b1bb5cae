/* The archive's table of contents and the cutting of pg_restore's script, on bytes made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/archive.h"
#include "pg/archive_script.h"
#include "pg/archive_toc.h"
#include "pg/tool.h"

static void
put_int(struct ph_buf *out, int32_t value)
{
    uint32_t magnitude = (uint32_t)(value < 0 ? -value : value);

    ph_buf_putc(out, value < 0 ? 1 : 0);
    for (int i = 0; i < 4; i++)
        ph_buf_putc(out, (char)(magnitude >> (8 * i)));
}

static void
put_string(struct ph_buf *out, const char *text)
{
    put_int(out, text != NULL ? (int32_t)strlen(text) : -1);
    if (text != NULL)
        ph_buf_puts(out, text);
}

struct made {
    int id;
    const char *desc;
    const char *tag;
    int section;
    const char *definition;
    const char *dep;
};

static void
put_archive(struct ph_buf *out, int minor, const struct made *entries, int n)
{
    ph_buf_init(out, 1 << 20);
    ph_buf_puts(out, "PGDMP");
    ph_buf_putc(out, 1);
    ph_buf_putc(out, (char)minor);
    ph_buf_putc(out, 0);
    ph_buf_putc(out, 4);
    ph_buf_putc(out, 8);
    ph_buf_putc(out, 1);
    if (minor >= 15)
        ph_buf_putc(out, 0);
    else
        put_int(out, -1);
    for (int i = 0; i < 7; i++)
        put_int(out, i);
    put_string(out, "the db");
    put_string(out, "15.4");
    put_string(out, "15.4");
    put_int(out, n);
    for (int i = 0; i < n; i++) {
        put_int(out, entries[i].id);
        put_int(out, 0);
        put_string(out, "1259");
        put_string(out, "4294967295");
        put_string(out, entries[i].tag);
        put_string(out, entries[i].desc);
        put_int(out, entries[i].section);
        put_string(out, entries[i].definition);
        put_string(out, "DROP it");
        put_string(out, NULL);
        put_string(out, "app");
        put_string(out, "");
        put_string(out, "heap");
        if (minor >= 16)
            put_int(out, 'r');
        put_string(out, "me");
        put_string(out, "false");
        if (entries[i].dep != NULL)
            put_string(out, entries[i].dep);
        put_string(out, NULL);
        for (int k = 0; k < 9; k++)
            ph_buf_putc(out, 0);
    }
    assert_true(ph_buf_ok(out));
}

static const char body[] =
    "CREATE FUNCTION f() AS '\n--\n-- TOC entry 4 (class 1259 OID 1)\n"
    "-- Name: x\n--\n\n\\connect nowhere\nSET default_tablespace = no;\n';\n";

static const struct made sample[] = {
    {9, "DATABASE", "the db", 2, "CREATE DATABASE \"the db\" WITH TEMPLATE = template0;\n", NULL},
    {3, "FUNCTION", "f()", 2, body, NULL},
    {4, "TABLE", "t", 2, "CREATE TABLE app.t ();\n", "3"},
    {5, "INDEX", "i", 4, "CREATE INDEX i ON app.t (a);\n", "4"},
    {6, "COMMENT", "TABLE t", 1, "COMMENT ON TABLE app.t IS '';\n", "4"},
    {7, "COMMENT", "INDEX i", 1, "COMMENT ON INDEX app.i IS '';\n", "5"},
    {8, "ACL", "TABLE t", 1, "GRANT SELECT ON app.t TO x;\n", "4"},
    {10, "TABLE DATA", "t", 3, "", "4"},
};

#define N_SAMPLE ((int)(sizeof sample / sizeof *sample))

static void
test_toc_versions(void **state)
{
    (void)state;
    for (int minor = 14; minor <= 16; minor++) {
        struct ph_arena arena;
        struct ph_buf bytes;
        struct ph_toc toc;
        struct ph_error err = {0};

        ph_arena_init(&arena, 1 << 20);
        put_archive(&bytes, minor, sample, N_SAMPLE);
        assert_int_equal(ph_toc_parse((struct ph_span){bytes.data, bytes.len}, &arena, &toc, &err),
                         PH_OK);
        assert_int_equal(toc.n_entries, N_SAMPLE);
        assert_string_equal(toc.database, "the db");
        assert_int_equal(toc.entries[2].dump_id, 4);
        assert_int_equal(toc.entries[2].class_oid, 1259);
        assert_int_equal(toc.entries[2].oid, 4294967295u);
        assert_string_equal(toc.entries[2].owner, "me");
        assert_string_equal(toc.entries[2].schema, "app");
        assert_int_equal(toc.entries[2].n_deps, 1);
        assert_int_equal(toc.entries[2].deps[0], 3);
        assert_int_equal(toc.entries[3].section, PH_TOC_POST_DATA);
        ph_buf_free(&bytes);
        ph_arena_reset(&arena);
    }
}

static void
test_toc_cut_anywhere(void **state)
{
    struct ph_buf bytes;

    (void)state;
    put_archive(&bytes, 16, sample, N_SAMPLE);
    for (size_t len = 0; len < bytes.len; len++) {
        uint8_t *exact = malloc(len + 1);
        struct ph_arena arena;
        struct ph_toc toc;

        assert_non_null(exact);
        memcpy(exact, bytes.data, len);
        ph_arena_init(&arena, 1 << 20);
        assert_int_not_equal(ph_toc_parse((struct ph_span){exact, len}, &arena, &toc, NULL), PH_OK);
        ph_arena_reset(&arena);
        free(exact);
    }
    ph_buf_free(&bytes);
}

static void
test_toc_unknown_version(void **state)
{
    struct ph_arena arena;
    struct ph_buf bytes;
    struct ph_toc toc;

    (void)state;
    ph_arena_init(&arena, 1 << 20);
    put_archive(&bytes, 17, sample, N_SAMPLE);
    assert_int_equal(ph_toc_parse((struct ph_span){bytes.data, bytes.len}, &arena, &toc, NULL),
                     PH_E_VERSION);
    bytes.data[0] = 'X';
    assert_int_equal(ph_toc_parse((struct ph_span){bytes.data, bytes.len}, &arena, &toc, NULL),
                     PH_E_PROTOCOL);
    ph_buf_free(&bytes);
    ph_arena_reset(&arena);
}

static void
open_sample(struct ph_archive *archive, const char *script, ph_code expected)
{
    struct ph_buf bytes;
    struct ph_toc toc;

    *archive = (struct ph_archive){0};
    ph_arena_init(&archive->arena, 1 << 20);
    ph_buf_init(&archive->script, 1 << 20);
    ph_buf_puts(&archive->script, script);
    put_archive(&bytes, 14, sample, N_SAMPLE);
    assert_int_equal(
        ph_toc_parse((struct ph_span){bytes.data, bytes.len}, &archive->arena, &toc, NULL), PH_OK);
    assert_int_equal(ph_archive_split(archive, &toc, NULL), expected);
    ph_buf_free(&bytes);
}

#define HEADER(id, deps, name)                                                                     \
    "--\n-- TOC entry " id " (class 1259 OID 1)\n" deps "-- Name: " name "\n--\n\n"

static const char script_head[] =
    "--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSET row_security = off;\n\n" HEADER(
        "9", "",
        "the db") "CREATE DATABASE \"the db\" WITH TEMPLATE = template0;\n\n\n"
                  "ALTER DATABASE \"the db\" OWNER TO me;\n\n\\unrestrict abc\n\\connect x\n"
                  "\\restrict abc\n\nSET row_security = off;\n\n";

static void
test_split_by_definition(void **state)
{
    struct ph_archive archive;
    struct ph_buf script;

    (void)state;
    ph_buf_init(&script, 1 << 20);
    ph_buf_printf(
        &script,
        "%s" HEADER(
            "3", "",
            "f()") "%s\n\nALTER FUNCTION f() OWNER TO me;\n\n"
                   "SET default_tablespace = fast;\n\nSET default_table_access_method = heap;\n\n",
        script_head, body);
    ph_buf_puts(&script, HEADER("4", "-- Dependencies: 3\n", "t") "CREATE TABLE app.t ();\n\n\n");
    ph_buf_puts(&script, HEADER("6", "", "TABLE t") "COMMENT ON TABLE app.t IS '';\n\n\n"
                                                    "SET default_tablespace = '';\n\n");
    ph_buf_puts(&script, HEADER("5", "", "i") "CREATE INDEX i ON app.t (a);\n\n\n");
    ph_buf_puts(&script, HEADER("7", "", "INDEX i") "COMMENT ON INDEX app.i IS '';\n\n\n");
    ph_buf_puts(&script, HEADER("8", "", "TABLE t") "GRANT SELECT ON app.t TO x;\n\n\n"
                                                    "-- Completed on x\n\n--\n-- complete\n--\n\n"
                                                    "\\unrestrict abc\n\n");
    open_sample(&archive, ph_buf_text(&script), PH_OK);
    assert_int_equal(archive.n_entries, 7);
    assert_string_equal(archive.entries[0].sql,
                        "CREATE DATABASE \"the db\" WITH TEMPLATE = template0;\n\n\n"
                        "ALTER DATABASE \"the db\" OWNER TO me;");
    assert_int_equal(archive.entries[0].part, PH_PART_DATABASE);
    assert_int_equal(strncmp(archive.entries[1].sql, body, strlen(body)), 0);
    assert_non_null(strstr(archive.entries[1].sql, "OWNER TO me;"));
    assert_string_equal(archive.entries[1].settings, "");
    assert_string_equal(archive.entries[2].sql, "CREATE TABLE app.t ();");
    assert_string_equal(
        archive.entries[2].settings,
        "SET default_tablespace = fast;\nSET default_table_access_method = heap;\n");
    assert_int_equal(archive.entries[3].part, PH_PART_PRE_DATA);
    assert_string_equal(archive.entries[4].settings,
                        "SET default_tablespace = '';\nSET default_table_access_method = heap;\n");
    assert_int_equal(archive.entries[5].part, PH_PART_POST_DATA);
    assert_string_equal(archive.entries[6].sql, "GRANT SELECT ON app.t TO x;");
    assert_int_equal(archive.entries[6].part, PH_PART_POST_DATA);
    assert_ptr_equal(ph_archive_find(&archive, 5), &archive.entries[4]);
    assert_null(ph_archive_find(&archive, 10));
    ph_archive_reset(&archive);
    ph_buf_free(&script);
}

static void
test_split_refuses_unknown_entry(void **state)
{
    struct ph_archive archive;

    (void)state;
    open_sample(&archive, "\n" HEADER("99", "", "x") "SELECT 1;\n", PH_E_PROTOCOL);
    ph_archive_reset(&archive);
    open_sample(&archive, "", PH_OK);
    assert_int_equal(archive.n_entries, 0);
    ph_archive_reset(&archive);
    open_sample(&archive, "\n" HEADER("4", "", "t") HEADER("5", "", "i"), PH_OK);
    assert_int_equal(archive.n_entries, 2);
    assert_string_equal(archive.entries[0].sql, "");
    assert_string_equal(archive.entries[1].sql, "");
    ph_archive_reset(&archive);
}

static void
test_tool_version(void **state)
{
    (void)state;
    assert_int_equal(ph_tool_parse_version("pg_dump (PostgreSQL) 15.4 (Debian 15.4-1)\n"), 15);
    assert_int_equal(ph_tool_parse_version("pg_dump (PostgreSQL) 19devel\n"), 19);
    assert_int_equal(ph_tool_parse_version("something else 15\n"), 0);
    assert_int_equal(ph_tool_parse_version(""), 0);
}

static void
test_tool_failures(void **state)
{
    struct ph_error err = {0};
    struct ph_tool tool;
    struct ph_buf out;
    const char *argv[] = {"/bin/sh", "-c", "echo one; echo 'x: error: the cause' >&2; exit 3",
                          NULL};
    const char *missing[] = {"/nonexistent/pg_dump", NULL};

    (void)state;
    ph_buf_init(&out, 4096);
    assert_int_equal(ph_tool_run(&(struct ph_tool_run){.argv = argv, .out = &out}, &err),
                     PH_E_TOOL);
    assert_string_equal(ph_buf_text(&out), "one\n");
    assert_non_null(strstr(err.message, "error: the cause"));
    assert_int_equal(ph_tool_run(&(struct ph_tool_run){.argv = missing}, &err), PH_E_TOOL);
    assert_int_equal(ph_tool_find("pg_no_such_tool", 15, 15, &tool, &err), PH_E_TOOL);
    ph_buf_free(&out);
    ph_buf_init(&out, 2);
    argv[2] = "echo much";
    assert_int_equal(ph_tool_run(&(struct ph_tool_run){.argv = argv, .out = &out}, &err),
                     PH_E_MEMORY);
    ph_buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toc_versions),
        cmocka_unit_test(test_toc_cut_anywhere),
        cmocka_unit_test(test_toc_unknown_version),
        cmocka_unit_test(test_split_by_definition),
        cmocka_unit_test(test_split_refuses_unknown_entry),
        cmocka_unit_test(test_tool_version),
        cmocka_unit_test(test_tool_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
