/*
 * Masks of text that no format describes: other letters in its shape, or a part of it under
 * asterisks; and of the strings in JSON.
 *
 * Free text is not permuted: it may be long, and two texts of one shape need not stay different.
 * Its letters are drawn from what HMAC makes of the whole of it. JSON is walked as text, so that
 * whatever is not masked stays as it was written.
 */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "rules/mask_families.h"
#include "rules/mask_letter.h"
#include "rules/mask_parts.h"

/* ---- first, last ---- */

struct shown {
    int64_t n;
};

static void
release_shown(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct shown));
}

static bool
prepare_shown(struct ph_rule_call *call)
{
    struct shown *shown = ph_mask_state(call, sizeof *shown);

    if (shown == NULL)
        return false;
    shown->n = -1;
    bool ok = ph_mask_param_int(call, 0, 0, 1000000, &shown->n);
    if (ok && shown->n < 0)
        ok = ph_mask_refuse(call, "how many characters to keep");
    if (!ok)
        release_shown(call);
    return ok;
}

/* A text that has no more characters than are shown has none of them shown. */
static enum ph_rule_result
hide(struct ph_rule_call *call, struct ph_span in, size_t from, size_t to, struct ph_value *out)
{
    struct ph_cursor left = ph_cursor_of(in.data, in.len);
    uint8_t *bytes = ph_mask_room(call, in.len, out);
    struct ph_letter letter;
    uint8_t *at = bytes;

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    for (size_t i = 0; left.at < left.end; i++) {
        const uint8_t *begin = left.at;
        if (!ph_letter_take(&left, &letter))
            return ph_rule_bad(call, "not valid UTF-8");
        if (i >= from && i < to) {
            *at++ = '*';
        } else {
            memcpy(at, begin, letter.len);
            at += letter.len;
        }
    }
    out->len = (int32_t)(at - bytes);
    return PH_RULE_OK;
}

static enum ph_rule_result
mask_first(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct shown *shown = call->state;
    struct ph_span in = ph_mask_span(&args[0]);
    size_t n;

    if (!ph_letter_count(in, &n))
        return ph_rule_bad(call, "not valid UTF-8");
    return hide(call, in, (size_t)shown->n < n ? (size_t)shown->n : 0, n, out);
}

static enum ph_rule_result
mask_last(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    const struct shown *shown = call->state;
    struct ph_span in = ph_mask_span(&args[0]);
    size_t n;

    if (!ph_letter_count(in, &n))
        return ph_rule_bad(call, "not valid UTF-8");
    return hide(call, in, 0, (size_t)shown->n < n ? n - (size_t)shown->n : n, out);
}

/* ---- text ---- */

struct scribe { /* writes letters in place of letters, vowels and consonants in turn */
    struct ph_draw draw;
    bool vowel_next;
};

static void
begin_scribe(struct scribe *scribe, const struct ph_prf *prf, struct ph_span text)
{
    ph_draw_init(&scribe->draw, prf, text);
    scribe->vowel_next = false;
}

static uint32_t
other_index(struct scribe *scribe, const struct ph_letter *letter)
{
    static const char vowels[] = "aeiou";
    static const char consonants[] = "bcdfghklmnprstvw";

    if (letter->first != 'a' && letter->first != 'A') {
        scribe->vowel_next = false;
        return letter->radix == 1 ? 0 : ph_draw_below(&scribe->draw, letter->radix);
    }
    const char *from = scribe->vowel_next ? vowels : consonants;
    uint32_t n = scribe->vowel_next ? sizeof vowels - 1 : sizeof consonants - 1;
    scribe->vowel_next = !scribe->vowel_next;
    return (uint32_t)(from[ph_draw_below(&scribe->draw, n)] - 'a');
}

static bool
prepare_text(struct ph_rule_call *call)
{
    return ph_mask_prepare_prf(call, "pghaul mask_text");
}

static enum ph_rule_result
mask_text(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span in = ph_mask_span(&args[0]);
    struct ph_cursor left = ph_cursor_of(in.data, in.len);
    uint8_t *at = ph_mask_room(call, in.len, out);
    struct ph_letter letter;
    struct scribe scribe;

    if (at == NULL)
        return PH_RULE_NO_MEMORY;
    begin_scribe(&scribe, call->state, in);
    while (left.at < left.end) {
        if (!ph_letter_take(&left, &letter))
            return ph_rule_bad(call, "not valid UTF-8");
        ph_letter_put(&letter, other_index(&scribe, &letter), at);
        at += letter.len;
    }
    return PH_RULE_OK;
}

/* ---- json ---- */

enum numbers { NUMBERS_KEPT, NUMBERS_MASKED };

