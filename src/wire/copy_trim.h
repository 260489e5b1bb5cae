/*
 * Trailing blanks of char(n) values, taken out of rows on their way to a server that puts them
 * back.
 *
 * A char(n) is stored padded with blanks to n characters, and so it is sent. The receiving server
 * counts the characters of every value, which costs more than storing it, and pads again
 * (bpcharrecv and bpchar_input in src/backend/utils/adt/varchar.c): without the blanks the same
 * value is stored.
 */
#ifndef PH_WIRE_COPY_TRIM_H
#define PH_WIRE_COPY_TRIM_H

#include <stddef.h>
#include <stdint.h>

/*
 * Trim `fields` (positions, strictly ascending) of binary COPY rows in place: whole tuples, and the
 * trailer when it is there, that ph_copy_binary_digest has accepted. Returns the new length. Bytes
 * that are no such rows are left as they are from there on. Pure, any thread.
 */
size_t ph_copy_binary_trim(const uint16_t *fields, uint32_t n_fields, uint8_t *rows, size_t len);

#endif
