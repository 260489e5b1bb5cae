/*
 * What makes two objects the same, kind by kind (see schema_queries.h).
 *
 * Catalog columns that only some majors have are read through to_jsonb, which gives NULL for a
 * column that is not there. Functions that print definitions qualify names, since search_path is
 * ''.
 */
#include "pg/schema_queries.h"

#include <stddef.h>

#include "pg/ledger.h"

/* User schemas; nspname must be n.nspname. */
#define USER_SCHEMA                                                                                \
    " n.nspname !~ '^pg_(toast|temp_|toast_temp_|catalog$)'"                                       \
    " AND n.nspname NOT IN ('information_schema', 'pghaul') "

#define NO_MEMBER " NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '"
#define MEMBER_OID "'::regclass AND e.objid = "
#define MEMBER_END " AND e.deptype = 'e') "
/* nor made along with something else: constructors of ranges */
#define PART_END " AND e.deptype IN ('e', 'i')) "

/* first normal oid: what initdb made is not compared */
#define NO_BUILTIN " >= 16384 "

/* pg_attver: minor releases of late 2026 keep a mark of their own among the options of columns */
#define SORTED_OF " (SELECT string_agg(x, ',' ORDER BY x COLLATE \"C\") FROM unnest("
#define SORTED_END ") x WHERE x !~ '^pg_attver=') "

/* What a view or rule reads and calls, for servers that print its text differently. */
#define READ_BY_RULE                                                                               \
    " (SELECT string_agg(DISTINCT o.identity, ',') FROM pg_depend d,"                              \
    " LATERAL pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) o"                       \
    " WHERE d.classid = 'pg_rewrite'::regclass AND d.objid = "
#define READ_END " AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)) "

static const char tables_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I', n.nspname, c.relname) i, concat_ws('; ',"
    " CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'"
    " WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' END, 'persistence ' ||"
    " c.relpersistence::text, 'options ' || " SORTED_OF "c.reloptions" SORTED_END ", 'partition"
    " by ' || pg_get_partkeydef(c.oid), CASE WHEN c.relispartition THEN"
    " pg_get_expr(c.relpartbound, c.oid) END, 'replica identity ' || nullif(c.relreplident::text,"
    " 'd'), CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN c.relforcerowsecurity"
    " THEN 'row security forced' END, 'of ' || nullif(c.reloftype, 0)::regtype::text, 'inherits '"
    " || (SELECT string_agg(p.inhparent::regclass::text, ',' ORDER BY p.inhseqno) FROM"
    " pg_inherits p WHERE p.inhrelid = c.oid), 'using ' || (SELECT a.amname FROM pg_am a WHERE"
    " a.oid = c.relam AND c.relkind IN ('r', 'm')), 'tablespace ' || (SELECT t.spcname FROM"
    " pg_tablespace t WHERE t.oid = c.reltablespace AND $2::bool), 'server ' || (SELECT v.srvname"
    " || coalesce(" SORTED_OF "f.ftoptions" SORTED_END ", '') FROM pg_foreign_table f JOIN"
    " pg_foreign_server v ON v.oid = f.ftserver WHERE f.ftrelid = c.oid), CASE WHEN c.relkind IN"
    " ('v', 'm') THEN CASE WHEN $1::bool THEN pg_get_viewdef(c.oid) ELSE (SELECT " READ_BY_RULE
    "w.oid" READ_END " FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename = '_RETURN') END"
    " END) d FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN"
    " ('r', 'p', 'v', 'm', 'f') AND" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID
    "c.oid" MEMBER_END;

static const char columns_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I.%I', n.nspname, c.relname, a.attname) i,"
    " concat_ws('; ', 'position ' || row_number() OVER (PARTITION BY a.attrelid ORDER BY"
    " a.attnum), format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null'"
    " END, 'identity ' || nullif(a.attidentity::text, ''), 'generated ' ||"
    " nullif(a.attgenerated::text, ''), 'default ' || (SELECT pg_get_expr(d.adbin, d.adrelid)"
    " FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum), 'collation ' ||"
    " (SELECT o.collname FROM pg_collation o JOIN pg_type t ON t.oid = a.atttypid WHERE o.oid ="
    " a.attcollation AND a.attcollation <> t.typcollation), 'storage ' || (SELECT"
    " a.attstorage::text FROM pg_type t WHERE t.oid = a.atttypid AND t.typstorage <>"
    " a.attstorage), CASE WHEN a.attlen = -1 THEN 'compression ' || "
    "nullif(to_jsonb(a)->>'attcompression', '') END, 'statistics '"
    " || nullif(a.attstattarget, -1), 'options ' || " SORTED_OF "a.attoptions" SORTED_END
    ", 'fdw options ' || " SORTED_OF "a.attfdwoptions" SORTED_END ") d FROM"
    " pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid ="
    " c.relnamespace WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v',"
    " 'm', 'f') AND" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID "c.oid" MEMBER_END;

