/*
 * Letters by ICU: case by the root locale (as a collation "und-x-icu" has it), and transliteration.
 * ASCII has ways of its own, which give the same.
 */
#include <stdlib.h>
#include <unicode/ucasemap.h>
#include <unicode/ustring.h>
#include <unicode/utrans.h>

#include "rules/op_families.h"
#include "rules/op_parts.h"

/* ---- case ---- */

static bool
prepare_case(struct ph_rule_call *call)
{
    UErrorCode status = U_ZERO_ERROR;

    if (!ph_op_params(call, 0, 0))
        return false;
    call->state = ucasemap_open("", 0, &status);
    return U_SUCCESS(status) ? true : ph_op_refuse(call, u_errorName(status));
}

static void
release_case(struct ph_rule_call *call)
{
    ucasemap_close(call->state);
    call->state = NULL;
}

static enum ph_rule_result
map_ascii(struct ph_rule_call *call, struct ph_span text, uint8_t first, struct ph_value *out)
{
    uint8_t *bytes = ph_rule_alloc(call, text.len + 1);

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bytes[i] = (uint8_t)(c - first) < 26 ? c ^ 0x20 : c;
    }
    return ph_op_give(call, bytes, text.len, out);
}

typedef int32_t case_fn(UCaseMap *map, char *to, int32_t capacity, const char *from, int32_t len,
                        UErrorCode *status);

static int32_t
to_lower(UCaseMap *map, char *to, int32_t capacity, const char *from, int32_t len,
         UErrorCode *status)
{
    return ucasemap_utf8ToLower(map, to, capacity, from, len, status);
}

static int32_t
to_upper(UCaseMap *map, char *to, int32_t capacity, const char *from, int32_t len,
         UErrorCode *status)
{
    return ucasemap_utf8ToUpper(map, to, capacity, from, len, status);
}

static enum ph_rule_result
map_case(struct ph_rule_call *call, struct ph_span text, case_fn *map, struct ph_value *out)
{
    size_t capacity = text.len + 16;
    size_t n;

    if (!ph_op_utf8_count(text, &n))
        return ph_rule_bad(call, "not valid UTF-8");
    for (int attempt = 0; attempt < 2; attempt++) {
        UErrorCode status = U_ZERO_ERROR;
        char *bytes = capacity > PH_OP_VALUE_MAX ? NULL : ph_rule_alloc(call, capacity);
        if (bytes == NULL)
            return PH_RULE_NO_MEMORY;
        int32_t len = map(call->state, bytes, (int32_t)capacity, (const char *)text.data,
                          (int32_t)text.len, &status);
        if (U_SUCCESS(status))
            return ph_op_give(call, bytes, (size_t)len, out);
        if (status != U_BUFFER_OVERFLOW_ERROR)
            break;
        capacity = (size_t)len + 1;
    }
    return ph_rule_bad(call, "ICU cannot change the case");
}

static enum ph_rule_result
lower(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text = ph_op_span(&args[0]);

    return ph_op_is_ascii(text) ? map_ascii(call, text, 'A', out)
                                : map_case(call, text, to_lower, out);
}

static enum ph_rule_result
upper(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    struct ph_span text = ph_op_span(&args[0]);

    return ph_op_is_ascii(text) ? map_ascii(call, text, 'a', out)
                                : map_case(call, text, to_upper, out);
}

static enum ph_rule_result
initcap(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    return map_case(call, ph_op_span(&args[0]), ucasemap_utf8ToTitle, out);
}

/* ---- transliteration: state is the transliterator ---- */

static bool
open_transliterator(struct ph_rule_call *call, const char *id)
{
    UChar name[256];
    UErrorCode status = U_ZERO_ERROR;
    UParseError where;
    int32_t len;

    u_strFromUTF8(name, sizeof name / sizeof name[0], &len, id, -1, &status);
    if (U_SUCCESS(status))
        call->state = utrans_openU(name, len, UTRANS_FORWARD, NULL, 0, &where, &status);
    if (U_SUCCESS(status))
        return true;
    call->state = NULL;
    return ph_op_refuse(call, "ICU has no transliterator of that name");
}

