/* Names of types and signatures: small texts, compared as such. */
#include "rules/type_class.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "model/type_match.h"

#define DEPTH_MAX 4

static bool
is_in(const char *name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(name, *list) == 0)
            return true;
    }
    return false;
}

static bool
is_text(const struct ph_type *type)
{
    static const char *const characters[] = {"text", "varchar", "bpchar", "name", NULL};

    if (type->kind == 'e')
        return true;
    if (type->extension != NULL)
        return strcmp(type->extension, "citext") == 0 && strcmp(type->name, "citext") == 0;
    return strcmp(type->schema, "pg_catalog") == 0 && is_in(type->name, characters);
}

static bool
put_class(const struct ph_catalog *catalog, ph_oid oid, int depth, char *out, size_t size)
{
    const struct ph_type *type = ph_type_base(catalog, oid);

    if (type == NULL || depth > DEPTH_MAX || size < 8)
        return false;
    if (ph_type_is_array(type) && type->kind == 'b') {
        if (!put_class(catalog, type->elem_oid, depth + 1, out, size - 2))
            return false;
        memcpy(out + strlen(out), "[]", 3);
        return true;
    }
    if (is_text(type))
        memcpy(out, "text", 5);
    else if (strcmp(type->schema, "pg_catalog") == 0)
        snprintf(out, size, "%s", type->name);
    else
        snprintf(out, size, "%s.%s", type->schema, type->name);
    return true;
}

bool
ph_type_class(const struct ph_catalog *catalog, ph_oid oid, char out[PH_CLASS_SIZE])
{
    out[0] = '\0';
    return put_class(catalog, oid, 0, out, PH_CLASS_SIZE);
}

void
ph_type_class_named(const char *name, char out[PH_CLASS_SIZE])
{
    static const char *const names[][2] = {
        {"integer", "int4"},
        {"int", "int4"},
        {"bigint", "int8"},
        {"smallint", "int2"},
        {"boolean", "bool"},
        {"decimal", "numeric"},
        {"real", "float4"},
        {"double precision", "float8"},
        {"varchar", "text"},
        {"character varying", "text"},
        {"char", "text"},
        {"character", "text"},
        {"citext", "text"},
        {"name", "text"},
        {"timestamp with time zone", "timestamptz"},
        {"timestamp without time zone", "timestamp"},
        {"time without time zone", "time"},
    };
    size_t len = strlen(name);
    bool is_array = len > 2 && strcmp(name + len - 2, "[]") == 0;
    char bare[PH_CLASS_SIZE - 2];

    snprintf(bare, sizeof bare, "%.*s", (int)(is_array ? len - 2 : len), name);
    bare[strcspn(bare, "(")] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(bare, names[i][0]) == 0)
            snprintf(bare, sizeof bare, "%s", names[i][1]);
    }
    snprintf(out, PH_CLASS_SIZE, "%s%s", bare, is_array ? "[]" : "");
}

const struct ph_type *
ph_type_of_class(const struct ph_catalog *catalog, const char *class)
{
    size_t len = strlen(class);
    bool is_array = len > 2 && strcmp(class + len - 2, "[]") == 0;
    size_t bare = is_array ? len - 2 : len;

    for (uint32_t i = 0; i < catalog->n_types; i++) {
        const struct ph_type *type = &catalog->types[i];
        if (strcmp(type->schema, "pg_catalog") != 0 || strlen(type->name) != bare ||
            memcmp(type->name, class, bare) != 0)
            continue;
        return is_array ? ph_catalog_type(catalog, type->array_oid) : type;
    }
    return NULL;
}

/* The next word of a list that ends at `end`, without blanks around it; false: no more. */
static bool
next_word(const char **at, const char *end, char out[PH_CLASS_SIZE])
{
    while (*at < end && isspace((unsigned char)**at))
        ++*at;
    if (*at >= end)
        return false;
    const char *comma = memchr(*at, ',', (size_t)(end - *at));
    const char *stop = comma == NULL ? end : comma;
    const char *last = stop;
    while (last > *at && isspace((unsigned char)last[-1]))
        last--;
    snprintf(out, PH_CLASS_SIZE, "%.*s", (int)(last - *at), *at);
    *at = comma == NULL ? end : comma + 1;
    return true;
}

static bool
ends_in(const char *word, const char *end)
{
    size_t len = strlen(word);
    size_t end_len = strlen(end);

    return len >= end_len && strcmp(word + len - end_len, end) == 0;
}

/* `any`: what `any` has been found to be, "" at first. */
static bool
fits(const char *word, const char *class, char any[PH_CLASS_SIZE])
{
    char bare[PH_CLASS_SIZE];

    snprintf(bare, sizeof bare, "%s", class);
    if (strcmp(word, "any[]") == 0) {
        if (!ends_in(bare, "[]"))
            return false;
        bare[strlen(bare) - 2] = '\0';
    } else if (strcmp(word, "any") != 0) {
        return strcmp(word, class) == 0;
    }
    if (any[0] == '\0')
        memcpy(any, bare, sizeof bare);
    return strcmp(any, bare) == 0;
}

bool
ph_signature_fits(const char *signature, const char *const *args, uint32_t n_args,
                  char result[PH_CLASS_SIZE])
{
    const char *arrow = strstr(signature, "->");
    const char *at = signature;
    char any[PH_CLASS_SIZE] = "";
    char word[PH_CLASS_SIZE];
    uint32_t taken = 0;

    if (arrow == NULL)
        return false;
    while (next_word(&at, arrow, word)) {
        bool is_last = ends_in(word, "...");
        if (is_last)
            word[strlen(word) - 3] = '\0';
        do {
            if (taken == n_args || !fits(word, args[taken], any))
                return false;
            taken++;
        } while (is_last && taken < n_args);
    }
    at = arrow + 2;
    if (taken != n_args || !next_word(&at, at + strlen(at), word))
        return false;
    if (strcmp(word, "any") == 0)
        snprintf(word, sizeof word, "%s", any);
    else if (strcmp(word, "any[]") == 0)
        snprintf(word, sizeof word, "%.*s[]", PH_CLASS_SIZE - 3, any);
    memcpy(result, word, sizeof word);
    return true;
}

void
ph_params_count(const char *params, uint32_t *least, uint32_t *most)
{
    char word[PH_CLASS_SIZE];

    bool is_optional = false; /* and so is what stands behind it */

    *least = *most = 0;
    if (params == NULL)
        return;
    for (const char *at = params; next_word(&at, params + strlen(params), word);) {
        bool repeats = ends_in(word, "...");
        if (repeats)
            word[strlen(word) - 3] = '\0';
        is_optional |= ends_in(word, "?");
        if (!is_optional)
            ++*least;
        if (repeats)
            *most = UINT32_MAX;
        else if (*most != UINT32_MAX)
            ++*most;
    }
}
