\ir staging_to_production_checks.sql
