/* What the check of rules refuses, with its words, and the SQL it makes for the source. */
#include "rules_case.h"

#include <unistd.h>

static void
tables(const char *source, const char *target)
{
    table_on_both("public.users", source, target);
}

/* ---- names ---- */

static void
names_must_be_there(void **state)
{
    (void)state;
    tables("id int4*, email text, gone text", "id int4*, email text, must text!, made date!~");
    refused("tables: {usesr: {}}",
            "job.yaml:1:10: the source has no table public.usesr; did you mean "
            "public.users?");
    refused("tables: {users: {into: people}}", "the target has no table public.people");
    refused("tables: {users: {columns: {emial: {set: x}}}}",
            "public.users: the target has no column emial; did you mean email?");
    refused("tables: {users: {columns: {email: {from: mail}}}}", "the source has no column mail");
    refused("tables: {users: {drop: [gome]}}", "the source has no column gome; did you mean gone?");
    refused("tables: {users: {drop: [gone]}}",
            "column must of the target is NOT NULL without a default, and nothing fills it");
    refused("tables: {users: {columns: {must: {from: email}}}}",
            "column gone goes nowhere: give it a rule, or list it under `drop:`");
    refused("tables: {users: {columns: {made: {set: x}}}}",
            "column made is generated on the target");
    refused("tables: {users: {columns: {must: {set: null}}, drop: [gone]}}",
            "column must is NOT NULL on the target and set to null");
}

static void
all_problems_are_told(void **state)
{
    (void)state;
    tables("id int4*, a text, b text", "id int4*, a text");
    assert_int_equal(fake_make(&fake, "tables:\n  users:\n    columns:\n      other: {set: 1}\n"
                                      "      third: {set: 2}\n"),
                     PH_E_RULES);
    assert_string_equal(fake.err.message,
                        "job.yaml:4:7: public.users: the target has no column other\n"
                        "  job.yaml:5:7: public.users: the target has no column third\n"
                        "  job.yaml:2:3: public.users: column b goes nowhere: give it a rule, or "
                        "list it under `drop:`");
}

static void
operators_must_fit(void **state)
{
    (void)state;
    tables("id int4*, a text, b int4, p point, k phase",
           "id int4*, a text, b int4, p text, k phase");
    refused("tables: {users: {columns: {a: {do: [trin]}}, drop: [p]}}",
            "there is no operator trin; did you mean trim?");
    refused("tables: {users: {columns: {b: {do: [trim]}}, drop: [p]}}", "trim does not take int4");
    refused("tables: {users: {columns: {a: {do: [{substring: [1, 2, 3]}]}}, drop: [p]}}",
            "substring takes the constants (");
    refused("tables: {users: {columns: {b: {set: x}}, drop: [p]}}", "\"x\" is not of type int4");
    refused("maps: {m: {a: nothing}}\n"
            "tables: {users: {columns: {k: {map: m, from: a}}, drop: [p]}}",
            "nothing is not a value of phase");
    refused("maps: {m: {a: http}}\n"
            "tables: {users: {columns: {p: {map: m, from: p}}}}",
            "values of type point cannot be mapped");
    refused("maps: {m: {a: 1}}\ntables: {users: {columns: {b: {map: m, from: a, else: keep}}, "
            "drop: [p]}}",
            "`else: keep` would put a value of type text into one of type int4");
    refused("tables: {users: {columns: {a: {do: [upper]}}}}",
            "column p can only go as text (there is no cast from point to text)");
    refused("tables: {users: {columns: {a: {c: \"no_such.so:f\"}}, drop: [p]}}",
            "there is no library no_such.so");
}

static void
only_selected_tables(void **state)
{
    (void)state;
    tables("id int4*", "id int4*");
    const struct ph_rel *other = fake_table(&fake.source, "public.other", "id int4*");
    const struct ph_rel *selected[] = {other};
    fake.params.selected = selected;
    fake.params.n_selected = 1;
    refused("tables: {users: {}}", "public.users has rules and is not selected");
}

/* ---- partitions ---- */

static void
a_root_stands_for_its_partitions(void **state)
{
    uint32_t n;

    (void)state;
    struct ph_rel *root = fake_table(&fake.source, "public.users", "id int4*, a text");
    root->kind = PH_REL_PARTITIONED;
    for (int i = 0; i < 2; i++) {
        struct ph_rel *leaf = fake_table(&fake.source, i == 0 ? "public.users_1" : "public.users_2",
                                         "id int4*, a text");
        leaf->is_partition = true;
        leaf->parent_oid = leaf->root_oid = root->oid;
    }
    fake_table(&fake.target, "public.users", "id int4*, b text")->kind = PH_REL_PARTITIONED;
    fake_must_make(&fake, "tables: {users: {columns: {b: {from: a}}}}");
    assert_int_equal(ph_ruleset_count(fake.set), 2);
    assert_null(ph_ruleset_of(fake.set, root->oid, &n));
    assert_string_equal(ph_ruleset_of(fake.set, root[2].oid, &n)->name,
                        "public.users_2 -> public.users");
    refused("tables: {users: {columns: {b: {from: a}}}, users_1: {into: users, columns: {b: {from: "
            "a}}}}",
            "public.users_1 has an entry already");
}

/* ---- keys ---- */

static void
unique_keys_stay_unique(void **state)
{
    (void)state;
    tables("id int4*, email text^, org int4", "id int4*, email text^, org int4");
    refused("tables: {users: {columns: {email: {do: [upper]}}}}",
            "column email is part of the target's unique key unique, and its rule (from email, "
            "through upper) may make different values equal");
    refused("tables: {users: {columns: {id: {set: 1}}}}",
            "column id is part of the target's unique key pkey");
    refused("tables: {users: {columns: {email: {set: a}}}}", "may make different values equal");
    fake_must_make(&fake, "tables: {users: {columns: {email: {set: null}}}}");
    fake.target.indexes[0][1].nulls_are_equal = true;
    refused("tables: {users: {columns: {email: {set: null}}}}", "may make different values equal");
    refused("maps: {m: {1: 2, 3: 2}}\ntables: {users: {columns: {id: {map: m}}}}",
            "may make different values equal");
    fake_must_make(&fake, "maps: {m: {1: 2, 3: 4}}\ntables: {users: {columns: {id: {map: m}}}}");
    assert_true(route(0)->outputs[0].is_injective);
}

