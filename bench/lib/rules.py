"""What rules cost: a mapping and masks in whole jobs, rules alone against the server's SQL, compiling."""

import json
import os
import re
import subprocess
import sys
from collections import namedtuple

from lib import measure
from lib.cluster import bindir

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "bench/data")
RESULTS = os.path.join(ROOT, "bench/results/rules.json")
MICRO_ROWS = 2000000
SQL_COLUMNS = 10

# first: what rules are compared with. rows: at full size and with --quick, of the data's variable.
Whole = namedtuple("Whole", "title database script variable full quick jobs")
WHOLE = {
    "mapping": Whole("two maps, two dropped columns, 5 million rows, into a schema that exists", "campaigns",
                     "campaigns.sql", "rows", 5000000, 100000, {
                         "drop": "the two columns dropped, proven",
                         "map": "**and two maps**, proven"}),
    "mapping_rows": Whole("the same, not proven", "campaigns", "campaigns.sql", "rows", 5000000, 100000, {
        "drop_rows": "the two columns dropped", "map_rows": "**and two maps**"}),
    "masked": Whole("the mixed set with 20 masked columns, whole jobs, proven", "mixed", "mixed.sql", "scale",
                    1, 0.02, {"plain": "as it is", "mask": "**20 masked columns**"}),
}
PARTS = (*WHOLE, "alone")


# ---- whole jobs

def fill(bench, part, quick):
    chosen = WHOLE[part]
    bench.source.fresh(chosen.database)
    bench.source.script(f"{DATA}/{chosen.script}", chosen.database,
                        **{chosen.variable: chosen.quick if quick else chosen.full})


def narrow_target(bench, database):
    """The table as it is to be, with its key: without what the jobs drop."""
    dump = subprocess.run(["pg_dump", "-Fp", "--schema-only", "-d", bench.source.uri(database)],
                          check=True, stdout=subprocess.PIPE)
    subprocess.run(["psql", "-Xq", "-o", "/dev/null", "-d", bench.target.uri(database)], check=True,
                   input=dump.stdout)
    bench.target.sql("ALTER TABLE campaigns DROP campaign_type, DROP launch_sequence", database)


CASES = ("SELECT current_phase, phase_status, count(*), sum(hashint8extended(id, 0)::numeric) FROM campaigns"
         " GROUP BY 1, 2 ORDER BY 1, 2")
CASES_MAPPED = ("SELECT CASE WHEN current_phase IN ('domain_generation', 'comprehensive', 'automated') THEN"
                " 'generation' ELSE current_phase END AS p, CASE WHEN phase_status IN ('pending', 'queued')"
                " THEN 'not_started' WHEN phase_status = 'running' THEN 'in_progress' WHEN phase_status ="
                " 'archived' THEN 'completed' WHEN phase_status = 'cancelled' THEN 'failed' ELSE phase_status"
                " END AS s, count(*), sum(hashint8extended(id, 0)::numeric) FROM campaigns GROUP BY 1, 2"
                " ORDER BY 1, 2")


class Jobs(measure.Bench):
    """Bench, with the target's table as these jobs want it and a look at what rules made."""

    def prepare(self, database):
        narrow_target(self, database)

    def compare(self, job, database, rows_only):
        super().compare(job, database, rows_only)
        if database == "campaigns":
            query = CASES_MAPPED if job.startswith("haul_rules_map") else CASES
            if self.source.sql(query, database) != self.target.sql(CASES, database):
                raise RuntimeError(f"{job}: the phases are not those that SQL makes")
        if job == "haul_rules_mask":
            emails = "SELECT count(DISTINCT email) FROM customers"
            same = "SELECT count(*) FROM customers WHERE email NOT LIKE '%@example.com'"
            if self.source.sql(emails, database) != self.target.sql(emails, database) or \
                    self.target.sql(same, database) != [["0"]]:
                raise RuntimeError(f"{job}: the masks are not what they should be")


def warm_up(source, database):
    for (query,) in source.sql("SELECT format('COPY %s TO ''/dev/null''', oid::regclass) FROM pg_class"
                               " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace", database):
        source.sql(query, database)


def run_whole(bench, part, options):
    chosen = WHOLE[part]
    fill(bench, part, options.quick)
    warm_up(bench.source, chosen.database)
    os.environ["BENCH_SECRET"] = "what nobody else knows"
    jobs, rounds = list(chosen.jobs), []
    for number in range(options.pairs):
        # pairs turn round as pairs: what is compared stands side by side
        order = jobs if number % 2 == 0 else jobs[::-1]
        samples = {}
        for job in order:
            sample = bench.run(f"haul_rules_{job}", chosen.database, part.startswith("mapping"), 1)
            sample.pop("report", None)
            sample["cpu"] = sample["client"] + sample["source"] + sample["target"]
            samples[job] = sample
            print(f"{part} {number + 1}/{options.pairs} {job:10} {sample['wall']:7.2f} s   CPU"
                  f" {sample['client']:6.2f} {sample['source']:6.2f} {sample['target']:6.2f}"
                  f"   {sample['rss_mb']:6.1f} MB", file=sys.stderr, flush=True)
        rounds.append(samples)
    for side in (bench.source, bench.target):
        side.sql(f"DROP DATABASE {chosen.database} WITH (FORCE)")
    return {"rounds": rounds}


