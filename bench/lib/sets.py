"""The data sets, who runs on them, and what is promised."""

from collections import namedtuple

from lib import measure

PEERS = {
    "pipe": "psql COPY to psql COPY through a pipe, binary",
    "two_pipes": "the same, two side by side",
    "pgcopydb_defaults": "pgcopydb 0.10, its defaults, no proof",
    "dump_z0": "pg_dump -Fd -Z0 -j2, pg_restore -j2, ANALYZE",
    "dump_gzip": "pg_dump -Fd -j2, pg_restore -j2, ANALYZE",
    "native": "logical replication's initial sync, then indexes -j2, ANALYZE",
    "pipes_restore": "schema, two binary pipes, pg_restore -j2 of the rest, ANALYZE",
}
OURS = {
    "haul_rows_1": "**pghaul, rows only, one lane**, digest computed",
    "haul_rows_2": "**pghaul, rows only, two lanes**, digest computed",
    "haul_job": "**pghaul, whole job, not proven**",
    "haul_proof": "**pghaul, whole job, proven row by row**",
}
NAMES = {**PEERS, **OURS}
ROWS_ONLY = ("pipe", "haul_rows_1", "two_pipes", "haul_rows_2")
# Contenders of one question stand next to each other, so that they meet the same machine.
WHOLE = ("pgcopydb_defaults", "dump_gzip", "haul_proof", "haul_job", "pipes_restore", "dump_z0", "native")
FULL_PEERS = ("pgcopydb_defaults", "dump_z0", "native", "pipes_restore")

Set = namedtuple("Set", "title script variable quick full pieces contenders")
SETS = {
    "narrow": Set("one table of 5 million narrow rows", "narrow.sql", "rows", 100000, 5000000, 2,
                  ROWS_ONLY + WHOLE),
    "mixed": Set("mixed schema, 6 tables, 4.9 million rows, 1 GB, 19 indexes, 5 foreign keys",
                 "mixed.sql", "scale", 0.02, 1, 6, ROWS_ONLY + WHOLE),
    "many": Set("5,000 small tables", "many.sql", "tables", 100, 5000, 2,
                ("haul_job", "dump_z0", "haul_proof")),
    "empty": Set("an empty database", None, None, None, None, 1, ("haul_proof",)),
}

# What is measured, the limit, and which side of it is good.
Bound = namedtuple("Bound", "text values limit at_most")


def fastest(rounds, names):
    present = [n for n in names if all(n in r for r in rounds)]
    return min(present, key=lambda n: measure.median([r[n]["wall"] for r in rounds]), default=None)


def rows_bounds(rounds):
    yield Bound("rows, one lane: throughput against one pipe",
                measure.ratios(rounds, "pipe", "haul_rows_1"), 0.95, False)
    yield Bound("rows, two lanes: throughput against two pipes",
                measure.ratios(rounds, "two_pipes", "haul_rows_2"), 1.0, False)
    yield Bound("rows, one lane: pghaul's CPU against the pipe's two psql",
                measure.ratios(rounds, "haul_rows_1", "pipe", "client"), 0.6, True)


def job_bounds(rounds, gzip_limit):
    peer = fastest(rounds, FULL_PEERS)
    if peer is not None:
        yield Bound(f"whole job, not proven: time against the fastest peer ({peer})",
                    measure.ratios(rounds, "haul_job", peer), 1.0, True)
    yield Bound("whole job, proven: time against pgcopydb without proof",
                measure.ratios(rounds, "haul_proof", "pgcopydb_defaults"), 1.0, True)
    yield Bound("whole job, proven: time against pg_dump -Fd -j2 and pg_restore -j2",
                measure.ratios(rounds, "haul_proof", "dump_gzip"), gzip_limit, True)
    yield Bound("the proof on its own: seconds",
                [r["haul_proof"]["wall"] - r["haul_job"]["wall"] for r in rounds
                 if "haul_proof" in r and "haul_job" in r], None, True)


def busy(rounds):
    return [(r["haul_job"]["client"] + r["haul_job"]["source"] + r["haul_job"]["target"]) /
            (2 * r["haul_job"]["wall"]) for r in rounds if "haul_job" in r]


def memory(rounds):
    """GNU time sees one process: pghaul, or a larger one that it started and waited for."""
    return [r[name]["rss_mb"] for r in rounds for name in OURS if name in r]


def bounds(name, rounds):
    """Every promise about a data set, with what was measured pair by pair."""
    found = []
    if name in ("narrow", "mixed"):
        found += rows_bounds(rounds)
        found += job_bounds(rounds, 0.75 if name == "narrow" else 0.6)
        found.append(Bound("whole job, not proven: both cores busy", busy(rounds),
                           0.9 if name == "mixed" else None, False))
    elif name == "many":
        found.append(Bound("whole job, not proven: time against dump -Z0 and restore",
                           measure.ratios(rounds, "haul_job", "dump_z0"), 1.0, True))
        found.append(Bound("whole job, proven: time against dump -Z0 and restore",
                           measure.ratios(rounds, "haul_proof", "dump_z0"), 1.3, True))
    elif name == "empty":
        found.append(Bound("seconds", [r["haul_proof"]["wall"] for r in rounds
                                       if "haul_proof" in r], 1.0, True))
    found.append(Bound("memory of the process: MB", memory(rounds), 64, True))
    return [b for b in found if b.values]


def verdict(bound):
    if bound.limit is None:
        return "stated"
    value = measure.median(bound.values)
    if bound.text.startswith("memory"):
        value = max(bound.values)
    return "met" if (value <= bound.limit if bound.at_most else value >= bound.limit) else "NOT MET"
