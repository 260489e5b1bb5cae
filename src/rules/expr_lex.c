/*
 * A condition as tokens, the way PostgreSQL's own scanner parts it. Every text goes through here,
 * of the class or not: what it finds wrong would be wrong, or dangerous, as SQL too.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "rules/expr_tree.h"

struct lexer {
    struct ph_expr_parser *parser;
    const char *at;
    struct ph_token *tokens;
    uint32_t n;
};

ph_code
ph_expr_fail(const struct ph_expr_site *site, struct ph_error *err, const char *format, ...)
{
    char message[400];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    PH_FAIL(err, PH_E_RULES, "%s: %s", site->what, message);
    ph_error_object(err, "%s:%u:%u", site->file, site->place.line, site->place.column);
    return PH_E_RULES;
}

static ph_code
fail(struct lexer *lexer, const char *message)
{
    return ph_expr_fail(lexer->parser->site, lexer->parser->err, "%s", message);
}

static bool
is_first(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static bool
is_later(char c)
{
    return is_first(c) || isdigit((unsigned char)c) || c == '$';
}

static ph_code
put(struct lexer *lexer, enum ph_token_kind kind, const char *text, size_t len)
{
    char *copy = ph_arena_strndup(lexer->parser->arena, text, len);

    if (copy == NULL)
        return PH_FAIL(lexer->parser->err, PH_E_MEMORY, "out of memory");
    lexer->tokens[lexer->n++] = (struct ph_token){kind, copy};
    return PH_OK;
}

/* What is in quotes at lexer->at, a doubled quote being one. */
static ph_code
take_quoted(struct lexer *lexer, enum ph_token_kind kind)
{
    char quote = *lexer->at;
    const char *from = lexer->at + 1;
    char *text = ph_arena_alloc(lexer->parser->arena, strlen(from) + 1);
    size_t len = 0;

    if (text == NULL)
        return PH_FAIL(lexer->parser->err, PH_E_MEMORY, "out of memory");
    for (; *from != '\0' && (*from != quote || from[1] == quote); from++) {
        from += *from == quote;
        text[len++] = *from;
    }
    if (*from == '\0')
        return fail(lexer, quote == '"' ? "a double quote is not closed" : "a quote is not closed");
    lexer->at = from + 1;
    lexer->tokens[lexer->n++] = (struct ph_token){kind, text};
    return PH_OK;
}

/* E'…', in which a backslash takes the next character along, and a doubled quote is one. */
static ph_code
take_escapes(struct lexer *lexer)
{
    const char *from = lexer->at;

    for (lexer->at = strchr(from, '\'') + 1; *lexer->at != '\'' || lexer->at[1] == '\'';
         lexer->at++) {
        if (*lexer->at == '\\' || *lexer->at == '\'')
            lexer->at++;
        if (*lexer->at == '\0')
            return fail(lexer, "a quote is not closed");
    }
    lexer->at++;
    return put(lexer, PH_TOKEN_OTHER, from, (size_t)(lexer->at - from));
}

/* N'…', B'…', X'…', U&'…' and U&"…". */
static ph_code
take_prefixed(struct lexer *lexer, size_t prefix_len)
{
    lexer->at += prefix_len;
    return take_quoted(lexer, PH_TOKEN_OTHER);
}