/* Of indexes that hold only some rows, or functions of columns, and of exclusion constraints. */
static void
other_unique_indexes_stay_unique_too(void **state)
{
    static const int16_t of_email[] = {2};
    struct ph_index *index = &fake.target.indexes[0][1];

    (void)state;
    for (int i = 0; i < 3; i++) {
        begin_again();
        tables("id int4*, email text, org int4", "id int4*, email text^, org int4");
        if (i == 0) {
            index->is_partial = true;
        } else if (i == 1) {
            index->has_expressions = true;
            fake.target.keys[0][1][0] = 0;
            index->expression_attnums = of_email;
            index->n_expression_attnums = 1;
        } else {
            index->is_exclusion = true;
            index->is_unique = false;
        }
        refused("tables: {users: {columns: {email: {do: [upper]}}}}",
                i == 2
                    ? "column email is part of the target's exclusion constraint unique, and its "
                      "rule (from email, through upper) may make different values equal"
                    : "column email is part of the target's unique index unique, and its rule "
                      "(from email, through upper) may make different values equal");
        refused("tables: {users: {columns: {email: {set: x}}}}", "may make different values equal");
        fake_must_make(&fake, "tables: {users: {columns: {email: {set: null}}}}");
        fake_must_make(&fake,
                       "secret: {env: X}\ntables: {users: {columns: {email: {mask: email}}}}");
        fake_must_make(&fake, "tables: {users: {columns: {org: {set: 1}}}}");
        index->is_valid = false;
        fake_must_make(&fake, "tables: {users: {columns: {email: {do: [upper]}}}}");
    }
    /* with the key beside it rows stay apart */
    begin_again();
    tables("id int4*, email text, org int4", "id int4*, email text^, org int4");
    index->is_partial = true;
    fake.target.keys[0][1][1] = 1;
    index->n_keys = 2;
    fake_must_make(&fake, "tables: {users: {columns: {email: {do: [upper]}}}}");
}

/* A copy that makes the schema builds keys when rows are in: they count before. */
static void
keys_that_come_later_count(void **state)
{
    (void)state;
    tables("gone text, id int4*, email text^, note text", "id int4!, email text, note text");
    fake.params.follows = true;
    refused("tables: {users: {columns: {note: {do: [upper]}}, drop: [gone]}}",
            "the target has no key by which a change finds its row");
    fake.params.keys_come_later = true;
    fake_must_make(&fake, "tables: {users: {columns: {note: {do: [upper]}}, drop: [gone]}}");
    assert_null(route(0)->no_stream);
    refused("tables: {users: {columns: {email: {do: [upper]}}, drop: [gone]}}",
            "column email is part of the target's unique key unique");
}

static void
another_column_keeps_a_key_unique(void **state)
{
    (void)state;
    tables("id int4*, a text", "id int4*, org text*, a text");
    fake_must_make(&fake, "tables: {users: {columns: {org: {set: x}}}}");
    assert_null(route(0)->no_stream);
    begin_again();
    tables("id int4*, likes int4, shares int4", "id int4*, n int4");
    refused(
        "tables: {users: {columns: {}, unpivot: {columns: [likes, shares], name: x, value: n}}}",
        "the target has no column x");
    begin_again();
    tables("id int4*, likes int4, shares int4", "id int4*, name text, n int4");
    refused("tables: {users: {unpivot: {columns: [likes, shares], name: name, value: n}}}",
            "one row becomes several, and the target's unique key pkey does not tell them apart");
}

static void
shapes_must_fit(void **state)
{
    (void)state;
    tables("id int4*, a int4, b text, c date", "id int4*, name text*, v text, n text");
    refused("tables: {users: {unpivot: {columns: [a, b], name: name, value: v}, drop: [c]}}",
            "the columns of `unpivot` must be of one type: a is int4, b is text");
    refused("tables: {users: {each: {column: c, value: v}, drop: [a, b]}}",
            "column c is neither an array nor JSON, but date");
}

#define MADE_BY_EACH "each: {column: a, value: v, position: n}"
#define MADE_BY_UNPIVOT "unpivot: {columns: [x, y], name: k, value: v, nulls: keep}"