static const char indexes_sql[] =
    "SELECT n.nspname s, t.relname r, format('%I.%I', n.nspname, c.relname) i, concat_ws('; ',"
    " pg_get_indexdef(x.indexrelid), CASE WHEN NOT x.indisvalid THEN 'invalid' END, CASE WHEN"
    " x.indisclustered THEN 'clustered' END, CASE WHEN x.indisreplident THEN 'replica identity'"
    " END, 'part of ' || (SELECT p.inhparent::regclass::text FROM pg_inherits p WHERE p.inhrelid"
    " = c.oid), 'statistics ' || (SELECT string_agg(a.attnum || ':' ||"
    " a.attstattarget, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE"
    " a.attrelid = c.oid AND a.attstattarget <> -1), 'tablespace ' ||"
    " (SELECT b.spcname FROM pg_tablespace b WHERE b.oid = c.reltablespace AND $2::bool)) d FROM"
    " pg_index x JOIN pg_class c ON c.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE" USER_SCHEMA "AND" NO_MEMBER
    "pg_class" MEMBER_OID "t.oid" MEMBER_END;

/*
 * Foreign keys that are set aside: $3 has the statements that make them again, with the comments
 * behind (job/set_aside.c). Names in them are as this session writes them.
 */
#define MAKES_KEY_OF(rel) "format('ALTER TABLE %s ADD CONSTRAINT ', " rel "::regclass)"
#define RESTING_KEYS                                                                               \
    "(SELECT n.nspname, c.relname, c.oid::regclass::text rel, k.name, split_part(k.rest, k.mark,"  \
    " 1) def, substr(k.rest, nullif(strpos(k.rest, k.mark), 0) + length(k.mark)) AS comment FROM"  \
    " unnest($3::text[]) s JOIN pg_class c ON s LIKE 'ALTER TABLE % ADD CONSTRAINT %' AND"         \
    " c.relkind IN ('r', 'p') AND starts_with(s, " MAKES_KEY_OF(                                   \
        "c.oid") ") JOIN pg_namespace n"                                                           \
                 " ON n.oid = c.relnamespace, LATERAL (SELECT substr(s, length(" MAKES_KEY_OF(     \
                     "c.oid") ") + 1)"                                                             \
                              " made) m, LATERAL (SELECT substring(m.made FROM "                   \
                              "'^(?:\"(?:[^\"]|\"\")+\"|[^ ]+)') AS name) q,"                      \
                              " LATERAL (SELECT q.name, substr(m.made, length(q.name) + 2) rest, " \
                              "format("                                                            \
                              "'; COMMENT ON CONSTRAINT %s ON %s IS ', q.name, c.oid::regclass) "  \
                              "mark) k WHERE NOT EXISTS"                                           \
                              " (SELECT FROM pg_constraint x WHERE x.conrelid = c.oid AND "        \
                              "quote_ident(x.conname) = k.name))"

/* Names of the foreign keys that partitions get by themselves are the server's affair. */
static const char constraints_sql[] =
    "SELECT n.nspname s, coalesce(c.relname, '') r, format('%I.%I.%I', n.nspname,"
    " coalesce(c.relname, t.typname), k.conname) i, concat_ws('; ', pg_get_constraintdef(k.oid),"
    " CASE WHEN NOT k.convalidated THEN 'not validated' END, CASE WHEN k.connoinherit AND"
    " k.contype = 'c' THEN 'no inherit' END, CASE WHEN NOT k.conislocal THEN 'inherited' END) d,"
    " coalesce(rn.nspname, '') rs, coalesce(rc.relname, '') rr FROM pg_constraint k LEFT JOIN"
    " pg_class rc ON rc.oid = k.confrelid LEFT JOIN pg_namespace rn ON rn.oid = rc.relnamespace "
    "JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN pg_class c ON"
    " c.oid = k.conrelid LEFT JOIN pg_type t ON t.oid = k.contypid WHERE" USER_SCHEMA "AND"
    " k.contype <> 't' AND (k.contype <> 'n' OR $1::bool) AND NOT (k.contype = 'f' AND"
    " k.conparentid <> 0) AND" NO_MEMBER "pg_class" MEMBER_OID "k.conrelid" MEMBER_END
    "AND" NO_MEMBER "pg_type" MEMBER_OID "k.contypid" MEMBER_END
    " UNION ALL SELECT k.nspname, k.relname, format('%I.%I.%s', k.nspname, k.relname, k.name),"
    " concat_ws('; ', k.def, CASE WHEN k.def LIKE '% NOT VALID' THEN 'not validated' END), '', ''"
    " FROM " RESTING_KEYS " k";

