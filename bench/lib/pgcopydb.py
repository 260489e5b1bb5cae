"""pgcopydb's follow: 5,000 transactions of one session while it follows. How long it takes, and whether
its result is right. No bound; more sessions, or large transactions, are not asked of it."""

import glob
import os
import signal
import subprocess
import time

from lib import backlog

DATABASE = "session"
TRANSACTIONS = 5000
PATIENCE = 120
PLUGIN = "wal2json"  # Debian's knows no other


def missing():
    """Why it cannot run here; empty: it can."""
    if subprocess.run(["which", "pgcopydb"], stdout=subprocess.DEVNULL, check=False).returncode != 0:
        return "no pgcopydb"
    if not glob.glob(f"/usr/lib/postgresql/*/lib/{PLUGIN}.so"):
        return f"no {PLUGIN} on the source, which this pgcopydb decodes with"
    return ""


def there(target, row):
    """Whether the table and the row are."""
    found = target.sql("SELECT to_regclass('mark') IS NOT NULL", DATABASE)
    return found[0][0] == "t" and bool(target.sql(f"SELECT 1 FROM mark WHERE id = {row}", DATABASE))


def wait(job, what):
    """True when it is there, False when the process ended, or patience, before."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and job.poll() is None:
        if what():
            return True
        time.sleep(0.02)
    return bool(what())


def version():
    said = subprocess.run(["pgcopydb", "--version"], check=False, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    return said.splitlines()[0] if said else "pgcopydb"


def is_applying(source):
    found = source.sql("SELECT to_regclass('pgcopydb.sentinel') IS NOT NULL", DATABASE)
    return found[0][0] == "t" and bool(source.sql("SELECT 1 FROM pgcopydb.sentinel WHERE apply", DATABASE))


def tell_end(source):
    """It applies file by file, one of the source's WAL each: told of an end, it does not wait for more."""
    end = source.sql("SELECT pg_current_wal_flush_lsn()", DATABASE)[0][0]
    subprocess.run(["pgcopydb", "stream", "sentinel", "set", "endpos", "--source", source.uri(DATABASE), end],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def nudge(source):
    """It notices that it has passed its end by what comes behind it. Nothing of that stays."""
    source.sql("INSERT INTO mark VALUES (3); DELETE FROM mark WHERE id = 3", DATABASE)
    time.sleep(0.5)


def drain(source, target, job):
    """From the end of the load to its last row; None: it never came."""
    # everything is there but what comes by the stream
    if not wait(job, lambda: is_applying(source)):
        return None
    backlog.pgbench(source, DATABASE, "-n", "-M", "prepared", "-c", "1", "-t", str(TRANSACTIONS))
    source.sql("INSERT INTO mark VALUES (2)", DATABASE)
    begun = time.monotonic()
    tell_end(source)
    return time.monotonic() - begun if wait(job, lambda: there(target, 2) or nudge(source)) else None


def is_right(source, target):
    try:
        backlog.compare(source, target, DATABASE, "pgcopydb")
    except RuntimeError:
        return False
    return True


def run(source, target, directory):
    """A line of Markdown."""
    why = missing()
    if why:
        return f"pgcopydb's follow: not measured: {why}\n"
    source.fresh(DATABASE)
    target.fresh(DATABASE)
    backlog.pgbench(source, DATABASE, "-i", "-q", "-s", "1")
    source.sql("ALTER TABLE pgbench_history REPLICA IDENTITY FULL; CREATE TABLE mark (id int PRIMARY KEY)",
               DATABASE)
    with open(f"{directory}/pgcopydb.log", "w", encoding="utf-8") as log:
        job = subprocess.Popen(
            ["pgcopydb", "clone", "--follow", "--slot-name", "pgcopydb", "--dir", f"{directory}/pgcopydb",
             "--source", source.uri(DATABASE), "--target", target.uri(DATABASE)],
            start_new_session=True, stdout=log, stderr=log)
    try:
        seconds = drain(source, target, job)
    finally:
        if job.poll() is None:
            os.killpg(job.pid, signal.SIGTERM)
        job.wait()
    right = is_right(source, target)
    took = "did not bring the last of them in" if seconds is None else f"brought the last after {seconds:.2f} s:"
    return (f"{version()}, follow, {TRANSACTIONS} TPC-B transactions of one session: {took}"
            f"{f' {PATIENCE} s:' if seconds is None else ''} its result is {'right' if right else 'WRONG'}\n")
