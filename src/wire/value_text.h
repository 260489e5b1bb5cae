/*
 * Values of keys as people read them in messages, appended to `out`: long ones are cut short,
 * control characters are shown as question marks. Pure, any thread.
 */
#ifndef PH_WIRE_VALUE_TEXT_H
#define PH_WIRE_VALUE_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/bytes.h"

/* int2, int4 or int8 in send format: 1 to 8 bytes. */
void ph_value_put_integer(struct ph_span value, struct ph_buf *out);
void ph_value_put_text(struct ph_span value, struct ph_buf *out);
void ph_value_put_hex(struct ph_span value, bool is_uuid, struct ph_buf *out);

#endif
