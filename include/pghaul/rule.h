/*
 * The interface of transform rules: what an operator is, and how the C that pghaul generates of a
 * job's rules calls it. pghaul's own operators and a user's go through this same interface.
 *
 * A value is what the send function of its type puts on the wire (COPY BINARY and the binary format
 * of pgoutput have the same bytes): integers big-endian, text in the database's encoding without a
 * terminator, numeric as numeric_send has it, and so on. Types are called by PostgreSQL's short
 * names; varchar, character(n), name, citext, enums and domains over text are `text` here, a domain
 * is what it is over.
 *
 * An operator is a pure function of its arguments, its parameters, the job's secret and the row's
 * key: no clock, no randomness, no files, no state that one row leaves for the next. The same row
 * goes through it when it is copied, when a change of it is applied, when it is verified and when
 * anything of that is repeated, and every time the same bytes must come out. Operators run in many
 * threads at once, each with calls of its own.
 *
 * A library of one's own:
 *
 *     #include <pghaul/rule.h>
 *
 *     static enum ph_rule_result
 *     double_it(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
 *     {
 *         uint8_t *bytes = ph_rule_alloc(call, 4);
 *         if (bytes == NULL)
 *             return PH_RULE_NO_MEMORY;
 *         int32_t value = ph_rule_get_i32(&args[0]);
 *         if (value > INT32_MAX / 2 || value < INT32_MIN / 2)
 *             return ph_rule_bad(call, "out of range");
 *         ph_rule_put_i32(bytes, value * 2);
 *         *out = (struct ph_value){bytes, 4};
 *         return PH_RULE_OK;
 *     }
 *
 *     static const struct ph_rule_op ops[] = {
 *         {.name = "double_it", .signature = "int4 -> int4", .flags = PH_RULE_INJECTIVE,
 *          .run = double_it, .help = "twice the number"},
 *     };
 *     const struct ph_rule_library ph_rule_library = {PH_RULE_ABI, ops, 1};
 *
 *     cc -O2 -shared -fPIC -o my_rules.so my_rules.c
 *
 * and in the job file `{c: "my_rules.so:double_it", from: score}`.
 *
 * This header depends on nothing else of pghaul.
 */
#ifndef PGHAUL_RULE_H
#define PGHAUL_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PH_RULE_ABI 1u

#define PH_VALUE_NULL (-1)
/* A TOASTed value that an UPDATE did not touch and that was not sent. Operators never see it. */
#define PH_VALUE_UNCHANGED (-2)
/* What a lookup did not find. Operators never see it. */
#define PH_VALUE_MISSING (-3)

struct ph_value {
    const uint8_t *data; /* not owned; never terminated */
    int32_t len;         /* bytes, or one of the above */
};

enum ph_rule_result {
    PH_RULE_OK,
    PH_RULE_BAD,      /* the value cannot be handled: what then is the job's choice (`on_bad`) */
    PH_RULE_NO_MEMORY /* ph_rule_alloc returned NULL */
};

struct ph_rule_call {
    const char *const *params; /* the constants behind the operator, as the job file has them */
    uint32_t n_params;
    uint32_t n_args; /* how many `run` is given, the same every time; known in `prepare` too */
    void *state; /* what `prepare` made: for reading, or for scratch that no result depends on */
    /* The job's secret; NULL without PH_RULE_SECRET. */
    const uint8_t *secret;
    size_t secret_len;
    /* The key of the row on the source, its fields' lengths and bytes as COPY BINARY has them;
     * NULL without PH_RULE_KEYED. */
    struct ph_value row_key;
    char message[160]; /* why PH_RULE_BAD, or why prepare failed; never a value */
    void *arena;       /* ph_rule_alloc's */
    void *(*alloc)(void *arena, size_t len);
};

/* Memory for a result; it lives until the row has been written. NULL: none left. */
static inline void *
ph_rule_alloc(struct ph_rule_call *call, size_t len)
{
    return call->alloc(call->arena, len);
}

/* For `return ph_rule_bad(call, "not a date");` */
static inline enum ph_rule_result
ph_rule_bad(struct ph_rule_call *call, const char *why)
{
    size_t len = strlen(why);

    if (len >= sizeof call->message)
        len = sizeof call->message - 1;
    memcpy(call->message, why, len);
    call->message[len] = '\0';
    return PH_RULE_BAD;
}

