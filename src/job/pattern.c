/*
 * A part of a pattern is compiled to a row of tokens and matched with one point of return (the last
 * `*`), which is linear for all practical patterns and never deeper than one frame. Regular
 * expressions of libc are not used: their `.` depends on the process' locale, names are UTF-8.
 */
#include "job/pattern.h"

#include <stdint.h>
#include <string.h>

enum token_kind { TOKEN_BYTE, TOKEN_ONE, TOKEN_MANY, TOKEN_SET };

struct token {
    enum token_kind kind;
    char byte;       /* TOKEN_BYTE */
    bool negated;    /* TOKEN_SET */
    uint8_t set[16]; /* TOKEN_SET: bits of the ASCII characters in it */
};

struct ph_name_pattern {
    uint32_t n;
    struct token tokens[];
};

struct parser {
    struct ph_arena *arena;
    struct ph_error *err;
    const char *text;
    const char *at;
    bool quoted;
};

static ph_code
bad_pattern(const struct parser *parser, const char *why)
{
    ph_code rc = PH_FAIL(parser->err, PH_E_SELECTION, "the pattern %s %s", parser->text, why);

    ph_error_object(parser->err, "%s", parser->text);
    return rc;
}

static char
fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void
set_range(struct token *token, char from, char to)
{
    for (unsigned c = (uint8_t)from; c <= (uint8_t)to; c++)
        token->set[c / 8] |= (uint8_t)(1u << (c % 8));
}

/* At the '['; leaves `at` behind the ']'. */
static ph_code
parse_set(struct parser *parser, struct token *token)
{
    *token = (struct token){.kind = TOKEN_SET};
    parser->at++;
    if (*parser->at == '^') {
        token->negated = true;
        parser->at++;
    }
    const char *start = parser->at;
    while (*parser->at != ']' || parser->at == start) {
        char from = fold(*parser->at);
        if (from <= 0)
            return bad_pattern(parser, "has a [ without ], or other than ASCII in it");
        parser->at++;
        char to = from;
        if (parser->at[0] == '-' && parser->at[1] > 0 && parser->at[1] != ']') {
            to = fold(parser->at[1]);
            parser->at += 2;
        }
        set_range(token, from, to);
    }
    parser->at++;
    return PH_OK;
}

/* One character or sign; *is_token is false for a quote that only opens or closes. */
static ph_code
parse_token(struct parser *parser, struct token *token, bool *is_token)
{
    char c = *parser->at;

    *is_token = true;
    *token = (struct token){.kind = TOKEN_BYTE, .byte = c};
    if (c == '"') {
        if (parser->quoted && parser->at[1] == '"') {
            parser->at += 2;
            return PH_OK;
        }
        parser->quoted = !parser->quoted;
        *is_token = false;
    } else if (!parser->quoted) {
        if (c == '[')
            return parse_set(parser, token);
        if (strchr("|+(){}^\\]", c) != NULL)
            return bad_pattern(parser, "has a character with a meaning of its own in psql: put the "
                                       "name in double quotes");
        token->kind = c == '*' ? TOKEN_MANY : c == '?' ? TOKEN_ONE : TOKEN_BYTE;
        token->byte = fold(c);
    }
    parser->at++;
    return PH_OK;
}

/* Up to an unquoted dot or the end. */
static ph_code
parse_part(struct parser *parser, const struct ph_name_pattern **out)
{
    size_t room = strlen(parser->at);
    struct ph_name_pattern *part =
        ph_arena_alloc(parser->arena, sizeof *part + room * sizeof part->tokens[0]);

    if (part == NULL)
        return PH_FAIL(parser->err, PH_E_MEMORY, "no memory for a pattern");
    bool had_quotes = *parser->at == '"';
    while (*parser->at != '\0' && (parser->quoted || *parser->at != '.')) {
        bool is_token;
        PH_TRY(parse_token(parser, &part->tokens[part->n], &is_token));
        part->n += is_token ? 1 : 0;
    }
    if (parser->quoted)
        return bad_pattern(parser, "has a quote that is not closed");
    if (part->n == 0 && !had_quotes)
        return bad_pattern(parser, "has an empty name in it");
    *out = part;
    return PH_OK;
}

ph_code
ph_pattern_parse_schema(struct ph_arena *arena, const char *text, struct ph_pattern *out,
                        struct ph_error *err)
{
    struct parser parser = {.arena = arena, .err = err, .text = text, .at = text};

    *out = (struct ph_pattern){.text = text};
    PH_TRY(parse_part(&parser, &out->name));
    if (*parser.at == '.')
        return bad_pattern(&parser, "names more than a schema: put a name with a dot in double "
                                    "quotes");
    return PH_OK;
}

ph_code
ph_pattern_parse_table(struct ph_arena *arena, const char *text, struct ph_pattern *out,
                       struct ph_error *err)
{
    struct parser parser = {.arena = arena, .err = err, .text = text, .at = text};

    *out = (struct ph_pattern){.text = text};
    PH_TRY(parse_part(&parser, &out->name));
    if (*parser.at == '.') {
        parser.at++;
        out->schema = out->name;
        PH_TRY(parse_part(&parser, &out->name));
    }
    if (*parser.at == '.')
        return bad_pattern(&parser, "has more than schema and name: put a name with a dot in "
                                    "double quotes");
    return PH_OK;
}

/* Length of the UTF-8 character at `at`, never past the end. */
static size_t
char_length(const char *at)
{
    size_t n = 1;

    while (((uint8_t)at[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Bytes of `at` that the token takes, 0: none. `at` is not at the end. */
static size_t
token_takes(const struct token *token, const char *at)
{
    uint8_t c = (uint8_t)*at;

    switch (token->kind) {
    case TOKEN_BYTE:
        return *at == token->byte ? 1 : 0;
    case TOKEN_ONE:
        return char_length(at);
    case TOKEN_SET: {
        bool inside = c < 128 && (token->set[c / 8] >> (c % 8) & 1) != 0;
        return inside != token->negated ? char_length(at) : 0;
    }
    case TOKEN_MANY:
        break;
    }
    return 0;
}

bool
ph_pattern_matches(const struct ph_name_pattern *pattern, const char *name)
{
    uint32_t token = 0;
    uint32_t after_many = UINT32_MAX; /* token to go on with from `retry` */
    const char *retry = NULL;

    while (*name != '\0' || (token < pattern->n && pattern->tokens[token].kind == TOKEN_MANY)) {
        if (token < pattern->n && pattern->tokens[token].kind == TOKEN_MANY) {
            after_many = ++token;
            retry = name;
            continue;
        }
        size_t taken = token < pattern->n ? token_takes(&pattern->tokens[token], name) : 0;
        if (taken > 0) {
            token++;
            name += taken;
        } else if (after_many != UINT32_MAX) {
            token = after_many;
            retry += char_length(retry);
            name = retry;
        } else {
            return false;
        }
    }
    return token == pattern->n;
}
