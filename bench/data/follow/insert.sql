-- Variables: rows.
CREATE TABLE event (id bigserial PRIMARY KEY, kind int NOT NULL, at timestamptz NOT NULL, text text NOT NULL);
INSERT INTO event (kind, at, text) SELECT i % 7, now(), md5(i::text) FROM generate_series(1, :rows) i;
