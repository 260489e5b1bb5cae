/*
 * The error table and the record's helpers. No state: every function works on what it is given.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_facts {
    const char *text;
    enum ph_error_class class;
    const char *meaning;
    const char *way_out;
};

static const struct code_facts code_table[PH_CODE_COUNT] = {
#define PH_CODE(name, text, class, meaning, way_out) {text, PH_CLASS_##class, meaning, way_out},
#include "base/error_codes.def"
#undef PH_CODE
};

static const struct code_facts *
facts(ph_code code)
{
    if ((unsigned)code >= PH_CODE_COUNT)
        code = PH_E_INTERNAL;
    return &code_table[code];
}

const char *
ph_code_text(ph_code code)
{
    return facts(code)->text;
}

const char *
ph_code_meaning(ph_code code)
{
    return facts(code)->meaning;
}

const char *
ph_code_way_out(ph_code code)
{
    return facts(code)->way_out;
}

enum ph_error_class
ph_code_class(ph_code code)
{
    return facts(code)->class;
}

int
ph_error_exit_code(ph_code code, enum ph_wrote wrote)
{
    switch (ph_code_class(code)) {
    case PH_CLASS_OK:
        return 0;
    case PH_CLASS_FAILED:
        return 1;
    case PH_CLASS_USAGE:
        return 2;
    case PH_CLASS_READY:
        return 3;
    case PH_CLASS_DIFF:
        return 4;
    case PH_CLASS_STOPPED:
        return 5;
    case PH_CLASS_AWAY:
        return wrote == PH_HAS_WRITTEN ? 5 : 3;
    case PH_CLASS_AUTH:
        return wrote == PH_HAS_WRITTEN ? 1 : 3;
    }
    return 1;
}

void
ph_error_reset(struct ph_error *err)
{
    if (err == NULL)
        return;
    err->code = PH_OK;
    err->sqlstate[0] = err->object[0] = err->message[0] = err->hint[0] = err->notes[0] = '\0';
}

/* A cut must not leave half a UTF-8 character behind. */
static void
trim_partial_utf8(char *text)
{
    size_t len = strlen(text);
    size_t back = 0;

    while (back < 3 && back < len && ((unsigned char)text[len - 1 - back] & 0xC0) == 0x80)
        back++;
    if (back >= len)
        return;
    unsigned char lead = (unsigned char)text[len - 1 - back];
    size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
    if (lead >= 0xC0 && need > back)
        text[len - 1 - back] = '\0';
}

__attribute__((format(printf, 3, 0))) static void
put_text(char *out, size_t size, const char *format, va_list args)
{
    int needed = vsnprintf(out, size, format, args);

    if (needed < 0)
        out[0] = '\0';
    else if ((size_t)needed >= size)
        trim_partial_utf8(out);
    /* libpq ends its messages with a newline; ours are sentences inside other text */
    for (size_t len = strlen(out); len > 0 && out[len - 1] == '\n'; len--)
        out[len - 1] = '\0';
}

ph_code
ph_error_set(struct ph_error *err, ph_code code, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return code;
    ph_error_reset(err);
    err->code = code;
    va_start(args, format);
    put_text(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

void
ph_error_object(struct ph_error *err, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return;
    va_start(args, format);
    put_text(err->object, sizeof err->object, format, args);
    va_end(args);
}

void
ph_error_hint(struct ph_error *err, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return;
    va_start(args, format);
    put_text(err->hint, sizeof err->hint, format, args);
    va_end(args);
}

void
ph_error_note(struct ph_error *err, const char *format, ...)
{
    va_list args;

    if (err == NULL)
        return;
    size_t used = strlen(err->notes);
    if (used > 0 && used + 3 < sizeof err->notes) {
        memcpy(err->notes + used, "; ", 3);
        used += 2;
    }
    if (used + 1 >= sizeof err->notes)
        return;
    va_start(args, format);
    put_text(err->notes + used, sizeof err->notes - used, format, args);
    va_end(args);
}

size_t
ph_error_format(const struct ph_error *err, char *out, size_t size)
{
    const char *hint = err->hint[0] != '\0' ? err->hint : ph_code_way_out(err->code);
    int needed =
        snprintf(out, size, "%s%s%s%s%s%s: %s%s%s%s\n  way out: %s", ph_code_text(err->code),
                 err->sqlstate[0] != '\0' ? " (SQLSTATE " : "", err->sqlstate,
                 err->sqlstate[0] != '\0' ? ")" : "", err->object[0] != '\0' ? " " : "",
                 err->object, err->message, err->notes[0] != '\0' ? " (" : "", err->notes,
                 err->notes[0] != '\0' ? ")" : "", hint);
    if (size > 0)
        trim_partial_utf8(out);
    return needed < 0 ? 0 : (size_t)needed;
}
