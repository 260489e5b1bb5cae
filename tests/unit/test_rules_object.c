/* Objects, libraries, compilers and secrets that are not what they should be: code, cause, way out.
 */
#include "job/rules_make.h"
#include "rules_case.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOB "tables: {t: {columns: {a: {do: [upper]}}}}\n"

static void
one_table(void)
{
    begin_again();
    table_on_both("public.t", "id int4*, a text", "id int4*, a text");
}

static const char *
path_of(const char *name)
{
    const char *path = ph_arena_printf(&fake.arena, "%s/%s", fake.dir, name);

    assert_non_null(path);
    return path;
}

static const char *
write_file(const char *name, const char *text, mode_t mode)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

/* A shared object of that C. */
static const char *
compiled(const char *name, const char *code)
{
    const char *source = write_file("made.c", code, 0600);
    const char *path = path_of(name);
    FILE *cc = popen(ph_arena_printf(&fake.arena, "cc -shared -fPIC -w -I%s/../include -o %s %s",
                                     PH_TEST_DIR, path, source),
                     "r");

    assert_non_null(cc);
    assert_int_equal(pclose(cc), 0);
    assert_int_equal(chmod(path, 0700), 0);
    return path;
}

/* All that a user would read. */
static void
fails(ph_code got, ph_code code, const char *message, const char *way_out)
{
    char text[2048];

    if (got != code)
        fail_msg("code %d instead of %d: %s", (int)got, (int)code, fake.err.message);
    says(fake.err.message, message);
    ph_error_format(&fake.err, text, sizeof text);
    says(text, way_out);
}

static void
make_fails(const char *job, ph_code code, const char *message, const char *way_out)
{
    fails(fake_make(&fake, job), code, message, way_out);
}

/* ---- objects made elsewhere ---- */

static void
objects_of_something_else(void **state)
{
    static const char format[] = "#include <pghaul/rule.h>\n"
                                 "static const struct ph_route_code routes[1];\n"
                                 "const struct ph_rule_object ph_rule_object = {.abi = %u, "
                                 ".fingerprint = \"%s\", .routes = routes, .n_routes = %u, "
                                 ".n_calls = 1};\n";
    static const char build[] = "way out: make it again of this job file and these two databases, "
                                "by this version of pghaul: `pghaul rules build JOB --output "
                                "FILE.so`";
    char print[64];

    (void)state;
    one_table();
    fake_must_make(&fake, JOB);
    snprintf(print, sizeof print, "%s", ph_ruleset_fingerprint(fake.set));
    fake.params.object = compiled("empty.so", "int nothing;\n");
    make_fails(JOB, PH_E_COMPILER, "exports no ph_rule_object", build);
    fake.params.object =
        compiled("abi.so", ph_arena_printf(&fake.arena, format, PH_RULE_ABI + 7, print, 1u));
    make_fails(JOB, PH_E_COMPILER, "was made for interface 8 of rules, not 1", build);
    fake.params.object =
        compiled("print.so", ph_arena_printf(&fake.arena, format, PH_RULE_ABI, "0123", 1u));
    make_fails(JOB, PH_E_COMPILER, "was made of other rules or other tables (0123, these are",
               build);
    fake.params.object =
        compiled("routes.so", ph_arena_printf(&fake.arena, format, PH_RULE_ABI, print, 7u));
    make_fails(JOB, PH_E_COMPILER, "has other routes than its fingerprint says", build);
    fake.params.object = path_of("nowhere.so");
    make_fails(JOB, PH_E_COMPILER, "nowhere.so: No such file or directory", "pghaul rules build");
    fake.params.object = fake.dir;
    make_fails(JOB, PH_E_COMPILER, "is not a file", "pghaul rules build");
    fake.params.object = write_file("text.so", "not an object\n", 0700);
    make_fails(JOB, PH_E_COMPILER, "the compiled rules cannot be loaded", "mounted noexec");
}