/* The state in which a trigger or rule acts, also when it rests: then $3 says how that ends. */
#define STATE_IF "coalesce((SELECT s FROM unnest('{A,R,O}'::text[]) s WHERE "
#define STATE_ELSE " = ANY ($3::text[]) LIMIT 1), "
#define TRIGGER_STATE                                                                              \
    STATE_IF PH_ENABLE_SQL("t.tgrelid", "'TRIGGER'", "t.tgname", "s") STATE_ELSE                   \
        "t.tgenabled::text)"
#define RULE_STATE                                                                                 \
    STATE_IF PH_ENABLE_SQL("w.ev_class", "'RULE'", "w.rulename", "s") STATE_ELSE                   \
        "w.ev_enabled::text)"

static const char triggers_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I.%I', n.nspname, c.relname, t.tgname) i,"
    " pg_get_triggerdef(t.oid) || '; enabled ' || " TRIGGER_STATE " d FROM pg_trigger t JOIN"
    " pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT"
    " t.tgisinternal AND t.tgparentid = 0 AND" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID
    "c.oid" MEMBER_END "AND" NO_MEMBER "pg_trigger" MEMBER_OID "t.oid" MEMBER_END;

static const char rules_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I.%I', n.nspname, c.relname, w.rulename) i,"
    " concat_ws('; ', 'event ' || w.ev_type::text, 'enabled ' || " RULE_STATE ", CASE WHEN"
    " w.is_instead THEN 'instead' END, CASE WHEN $1::bool THEN pg_get_ruledef(w.oid) "
    "ELSE " READ_BY_RULE "w.oid" READ_END " END) d FROM pg_rewrite w JOIN pg_class c ON c.oid ="
    " w.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace WHERE w.rulename <> '_RETURN' "
    "AND" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID "c.oid" MEMBER_END;

static const char policies_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I.%I', n.nspname, c.relname, p.polname) i,"
    " concat_ws('; ', 'for ' || p.polcmd::text, CASE WHEN NOT p.polpermissive THEN 'restrictive'"
    " END, 'to ' || (SELECT string_agg(CASE WHEN o = 0 THEN 'public' ELSE o::regrole::text END,"
    " ',' ORDER BY o::regrole::text COLLATE \"C\") FROM unnest(p.polroles) o), 'using ' ||"
    " pg_get_expr(p.polqual, p.polrelid), 'check ' || pg_get_expr(p.polwithcheck, p.polrelid)) d"
    " FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid ="
    " c.relnamespace WHERE" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID "c.oid" MEMBER_END;

static const char functions_sql[] =
    "SELECT n.nspname s, '' r, format('%I.%I(%s)', n.nspname, p.proname,"
    " pg_get_function_identity_arguments(p.oid)) i, CASE WHEN p.prokind = 'a' THEN (SELECT"
    " concat_ws('; ', 'aggregate', g.aggtransfn::regprocedure, g.aggfinalfn, g.aggcombinefn,"
    " g.aggserialfn, g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn,"
    " g.aggfinalextra, g.aggfinalmodify, g.aggkind, g.aggtranstype::regtype, g.aggtransspace,"
    " g.agginitval, g.aggsortop::regoperator, p.proparallel) FROM pg_aggregate g WHERE g.aggfnoid"
    " = p.oid) WHEN $1::bool THEN pg_get_functiondef(p.oid) ELSE concat_ws('; ', p.prokind,"
    " p.prosrc, p.probin, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid),"
    " (SELECT l.lanname FROM pg_language l WHERE l.oid = p.prolang), p.provolatile,"
    " p.proisstrict, p.prosecdef, p.proleakproof, p.proparallel, p.procost, p.prorows,"
    " p.proconfig::text, p.prosupport) END d FROM pg_proc p JOIN pg_namespace n ON n.oid ="
    " p.pronamespace WHERE" USER_SCHEMA "AND" NO_MEMBER "pg_proc" MEMBER_OID "p.oid" MEMBER_END
    /* constructors of a range type come with it */
    "AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid ="
    " p.oid AND i.deptype = 'i')";

