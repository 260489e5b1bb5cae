/*
 * Refusals of the check, a row each: tables, the job's entry for the first of them, and words of
 * the message, which says what is wrong and where the way out is.
 */
#include "rules_case.h"

#include <unistd.h>

struct refusal {
    const char *source;
    const char *target;
    const char *entry;   /* of public.t */
    const char *message; /* NULL: it is fine */
};

#define SECRET "secret: {env: S}\n"

static void
refuse_all(const struct refusal *cases, size_t n, const char *head, bool follows)
{
    char job[1024];

    for (size_t i = 0; i < n; i++) {
        begin_again();
        fake.params.follows = follows;
        table_on_both("public.t", cases[i].source, cases[i].target);
        snprintf(job, sizeof job, "%stables: {t: {%s}}\n", head, cases[i].entry);
        if (cases[i].message != NULL)
            refused(job, cases[i].message);
        else
            fake_must_make(&fake, job);
    }
}
#define REFUSE_ALL(cases, head, follows)                                                           \
    refuse_all(cases, sizeof(cases) / sizeof(cases)[0], head, follows)

/* ---- chains ---- */

static void
chains(void **state)
{
    static const struct refusal cases[] = {
        {"id int4*, a text, b text", "id int4*, a text", "columns: {a: {do: [default], from: b}}",
         "default needs one constant"},
        {"id int4*, a text, b text", "id int4*, a text",
         "columns: {a: {do: [{map: m}], from: [a, b]}}", "map takes one column, not 2"},
        {"id int4*, a text, b text", "id int4*, a text",
         "columns: {a: {do: [{default: x}], from: [a, b]}}", "default takes one column, not 2"},
        {"id int4*, a text", "id int4*, a text", "columns: {a: {do: [{upper: [1]}]}}",
         "upper takes no constants"},
        {"id int4*, a text", "id int4*, a text", "columns: {a: {mask: email}}",
         "mask_email needs a secret; add `secret: {env: NAME}` to the job file"},
        {"id int4*, a point", "id int4*, a date", "",
         "column a: point on the source cannot become date on the target; say how with `do:`"},
        {"id int4*, a text", "b text", "drop: [id, a]", "nothing goes from public.t to public.t"},
        {"id int4*, a text", "id int4*, a int4", "columns: {a: {map: d}}",
         "\"x\" is not of type int4"},
    };

    (void)state;
    REFUSE_ALL(cases, "maps: {m: {a: b}, d: {a: x}}\n", false);
}

/* ---- names ---- */

static void
relations(void **state)
{
    (void)state;
    table_on_both("public.t", "id int4*", "id int4*");
    fake.source.rels[0].kind = PH_REL_VIEW;
    refused("tables: {t: {}}", "public.t on the source is not a table");
    fake.source.rels[0].kind = PH_REL_TABLE;
    fake.target.rels[0].kind = PH_REL_MATVIEW;
    refused("tables: {t: {}}", "public.t on the target is not a table");
}

/* ---- shapes ---- */

static void
shapes(void **state)
{
    static const struct refusal cases[] = {
        {"id int4*, a json, x int4, y int4", "id int4*, v text, k text*",
         "unpivot: {columns: [x, y], name: k, value: v}, each: {column: a, value: v}",
         "`unpivot` and `each` cannot be on one table; make two entries of `into:`"},
        {"id int4*, a json", "id int4*, v text, n text*",
         "each: {column: a, value: v, position: n}",
         "column n for the position must be an integer"},
        {"id int4*, x text, y text", "id int4, v text",
         "unpivot: {columns: [x, y], name: v, value: v}",
         "job.yaml:1:57: public.t: `name` and `value` of `unpivot` are both column v, which holds "
         "only one of them; name a column for each"},
        {"id int4*, a int4[]", "id int4, n int4", "each: {column: a, value: n, position: n}",
         "job.yaml:1:52: public.t: `value` and `position` of `each` are both column n, which holds "
         "only one of them; name a column for each"},
    };

    (void)state;
    REFUSE_ALL(cases, "", false);
}

/* ---- keys ---- */