struct json {
    struct ph_prf prf;
    enum numbers numbers;
};

struct walk {
    const struct json *json;
    struct ph_cursor in;
    uint8_t *at; /* as many bytes are written as were read */
    bool is_jsonb;
};

static void
release_json(struct ph_rule_call *call)
{
    ph_mask_free(call, sizeof(struct json));
}

static bool
prepare_json(struct ph_rule_call *call)
{
    struct json *json = ph_mask_state(call, sizeof *json);
    const char *param = ph_mask_param(call, 0);

    if (json == NULL)
        return false;
    bool ok = ph_prf_init_label(&json->prf, call, "pghaul mask_json");
    if (ok && param != NULL && strcmp(param, "numbers") == 0)
        json->numbers = NUMBERS_MASKED;
    else if (ok && param != NULL)
        ok = ph_mask_refuse(call, "the one parameter is `numbers`");
    if (!ok)
        release_json(call);
    return ok;
}

static void
copy(struct walk *walk, size_t len)
{
    memcpy(walk->at, walk->in.at, len);
    walk->at += len;
    walk->in.at += len;
}

/* The string that begins there, with its quotes; 0: it does not end. */
static size_t
string_len(const struct ph_cursor *in)
{
    const uint8_t *at = in->at + 1;

    while (at < in->end && *at != '"')
        at += *at == '\\' && at + 1 < in->end ? 2 : 1;
    return at < in->end ? (size_t)(at - in->at) + 1 : 0;
}

