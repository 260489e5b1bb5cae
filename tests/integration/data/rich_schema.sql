-- Every kind of schema object that pg_dump knows and a stock server can make.
CREATE ROLE rich_owner; CREATE ROLE rich_reader; CREATE ROLE "rich Üser";
GRANT rich_reader TO rich_owner;
CREATE SCHEMA app AUTHORIZATION rich_owner;
CREATE SCHEMA "Ünï ""code""";
CREATE SCHEMA ext;
COMMENT ON SCHEMA app IS 'the application; Type: SCHEMA';
GRANT USAGE ON SCHEMA app TO rich_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE rich_owner IN SCHEMA app GRANT SELECT ON TABLES TO rich_reader;
CREATE EXTENSION IF NOT EXISTS hstore SCHEMA ext;
CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA ext;
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA ext;

CREATE TYPE app.mood AS ENUM ('sad', 'o''k', 'happy');
CREATE TYPE app.pair AS (a int, b text COLLATE "C");
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
COMMENT ON DOMAIN app.positive IS 'above zero';
CREATE TYPE app.floatrange AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE COLLATION app.german (provider = icu, locale = 'de-DE');
CREATE FUNCTION app.misleading(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
--
-- Name: x; Type: TABLE; Schema: public; Owner: postgres
--

--
-- TOC entry 215 (class 1259 OID 16386)
-- Name: customers; Type: TABLE; Schema: app; Owner: rich_owner
--

    RETURN 'SET default_tablespace = ''x'';' || $1;
/*

--
-- TOC entry 216 (class 1259 OID 16386)
-- Name: customers; Type: TABLE; Schema: app; Owner: rich_owner
--

SET default_tablespace = 'nowhere';
\connect nowhere
*/
END $$;
CREATE FUNCTION app.atomic(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
    SELECT a + b;
END;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := coalesce(NEW.note, $x$it''s$x$); RETURN NEW; END';
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE 'ddl'; END$$;
CREATE PROCEDURE app.proc(INOUT x int) LANGUAGE plpgsql AS $$BEGIN x := x + 1; END$$;
CREATE AGGREGATE app.total(int) (sfunc = int4pl, stype = int4, initcond = '0');
CREATE FUNCTION app.eq(app.pair, app.pair) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a = ($2).a';
CREATE OPERATOR app.=== (leftarg = app.pair, rightarg = app.pair, function = app.eq);
CREATE CAST (app.mood AS app.pair) WITH INOUT;
CREATE TEXT SEARCH CONFIGURATION app.simple_en (COPY = pg_catalog.english);
CREATE SEQUENCE app.numbers AS smallint INCREMENT BY -2 MINVALUE -100 MAXVALUE 100 START 50 CACHE 5 CYCLE;
ALTER SEQUENCE app.numbers OWNER TO rich_owner;

CREATE TABLE app.customers (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5),
    code text NOT NULL COLLATE app.german,
    mood app.mood DEFAULT 'happy',
    spot app.pair, amount app.positive,
    tags ext.hstore,
    doubled int GENERATED ALWAYS AS (app.atomic(1, 1)) STORED,
    number smallint DEFAULT nextval('app.numbers'),
    note text,
    parent bigint,
    span tsrange,
    CONSTRAINT customers_pkey PRIMARY KEY (id),
    CONSTRAINT customers_code_key UNIQUE (code) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT customers_note_check CHECK (note <> '')
);
ALTER TABLE app.customers OWNER TO rich_owner;
COMMENT ON TABLE app.customers IS E'people\n-- Name: z; Type: TABLE; Schema: app; Owner: x\nwho pay';
COMMENT ON COLUMN app.customers.note IS 'Type: note';
COMMENT ON CONSTRAINT customers_pkey ON app.customers IS 'the key';
COMMENT ON CONSTRAINT customers_note_check ON app.customers IS 'a check';
ALTER TABLE app.customers ALTER COLUMN note SET STORAGE EXTERNAL, ALTER COLUMN code SET STATISTICS 500;
ALTER TABLE app.customers SET (fillfactor = 80, autovacuum_enabled = off);
ALTER TABLE app.customers ADD CONSTRAINT customers_parent_fkey FOREIGN KEY (parent) REFERENCES app.customers (id)
    ON DELETE SET NULL DEFERRABLE INITIALLY IMMEDIATE;
ALTER TABLE app.customers ADD CONSTRAINT customers_span_excl EXCLUDE USING gist (id WITH =, span WITH &&);
ALTER TABLE app.customers ADD CONSTRAINT customers_late_check CHECK (parent <> id) NOT VALID;
CREATE INDEX customers_expr ON app.customers (lower(code), ((spot).a)) INCLUDE (note) WHERE note IS NOT NULL;
CREATE INDEX customers_trgm ON app.customers USING gin (note ext.gin_trgm_ops);
COMMENT ON INDEX app.customers_expr IS 'an index; Type: INDEX';
CREATE UNIQUE INDEX customers_replica ON app.customers (code, id) NULLS NOT DISTINCT;
ALTER TABLE app.customers REPLICA IDENTITY USING INDEX customers_replica;
ALTER TABLE app.customers CLUSTER ON customers_pkey;
CREATE STATISTICS app.customers_stat (dependencies, ndistinct) ON code, note FROM app.customers;
COMMENT ON STATISTICS app.customers_stat IS 'stat';
GRANT SELECT, UPDATE (note) ON app.customers TO rich_reader;
GRANT INSERT ON app.customers TO "rich Üser" WITH GRANT OPTION;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF note ON app.customers FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION app.touch();
CREATE TRIGGER touch_replica BEFORE INSERT ON app.customers FOR EACH ROW EXECUTE FUNCTION app.touch();
ALTER TABLE app.customers ENABLE REPLICA TRIGGER touch_replica;
COMMENT ON TRIGGER touch ON app.customers IS 'touches';
ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON app.customers AS RESTRICTIVE FOR SELECT TO rich_reader USING (id > 0);
COMMENT ON POLICY own_rows ON app.customers IS 'own';
CREATE RULE no_delete AS ON DELETE TO app.customers WHERE old.id < 0 DO INSTEAD NOTHING;
COMMENT ON RULE no_delete ON app.customers IS 'keeps';

CREATE TABLE app.metrics (
    day date NOT NULL, customer bigint NOT NULL, value numeric(20, 4),
    kind text DEFAULT 'k', CONSTRAINT metrics_pkey PRIMARY KEY (day, customer, kind)
) PARTITION BY RANGE (day);
CREATE TABLE app.metrics_2024 PARTITION OF app.metrics FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.metrics_2025 PARTITION OF app.metrics FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (kind);
CREATE TABLE app.metrics_2025_a (kind text DEFAULT 'a', value numeric(20, 4), day date NOT NULL, gone int, customer bigint NOT NULL);
ALTER TABLE app.metrics_2025_a DROP COLUMN gone;
ALTER TABLE app.metrics_2025_a ALTER kind SET NOT NULL;
ALTER TABLE app.metrics_2025 ATTACH PARTITION app.metrics_2025_a FOR VALUES IN ('a', 'b');
CREATE TABLE app.metrics_rest PARTITION OF app.metrics DEFAULT;
CREATE INDEX metrics_value ON app.metrics (value DESC NULLS LAST);
CREATE INDEX metrics_only ON ONLY app.metrics (kind);
ALTER TABLE app.metrics ADD CONSTRAINT metrics_customer_fkey FOREIGN KEY (customer) REFERENCES app.customers (id) ON UPDATE CASCADE;
CREATE TABLE app.refs (day date, customer bigint, kind text, CONSTRAINT refs_metrics FOREIGN KEY (day, customer, kind) REFERENCES app.metrics);
ALTER TABLE app.refs ADD CONSTRAINT refs_late FOREIGN KEY (customer) REFERENCES app.customers NOT VALID;
CREATE FUNCTION app.noop() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER part_touch AFTER INSERT ON app.metrics FOR EACH ROW EXECUTE FUNCTION app.noop();

CREATE TABLE app.base (id serial, t text);
CREATE TABLE app.child (extra int CHECK (extra > 0)) INHERITS (app.base);
ALTER TABLE app.child ALTER t SET DEFAULT 'child';
CREATE UNLOGGED TABLE app.fast (id int PRIMARY KEY);
CREATE TABLE "Ünï ""code"""."Täble ""x"" ; Type: TABLE; Schema: y" ("col "" ü" int PRIMARY KEY, "select" text UNIQUE);
COMMENT ON COLUMN "Ünï ""code"""."Täble ""x"" ; Type: TABLE; Schema: y"."col "" ü" IS 'ünï';
CREATE TABLE "Ünï ""code"""."a_name_of_sixty_three_bytes_which_is_the_longest_that_one_can_h" (id int);
CREATE TABLE app.typed OF app.pair (PRIMARY KEY (a));
CREATE VIEW app.happy WITH (security_barrier) AS SELECT id, code FROM app.customers WHERE mood = 'happy' WITH LOCAL CHECK OPTION;
GRANT SELECT ON app.happy TO rich_reader;
CREATE VIEW app.grouped AS SELECT id, code, count(*) FROM app.customers GROUP BY id;
CREATE TRIGGER happy_touch INSTEAD OF INSERT ON app.happy FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE MATERIALIZED VIEW app.mv1 AS SELECT mood, count(*) AS n FROM app.customers GROUP BY mood;
CREATE UNIQUE INDEX mv1_mood ON app.mv1 (mood);
CREATE MATERIALIZED VIEW app.mv2 AS SELECT sum(n) AS total FROM app.mv1;
CREATE MATERIALIZED VIEW app.mv_empty AS SELECT 1 AS one WITH NO DATA;
CREATE MATERIALIZED VIEW app.mv_late AS SELECT id, note FROM app.customers GROUP BY id;
CREATE UNIQUE INDEX mv_late_id ON app.mv_late (id);
COMMENT ON MATERIALIZED VIEW app.mv1 IS 'counts';
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing OPTIONS (host 'x');
CREATE USER MAPPING FOR rich_reader SERVER nowhere OPTIONS ("user" 'u');
CREATE FOREIGN TABLE app.far (id int OPTIONS (col 'c'), v text) SERVER nowhere OPTIONS (t 'far');
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION app.on_ddl();
COMMENT ON EVENT TRIGGER watch IS 'watches';
ALTER EVENT TRIGGER watch DISABLE;
REVOKE EXECUTE ON FUNCTION app.atomic(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.atomic(int, int) TO rich_reader;
CREATE PUBLICATION rich_pub FOR TABLE app.customers;
INSERT INTO app.customers (code, note, amount) SELECT 'c' || g, 'n' || g, g FROM generate_series(1, 1000) g;
INSERT INTO app.metrics SELECT date '2024-06-01' + g, 100 + 5 * g, g, 'a' FROM generate_series(1, 500) g;
REFRESH MATERIALIZED VIEW app.mv1;
REFRESH MATERIALIZED VIEW app.mv2;
SELECT setval('app.numbers', 20, false);
