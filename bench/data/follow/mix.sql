-- 20 tables: five parents with three children each, every one with a second unique key.
-- Variables: rows (of a parent; a child has twice as many).
SELECT format('CREATE TABLE parent%s (id bigserial PRIMARY KEY, code text NOT NULL UNIQUE, n int NOT NULL,'
              ' note text, at timestamptz NOT NULL)', p)
FROM generate_series(0, 4) p \gexec
SELECT format('CREATE TABLE child%1$s (id bigserial PRIMARY KEY, parent bigint NOT NULL REFERENCES parent%2$s,'
              ' code text NOT NULL UNIQUE, n int NOT NULL, price numeric(12,2), note text, at timestamptz NOT NULL)',
              c, c % 5)
FROM generate_series(0, 14) c \gexec
SELECT format('INSERT INTO parent%s (code, n, note, at) SELECT ''p'' || i, i, md5(i::text), now()'
              ' FROM generate_series(1, %s) i', p, :rows)
FROM generate_series(0, 4) p \gexec
SELECT format('INSERT INTO child%s (parent, code, n, price, note, at) SELECT 1 + i %% %s, ''c'' || i, i, i,'
              ' md5(i::text), now() FROM generate_series(1, 2 * %s) i', c, :rows, :rows)
FROM generate_series(0, 14) c \gexec
SELECT format('CREATE INDEX ON child%s (parent)', c) FROM generate_series(0, 14) c \gexec

-- One statement or two of one of the tables. Parents are never deleted, so that no key is missing.
CREATE FUNCTION step(t int, what int, x bigint, rows bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE child text := 'child' || t; parent text := 'parent' || t % 5; taken text;
BEGIN
    IF what < 35 THEN
        EXECUTE format('INSERT INTO %I (parent, code, n, price, note, at) VALUES ($1, md5(random()::text), 1, 9.5,'
                       ' ''new'', now())', child) USING 1 + x % rows;
    ELSIF what < 65 THEN
        EXECUTE format('UPDATE %I SET n = n + 1, at = now() WHERE id = $1', child) USING x;
    ELSIF what < 72 THEN
        EXECUTE format('UPDATE %I SET code = md5(random()::text) WHERE id = $1', child) USING x;
    ELSIF what < 80 THEN
        EXECUTE format('UPDATE %I SET n = n + 1 WHERE id = $1', parent) USING 1 + x % rows;
    ELSIF what < 85 THEN
        EXECUTE format('INSERT INTO %I (code, n, at) VALUES (md5(random()::text), 1, now())', parent);
    ELSIF what < 92 THEN
        EXECUTE format('DELETE FROM %I WHERE id = $1', child) USING x;
    ELSE
        -- another row takes over the unique key of one that goes
        EXECUTE format('DELETE FROM %I WHERE id = $1 RETURNING code', child) INTO taken USING x;
        IF taken IS NOT NULL THEN
            EXECUTE format('INSERT INTO %I (parent, code, n, note, at) VALUES ($1, $2, 1, ''taken over'', now())',
                           child) USING 1 + x % rows, taken;
        END IF;
    END IF;
END $$;
