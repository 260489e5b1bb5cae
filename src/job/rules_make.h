/*
 * A job file's rules for the two databases at hand: checked, compiled, with the secret that they
 * need and the tables that they look values up in, as those are now. For the copy, for verify and
 * for `pghaul rules`.
 */
#ifndef PH_JOB_RULES_MAKE_H
#define PH_JOB_RULES_MAKE_H

#include "base/error.h"
#include "flow/preserve_stage.h"
#include "job/lookups.h"
#include "job/options.h"
#include "job/select.h"
#include "model/catalog.h"
#include "pg/conn.h"
#include "rules/ruleset.h"

struct ph_rules_params {
    const struct ph_options *options; /* with the rules; NULL rules: nothing is made */
    const struct ph_catalog *source;
    const struct ph_catalog *target; /* NULL: it will be made as the source is */
    const struct ph_selection *selection;
    struct ph_conn *conn; /* of the server whose types the constants are of; outside of a COPY */
    bool follows;
    bool keys_come_later; /* as in struct ph_ruleset_params */
    /* What this process looked up for the same job before, if it is the same rules: it is taken
     * over and not read again. NULL: there is nothing. */
    struct ph_rules_made *former;
    struct ph_preserving preserving; /* where preserved values are */
};

struct ph_rules_made {
    struct ph_ruleset *set;        /* NULL: there are no rules */
    struct ph_rules_in_use in_use; /* it, the secret and the lookups; refers to this struct */
    struct ph_lookups *lookups;
    struct ph_lookup_sources sources; /* where larger tables are asked */
    struct ph_preserving preserving;
    uint8_t *secret;
    char marks[PH_RULE_MARKS_SIZE]; /* "": there are no rules */
    const struct ph_rel **selected;
    uint32_t n_selected;
};

/*
 * `made` is empty before and after a failure. Everything that `params` names must outlive it but
 * for `conn`. The errors of ph_ruleset_make; PH_E_RULES when the secret is not there; what
 * lookups.h says.
 */
ph_code ph_rules_make(const struct ph_rules_params *params, struct ph_rules_made *made,
                      struct ph_error *err) PH_MUST_CHECK;
/*
 * Whether rules of the fingerprint `former` were these, but for one `else:` of a map or lookup that
 * was an error, or all of them: what has come through those came through these the same. With
 * `follows` not `else: quarantine`, for which changes would have to have brought whole old rows.
 */
ph_code ph_rules_are_laxer(const struct ph_rules_params *params, const struct ph_rules_made *made,
                           const char *former, bool *are_laxer, struct ph_error *err) PH_MUST_CHECK;
/*
 * PH_E_JOB_OTHER when the job of that name was begun with another secret, key or library, by its
 * marks in the ledger.
 */
ph_code ph_rules_check_marks(const struct ph_rules_made *made, const char *job, const char *former,
                             struct ph_error *err) PH_MUST_CHECK;
/* Wipes the secret. Fine on an empty one. */
void ph_rules_free(struct ph_rules_made *made);

#endif
