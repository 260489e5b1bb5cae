/*
 * What operators are made of: values in and out with their lengths checked, text that grows in the
 * row's memory, and parameters read in `prepare`.
 *
 * A value comes from the network, so every ph_op_take_* looks at its length first; what does not
 * fit is PH_RULE_BAD, as for a value that PostgreSQL would refuse.
 */
#ifndef PH_RULES_OP_PARTS_H
#define PH_RULES_OP_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "pghaul/rule.h"

#define PH_OP_TRY(expr)                                                                            \
    do {                                                                                           \
        enum ph_rule_result try_rc = (expr);                                                       \
        if (try_rc != PH_RULE_OK)                                                                  \
            return try_rc;                                                                         \
    } while (0)

/* A text or bytea may have 1 GB less what its header takes. */
#define PH_OP_VALUE_MAX ((size_t)0x3ffffff0)

/* ---- values out ---- */

/* `data` is not copied: it lives as long as the row. */
enum ph_rule_result ph_op_give(struct ph_rule_call *call, const void *data, size_t len,
                               struct ph_value *out);
enum ph_rule_result ph_op_give_i16(struct ph_rule_call *call, int16_t value, struct ph_value *out);
enum ph_rule_result ph_op_give_i32(struct ph_rule_call *call, int32_t value, struct ph_value *out);
enum ph_rule_result ph_op_give_i64(struct ph_rule_call *call, int64_t value, struct ph_value *out);
enum ph_rule_result ph_op_give_f4(struct ph_rule_call *call, float value, struct ph_value *out);
enum ph_rule_result ph_op_give_f8(struct ph_rule_call *call, double value, struct ph_value *out);
enum ph_rule_result ph_op_give_bool(struct ph_rule_call *call, bool value, struct ph_value *out);

static inline enum ph_rule_result
ph_op_give_null(struct ph_value *out)
{
    *out = (struct ph_value){NULL, PH_VALUE_NULL};
    return PH_RULE_OK;
}

/* ---- values in ---- */

enum ph_rule_result ph_op_take_i16(struct ph_rule_call *call, const struct ph_value *value,
                                   int16_t *out);
enum ph_rule_result ph_op_take_i32(struct ph_rule_call *call, const struct ph_value *value,
                                   int32_t *out);
enum ph_rule_result ph_op_take_i64(struct ph_rule_call *call, const struct ph_value *value,
                                   int64_t *out);
enum ph_rule_result ph_op_take_f4(struct ph_rule_call *call, const struct ph_value *value,
                                  float *out);
enum ph_rule_result ph_op_take_f8(struct ph_rule_call *call, const struct ph_value *value,
                                  double *out);
enum ph_rule_result ph_op_take_bool(struct ph_rule_call *call, const struct ph_value *value,
                                    bool *out);

static inline struct ph_span
ph_op_span(const struct ph_value *value)
{
    return (struct ph_span){value->data, (size_t)value->len};
}

/* ---- text that grows ---- */

/* A failed append sets `failed`; ph_op_text_give says which of no memory and too long it was. */
struct ph_op_text {
    struct ph_rule_call *call;
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed;
    bool is_too_long; /* why */
};

struct ph_op_text ph_op_text_of(struct ph_rule_call *call, size_t expected);
bool ph_op_text_reserve(struct ph_op_text *text, size_t more);
void ph_op_text_append(struct ph_op_text *text, const void *data, size_t len);
void ph_op_text_puts(struct ph_op_text *text, const char *data);
void ph_op_text_putc(struct ph_op_text *text, char c);
enum ph_rule_result ph_op_text_give(const struct ph_op_text *text, struct ph_value *out);
/* A terminated copy in the row's memory; NULL: none left. */
char *ph_op_terminated(struct ph_rule_call *call, struct ph_span text);

/* ---- parameters, in `prepare` ---- */

/* For `return ph_op_refuse(call, "...")`. */
bool ph_op_refuse(struct ph_rule_call *call, const char *why);
/* Whether there are `least` to `most` of them, and none is YAML's null. */
bool ph_op_params(struct ph_rule_call *call, uint32_t least, uint32_t most);
/* A decimal integer within bounds; `what` names the parameter. */
bool ph_op_param_int(struct ph_rule_call *call, uint32_t i, const char *what, int64_t least,
                     int64_t most, int64_t *out);
struct ph_span ph_op_param_text(const struct ph_rule_call *call, uint32_t i);

/*
 * The parameter as a value of a type, by the operator that casts text to it. Owned by the caller,
 * freed with free(). NULL: it is none, message says so.
 */
struct ph_value *ph_op_constant(struct ph_rule_call *call, uint32_t i, ph_rule_run_fn *from_text);

/* `release` of operators whose state is one block. */
void ph_op_free_state(struct ph_rule_call *call);

/* ---- characters ---- */

/* Length in bytes of the UTF-8 character at the begin; 0: there is none that is valid. */
size_t ph_op_utf8_len(struct ph_span text);
/* Number of characters; false: not valid UTF-8. */
bool ph_op_utf8_count(struct ph_span text, size_t *out);
bool ph_op_is_ascii(struct ph_span text);
/* Code point of a valid character. */
uint32_t ph_op_utf8_get(const uint8_t *at, size_t len);
/* Bytes written, at most 4. */
size_t ph_op_utf8_put(uint8_t *at, uint32_t code);

static inline bool
ph_op_is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without isspace() characters at both ends, as input functions take it. */
struct ph_span ph_op_trimmed(struct ph_span text);
/* Equal but for the case of ASCII letters. */
bool ph_op_is_word(struct ph_span text, const char *word);

#endif
