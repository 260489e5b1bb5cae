/*
 * The comparison walks both type trees at once. A whole takes the kind of its worst part
 * (`worsen`), with that part's reason; the first worst reason stays.
 *
 * Base types are allowed by name, not by "it has a send function": what is not known to send
 * portable bytes goes as text, which costs time; the reverse would cost rows.
 */
#include "model/type_match.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Base types of pg_catalog whose send format is the same on every server of 13 and later. */
static const char *const portable[] = {
    "bit",       "bool",        "box",      "bpchar",    "bytea",         "char",        "cid",
    "cidr",      "circle",      "date",     "float4",    "float8",        "inet",        "int2",
    "int4",      "int8",        "interval", "json",      "jsonb",         "jsonpath",    "line",
    "lseg",      "macaddr",     "macaddr8", "name",      "numeric",       "oid",         "path",
    "pg_lsn",    "point",       "polygon",  "refcursor", "text",          "tid",         "time",
    "timestamp", "timestamptz", "timetz",   "tsvector",  "txid_snapshot", "pg_snapshot", "uuid",
    "varbit",    "varchar",     "xid",      "xid8",      "xml",
};

/* Types whose input functions refuse every value. */
static const char *const unloadable[] = {
    "gtsvector",       "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary",
    "pg_dependencies", "pg_mcv_list",           "pg_ndistinct",
    "pg_node_tree",
};

/*
 * Types whose receive functions refuse an empty value as their own send functions send it: the
 * vectors on every major, tsquery on some (seen on 18).
 */
static const char *const refuse_empty[] = {"int2vector", "oidvector", "tsquery"};

/* Groups within which text output of one type is input of another, and assignment is meant. */
static const char *const related[][3] = {
    {"date", "timestamp", "timestamptz"},
    {"time", "timetz"},
    {"inet", "cidr"},
    {"json", "jsonb"},
    {"bit", "varbit"},
    {"xid", "xid8"},
    {"pg_snapshot", "txid_snapshot"},
    {"oid", "int8"},
};
static const char *const numbers[] = {"int2", "int4", "int8", "numeric", "float4", "float8"};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct pair {
    const struct ph_catalog *source;
    const struct ph_catalog *target;
    struct ph_type_match *out;
};

static bool
is_in(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] != NULL && strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool
is_builtin(const struct ph_type *type)
{
    return type->extension == NULL && strcmp(type->schema, "pg_catalog") == 0;
}

static bool
is_builtin_in(const struct ph_type *type, const char *const *list, size_t n)
{
    return is_builtin(type) && is_in(type->name, list, n);
}

__attribute__((format(printf, 3, 4))) static void
worsen(struct ph_type_match *out, enum ph_match kind, const char *format, ...)
{
    va_list args;

    if (kind <= out->kind)
        return;
    out->kind = kind;
    va_start(args, format);
    vsnprintf(out->reason, sizeof out->reason, format, args);
    va_end(args);
}

bool
ph_type_is_array(const struct ph_type *type)
{
    return type->category == 'A' && type->elem_oid != 0;
}

int32_t
ph_type_column_typmod(const struct ph_catalog *catalog, const struct ph_column *column)
{
    const struct ph_type *type = ph_catalog_type(catalog, column->type_oid);
    int32_t typmod = column->typmod;

    for (int depth = 0; typmod < 0 && type != NULL && depth < PH_TYPE_DEPTH_MAX; depth++) {
        bool is_domain = type->kind == 'd';
        if (!is_domain && !ph_type_is_array(type))
            break;
        typmod = is_domain ? type->typmod : typmod;
        type = ph_catalog_type(catalog, is_domain ? type->base_oid : type->elem_oid);
    }
    return typmod;
}

void
ph_type_put_equals(const struct ph_type *base, struct ph_buf *out)
{
    bool is_users = base != NULL && base->kind == 'b' && !ph_type_is_array(base) &&
                    strcmp(base->schema, "pg_catalog") != 0;

    ph_buf_puts(out, "OPERATOR(");
    if (is_users)
        ph_buf_put_ident(out, base->schema);
    else
        ph_buf_puts(out, "pg_catalog");
    ph_buf_puts(out, ".=)");
}

const struct ph_type *
ph_type_base(const struct ph_catalog *catalog, ph_oid oid)
{
    const struct ph_type *type = ph_catalog_type(catalog, oid);

    for (int depth = 0; type != NULL && type->kind == 'd'; depth++) {
        if (depth == PH_TYPE_DEPTH_MAX)
            return NULL;
        type = ph_catalog_type(catalog, type->base_oid);
    }
    return type;
}

bool
ph_type_column_not_null(const struct ph_catalog *catalog, const struct ph_column *column)
{
    const struct ph_type *type = ph_catalog_type(catalog, column->type_oid);
    bool not_null = column->not_null;

    for (int depth = 0; type != NULL && type->kind == 'd' && depth < PH_TYPE_DEPTH_MAX; depth++) {
        not_null |= type->not_null;
        type = ph_catalog_type(catalog, type->base_oid);
    }
    return not_null;
}

