/* Passwords inside connection strings. Pure, any thread. */
#ifndef PH_BASE_SECRET_H
#define PH_BASE_SECRET_H

#include <stdbool.h>

/*
 * Overwrite every password in a conninfo string or URI with 'x', in place and without changing its
 * length: the user part behind ':' of a URI, and the values of all keys that contain "password" or
 * are spelled with %-escapes. When in doubt it masks more. True when it changed something.
 */
bool ph_secret_mask(char *text);

#endif
