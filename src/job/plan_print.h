/*
 * The plan for people and for machines. Pure; appends to `out`, look at ph_buf_ok afterwards.
 *
 * JSON (stable; keys are added, never renamed): {"order": "size" | "foreign keys", "bytes", "rows",
 * "chunks", "lots", "tables": [{"number", "table", "target", "level", "bytes", "rows", "columns",
 * "key": [columns], "chunks", "chunk_kind": whole | blocks | key, "format": binary | text,
 * "format_reason", "rewrites_oids", "freeze", "refers_to_itself", "where" or null}], "rings":
 * [texts], "omitted": [{"object", "reason"}]}. Bytes and rows are estimates.
 */
#ifndef PH_JOB_PLAN_PRINT_H
#define PH_JOB_PLAN_PRINT_H

#include "base/buf.h"
#include "model/plan.h"

void ph_plan_print_text(const struct ph_plan *plan, struct ph_buf *out);
void ph_plan_print_json(const struct ph_plan *plan, struct ph_buf *out);

#endif
