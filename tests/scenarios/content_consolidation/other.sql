-- The database that campaigns, accounts and leads are at home in. Some of them were deleted there.
\ir ../common.sql

CREATE TABLE campaigns (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL);
CREATE TABLE email_accounts (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, address text NOT NULL);
CREATE TABLE leads (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, email text NOT NULL);
INSERT INTO campaigns SELECT pg_temp.uid('c', i), pg_temp.uid('t', i % 40), 'Campaign ' || i
FROM generate_series(0, 499) i WHERE i % 50 > 0;
INSERT INTO email_accounts SELECT pg_temp.uid('a', i), pg_temp.uid('t', i % 40), 'box' || i || '@example.org'
FROM generate_series(0, 299) i;
INSERT INTO leads SELECT pg_temp.uid('l', i), pg_temp.uid('t', i % 40), 'lead' || i || '@example.org'
FROM generate_series(0, 2999) i WHERE i % 100 <> 7;
