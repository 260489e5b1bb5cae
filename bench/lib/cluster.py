"""A throw-away PostgreSQL cluster on a unix socket, with the benchmark's settings."""

import glob
import os
import shutil
import signal
import subprocess
import tempfile

SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "shared_buffers": "2GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "4GB",
    "wal_level": "logical",
    "autovacuum": "off",
    "max_locks_per_transaction": "64",
}
QUIET = "-c client_min_messages=warning"
TICK = os.sysconf("SC_CLK_TCK")


def bindir():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    return os.path.dirname(found[-1]) if found else os.path.dirname(shutil.which("initdb"))


def as_server(**more):
    """PostgreSQL refuses to run as root."""
    if os.geteuid() == 0:
        more.update(user="postgres", group="postgres", extra_groups=[])
    return more


def make_dir(parent):
    path = tempfile.mkdtemp(prefix="pghaul-bench.", dir=parent)
    os.chmod(path, 0o755)
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")
    return path


def stat_fields(pid):
    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
        return f.read().rpartition(")")[2].split()


class Cluster:
    def __init__(self, parent, name, settings=None):
        self.name = name
        self.dir = os.path.join(parent, name)
        self.pid = None
        os.mkdir(self.dir, 0o755)
        if os.geteuid() == 0:
            shutil.chown(self.dir, "postgres", "postgres")
        self._server("initdb", "-D", self.dir + "/data", "-A", "trust", "-U", "postgres",
                     "--no-locale", "-E", "UTF8", "-N")
        with open(self.dir + "/data/postgresql.conf", "a", encoding="ascii") as f:
            for key, value in {**SETTINGS, **(settings or {})}.items():
                f.write(f"{key} = '{value}'\n")
            f.write(f"unix_socket_directories = '{self.dir}'\n")
        self.start()

    def _server(self, program, *args):
        subprocess.run([os.path.join(bindir(), program), *args], check=True, cwd="/",
                       stdout=subprocess.DEVNULL, **as_server())

    def start(self):
        self._server("pg_ctl", "-D", self.dir + "/data", "-w", "-s", "-l", self.dir + "/log", "start")
        with open(self.dir + "/data/postmaster.pid", encoding="ascii") as f:
            self.pid = int(f.readline())

    def stop(self):
        if self.pid is None:
            return
        try:
            os.kill(self.pid, signal.SIGQUIT)
            while os.path.exists(f"/proc/{self.pid}") and stat_fields(self.pid)[0] != "Z":
                signal.sigtimedwait([], 0.05)
        except (ProcessLookupError, FileNotFoundError):
            pass
        self.pid = None

    def env(self, database):
        return {"PGHOST": self.dir, "PGPORT": "5432", "PGUSER": "postgres", "PGDATABASE": database}

    def uri(self, database):
        return f"postgres://postgres@/{database}?host={self.dir}"

    def sql(self, query, database="postgres"):
        """Runs statements; the rows as lists of text."""
        done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", query],
                              env={**os.environ, **self.env(database), "PGOPTIONS": QUIET}, check=True,
                              stdout=subprocess.PIPE, text=True)
        return [line.split("|") for line in done.stdout.splitlines()]

    def script(self, path, database, **variables):
        args = [word for key, value in variables.items() for word in ("-v", f"{key}={value}")]
        subprocess.run(["psql", "-Xq", "-o", "/dev/null", *args, "-f", path],
                       env={**os.environ, **self.env(database)}, check=True)

    def fresh(self, database):
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
        self.sql(f'CREATE DATABASE "{database}" TEMPLATE template0')

    def cpu(self):
        """Seconds spent by the postmaster, its living children and those it has reaped."""
        while True:
            before = stat_fields(self.pid)[11:15]
            living = self._living()
            # A child that was reaped in between would be missing in both.
            if stat_fields(self.pid)[13:15] == before[2:]:
                return (sum(int(x) for x in before) + living) / TICK

    def _living(self):
        total = 0
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                fields = stat_fields(entry)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == self.pid:
                total += int(fields[11]) + int(fields[12])
        return total
