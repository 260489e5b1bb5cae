"""The backlogs: what is in the tables beforehand, and what is then written to them."""

import os
import subprocess
from collections import namedtuple

from lib import cluster, measure

DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data/follow")
CLIENTS = 4
# Nobody waits for the source's disk while a backlog is made.
FAST = cluster.QUIET + " -c synchronous_commit=off"

# rows: at full size; script: of pgbench, None for its TPC-B; native, spooled: bounds against a native
# subscription.
Backlog = namedtuple("Backlog", "title rows script transactions first native spooled")
BACKLOGS = {
    "tpcb": Backlog("TPC-B", 1000000, None, 200000, None, 0.5, 1 / 3),
    "large": Backlog("one transaction of 1 million updated rows, then single ones", 1000000, "one", 200000,
                     "UPDATE pgbench_accounts SET abalance = abalance + 1", 0.85, None),
    "insert": Backlog("transactions of one insert", 10000, "insert", 200000, None, 0.85, 1 / 5),
    "mix": Backlog("inserts, updates, deletes over 20 tables", 20000, "mix", 200000, None, 0.6, None),
    "wide": Backlog("wide rows with unchanged TOAST", 20000, "wide", 100000, None, 0.6, None),
}


def scaled(number, size):
    return max(1, int(number * size))


def pgbench(source, name, *args):
    env = {**os.environ, **source.env(name), "PGOPTIONS": FAST}
    subprocess.run(["pgbench", *args], check=True, env=env, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def fill(source, name, size):
    """The tables, and a publication of them all."""
    backlog = BACKLOGS[name]
    source.fresh(name)
    if backlog.script in (None, "one"):
        pgbench(source, name, "-i", "-q", "-s", str(scaled(backlog.rows // 100000, max(size, 0.1))))
        source.sql("ALTER TABLE pgbench_history REPLICA IDENTITY FULL", name)
    else:
        source.script(f"{DATA}/{backlog.script}.sql", name, rows=scaled(backlog.rows, size))
    source.sql("CREATE TABLE mark (id int PRIMARY KEY)", name)
    source.sql("CREATE PUBLICATION bench FOR ALL TABLES", name)


def record(source, name, size):
    """Writes the backlog; the LSN of its end. The last that is in it is the mark."""
    backlog = BACKLOGS[name]
    rows = scaled(backlog.rows, size)
    if backlog.first is not None:
        source.sql(f"{backlog.first} WHERE aid <= {rows}", name)
    what = ["-f", f"{DATA}/{backlog.script}.pgbench"] if backlog.script else ["-b", "tpcb-like"]
    pgbench(source, name, "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-D", f"rows={rows}",
            "--max-tries", "100", "-t", str(scaled(backlog.transactions, size) // CLIENTS), *what)
    source.sql("INSERT INTO mark VALUES (1)", name)
    end = source.sql("SELECT pg_current_wal_lsn()", name)[0][0]
    # What comes behind the end is how a reader sees that it is there.
    source.sql("INSERT INTO mark VALUES (2)", name)
    return end


def tables(server, name):
    return [row[0] for row in server.sql(
        "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace ="
        " 'public'::regnamespace ORDER BY relname", name)]


def compare(source, target, name, who):
    """Every table by count and hash of all its rows."""
    if tables(source, name) != tables(target, name):
        raise RuntimeError(f"{who} on {name}: the tables differ")
    for table in tables(source, name):
        query = f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM {table} t"
        left, right = source.sql(query, name), target.sql(query, name)
        if left != right:
            raise RuntimeError(f"{who} on {name}: {table} differs: {left} and {right}")


def cpu_of(sample):
    return sample["client"] + sample["source"] + sample["target"]


def busy(sample):
    """Cores that were busy with it. CPU is counted to the end of a job, not only to the mark."""
    return cpu_of(sample) / sample.get("whole", sample["wall"])


# What is measured, the limit.
Bound = namedtuple("Bound", "text values limit")


def bounds(name, rounds):
    backlog = BACKLOGS[name]
    found = []

    def against(text, over, under, limit):
        found.append(Bound(text, measure.ratios(rounds, over, under), limit))

    against("drained from the slot: time against a native subscription", "haul", "native", backlog.native)
    against("drained from the spool: time against a native subscription", "haul_spooled", "native",
            backlog.spooled)
    walls = [(r["haul"]["wall"], max(r["decode"]["wall"], r["apply"]["wall"]))
             for r in rounds if {"haul", "decode", "apply"} <= set(r)]
    found.append(Bound("drained from the slot: time against the larger of the two limits",
                       [wall / limit for wall, limit in walls], 1.2))
    # Why: what no reader of a slot can go below, and what the same work would take on these cores if
    # none of them was ever idle.
    against("decoding alone: time against a native subscription", "decode", "native", None)
    found.append(Bound("drained from the slot: its CPU on all cores, against its time",
                       [busy(r["haul"]) / os.cpu_count() for r in rounds if "haul" in r], None))
    found.append(Bound("drained from the slot: its CPU on all cores, against decoding alone",
                       [cpu_of(r["haul"]) / os.cpu_count() / r["decode"]["wall"]
                        for r in rounds if {"haul", "decode"} <= set(r)], None))
    found.append(Bound("memory of the process: MB", [r[c]["rss_mb"] for r in rounds for c in OURS
                                                     if c in r], 128))
    return [b for b in found if b.values]


def verdict(bound):
    if bound.limit is None:
        return "stated"
    value = max(bound.values) if bound.text.startswith("memory") else measure.median(bound.values)
    return "met" if value <= bound.limit else "NOT MET"


NAMES = {
    "decode": "limit: pg_recvlogical of the same stream to a file",
    "apply": "limit: the same final changes as set-based statements",
    "native": "native subscription, binary, streaming",
    "haul": "**pghaul, backlog in the slot**",
    "haul_spooled": "**pghaul, backlog in the spool**",
}
OURS = ("haul", "haul_spooled")


def markdown(result):
    name, rounds = result["set"], result["rounds"]
    backlog = BACKLOGS[name]
    what = f"{len(rounds)} rounds" if result["size"] == 1 else f"{result['size']} of the size"
    lines = [f"**{backlog.title}**: {scaled(backlog.transactions, result['size'])} transactions ({what},"
             f" {result['cores']} cores, commit {result['commit']}, {result['when']})", "",
             "| contender | wall s: median (min..max) | transactions/s | CPU s client / source / target |"
             " cores busy | process MB |", "|---|--:|--:|--:|--:|--:|"]
    for key, title in NAMES.items():
        samples = [r[key] for r in rounds if key in r]
        if not samples:
            continue
        walls = [s["wall"] for s in samples]
        rate = scaled(backlog.transactions, result["size"]) / measure.median(walls)
        cpu = " / ".join(f"{measure.median([s[k] for s in samples]):.2f}"
                         for k in ("client", "source", "target"))
        lines.append(f"| {title} | {measure.spread(walls)} | {rate:.0f} | {cpu} |"
                     f" {measure.median([busy(s) for s in samples]):.2f} | {max(s['rss_mb'] for s in samples):.0f} |")
    lines += ["", "| promise | measured: median (min..max) | limit | |", "|---|--:|--:|---|"]
    for bound in bounds(name, rounds):
        limit = "" if bound.limit is None else f"<= {bound.limit:.2f}"
        lines.append(f"| {bound.text} | {measure.spread(bound.values)} | {limit} | {verdict(bound)} |")
    return "\n".join(lines) + "\n"
