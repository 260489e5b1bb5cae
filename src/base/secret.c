/*
 * Not a parser of conninfo: that is libpq's. A string that libpq would refuse must not show its
 * password either, so every rule here errs on the side of masking.
 */
#include "base/secret.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static void
mask(char *from, const char *to, bool *changed)
{
    for (; from < to; from++) {
        if (*from != 'x') {
            *from = 'x';
            *changed = true;
        }
    }
}

/* Whether the key in [from, to) names a secret, or could. */
static bool
is_secret_key(const char *from, const char *to)
{
    static const char word[] = "password";

    for (const char *p = from; p < to; p++) {
        size_t i = 0;
        if (*p == '%')
            return true;
        while (p + i < to && word[i] != '\0' && tolower((unsigned char)p[i]) == word[i])
            i++;
        if (word[i] == '\0')
            return true;
    }
    return false;
}

static void
mask_uri(char *after_scheme, bool *changed)
{
    /* the query first, from the first '?' on: a value in it may contain '@' */
    for (char *query = strchr(after_scheme, '?'); query != NULL;) {
        char *key = query + 1;
        char *end = key + strcspn(key, "&");
        char *equals = memchr(key, '=', (size_t)(end - key));
        if (equals != NULL && is_secret_key(key, equals))
            mask(equals + 1, end, changed);
        query = *end == '&' ? end : NULL;
    }
    /* the last '@' counts: an unescaped one in the password is an error to libpq, yet must not show
     */
    char *at = strrchr(after_scheme, '@');
    char *colon = at == NULL ? NULL : memchr(after_scheme, ':', (size_t)(at - after_scheme));
    if (colon != NULL)
        mask(colon + 1, at, changed);
}

static char *
value_end(char *at)
{
    if (*at == '\'') {
        for (at++; *at != '\0' && *at != '\''; at++) {
            if (*at == '\\' && at[1] != '\0')
                at++;
        }
        return at;
    }
    for (; *at != '\0' && !isspace((unsigned char)*at); at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
    }
    return at;
}

static void
mask_pairs(char *text, bool *changed)
{
    char *at = text;

    while (*at != '\0') {
        char *key = at + strspn(at, " \t\r\n\f\v");
        char *key_end = key + strcspn(key, "= \t\r\n\f\v");
        char *value = key_end + strspn(key_end, " \t\r\n\f\v");
        if (*value != '=') {
            at = *key_end == '\0' ? key_end : value;
            continue;
        }
        value++;
        value += strspn(value, " \t\r\n\f\v");
        char *end = value_end(value);
        if (is_secret_key(key, key_end))
            mask(*value == '\'' ? value + 1 : value, end, changed);
        at = *end == '\'' ? end + 1 : end;
    }
}

bool
ph_secret_mask(char *text)
{
    bool changed = false;
    char *scheme = strstr(text, "://");

    if (scheme != NULL)
        mask_uri(scheme + 3, &changed);
    if (scheme == NULL || strchr(text, ' ') != NULL)
        mask_pairs(text, &changed);
    return changed;
}