static const char types_sql[] =
    "SELECT n.nspname s, '' r, format('%I.%I', n.nspname, t.typname) i, concat_ws('; ', CASE"
    " t.typtype WHEN 'e' THEN 'enum' WHEN 'c' THEN 'composite' WHEN 'd' THEN 'domain' WHEN 'r'"
    " THEN 'range' ELSE 'base' END, (SELECT string_agg(quote_literal(e.enumlabel), ',' ORDER BY"
    " e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), (SELECT"
    " string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ||"
    " coalesce((SELECT ' collate ' || o.collname FROM pg_collation o, pg_type b WHERE o.oid ="
    " a.attcollation AND b.oid = a.atttypid AND b.typcollation <> o.oid), ''), ',' ORDER BY"
    " a.attnum) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT"
    " a.attisdropped), CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype,"
    " t.typtypmod), CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,"
    " (SELECT 'collate ' || o.collname FROM pg_collation o, pg_type b WHERE o.oid ="
    " t.typcollation AND b.oid = t.typbasetype AND b.typcollation <> o.oid)) END, (SELECT"
    " concat_ws(' ', format_type(g.rngsubtype, NULL), nullif(g.rngsubdiff::text, '-'),"
    " nullif(g.rngcanonical::text, '-'), (SELECT o.opcname FROM pg_opclass o WHERE o.oid ="
    " g.rngsubopc)) FROM pg_range g WHERE g.rngtypid = t.oid), CASE WHEN t.typtype = 'b' THEN"
    " concat_ws(' ', t.typlen, t.typalign, t.typstorage, t.typinput, t.typoutput, t.typreceive,"
    " t.typsend, t.typcategory, t.typdelim) END) d FROM pg_type t JOIN pg_namespace n ON n.oid ="
    " t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE (c.oid IS NULL OR c.relkind"
    " = 'c') AND t.typtype IN ('e', 'c', 'd', 'r', 'b') AND t.typinput <> 'array_in'::regproc "
    "AND" USER_SCHEMA "AND" NO_MEMBER "pg_type" MEMBER_OID "t.oid" MEMBER_END;

static const char sequences_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I', n.nspname, c.relname) i, concat_ws('; ',"
    " format_type(q.seqtypid, NULL), 'start ' || q.seqstart, 'increment ' || q.seqincrement, 'min"
    " ' || q.seqmin, 'max ' || q.seqmax, 'cache ' || q.seqcache, CASE WHEN q.seqcycle THEN"
    " 'cycle' END, 'persistence ' || nullif(c.relpersistence::text, 'p'), 'owned by ' || (SELECT"
    " d.refobjid::regclass::text || '.' || a.attname FROM pg_depend d JOIN pg_attribute a ON"
    " a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass"
    " AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass AND"
    " d.refobjsubid > 0)) d FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN"
    " pg_namespace n ON n.oid = c.relnamespace WHERE" USER_SCHEMA "AND" NO_MEMBER
    "pg_class" MEMBER_OID "c.oid" MEMBER_END;

static const char statistics_sql[] =
    "SELECT n.nspname s, c.relname r, format('%I.%I', n.nspname, x.stxname) i,"
    " pg_get_statisticsobjdef(x.oid) || coalesce('; target ' ||"
    " nullif(x.stxstattarget, -1), '') d FROM pg_statistic_ext x JOIN pg_class c"
    " ON c.oid = x.stxrelid JOIN pg_namespace n ON n.oid = x.stxnamespace WHERE" USER_SCHEMA;

static const char schemas_sql[] =
    "SELECT n.nspname s, '' r, quote_ident(n.nspname) i, '' d FROM pg_namespace n WHERE" USER_SCHEMA
    "AND" NO_MEMBER "pg_namespace" MEMBER_OID "n.oid" MEMBER_END;

static const char extensions_sql[] =
    "SELECT '' s, '' r, quote_ident(x.extname) i, 'schema ' || n.nspname d FROM pg_extension x"
    " JOIN pg_namespace n ON n.oid = x.extnamespace";

static const char extension_versions_sql[] =
    "SELECT '' s, '' r, quote_ident(x.extname) i, 'version ' || x.extversion d FROM pg_extension"
    " x";

static const char event_triggers_sql[] =
    "SELECT '' s, '' r, quote_ident(t.evtname) i, concat_ws('; ', t.evtevent, t.evtenabled,"
    " t.evtfoid::regprocedure, " SORTED_OF "t.evttags" SORTED_END ") d FROM pg_event_trigger t"
    " WHERE" NO_MEMBER "pg_event_trigger" MEMBER_OID "t.oid" MEMBER_END;