/* What depends on the row or is not one to one cannot stand in a key, unless others keep it. */
static void
keys(void **state)
{
    static const struct refusal cases[] = {
        {"id int4*, day date^", "id int4*, day date^", "columns: {day: {mask: date}}",
         "column day is part of the target's unique key unique, and its rule (from day, through "
         "mask_date) depends on the row it is in"},
        {"id int4*, a text^", "id int4*, a text^", "columns: {a: {do: [encrypt]}}",
         "depends on the row it is in"},
        {"id int4*, a text^", "id int4*, a text^", "columns: {a: {do: [bcrypt]}}",
         "depends on the row it is in"},
        {"id int4*, a bool^", "id int4*, a bool^", "columns: {a: {mask: bool}}",
         "depends on the row it is in"},
        {"id int4*, day date^, p int4!", "id int4*, day date^, p int4",
         "columns: {day: {do: [{mask_date: 3}], from: [day, p]}}",
         "may make different values equal"},
        {"id int4*, day date*", "id int4*, day date*", "columns: {day: {mask: date}}",
         "column day is part of the target's unique key pkey"},
        {"id int4*, day date", "id int4*, day date*", "columns: {day: {mask: date}}", NULL},
        {"id int4, day date", "id int4, day date", "columns: {day: {mask: date}}",
         "a rule needs the row's key, and the table has neither a primary key nor a unique one "
         "without NULLs"},
        {"id int4, a text", "id int4, a text", "sample: 10%",
         "`sample` chooses by the key, and the table has none"},
    };

    (void)state;
    REFUSE_ALL(cases, SECRET, false);
}

/* ---- the stream ---- */

static void
stream(void **state)
{
    static const struct refusal cases[] = {
        {"id int4*, a text", "n int4*=, a text", "drop: [id]",
         "--follow cannot be exact: the target's key is filled by a default there; make the "
         "target's key of all columns of the source's key"},
        {"id int4*, b int4*, a text", "id int4*, b int4, a text", "columns: {a: {do: [upper]}}",
         "the target's key does not hold all of the source's key"},
        {"id int4*, a int4!", "a int4*, id int4", "",
         "the target's key is made of columns that are not in the source's key"},
        {"id int4*, a text", "id int4*, a text",
         "columns: {a: {lookup: {table: t, key: id, value: a}, from: id}}",
         "a lookup reads another table, which changes by itself; say `constant: true`"},
        {"id int4*, a text", "id int4*, a text", "merge: {key: [id], after: [o]}",
         "`merge` looks at another table, which changes by itself; copy it without --follow, or "
         "merge after the switch"},
        {"id int4*, a text", "id int4*, a text", "where: \"length(a) > 3\"",
         "write it with comparisons of columns and constants"},
        {"id date*, a text", "id date*, a text", "sample: 50%",
         "`sample` hashes keys of integers, text (UTF8) and uuid only"},
    };

    (void)state;
    REFUSE_ALL(cases, "", true);
}

/* ---- foreign keys of several columns ---- */

static const int16_t key_numbers[] = {1, 2};
static const int16_t reference_numbers[] = {2, 3};

/* posts (tenant, author) refers to users (tenant, id). */
static void
refer_by_two(struct fake_tables *world)
{
    const struct ph_rel *users =
        fake_table(world, "public.users", "tenant int4*, id int4*, day date");
    const struct ph_rel *posts =
        fake_table(world, "public.posts", "no int4*, tenant int4, author int4");

    world->foreign_keys[world->catalog.n_foreign_keys++] =
        (struct ph_foreign_key){.name = "fk",
                                .rel_oid = posts->oid,
                                .ref_oid = users->oid,
                                .attnums = reference_numbers,
                                .ref_attnums = key_numbers,
                                .n_attnums = 2};
}

