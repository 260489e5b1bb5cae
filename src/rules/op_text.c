/*
 * Text by characters: cut, joined, padded, replaced. Text is UTF-8; other bytes are bad where
 * characters are counted. What is done by ICU is in op_text_case.c, regular expressions in
 * op_text_regexp.c.
 */
#include <stdlib.h>

#include "rules/op_families.h"
#include "rules/op_parts.h"

static enum ph_rule_result
not_utf8(struct ph_rule_call *call)
{
    return ph_rule_bad(call, "not valid UTF-8");
}

static enum ph_rule_result
give_span(struct ph_rule_call *call, struct ph_span text, struct ph_value *out)
{
    return ph_op_give(call, text.data, text.len, out);
}

/* Where the first occurrence is; text.len: there is none. `what` is not empty. */
static size_t
find(struct ph_span text, struct ph_span what)
{
    const uint8_t *at =
        text.len < what.len ? NULL : memmem(text.data, text.len, what.data, what.len);

    return at == NULL ? text.len : (size_t)(at - text.data);
}

static struct ph_span
behind(struct ph_span text, size_t len)
{
    return (struct ph_span){text.data + len, text.len - len};
}

/* Bytes of the first `n` characters, of all when it has fewer. */
static enum ph_rule_result
prefix_bytes(struct ph_rule_call *call, struct ph_span text, int64_t n, size_t *out)
{
    size_t at = 0;

    for (; n > 0 && at < text.len; n--) {
        size_t len = ph_op_utf8_len(behind(text, at));
        if (len == 0)
            return not_utf8(call);
        at += len;
    }
    *out = at;
    return PH_RULE_OK;
}

static enum ph_rule_result
count(struct ph_rule_call *call, struct ph_span text, int64_t *out)
{
    size_t n;

    if (!ph_op_utf8_count(text, &n))
        return not_utf8(call);
    *out = (int64_t)n;
    return PH_RULE_OK;
}

/* ---- numbers as parameters ---- */

struct numbers {
    int64_t first;
    int64_t second;
    bool has_second;
};

static bool
prepare_numbers(struct ph_rule_call *call, const char *first, const char *second, int64_t least,
                int64_t least_second)
{
    struct numbers numbers = {.first = 0};

    if (!ph_op_params(call, 1, second == NULL ? 1 : 2) ||
        !ph_op_param_int(call, 0, first, least, INT32_MAX, &numbers.first))
        return false;
    numbers.has_second = call->n_params > 1;
    if (numbers.has_second &&
        !ph_op_param_int(call, 1, second, least_second, INT32_MAX, &numbers.second))
        return false;
    struct numbers *state = malloc(sizeof *state);
    if (state == NULL)
        return ph_op_refuse(call, "out of memory");
    *state = numbers;
    call->state = state;
    return true;
}

static bool
prepare_substring(struct ph_rule_call *call)
{
    return prepare_numbers(call, "start", "length", INT32_MIN, 0);
}

static bool
prepare_count(struct ph_rule_call *call)
{
    return prepare_numbers(call, "count", NULL, INT32_MIN, 0);
}

/* ---- parts ---- */

/* From character `start`, which may lie before the first: then `length` counts from there. */
static enum ph_rule_result
substring(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct numbers *params = call->state;
    struct ph_span text = ph_op_span(&args[0]);
    int64_t end = params->has_second ? params->first + params->second : INT64_MAX;
    int64_t start = params->first < 1 ? 1 : params->first;
    size_t skipped;
    size_t len = text.len;

    if (end <= start)
        return ph_op_give(call, "", 0, out);
    PH_OP_TRY(prefix_bytes(call, text, start - 1, &skipped));
    text = behind(text, skipped);
    len = text.len;
    if (params->has_second)
        PH_OP_TRY(prefix_bytes(call, text, end - start, &len));
    return ph_op_give(call, text.data, len, out);
}

/* Of a negative count: all but so many at the other end. */
static enum ph_rule_result
left(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct numbers *params = call->state;
    struct ph_span text = ph_op_span(&args[0]);
    int64_t n = params->first;
    int64_t characters;
    size_t len;

    if (n < 0) {
        PH_OP_TRY(count(call, text, &characters));
        n += characters;
    }
    PH_OP_TRY(prefix_bytes(call, text, n, &len));
    return ph_op_give(call, text.data, len, out);
}

static enum ph_rule_result
right(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct numbers *params = call->state;
    struct ph_span text = ph_op_span(&args[0]);
    int64_t skipped = -params->first;
    int64_t characters;
    size_t len;

    if (skipped <= 0) {
        PH_OP_TRY(count(call, text, &characters));
        skipped += characters;
    }
    PH_OP_TRY(prefix_bytes(call, text, skipped, &len));
    return give_span(call, behind(text, len), out);
}