static const char collations_sql[] =
    "SELECT n.nspname s, '' r, format('%I.%I', n.nspname, c.collname) i, concat_ws('; ',"
    " c.collprovider, c.collisdeterministic, coalesce(to_jsonb(c)->>'colliculocale',"
    " to_jsonb(c)->>'colllocale', c.collcollate), to_jsonb(c)->>'collicurules') d FROM"
    " pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace WHERE" USER_SCHEMA
    "AND" NO_MEMBER "pg_collation" MEMBER_OID "c.oid" MEMBER_END;

static const char operators_sql[] =
    "SELECT n.nspname s, '' r, o.oid::regoperator::text i, concat_ws('; ',"
    " o.oprcode::regprocedure, format_type(o.oprresult, NULL), nullif(o.oprcom, 0)::regoperator,"
    " nullif(o.oprnegate, 0)::regoperator, o.oprrest, o.oprjoin, o.oprcanmerge, o.oprcanhash) d"
    " FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE o.oprcode <> 0 "
    "AND" USER_SCHEMA "AND" NO_MEMBER "pg_operator" MEMBER_OID "o.oid" MEMBER_END;

static const char casts_sql[] =
    "SELECT '' s, '' r, format('(%s AS %s)', format_type(c.castsource, NULL),"
    " format_type(c.casttarget, NULL)) i, concat_ws('; ', nullif(c.castfunc, 0)::regprocedure,"
    " c.castcontext, c.castmethod) d FROM pg_cast c WHERE c.oid" NO_BUILTIN "AND" NO_MEMBER
    "pg_cast" MEMBER_OID "c.oid" MEMBER_END
    /* casts between a range and its multirange come with the type */
    "AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_cast'::regclass AND i.objid ="
    " c.oid AND i.deptype = 'i')";

static const char foreign_sql[] =
    "SELECT '' s, '' r, 'foreign data wrapper ' || quote_ident(w.fdwname) i, concat_ws('; ',"
    " nullif(w.fdwhandler, 0)::regprocedure, nullif(w.fdwvalidator, 0)::regprocedure, " SORTED_OF
    "w.fdwoptions" SORTED_END ") d FROM pg_foreign_data_wrapper w WHERE" NO_MEMBER
    "pg_foreign_data_wrapper" MEMBER_OID "w.oid" MEMBER_END "UNION ALL SELECT '', '', 'server '"
    " || quote_ident(v.srvname), concat_ws('; ', w.fdwname, v.srvtype, v.srvversion, " SORTED_OF
    "v.srvoptions" SORTED_END ") FROM pg_foreign_server v JOIN pg_foreign_data_wrapper w ON w.oid"
    " = v.srvfdw WHERE" NO_MEMBER "pg_foreign_server" MEMBER_OID "v.oid" MEMBER_END
    /* options of user mappings may hold passwords; the view is readable by everybody */
    "UNION ALL SELECT '', '', format('user mapping for %s on %I', CASE WHEN u.umuser = 0 THEN"
    " 'public' ELSE u.umuser::regrole::text END, u.srvname), '' FROM pg_user_mappings u";

static const char text_search_sql[] =
    "SELECT n.nspname s, '' r, format('configuration %I.%I', n.nspname, c.cfgname) i, (SELECT"
    " string_agg(m.maptokentype || ':' || m.mapdict::regdictionary::text, ',' ORDER BY"
    " m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = c.oid) d FROM"
    " pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace WHERE" USER_SCHEMA
    "AND" NO_MEMBER "pg_ts_config" MEMBER_OID "c.oid" MEMBER_END "UNION ALL SELECT n.nspname, '',"
    " format('dictionary %I.%I', n.nspname, c.dictname), c.dictinitoption FROM pg_ts_dict c JOIN"
    " pg_namespace n ON n.oid = c.dictnamespace WHERE" USER_SCHEMA "AND" NO_MEMBER
    "pg_ts_dict" MEMBER_OID "c.oid" MEMBER_END;

static const char other_sql[] =
    "SELECT coalesce(o.schema, '') s, '' r, o.type || ' ' || o.identity i, '' d FROM ( SELECT"
    " 'pg_opclass'::regclass c, oid FROM pg_opclass UNION ALL SELECT 'pg_opfamily'::regclass, oid"
    " FROM pg_opfamily UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion UNION"
    " ALL SELECT 'pg_language'::regclass, oid FROM pg_language UNION ALL SELECT"
    " 'pg_am'::regclass, oid FROM pg_am UNION ALL SELECT 'pg_transform'::regclass, oid FROM"
    " pg_transform) x, LATERAL pg_identify_object(x.c, x.oid, 0) o WHERE x.oid" NO_BUILTIN "AND"
    " NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = x.c AND e.objid = x.oid AND e.deptype"
    " = 'e')";

