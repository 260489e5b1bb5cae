"""What a job that follows is worth while the source is written to."""

import os
import shutil
import signal
import subprocess
import time
from collections import namedtuple

from lib import backlog, measure

DATABASE = "steady"
JOB = "steady"
PATIENCE = 180
# Rows of the history by a number of their own, so that both sides' can be told apart.
HISTORY = """ALTER TABLE pgbench_history ADD hid bigserial PRIMARY KEY;
             CREATE TABLE mark (id int PRIMARY KEY)"""
COMMITS = "SELECT hid, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM pgbench_history"


class Steady:
    def __init__(self, directory, clusters, pghaul, quick):
        self.directory, self.pghaul, self.quick = directory, pghaul, quick
        self.source, self.target = clusters
        self.job = None

    # ---- the database

    def fill(self, scale):
        self.source.fresh(DATABASE)
        backlog.pgbench(self.source, DATABASE, "-i", "-q", "-s", str(scale))
        self.source.sql(HISTORY, DATABASE)
        self.target.fresh(DATABASE)
        for cluster in (self.source, self.target):
            cluster.sql("CHECKPOINT")
        os.sync()

    def load(self, rate, seconds, name):
        """pgbench at a steady rate; its log of transactions goes to a directory."""
        logs = f"{self.directory}/{name}"
        shutil.rmtree(logs, ignore_errors=True)
        os.mkdir(logs)
        return logs, subprocess.Popen(
            ["pgbench", "-n", "-M", "prepared", "-c", "4", "-j", "2", "-R", str(rate), "-T", str(seconds),
             "-l", "--log-prefix", f"{logs}/log"],
            env={**os.environ, **self.source.env(DATABASE)}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)

    def mark(self, number):
        self.source.sql(f"INSERT INTO mark VALUES ({number})", DATABASE)

    def await_mark(self, number):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.job is not None and self.job.poll() is not None:
                raise RuntimeError(f"the job ended with {self.job.returncode}")
            if self._is_there(number):
                return
            time.sleep(0.1)
        raise RuntimeError(f"mark {number} did not arrive")

    def await_follow(self):
        """Of pghaul's the indexes come behind the rows."""
        while self.job is not None and not self.target.sql(
                "SELECT 1 FROM pghaul.job WHERE phase = 'follow'", DATABASE):
            time.sleep(0.1)

    def _is_there(self, number):
        """The mark, and behind it all tables: a subscription's come one by one."""
        return (self.target.sql("SELECT to_regclass('mark') IS NOT NULL", DATABASE)[0][0] == "t" and
                self.target.sql(f"SELECT 1 FROM mark WHERE id = {number}", DATABASE) and
                not self.target.sql("SELECT 1 FROM pg_subscription_rel WHERE srsubstate <> 'r'", DATABASE))

    # ---- the contenders

    def begin(self, contender):
        """Begins the copy; comes back at once."""
        if contender in ("haul", "haul_all"):
            shutil.rmtree(f"{self.directory}/spool", ignore_errors=True)
            self.start_haul(*(("--jobs", str(os.cpu_count())) if contender == "haul_all" else ()))
        elif contender == "native":
            schema = subprocess.run(["pg_dump", "-s", "-d", self.source.uri(DATABASE)], check=True,
                                    stdout=subprocess.PIPE)
            subprocess.run(["psql", "-Xq", "-o", "/dev/null", self.target.uri(DATABASE)], check=True,
                           input=schema.stdout)
            self.source.sql("CREATE PUBLICATION steady FOR ALL TABLES", DATABASE)
            self.target.sql(f"CREATE SUBSCRIPTION steady CONNECTION '{self.source.uri(DATABASE)}'"
                            " PUBLICATION steady WITH (binary = true, streaming = true)", DATABASE)

    def end(self, contender):
        """Nothing of it is left on the source."""
        if contender in ("haul", "haul_all"):
            self.haul("stop", "--at", "now")
            if self.job.wait(PATIENCE) != 0:
                raise RuntimeError(f"pghaul ended with {self.job.returncode}")
            self.job = None
        elif contender == "native":
            self.target.sql("DROP SUBSCRIPTION steady", DATABASE)

    def arguments(self, *words):
        return [self.pghaul, *words, "--source", self.source.uri(DATABASE), "--target",
                self.target.uri(DATABASE), "--name", JOB, "--dir", f"{self.directory}/spool", "--quiet"]

    def haul(self, *words):
        subprocess.run(self.arguments(*words), check=True)

    def start_haul(self, *words):
        """Begins it, or goes on with it."""
        self.job = subprocess.Popen(
            [measure.TIME, "-o", f"{self.directory}/time", "-f", "%M",
             *self.arguments("copy", "--follow", "--verify", "none", *words)], start_new_session=True)

    def interrupt_haul(self):
        os.killpg(self.job.pid, signal.SIGTERM)
        self.job.wait(60)

    def rss_mb(self):
        with open(f"{self.directory}/time", encoding="ascii") as f:
            return int(f.read().split()[-1]) / 1024

    def close(self):
        if self.job is not None and self.job.poll() is None:
            os.killpg(self.job.pid, signal.SIGKILL)


# ---- lag

def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def lag(bench, contender):
    """Source's commit to target's commit of every transaction after the first seconds."""
    seconds = 5 if bench.quick else 30
    bench.fill(10)
    bench.begin(contender)
    bench.mark(1)
    bench.await_mark(1)
    _, load = bench.load(1000, seconds, "load")
    load.wait()
    bench.mark(2)
    bench.await_mark(2)
    there = dict(bench.target.sql(COMMITS, DATABASE))
    here = [(hid, float(at)) for hid, at in bench.source.sql(COMMITS, DATABASE)]
    begun = min(at for _, at in here) + 2
    lags = [(float(there[hid]) - at) * 1000 for hid, at in here if at >= begun]
    bench.end(contender)
    return {"rate": len(here) / seconds, "median_ms": measure.median(lags), "p99_ms": percentile(lags, 0.99),
            "max_ms": max(lags)}


