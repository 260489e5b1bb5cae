#include "model/lsn.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Up to eight digits; how many were read, 0 when there are none or too many. */
static size_t
read_half(const char *text, uint32_t *out)
{
    size_t n = strspn(text, "0123456789abcdefABCDEF");

    if (n == 0 || n > 8)
        return 0;
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (unsigned char)text[i];
        uint32_t digit = c <= '9' ? c - '0' : (c | 0x20u) - 'a' + 10;
        *out = (*out << 4) | digit;
    }
    return n;
}

bool
ph_lsn_parse(const char *text, ph_lsn *out)
{
    uint32_t high;
    uint32_t low;
    size_t n = read_half(text, &high);

    if (n == 0 || text[n] != '/')
        return false;
    text += n + 1;
    n = read_half(text, &low);
    if (n == 0 || text[n] != '\0')
        return false;
    *out = ((ph_lsn)high << 32) | low;
    return true;
}

const char *
ph_lsn_print(ph_lsn lsn, char out[PH_LSN_TEXT])
{
    snprintf(out, PH_LSN_TEXT, "%X/%X", (unsigned)(lsn >> 32), (unsigned)(lsn & UINT32_MAX));
    return out;
}

bool
ph_until_parse(const char *text, struct ph_until *out)
{
    ph_lsn lsn;

    if (strcmp(text, "now") == 0)
        *out = (struct ph_until){.kind = PH_UNTIL_NOW};
    else if (strcmp(text, "caught-up") == 0)
        *out = (struct ph_until){.kind = PH_UNTIL_CAUGHT_UP};
    else if (ph_lsn_parse(text, &lsn) && lsn != 0)
        *out = (struct ph_until){PH_UNTIL_LSN, lsn};
    else
        return false;
    return true;
}

const char *
ph_until_print(const struct ph_until *until, char out[PH_UNTIL_TEXT])
{
    char lsn[PH_LSN_TEXT];
    const char *text = "";

    switch (until->kind) {
    case PH_UNTIL_STOPPED:
        break;
    case PH_UNTIL_NOW:
        text = "now";
        break;
    case PH_UNTIL_CAUGHT_UP:
        text = "caught-up";
        break;
    case PH_UNTIL_LSN:
        text = ph_lsn_print(until->lsn, lsn);
        break;
    }
    snprintf(out, PH_UNTIL_TEXT, "%s", text);
    return out;
}