/* Everything that has an owner, with its schema and the relation it is. */
#define OWNED                                                                                      \
    " (SELECT 'pg_class'::regclass cl, c.oid, c.relowner o, c.relnamespace ns, c.relname r"        \
    "  FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"                          \
    " UNION ALL SELECT 'pg_namespace'::regclass, n.oid, n.nspowner, n.oid, ''"                     \
    "  FROM pg_namespace n"                                                                        \
    " UNION ALL SELECT 'pg_proc'::regclass, p.oid, p.proowner, p.pronamespace, ''"                 \
    "  FROM pg_proc p"                                                                             \
    " UNION ALL SELECT 'pg_type'::regclass, t.oid, t.typowner, t.typnamespace, ''"                 \
    "  FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid"                                  \
    "  WHERE (c.oid IS NULL OR c.relkind = 'c') AND t.typtype <> 'm'"                              \
    "  AND t.typinput <> 'array_in'::regproc"                                                      \
    " UNION ALL SELECT 'pg_collation'::regclass, c.oid, c.collowner, c.collnamespace, ''"          \
    "  FROM pg_collation c"                                                                        \
    " UNION ALL SELECT 'pg_operator'::regclass, p.oid, p.oprowner, p.oprnamespace, ''"             \
    "  FROM pg_operator p"                                                                         \
    " UNION ALL SELECT 'pg_statistic_ext'::regclass, x.oid, x.stxowner, x.stxnamespace, ''"        \
    "  FROM pg_statistic_ext x"                                                                    \
    " UNION ALL SELECT 'pg_ts_config'::regclass, c.oid, c.cfgowner, c.cfgnamespace, ''"            \
    "  FROM pg_ts_config c"                                                                        \
    " UNION ALL SELECT 'pg_foreign_server'::regclass, v.oid, v.srvowner, 0, ''"                    \
    "  FROM pg_foreign_server v"                                                                   \
    " UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, w.fdwowner, 0, ''"              \
    "  FROM pg_foreign_data_wrapper w"                                                             \
    " UNION ALL SELECT 'pg_event_trigger'::regclass, v.oid, v.evtowner, 0, ''"                     \
    "  FROM pg_event_trigger v) x"

#define OWNED_FILTER                                                                               \
    " (x.ns = 0 OR (" USER_SCHEMA ")) AND (n.nspname IS DISTINCT FROM 'public' OR x.cl <> "        \
    "'pg_namespace'::regclass OR $1::bool)"                                                        \
    " AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = x.cl AND e.objid = x.oid"          \
    " AND (e.deptype = 'e' OR (e.deptype = 'i' AND x.cl <> 'pg_type'::regclass))) "

static const char owners_sql[] =
    "SELECT coalesce(n.nspname, '') s, x.r, o.type || ' ' || o.identity i, 'owner ' ||"
    " pg_get_userbyid(x.o) d FROM" OWNED " LEFT JOIN pg_namespace n ON n.oid = x.ns, LATERAL"
    " pg_identify_object(x.cl, x.oid, 0) o WHERE" OWNED_FILTER;

/* Default privileges written out and left out are the same. MAINTAIN came with 17. */
#define GRANTS_OF                                                                                  \
    " (SELECT string_agg(g.t, ',' ORDER BY g.t COLLATE \"C\") FROM (SELECT CASE WHEN a.grantee = " \
    "0"                                                                                            \
    " THEN 'public' ELSE pg_get_userbyid(a.grantee) END || '=' || string_agg(a.privilege_type"     \
    " || CASE WHEN a.is_grantable THEN '*' ELSE '' END, '/' ORDER BY a.privilege_type"             \
    " COLLATE \"C\") t FROM aclexplode(coalesce("
#define GRANTS_KIND ", acldefault("
#define GRANTS_OWNER ", "
#define GRANTS_END "))) a WHERE a.privilege_type <> 'MAINTAIN' OR $1::bool GROUP BY a.grantee) g) "

