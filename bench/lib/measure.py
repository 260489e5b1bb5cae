"""One timed run of a contender, and the comparison of many."""

import json
import os
import shutil
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# GNU time is small: the largest resident size it reports is not that of this process.
TIME = "/usr/bin/time"


def timed(argv, env, scratch):
    """Wall, CPU and largest process of argv with all that it waits for."""
    out = os.path.join(scratch, "time")
    begun = time.monotonic()
    done = subprocess.run([TIME, "-o", out, "-f", "%U %S %M", *argv], env=env, check=False)
    wall = time.monotonic() - begun
    with open(out, encoding="ascii") as f:
        user, system, rss = f.read().split()[-3:]
    return done.returncode, {"wall": wall, "client": float(user) + float(system),
                             "rss_mb": int(rss) / 1024}


class Bench:
    def __init__(self, directory, source, target, pghaul):
        self.directory, self.source, self.target, self.pghaul = directory, source, target, pghaul

    def run(self, job, database, rows_only, piece):
        """A checkpoint, a fresh target, the run, and a look at what arrived."""
        scratch = os.path.join(self.directory, "scratch")
        shutil.rmtree(scratch, ignore_errors=True)
        os.mkdir(scratch)
        self.target.fresh(database)
        if rows_only:
            self.prepare(database)
        self.source.sql("CHECKPOINT")
        self.target.sql("CHECKPOINT")
        os.sync()
        env = {**os.environ, "SRC": self.source.uri(database), "DST": self.target.uri(database),
               "TMP": scratch, "PGHAUL": self.pghaul, "PIECE": str(piece)}
        cpu = self.source.cpu(), self.target.cpu()
        code, sample = timed([os.path.join(HERE, "jobs.sh"), job], env, scratch)
        if code != 0:
            raise RuntimeError(f"{job} on {database} ended with exit code {code}")
        time.sleep(0.1)  # the last backends end
        sample["source"] = self.source.cpu() - cpu[0]
        sample["target"] = self.target.cpu() - cpu[1]
        report = os.path.join(scratch, "report.json")
        if os.path.exists(report):
            with open(report, encoding="utf-8") as f:
                sample["report"] = json.load(f)
        self.compare(job, database, rows_only)
        shutil.rmtree(scratch)
        return sample

    def prepare(self, database):
        """The tables without indexes and constraints, as rows-only contenders find them."""
        dump = subprocess.run(["pg_dump", "-Fc", "--schema-only", "-d", self.source.uri(database)],
                              check=True, stdout=subprocess.PIPE)
        subprocess.run(["pg_restore", "--section=pre-data", "-d", self.target.uri(database)],
                       check=True, input=dump.stdout)

    def compare(self, job, database, rows_only):
        """All rows must be there, and after a whole job all indexes, constraints and statistics."""
        for what, query in CHECKS.items():
            if rows_only and what != "rows":
                continue
            left, right = (side.sql(query, database) for side in (self.source, self.target))
            if what == "rows":
                left, right = (side.sql(rows[0][0], database) if rows[0][0] else []
                               for side, rows in ((self.source, left), (self.target, right)))
            if sorted(left) != sorted(right):
                raise RuntimeError(f"{job} on {database}: {what} differ: {left[:5]} and {right[:5]}")


USER_TABLES = ("relkind = 'r' AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE "
               "nspname ~ '^pg_' OR nspname IN ('information_schema', 'pghaul'))")
# Of 5,000 tables only some are counted: a statement with 5,000 branches is slow to plan.
CHECKS = {
    "rows": "SELECT string_agg(q, ' UNION ALL ') FROM (SELECT format('SELECT %L, count(*) FROM ONLY %s',"
            f" relname, oid::regclass) AS q FROM pg_class WHERE {USER_TABLES} AND"
            " relnamespace = 'public'::regnamespace"
            " ORDER BY relname LIMIT 300) t",
    "indexes and constraints":
        "SELECT (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public'),"
        " (SELECT string_agg(format('%s %s', contype, n), ',' ORDER BY contype) FROM (SELECT contype, count(*) n"
        "  FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND convalidated"
        "  GROUP BY 1) c)",
    "tables with statistics":
        "SELECT count(DISTINCT starelid) FROM pg_statistic JOIN pg_class c ON c.oid = starelid"
        f" WHERE {USER_TABLES}",
}


def describe(options):
    """When, of what and where a result is."""
    commit = subprocess.run(["git", "-C", HERE, "rev-parse", "--short", "HEAD"], text=True,
                            stdout=subprocess.PIPE, check=False).stdout.strip()
    return {"when": time.strftime("%Y-%m-%d %H:%M"), "commit": commit, "cores": os.cpu_count(),
            "quick": options.quick, "load": os.getloadavg()[0]}


def median(values):
    return statistics.median(values)


def spread(values, digits=2):
    low, mid, high = min(values), median(values), max(values)
    return f"{mid:.{digits}f} ({low:.{digits}f}..{high:.{digits}f})"


def ratios(rounds, over, under, key="wall"):
    """over / under, pair by pair."""
    return [r[over][key] / r[under][key] for r in rounds if over in r and under in r]
