"""Every contender drains the same backlog: the slot is a copy of one that was made before it, the
target a copy of one database as it was then, the spool directory a copy, too."""

import contextlib
import os
import shutil
import signal
import subprocess
import time

from lib import backlog, limits, measure

JOB = "bench"
SLOT = "pghaul_bench"
# The slot of the job as it was when it was stopped, which may still have what is in the target; the
# others' begins with the backlog.
KEPT = "kept"
PEERS = "peers"
# As many seconds as the slowest may take.
PATIENCE = 3600
# Looks for a row without holding a snapshot between two looks.
WAIT = """DO $$ BEGIN LOOP EXIT WHEN EXISTS ({query}); COMMIT; PERFORM pg_sleep(0.02); END LOOP; END $$"""
STREAM = ("proto_version=2", "publication_names=bench", "binary=true", "streaming=on")


def psql(server, name, query):
    return subprocess.Popen(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", server.uri(name), "-c", query])


@contextlib.contextmanager
def waiting(server, name, query):
    """A process that ends when the query finds a row; ended with the block at the latest."""
    waiter = psql(server, name, WAIT.format(query=query))
    try:
        yield waiter
    finally:
        waiter.kill()
        waiter.wait()


def until(server, name, query, patience=PATIENCE):
    with waiting(server, name, query) as waiter:
        if waiter.wait(patience) != 0:
            raise RuntimeError(f"waiting for {query} failed")


class Drain:
    def __init__(self, directory, source, target, pghaul, name):
        self.source, self.target, self.pghaul, self.name = source, target, pghaul, name
        self.spool, self.kept_spool = f"{directory}/spool", f"{directory}/kept"
        self.scratch = f"{directory}/scratch"
        self.end = None

    def command(self, *end):
        return [self.pghaul, "copy", "--follow", *end, "--source", self.source.uri(self.name), "--target",
                self.target.uri(self.name), "--name", JOB, "--dir", self.spool, "--publication", "bench",
                "--verify", "none", "--quiet"]

    # ---- once

    def begin(self, size):
        """The copy, stopped when it follows; then the backlog, which all slots have before them."""
        backlog.fill(self.source, self.name, size)
        self.target.fresh(self.name)
        for directory in (self.spool, self.kept_spool):
            shutil.rmtree(directory, ignore_errors=True)
        job = subprocess.Popen(self.command(), stderr=subprocess.DEVNULL)
        try:
            self._await_follow(job)
        finally:
            job.send_signal(signal.SIGTERM)
        if job.wait(60) != 5:
            raise RuntimeError(f"the copy that was to be stopped ended with {job.returncode}")
        shutil.copytree(self.spool, self.kept_spool)
        self.target.sql(f"ALTER DATABASE {self.name} RENAME TO {KEPT}")
        self.source.sql(f"SELECT pg_copy_logical_replication_slot('{SLOT}', '{KEPT}')", self.name)
        self._drop_slot(SLOT)
        self.source.sql(f"SELECT pg_create_logical_replication_slot('{PEERS}', 'pgoutput')", self.name)
        self.end = backlog.record(self.source, self.name, size)

    def _await_follow(self, job):
        for _ in range(PATIENCE * 5):
            time.sleep(0.2)
            if job.poll() is not None:
                raise RuntimeError(f"the copy ended with {job.returncode}")
            found = self.target.sql("SELECT to_regclass('pghaul.job') IS NOT NULL", self.name)
            if found[0][0] == "t" and self.target.sql("SELECT 1 FROM pghaul.job WHERE phase = 'follow'",
                                                      self.name):
                break
        self.source.sql("INSERT INTO mark VALUES (0)", self.name)
        until(self.target, self.name, "SELECT FROM mark WHERE id = 0", 60)

    def _drop_slot(self, slot):
        self.source.sql("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE"
                        f" slot_name = '{slot}'", self.name)

    def finish(self):
        for slot in (KEPT, PEERS):
            self._drop_slot(slot)
        for server, database in ((self.source, self.name), (self.target, self.name), (self.target, KEPT)):
            server.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    # ---- a run

    def run(self, contender):
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.mkdir(self.scratch)
        self.target.sql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        self.target.sql(f"CREATE DATABASE {self.name} TEMPLATE {KEPT} STRATEGY file_copy")
        if contender != "apply":
            slot = KEPT if contender in backlog.OURS else PEERS
            self.source.sql(f"SELECT pg_copy_logical_replication_slot('{slot}', '{SLOT}')", self.name)
        prepared = getattr(self, f"_prepare_{contender}", lambda: None)()
        self.source.sql("CHECKPOINT")
        self.target.sql("CHECKPOINT")
        os.sync()
        time.sleep(2)
        cpu = self.source.cpu(), self.target.cpu()
        sample = getattr(self, f"_{contender}")(prepared)
        sample["source"] = self.source.cpu() - cpu[0]
        sample["target"] = self.target.cpu() - cpu[1]
        getattr(self, f"_clear_{contender}", lambda: None)()
        if contender != "decode":
            backlog.compare(self.source, self.target, self.name, contender)
        self._drop_slot(SLOT)
        return sample

    def _decode(self, _):
        options = [word for option in STREAM for word in ("-o", option)]
        code, sample = measure.timed(
            ["pg_recvlogical", "-d", self.source.uri(self.name), "--slot", SLOT, "--start", "--no-loop",
             "--endpos", self.end, "-f", f"{self.scratch}/stream", *options], None, self.scratch)
        if code != 0:
            raise RuntimeError(f"pg_recvlogical ended with {code}")
        sample["bytes"] = os.path.getsize(f"{self.scratch}/stream")
        return sample

    def _prepare_apply(self):
        return limits.prepare(self.source, self.target, self.name)

    def _apply(self, statements):
        return limits.run(self.target, self.name, statements, self.scratch)

    def _clear_apply(self):
        self.target.sql("DROP SCHEMA changes CASCADE", self.name)

    def _prepare_native(self):
        self.target.sql(f"CREATE SUBSCRIPTION bench CONNECTION '{self.source.uri(self.name)}' PUBLICATION"
                        f" bench WITH (create_slot = false, slot_name = '{SLOT}', enabled = false,"
                        " copy_data = false, binary = true, streaming = true)", self.name)

    def _native(self, _):
        with waiting(self.target, self.name, "SELECT FROM mark WHERE id = 1") as waiter:
            begun = time.monotonic()
            self.target.sql("ALTER SUBSCRIPTION bench ENABLE", self.name)
            waiter.wait(PATIENCE)
            wall = time.monotonic() - begun
        until(self.target, self.name, "SELECT FROM mark WHERE id = 2", 60)
        return {"wall": wall, "client": 0, "rss_mb": 0}

    def _clear_native(self):
        self.target.sql("ALTER SUBSCRIPTION bench DISABLE; ALTER SUBSCRIPTION bench SET (slot_name = NONE)",
                        self.name)
        self.target.sql("DROP SUBSCRIPTION bench", self.name)
        until(self.source, self.name, f"SELECT FROM pg_replication_slots WHERE slot_name = '{SLOT}' AND NOT"
              " active", 60)

    def _prepare_haul(self):
        shutil.rmtree(self.spool, ignore_errors=True)
        shutil.copytree(self.kept_spool, self.spool)

    def _haul(self, _):
        return self._timed_haul(None)

    # The applier is kept from its first change until all is in the spool.
    def _prepare_haul_spooled(self):
        self._prepare_haul()
        lock = subprocess.Popen(["psql", "-Xqo", "/dev/null", self.target.uri(self.name)],
                                stdin=subprocess.PIPE, text=True)
        tables = ", ".join(backlog.tables(self.target, self.name))
        lock.stdin.write(f"BEGIN; LOCK TABLE {tables} IN EXCLUSIVE MODE;\n")
        lock.stdin.flush()
        return lock

    def _haul_spooled(self, lock):
        return self._timed_haul(lock)

    def _timed_haul(self, lock):
        """From the command on, or from the lock's end on, until the mark is there."""
        out = f"{self.scratch}/time"
        begun = time.monotonic()
        job = subprocess.Popen([measure.TIME, "-o", out, "-f", "%U %S %M", *self.command("--until", "now")],
                               start_new_session=True)
        try:
            with waiting(self.target, self.name, "SELECT FROM mark WHERE id = 1") as waiter:
                if lock is not None:
                    until(self.source, self.name, "SELECT FROM pg_replication_slots WHERE slot_name ="
                          f" '{SLOT}' AND confirmed_flush_lsn >= '{self.end}'")
                    begun = time.monotonic()
                    lock.communicate("ROLLBACK;\n")
                while waiter.poll() is None and job.poll() in (None, 0):
                    time.sleep(0.005)
                wall = time.monotonic() - begun
            if job.wait(PATIENCE) != 0:
                raise RuntimeError(f"pghaul on {self.name} ended with exit code {job.returncode}")
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGTERM)
        whole = time.monotonic() - begun
        with open(out, encoding="ascii") as f:
            user, system, rss = f.read().split()[-3:]
        return {"wall": wall, "whole": whole, "client": float(user) + float(system),
                "rss_mb": int(rss) / 1024}
