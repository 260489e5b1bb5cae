"""The same final changes as set-based statements: what no applier can do faster."""

import subprocess

from lib import backlog, measure

COLUMNS = ("SELECT attname FROM pg_attribute WHERE attrelid = '{0}'::regclass AND attnum > 0 AND NOT"
           " attisdropped ORDER BY attnum")
KEY = ("SELECT attname FROM pg_index JOIN pg_attribute a ON attrelid = indrelid AND attnum = ANY (indkey)"
       " WHERE indisprimary AND indrelid = '{0}'::regclass")


def load(source, target, name, table):
    """The source's rows of a table into changes.TABLE."""
    target.sql(f"CREATE UNLOGGED TABLE changes.{table} (LIKE public.{table})", name)
    with subprocess.Popen(["psql", "-Xq", source.uri(name), "-c", f"COPY {table} TO STDOUT"],
                          stdout=subprocess.PIPE) as out:
        subprocess.run(["psql", "-Xq", target.uri(name), "-c", f"COPY changes.{table} FROM STDIN"],
                       stdin=out.stdout, check=True)


def prepare_table(target, name, table):
    """Leaves the changed rows in changes.TABLE, makes _new and _gone; the statements."""
    columns = [row[0] for row in target.sql(COLUMNS.format(table), name)]
    key = [row[0] for row in target.sql(KEY.format(table), name)]
    if not key:
        # Rows only come, and there were none.
        return ["", "", f"INSERT INTO public.{table} SELECT * FROM changes.{table}"]
    keys = ", ".join(key)
    same = " AND ".join(f"c.{k} = p.{k}" for k in key)
    target.sql(f"CREATE UNLOGGED TABLE changes.{table}_gone AS SELECT {keys} FROM public.{table}"
               f" EXCEPT SELECT {keys} FROM changes.{table}; ANALYZE changes.{table}", name)
    target.sql(f"CREATE UNLOGGED TABLE changes.{table}_new AS SELECT * FROM changes.{table} c WHERE NOT"
               f" EXISTS (SELECT FROM public.{table} p WHERE {same})", name)
    target.sql(f"DELETE FROM changes.{table} c USING changes.{table}_new p WHERE {same}", name)
    target.sql(f"DELETE FROM changes.{table} c USING public.{table} p WHERE {same}"
               " AND c.* IS NOT DISTINCT FROM p.*", name)
    others = [c for c in columns if c not in key]
    changed = target.sql("SELECT " + ", ".join(f"bool_or(c.{o} IS DISTINCT FROM p.{o})" for o in others)
                         + f" FROM changes.{table} c JOIN public.{table} p ON {same}", name)[0] \
        if others else []
    sets = ", ".join(f"{o} = c.{o}" for o, is_so in zip(others, changed) if is_so == "t")
    return [f"DELETE FROM public.{table} p USING changes.{table}_gone c WHERE {same}",
            f"UPDATE public.{table} p SET {sets} FROM changes.{table} c WHERE {same}" if sets else "",
            f"INSERT INTO public.{table} SELECT * FROM changes.{table}_new"]


def prepare(source, target, name):
    """On a target as it is before the backlog; the statements in the order in which they work."""
    target.sql("CREATE SCHEMA changes", name)
    prepared = []
    for table in backlog.tables(target, name):
        load(source, target, name, table)
        prepared.append(prepare_table(target, name, table))
    for (table,) in target.sql("SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace ="
                               " 'changes'::regnamespace", name):
        target.sql(f"VACUUM ANALYZE {table}", name)
    return [statement for part in zip(*prepared) for statement in part if statement]


def run(target, name, statements, scratch):
    with open(f"{scratch}/apply.sql", "w", encoding="utf-8") as f:
        f.write("SET session_replication_role = replica; SET synchronous_commit = off; BEGIN;\n")
        f.write("".join(f"{statement};\n" for statement in statements) + "COMMIT;\n")
    code, sample = measure.timed(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", f"{scratch}/apply.sql",
                                  target.uri(name)], None, scratch)
    if code != 0:
        raise RuntimeError(f"the set-based statements for {name} failed")
    return sample
