/*
 * Whether values that are equal in a key and in what refers to it stay equal through one rule.
 *
 * Foreign keys are by the equality of types, operators by their bytes: a bigint key has integer
 * references, citext calls letters of two cases equal, character(n) ends in blanks, a numeric may
 * have more zeros. Many operators do not mind, as a sum does not mind the width of its integers;
 * some make other values of other bytes, and references are lost without an error.
 */
#include <stdio.h>

#include "model/type_match.h"
#include "rules/check_parts.h"

enum likeness {                /* of equal values on the two ends */
                ALIKE,         /* the same bytes */
                OTHER_WIDTH,   /* integers */
                OTHER_DIGITS,  /* numbers; zeros behind the point, or a numeric and an integer */
                OTHER_CASE,    /* citext */
                OTHER_BLANKS,  /* character(n) */
                OTHER_LETTERS, /* as its collation likes */
                OTHER_TYPE,
                APART /* no longer equal */
};

static bool
is_one_of(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0)
            return true;
    }
    return false;
}

static bool
is_integer(const char *class)
{
    static const char *const integers[] = {"int2", "int4", "int8", NULL};

    return is_one_of(class, integers);
}

/* ---- where it begins ---- */

static bool
is_of_base(const struct ph_catalog *catalog, const struct ph_column *column, const char *name)
{
    const struct ph_type *type = ph_type_base(catalog, column->type_oid);

    return type != NULL && strcmp(type->name, name) == 0;
}

static enum likeness
begin_text(const struct ph_catalog *catalog, const struct ph_column *a, const struct ph_column *b)
{
    bool is_same = a->type_oid == b->type_oid && a->typmod == b->typmod;

    if (a->nondeterministic || b->nondeterministic)
        return OTHER_LETTERS;
    if (is_of_base(catalog, a, "citext") || is_of_base(catalog, b, "citext"))
        return OTHER_CASE;
    if (!is_same && (is_of_base(catalog, a, "bpchar") || is_of_base(catalog, b, "bpchar")))
        return OTHER_BLANKS;
    return ALIKE;
}

static enum likeness
begin(const struct ph_catalog *catalog, const struct ph_column *a, const struct ph_column *b)
{
    char class_a[PH_CLASS_SIZE];
    char class_b[PH_CLASS_SIZE];

    if (!ph_type_class(catalog, a->type_oid, class_a) ||
        !ph_type_class(catalog, b->type_oid, class_b))
        return OTHER_TYPE;
    bool is_same = strcmp(class_a, class_b) == 0;
    bool is_numeric = strcmp(class_a, "numeric") == 0 || strcmp(class_b, "numeric") == 0;
    if (is_same && strcmp(class_a, "text") == 0)
        return begin_text(catalog, a, b);
    if (is_same && is_numeric)
        return a->typmod >= 0 && a->typmod == b->typmod ? ALIKE : OTHER_DIGITS;
    if (is_same)
        return ALIKE;
    if (is_integer(class_a) && is_integer(class_b))
        return OTHER_WIDTH;
    if (is_numeric && (is_integer(class_a) || is_integer(class_b)))
        return OTHER_DIGITS;
    return OTHER_TYPE;
}

/* ---- what a step makes of it ---- */

static enum likeness
step_width(const struct ph_rule_step *step)
{
    if (step->map != NULL)
        return step->otherwise == PH_ELSE_KEEP ? OTHER_WIDTH : ALIKE;
    if (strcmp(step->op, "cast") == 0)
        return ALIKE;
    bool is_permutation = strcmp(step->op, "hash_int") == 0 ||
                          (strcmp(step->op, "mask_int") == 0 && step->params.n < 2);
    return is_permutation ? APART : OTHER_WIDTH;
}

static enum likeness
step_digits(const struct ph_rule_step *step)
{
    static const char *const by_value[] = {"add",   "subtract", "multiply", "negate",
                                           "abs",   "clamp",    "null_if",  "coalesce",
                                           "round", "default",  NULL};
    char class[PH_CLASS_SIZE];

    if (step->map == NULL && strcmp(step->op, "cast") == 0 && step->params.n > 0 &&
        step->params.items[0].text != NULL) {
        ph_type_class_named(step->params.items[0].text, class);
        return is_integer(class) ? ALIKE : APART;
    }
    return step->map == NULL && is_one_of(step->op, by_value) ? OTHER_DIGITS : APART;
}