static const char grants_sql[] =
    "SELECT n.nspname s, c.relname r, format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence'"
    " ELSE 'table' END, n.nspname, c.relname) i, " GRANTS_OF "c.relacl" GRANTS_KIND "(CASE"
    " c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::\"char\"" GRANTS_OWNER "c.relowner" GRANTS_END
    " d FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r',"
    " 'p', 'v', 'm', 'f', 'S') AND" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID
    "c.oid" MEMBER_END "UNION ALL SELECT n.nspname, c.relname, format('column %I.%I.%I', n.nspname,"
    " c.relname, a.attname), " GRANTS_OF "a.attacl" GRANTS_KIND "'c'" GRANTS_OWNER
    "c.relowner" GRANTS_END
    " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON"
    " n.oid = c.relnamespace WHERE a.attacl IS NOT NULL AND cardinality(a.attacl) > 0 AND"
    " a.attnum > 0 AND NOT a.attisdropped AND" USER_SCHEMA "AND" NO_MEMBER "pg_class" MEMBER_OID
    "c.oid" MEMBER_END "UNION ALL SELECT n.nspname, '', format('schema %I', n.nspname), " GRANTS_OF
    "n.nspacl" GRANTS_KIND "'n'" GRANTS_OWNER "n.nspowner" GRANTS_END
    " FROM pg_namespace n WHERE" USER_SCHEMA "AND" NO_MEMBER "pg_namespace" MEMBER_OID
    "n.oid" MEMBER_END "AND (n.nspname <>"
    " 'public' OR $1)UNION ALL SELECT n.nspname, '', format('function %I.%I(%s)', n.nspname,"
    " p.proname, pg_get_function_identity_arguments(p.oid)), " GRANTS_OF "p.proacl" GRANTS_KIND
    "'f'" GRANTS_OWNER "p.proowner" GRANTS_END " FROM pg_proc p JOIN pg_namespace n ON n.oid ="
    " p.pronamespace WHERE" USER_SCHEMA "AND" NO_MEMBER "pg_proc" MEMBER_OID "p.oid" PART_END
    "UNION ALL SELECT n.nspname, '', format('type %I.%I', n.nspname, t.typname), " GRANTS_OF
    "t.typacl" GRANTS_KIND "'T'" GRANTS_OWNER "t.typowner" GRANTS_END " FROM pg_type t JOIN"
    " pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE"
    " (c.oid IS NULL OR c.relkind = 'c') AND t.typinput <> 'array_in'::regproc"
    " AND" USER_SCHEMA "AND" NO_MEMBER "pg_type" MEMBER_OID "t.oid" MEMBER_END
    "AND t.typtype <> 'm' "
    "UNION ALL"
    " SELECT '', '', 'server ' || v.srvname, " GRANTS_OF "v.srvacl" GRANTS_KIND "'S'" GRANTS_OWNER
    "v.srvowner" GRANTS_END " FROM pg_foreign_server v UNION ALL SELECT '', '', 'foreign data"
    " wrapper ' || w.fdwname, " GRANTS_OF "w.fdwacl" GRANTS_KIND "'F'" GRANTS_OWNER
    "w.fdwowner" GRANTS_END " FROM pg_foreign_data_wrapper w WHERE" NO_MEMBER
    "pg_foreign_data_wrapper" MEMBER_OID "w.oid" MEMBER_END
    "UNION ALL SELECT coalesce(n.nspname, ''), '', format('default"
    " for %s of %s in %s', a.defaclobjtype, pg_get_userbyid(a.defaclrole), coalesce(n.nspname,"
    " 'all schemas')), " GRANTS_OF "a.defaclacl" GRANTS_KIND "'r'" GRANTS_OWNER
    "a.defaclrole" GRANTS_END
    " FROM pg_default_acl a LEFT JOIN pg_namespace n ON n.oid = a.defaclnamespace";

static const char comments_sql[] =
    "SELECT coalesce(o.schema, '') s, CASE WHEN d.classoid = 'pg_class'::regclass THEN (SELECT"
    " c.relname FROM pg_class c WHERE c.oid = d.objoid) ELSE '' END r, o.type || ' ' ||"
    " o.identity i, d.description d FROM pg_description d, LATERAL pg_identify_object(d.classoid,"
    " d.objoid, d.objsubid) o LEFT JOIN pg_namespace n ON n.nspname = o.schema "
    "WHERE d.objoid" NO_BUILTIN "AND (n.oid IS NULL OR (" USER_SCHEMA ")) AND d.classoid NOT IN"
    " ('pg_extension'::regclass, 'pg_publication'::regclass) AND NOT (d.classoid = "
    "'pg_namespace'::regclass AND o.identity ="
    " 'pghaul') AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid ="
    " d.classoid AND e.objid = d.objoid AND e.deptype = 'e')"
    /* what quote_literal has made of it */
    " UNION ALL SELECT '', '', format('table constraint %s on %s', k.name, k.rel), CASE WHEN"
    " starts_with(k.comment, 'E') THEN replace(replace(substr(k.comment, 3, length(k.comment) -"
    " 3), '''''', ''''), E'\\\\\\\\', E'\\\\') ELSE replace(substr(k.comment, 2,"
    " length(k.comment) - 2), '''''', '''') END FROM " RESTING_KEYS
    " k WHERE k.comment IS NOT NULL";