# ---- cost

def cost(bench, contender):
    """
    A steady load; the copy begins after two seconds of it. Mean latency from then on, over the same
    stretch of time for all: who is done sooner has slowed the source for less of it.
    """
    seconds = 12 if bench.quick else 17
    bench.fill(2 if bench.quick else 30)
    logs, load = bench.load(300, seconds, "load")
    time.sleep(2)
    begun, cpu = time.time(), bench.source.cpu()
    bench.begin(contender)
    if contender != "none":
        bench.mark(1)
        bench.await_mark(1)
        bench.await_follow()
    synced = time.time() - begun
    load.wait()
    cpu = bench.source.cpu() - cpu
    bench.end(contender)
    taken = []
    for name in os.listdir(logs):
        with open(f"{logs}/{name}", encoding="ascii") as f:
            rows = (line.split() for line in f)
            taken += [int(row[2]) / 1000 for row in rows if int(row[4]) + int(row[5]) / 1e6 >= begun]
    return {"mean_ms": sum(taken) / len(taken), "p99_ms": percentile(taken, 0.99), "synced_s": synced,
            "source_cpu_s": cpu}


# ---- streams

TOGETHER = 50


def streams(bench, contender):
    """Many large transactions at the same time, each sent in blocks; drained from the slot."""
    rows = 500 if bench.quick else 10000
    bench.fill(5)
    bench.begin(contender)
    bench.mark(1)
    bench.await_mark(1)
    bench.interrupt_haul()
    script = f"{bench.directory}/large.pgbench"
    with open(script, "w", encoding="ascii") as f:
        f.write("BEGIN;\n")
        for part in range(10):
            f.write(f"UPDATE pgbench_accounts SET abalance = {part} WHERE aid > :client_id * {rows} AND aid <="
                    f" (:client_id + 1) * {rows};\n\\sleep 20 ms\n")
        f.write("COMMIT;\n")
    backlog.pgbench(bench.source, DATABASE, "-n", "-c", str(TOGETHER), "-j", "2", "-t", "1", "-f", script)
    bench.mark(2)
    begun = time.monotonic()
    bench.start_haul()
    bench.await_mark(2)
    wall = time.monotonic() - begun
    bench.end(contender)
    query = "SELECT sum(hashtextextended(a::text, 0)::numeric) FROM pgbench_accounts a"
    if bench.source.sql(query, DATABASE) != bench.target.sql(query, DATABASE):
        raise RuntimeError("the sides differ")
    return {"wall": wall, "rss_mb": bench.rss_mb()}


# ---- what comes out

Part = namedtuple("Part", "title run contenders columns")
PARTS = {
    "lag": Part("Lag at 1,000 TPC-B transactions a second", lag, ("haul",),
                ("rate", "median_ms", "p99_ms", "max_ms")),
    "cost": Part("300 transactions a second on the source while a copy begins: their latency", cost,
                 ("none", "native", "haul", "haul_all"),
                 ("mean_ms", "p99_ms", "synced_s", "source_cpu_s")),
    "streams": Part(f"{TOGETHER} large transactions at once, in blocks", streams, ("haul",),
                    ("wall", "rss_mb")),
}
NAMES = {"none": "no copy", "native": "native subscription", "haul": "**pghaul**", "haul_all": "pghaul with a lane a processor"}


def bounds(part, rounds):
    """What was promised: text, values, limit."""
    if part == "lag":
        return [("median lag of pghaul: ms", [r["haul"]["median_ms"] for r in rounds], 50),
                ("99th percentile of its lag: ms", [r["haul"]["p99_ms"] for r in rounds], 500)]
    if part == "cost":
        return [("mean latency on the source: pghaul against native",
                 measure.ratios(rounds, "haul", "native", "mean_ms"), 1.0),
                ("the same with `--jobs` as many as processors", measure.ratios(rounds, "haul_all", "native", "mean_ms"), None),
                ("CPU of the source's server beyond that of the load: pghaul against native",
                 [(r["haul"]["source_cpu_s"] - r["none"]["source_cpu_s"]) /
                  (r["native"]["source_cpu_s"] - r["none"]["source_cpu_s"]) for r in rounds], None)]
    return [("memory of the process: MB", [r["haul"]["rss_mb"] for r in rounds], 128)]


def markdown(result):
    part = PARTS[result["set"]]
    rounds = result["rounds"]
    lines = [f"**{part.title}** ({len(rounds)} rounds, {result['cores']} cores, commit {result['commit']},"
             f" {result['when']})", "", "| | " + " | ".join(part.columns) + " |",
             "|---|" + "--:|" * len(part.columns)]
    for key in part.contenders:
        cells = (measure.spread([r[key][column] for r in rounds]) for column in part.columns)
        lines.append(f"| {NAMES[key]} | " + " | ".join(cells) + " |")
    lines += ["", "| promise | measured: median (min..max) | limit | |", "|---|--:|--:|---|"]
    for text, values, limit in bounds(result["set"], rounds):
        if limit is None:
            lines.append(f"| {text} | {measure.spread(values)} | | stated |")
            continue
        met = "met" if measure.median(values) <= limit else "NOT MET"
        lines.append(f"| {text} | {measure.spread(values)} | <= {limit:g} | {met} |")
    return "\n".join(lines) + "\n"
