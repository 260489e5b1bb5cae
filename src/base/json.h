/* Writing JSON where jansson would be too much: one correct string. Pure, any thread. */
#ifndef PH_BASE_JSON_H
#define PH_BASE_JSON_H

#include <stddef.h>

#include "base/buf.h"

/*
 * Append `text` as a JSON string with its quotes. Control characters are escaped; bytes that are
 * not UTF-8 become U+FFFD, one for each, so that the line stays valid whatever a server sent.
 */
void ph_json_put_string(struct ph_buf *out, const char *text, size_t len);

/* Length (1 to 4) of the UTF-8 character at `at`, of which `left` bytes exist; 0: not UTF-8. */
size_t ph_utf8_len(const unsigned char *at, size_t left);

#endif