/* What an operator does to what its result stands for; pghaul refuses unsafe combinations. */
enum ph_rule_flag {
    PH_RULE_INJECTIVE = 1 << 0,  /* different arguments give different results */
    PH_RULE_TAKES_NULL = 1 << 1, /* is called for NULL too; otherwise NULL in gives NULL out */
    PH_RULE_MAY_NULL = 1 << 2,   /* may give NULL for arguments that are not */
    PH_RULE_MAY_BAD = 1 << 3,    /* may give PH_RULE_BAD */
    PH_RULE_SECRET = 1 << 4,     /* needs the job's secret */
    PH_RULE_KEYED = 1 << 5,      /* the result depends on the row's key: equal values differ */
    PH_RULE_MASK = 1 << 6        /* the argument cannot be told from the result */
};

/*
 * args: as many as were given, of the types of the signature; NULLs only with PH_RULE_TAKES_NULL.
 * Results may point into the arguments, the parameters or ph_rule_alloc's memory.
 */
typedef enum ph_rule_result ph_rule_run_fn(struct ph_rule_call *call, const struct ph_value *args,
                                           struct ph_value *out);
/* Once per thread, before the first row: check the parameters, make `state`. false: message says
 * what is wrong with them. */
typedef bool ph_rule_prepare_fn(struct ph_rule_call *call);
typedef void ph_rule_release_fn(struct ph_rule_call *call);

struct ph_rule_op {
    const char *name;
    /*
     * "text, int4 -> text": types of the arguments and of the result. The last argument may end in
     * "..." (one or more of them). `any`: every type, the same wherever it stands; `any[]` its
     * array. Several rows may have one name: the first whose types fit is taken.
     */
    const char *signature;
    const char *params; /* "start, length?": what may stand behind it; NULL or "": nothing; a last
                           one in "..." may come several times */
    unsigned flags;     /* of ph_rule_flag */
    ph_rule_run_fn *run;
    ph_rule_prepare_fn *prepare; /* may be NULL */
    ph_rule_release_fn *release; /* may be NULL */
    const char *help;            /* one sentence for people */
};

struct ph_rule_library { /* a library exports one, called ph_rule_library */
    uint32_t abi;        /* PH_RULE_ABI */
    const struct ph_rule_op *ops;
    uint32_t n_ops;
};

/* ---- bytes ---- */

static inline int16_t
ph_rule_get_i16(const struct ph_value *value)
{
    return (int16_t)(uint16_t)((uint32_t)value->data[0] << 8 | value->data[1]);
}

static inline int32_t
ph_rule_get_i32(const struct ph_value *value)
{
    uint32_t bytes;

    memcpy(&bytes, value->data, sizeof bytes);
    return (int32_t)__builtin_bswap32(bytes);
}

static inline int64_t
ph_rule_get_i64(const struct ph_value *value)
{
    uint64_t bytes;

    memcpy(&bytes, value->data, sizeof bytes);
    return (int64_t)__builtin_bswap64(bytes);
}

static inline void
ph_rule_put_i16(uint8_t *at, int16_t value)
{
    at[0] = (uint8_t)((uint16_t)value >> 8);
    at[1] = (uint8_t)value;
}

static inline void
ph_rule_put_i32(uint8_t *at, int32_t value)
{
    uint32_t bytes = __builtin_bswap32((uint32_t)value);

    memcpy(at, &bytes, sizeof bytes);
}

static inline void
ph_rule_put_i64(uint8_t *at, int64_t value)
{
    uint64_t bytes = __builtin_bswap64((uint64_t)value);

    memcpy(at, &bytes, sizeof bytes);
}

/* ---- what follows is for the C that pghaul generates ---- */

/* One thread's: an operator's calls by their number in the generated file. */
struct ph_rule_frame {
    struct ph_rule_call *calls;
    const struct ph_rule_op *const *ops;
    uint32_t bad_output;       /* of PH_RULE_BAD: the column of the target */
    const char *message;       /* and why */
    bool quarantine;           /* this row goes to quarantine whatever the job does with others */
    struct ph_value bad_value; /* a text that a map does not have; NULL: it is not told */
};

/* How many rows the source's row gives on this route: 0 when the filter leaves it out. */
typedef enum ph_rule_result ph_route_rows_fn(struct ph_rule_frame *frame, const struct ph_value *in,
                                             uint32_t *rows);
/* One of them, from 0. */
typedef enum ph_rule_result ph_route_row_fn(struct ph_rule_frame *frame, const struct ph_value *in,
                                            uint32_t row, struct ph_value *out);

