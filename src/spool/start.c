#include "spool/start.h"

#include "model/lsn.h"

ph_code
ph_spool_start(const struct ph_spool_positions *spool, ph_lsn confirmed, ph_lsn applied,
               ph_lsn *start, struct ph_error *err)
{
    ph_lsn reached = applied > spool->durable ? applied : spool->durable;
    char a[PH_LSN_TEXT];
    char b[PH_LSN_TEXT];

    if (spool->begin > applied)
        return PH_FAIL(err, PH_E_GAP, "the spool begins at %s, the target has only what ends by %s",
                       ph_lsn_print(spool->begin, a), ph_lsn_print(applied, b));
    if (confirmed > reached)
        return PH_FAIL(err, PH_E_GAP,
                       "the slot goes on from %s, spool and target have only what ends by %s",
                       ph_lsn_print(confirmed, a), ph_lsn_print(reached, b));
    *start = reached;
    return PH_OK;
}