static void
references_of_two_columns(void **state)
{
    static const struct {
        const char *entries;
        const char *message; /* NULL: fine, and `author` is followed by itself */
        const char *words;   /* of author, then */
    } cases[] = {
        {"users: {columns: {id: {mask: int}}}", NULL,
         "from author, through mask_int, because it refers to public.users.id"},
        {"users: {columns: {id: {mask: int}, tenant: {mask: int}}}", NULL,
         "from author, through mask_int, because it refers to public.users.id"},
        {"users: {columns: {tenant: {mask: int}}}", NULL, "as it is"},
        {"users: {columns: {id: {mask: int}}}, posts: {columns: {author: {mask: int}}}", NULL,
         "from author, through mask_int"},
        {"users: {columns: {id: {mask: int}}}, posts: {columns: {author: {do: [hash_int]}}}",
         "column author refers to public.users.id, which has another rule: leave this one out, it "
         "follows by itself",
         NULL},
        {"posts: {columns: {tenant: {mask: int}}}",
         "column tenant refers to public.users.tenant, which has no such rule: both must have the "
         "same",
         NULL},
        {"users: {columns: {id: {do: [coalesce], from: [id, tenant]}}}, posts: {}", "column id is",
         NULL},
        {"users: {columns: {id: {mask: int}}}, posts: {columns: {author: {from: no}}, drop: "
         "[author]}",
         "column author refers to public.users.id, which has a rule: say the same one here", NULL},
    };
    char job[1024];
    uint32_t n;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_again();
        refer_by_two(&fake.source);
        refer_by_two(&fake.target);
        snprintf(job, sizeof job, SECRET "tables: {%s}\n", cases[i].entries);
        if (cases[i].message != NULL) {
            refused(job, cases[i].message);
            continue;
        }
        fake_must_make(&fake, job);
        const struct ph_route *posts = ph_ruleset_of(fake.set, fake.source.rels[1].oid, &n);
        assert_non_null(posts);
        assert_string_equal(posts->outputs[2].words, cases[i].words);
    }
}

/* A referring row has a key of its own: what hangs on that is another value there. */
static void
references_to_what_depends_on_the_row(void **state)
{
    const struct ph_rel *rels[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_tables *world = i == 0 ? &fake.source : &fake.target;
        rels[0] = fake_table(world, "public.days", "day date, id int4*");
        rels[1] = fake_table(world, "public.notes", "id int4*, day date");
        world->foreign_keys[world->catalog.n_foreign_keys++] =
            (struct ph_foreign_key){.name = "fk",
                                    .rel_oid = rels[1]->oid,
                                    .ref_oid = rels[0]->oid,
                                    .attnums = reference_numbers,
                                    .ref_attnums = key_numbers,
                                    .n_attnums = 1};
    }
    refused(SECRET "tables: {days: {columns: {day: {mask: date}}}}",
            "column day refers to public.days.day, whose rule depends on the row it is in: take a "
            "mask there that does not");
    refused(SECRET "tables: {days: {columns: {day: {mask: date}}}, notes: {columns: {day: {mask: "
                   "date}}}}",
            "whose rule depends on the row it is in");
    refused(SECRET "tables: {days: {columns: {day: {do: [{mask_date: 30}], from: [day, id]}}}}",
            "column day refers to public.days.day, whose rule reads several columns and cannot be "
            "followed");
}

