/*
 * Errors: a must-check code plus a record owned by the caller.
 *
 * A function that can fail returns ph_code and takes `struct ph_error *err` last. The function that
 * finds the failure fills the record once (PH_FAIL); callers on the way up add context with
 * ph_error_note; the command prints it once. The record holds no pointers and may be copied.
 * Row values never go into a message (object names and keys that the caller asked for may).
 */
#ifndef PH_BASE_ERROR_H
#define PH_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum ph_code {
#define PH_CODE(name, text, class, meaning, way_out) name,
#include "base/error_codes.def"
#undef PH_CODE
    PH_CODE_COUNT
};
typedef enum ph_code ph_code;

enum ph_error_class {
    PH_CLASS_OK,
    PH_CLASS_FAILED,
    PH_CLASS_USAGE,
    PH_CLASS_READY,
    PH_CLASS_DIFF,
    PH_CLASS_STOPPED,
    PH_CLASS_AWAY,
    PH_CLASS_AUTH
};

struct ph_error {
    ph_code code;
    char sqlstate[6];   /* "" when no server said one */
    char object[200];   /* what it is about: table, option, server; "" when unknown */
    char message[1024]; /* the cause, one sentence or a server's message, UTF-8 */
    char hint[512];     /* the way out when it is more exact than the table's; may be "" */
    char notes[512];    /* context added on the way up, "; "-separated, innermost first */
};

/* Static facts of a code; never NULL for a valid code. */
const char *ph_code_text(ph_code code);
const char *ph_code_meaning(ph_code code);
const char *ph_code_way_out(ph_code code);
enum ph_error_class ph_code_class(ph_code code);

/* Whether the run had already written to the target when it failed (see error_codes.def). */
enum ph_wrote { PH_NOTHING_WRITTEN, PH_HAS_WRITTEN };
int ph_error_exit_code(ph_code code, enum ph_wrote wrote);

void ph_error_reset(struct ph_error *err);

/* Fill `err` (may be NULL) and return `code`. Cuts what does not fit. */
ph_code ph_error_set(struct ph_error *err, ph_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The following three add to a filled record; no-ops on NULL. */
void ph_error_object(struct ph_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ph_error_hint(struct ph_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ph_error_note(struct ph_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Write the record as the few lines a user sees ("pghaul: PH-… object: message", "  way out: …")
 * into `out`, always terminated. Returns the length that was needed.
 */
size_t ph_error_format(const struct ph_error *err, char *out, size_t size);

#define PH_MUST_CHECK __attribute__((warn_unused_result))
/* Says what PH_FAIL yields where compilers and analysers can see it: the code, so a failure. */
static inline ph_code
ph_code_failed(ph_code set, ph_code code)
{
    (void)set;
    return code;
}
#define PH_FAIL(err, code, ...) ph_code_failed(ph_error_set((err), (code), __VA_ARGS__), (code))
#define PH_TRY(expr)                                                                               \
    do {                                                                                           \
        ph_code ph_try_rc_ = (expr);                                                               \
        if (ph_try_rc_ != PH_OK)                                                                   \
            return ph_try_rc_;                                                                     \
    } while (0)

#endif