/* The same rules, of tables that have changed since. */
static void
objects_of_another_catalog(void **state)
{
    const char *path;

    (void)state;
    one_table();
    path = path_of("catalog.so");
    fake_must_make(&fake, JOB);
    assert_int_equal(ph_ruleset_build(&fake.params, path, &fake.err), PH_OK);
    fake.params.object = path;
    fake_must_make(&fake, JOB);
    fake.target.columns[0][1].not_null = true;
    make_fails(JOB, PH_E_COMPILER, "was made of other rules or other tables", "pghaul rules build");
    fake.target.columns[0][1].not_null = false;
    make_fails("tables: {t: {where: \"id > 1\", columns: {a: {do: [upper]}}}}\n", PH_E_COMPILER,
               "was made of other rules or other tables", "pghaul rules build");
}

static void
objects_of_others(void **state)
{
    static const char whose[] = "way out: its code would run with this user's rights: make it "
                                "again, as this user or root and with mode go-w";
    const char *path;

    (void)state;
    one_table();
    path = path_of("whose.so");
    fake_must_make(&fake, JOB);
    assert_int_equal(ph_ruleset_build(&fake.params, path, &fake.err), PH_OK);
    fake.params.object = path;
    for (mode_t bit = 020; bit > 0; bit = bit == 020 ? 002 : 0) {
        assert_int_equal(chmod(path, 0700 | bit), 0);
        make_fails(JOB, PH_E_COMPILER, "whose.so can be written by others", whose);
    }
    assert_int_equal(chmod(path, 0700), 0);
    fake_must_make(&fake, JOB);
    if (geteuid() != 0)
        return; /* only root gives a file away */
    assert_int_equal(chown(path, 65534, 65534), 0);
    make_fails(JOB, PH_E_COMPILER, "whose.so belongs to another user", whose);
}

/* ---- libraries ---- */

static void
libraries(void **state)
{
    static const struct {
        const char *code;
        const char *message;
    } cases[] = {
        {"int nothing;\n", "exports no ph_rule_library"},
        {"#include <pghaul/rule.h>\n"
         "const struct ph_rule_library ph_rule_library = {PH_RULE_ABI + 1, 0, 0};\n",
         "was made for interface 2 of rules, this pghaul has 1: compile it again"},
        {"#include <pghaul/rule.h>\n"
         "static const struct ph_rule_op ops[] = {{.name = \"f\", .signature = \"text -> "
         "text\"}};\n"
         "const struct ph_rule_library ph_rule_library = {PH_RULE_ABI, ops, 1};\n",
         "operator 1 lacks name, signature or run"},
    };
    char job[512];

    (void)state;
    one_table();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = compiled(ph_arena_printf(&fake.arena, "lib%zu.so", i), cases[i].code);
        snprintf(job, sizeof job, "tables: {t: {columns: {a: {c: \"%s:f\"}}}}\n", path);
        make_fails(job, PH_E_RULES, cases[i].message, path);
    }
    const char *path = write_file("text.so", "not an object\n", 0700);
    snprintf(job, sizeof job, "tables: {t: {columns: {a: {c: \"%s:f\"}}}}\n", path);
    make_fails(job, PH_E_RULES, "the library cannot be loaded", path);
}

/* An operator of one's own follows a foreign key as others do, and is refused as others are. */
static void
operators_of_others_and_references(void **state)
{
    static const int16_t numbers[] = {1, 2};
    static const char code[] =
        "#include <pghaul/rule.h>\n"
        "static enum ph_rule_result same(struct ph_rule_call *call, const struct ph_value *args, "
        "struct ph_value *out) { *out = args[0]; return PH_RULE_OK; }\n"
        "static const struct ph_rule_op ops[] = {\n"
        "  {\"salted\", \"int8 -> int8\", 0, PH_RULE_INJECTIVE | PH_RULE_KEYED, same, 0, 0, "
        "\"\"},\n"
        "  {\"same\", \"int8 -> int8\", 0, PH_RULE_INJECTIVE, same, 0, 0, \"\"},\n"
        "  {\"same\", \"int4 -> int4\", 0, PH_RULE_INJECTIVE, same, 0, 0, \"\"}};\n"
        "const struct ph_rule_library ph_rule_library = {PH_RULE_ABI, ops, 3};\n";
    static const char job[] = "tables: {users: {columns: {id: {c: '%s:%s'}}}}\n";
    uint32_t n;

    (void)state;
    for (int i = 0; i < 2; i++) {
        begin_again();
        const char *library = compiled("keyed.so", code);
        for (int side = 0; side < 2; side++) {
            struct fake_tables *world = side == 0 ? &fake.source : &fake.target;
            const struct ph_rel *users = fake_table(world, "public.users", "id int8*");
            const struct ph_rel *posts =
                fake_table(world, "public.posts", i == 0 ? "id int8*, u int8" : "id int8*, u int4");
            world->foreign_keys[world->catalog.n_foreign_keys++] =
                (struct ph_foreign_key){.name = "fk",
                                        .rel_oid = posts->oid,
                                        .ref_oid = users->oid,
                                        .attnums = numbers + 1,
                                        .ref_attnums = numbers,
                                        .n_attnums = 1};
        }
        refused(ph_arena_printf(&fake.arena, job, library, "salted"),
                "column u refers to public.users.id, whose rule depends on the row it is in");
        if (i == 1) {
            refused(ph_arena_printf(&fake.arena, job, library, "same"),
                    "same makes different values of equal ones; begin the rule with {cast: int4}");
            continue;
        }
        fake_must_make(&fake, ph_arena_printf(&fake.arena, job, library, "same"));
        says(ph_ruleset_of(fake.set, fake.source.rels[1].oid, &n)->outputs[1].words,
             "from u, through same, because it refers to public.users.id");
    }
}

