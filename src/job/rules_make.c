#include "job/rules_make.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "job/lookups.h"
#include "model/type_match.h"
#include "rules/lookup.h"
#include "rules/stricter.h"
#include "wire/copy_binary.h"

#define SECRET_MAX 4096u
#define SECRET_MIN 8u
#define CONSTANT_MAX ((size_t)1 << 20)
#define STRICTER_LIMIT ((size_t)256 << 20)
#define PLACES_TRIED 1000u /* a millisecond or less each, once in a job's life */

/* ---- the secret ---- */

static ph_code
bad_secret(const struct ph_job_rules *rules, struct ph_error *err, const char *why)
{
    PH_FAIL(err, PH_E_RULES, "the secret of %s %s: %s",
            rules->secret_env != NULL ? "environment variable" : "file",
            rules->secret_env != NULL ? rules->secret_env : rules->secret_file, why);
    ph_error_object(err, "%s", rules->file);
    ph_error_hint(err,
                  "put at least %u characters there, the same every time: other characters give "
                  "other masks",
                  SECRET_MIN);
    return PH_E_RULES;
}

/* Line ends of an editor are none of it. */
static ph_code
keep_secret(const struct ph_job_rules *rules, const uint8_t *bytes, size_t len,
            struct ph_rules_made *made, struct ph_error *err)
{
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\r'))
        len--;
    if (len < SECRET_MIN)
        return bad_secret(rules, err, len == 0 ? "it is empty" : "it is too short");
    made->secret = malloc(len);
    if (made->secret == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    memcpy(made->secret, bytes, len);
    made->in_use.secret = made->secret;
    made->in_use.secret_len = len;
    return PH_OK;
}

static ph_code
read_secret_file(const struct ph_job_rules *rules, struct ph_rules_made *made, struct ph_error *err)
{
    uint8_t bytes[SECRET_MAX];
    int fd = open(rules->secret_file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return bad_secret(rules, err, strerror(errno));
    ssize_t len = read(fd, bytes, sizeof bytes);
    int why = errno;
    close(fd);
    if (len < 0)
        return bad_secret(rules, err, strerror(why));
    if ((size_t)len == sizeof bytes)
        return bad_secret(rules, err, "it is too long");
    ph_code rc = keep_secret(rules, bytes, (size_t)len, made, err);
    explicit_bzero(bytes, sizeof bytes);
    return rc;
}

static ph_code
read_secret(const struct ph_job_rules *rules, struct ph_rules_made *made, struct ph_error *err)
{
    if (rules->secret_file != NULL)
        return read_secret_file(rules, made, err);
    if (rules->secret_env == NULL)
        return PH_OK;
    const char *text = getenv(rules->secret_env);
    if (text == NULL)
        return bad_secret(rules, err, "it is not set");
    return keep_secret(rules, (const uint8_t *)text, strlen(text), made, err);
}

/* ---- constants ---- */

/* The field of one row, in `arena`. */
static ph_code
keep_value(struct ph_span bytes, struct ph_arena *arena, struct ph_value *out, struct ph_error *err)
{
    static const struct ph_copy_shape shape = {.n_fields = 1, .max_row_bytes = CONSTANT_MAX};
    size_t header;
    struct ph_copy_row row;
    struct ph_span field;

    PH_TRY(ph_copy_binary_header(bytes, &header, err));
    bytes = (struct ph_span){bytes.data + header, bytes.len - header};
    PH_TRY(ph_copy_binary_next(&shape, bytes, &field, &row, err));
    if (row.item != PH_COPY_ROW)
        return PH_FAIL(err, PH_E_PROTOCOL, "a constant came back as no row");
    *out = (struct ph_value){NULL, PH_VALUE_NULL};
    if (field.data == NULL)
        return PH_OK;
    uint8_t *copy = ph_arena_alloc(arena, field.len + 1);
    if (copy == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for a constant");
    memcpy(copy, field.data, field.len);
    *out = (struct ph_value){copy, (int32_t)field.len};
    return PH_OK;
}

static ph_code
read_value(struct ph_conn *conn, struct ph_arena *arena, struct ph_value *out, struct ph_error *err)
{
    uint8_t *bytes = malloc(CONSTANT_MAX);
    size_t used = 0;
    size_t len = 1;
    ph_code rc = bytes == NULL ? PH_FAIL(err, PH_E_MEMORY, "no memory for a constant") : PH_OK;

    while (rc == PH_OK && len > 0) {
        rc = ph_conn_copy_out_read(conn, bytes + used, CONSTANT_MAX - used, &len, err);
        used += rc == PH_OK ? len : 0;
    }
    if (rc == PH_OK)
        rc = keep_value((struct ph_span){bytes, used}, arena, out, err);
    free(bytes);
    return rc;
}

struct asker {
    struct ph_conn *conn;
    const struct ph_catalog *types; /* of that server */
};

/* Behind domains and arrays: a cast cuts these off where storing them would fail. */
static bool
may_be_cut(const struct ph_catalog *types, const struct ph_column *column, bool *is_array)
{
    static const char *const names[] = {"varchar", "bpchar", "bit", "varbit"};
    const struct ph_type *type = ph_type_base(types, column->type_oid);

    *is_array = false;
    for (int depth = 0; type != NULL && ph_type_is_array(type) && depth < PH_TYPE_DEPTH_MAX;
         depth++) {
        *is_array = true;
        type = ph_type_base(types, type->elem_oid);
    }
    for (size_t i = 0; type != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(type->schema, "pg_catalog") == 0 && strcmp(type->name, names[i]) == 0)
            return true;
    }
    return false;
}

/*
 * The server itself says whether storing it would fail, with nothing made that it could be stored
 * in: fields of JSON are read as a column of that type is, lengths of domains and elements too.
 */
static ph_code
check_length(const struct asker *asker, const struct ph_column *column, const char *text,
             struct ph_error *err)
{
    bool is_array;
    struct ph_result *result;
    struct ph_buf sql;

    if (!may_be_cut(asker->types, column, &is_array))
        return PH_OK;
    ph_buf_init(&sql, CONSTANT_MAX);
    ph_buf_puts(&sql, "SELECT pg_catalog.count(c) FROM pg_catalog.json_to_record("
                      "pg_catalog.json_build_object('c', ");
    ph_buf_put_literal(&sql, text);
    ph_buf_printf(&sql, "::pg_catalog.text%s)) AS r (c %s)", is_array ? "[]" : "",
                  column->type_text);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_query(asker->conn, ph_buf_text(&sql), 0, NULL, &result, err)
                     : PH_FAIL(err, PH_E_MEMORY, "a constant is too long");
    ph_buf_free(&sql);
    if (rc == PH_OK)
        ph_result_free(result);
    return rc;
}

static ph_code
as_types_error(ph_code rc, const struct ph_column *column, struct ph_error *err)
{
    char why[200];

    if (rc != PH_E_SQL && rc != PH_E_DATA && rc != PH_E_CONSTRAINT)
        return rc;
    snprintf(why, sizeof why, "%.199s", err->message);
    ph_error_reset(err);
    return PH_FAIL(err, PH_E_TYPES, "not a value of %s: %s", column->type_text, why);
}

/* What the query gives, of one row and column. */
static ph_code
ask_value(const struct asker *asker, const struct ph_buf *query, struct ph_arena *arena,
          struct ph_value *out, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, CONSTANT_MAX);
    ph_buf_printf(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", ph_buf_text(query));
    ph_code rc = ph_buf_ok(query) && ph_buf_ok(&sql)
                     ? ph_conn_copy_out_begin(asker->conn, ph_buf_text(&sql), err)
                     : PH_FAIL(err, PH_E_MEMORY, "a constant is too long");
    ph_buf_free(&sql);
    return rc == PH_OK ? read_value(asker->conn, arena, out, err) : rc;
}

static ph_code
ask_constant(void *arg, const struct ph_column *column, const char *text, struct ph_arena *arena,
             struct ph_value *out, struct ph_error *err)
{
    const struct asker *asker = arg;
    struct ph_buf sql;

    ph_buf_init(&sql, CONSTANT_MAX);
    ph_buf_puts(&sql, "SELECT ");
    ph_buf_put_literal(&sql, text);
    ph_buf_printf(&sql, "::%s", column->type_text);
    ph_code rc = ask_value(asker, &sql, arena, out, err);
    ph_buf_free(&sql);
    if (rc == PH_OK)
        rc = check_length(asker, column, text, err);
    return rc == PH_OK ? PH_OK : as_types_error(rc, column, err);
}

/* Sent as bytes: texts would come back in the session's encoding. */
static ph_code
ask_in_database(void *arg, const char *text, struct ph_arena *arena, const char **out,
                struct ph_error *err)
{
    struct ph_value value;
    struct ph_buf sql;

    ph_buf_init(&sql, CONSTANT_MAX);
    ph_buf_puts(&sql, "SELECT pg_catalog.convert_to(");
    ph_buf_put_literal(&sql, text);
    ph_buf_puts(&sql, ", pg_catalog.getdatabaseencoding())");
    ph_code rc = ask_value(arg, &sql, arena, &value, err);
    ph_buf_free(&sql);
    if (rc != PH_OK)
        return rc;
    *out = ph_arena_strndup(arena, (const char *)value.data, (size_t)value.len);
    return *out != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for a label");
}

/* ---- all of it ---- */

static ph_code
list_selected(const struct ph_rules_params *params, struct ph_rules_made *made, uint32_t *n,
              struct ph_error *err)
{
    const struct ph_catalog *source = params->source;

    *n = 0;
    made->selected = calloc((size_t)source->n_rels + 1, sizeof *made->selected);
    if (made->selected == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < source->n_rels; i++) {
        const struct ph_rel *rel = &source->rels[i];
        if ((rel->kind == PH_REL_TABLE || rel->kind == PH_REL_PARTITIONED) &&
            ph_selection_has(params->selection, source, rel))
            made->selected[(*n)++] = rel;
    }
    return PH_OK;
}

static bool
is_same(const struct ph_rules_made *former, const struct ph_rules_made *made)
{
    return former != NULL && former->lookups != NULL &&
           strcmp(ph_ruleset_fingerprint(former->set), ph_ruleset_fingerprint(made->set)) == 0;
}

/* One process reads what it looks up once, however often it begins anew. */
static ph_code
make_lookups(const struct ph_rules_params *params, struct ph_rules_made *made, struct ph_error *err)
{
    struct ph_rules_made *former = params->former;

    if (is_same(former, made) && ph_lookup_sources_live(&former->sources)) {
        ph_lookup_sources_close(&made->sources);
        made->lookups = former->lookups;
        made->sources = former->sources;
        former->lookups = NULL;
        former->sources = (struct ph_lookup_sources){0};
        ph_lookups_adopt(made->lookups, made->set);
    } else {
        PH_TRY(ph_lookup_sources_read(&made->sources, made->set, &made->lookups, err));
    }
    ph_lookup_sources_settle(&made->sources);
    made->in_use.lookups = made->lookups;
    made->in_use.access = made->sources.access;
    return PH_OK;
}

static const struct ph_catalog *
target_of(const struct ph_rules_params *params)
{
    return params->target == NULL ? params->source : params->target;
}

static struct ph_ruleset_params
set_params(const struct ph_rules_params *params, const struct ph_rules_made *made,
           struct asker *asker)
{
    *asker = (struct asker){params->conn, target_of(params)};
    return (struct ph_ruleset_params){
        .rules = params->options->rules,
        .source = params->source,
        .target = target_of(params),
        .selected = made->selected,
        .n_selected = made->n_selected,
        .databases = made->sources.databases,
        .n_databases = made->sources.n_databases,
        /* a copy has made the job's directory; commands that change nothing do not */
        .dir = access(params->options->dir, W_OK | X_OK) == 0 ? params->options->dir : NULL,
        .keep_c = params->options->keep_c,
        .object = params->options->rules_object,
        .follows = params->follows,
        .sets_identity = params->options->set_replica_identity,
        .keys_come_later = params->keys_come_later,
        .constant = ask_constant,
        .in_database = ask_in_database,
        .constant_arg = asker,
    };
}

static ph_code
make_set(const struct ph_rules_params *params, struct ph_rules_made *made, struct ph_error *err)
{
    struct asker asker;
    const struct ph_ruleset_params set = set_params(params, made, &asker);

    PH_TRY(ph_ruleset_make(&set, &made->set, err));
    made->in_use.set = made->set;
    return params->options->output != NULL ? ph_ruleset_build(&set, params->options->output, err)
                                           : PH_OK;
}

ph_code
ph_rules_make(const struct ph_rules_params *params, struct ph_rules_made *made,
              struct ph_error *err)
{
    const struct ph_job_rules *rules = params->options->rules;

    *made = (struct ph_rules_made){0};
    if (rules == NULL)
        return PH_OK;
    PH_TRY(list_selected(params, made, &made->n_selected, err));
    ph_code rc = read_secret(rules, made, err);
    if (rc == PH_OK)
        rc = ph_lookup_sources_open(&made->sources, params->options,
                                    params->conn != NULL ? ph_conn_endpoint(params->conn) : NULL,
                                    err);
    if (rc == PH_OK)
        rc = make_set(params, made, err);
    if (rc == PH_OK)
        rc = ph_ruleset_marks(made->set,
                              (struct ph_span){made->in_use.secret, made->in_use.secret_len},
                              made->marks, err);
    if (rc == PH_OK)
        rc = make_lookups(params, made, err);
    made->preserving = params->preserving;
    made->in_use.preserving = &made->preserving;
    if (rc != PH_OK)
        ph_rules_free(made);
    return rc;
}

/* ---- what the rules were before ---- */

/* The stricter rules may be none that the check lets through: then they were not the former ones.
 */
static ph_code
is_with_place_strict(struct ph_ruleset_params *set, const struct ph_stricter_params *place,
                     const char *former, uint32_t *n_places, bool *is_former, struct ph_error *err)
{
    const struct ph_job_rules *rules = set->rules;
    char fingerprint[PH_FINGERPRINT_SIZE] = "";
    struct ph_job_rules stricter;
    struct ph_arena arena;

    ph_arena_init(&arena, STRICTER_LIMIT);
    ph_code rc = ph_job_rules_stricter(rules, place, &arena, &stricter, n_places, err);
    set->rules = &stricter;
    if (rc == PH_OK && *n_places > 0)
        rc = ph_ruleset_find_fingerprint(set, fingerprint, err);
    set->rules = rules;
    ph_arena_reset(&arena);
    *is_former = rc == PH_OK && strcmp(fingerprint, former) == 0;
    if (rc != PH_E_RULES)
        return rc;
    ph_error_reset(err);
    return PH_OK;
}

ph_code
ph_rules_are_laxer(const struct ph_rules_params *params, const struct ph_rules_made *made,
                   const char *former, bool *are_laxer, struct ph_error *err)
{
    struct asker asker;
    struct ph_ruleset_params set = set_params(params, made, &asker);
    struct ph_stricter_params place = {PH_ALL_PLACES, !params->follows};
    uint32_t n;
    uint32_t same;

    set.keep_c = NULL;
    *are_laxer = false;
    if (made->set == NULL)
        return PH_OK;
    PH_TRY(is_with_place_strict(&set, &place, former, &n, are_laxer, err));
    for (place.place = 0; !*are_laxer && place.place < n && n <= PLACES_TRIED; place.place++)
        PH_TRY(is_with_place_strict(&set, &place, former, &same, are_laxer, err));
    return PH_OK;
}

ph_code
ph_rules_check_marks(const struct ph_rules_made *made, const char *job, const char *former,
                     struct ph_error *err)
{
    const char *what = ph_ruleset_marks_differ(former, made->marks);

    if (what == NULL)
        return PH_OK;
    PH_FAIL(err, PH_E_JOB_OTHER,
            "%s is another one than the copy was begun with: the same value would become two",
            what);
    ph_error_object(err, "job %s", job);
    ph_error_hint(err, "%s",
                  "give the one that it had; to copy with this one start over with --restart "
                  "--yes; to compare rows of another job give its --name");
    return PH_E_JOB_OTHER;
}

void
ph_rules_free(struct ph_rules_made *made)
{
    ph_lookups_free(made->lookups);
    ph_lookup_sources_close(&made->sources);
    ph_ruleset_free(made->set);
    if (made->secret != NULL)
        explicit_bzero(made->secret, made->in_use.secret_len);
    free(made->secret);
    free(made->selected);
    *made = (struct ph_rules_made){0};
}
