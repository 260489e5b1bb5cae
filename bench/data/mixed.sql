-- A shop: about 0.9 GB of heap, 4.9 million rows, every kind of column that costs something to copy.
-- psql [-v scale=0.01 for a smoke run]. Values are hashes of the row number, so every load is the same.
\set ON_ERROR_STOP on
\if :{?scale} \else \set scale 1 \endif
SET client_min_messages = warning;
SET jit = off;
SELECT (400000 * :scale)::int AS customers, (50000 * :scale)::int AS products,
       (900000 * :scale)::int AS orders, (2200000 * :scale)::int AS items,
       (1300000 * :scale)::int AS events, (75000 * :scale)::int AS documents \gset

CREATE TYPE order_state AS ENUM ('new', 'paid', 'packed', 'shipped', 'returned', 'cancelled');

CREATE FUNCTION pg_temp.h(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    AS 'SELECT hashint8extended($1, $2) & 9223372036854775807';
CREATE FUNCTION pg_temp.uid(bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS 'SELECT md5($1::text)::uuid';
CREATE FUNCTION pg_temp.at(bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    AS $$SELECT '2024-01-01 00:00:00+00'::timestamptz + ($1 % 63072000000) * interval '1 ms'$$;

CREATE TABLE customers (
    id uuid NOT NULL, number bigint NOT NULL, email text NOT NULL, status order_state NOT NULL,
    balance numeric(14, 2) NOT NULL, tags text[] NOT NULL, scores int[], profile jsonb,
    active bool NOT NULL, born date, created_at timestamptz NOT NULL);
INSERT INTO customers
SELECT pg_temp.uid(i), i, 'user' || i || '@example' || i % 97 || '.com',
       (enum_range(NULL::order_state))[1 + pg_temp.h(i, 1) % 6],
       (pg_temp.h(i, 2) % 10000000)::numeric / 100,
       ARRAY['tier' || i % 5, 'region' || i % 23],
       CASE WHEN i % 4 > 0 THEN ARRAY[(i % 100)::int, (i % 1000)::int, (i % 7)::int] END,
       jsonb_build_object('lang', (ARRAY['en', 'de', 'fr', 'ja'])[1 + i % 4], 'visits', i % 999,
                          'news', i % 3 = 0),
       i % 9 > 0, '1950-01-01'::date + (i % 20000)::int, pg_temp.at(pg_temp.h(i, 3))
FROM generate_series(1, :customers) i;

CREATE TABLE products (
    id int NOT NULL, sku varchar(32) NOT NULL, name text NOT NULL, price numeric(10, 2) NOT NULL,
    weight float8, attributes jsonb NOT NULL, added timestamptz NOT NULL);
INSERT INTO products
SELECT i, 'SKU-' || lpad(i::text, 8, '0'), 'Product ' || md5(i::text),
       (pg_temp.h(i, 4) % 100000)::numeric / 100, pg_temp.h(i, 5) % 10000 / 7.0,
       jsonb_build_object('color', i % 11, 'size', ARRAY[i % 5, i % 7], 'note', md5((i + 1)::text)),
       pg_temp.at(pg_temp.h(i, 6))
FROM generate_series(1, :products) i;

CREATE TABLE orders (
    id bigint NOT NULL, customer_id uuid NOT NULL, state order_state NOT NULL,
    placed_at timestamptz NOT NULL, total numeric(12, 2) NOT NULL, shipping jsonb, note text);
INSERT INTO orders
SELECT i, pg_temp.uid(1 + pg_temp.h(i, 7) % :customers),
       (enum_range(NULL::order_state))[1 + pg_temp.h(i, 8) % 6], pg_temp.at(pg_temp.h(i, 9)),
       (pg_temp.h(i, 10) % 1000000)::numeric / 100,
       jsonb_build_object('street', 'Street ' || i % 5000, 'zip', i % 99999, 'express', i % 7 = 0),
       CASE WHEN i % 10 = 0 THEN 'leave with neighbour ' || i END
FROM generate_series(1, :orders) i;

CREATE TABLE order_items (
    order_id bigint NOT NULL, line int NOT NULL, product_id int NOT NULL, quantity int NOT NULL,
    price numeric(10, 2) NOT NULL, discount numeric(5, 2));
INSERT INTO order_items
SELECT 1 + (i - 1) % :orders, 1 + (i - 1) / :orders, 1 + pg_temp.h(i, 11) % :products,
       1 + i % 9, (pg_temp.h(i, 12) % 100000)::numeric / 100,
       CASE WHEN i % 5 = 0 THEN (i % 50)::numeric / 2 END
FROM generate_series(1, :items) i;

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY, customer_id uuid NOT NULL, kind text NOT NULL,
    at timestamptz NOT NULL, session uuid NOT NULL, amount float8, payload jsonb);
INSERT INTO events (customer_id, kind, at, session, amount, payload)
SELECT pg_temp.uid(1 + pg_temp.h(i, 13) % :customers),
       (ARRAY['view', 'click', 'cart', 'pay', 'leave'])[1 + pg_temp.h(i, 14) % 5],
       pg_temp.at(pg_temp.h(i, 15)), pg_temp.uid(i / 8),
       CASE WHEN i % 3 = 0 THEN pg_temp.h(i, 16) % 100000 / 3.0 END,
       jsonb_build_object('page', '/p/' || i % 5003, 'ms', i % 3000)
FROM generate_series(1, :events) i;

-- Six kilobytes of hex a row: too long for the page and not compressible by pglz, so it is TOASTed.
CREATE TABLE documents (
    id bigint NOT NULL, customer_id uuid NOT NULL, title text NOT NULL, body text NOT NULL,
    thumbnail bytea, updated_at timestamptz NOT NULL);
INSERT INTO documents
SELECT i, pg_temp.uid(1 + pg_temp.h(i, 17) % :customers), 'Document ' || i,
       (SELECT string_agg(md5((i * 200 + j)::text), '') FROM generate_series(1, 90 + (i % 80)::int) j),
       CASE WHEN i % 4 = 0 THEN sha512(i::text::bytea) END, pg_temp.at(pg_temp.h(i, 18))
FROM generate_series(1, :documents) i;

SET maintenance_work_mem = '512MB';
ALTER TABLE customers ADD PRIMARY KEY (id), ADD UNIQUE (number), ADD UNIQUE (email);
ALTER TABLE products ADD PRIMARY KEY (id), ADD UNIQUE (sku);
ALTER TABLE orders ADD PRIMARY KEY (id);
ALTER TABLE order_items ADD PRIMARY KEY (order_id, line);
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE documents ADD PRIMARY KEY (id);
CREATE INDEX customers_created ON customers (created_at);
CREATE INDEX customers_tags ON customers USING gin (tags);
CREATE INDEX products_price ON products (price) WHERE price > 100;
CREATE INDEX orders_customer ON orders (customer_id);
CREATE INDEX orders_placed ON orders (placed_at DESC);
CREATE INDEX orders_state ON orders (state, total);
CREATE INDEX items_product ON order_items (product_id);
CREATE INDEX events_customer ON events (customer_id);
CREATE INDEX events_at ON events (at, kind);
CREATE INDEX documents_title ON documents (lower(title));
ALTER TABLE orders ADD FOREIGN KEY (customer_id) REFERENCES customers (id);
ALTER TABLE order_items ADD FOREIGN KEY (order_id) REFERENCES orders (id);
ALTER TABLE order_items ADD FOREIGN KEY (product_id) REFERENCES products (id);
ALTER TABLE events ADD FOREIGN KEY (customer_id) REFERENCES customers (id);
ALTER TABLE documents ADD FOREIGN KEY (customer_id) REFERENCES customers (id);
VACUUM ANALYZE;
