-- The same tables, empty.
\ir schema.sql