/* What one row becomes must stay apart by its position or name, or by the value as it is. */
static void
keys_of_made_rows_are_proven(void **state)
{
    static const struct {
        const char *source;
        const char *target;
        const char *rules; /* of columns */
        const char *shape;
        const char *message; /* NULL: fine */
        bool follows;
    } cases[] = {
        {"id text*, a json", "id text*, k text*, v text, n int4",
         "k: {do: [concat], from: [id, $value]}", MADE_BY_EACH,
         "column k is part of the target's unique key pkey, and its rule (from id, an element of "
         "the array, through concat) may make different values equal",
         false},
        {"id text*, a json", "id text*, k text*, v text, n int4",
         "k: {do: [{cast: text}, {left: 1}], from: $position}", MADE_BY_EACH,
         "may make different values equal", false},
        {"id text*, a json", "id text*, v text*, n int4", "v: {do: [lower]}", MADE_BY_EACH,
         "column v is part of the target's unique key pkey", false},
        {"id text*, a json", "id text*, v text*, n int4", "", MADE_BY_EACH, NULL, false},
        {"id text*, a json", "id text*, v varchar(9)*, n int4", "", MADE_BY_EACH, NULL, false},
        {"id text*, a json", "id text*, k text*, v text, n int4", "k: {from: $value}", MADE_BY_EACH,
         NULL, false},
        {"id text*, a json", "id text*, k text*, v text, n int4", "k: {from: $value}", MADE_BY_EACH,
         "the target's key is made by a rule that may make different keys equal", true},
        {"id text*, a json", "id text, v text*, n int4", "", MADE_BY_EACH,
         "column v is part of the target's unique key pkey", false},
        {"id text*, a json", "id text*, k int8*, v text, n int4", "k: {from: $position}",
         MADE_BY_EACH, NULL, true},
        {"id text*, a json", "id text*, k int8*, v text, n int4",
         "k: {do: [{add: 1}], from: $position}", MADE_BY_EACH, NULL, true},
        {"id text*, a json", "id text*, k int4*, v text, n int4",
         "k: {do: [{modulo: 2}], from: $position}", MADE_BY_EACH, "may make different values equal",
         false},
        {"id text*, x text, y text", "id text*, k text, v text, w text*", "w: {from: $name}",
         MADE_BY_UNPIVOT, NULL, true},
        {"id text*, x text, y text", "id text*, k text, v text, w text*",
         "w: {do: [{left: 1}], from: $name}", MADE_BY_UNPIVOT, "may make different values equal",
         false},
        {"id text*, x text, y text", "id text*, k text*, v text, w text",
         "w: {do: [concat], from: [id, $value]}", MADE_BY_UNPIVOT, NULL, true},
        {"id text*, x text, y text", "id text*, k text, v text, w text*",
         "w: {do: [concat], from: [id, $name]}", MADE_BY_UNPIVOT,
         "column w is part of the target's unique key pkey, and its rule (from id, the name of the "
         "column that the row is made of, through concat) may make different values equal",
         false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char job[512];
        begin_again();
        tables(cases[i].source, cases[i].target);
        fake.params.follows = cases[i].follows;
        fake.source.rels[0].replica_identity = 'f';
        snprintf(job, sizeof job, "tables:\n  users:\n    %s\n    columns: {%s}\n", cases[i].shape,
                 cases[i].rules);
        if (cases[i].message != NULL)
            refused(job, cases[i].message);
        else
            fake_must_make(&fake, job);
    }
}

/* Values that may come as unchanged, together with others, ask for the old row. */
static void
parts_of_made_rows_in_the_stream(void **state)
{
    const char *job = "tables: {users: {columns: {w: {do: [coalesce, {cast: text}], from: [id, "
                      "$value]}}, " MADE_BY_UNPIVOT "}}";

    (void)state;
    fake.params.follows = true;
    tables("id int4*, x int4, y int4", "id int4*, k text*, v int4, w text");
    fake_must_make(&fake, job);
    assert_false(route(0)->needs_old_row);
    begin_again();
    fake.params.follows = true;
    tables("id text*, x text, y text", "id text*, k text*, v text, w text");
    refused(job, "ALTER TABLE public.users REPLICA IDENTITY FULL");
}

static void
parts_are_there_with_their_shape(void **state)
{
    (void)state;
    tables("id int4*, a json, x text, y text", "id int4*, k text, v text, n int4*");
    refused("tables: {users: {columns: {k: {from: $value}}, drop: [a, x, y]}}",
            "public.users: $value is there only with `unpivot` or `each`");
    refused("tables: {users: {columns: {k: {from: $name}}, " MADE_BY_EACH ", drop: [x, y]}}",
            "$name is there only with `unpivot`");
    refused("tables: {users: {columns: {n: {from: $position}}, " MADE_BY_UNPIVOT ", drop: [a]}}",
            "$position is there only with `each`");
    refused("tables: {users: {columns: {v: {do: [upper], from: x}}, " MADE_BY_EACH ", drop: [y]}}",
            "column v is filled by unpivot or each: its rule can only be a chain on that value "
            "(`from: $value`)");
    refused("tables: {users: {columns: {k: {from: [id, $value], do: [trim]}}, " MADE_BY_EACH
            ", drop: [x, y]}}",
            "trim does not take int4, text");
    refused("tables: {users: {columns: {n: {set: 1}}, " MADE_BY_EACH ", drop: [x, y]}}",
            "column n is filled by unpivot or each, it cannot have a rule too");
}

/* ---- foreign keys ---- */

static const int16_t first[] = {1};
static const int16_t second[] = {2};
static const int16_t third[] = {3};

static void
refer(struct fake_tables *world, const struct ph_rel *from, const struct ph_rel *to)
{
    world->foreign_keys[world->catalog.n_foreign_keys++] =
        (struct ph_foreign_key){.name = "fk",
                                .rel_oid = from->oid,
                                .ref_oid = to->oid,
                                .attnums = second,
                                .ref_attnums = first,
                                .n_attnums = 1};
}

static void
references(void)
{
    for (int i = 0; i < 2; i++) {
        struct fake_tables *world = i == 0 ? &fake.source : &fake.target;
        const struct ph_rel *users = fake_table(world, "public.users", "id int8*, note text");
        const struct ph_rel *posts = fake_table(world, "public.posts", "id int8*, user_id int8");
        refer(world, posts, users);
    }
}

static void
references_follow_their_key(void **state)
{
    uint32_t n;

    (void)state;
    references();
    fake_must_make(&fake, "maps: {m: {1: 2, 3: 4}}\ntables: {users: {columns: {id: {map: m}}}}");
    assert_int_equal(ph_ruleset_count(fake.set), 2);
    const struct ph_route *posts = ph_ruleset_of(fake.set, fake.source.rels[1].oid, &n);
    assert_non_null(posts);
    assert_string_equal(
        posts->outputs[1].words,
        "from user_id, by the map m of 2 values; anything else is an error, because "
        "it refers to public.users.id");
    assert_string_equal(fake_run(&fake, posts->number, "9|3"), "9|4");
    refused("maps: {m: {1: 2, 3: 4}, o: {1: 3}}\n"
            "tables: {users: {columns: {id: {map: m}}}, posts: {columns: {user_id: {map: o}}}}",
            "column user_id refers to public.users.id, which has another rule");
    refused("maps: {m: {1: 2, 3: 4}}\n"
            "tables: {users: {columns: {id: {map: m}}}, posts: {columns: {user_id: keep}}}",
            "column user_id refers to public.users.id, which has another rule");
    refused("tables: {posts: {columns: {user_id: {do: [{add: 1}]}}}}",
            "column user_id refers to public.users.id, which has no such rule");
    fake_must_make(&fake, "maps: {m: {1: 2}}\ntables: {posts: {columns: {user_id: {map: m}}}}");
    fake_must_make(&fake, "tables: {posts: {columns: {user_id: {set: null}}}}");
}

/* Elements that refer to a key become what it becomes. */
static void
elements_follow_their_key(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.users", "id int4*, note text");
    fake_table(&fake.source, "public.posts", "id int4*, readers json");
    const struct ph_rel *users = fake_table(&fake.target, "public.users", "id int4*, note text");
    const struct ph_rel *readers =
        fake_table(&fake.target, "public.readers", "id int4*, reader int4, n int4*");
    refer(&fake.target, readers, users);
    fake_must_make(&fake, "maps: {m: {1: 2, 3: 4}}\ntables:\n  users: {columns: {id: {map: m}}}\n"
                          "  posts: {into: readers, each: {column: readers, value: reader, "
                          "position: n}}\n");
    assert_string_equal(fake_run(&fake, 1, "[1, 3]|7"), "7|2|1;7|4|2");
    refused("maps: {m: {1: 2, 3: 4}}\ntables:\n  users: {columns: {id: {map: m}}}\n"
            "  posts: {into: readers, each: {column: readers, value: reader, position: n}, "
            "columns: {reader: {do: [{cast: int4}]}}}\n",
            "column reader refers to public.users.id, which has another rule");
}

/* Of a table that has no entry and so no elements. */
static void
a_column_is_named_like_an_element(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fake_tables *world = i == 0 ? &fake.source : &fake.target;
        const struct ph_rel *users = fake_table(world, "public.users", "id int8*, note text");
        const struct ph_rel *posts = fake_table(world, "public.posts", "id int8*, $value int8");
        refer(world, posts, users);
    }
    fake_must_make(&fake, "maps: {m: {1: 2, 3: 4}}\ntables: {users: {columns: {id: {map: m}}}}");
    assert_string_equal(fake_run(&fake, 1, "9|3"), "9|4");
}

