#include "rules/op_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"

#define CONSTANT_MEMORY ((size_t)64 << 20) /* for reading one parameter */

/* ---- values out ---- */

enum ph_rule_result
ph_op_give(struct ph_rule_call *call, const void *data, size_t len, struct ph_value *out)
{
    if (len > PH_OP_VALUE_MAX)
        return ph_rule_bad(call, "the result would be longer than 1 GB");
    *out = (struct ph_value){data, (int32_t)len};
    return PH_RULE_OK;
}

/* ph_op_give_i16, ph_op_give_i32, ph_op_give_i64 */
#define GIVE_INT(bits)                                                                             \
    enum ph_rule_result ph_op_give_i##bits(struct ph_rule_call *call, int##bits##_t value,         \
                                           struct ph_value *out)                                   \
    {                                                                                              \
        uint8_t *bytes = ph_rule_alloc(call, sizeof value);                                        \
                                                                                                   \
        if (bytes == NULL)                                                                         \
            return PH_RULE_NO_MEMORY;                                                              \
        ph_rule_put_i##bits(bytes, value);                                                         \
        return ph_op_give(call, bytes, sizeof value, out);                                         \
    }

GIVE_INT(16)
GIVE_INT(32)
GIVE_INT(64)

enum ph_rule_result
ph_op_give_f4(struct ph_rule_call *call, float value, struct ph_value *out)
{
    int32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return ph_op_give_i32(call, bits, out);
}

enum ph_rule_result
ph_op_give_f8(struct ph_rule_call *call, double value, struct ph_value *out)
{
    int64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return ph_op_give_i64(call, bits, out);
}

enum ph_rule_result
ph_op_give_bool(struct ph_rule_call *call, bool value, struct ph_value *out)
{
    static const uint8_t bytes[] = {0, 1};

    return ph_op_give(call, &bytes[value], 1, out);
}

/* ---- values in ---- */

/* ph_op_take_i16, ph_op_take_i32, ph_op_take_i64 */
#define TAKE_INT(bits, why)                                                                        \
    enum ph_rule_result ph_op_take_i##bits(struct ph_rule_call *call,                              \
                                           const struct ph_value *value, int##bits##_t *out)       \
    {                                                                                              \
        if (value->len != (int32_t)sizeof *out)                                                    \
            return ph_rule_bad(call, why);                                                         \
        *out = ph_rule_get_i##bits(value);                                                         \
        return PH_RULE_OK;                                                                         \
    }

TAKE_INT(16, "not a valid int2")
TAKE_INT(32, "not four bytes as the type has")
TAKE_INT(64, "not eight bytes as the type has")

enum ph_rule_result
ph_op_take_f4(struct ph_rule_call *call, const struct ph_value *value, float *out)
{
    int32_t bits;

    PH_OP_TRY(ph_op_take_i32(call, value, &bits));
    memcpy(out, &bits, sizeof bits);
    return PH_RULE_OK;
}

enum ph_rule_result
ph_op_take_f8(struct ph_rule_call *call, const struct ph_value *value, double *out)
{
    int64_t bits;

    PH_OP_TRY(ph_op_take_i64(call, value, &bits));
    memcpy(out, &bits, sizeof bits);
    return PH_RULE_OK;
}

enum ph_rule_result
ph_op_take_bool(struct ph_rule_call *call, const struct ph_value *value, bool *out)
{
    if (value->len != 1)
        return ph_rule_bad(call, "not a valid bool");
    *out = value->data[0] != 0;
    return PH_RULE_OK;
}

/* ---- text that grows ---- */

struct ph_op_text
ph_op_text_of(struct ph_rule_call *call, size_t expected)
{
    struct ph_op_text text = {.call = call};

    ph_op_text_reserve(&text, expected > 0 ? expected : 1);
    return text;
}

bool
ph_op_text_reserve(struct ph_op_text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more <= text->cap - text->len)
        return true;
    text->is_too_long = more > PH_OP_VALUE_MAX || text->len > PH_OP_VALUE_MAX;
    size_t cap = text->cap * 2 < text->len + more ? text->len + more : text->cap * 2;
    uint8_t *data = text->is_too_long ? NULL : ph_rule_alloc(text->call, cap);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    if (text->len > 0)
        memcpy(data, text->data, text->len);
    text->data = data;
    text->cap = cap;
    return true;
}

void
ph_op_text_append(struct ph_op_text *text, const void *data, size_t len)
{
    if (len == 0 || !ph_op_text_reserve(text, len))
        return;
    memcpy(text->data + text->len, data, len);
    text->len += len;
}

void
ph_op_text_puts(struct ph_op_text *text, const char *data)
{
    ph_op_text_append(text, data, strlen(data));
}

void
ph_op_text_putc(struct ph_op_text *text, char c)
{
    ph_op_text_append(text, &c, 1);
}

enum ph_rule_result
ph_op_text_give(const struct ph_op_text *text, struct ph_value *out)
{
    if (text->failed && text->is_too_long)
        return ph_rule_bad(text->call, "the result would be longer than 1 GB");
    if (text->failed)
        return PH_RULE_NO_MEMORY;
    return ph_op_give(text->call, text->data, text->len, out);
}