static bool
prepare_split(struct ph_rule_call *call)
{
    struct numbers *state;
    int64_t part;

    if (!ph_op_params(call, 2, 2) || !ph_op_param_int(call, 1, "part", INT32_MIN, INT32_MAX, &part))
        return false;
    if (part == 0)
        return ph_op_refuse(call, "parts are counted from 1, or from -1 at the end");
    state = malloc(sizeof *state);
    if (state == NULL)
        return ph_op_refuse(call, "out of memory");
    *state = (struct numbers){.first = part};
    call->state = state;
    return true;
}

/* split_part: an empty text when there are fewer parts. */
static enum ph_rule_result
split(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text = ph_op_span(&args[0]);
    struct ph_span separator = ph_op_param_text(call, 0);
    int64_t part = ((const struct numbers *)call->state)->first;

    if (separator.len == 0)
        return part == 1 || part == -1 ? give_span(call, text, out) : ph_op_give(call, "", 0, out);
    if (part < 0) { /* from the end: as many parts as there are, less those behind */
        int64_t parts = 1;
        struct ph_span rest = text;
        for (size_t at = find(rest, separator); at < rest.len; at = find(rest, separator)) {
            rest = behind(rest, at + separator.len);
            parts++;
        }
        part += parts + 1;
        if (part < 1)
            return ph_op_give(call, "", 0, out);
    }
    for (; part > 1; part--) {
        size_t at = find(text, separator);
        if (at == text.len)
            return ph_op_give(call, "", 0, out);
        text = behind(text, at + separator.len);
    }
    return ph_op_give(call, text.data, find(text, separator), out);
}

/* ---- joined and padded ---- */

static bool
prepare_concat(struct ph_rule_call *call)
{
    return ph_op_params(call, 0, 1);
}

/* concat_ws: NULLs are left out, with their separators. */
static enum ph_rule_result
concat(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span separator = {NULL, 0};
    struct ph_op_text text = ph_op_text_of(call, 64);
    bool is_first = true;

    if (call->n_params > 0)
        separator = ph_op_param_text(call, 0);
    for (uint32_t i = 0; i < call->n_args; i++) {
        if (args[i].len < 0)
            continue;
        if (!is_first)
            ph_op_text_append(&text, separator.data, separator.len);
        ph_op_text_append(&text, args[i].data, (size_t)args[i].len);
        is_first = false;
    }
    return ph_op_text_give(&text, out);
}

static bool
prepare_pad(struct ph_rule_call *call)
{
    struct ph_rule_call first = *call;
    size_t n;

    if (!ph_op_params(call, 1, 2))
        return false;
    if (call->n_params == 2 && !ph_op_utf8_count(ph_op_param_text(call, 1), &n))
        return ph_op_refuse(call, "the characters to pad with are not valid UTF-8");
    first.n_params = 1;
    bool is_good = prepare_numbers(&first, "length", NULL, INT32_MIN, 0);
    memcpy(call->message, first.message, sizeof call->message);
    call->state = first.state;
    return is_good;
}

static void
put_padding(struct ph_op_text *text, struct ph_span fill, int64_t n)
{
    size_t at = 0;

    for (; n > 0 && !text->failed; n--) {
        size_t len = ph_op_utf8_len(behind(fill, at));
        ph_op_text_append(text, fill.data + at, len);
        at += len;
        if (at == fill.len)
            at = 0;
    }
}

enum side { SIDE_LEFT, SIDE_RIGHT };

static enum ph_rule_result
pad(struct ph_rule_call *call, const struct ph_value *arg, enum side side, struct ph_value *out)
{
    const struct numbers *params = call->state;
    struct ph_span text = ph_op_span(arg);
    struct ph_span fill = {(const uint8_t *)" ", 1};
    int64_t characters;
    size_t len;

    if (call->n_params > 1)
        fill = ph_op_param_text(call, 1);
    PH_OP_TRY(count(call, text, &characters));
    PH_OP_TRY(prefix_bytes(call, text, params->first, &len));
    if (params->first <= characters || fill.len == 0)
        return ph_op_give(call, text.data, len, out);
    int64_t missing = params->first - characters;
    if (missing > (int64_t)PH_OP_VALUE_MAX / 4)
        return ph_rule_bad(call, "the result would be longer than 1 GB");
    struct ph_op_text padded = ph_op_text_of(call, text.len + (size_t)missing);
    if (side == SIDE_LEFT)
        put_padding(&padded, fill, missing);
    ph_op_text_append(&padded, text.data, text.len);
    if (side == SIDE_RIGHT)
        put_padding(&padded, fill, missing);
    return ph_op_text_give(&padded, out);
}

static enum ph_rule_result
lpad(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return pad(call, &args[0], SIDE_LEFT, out);
}

static enum ph_rule_result
rpad(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return pad(call, &args[0], SIDE_RIGHT, out);
}

/* ---- trimmed ---- */

static bool
prepare_trim(struct ph_rule_call *call)
{
    size_t n;

    if (!ph_op_params(call, 0, 1))
        return false;
    if (call->n_params == 1 && !ph_op_utf8_count(ph_op_param_text(call, 0), &n))
        return ph_op_refuse(call, "the characters are not valid UTF-8");
    return true;
}

