/*
 * Texts of a job file beside those of a database. A job file is UTF-8; rows and constants travel in
 * the bytes of the database, which nothing converts. Pure.
 */
#ifndef PH_RULES_JOB_TEXT_H
#define PH_RULES_JOB_TEXT_H

#include <stdbool.h>

#include "model/catalog.h"

/* Whether the text's bytes mean there what they mean in the file. SQL_ASCII means nothing by them.
 */
bool ph_job_text_is_readable(const char *text, const struct ph_catalog *catalog);

#endif