char *
ph_op_terminated(struct ph_rule_call *call, struct ph_span text)
{
    char *copy = ph_rule_alloc(call, text.len + 1);

    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

/* ---- parameters ---- */

bool
ph_op_refuse(struct ph_rule_call *call, const char *why)
{
    (void)ph_rule_bad(call, why);
    return false;
}

bool
ph_op_params(struct ph_rule_call *call, uint32_t least, uint32_t most)
{
    if (call->n_params < least)
        return ph_op_refuse(call, "a parameter is missing");
    if (call->n_params > most)
        return ph_op_refuse(call, "too many parameters");
    for (uint32_t i = 0; i < call->n_params; i++) {
        if (call->params[i] == NULL)
            return ph_op_refuse(call, "a parameter cannot be null");
    }
    return true;
}

bool
ph_op_param_int(struct ph_rule_call *call, uint32_t i, const char *what, int64_t least,
                int64_t most, int64_t *out)
{
    const char *text = call->params[i];
    char *end;

    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < least || value > most) {
        snprintf(call->message, sizeof call->message, "%s must be a whole number from %lld to %lld",
                 what, (long long)least, (long long)most);
        return false;
    }
    *out = value;
    return true;
}

struct ph_span
ph_op_param_text(const struct ph_rule_call *call, uint32_t i)
{
    return (struct ph_span){(const uint8_t *)call->params[i], strlen(call->params[i])};
}

static void *
arena_alloc(void *arena, size_t len)
{
    return ph_arena_alloc(arena, len);
}

struct ph_value *
ph_op_constant(struct ph_rule_call *call, uint32_t i, ph_rule_run_fn *from_text)
{
    struct ph_arena arena;
    struct ph_rule_call inner = {.arena = &arena, .alloc = arena_alloc, .n_args = 1};
    struct ph_span text = ph_op_param_text(call, i);
    struct ph_value arg = {text.data, (int32_t)text.len};
    struct ph_value value;
    struct ph_value *kept = NULL;

    ph_arena_init(&arena, CONSTANT_MEMORY);
    enum ph_rule_result rc = from_text(&inner, &arg, &value);
    if (rc == PH_RULE_OK && value.len >= 0)
        kept = malloc(sizeof *kept + (size_t)value.len);
    if (kept != NULL) {
        uint8_t *bytes = (uint8_t *)(kept + 1);
        if (value.len > 0)
            memcpy(bytes, value.data, (size_t)value.len);
        *kept = (struct ph_value){bytes, value.len};
    } else {
        (void)ph_rule_bad(call, rc == PH_RULE_BAD ? inner.message : "out of memory");
    }
    ph_arena_reset(&arena);
    return kept;
}

void
ph_op_free_state(struct ph_rule_call *call)
{
    free(call->state);
    call->state = NULL;
}

/* ---- characters ---- */

static bool
is_tail(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* Bytes of a character that begins so; 0: none does. */
static size_t
led_by(uint8_t c)
{
    if (c < 0xc2)
        return 0;
    if (c < 0xe0)
        return 2;
    if (c < 0xf0)
        return 3;
    return c < 0xf5 ? 4 : 0;
}

/* Behind some first bytes stands what is written shorter, a surrogate, or too large a number. */
static bool
may_follow(uint8_t first, uint8_t second)
{
    if (!is_tail(second))
        return false;
    switch (first) {
    case 0xe0:
        return second >= 0xa0;
    case 0xed:
        return second < 0xa0;
    case 0xf0:
        return second >= 0x90;
    case 0xf4:
        return second < 0x90;
    default:
        return true;
    }
}

size_t
ph_op_utf8_len(struct ph_span text)
{
    const uint8_t *p = text.data;

    if (text.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t len = led_by(p[0]);
    if (len == 0 || text.len < len || !may_follow(p[0], p[1]))
        return 0;
    for (size_t i = 2; i < len; i++) {
        if (!is_tail(p[i]))
            return 0;
    }
    return len;
}

bool
ph_op_utf8_count(struct ph_span text, size_t *out)
{
    size_t n = 0;

    for (size_t at = 0; at < text.len; n++) {
        size_t len = ph_op_utf8_len((struct ph_span){text.data + at, text.len - at});
        if (len == 0)
            return false;
        at += len;
    }
    *out = n;
    return true;
}

bool
ph_op_is_ascii(struct ph_span text)
{
    uint8_t any = 0;

    for (size_t i = 0; i < text.len; i++)
        any |= text.data[i];
    return any < 0x80;
}

uint32_t
ph_op_utf8_get(const uint8_t *at, size_t len)
{
    switch (len) {
    case 1:
        return at[0];
    case 2:
        return (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
    case 3:
        return (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
    default:
        return (at[0] & 0x07u) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 |
               (at[3] & 0x3fu);
    }
}

size_t
ph_op_utf8_put(uint8_t *at, uint32_t code)
{
    if (code < 0x80) {
        at[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        at[0] = (uint8_t)(0xc0 | code >> 6);
        at[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        at[0] = (uint8_t)(0xe0 | code >> 12);
        at[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        at[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    at[0] = (uint8_t)(0xf0 | code >> 18);
    at[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    at[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    at[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

struct ph_span
ph_op_trimmed(struct ph_span text)
{
    while (text.len > 0 && ph_op_is_space(text.data[0])) {
        text.data++;
        text.len--;
    }
    while (text.len > 0 && ph_op_is_space(text.data[text.len - 1]))
        text.len--;
    return text;
}

bool
ph_op_is_word(struct ph_span text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}
