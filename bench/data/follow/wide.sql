-- Rows of 20 columns with 8 kB of TOAST that no UPDATE touches. Variables: rows.
CREATE TABLE wide (id bigint PRIMARY KEY, n int NOT NULL, at timestamptz NOT NULL, amount numeric(14,2),
    c1 text, c2 text, c3 text, c4 text, c5 text, c6 text, c7 text, c8 text,
    i1 int, i2 int, i3 bigint, i4 bigint, flag bool, doc jsonb, body text, more text);
ALTER TABLE wide ALTER body SET STORAGE EXTERNAL, ALTER more SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, 0, now(), i, md5(i::text), md5(i::text), md5(i::text), md5(i::text), 'short', 'short',
    'short', 'short', i, i, i, i, i % 2 = 0, jsonb_build_object('id', i, 'tags', '["a", "b"]'::jsonb),
    repeat(md5(i::text), 190), repeat(md5((i + 1)::text), 70)
FROM generate_series(1, :rows) i;