static void match_types(const struct pair *pair, ph_oid source_oid, ph_oid target_oid, int depth);

/* An OID that is embedded in the bytes. */
static void
match_embedded(const struct pair *pair, ph_oid source_oid, ph_oid target_oid, int depth)
{
    if (source_oid != target_oid)
        worsen(pair->out, PH_MATCH_REMAP, "embedded type OIDs are rewritten");
    match_types(pair, source_oid, target_oid, depth);
}

static const struct ph_attribute *
next_live(const struct ph_type *type, uint32_t *at)
{
    while (*at < type->n_attributes && type->attributes[*at].dropped)
        ++*at;
    return *at < type->n_attributes ? &type->attributes[(*at)++] : NULL;
}

/* By position, in both formats: so the names must agree, or values would silently change places. */
static void
match_composites(const struct pair *pair, const struct ph_type *source,
                 const struct ph_type *target, int depth)
{
    uint32_t source_at = 0;
    uint32_t target_at = 0;

    if (source->n_attributes == 0 && target->n_attributes == 0)
        worsen(pair->out, PH_MATCH_TEXT, "the attributes of %s are not known", source->name);
    for (;;) {
        const struct ph_attribute *a = next_live(source, &source_at);
        const struct ph_attribute *b = next_live(target, &target_at);
        if (a == NULL && b == NULL)
            return;
        if (a == NULL || b == NULL || strcmp(a->name, b->name) != 0) {
            worsen(pair->out, PH_MATCH_NONE,
                   "composite %s: attribute %s on the source is %s on "
                   "the target",
                   source->name, a == NULL ? "(none)" : a->name, b == NULL ? "(none)" : b->name);
            return;
        }
        match_embedded(pair, a->type_oid, b->type_oid, depth);
    }
}

static void
match_enums(const struct pair *pair, const struct ph_type *source, const struct ph_type *target)
{
    for (uint32_t i = 0; i < source->n_labels; i++)
        if (!is_in(source->labels[i], target->labels, target->n_labels)) {
            worsen(pair->out, PH_MATCH_NONE, "enum %s on the target lacks the label '%s'",
                   target->name, source->labels[i]);
            return;
        }
}

/* Two locales of one language and country print money alike, whatever their encoding is called. */
static bool
is_same_locale(const char *a, const char *b)
{
    size_t len = strcspn(a, ".");

    return strcspn(b, ".") == len && strncmp(a, b, len) == 0;
}

static void
match_builtins(const struct pair *pair, const struct ph_type *type)
{
    const char *source_money = pair->source->lc_monetary;
    const char *target_money = pair->target->lc_monetary;

    if (is_in(type->name, unloadable, COUNT(unloadable)))
        worsen(pair->out, PH_MATCH_NONE, "no server loads values of type %s", type->name);
    else if (strcmp(type->name, "money") == 0 && !is_same_locale(source_money, target_money))
        worsen(pair->out, PH_MATCH_NONE, "money: lc_monetary is %s on the source, %s on the target",
               source_money, target_money);
    else if (strcmp(type->name, "money") == 0 || is_in(type->name, portable, COUNT(portable)))
        return;
    else if (strncmp(type->name, "reg", 3) == 0)
        worsen(pair->out, PH_MATCH_TEXT, "%s names an object by OID", type->name);
    else
        worsen(pair->out, PH_MATCH_TEXT, "%s has no portable binary form", type->name);
}

static bool
same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void
match_same_base(const struct pair *pair, const struct ph_type *source, const struct ph_type *target)
{
    if (is_builtin(source))
        match_builtins(pair, source);
    else if (source->extension == NULL)
        worsen(pair->out, PH_MATCH_TEXT, "base type %s belongs to no extension", source->name);
    else if (!same_text(source->extension_version, target->extension_version))
        worsen(pair->out, PH_MATCH_TEXT, "extension %s is %s on the source, %s on the target",
               source->extension, source->extension_version, target->extension_version);
    if (!source->has_binary || !target->has_binary)
        worsen(pair->out, PH_MATCH_TEXT, "%s has no send and receive functions", source->name);
}

static bool
are_related(const struct ph_type *source, const struct ph_type *target)
{
    if (target->category == 'S' || source->category == 'S')
        return true;
    if (is_builtin_in(source, numbers, COUNT(numbers)) &&
        is_builtin_in(target, numbers, COUNT(numbers)))
        return true;
    for (size_t i = 0; i < COUNT(related); i++)
        if (is_builtin_in(source, related[i], COUNT(related[i])) &&
            is_builtin_in(target, related[i], COUNT(related[i])))
            return true;
    return false;
}

/* Types of different names or kinds: a text family that shares its bytes, or the text form. */
static void
match_different(const struct pair *pair, const struct ph_type *source, const struct ph_type *target)
{
    static const char *const strings[] = {"text", "varchar", "bpchar"};
    bool is_string = is_builtin_in(target, strings, 2);
    /* The first three and the first four of the list: digits stay digits. */
    bool is_integer = is_builtin_in(source, numbers, 3) && is_builtin_in(target, numbers, 4);

    if (is_string && is_builtin_in(source, strings, COUNT(strings)))
        return;
    if (!are_related(source, target)) {
        worsen(pair->out, PH_MATCH_NONE, "%s on the source cannot become %s on the target",
               source->name, target->name);
        return;
    }
    pair->out->may_change |= !is_integer && !is_string;
    worsen(pair->out, PH_MATCH_TEXT, "%s on the source is %s on the target", source->name,
           target->name);
}