static bool
prepare_transliterate(struct ph_rule_call *call)
{
    return ph_op_params(call, 1, 1) && open_transliterator(call, call->params[0]);
}

static bool
prepare_unaccent(struct ph_rule_call *call)
{
    return ph_op_params(call, 0, 0) && open_transliterator(call, "NFC; Latin-ASCII");
}

static void
release_transliterator(struct ph_rule_call *call)
{
    if (call->state != NULL)
        utrans_close(call->state);
    call->state = NULL;
}

static enum ph_rule_result
give_utf16(struct ph_rule_call *call, const UChar *wide, int32_t n, struct ph_value *out)
{
    UErrorCode status = U_ZERO_ERROR;
    int32_t len;
    char *bytes = ph_rule_alloc(call, 3 * (size_t)n + 1);

    if (bytes == NULL)
        return PH_RULE_NO_MEMORY;
    u_strToUTF8(bytes, 3 * n + 1, &len, wide, n, &status);
    if (U_FAILURE(status))
        return ph_rule_bad(call, "the transliterator's result is no text");
    return ph_op_give(call, bytes, (size_t)len, out);
}

static enum ph_rule_result
transliterate(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    enum { ROOM = 16, LONGEST = 1 << 26 };
    struct ph_span text = ph_op_span(&args[0]);
    UErrorCode status = U_ZERO_ERROR;
    int32_t n;

    if (text.len > LONGEST)
        return ph_rule_bad(call, "too long to be transliterated");
    int32_t capacity = (int32_t)text.len * 2 + ROOM;
    UChar *wide = ph_rule_alloc(call, sizeof *wide * (size_t)capacity);
    if (wide == NULL)
        return PH_RULE_NO_MEMORY;
    u_strFromUTF8(wide, capacity, &n, (const char *)text.data, (int32_t)text.len, &status);
    if (U_FAILURE(status))
        return ph_rule_bad(call, "not valid UTF-8");
    for (int32_t begin = n; capacity <= 8 * LONGEST; capacity *= 4) {
        UChar *room = ph_rule_alloc(call, sizeof *room * (size_t)capacity);
        int32_t limit = begin;
        n = begin;
        status = U_ZERO_ERROR;
        if (room == NULL)
            return PH_RULE_NO_MEMORY;
        memcpy(room, wide, sizeof *room * (size_t)n);
        utrans_transUChars(call->state, room, &n, capacity, 0, &limit, &status);
        if (U_SUCCESS(status))
            return give_utf16(call, room, n, out);
        if (status != U_BUFFER_OVERFLOW_ERROR)
            break;
    }
    return ph_rule_bad(call, "ICU cannot transliterate it");
}

static enum ph_rule_result
unaccent(struct ph_rule_call *call, const struct ph_value *args, struct ph_value *out)
{
    if (ph_op_is_ascii(ph_op_span(&args[0]))) {
        *out = args[0];
        return PH_RULE_OK;
    }
    return transliterate(call, args, out);
}

const struct ph_rule_op ph_text_case_ops[PH_TEXT_CASE_OPS] = {
    {"lower", "text -> text", NULL, 0, lower, prepare_case, release_case, "small letters"},
    {"upper", "text -> text", NULL, 0, upper, prepare_case, release_case, "capital letters"},
    {"initcap", "text -> text", NULL, 0, initcap, prepare_case, release_case,
     "words with a capital letter first"},
    {"unaccent", "text -> text", NULL, 0, unaccent, prepare_unaccent, release_transliterator,
     "Latin letters without accents"},
    {"transliterate", "text -> text", "id", PH_RULE_MAY_BAD, transliterate, prepare_transliterate,
     release_transliterator, "by a transform of ICU, as \"Any-Latin; Latin-ASCII\""},
};