/* Whether the set, which is valid, has the character. */
static bool
set_has(struct ph_span set, struct ph_span character)
{
    for (size_t at = 0; at < set.len;) {
        size_t len = ph_op_utf8_len(behind(set, at));
        if (len == character.len && memcmp(set.data + at, character.data, len) == 0)
            return true;
        at += len;
    }
    return false;
}

static struct ph_span
trim_begin(struct ph_span text, struct ph_span set)
{
    while (text.len > 0) {
        size_t len = ph_op_utf8_len(text);
        if (len == 0 || !set_has(set, (struct ph_span){text.data, len}))
            break;
        text = behind(text, len);
    }
    return text;
}

static struct ph_span
trim_end(struct ph_span text, struct ph_span set)
{
    while (text.len > 0) {
        size_t len = 1;
        while (len < 4 && len < text.len && (text.data[text.len - len] & 0xc0) == 0x80)
            len++;
        struct ph_span last = {text.data + text.len - len, len};
        if (ph_op_utf8_len(last) != len || !set_has(set, last))
            break;
        text.len -= len;
    }
    return text;
}

static struct ph_span
trim_set(const struct ph_rule_call *call)
{
    return call->n_params > 0 ? ph_op_param_text(call, 0)
                              : (struct ph_span){(const uint8_t *)" ", 1};
}

static enum ph_rule_result
trim(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span set = trim_set(call);

    return give_span(call, trim_end(trim_begin(ph_op_span(&args[0]), set), set), out);
}

static enum ph_rule_result
ltrim(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return give_span(call, trim_begin(ph_op_span(&args[0]), trim_set(call)), out);
}

static enum ph_rule_result
rtrim(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return give_span(call, trim_end(ph_op_span(&args[0]), trim_set(call)), out);
}

/* ---- replaced, counted ---- */

static bool
prepare_replace(struct ph_rule_call *call)
{
    return ph_op_params(call, 2, 2);
}

static enum ph_rule_result
replace(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text = ph_op_span(&args[0]);
    struct ph_span from = ph_op_param_text(call, 0);
    struct ph_span to = ph_op_param_text(call, 1);

    if (from.len == 0 || find(text, from) == text.len)
        return give_span(call, text, out);
    struct ph_op_text replaced = ph_op_text_of(call, text.len + to.len);
    for (size_t at = find(text, from); at < text.len; at = find(text, from)) {
        ph_op_text_append(&replaced, text.data, at);
        ph_op_text_append(&replaced, to.data, to.len);
        text = behind(text, at + from.len);
    }
    ph_op_text_append(&replaced, text.data, text.len);
    return ph_op_text_give(&replaced, out);
}

static enum ph_rule_result
length(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    int64_t n;

    PH_OP_TRY(count(call, ph_op_span(&args[0]), &n));
    return ph_op_give_i32(call, (int32_t)n, out);
}

const struct ph_rule_op ph_text_ops[PH_TEXT_OPS] = {
    {"concat", "text... -> text", "separator?", PH_RULE_TAKES_NULL, concat, prepare_concat, NULL,
     "joined, with the separator between; NULLs are left out"},
    {"split", "text -> text", "separator, part", 0, split, prepare_split, ph_op_free_state,
     "that part between separators, from 1, or from -1 at the end; empty when there is none"},
    {"substring", "text -> text", "start, length?", 0, substring, prepare_substring,
     ph_op_free_state, "characters from start, which counts from 1"},
    {"left", "text -> text", "count", 0, left, prepare_count, ph_op_free_state,
     "so many characters at the begin; of a negative count all but so many at the end"},
    {"right", "text -> text", "count", 0, right, prepare_count, ph_op_free_state,
     "so many characters at the end; of a negative count all but so many at the begin"},
    {"lpad", "text -> text", "length, fill?", PH_RULE_MAY_BAD, lpad, prepare_pad, ph_op_free_state,
     "filled at the begin, or cut at the end, to so many characters"},
    {"rpad", "text -> text", "length, fill?", PH_RULE_MAY_BAD, rpad, prepare_pad, ph_op_free_state,
     "filled or cut at the end to so many characters"},
    {"trim", "text -> text", "characters?", 0, trim, prepare_trim, NULL,
     "without spaces, or those characters, at both ends"},
    {"ltrim", "text -> text", "characters?", 0, ltrim, prepare_trim, NULL,
     "without spaces, or those characters, at the begin"},
    {"rtrim", "text -> text", "characters?", 0, rtrim, prepare_trim, NULL,
     "without spaces, or those characters, at the end"},
    {"replace", "text -> text", "from, to", 0, replace, prepare_replace, NULL,
     "every occurrence of a text replaced by another"},
    {"length", "text -> int4", NULL, 0, length, NULL, NULL, "the number of characters"},
};
