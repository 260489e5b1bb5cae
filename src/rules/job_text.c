#include "rules/job_text.h"

#include <string.h>

bool
ph_job_text_is_readable(const char *text, const struct ph_catalog *catalog)
{
    if (strcmp(catalog->encoding, "UTF8") == 0 || strcmp(catalog->encoding, "SQL_ASCII") == 0)
        return true;
    for (const char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            return false;
    }
    return true;
}