struct ph_route_code {
    ph_route_rows_fn *rows; /* NULL: one row, always */
    ph_route_row_fn *row;
};

struct ph_rule_object { /* a generated object exports one, called ph_rule_object */
    uint32_t abi;
    const char *fingerprint; /* of the rules and catalogs it was made of */
    const struct ph_route_code *routes;
    uint32_t n_routes;
    uint32_t n_calls;
};

/* ---- conditions: SQL's three values, so that & is AND and | is OR ---- */

enum ph_truth { PH_FALSE = 0, PH_UNKNOWN = 1, PH_TRUE = 3 };

static inline enum ph_truth
ph_truth_of(bool value)
{
    return value ? PH_TRUE : PH_FALSE;
}

static inline enum ph_truth
ph_truth_not(unsigned truth)
{
    return truth == PH_UNKNOWN ? PH_UNKNOWN : truth == PH_TRUE ? PH_FALSE : PH_TRUE;
}

/* By bytes of the shorter one, then by length; neither is NULL. */
static inline int
ph_rule_compare_bytes(const struct ph_value *a, const struct ph_value *b)
{
    size_t len = (size_t)(a->len < b->len ? a->len : b->len);
    int order = len > 0 ? memcmp(a->data, b->data, len) : 0;

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

struct ph_rule_numeric { /* what numeric_send wrote, without zeros at either end */
    int rank;            /* -infinity, finite, infinity, NaN: 0 to 3 */
    int sign;            /* -1, 0, 1; of the finite ones */
    int weight;          /* of the first digit, to base 10000 */
    int n;
    const uint8_t *digits;
};

static inline int
ph_rule_numeric_digit(const struct ph_rule_numeric *number, int i)
{
    const uint8_t *at = number->digits + 2 * (ptrdiff_t)i;

    return at[0] << 8 | at[1];
}

static inline struct ph_rule_numeric
ph_rule_read_numeric(const struct ph_value *value)
{
    struct ph_rule_numeric out = {1, 0, 0, 0, NULL};

    if (value->len < 8)
        return out;
    struct ph_value weight = {value->data + 2, 2};
    int sign = value->data[4] << 8 | value->data[5];
    out.rank = sign == 0xC000 ? 3 : sign == 0xD000 ? 2 : sign == 0xF000 ? 0 : 1;
    out.weight = ph_rule_get_i16(&weight);
    out.digits = value->data + 8;
    out.n = value->data[0] << 8 | value->data[1];
    if (out.n > (value->len - 8) / 2)
        out.n = (value->len - 8) / 2;
    for (; out.n > 0 && ph_rule_numeric_digit(&out, 0) == 0; out.n--) {
        out.digits += 2;
        out.weight--;
    }
    while (out.n > 0 && ph_rule_numeric_digit(&out, out.n - 1) == 0)
        out.n--;
    out.sign = out.n == 0 ? 0 : sign == 0x4000 ? -1 : 1;
    return out;
}

/* As PostgreSQL orders numeric: NaN is above all and equal to itself. Neither is NULL. */
static inline int
ph_rule_compare_numeric(const struct ph_value *left, const struct ph_value *right)
{
    struct ph_rule_numeric a = ph_rule_read_numeric(left);
    struct ph_rule_numeric b = ph_rule_read_numeric(right);

    if (a.rank != b.rank || a.rank != 1)
        return a.rank - b.rank;
    if (a.sign != b.sign || a.sign == 0)
        return a.sign - b.sign;
    if (a.weight != b.weight)
        return a.weight > b.weight ? a.sign : -a.sign;
    for (int i = 0; i < a.n && i < b.n; i++) {
        int difference = ph_rule_numeric_digit(&a, i) - ph_rule_numeric_digit(&b, i);
        if (difference != 0)
            return difference > 0 ? a.sign : -a.sign;
    }
    return (a.n - b.n) * a.sign;
}

/* Whether `value` is one of n values that are sorted by `compare`. */
static inline bool
ph_rule_is_among(const struct ph_value *value, const struct ph_value *sorted, uint32_t n,
                 int (*compare)(const struct ph_value *a, const struct ph_value *b))
{
    uint32_t low = 0;

    while (low < n) {
        uint32_t middle = low + (n - low) / 2;
        int order = compare(value, &sorted[middle]);
        if (order == 0)
            return true;
        if (order > 0)
            low = middle + 1;
        else
            n = middle;
    }
    return false;
}

#endif