/* Columns that become rows and refer to a key of the source, whatever keys the target has. */
static void
unpivoted_columns_follow_their_key(void **state)
{
    const struct ph_rel *users;
    const struct ph_rel *pairs;

    (void)state;
    users = fake_table(&fake.source, "public.users", "id int4*, note text");
    pairs = fake_table(&fake.source, "public.pairs", "id int4*, a int4, b int4");
    fake_table(&fake.target, "public.users", "id int4*, note text");
    fake_table(&fake.target, "public.pairs", "id int4*, k text*, v int4");
    refer(&fake.source, pairs, users);
    refused("maps: {m: {1: 2, 3: 4}}\ntables:\n  users: {columns: {id: {map: m}}}\n"
            "  pairs: {unpivot: {columns: [a, b], name: k, value: v}}\n",
            "column v refers to public.users.id, which has a rule, and takes columns that do not "
            "refer to it: unpivot them apart");
    refer(&fake.source, pairs, users);
    fake.source.foreign_keys[1].attnums = third;
    fake_must_make(&fake, "maps: {m: {1: 2, 3: 4}}\ntables:\n  users: {columns: {id: {map: m}}}\n"
                          "  pairs: {unpivot: {columns: [a, b], name: k, value: v}}\n");
    assert_string_equal(fake_run(&fake, 1, "1|3|7"), "7|a|2;7|b|4");
    refused("maps: {m: {1: 2, 3: 4}}\ntables:\n  users: {columns: {id: {map: m}}}\n"
            "  pairs: {unpivot: {columns: [a, b], name: k, value: v}, columns: {v: {do: [{add: "
            "1}]}}}\n",
            "column v refers to public.users.id, which has another rule");
}

/* However many tables go into the one that refers. */
static void
all_references_follow(void **state)
{
    enum { N_TABLES = 90 };
    struct ph_buf job;
    char name[32];
    uint32_t n;

    (void)state;
    const struct ph_rel *rels[] = {fake_table(&fake.target, "public.users", "id int8*"),
                                   fake_table(&fake.target, "public.posts", "id int8, u int8")};
    refer(&fake.target, rels[1], rels[0]);
    fake_table(&fake.source, "public.users", "id int8*");
    ph_buf_init(&job, (size_t)64 << 10);
    ph_buf_puts(&job, "secret: {env: X}\ntables:\n  users: {columns: {id: {mask: int}}}\n");
    for (int i = 0; i < N_TABLES; i++) {
        snprintf(name, sizeof name, "public.posts_%d", i);
        fake_table(&fake.source, name, "id int8, u int8");
        ph_buf_printf(&job, "  posts_%d: {into: posts}\n", i);
    }
    fake_must_make(&fake, ph_buf_text(&job));
    ph_buf_free(&job);
    for (uint32_t i = 1; i <= N_TABLES; i++) {
        const struct ph_route *posts = ph_ruleset_of(fake.set, fake.source.rels[i].oid, &n);
        assert_string_equal(posts->outputs[1].words,
                            "from u, through mask_int, because it refers to public.users.id");
    }
}

/* ---- policy ---- */

static void
classified_columns(void **state)
{
    (void)state;
    tables("id int4*, email text, note text", "id int4*, email text, note text");
    const struct ph_rel *posts = fake_table(&fake.source, "public.posts", "id int4*, body text");
    const struct ph_rel *selected[] = {&fake.source.rels[0], posts};
    fake_table(&fake.target, "public.posts", "id int4*, body text");
    fake.params.selected = selected;
    fake.params.n_selected = 2;
    refused("policy: classify\ntables: {users: {columns: {email: {set: x}}, keep: [id]}}",
            "these columns have no rule and are neither kept nor dropped: public.users.note, "
            "public.posts.id, public.posts.body");
    fake_must_make(&fake,
                   "policy: classify\ntables: {users: {columns: {email: {set: x}}, keep: [id], "
                   "drop: [note]}, posts: {keep: all}}");
}