static const char publications_sql[] =
    "SELECT '' s, '' r, quote_ident(p.pubname) i, concat_ws('; ', p.puballtables, p.pubinsert,"
    " p.pubupdate, p.pubdelete, p.pubtruncate, p.pubviaroot, (SELECT string_agg(t.schemaname ||"
    " '.' || t.tablename, ',' ORDER BY t.schemaname, t.tablename) FROM pg_publication_tables t"
    " WHERE t.pubname = p.pubname AND t.schemaname <> 'pghaul')) d FROM pg_publication p WHERE "
    "p.pubname !~ '^pghaul'";

static const char publication_comments_sql[] =
    "SELECT '' s, '' r, 'publication ' || quote_ident(p.pubname) i, d.description d FROM"
    " pg_publication p JOIN pg_description d ON d.classoid = 'pg_publication'::regclass AND"
    " d.objoid = p.oid WHERE p.pubname !~ '^pghaul'";

/* The database itself, whatever its name: several kinds of property under one kind of object. */
static const char database_settings_sql[] =
    "SELECT '' s, '' r, 'settings of ' || CASE WHEN g.setrole = 0 THEN 'all roles' ELSE"
    " pg_get_userbyid(g.setrole) END i, " SORTED_OF "g.setconfig" SORTED_END " d FROM"
    " pg_db_role_setting g JOIN pg_database b ON b.oid = g.setdatabase WHERE b.datname ="
    " current_database() UNION ALL SELECT '', '', 'connection limit', b.datconnlimit::text FROM"
    " pg_database b WHERE b.datname = current_database()";

static const char database_owner_sql[] =
    "SELECT '' s, '' r, 'owner' i, pg_get_userbyid(b.datdba) d FROM pg_database b WHERE b.datname"
    " = current_database()";

static const char database_grants_sql[] =
    "SELECT '' s, '' r, 'grants' i, " GRANTS_OF "b.datacl" GRANTS_KIND "'d'" GRANTS_OWNER
    "b.datdba" GRANTS_END " d FROM pg_database b WHERE b.datname = current_database()";

static const char database_comment_sql[] =
    "SELECT '' s, '' r, 'comment' i, shobj_description(b.oid, 'pg_database') d FROM pg_database b"
    " WHERE b.datname = current_database()";

const struct ph_schema_query ph_schema_queries[] = {
    {"database", PH_SCHEMA_ALWAYS, database_settings_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"database", PH_SCHEMA_OWNER, database_owner_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"database", PH_SCHEMA_ACL, database_grants_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"database", PH_SCHEMA_COMMENT, database_comment_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"schema", PH_SCHEMA_ALWAYS, schemas_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"extension", PH_SCHEMA_ALWAYS, extensions_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"extension version", PH_SCHEMA_ALWAYS, extension_versions_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"table", PH_SCHEMA_ALWAYS, tables_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"column", PH_SCHEMA_ALWAYS, columns_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"index", PH_SCHEMA_ALWAYS, indexes_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"constraint", PH_SCHEMA_ALWAYS, constraints_sql, PH_SCHEMA_REFERS},
    {"trigger", PH_SCHEMA_ALWAYS, triggers_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"rule", PH_SCHEMA_ALWAYS, rules_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"policy", PH_SCHEMA_ALWAYS, policies_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"function", PH_SCHEMA_ALWAYS, functions_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"type", PH_SCHEMA_ALWAYS, types_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"sequence", PH_SCHEMA_ALWAYS, sequences_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"statistics", PH_SCHEMA_ALWAYS, statistics_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"event trigger", PH_SCHEMA_ALWAYS, event_triggers_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"collation", PH_SCHEMA_ALWAYS, collations_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"operator", PH_SCHEMA_ALWAYS, operators_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"cast", PH_SCHEMA_ALWAYS, casts_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"foreign", PH_SCHEMA_ALWAYS, foreign_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"text search", PH_SCHEMA_ALWAYS, text_search_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"other", PH_SCHEMA_ALWAYS, other_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"owner", PH_SCHEMA_OWNER, owners_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"grant", PH_SCHEMA_ACL, grants_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"comment", PH_SCHEMA_COMMENT, comments_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"publication", PH_SCHEMA_PUBLICATION, publications_sql, PH_SCHEMA_REFERS_TO_NONE},
    {"comment", PH_SCHEMA_PUBLICATION_COMMENT, publication_comments_sql, PH_SCHEMA_REFERS_TO_NONE},
    {NULL, PH_SCHEMA_ALWAYS, NULL, PH_SCHEMA_REFERS_TO_NONE},
};