static ph_code
take_word(struct lexer *lexer)
{
    const char *from = lexer->at;

    if (strchr("eE", from[0]) != NULL && from[1] == '\'')
        return take_escapes(lexer);
    if (strchr("nNbBxX", from[0]) != NULL && from[1] == '\'')
        return take_prefixed(lexer, 1);
    if (strchr("uU", from[0]) != NULL && from[1] == '&' && (from[2] == '\'' || from[2] == '"'))
        return take_prefixed(lexer, 2);
    while (is_later(*lexer->at))
        lexer->at++;
    PH_TRY(put(lexer, PH_TOKEN_WORD, from, (size_t)(lexer->at - from)));
    char *text = ph_arena_strdup(lexer->parser->arena, lexer->tokens[lexer->n - 1].text);
    if (text == NULL)
        return PH_FAIL(lexer->parser->err, PH_E_MEMORY, "out of memory");
    for (char *c = text; *c != '\0'; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
    lexer->tokens[lexer->n - 1].text = text;
    return PH_OK;
}

static ph_code
take_number(struct lexer *lexer)
{
    const char *from = lexer->at;
    const char *at = from + strspn(from, "0123456789");

    if (*at == '.')
        at += 1 + strspn(at + 1, "0123456789");
    if (*at == 'e' || *at == 'E') {
        const char *digits = at + 1 + (at[1] == '+' || at[1] == '-');
        if (isdigit((unsigned char)*digits))
            at = digits + strspn(digits, "0123456789");
    }
    bool is_plain = !is_first(*at) && *at != '.';
    while (!is_plain && is_later(*at)) /* 0x1F, 1_000: newer servers know them */
        at++;
    /* 1e'\'': a string with escapes for some servers, a mistake for others */
    if (!is_plain && (*at == '\'' || *at == '"'))
        return fail(lexer, "a number that goes over into a quote");
    lexer->at = at;
    return put(lexer, is_plain ? PH_TOKEN_NUMBER : PH_TOKEN_OTHER, from, (size_t)(at - from));
}

/* $$…$$ or $tag$…$tag$. */
static ph_code
take_dollars(struct lexer *lexer)
{
    const char *from = lexer->at;
    size_t len = 1;

    if (isdigit((unsigned char)from[1]))
        return fail(lexer, "a parameter ($1) has no value here");
    while (is_first(from[len]) || isdigit((unsigned char)from[len]))
        len++;
    if (from[len] != '$')
        return fail(lexer, "a $ that begins nothing");
    len++;
    const char *tag = ph_arena_strndup(lexer->parser->arena, from, len);
    if (tag == NULL)
        return PH_FAIL(lexer->parser->err, PH_E_MEMORY, "out of memory");
    const char *end = strstr(from + len, tag);
    if (end == NULL)
        return fail(lexer, "a dollar quote is not closed");
    lexer->at = end + len;
    return put(lexer, PH_TOKEN_OTHER, from, (size_t)(lexer->at - from));
}

/* The longest run; it ends in + or - only when it has one of the letters that + and - lack. */
static ph_code
take_operator(struct lexer *lexer)
{
    const char *from = lexer->at;
    size_t len = strspn(from, "+-*/<>=~!@#%^&|`?");

    if (len == 0) {
        lexer->at++;
        return put(lexer, PH_TOKEN_OTHER, from, 1);
    }
    for (size_t i = 0; i + 1 < len; i++) {
        if ((from[i] == '-' && from[i + 1] == '-') || (from[i] == '/' && from[i + 1] == '*'))
            return fail(lexer, "comments are not taken");
    }
    while (len > 1 && strchr("+-", from[len - 1]) != NULL && strcspn(from, "~!@#%^&|`?") >= len)
        len--;
    lexer->at += len;
    return put(lexer, PH_TOKEN_OPERATOR, from, len);
}

static ph_code
take_token(struct lexer *lexer)
{
    char c = *lexer->at;

    if (is_first(c))
        return take_word(lexer);
    if (isdigit((unsigned char)c) || (c == '.' && isdigit((unsigned char)lexer->at[1])))
        return take_number(lexer);
    switch (c) {
    case '\'':
        return take_quoted(lexer, PH_TOKEN_STRING);
    case '"':
        return take_quoted(lexer, PH_TOKEN_NAME);
    case '$':
        return take_dollars(lexer);
    case ';':
        return fail(lexer, "a semicolon; a condition is one expression");
    case '(':
        return put(lexer, PH_TOKEN_OPEN, lexer->at++, 1);
    case ')':
        return put(lexer, PH_TOKEN_CLOSE, lexer->at++, 1);
    case ',':
        return put(lexer, PH_TOKEN_COMMA, lexer->at++, 1);
    default:
        return take_operator(lexer);
    }
}

static ph_code
check_parentheses(const struct lexer *lexer)
{
    const struct ph_expr_parser *parser = lexer->parser;
    uint32_t open = 0;

    if (lexer->n == 1)
        return ph_expr_fail(parser->site, parser->err, "the condition is empty");
    for (uint32_t i = 0; i < lexer->n; i++) {
        if (lexer->tokens[i].kind == PH_TOKEN_CLOSE && open-- == 0)
            return ph_expr_fail(parser->site, parser->err, "a \")\" that closes nothing");
        open += lexer->tokens[i].kind == PH_TOKEN_OPEN;
    }
    if (open > 0)
        return ph_expr_fail(parser->site, parser->err, "a \"(\" is not closed");
    return PH_OK;
}

/* The usual names of what has another value every time. */
static ph_code
check_steady(const struct lexer *lexer)
{
    static const char *const words[] = {"current_date", "current_time", "current_timestamp",
                                        "localtime", "localtimestamp"};
    static const char *const functions[] = {"now",
                                            "random",
                                            "clock_timestamp",
                                            "statement_timestamp",
                                            "transaction_timestamp",
                                            "timeofday",
                                            "nextval",
                                            "gen_random_uuid",
                                            "uuid_generate_v4",
                                            "txid_current",
                                            "pg_current_xact_id"};
    const struct ph_expr_parser *parser = lexer->parser;

    for (const struct ph_token *token = lexer->tokens; token->kind != PH_TOKEN_END; token++) {
        bool is_found = false;
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            is_found |= token->kind == PH_TOKEN_WORD && strcmp(token->text, words[i]) == 0;
        for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
            is_found |= (token->kind == PH_TOKEN_WORD || token->kind == PH_TOKEN_NAME) &&
                        token[1].kind == PH_TOKEN_OPEN && strcmp(token->text, functions[i]) == 0;
        if (is_found) {
            ph_expr_fail(parser->site, parser->err,
                         "%s is not the same every time; a row could be in at one moment and out "
                         "at the next",
                         token->text);
            ph_error_hint(parser->err, "write the value itself");
            return PH_E_RULES;
        }
    }
    return PH_OK;
}

ph_code
ph_expr_lex(struct ph_expr_parser *parser)
{
    struct lexer lexer = {.parser = parser, .at = parser->site->text};

    lexer.tokens = PH_ARENA_ARRAY(parser->arena, struct ph_token, strlen(parser->site->text) + 1);
    if (lexer.tokens == NULL)
        return PH_FAIL(parser->err, PH_E_MEMORY, "out of memory");
    for (;;) {
        lexer.at += strspn(lexer.at, " \t\r\n\f\v");
        if (*lexer.at == '\0')
            break;
        PH_TRY(take_token(&lexer));
    }
    PH_TRY(put(&lexer, PH_TOKEN_END, "", 0));
    parser->tokens = lexer.tokens;
    parser->at = lexer.tokens;
    PH_TRY(check_parentheses(&lexer));
    return check_steady(&lexer);
}