/* What a rule reads is not classified where it goes along as it is beside the rule. */
static void
a_rule_classifies_its_own_column_alone(void **state)
{
    static const struct {
        const char *target;
        const char *rules;
        const char *message; /* NULL: fine */
    } cases[] = {
        {"id int4*, email text, email_hash text",
         "columns: {email_hash: {do: [sha256], from: email}}, keep: [id], drop: [name]",
         "public.users.email (as it is into public.users)"},
        {"id int4*, email text, email_hash text",
         "columns: {email_hash: {do: [sha256], from: email}}, keep: [id, email], drop: [name]",
         NULL},
        {"id int4*, email text, label text",
         "columns: {label: {do: [concat], from: [name, email]}}, keep: [id]",
         "neither kept nor dropped: public.users.email (as it is into public.users)"},
        {"id int4*, label text",
         "columns: {label: {do: [concat], from: [name, email]}}, keep: [id]", NULL},
        {"id int4*, email text", "columns: {email: {mask: email}}, keep: [id], drop: [name]", NULL},
        {"id int4*, email text", "columns: {email: {mask: email}}, keep: all, drop: [name]", NULL},
        {"id int4*, email text",
         "keep: [id], drop: [name], into: [{table: users, columns: {email: {mask: email}}}, "
         "{table: contacts}]",
         "public.users.email (as it is into public.contacts)"},
        {"id int4*, email text",
         "keep: [id], drop: [name], into: [{table: users, columns: {email: {mask: email}}}, "
         "{table: contacts, drop: [email]}]",
         NULL},
        {"id int4*, email text",
         "keep: [id], drop: [name], into: [{table: users, columns: {email: {mask: email}}}, "
         "{table: contacts, keep: all}]",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char job[512];
        begin_again();
        tables("id int4*, email text, name text", cases[i].target);
        fake_table(&fake.target, "public.contacts", "id int4*, email text");
        snprintf(job, sizeof job, "policy: classify\nsecret: {env: X}\ntables: {users: {%s}}",
                 cases[i].rules);
        if (cases[i].message != NULL)
            refused(job, cases[i].message);
        else
            fake_must_make(&fake, job);
    }
}

/* The source makes it of what is masked; the target has no generated column that would do so. */
static void
a_generated_column_that_is_copied_is_classified(void **state)
{
#define CLASSIFIED(keep)                                                                           \
    "policy: classify\nsecret: {env: X}\n"                                                         \
    "tables: {users: {columns: {email: {mask: email}}, keep: [" keep "]}}"
    (void)state;
    tables("id int4*, email text, label text~", "id int4*, email text, label text");
    refused(CLASSIFIED("id"),
            "neither kept nor dropped: public.users.label (as it is into public.users)");
    fake_must_make(&fake, CLASSIFIED("id, label"));
    begin_again();
    tables("id int4*, email text, label text~", "id int4*, email text, label text~");
    fake_must_make(&fake, CLASSIFIED("id"));
#undef CLASSIFIED
}

/* ---- the stream ---- */

static void
the_stream_must_be_exact(void **state)
{
    (void)state;
    tables("id int4*, a text, b text, tags json", "id int4*, ab text, n int4");
    fake.params.follows = true;
    refused("tables: {users: {columns: {ab: {do: [concat], from: [a, b]}}, drop: [tags]}}",
            "ALTER TABLE public.users REPLICA IDENTITY FULL");
    fake.source.rels[0].replica_identity = 'f';
    fake_must_make(&fake,
                   "tables: {users: {columns: {ab: {do: [concat], from: [a, b]}}, drop: [tags]}}");
    assert_true(route(0)->needs_old_row);
    refused("tables: {users: {columns: {ab: {from: a}}, drop: [b, tags], "
            "dedup: {key: [a], prefer: [id]}}}",
            "--follow cannot be exact: `dedup` chooses among rows");
    fake.target.rels[0].n_indexes = 0;
    refused("tables: {users: {columns: {ab: {from: a}}, drop: [b, tags]}}",
            "the target has no key by which a change finds its row");
}

#define BY_A "columns: {b: {lookup: {table: plans, key: a, value: b, constant: true}, from: a}}"

/* An UPDATE of the key may bring a row in, and then its long values may come as unchanged. */
static void
new_rows_must_come_whole(void **state)
{
    static const struct {
        const char *source; /* of the columns a and b */
        const char *job;
        bool needs_old_row;
    } cases[] = {
        {"a text, b int4", "where: \"id > 5\"", true},
        {"a text, b int4", "where: \"id > 5\", drop: [a]", false},
        {"a text, b int4", "where: \"id > 5\", columns: {a: {set: x}}", false},
        {"a text, b int4", "where: \"id > 5\", columns: {a: {do: [upper]}}", true},
        {"a date, b int4", "where: \"id > 5\"", false},
        {"a numeric(24.2), b varchar(5)", "where: \"id > 5\"", false},
        {"a numeric(25.2), b int4", "where: \"id > 5\"", true},
        {"a varchar(6), b int4", "where: \"id > 5\"", true},
        {"a int8, b int4", "sample: 50%", false},
        {"a text, b int4", "sample: 50%", true},
        {"a text, b int4", "keep: all", false},
        /* looked up by a long value that goes nowhere else */
        {"a text, b int4", "where: \"id > 5\", drop: [b], " BY_A, true},
        {"a int8, b int4", "where: \"id > 5\", drop: [b], " BY_A, false},
        {"a text, b int4", "drop: [b], " BY_A, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char columns[100];
        char job[200];
        begin_again();
        snprintf(columns, sizeof columns, "id int4*, %s", cases[i].source);
        tables(columns, strstr(cases[i].job, "lookup") != NULL ? "id int4*, b int4" : columns);
        fake_table(&fake.source, "public.plans",
                   strstr(columns, "a int8") != NULL ? "a int8*, b int4" : "a text*, b int4");
        fake.params.follows = true;
        snprintf(job, sizeof job, "tables: {users: {%s}}", cases[i].job);
        if (cases[i].needs_old_row)
            refused(job, "ALTER TABLE public.users REPLICA IDENTITY FULL");
        fake.params.sets_identity = cases[i].needs_old_row;
        fake_must_make(&fake, job);
        assert_int_equal(route(0)->needs_old_row, cases[i].needs_old_row);
    }
}

/* What hangs on the row's key is another value with another key, also of what did not come. */
static void
keyed_values_must_come_with_their_key(void **state)
{
    static const struct {
        const char *columns;
        const char *rule;
        bool is_by_code; /* REPLICA IDENTITY USING INDEX */
        bool needs_old_row;
    } cases[] = {
        {"id int4*, code int4!^, a text", "a: {do: [encrypt]}", false, true},
        {"id int4*, code int4!^, a text", "a: {do: [encrypt]}", true, true},
        {"id int4*, code int4!^, a text", "a: {do: [bcrypt]}", false, true},
        {"id int4*, code int4!^, a varchar(5)", "a: {do: [encrypt]}", false, false},
        {"id int4*, code int4!^, a bool", "a: {mask: bool}", false, false},
        {"id text*, code int4!^, a bool", "a: {mask: bool}", false, false},
        {"id text*, code int4!^, a bool", "a: {mask: bool}", true, true},
        {"id text*, code int4!^, a text", "a: {mask: email}", false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char job[200];
        char target[100];
        begin_again();
        snprintf(target, sizeof target, "%s text", cases[i].columns);
        *strstr(target, "a ") = '\0';
        snprintf(target + strlen(target), 50, "a %s",
                 strstr(cases[i].rule, "bool") != NULL ? "bool" : "text");
        tables(cases[i].columns, target);
        fake.source.rels[0].replica_identity = cases[i].is_by_code ? 'i' : 'd';
        fake.source.indexes[0][1].is_identity = cases[i].is_by_code;
        fake.target.indexes[0][0].key_attnums =
            cases[i].is_by_code ? fake.target.keys[0][1] : fake.target.keys[0][0];
        fake.params.follows = true;
        snprintf(job, sizeof job, "secret: {env: X}\ntables: {users: {columns: {%s}}}",
                 cases[i].rule);
        if (cases[i].needs_old_row)
            refused(job, "ALTER TABLE public.users REPLICA IDENTITY FULL");
        fake.params.sets_identity = cases[i].needs_old_row;
        fake_must_make(&fake, job);
        assert_int_equal(route(0)->needs_old_row, cases[i].needs_old_row);
    }
}

static void
the_targets_key_follows_from_the_sources(void **state)
{
    (void)state;
    tables("id int4*, code int4^, a text", "code int4*, a text");
    fake.params.follows = true;
    refused("tables: {users: {drop: [id]}}",
            "the target's key is made of columns that are not in the source's key");
    fake.params.follows = false;
    fake_must_make(&fake, "tables: {users: {drop: [id]}}");
    assert_non_null(route(0)->no_stream);
}

/* ---- SQL ---- */

static void
conditions_of_the_source(void **state)
{
    (void)state;
    tables("id int4*, handle text, at date", "id int4*, handle text, at date");
    fake_table(&fake.source, "public.older", "id int4*, name text");
    fake_must_make(&fake, "tables: {users: {merge: {key: [handle], after: [{table: older, key: "
                          "[name]}]}}}");
    assert_string_equal(route(0)->where,
                        "(NOT EXISTS (SELECT 1 FROM ONLY \"public\".\"older\" AS earlier WHERE "
                        "earlier.\"name\" = \"public\".\"users\".\"handle\"))");
    assert_non_null(route(0)->no_stream);
    assert_false(route(0)->has_program);
    fake_must_make(&fake, "tables: {users: {dedup: {key: [handle], prefer: [at desc]}}}");
    assert_string_equal(
        route(0)->where,
        "(NOT EXISTS (SELECT 1 FROM ONLY \"public\".\"users\" AS better WHERE better.\"handle\" = "
        "\"public\".\"users\".\"handle\" AND (better.\"at\" > \"public\".\"users\".\"at\" OR "
        "(better.\"at\" IS NOT NULL AND \"public\".\"users\".\"at\" IS NULL) OR (better.\"at\" IS "
        "NOT DISTINCT FROM \"public\".\"users\".\"at\" AND (better.\"id\") < "
        "(\"public\".\"users\".\"id\")))))");
    fake_must_make(&fake, "tables: {users: {sample: 50%}}");
    assert_string_equal(route(0)->where,
                        "(('x' || pg_catalog.substr(pg_catalog.md5(\"public\".\"users\".\"id\""
                        "::pg_catalog.text), 1, 8))::pg_catalog.bit(32)::pg_catalog.int8 < "
                        "2147483648)");
    refused("tables: {users: {merge: {key: [id], after: [users]}}}",
            "a table cannot come after itself");
    refused("tables: {users: {merge: {key: [id], after: [{table: older, key: [name]}]}}}",
            "public.older.name is of another type than id");
    refused("tables: {users: {dedup: {key: [nandle], prefer: [id]}}}",
            "public.users has no column nandle; did you mean handle?");
}

/* A key that the earlier table has, but does not give, is not taken: the later one gives it. */
static void
merge_counts_the_rows_that_are_taken(void **state)
{
#define EARLIER(rows)                                                                              \
    "(NOT EXISTS (SELECT 1 FROM " rows " AS earlier WHERE "                                        \
    "earlier.\"a\" = \"public\".\"users\".\"a\"))"
#define OLDER "ONLY \"public\".\"older\""
#define TAKEN(condition) EARLIER("(SELECT * FROM " OLDER " WHERE " condition ")")
#define SHARE                                                                                      \
    "('x' || pg_catalog.substr(pg_catalog.md5(\"public\".\"older\".\"id\"::pg_catalog.text), "     \
    "1, 8))::pg_catalog.bit(32)::pg_catalog.int8 < 2147483648"
    static const struct {
        const char *older; /* its entry in the job file */
        const char *where; /* of the later table */
    } cases[] = {
        {"{into: users}", EARLIER(OLDER)},
        {"{into: users, where: \"n > 5\"}", TAKEN("((\"n\" > 5))")},
        {"{into: users, where: \"older.n > 5\"}", TAKEN("((older.n > 5))")},
        {"{into: users, sample: 50%}", TAKEN("(" SHARE ")")},
        {"{into: users, where: \"n > 5\", sample: 50%}", TAKEN("((\"n\" > 5) AND " SHARE ")")},
        {"{into: [{table: users, where: \"n = 1\"}, {table: users, where: \"n = 2\"}, older]}",
         TAKEN("((\"n\" = 1)) OR ((\"n\" = 2))")},
        {"{where: \"n > 5\"}", TAKEN("((\"n\" > 5))")},
        {"{into: [{table: older, where: \"n = 1\"}, {table: other}]}", EARLIER(OLDER)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char job[512];
        begin_again();
        tables("id int4*, a text, n int4", "id int4*, a text, n int4");
        table_on_both("public.older", "id int4*, a text, n int4", "id int4*, a text, n int4");
        fake_table(&fake.target, "public.other", "id int4*, a text, n int4");
        snprintf(job, sizeof job, "tables: {older: %s, users: {merge: {key: [a], after: [older]}}}",
                 cases[i].older);
        fake_must_make(&fake, job);
        assert_string_equal(route(ph_ruleset_count(fake.set) - 1)->where, cases[i].where);
    }
    refused("tables: {older: {into: users, where: \"m > 5\"}, users: {merge: {key: [a], after: "
            "[older]}}}",
            "\"m\" is not a column of public.older");
}

static void
conditions_mean_the_same_in_the_stream(void **state)
{
    (void)state;
    tables("id int4*, a text, n int4", "id int4*, a text, n int4");
    fake_must_make(&fake, "tables: {users: {where: \"n > 5 and a <> 'x'\"}}");
    assert_false(route(0)->has_program);
    assert_false(route(0)->filters);
    assert_true(route(0)->needs_old_row);
    assert_non_null(strstr(route(0)->where, "\"n\" > "));
    fake.params.follows = true;
    refused("tables: {users: {where: \"n > 5\"}}",
            "ALTER TABLE public.users REPLICA IDENTITY FULL");
    refused("tables: {users: {where: \"lower(a) = 'x'\"}}",
            "--follow cannot be exact: pghaul cannot compute its condition: ");
    refused("tables: {users: {where: \"m > 5\"}}", "m");
    fake.source.rels[0].replica_identity = 'f';
    fake_must_make(&fake, "tables: {users: {where: \"id > 5\"}}");
    assert_true(route(0)->filters);
    assert_string_equal(fake_run(&fake, 0, "5|x|1"), "");
    assert_string_equal(fake_run(&fake, 0, "6|x|1"), "6|x|1");
    fake_must_make(&fake, "tables: {users: {where: \"n > 5 and a <> 'x'\"}}");
    assert_string_equal(fake_run(&fake, 0, "1|y|6"), "1|y|6");
    assert_string_equal(fake_run(&fake, 0, "1|x|6"), "");
    assert_string_equal(fake_run(&fake, 0, "1|-|6"), "");
    fake.params.follows = false;
    fake_must_make(&fake, "tables: {users: {where: \"n > 5\", dedup: {key: [a], prefer: [n]}}}");
    assert_non_null(
        strstr(route(0)->where, " (SELECT * FROM ONLY \"public\".\"users\" WHERE (\"n\" > "));
    fake_must_make(&fake, "tables: {users: {where: \"users.n > 5\", dedup: {key: [a], prefer: "
                          "[n]}}}");
    assert_non_null(strstr(route(0)->where, "\"users\" WHERE (users.n > 5)) AS better WHERE "));
}

/* md5('1') begins with c4ca4238, md5('2') with c81e728d, md5('4') with a87ff679. */
static void
a_sample_in_the_stream(void **state)
{
    (void)state;
    tables("id int4*, a text", "id int4*, a text");
    fake.params.follows = true;
    fake.source.rels[0].replica_identity = 'f';
    fake_must_make(&fake, "tables: {users: {sample: 70%}}");
    assert_true(route(0)->filters);
    assert_string_equal(fake_run(&fake, 0, "1|x"), "");
    assert_string_equal(fake_run(&fake, 0, "4|x"), "4|x");
}

static void
rules_of_shaped_columns(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.posts", "id int4*, tags json");
    fake_table(&fake.target, "public.tags", "id int4*, n int4*, tag text");
#define EACH "each: {column: tags, value: tag, position: n}}}"
    refused("tables: {posts: {into: tags, columns: {n: {set: 1}}, " EACH,
            "column n is filled by unpivot or each, it cannot have a rule too");
    refused("tables: {posts: {into: tags, columns: {tag: {from: id}}, " EACH,
            "its rule can only be a chain on that value");
    refused("tables: {posts: {into: tags, columns: {tag: {set: x}}, " EACH,
            "its rule can only be a chain on that value");
    fake_must_make(&fake, "tables: {posts: {into: tags, columns: {tag: {do: [trim]}}, " EACH);
}

static void
columns_are_preserved_by_a_key(void **state)
{
    (void)state;
    fake_table(&fake.source, "public.users", "id int4*, api_key text, note text");
    fake_table(&fake.target, "public.users", "id int4*, api_key text, note text, extra text");
    fake_must_make(&fake, "tables: {users: {preserve: {columns: [note, api_key]}}}");
    assert_int_equal(route(0)->n_preserved, 2);
    assert_int_equal(route(0)->preserved[0], 1);
    assert_int_equal(route(0)->preserved[1], 2);
    assert_int_equal(route(0)->n_preserved_key, 1);
    assert_int_equal(route(0)->preserved_key[0], 0);
    assert_true(route(0)->has_program);
    assert_non_null(route(0)->no_stream);
    fake_must_make(&fake, "tables: {users: {columns: {extra: {set: null}}, preserve: {rows: \"id > "
                          "7\", columns: [extra]}}}");
    assert_non_null(route(0)->preserve);
    assert_int_equal(route(0)->preserved[0], 3);
    refused("tables: {users: {preserve: {columns: [api]}}}", "no column api");
    refused("tables: {users: {preserve: {columns: [extra]}}}", "nothing fills column extra");
    refused("tables: {users: {preserve: {columns: [id]}}}", "to be preserved itself");
    fake.params.keys_come_later = true;
    refused("tables: {users: {preserve: {columns: [note]}}}", "only be preserved with --data-only");
    fake.params.keys_come_later = false;
    fake.params.follows = true;
    refused("tables: {users: {preserve: {columns: [note]}}}",
            "columns are preserved, and of a row");
    fake.params.follows = false;
    fake_must_make(&fake, "tables: {users: {preserve: {rows: \"id > 7\"}}}");
    assert_non_null(route(0)->preserve);
    assert_int_equal(route(0)->n_preserved, 0);
    fake_table(&fake.source, "public.heap", "id int4, note text");
    fake_table(&fake.target, "public.heap", "id int4, note text");
    refused("tables: {heap: {preserve: {columns: [note]}}}", "neither a primary key");
}

static void
numbers_are_joined_by_the_key(void **state)
{
    (void)state;
    tables("id int4*, author int4!, at date, body text, raw json",
           "id int8*, author int4, n int4^, body text, big int8");
    fake.target.rels[0].n_indexes = 1;
    fake_must_make(&fake, "tables: {users: {where: \"author > 3\", drop: [at, raw], columns: {"
                          "n: {number: {within: [author], order: [at DESC, body]}}, "
                          "big: {number: {}}}}}");
    assert_string_equal(
        route(0)->join,
        " JOIN (SELECT \"id\" AS pghaul_key_0, pg_catalog.row_number() OVER (PARTITION BY "
        "\"author\" ORDER BY \"at\" DESC NULLS LAST, \"body\", \"id\") AS pghaul_number_2, "
        "pg_catalog.row_number() OVER (ORDER BY \"id\") AS pghaul_number_4 FROM ONLY "
        "\"public\".\"users\" WHERE (\"author\" > 3)) AS pghaul_numbers ON "
        "\"public\".\"users\".\"id\" = pghaul_key_0");
    assert_string_equal(route(0)->inputs[2].sql, "pghaul_numbers.pghaul_number_2");
    assert_string_equal(route(0)->outputs[2].words,
                        "the number of the row among those of the same author, by at DESC, body, "
                        "then by the key");
    assert_string_equal(route(0)->outputs[4].words, "the number of the row, by the key");
    assert_non_null(route(0)->no_stream);
}

static void
numbers_that_are_refused(void **state)
{
    static const struct {
        const char *source;
        const char *target;
        const char *rule;
        const char *message; /* NULL: fine */
    } cases[] = {
        {"id int4*, a int4", "id int4*, n int2", "{number: {within: [a]}}",
         "column n for the number must be int4 or int8, not int2"},
        {"id int4, a int4", "id int4, n int4", "{number: {within: [a]}}",
         "`number` ends its order by the key, and the table has neither a primary key"},
        {"id int4*, a int4", "id int4*, n int4", "{number: {within: [b]}}", "no column b"},
        {"id int4*, a int4", "id int4*, n int4", "{number: {order: [b desc]}}", "no column b"},
        {"id int4*, a json", "id int4*, n int4", "{number: {order: [a desc]}}",
         "values of type json have no order"},
        {"id int4*, a json", "id int4*, n int4", "{number: {within: [a]}}",
         "values of type json have no order"},
        {"id int4*, a int4!", "a int4*, n int4*", "{number: {within: [a]}}", NULL},
        {"id int4*, a int4!", "a int4, n int4*", "{number: {order: [a]}}", NULL},
        {"id int4*, a int4!", "a int4, n int4*", "{number: {within: [a]}}",
         "column n is part of the target's unique key pkey, and its rule (the number of the row "
         "among those of the same a, by the key) may make different values equal"},
        {"id int4*, a int4!", "id int4*, n int4*", "{number: {within: [a]}}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char job[512];
        begin_again();
        tables(cases[i].source, cases[i].target);
        snprintf(job, sizeof job, "tables: {users: {drop: [%s], columns: {n: %s}}}",
                 strncmp(cases[i].target, "id", 2) == 0 ? "a" : "id", cases[i].rule);
        if (cases[i].message != NULL)
            refused(job, cases[i].message);
        else
            fake_must_make(&fake, job);
    }
    fake.params.follows = true;
    refused("tables: {users: {drop: [a], columns: {n: {number: {within: [a]}}}}}",
            "--follow cannot be exact: a change of one row gives others another `number`; copy it "
            "without --follow, or number the rows after the switch");
}

/* What refers to a column that is numbered anew would refer to other rows. */
static void
numbers_are_not_referred_to(void **state)
{
    (void)state;
    references();
    refused("tables: {users: {columns: {id: {number: {order: [note]}}}}}",
            "column user_id refers to public.users.id, which becomes a number that is not known "
            "here: keep that column as it is");
    fake_must_make(&fake, "tables: {users: {columns: {id: {number: {order: [note]}}}}, "
                          "posts: {columns: {user_id: {set: null}}}}");
    fake_must_make(&fake, "tables: {posts: {columns: {user_id: {number: {within: [id]}}}}}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        rules_test(names_must_be_there),
        rules_test(all_problems_are_told),
        rules_test(operators_must_fit),
        rules_test(only_selected_tables),
        rules_test(a_root_stands_for_its_partitions),
        rules_test(unique_keys_stay_unique),
        rules_test(other_unique_indexes_stay_unique_too),
        rules_test(keys_that_come_later_count),
        rules_test(another_column_keeps_a_key_unique),
        rules_test(shapes_must_fit),
        rules_test(keys_of_made_rows_are_proven),
        rules_test(parts_of_made_rows_in_the_stream),
        rules_test(parts_are_there_with_their_shape),
        rules_test(references_follow_their_key),
        rules_test(elements_follow_their_key),
        rules_test(a_column_is_named_like_an_element),
        rules_test(unpivoted_columns_follow_their_key),
        rules_test(all_references_follow),
        rules_test(classified_columns),
        rules_test(a_rule_classifies_its_own_column_alone),
        rules_test(a_generated_column_that_is_copied_is_classified),
        rules_test(the_stream_must_be_exact),
        rules_test(new_rows_must_come_whole),
        rules_test(keyed_values_must_come_with_their_key),
        rules_test(the_targets_key_follows_from_the_sources),
        rules_test(conditions_of_the_source),
        rules_test(merge_counts_the_rows_that_are_taken),
        rules_test(conditions_mean_the_same_in_the_stream),
        rules_test(a_sample_in_the_stream),
        rules_test(rules_of_shaped_columns),
        rules_test(columns_are_preserved_by_a_key),
        rules_test(numbers_are_joined_by_the_key),
        rules_test(numbers_that_are_refused),
        rules_test(numbers_are_not_referred_to),
    };

    return rules_run("test_rules_check", tests);
}