/* What is equal in a key and its reference may have other bytes there, and a mask sees bytes. */
static void
references_of_another_form(void **state)
{
#define OTHER_FORM "column ref refers to public.keys.k, "
    static const struct {
        const char *key;
        const char *reference;
        const char *entries;
        const char *message; /* NULL: fine */
    } cases[] = {
        {"int8", "int4", "keys: {columns: {k: {do: [hash_int]}}}",
         OTHER_FORM "which is int8 where it is int4: hash_int makes different values of equal "
                    "ones; begin the rule with {cast: int4}"},
        {"int8", "int4", "keys: {columns: {k: {mask: int}}}, refs: {columns: {ref: {mask: int}}}",
         "mask_int makes different values of equal ones; begin the rule with {cast: int4}"},
        {"int2", "int8", "keys: {columns: {k: {mask: int}}}", "begin the rule with {cast: int2}"},
        {"int8", "int4", "keys: {columns: {k: {do: [{cast: int4}, hash_int]}}}", NULL},
        {"int8", "int4", "keys: {columns: {k: {mask: {int: [1, 1000]}}}}", NULL},
        {"int8", "int4", "keys: {columns: {k: {map: m}}}", NULL},
        {"int8", "int4", "keys: {columns: {k: {map: m, else: keep}}}", NULL},
        {"int8", "int4", "keys: {columns: {k: {do: [{add: 7}]}}}", NULL},
        {"int8", "int4", "keys: {columns: {k: {do: [{add: 7}, hash_int]}}}",
         "hash_int makes different"},
        {"int8", "int4", "keys: {columns: {k: {do: [hash_int]}}}, refs: {columns: {ref: {set: 7}}}",
         NULL},
        {"int8", "int8", "keys: {columns: {k: {do: [hash_int]}}}", NULL},
        {"int8", "int4", "keys: {}", NULL},
        {"citext", "citext", "keys: {columns: {k: {mask: email}}}",
         OTHER_FORM "which is citext: mask_email makes different values of equal ones; begin the "
                    "rule with lower"},
        {"citext", "citext", "keys: {columns: {k: {do: [trim, lower, mask_email]}}}", NULL},
        {"citext", "citext", "keys: {columns: {k: {do: [trim, mask_email]}}}", "mask_email makes"},
        {"text", "citext", "keys: {columns: {k: {map: m}}}", NULL},
        {"text", "citext", "keys: {columns: {k: {map: m, else: keep}}}",
         "which is text where it is citext: map makes different values"},
        {"bpchar(9)", "bpchar(9)", "keys: {columns: {k: {mask: email}}}", NULL},
        {"bpchar(9)", "bpchar(5)", "keys: {columns: {k: {do: [hmac]}}}", NULL},
        {"bpchar(9)", "bpchar(5)", "keys: {columns: {k: {do: [{concat: x}, hmac]}}}",
         "concat makes different values of equal ones; begin the rule with rtrim"},
        {"bpchar(9)", "varchar(9)", "keys: {columns: {k: {do: [hmac]}}}",
         "begin the rule with rtrim"},
        {"bpchar(9)", "varchar(9)", "keys: {columns: {k: {do: [rtrim, hmac]}}}", NULL},
        {"text", "varchar(9)", "keys: {columns: {k: {do: [hmac]}}}", NULL},
        {"numeric", "numeric", "keys: {columns: {k: {mask: {number: [1, 9]}}}}",
         "mask_number makes different values of equal ones; begin the rule with a cast"},
        {"numeric(9,2)", "numeric(9,2)", "keys: {columns: {k: {do: [{cast: text}, hmac]}}}", NULL},
        {"numeric(9,2)", "numeric(9,1)", "keys: {columns: {k: {do: [{cast: text}, hmac]}}}",
         "cast makes different values"},
        {"numeric(9,2)", "numeric(9,1)",
         "keys: {columns: {k: {do: [{cast: int4}, {cast: text}, hmac]}}}", NULL},
        {"numeric", "numeric", "keys: {columns: {k: {do: [negate]}}}", NULL},
        {"int8", "numeric", "keys: {columns: {k: {do: [negate]}}}", NULL},
        {"timestamp", "date", "keys: {columns: {k: {do: [{shift: 1 day}]}}}",
         "shift makes different values of equal ones; begin the rule with a cast"},
        {"timestamp", "date", "keys: {columns: {k: {do: [{cast: date}, {shift: 1 day}]}}}", NULL},
    };
    char job[1024];
    char table[128];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_again();
        for (int side = 0; side < 2; side++) {
            struct fake_tables *world = side == 0 ? &fake.source : &fake.target;
            bool is_hashed = side == 1 && strstr(cases[i].entries, "hmac") != NULL;
            snprintf(table, sizeof table, "id int4*, k %s", is_hashed ? "text" : cases[i].key);
            const struct ph_rel *keys = fake_table(world, "public.keys", table);
            snprintf(table, sizeof table, "id int4*, ref %s",
                     is_hashed ? "text" : cases[i].reference);
            const struct ph_rel *refs = fake_table(world, "public.refs", table);
            world->foreign_keys[world->catalog.n_foreign_keys++] =
                (struct ph_foreign_key){.name = "fk",
                                        .rel_oid = refs->oid,
                                        .ref_oid = keys->oid,
                                        .attnums = reference_numbers,
                                        .ref_attnums = reference_numbers,
                                        .n_attnums = 1};
        }
        snprintf(job, sizeof job, SECRET "maps: {m: {1: 2}}\ntables: {%s}\n", cases[i].entries);
        if (cases[i].message != NULL)
            refused(job, cases[i].message);
        else if (fake_make(&fake, job) != PH_OK)
            fail_msg("%s:\n%s", fake.err.message, job);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(chains),
        rules_test(relations),
        rules_test(shapes),
        rules_test(keys),
        rules_test(stream),
        rules_test(references_of_two_columns),
        rules_test(references_to_what_depends_on_the_row),
        rules_test(references_of_another_form),
    };

    return rules_run("test_rules_refuse", tests);
}