/* ---- the compiler ---- */

static bool
is_empty(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n == 2;
}

static void
set_path(const char *path)
{
    static char *kept;

    if (kept == NULL)
        kept = strdup(getenv("PATH"));
    assert_int_equal(setenv("PATH", path != NULL ? path : kept, 1), 0);
}

/* cc is looked for on PATH; without one, or with one that fails, nothing is left behind. */
static void
compilers(void **state)
{
    static const char install[] = "way out: install a C compiler as `cc`, or make the object "
                                  "elsewhere with `pghaul rules build`";
    static const char job[] = "tables: {t: {columns: {a: {do: [initcap, lower]}}}}\n";
    const char *tools;
    const char *work;

    (void)state;
    one_table();
    tools = path_of("tools");
    work = path_of("work");
    assert_int_equal(mkdir(tools, 0700), 0);
    assert_int_equal(mkdir(work, 0700), 0);
    assert_int_equal(setenv("TMPDIR", work, 1), 0);
    for (int keeps = 0; keeps < 2; keeps++) {
        fake.cache = keeps == 1 ? NULL : "";
        set_path(tools);
        make_fails(job, PH_E_COMPILER, "no compiler: cc: No such file or directory", install);
        write_file("tools/cc", "#!/bin/sh\necho 'no space left' >&2\nexit 3\n", 0700);
        make_fails(job, PH_E_COMPILER, "cc failed: no space left", install);
        write_file("tools/cc", "#!/bin/sh\nexit 3\n", 0700);
        make_fails(job, PH_E_COMPILER, "cc failed: it said nothing", install);
        assert_int_equal(unlink(path_of("tools/cc")), 0);
        assert_true(is_empty(work));
        set_path(NULL);
    }
    fake_must_make(&fake, job);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

/* Without a folder of the job's what is compiled is loaded and gone. */
static void
nothing_is_kept_without_a_folder(void **state)
{
    const char *work;
    const char *output;

    (void)state;
    one_table();
    work = path_of("passing");
    output = path_of("output.so");
    assert_int_equal(mkdir(work, 0700), 0);
    assert_int_equal(setenv("TMPDIR", work, 1), 0);
    fake.cache = "";
    fake_must_make(&fake, JOB);
    assert_string_equal(fake_run(&fake, 0, "1|x"), "1|X");
    assert_true(is_empty(work));
    assert_int_equal(ph_ruleset_build(&fake.params, output, &fake.err), PH_OK);
    assert_true(is_empty(work));
    assert_int_equal(access(output, X_OK), 0);
    assert_int_equal(setenv("TMPDIR", "/nowhere", 1), 0);
    make_fails(JOB, PH_E_COMPILER, "cannot make the folder /nowhere/pghaul-rules.",
               "way out: name a folder that can be written to in TMPDIR");
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

static void
folders(void **state)
{
    const char *job = "tables: {t: {columns: {a: {do: [lower, upper]}}}}\n";

    (void)state;
    one_table();
    assert_int_equal(mkdir(path_of("open"), 0700), 0);
    assert_int_equal(chmod(path_of("open"), 0722), 0);
    fake.cache = path_of("open");
    make_fails(job, PH_E_COMPILER,
               "open must be a folder of this user that nobody else can write to",
               "way out: chmod 700 it when it is yours, or name another one with --dir");
    write_file("file", "", 0700);
    fake.cache = path_of("file");
    make_fails(job, PH_E_COMPILER, "file must be a folder of this user", "--dir");
    fake.cache = "/nowhere/at/all";
    make_fails(job, PH_E_COMPILER, "cannot make the folder /nowhere/at/all: No such file",
               "way out:");
}

/* ---- the secret ---- */

static ph_code
make_with_secret(const char *secret)
{
    static bool selected[FAKE_RELS];
    static const struct ph_selection selection = {
        .whole_database = true, .rels = selected, .n_rels = FAKE_RELS, .n_tables = 1};
    struct ph_rules_made made;
    char job[1024];

    for (size_t i = 0; i < FAKE_RELS; i++)
        selected[i] = true;
    snprintf(job, sizeof job, "secret: {%s}\ntables: {t: {columns: {a: {mask: email}}}}\n", secret);
    if (fake_make(&fake, job) != PH_OK)
        fail_msg("%s", fake.err.message);
    fake.options.dir = fake.dir;
    const struct ph_rules_params params = {.options = &fake.options,
                                           .source = &fake.source.catalog,
                                           .target = &fake.target.catalog,
                                           .selection = &selection};
    ph_error_reset(&fake.err);
    ph_code rc = ph_rules_make(&params, &made, &fake.err);
    fake.options.dir = NULL;
    if (rc == PH_OK)
        assert_int_equal(made.in_use.secret_len, 8);
    else
        assert_null(made.set);
    ph_rules_free(&made);
    return rc;
}

static void
secrets(void **state)
{
    static const struct {
        const char *secret; /* NULL: not set */
        const char *why;    /* NULL: fine */
    } cases[] = {
        {NULL, "it is not set"},
        {"", "it is empty"},
        {"\n", "it is empty"},
        {"1234567", "it is too short"},
        {"1234567\n", "it is too short"},
        {"12345678", NULL},
        {"12345678\r\n", NULL},
    };
    static const char way_out[] = "way out: put at least 8 characters there, the same every time: "
                                  "other characters give other masks";
    char long_text[5000];
    char key[200];

    (void)state;
    one_table();
    unsetenv("PGHAUL_TEST_SECRET");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = path_of("secret");
        if (cases[i].secret != NULL) {
            assert_int_equal(setenv("PGHAUL_TEST_SECRET", cases[i].secret, 1), 0);
            write_file("secret", cases[i].secret, 0600);
        }
        ph_code rc = make_with_secret("env: PGHAUL_TEST_SECRET");
        if (cases[i].why == NULL)
            assert_int_equal(rc, PH_OK);
        else
            fails(rc, PH_E_RULES,
                  ph_arena_printf(&fake.arena,
                                  "the secret of environment variable PGHAUL_TEST_SECRET: %s",
                                  cases[i].why),
                  way_out);
        snprintf(key, sizeof key, "file: %s", path);
        rc = make_with_secret(key);
        if (cases[i].why == NULL)
            assert_int_equal(rc, PH_OK);
        else
            fails(rc, PH_E_RULES, cases[i].secret == NULL ? "No such file" : cases[i].why, way_out);
    }
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    write_file("secret", long_text, 0600);
    snprintf(key, sizeof key, "file: %s", path_of("secret"));
    fails(make_with_secret(key), PH_E_RULES, "it is too long", way_out);
    snprintf(key, sizeof key, "file: %s", fake.dir);
    fails(make_with_secret(key), PH_E_RULES, "Is a directory", way_out);
    if (geteuid() == 0)
        return; /* may read everything */
    write_file("secret", "12345678", 0);
    snprintf(key, sizeof key, "file: %s", path_of("secret"));
    fails(make_with_secret(key), PH_E_RULES, "Permission denied", way_out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(objects_of_something_else),
        rules_test(objects_of_another_catalog),
        rules_test(objects_of_others),
        rules_test(libraries),
        rules_test(operators_of_others_and_references),
        rules_test(compilers),
        rules_test(nothing_is_kept_without_a_folder),
        rules_test(folders),
        rules_test(secrets),
    };

    return rules_run("test_rules_object", tests);
}