# ---- rules alone

LINE = re.compile(r"^(\S.*?) +([0-9.]+) ns a row and column \(± ([0-9.]+)\)$", re.M)
COMPILED = re.compile(r"^(\d+) tables of (\d+) columns, (.*): ([0-9.]+) s, from the cache ([0-9.]+) s$", re.M)

# The values of micro_rules, and what SQL says where the rules of it say "a map".
VALUES = ("domain_generation", "dns_validation", "http_keyword_validation", "analysis", "lead_generation",
          "comprehensive")
CASE = ("CASE {0} WHEN 'domain_generation' THEN 'generation' WHEN 'dns_validation' THEN 'dns_validation'"
        " WHEN 'http_keyword_validation' THEN 'http_keyword_validation' WHEN 'analysis' THEN 'analysis'"
        " WHEN 'lead_generation' THEN 'extraction' WHEN 'comprehensive' THEN 'generation' END")
EXPRESSIONS = {
    "a constant": "'generation'::text",
    "a map of 6 values": CASE,
    "hmac": "encode(hmac({0}, 'secret', 'sha256'), 'hex')",
}
LIMITS = {"a constant": 25, "a map of 6 values": 25, "hmac": 400, "mask_email": 400}


def run_micro(build):
    """micro_rules twice: constants, maps and HMAC; then masks of addresses. Both compile."""
    found, compiled = {}, []
    for op in ("hmac", "mask_email"):
        out = subprocess.run([os.path.join(build, "micro_rules"), op], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        for name, ns, half in LINE.findall(out):
            found.setdefault(name, {"ns": float(ns), "spread": float(half)})
        compiled += [
            {"tables": int(t), "columns": int(c), "rule": rule, "seconds": float(s), "cached": float(k)}
            for t, c, rule, s, k in COMPILED.findall(out)]
    if not found or not compiled:
        raise RuntimeError("micro_rules says something else than it did")
    return found, compiled


def time_sql(source, select):
    """The source server's CPU for a COPY of that, in nanoseconds a row and column."""
    before = source.cpu()
    with open(os.devnull, "wb") as null:
        subprocess.run(["psql", "-Xq", "-d", source.uri("alone"), "-c",
                        f"COPY (SELECT {select} FROM alone) TO STDOUT (FORMAT binary)"], check=True,
                       stdout=null)
    rows = int(source.sql("SELECT count(*) FROM alone", "alone")[0][0])
    return (source.cpu() - before) * 1e9 / rows / SQL_COLUMNS


def run_sql(source, options):
    rows = 50000 if options.quick else MICRO_ROWS
    columns = [f"c{i}" for i in range(SQL_COLUMNS)]
    source.fresh("alone")
    words = ", ".join(f"'{value}'" for value in VALUES)
    source.sql("CREATE EXTENSION pgcrypto; CREATE TABLE alone AS SELECT g AS id, "
               + ", ".join(f"(ARRAY[{words}])[1 + (g * 5 + {i}) % 6] AS {c}" for i, c in enumerate(columns))
               + f" FROM generate_series(1, {rows}) g", "alone")
    source.sql("VACUUM ANALYZE alone", "alone")
    plain = ", ".join(columns)
    rounds = []
    time_sql(source, plain)
    for _ in range(options.pairs):
        base = time_sql(source, plain)
        rounds.append({name: time_sql(source, ", ".join(text.format(c) for c in columns)) - base
                       for name, text in EXPRESSIONS.items()})
    source.sql("DROP DATABASE alone WITH (FORCE)")
    return rounds


def run_alone(bench, build, options):
    found, compiled = run_micro(build)
    return {"micro": found, "compiled": compiled, "rounds": run_sql(bench.source, options)}


# ---- all of it

def check_programs(pghaul, parts):
    """Ends the benchmark when what these parts need was not built."""
    needed = [pghaul] + ([f"{os.path.dirname(pghaul)}/micro_rules"] if "alone" in parts else [])
    for program in needed:
        if not os.access(program, os.X_OK):
            sys.exit(f"bench: no {program}: cmake --preset release && cmake --build --preset release &&"
                     " ninja -C build/release micro_rules")


def keep(part, measured):
    result = {"set": "rules", "parts": {}}
    if os.path.exists(RESULTS):
        with open(RESULTS, encoding="utf-8") as f:
            result = json.load(f)
    result["parts"][part] = measured
    os.makedirs(os.path.dirname(RESULTS), exist_ok=True)
    with open(RESULTS, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)


def run_parts(directory, clusters, parts, options):
    """Measures the parts, keeps what came out and prints it."""
    # not Debian's wrappers, which take a tenth of a second to begin
    os.environ["PATH"] = bindir() + os.pathsep + os.environ["PATH"]
    bench = Jobs(directory, *clusters, options.pghaul)
    for part in parts:
        facts = measure.describe(options)
        measured = run_whole(bench, part, options) if part in WHOLE else \
            run_alone(bench, os.path.dirname(options.pghaul), options)
        measured = {**facts, **measured}
        keep(part, measured)
        print(markdown_part(part, measured), flush=True)


# ---- what comes out

def speed(rounds, under, over):
    return [r[over]["wall"] / r[under]["wall"] for r in rounds]


def promises(part, result):
    """Text, values, limit, whether it is the most."""
    rounds = result["rounds"]
    if part == "mapping":
        yield "maps: wall time against the same job without", measure.ratios(rounds, "map", "drop"), 1.05, True
        yield ("maps: CPU of client and both servers against it", measure.ratios(rounds, "map", "drop", "cpu"),
               1.03, True)
    if part == "mapping_rows":
        yield ("the same, rows not proven: wall time", measure.ratios(rounds, "map_rows", "drop_rows"), None,
               True)
        yield ("the same, rows not proven: CPU", measure.ratios(rounds, "map_rows", "drop_rows", "cpu"), None,
               True)
    if part == "masked":
        yield "masks: speed against the job without", speed(rounds, "mask", "plain"), 0.9, False
        yield "masks: CPU of client and both servers", measure.ratios(rounds, "mask", "plain", "cpu"), None, True
    if part == "alone":
        for name, limit in LIMITS.items():
            micro = result["micro"][name]
            yield (f"{name}: ns a row and column", [micro["ns"] + side * micro["spread"] for side in (-1, 0, 1)],
                   limit, True)
        compiled = {}
        for made in result["compiled"]:
            text = f"rules of {made['tables']} tables, {made['columns']} columns each, {made['rule']}"
            compiled.setdefault(text, []).append(made)
        for text, runs in compiled.items():
            yield f"{text}: seconds", [made["seconds"] for made in runs], 2, True
            yield f"{text}: seconds from the cache", [made["cached"] for made in runs], 0.1, True


def verdict(values, limit, at_most):
    if limit is None:
        return "stated"
    value = measure.median(values)
    return "met" if (value <= limit if at_most else value >= limit) else "NOT MET"


def jobs_table(part, rounds):
    yield "| job | wall s: median (min..max) | CPU s client / source / target | largest process MB |"
    yield "|---|--:|--:|--:|"
    for key, title in WHOLE[part].jobs.items():
        samples = [r[key] for r in rounds]
        cpu = " / ".join(f"{measure.median([s[k] for s in samples]):.2f}"
                         for k in ("client", "source", "target"))
        yield (f"| {title} | {measure.spread([s['wall'] for s in samples])} | {cpu} |"
               f" {max(s['rss_mb'] for s in samples):.0f} |")


def alone_table(result):
    yield "| rule, on texts | ns a row and column | in SQL on the source: median (min..max) | SQL / rule: the same |"
    yield "|---|--:|--:|--:|"
    for name, micro in result["micro"].items():
        values = [r[name] for r in result["rounds"] if name in r]
        sql = measure.spread(values, 0) if values else ""
        # A constant is cheaper to SQL than a column that must be read.
        ratio = measure.spread([v / micro["ns"] for v in values], 1) if values and measure.median(values) > 0 else ""
        yield f"| {name} | {micro['ns']:.1f} (± {micro['spread']:.1f}) | {sql} | {ratio} |"


def markdown_part(part, result):
    title = WHOLE[part].title if part in WHOLE else "rules alone, without servers, and their compiling"
    what = "a smoke run" if result["quick"] else f"{len(result['rounds'])} interleaved rounds"
    lines = [f"**{title[0].upper()}{title[1:]}** ({what}, {result['cores']} cores, commit {result['commit']},"
             f" {result['when']})", ""]
    lines += jobs_table(part, result["rounds"]) if part in WHOLE else alone_table(result)
    lines += ["", "| promise | measured: median (min..max) | pairs | limit | |", "|---|--:|--:|--:|---|"]
    for text, values, limit, at_most in promises(part, result):
        bound = "" if limit is None else f"{'<=' if at_most else '>='} {limit}"
        pairs = len(values) if part in WHOLE else ""
        lines.append(f"| {text} | {measure.spread(values)} | {pairs} | {bound} |"
                     f" {verdict(values, limit, at_most)} |")
    return "\n".join(lines) + "\n"


def markdown(result):
    return "\n".join(markdown_part(part, result["parts"][part]) for part in PARTS if part in result["parts"])