static bool
is_same_base(const struct ph_type *source, const struct ph_type *target)
{
    if (source->extension != NULL || target->extension != NULL)
        return same_text(source->extension, target->extension) &&
               strcmp(source->name, target->name) == 0;
    return strcmp(source->schema, target->schema) == 0 && strcmp(source->name, target->name) == 0;
}

static void
match_types(const struct pair *pair, ph_oid source_oid, ph_oid target_oid, int depth)
{
    const struct ph_type *source = ph_type_base(pair->source, source_oid);
    const struct ph_type *target = ph_type_base(pair->target, target_oid);

    if (source == NULL || target == NULL)
        worsen(pair->out, PH_MATCH_NONE, "type %u is not in the catalog",
               source == NULL ? source_oid : target_oid);
    else if (depth > PH_TYPE_DEPTH_MAX)
        worsen(pair->out, PH_MATCH_TEXT, "types are nested more than %d deep", PH_TYPE_DEPTH_MAX);
    else if (is_builtin_in(source, refuse_empty, COUNT(refuse_empty)) &&
             is_same_base(source, target))
        worsen(pair->out, PH_MATCH_TEXT, "an empty %s cannot be loaded in binary", source->name);
    else if (ph_type_is_array(source) && ph_type_is_array(target))
        match_embedded(pair, source->elem_oid, target->elem_oid, depth + 1);
    else if (source->kind != target->kind || ph_type_is_array(source) || ph_type_is_array(target))
        match_different(pair, source, target);
    else if (source->kind == 'c')
        match_composites(pair, source, target, depth + 1);
    else if (source->kind == 'e')
        match_enums(pair, source, target);
    else if (source->kind == 'r' || source->kind == 'm')
        match_types(pair, source->subtype_oid, target->subtype_oid, depth + 1);
    else if (source->kind == 'p')
        worsen(pair->out, PH_MATCH_NONE, "%s is a pseudo-type", source->name);
    else if (is_same_base(source, target))
        match_same_base(pair, source, target);
    else
        match_different(pair, source, target);
}

void
ph_type_match(const struct ph_catalog *source, ph_oid source_oid, const struct ph_catalog *target,
              ph_oid target_oid, struct ph_type_match *out)
{
    const struct pair pair = {source, target, out};

    *out = (struct ph_type_match){.kind = PH_MATCH_PASS};
    match_types(&pair, source_oid, target_oid, 0);
}

/*
 * Whether the target's typmod may give a value another form. No limit never does; nor does a larger
 * length of varchar or varbit, or more digits of numeric before the same scale.
 */
static bool
typmod_changes(const struct ph_type *type, int32_t source, int32_t target)
{
    static const char *const lengths[] = {"varchar", "varbit"};
    const int32_t scale = 0xffff;

    if (source == target || target == -1)
        return false;
    if (source == -1 || source > target || type == NULL)
        return true;
    if (is_builtin_in(type, lengths, COUNT(lengths)))
        return false;
    return !is_builtin(type) || strcmp(type->name, "numeric") != 0 ||
           (source & scale) != (target & scale);
}

void
ph_type_match_column(const struct ph_catalog *source, const struct ph_column *source_column,
                     const struct ph_catalog *target, const struct ph_column *target_column,
                     struct ph_type_match *out)
{
    ph_type_match(source, source_column->type_oid, target, target_column->type_oid, out);
    out->may_change |= typmod_changes(ph_type_base(target, target_column->type_oid),
                                      ph_type_column_typmod(source, source_column),
                                      ph_type_column_typmod(target, target_column));
}

ph_code
ph_type_match_table(const struct ph_plan_column *columns, uint32_t n_columns,
                    const struct ph_catalog *source, const struct ph_catalog *target,
                    struct ph_table_match *out, struct ph_error *err)
{
    enum ph_match worst = PH_MATCH_PASS;

    *out = (struct ph_table_match){.format = PH_FORMAT_BINARY, .reason = "binary"};
    for (uint32_t i = 0; i < n_columns; i++) {
        struct ph_type_match match = {0};
        ph_type_match_column(source, columns[i].source, target, columns[i].target, &match);
        out->may_change |= match.may_change;
        if (match.kind == PH_MATCH_NONE)
            return PH_FAIL(err, PH_E_TYPES, "column %s: %s", columns[i].target_name, match.reason);
        if (match.kind <= worst)
            continue;
        worst = match.kind;
        snprintf(out->reason, sizeof out->reason, "column %s: %s", columns[i].source_name,
                 match.reason);
    }
    if (worst == PH_MATCH_TEXT)
        out->format = PH_FORMAT_TEXT;
    return PH_OK;
}
