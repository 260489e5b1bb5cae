/*
 * regexp_replace by PCRE2, which is a superset of what people write for PostgreSQL but for some
 * corners; its flags and its replacement's backslashes are PostgreSQL's. Work on one value is
 * bounded: a pattern that tries too long on it makes it bad.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#include "rules/op_families.h"
#include "rules/op_parts.h"

#define STEPS_MAX 1000000u
#define HEAP_KB_MAX 65536u
#define GROUPS_MAX 10u /* \0 to \9 */

struct regexp {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    bool replaces_all;
};

static void
release(struct ph_rule_call *call)
{
    struct regexp *regexp = call->state;

    if (regexp == NULL)
        return;
    pcre2_match_context_free(regexp->limits);
    pcre2_match_data_free(regexp->match);
    pcre2_code_free(regexp->code);
    free(regexp);
    call->state = NULL;
}

static bool
read_flags(struct ph_rule_call *call, const char *flags, uint32_t *options, bool *replaces_all)
{
    *options = PCRE2_UTF | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY;
    *replaces_all = false;
    for (; *flags != '\0'; flags++) {
        switch (*flags) {
        case 'g':
            *replaces_all = true;
            break;
        case 'i':
            *options |= PCRE2_CASELESS;
            break;
        case 'c':
            *options &= ~PCRE2_CASELESS;
            break;
        case 'x':
            *options |= PCRE2_EXTENDED;
            break;
        case 's':
            *options = (*options | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY) & ~PCRE2_MULTILINE;
            break;
        case 'n':
        case 'm':
            *options = (*options | PCRE2_MULTILINE) & ~(PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY);
            break;
        default:
            return ph_op_refuse(call, "flags are of g, i, c, x, s, n, m");
        }
    }
    return true;
}

static bool
compile(struct ph_rule_call *call, struct regexp *regexp, uint32_t options)
{
    PCRE2_UCHAR why[96];
    PCRE2_SIZE where;
    int code;

    regexp->code = pcre2_compile((PCRE2_SPTR)call->params[0], PCRE2_ZERO_TERMINATED, options, &code,
                                 &where, NULL);
    if (regexp->code == NULL) {
        pcre2_get_error_message(code, why, sizeof why);
        snprintf(call->message, sizeof call->message, "the pattern, at character %zu: %s",
                 (size_t)where + 1, (const char *)why);
        return false;
    }
    /* Without JIT it is slower, and gives the same. */
    (void)pcre2_jit_compile(regexp->code, PCRE2_JIT_COMPLETE);
    regexp->match = pcre2_match_data_create_from_pattern(regexp->code, NULL);
    regexp->limits = pcre2_match_context_create(NULL);
    if (regexp->match == NULL || regexp->limits == NULL)
        return ph_op_refuse(call, "out of memory");
    pcre2_set_match_limit(regexp->limits, STEPS_MAX);
    pcre2_set_heap_limit(regexp->limits, HEAP_KB_MAX);
    return true;
}

static bool
prepare(struct ph_rule_call *call)
{
    uint32_t options;
    bool replaces_all;

    if (!ph_op_params(call, 2, 3) ||
        !read_flags(call, call->n_params > 2 ? call->params[2] : "", &options, &replaces_all))
        return false;
    struct regexp *regexp = calloc(1, sizeof *regexp);
    if (regexp == NULL)
        return ph_op_refuse(call, "out of memory");
    regexp->replaces_all = replaces_all;
    call->state = regexp;
    if (!compile(call, regexp, options)) {
        release(call);
        return false;
    }
    return true;
}

static void
put_group(struct ph_op_text *out, const uint8_t *text, const PCRE2_SIZE *ends, uint32_t n_groups,
          uint32_t group)
{
    if (group >= n_groups)
        return;
    const PCRE2_SIZE *at = ends + 2 * (size_t)group;
    if (at[0] != PCRE2_UNSET && at[0] < at[1])
        ph_op_text_append(out, text + at[0], at[1] - at[0]);
}

/* \1 to \9 are groups, \& is all of it, \\ a backslash; any other backslash stands for itself. */
static void
put_replacement(struct ph_op_text *out, const char *replacement, const uint8_t *text,
                const PCRE2_SIZE *ends, uint32_t n_groups)
{
    for (const char *at = replacement; *at != '\0'; at++) {
        if (*at != '\\' || at[1] == '\0') {
            ph_op_text_putc(out, *at);
        } else if (at[1] >= '1' && at[1] <= '9') {
            put_group(out, text, ends, n_groups, (uint32_t)(*++at - '0'));
        } else if (at[1] == '&') {
            at++;
            put_group(out, text, ends, n_groups, 0);
        } else {
            ph_op_text_putc(out, '\\');
            if (at[1] == '\\')
                at++;
        }
    }
}

static enum ph_rule_result
match_failed(struct ph_rule_call *call, int code)
{
    if (code == PCRE2_ERROR_NOMEMORY)
        return PH_RULE_NO_MEMORY;
    if (code <= PCRE2_ERROR_UTF8_ERR1 && code >= PCRE2_ERROR_UTF8_ERR21)
        return ph_rule_bad(call, "not valid UTF-8");
    return ph_rule_bad(call, "the pattern takes too long on it");
}

/* What JIT has no stack for goes the slow way, so that results do not depend on it. */
static int
match(const struct regexp *regexp, const uint8_t *subject, size_t len, size_t start,
      uint32_t options)
{
    int n = pcre2_match(regexp->code, subject, len, start, options, regexp->match, regexp->limits);

    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
        n = pcre2_match(regexp->code, subject, len, start, options | PCRE2_NO_JIT, regexp->match,
                        regexp->limits);
    return n;
}

static enum ph_rule_result
regexp_replace(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct regexp *regexp = call->state;
    struct ph_span text = ph_op_span(&args[0]);
    struct ph_op_text replaced = ph_op_text_of(call, text.len + 16);
    const uint8_t *subject = text.len == 0 ? (const uint8_t *)"" : text.data;
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regexp->match);
    uint32_t options = 0; /* UTF-8 is checked the first time */
    size_t copied = 0;
    size_t start = 0;

    while (start <= text.len) {
        int n = match(regexp, subject, text.len, start, options);
        if (n == PCRE2_ERROR_NOMATCH)
            break;
        if (n < 0)
            return match_failed(call, n);
        if (ends[0] > ends[1] || ends[0] < copied)
            return ph_rule_bad(call, "the pattern matches what lies behind");
        ph_op_text_append(&replaced, subject + copied, ends[0] - copied);
        put_replacement(&replaced, call->params[1], subject, ends,
                        n > (int)GROUPS_MAX ? GROUPS_MAX : (uint32_t)n);
        copied = ends[1];
        start = ends[1];
        if (ends[0] == ends[1]) {
            struct ph_span rest = {subject + start, text.len - start};
            start += rest.len == 0 ? 1 : ph_op_utf8_len(rest);
        }
        if (!regexp->replaces_all)
            break;
        options = PCRE2_NO_UTF_CHECK;
    }
    ph_op_text_append(&replaced, subject + copied, text.len - copied);
    return ph_op_text_give(&replaced, out);
}

const struct ph_rule_op ph_text_regexp_ops[PH_TEXT_REGEXP_OPS] = {
    {"regexp_replace", "text -> text", "pattern, replacement, flags?", PH_RULE_MAY_BAD,
     regexp_replace, prepare, release,
     "the first match of a regular expression replaced, every one with flag g; \\1 to \\9 stand "
     "for groups"},
};
