/*
 * Any text as a condition. It is refused with its place, or its SQL stays within the parentheses it
 * is put into, whatever stands around it, and the C that is made of it is whole.
 */
#include "../support/expr_world.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rules/expr.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define LIMIT ((size_t)16 << 20)

/* Numbers and the like are what they are written as; an empty one is of no type. */
static ph_code
constant(void *arg, const struct ph_column *column, const char *text, struct ph_arena *arena,
         struct ph_value *out, struct ph_error *err)
{
    static const uint8_t zeros[16];

    (void)arg;
    (void)arena;
    CHECK(column->type_text != NULL);
    if (text[0] == '\0')
        return PH_FAIL(err, PH_E_TYPES, "not a value");
    *out = (struct ph_value){zeros, 8};
    return PH_OK;
}

/* Behind a quote that is not doubled; `escapes`: a backslash takes the next one along. */
static const char *
skip_quoted(const char *at, bool escapes)
{
    char quote = *at++;

    for (; *at != '\0'; at++) {
        if (escapes && *at == '\\' && at[1] != '\0')
            at++;
        else if (*at == quote && at[1] == quote)
            at++;
        else if (*at == quote)
            return at + 1;
    }
    abort(); /* not closed */
}

/* $tag$…$tag$; NULL: a dollar is not the beginning of one. */
static const char *
skip_dollars(const char *at)
{
    size_t len = strcspn(at + 1, "$ '\"()") + 2;

    if (at[len - 1] != '$' || (at[1] >= '0' && at[1] <= '9'))
        return NULL;
    const char *end = memmem(at + len, strlen(at + len), at, len);
    CHECK(end != NULL);
    return end + len;
}

static bool
is_letter(char c)
{
    return c == '_' || ((c | 32) >= 'a' && (c | 32) <= 'z') || (unsigned char)c >= 0x80;
}

static bool
is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *
skip_number(const char *at)
{
    while (is_digit(*at) || *at == '.')
        at++;
    const char *exponent = at + 1 + ((*at | 32) == 'e' && (at[1] == '+' || at[1] == '-'));
    if ((*at | 32) == 'e' && is_digit(*exponent))
        for (at = exponent; is_digit(*at);)
            at++;
    return at;
}

/* Behind what has no parentheses; NULL: it is one character. */
static const char *
skip_token(const char *at)
{
    const char *from = at;

    if (*at == '\'' || *at == '"')
        return skip_quoted(at, false);
    if (*at == '$')
        return skip_dollars(at);
    if (is_digit(*at))
        return skip_number(at);
    if (!is_letter(*at))
        return NULL;
    while (is_letter(*at) || is_digit(*at) || *at == '$')
        at++;
    return at == from + 1 && (*from | 32) == 'e' && *at == '\'' ? skip_quoted(at, true) : at;
}

/* Read by rules of its own: parentheses that close at the very end, no comment, one statement. */
static void
check_sql(const char *sql)
{
    const char *at = sql;
    int depth = 0;

    CHECK(sql[0] == '(');
    while (*at != '\0') {
        const char *behind = skip_token(at);
        if (behind != NULL) {
            at = behind;
            continue;
        }
        CHECK(*at != ';' && strncmp(at, "--", 2) != 0 && strncmp(at, "/*", 2) != 0);
        depth += *at == '(';
        depth -= *at == ')';
        at++;
        CHECK(depth > 0 || *at == '\0');
    }
    CHECK(depth == 0);
}

static void
check_code(const struct ph_expr *expr, struct ph_arena *arena)
{
    uint32_t inputs[sizeof expr_columns / sizeof expr_columns[0]];
    uint32_t n;
    struct ph_error err;
    struct ph_buf code;
    const struct ph_column *const *reads = ph_expr_reads(expr, &n);

    CHECK(n <= sizeof inputs / sizeof inputs[0]);
    for (uint32_t i = 0; i < n; i++) {
        CHECK(reads[i] >= expr_columns && reads[i] < expr_columns + expr_rel.n_columns);
        CHECK(i == 0 || reads[i] > reads[i - 1]);
        inputs[i] = i;
    }
    const struct ph_expr_code wanted = {
        .function = "f", .inputs = inputs, .constant = constant, .arena = arena};
    ph_error_reset(&err);
    ph_buf_init(&code, LIMIT);
    ph_code rc = ph_expr_generate(expr, &wanted, &code, &err);
    if (rc == PH_OK)
        CHECK(ph_buf_ok(&code) &&
              strstr(ph_buf_text(&code), "f(const struct ph_value *in)") != NULL);
    else
        CHECK(rc == PH_E_RULES && err.message[0] != '\0' && err.object[0] != '\0');
    ph_buf_free(&code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);
    struct ph_arena arena;
    struct ph_error err;
    struct ph_buf sql;
    const struct ph_expr *expr = NULL;

    CHECK(text != NULL);
    memcpy(text, data, len);
    text[len] = '\0';
    const struct ph_expr_site site = {text, "fuzz", {1, 1}, "where", &expr_rel, &expr_catalog};
    ph_arena_init(&arena, LIMIT);
    ph_buf_init(&sql, LIMIT);
    ph_error_reset(&err);
    ph_code rc = ph_expr_parse(&site, &arena, &expr, &err);
    if (rc == PH_OK) {
        ph_expr_sql(expr, &sql);
        check_sql(ph_buf_text(&sql));
        if (ph_expr_why_not(expr) == NULL)
            check_code(expr, &arena);
    } else {
        CHECK(rc == PH_E_MEMORY || (rc == PH_E_RULES && strcmp(err.object, "fuzz:1:1") == 0));
    }
    ph_buf_free(&sql);
    ph_arena_reset(&arena);
    free(text);
    return 0;
}