/* Of texts: the steps that make the ends alike, and those that leave them as they are. */
static enum likeness
step_text(const struct ph_rule_step *step, enum likeness likeness)
{
    static const char *const letters[] = {"lower", "upper", NULL};
    static const char *const blanks[] = {"trim", "rtrim", NULL};
    static const char *const harmless[] = {"trim",  "rtrim", "ltrim",   "lower",
                                           "upper", "cast",  "default", NULL};
    bool is_mended = is_one_of(step->op, likeness == OTHER_CASE ? letters : blanks);

    if (step->map != NULL)
        return APART;
    if (is_mended && (likeness == OTHER_CASE || step->params.n == 0))
        return ALIKE;
    return is_one_of(step->op, harmless) && step->params.n < 2 ? likeness : APART;
}

static enum likeness
step_on(const struct ph_rule_step *step, enum likeness likeness)
{
    bool is_cast = step->map == NULL && strcmp(step->op, "cast") == 0;

    if (likeness == ALIKE || likeness == APART)
        return likeness;
    if (step->library != NULL) /* what it makes of types is not known */
        return APART;
    bool is_loud = step->otherwise == PH_ELSE_ERROR || step->otherwise == PH_ELSE_QUARANTINE;
    if (step->map != NULL && is_loud) /* a form that it does not have is not passed over */
        return ALIKE;
    if (likeness == OTHER_WIDTH)
        return step_width(step);
    if (likeness == OTHER_DIGITS)
        return step_digits(step);
    if (likeness == OTHER_CASE || likeness == OTHER_BLANKS)
        return step_text(step, likeness);
    return likeness == OTHER_TYPE && is_cast ? ALIKE : APART;
}

/* ---- words ---- */

static void
put_cure(const struct ph_catalog *catalog, const struct ph_check_ends *ends, enum likeness likeness,
         struct ph_buf *out)
{
    char class_a[PH_CLASS_SIZE];
    char class_b[PH_CLASS_SIZE];

    switch (likeness) {
    case OTHER_WIDTH: /* int2, int4, int8: the narrowest of the two has room for all of both */
        (void)ph_type_class(catalog, ends->key->type_oid, class_a);
        (void)ph_type_class(catalog, ends->reference->type_oid, class_b);
        ph_buf_printf(out, "begin the rule with {cast: %s}",
                      strcmp(class_a, class_b) < 0 ? class_a : class_b);
        return;
    case OTHER_CASE:
        ph_buf_puts(out, "begin the rule with lower");
        return;
    case OTHER_BLANKS:
        ph_buf_puts(out, "begin the rule with rtrim");
        return;
    case OTHER_LETTERS:
        ph_buf_puts(out, "its collation calls different texts equal: keep that column as it is");
        return;
    case ALIKE:
    case OTHER_DIGITS:
    case OTHER_TYPE:
    case APART:
        ph_buf_puts(out, "begin the rule with a cast of both to one type");
        return;
    }
}

/* Different lengths of character(n), which the steps do not see. */
static bool
is_stripped(const struct ph_catalog *catalog, const struct ph_check_ends *ends,
            const struct ph_rule_step *steps, uint32_t n_steps)
{
    return is_of_base(catalog, ends->key, "bpchar") &&
           is_of_base(catalog, ends->reference, "bpchar") && ph_check_strips(steps, n_steps, "");
}

bool
ph_check_stays_alike(const struct ph_catalog *catalog, const struct ph_check_ends *ends,
                     const struct ph_rule_step *steps, uint32_t n_steps, struct ph_buf *why_not)
{
    const enum likeness first = begin(catalog, ends->key, ends->reference);
    enum likeness likeness = first;

    if (first == OTHER_BLANKS && is_stripped(catalog, ends, steps, n_steps))
        return true;
    for (uint32_t i = 0; i < n_steps; i++) {
        likeness = step_on(&steps[i], likeness);
        if (likeness != APART)
            continue;
        ph_buf_printf(why_not, "which is %s", ends->key->type_text);
        if (strcmp(ends->key->type_text, ends->reference->type_text) != 0)
            ph_buf_printf(why_not, " where it is %s", ends->reference->type_text);
        ph_buf_printf(why_not, ": %s makes different values of equal ones; ", steps[i].op);
        put_cure(catalog, ends, first, why_not);
        return false;
    }
    return true;
}