static bool
is_key(const struct ph_cursor *in, size_t len)
{
    const uint8_t *at = in->at + len;

    while (at < in->end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at < in->end && *at == ':';
}

#define ESCAPE_LEN 6 /* \uXXXX */
#define HIGH_HALF 0xd800u
#define LOW_HALF 0xdc00u
#define BEYOND 0x10000u /* the first that needs two */

static bool
is_half(uint32_t unit, uint32_t first)
{
    return unit >= first && unit < first + 0x400;
}

/* The 16 bits that \uXXXX at `at` stands for; false: it is none. */
static bool
read_unit(const uint8_t *at, const uint8_t *end, uint32_t *unit)
{
    if (end - at < ESCAPE_LEN || at[0] != '\\' || at[1] != 'u')
        return false;
    *unit = 0;
    for (size_t i = 2; i < ESCAPE_LEN; i++) {
        uint8_t c = at[i];
        uint8_t small = c | 0x20;
        if ((c < '0' || c > '9') && (small < 'a' || small > 'f'))
            return false;
        *unit = *unit << 4 | (uint32_t)(c <= '9' ? c - '0' : small - 'a' + 10);
    }
    return true;
}

/* Over the one that was there. */
static void
put_unit(struct walk *walk, uint32_t unit)
{
    uint8_t bytes[2];

    ph_store_u16(bytes, (uint16_t)unit);
    copy(walk, 2);
    ph_mask_hex(bytes, ESCAPE_LEN - 2, walk->at);
    walk->at += ESCAPE_LEN - 2;
    walk->in.at += ESCAPE_LEN - 2;
}

/*
 * \uXXXX: of a letter another one of its alphabet. A letter that two of them make, the halves of a
 * surrogate pair, is one letter, and no alphabet has both such and others. Half a pair stays.
 */
static bool
mask_escape(struct walk *walk, struct scribe *scribe)
{
    struct ph_letter letter;
    uint32_t code;
    uint32_t low = 0;

    if (ph_cursor_left(&walk->in) < 2)
        return false;
    if (walk->in.at[1] != 'u') {
        copy(walk, 2);
        return true;
    }
    if (!read_unit(walk->in.at, walk->in.end, &code))
        return false;
    bool is_pair = is_half(code, HIGH_HALF) &&
                   read_unit(walk->in.at + ESCAPE_LEN, walk->in.end, &low) &&
                   is_half(low, LOW_HALF);
    if (is_pair)
        code = BEYOND + ((code - HIGH_HALF) << 10 | (low - LOW_HALF));
    if (is_pair || (!is_half(code, HIGH_HALF) && !is_half(code, LOW_HALF))) {
        ph_letter_of(code, &letter);
        code = ph_letter_code(&letter, other_index(scribe, &letter));
    }
    put_unit(walk, is_pair ? HIGH_HALF + ((code - BEYOND) >> 10) : code);
    if (is_pair)
        put_unit(walk, LOW_HALF + ((code - BEYOND) & 0x3ff));
    return true;
}

static bool
mask_string(struct walk *walk, size_t len)
{
    struct ph_span text = {walk->in.at + 1, len - 2};
    const uint8_t *end = walk->in.at + len - 1;
    struct scribe scribe;
    struct ph_letter letter;

    begin_scribe(&scribe, &walk->json->prf, text);
    copy(walk, 1);
    while (walk->in.at < end) {
        if (*walk->in.at == '\\') {
            if (!mask_escape(walk, &scribe))
                return false;
        } else {
            if (!ph_letter_take(&walk->in, &letter))
                return false;
            ph_letter_put(&letter, other_index(&scribe, &letter), walk->at);
            walk->at += letter.len;
        }
    }
    if (walk->in.at != end)
        return false;
    copy(walk, 1);
    return true;
}

static bool
is_in_number(uint8_t c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

/*
 * Digits before an exponent become others, the first of several no zero. There is no -0.0 in a
 * jsonb, whose numbers are numerics: what came to that gets another digit at its end.
 */
static void
mask_number(struct walk *walk)
{
    const uint8_t *end = walk->in.at;
    uint8_t *last = NULL; /* digit before an exponent */
    bool is_minus_zero = *walk->in.at == '-';
    struct ph_draw draw;
    bool is_first = true;
    bool is_exponent = false;

    while (end < walk->in.end && is_in_number(*end))
        end++;
    ph_draw_init(&draw, &walk->json->prf,
                 (struct ph_span){walk->in.at, (size_t)(end - walk->in.at)});
    while (walk->in.at < end) {
        uint8_t c = *walk->in.at;
        copy(walk, 1);
        is_exponent = is_exponent || c == 'e' || c == 'E';
        if (is_exponent || c < '0' || c > '9')
            continue;
        last = walk->at - 1;
        if (!(is_first && c == '0'))
            *last = (uint8_t)(is_first ? '1' + ph_draw_below(&draw, 9)
                                       : '0' + ph_draw_below(&draw, 10));
        is_first = false;
        is_minus_zero &= *last == '0';
    }
    if (walk->is_jsonb && is_minus_zero && last != NULL)
        *last = (uint8_t)('1' + ph_draw_below(&draw, 9));
}

static bool
walk_json(struct walk *walk)
{
    while (walk->in.at < walk->in.end) {
        uint8_t c = *walk->in.at;
        if (c == '"') {
            size_t len = string_len(&walk->in);
            if (len == 0)
                return false;
            if (is_key(&walk->in, len))
                copy(walk, len);
            else if (!mask_string(walk, len))
                return false;
        } else if ((c == '-' || (c >= '0' && c <= '9')) && walk->json->numbers == NUMBERS_MASKED) {
            mask_number(walk);
        } else {
            copy(walk, 1);
        }
    }
    return true;
}

static enum ph_rule_result
mask_json_from(struct ph_rule_call *call, const struct ph_value *arg, size_t n_before,
               struct ph_value *out)
{
    struct ph_span in = ph_mask_span(arg);
    uint8_t *to = ph_mask_room(call, in.len, out);
    struct walk walk = {call->state, ph_cursor_of(in.data, in.len), to, n_before > 0};

    if (to == NULL)
        return PH_RULE_NO_MEMORY;
    copy(&walk, n_before);
    return walk_json(&walk) ? PH_RULE_OK : ph_rule_bad(call, "not JSON");
}

static enum ph_rule_result
mask_json(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return mask_json_from(call, &args[0], 0, out);
}

/* Text behind the number of its version. */
static enum ph_rule_result
mask_jsonb(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    if (args[0].len < 2 || args[0].data[0] != 1)
        return ph_rule_bad(call, "not jsonb");
    return mask_json_from(call, &args[0], 1, out);
}

#define MASK (PH_RULE_SECRET | PH_RULE_MASK | PH_RULE_MAY_BAD)
#define SHOWN (PH_RULE_MASK | PH_RULE_MAY_BAD)
#define JSON_ROW(type)                                                                             \
    {                                                                                              \
        "mask_json", #type " -> " #type, "numbers?", MASK, mask_##type, prepare_json,              \
            release_json, "other letters in its strings; keys and, unless asked, numbers stay"     \
    }

const struct ph_rule_op ph_mask_text_ops[PH_MASK_TEXT_OPS] = {
    {"mask_text", "text -> text", NULL, MASK, mask_text, prepare_text, ph_mask_release_prf,
     "other letters and digits in the text's shape"},
    {"mask_first", "text -> text", "kept", SHOWN, mask_first, prepare_shown, release_shown,
     "its first characters, asterisks for the others"},
    {"mask_last", "text -> text", "kept", SHOWN, mask_last, prepare_shown, release_shown,
     "its last characters, asterisks for the others"},
    JSON_ROW(json),
    JSON_ROW(jsonb),
};
