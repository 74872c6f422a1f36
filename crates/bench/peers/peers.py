#!/usr/bin/env python3
"""Accede beside job queues and bare loops, in one run on one machine, against the same target.

A job is one HTTP call to a target that answers in 5 ms (`tests/lib/targets.py`); it is done when its queue would not lose it
any more. Each contestant drains the same number of jobs that were there before it started, eight calls at once and as it does
by default; then it is killed with -9 in the middle of a drain and started again. The target counts what was done once, twice
and never. `scripts/bench-peers` installs and runs this; figures are ratios to a bare loop on the same storage.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests/lib"))
from served import (MANAGEMENT, ROOT, Failure, Http, Server, catalog_of, connect, free_port, own_database, package_of,  # noqa: E402
                    people, resource, submit)
from targets import Targets  # noqa: E402

DELAY, CALLS = 0.005, 8
PYTHON = str(ROOT / ".cache/peers/venv/bin/python")


def memory(processes):
    """Proportional memory of these processes and what they forked, in bytes."""
    total, queue = 0, list(processes)
    while queue:
        process = queue.pop()
        with contextlib.suppress(OSError, ValueError):
            queue += map(int, pathlib.Path(f"/proc/{process}/task/{process}/children").read_text().split())
            lines = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
            total += int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return total


class Postgres:
    """A cluster of PostgreSQL as Debian ships it, on the disk that SQLite gets too; a database for each contestant."""

    def __init__(self, folder):
        self.folder = folder / "postgres"
        command = [ROOT / "scripts/postgres", "start", self.folder]
        self.url = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        self.count = 0

    def database(self):
        self.count += 1
        return own_database(self.url, f"peers_{self.count}")

    def processes(self):
        return [int((self.folder / "data/postmaster.pid").read_text().split()[0])]

    def stop(self):
        subprocess.run([ROOT / "scripts/postgres", "stop", self.folder], check=False)


class Redis:
    """A Redis of our own with these settings."""

    def __init__(self, folder, *settings):
        self.port = free_port()
        folder.mkdir()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", folder, *settings],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            ping = subprocess.run(["redis-cli", "-p", str(self.port), "ping"], capture_output=True, text=True)
            if ping.stdout.strip() == "PONG":
                return
            time.sleep(0.05)
        raise Failure("redis-server did not start")

    def processes(self):
        return [self.process.pid]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Program:
    """A contestant that is a program of this folder: `fill` puts jobs in, `work` does them until it is stopped."""

    afterwards = 0  # seconds until it makes no more calls for what is done

    def __init__(self, words, place, log):
        self.words, self.place, self.log, self.process = words, str(place), log, None

    def fill(self, count, target):
        self.target = target
        if self.words[-1] == "none":
            self.place = str(count)
        self.run_(["fill", str(count)], subprocess.run, check=True)

    def run_(self, arguments, how, **options):
        with open(self.log, "ab") as log:
            return how([*self.words, self.place, *arguments], stdout=log, stderr=log, cwd=HERE, **options)

    def start(self, concurrency):
        port = self.target.bases[0].split(":")[2].split("/")[0]
        self.process = self.run_(["work", port, str(concurrency)], subprocess.Popen)

    def processes(self):
        return [self.process.pid]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()


class Accede:
    """Requests whose delivery failed are reprocessed: each is judged anew, delivered, and acknowledged in the ledger."""

    afterwards = 4  # what was changed is read back after two seconds

    def __init__(self, data, database, batches=False):
        data.mkdir()
        self.server, self.batches = Server(data, database), batches

    def fill(self, count, target):
        self.server.start()
        self.api = Http(f"http://127.0.0.1:{self.server.port}", self.server.token())
        # One member a call and no look before, as a job of the others is; or as a target is connected by default.
        settings = {} if self.batches else {"batchMembers": 1, "checkBeforeAdd": False}
        connect(self.api, "jobs", target.bases[0], concurrency=CALLS, **settings)
        catalog = catalog_of(self.api, "Peers")
        package, policy = package_of(self.api, catalog, "Jobs", [resource(self.api, catalog, "jobs", "jobs")])
        users = people(self.api, self.server, count)
        target.fault(0, "refuse")
        submit(self.api, package, policy, users)
        filter_ = f"accessPackage/id eq '{package}' and state eq 'deliveryFailed'"
        path = f"{MANAGEMENT}/assignmentRequests/$count?$filter={filter_}"
        deadline = time.monotonic() + 300
        while int(self.api.must("GET", path)) < count:
            if deadline < time.monotonic():
                raise Failure(f"{self.api.must('GET', path)} of {count} requests came to rest as failed")
            time.sleep(0.2)
        target.fault(0, "none")
        self.plan = self.api.must("POST", "/accede/v1/reprocessPlans", {"filter": filter_})

    def start(self, _):
        if self.plan:
            self.api.must("POST", f"/accede/v1/reprocessPlans/{self.plan['id']}/run", {"digest": self.plan["digest"]})
            self.plan = None
        else:
            self.server.start()

    def processes(self):
        return [self.server.process.pid]

    def kill(self):
        self.server.kill()

    def stop(self):
        self.server.stop()


def watched(contestant, storage, until):
    """The most memory of the contestant and of its storage until the event is set."""
    most = [0, 0]

    def watch():
        while not until.wait(0.3):
            with contextlib.suppress(OSError, IndexError):
                most[0] = max(most[0], memory(contestant.processes()))
                most[1] = max(most[1], memory(storage.processes()) if storage else 0)

    thread = threading.Thread(target=watch)
    thread.start()
    return most, thread


def wait_for(target, count, patience):
    deadline = time.monotonic() + patience
    while (held := target.ask(0, "held")) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    return held


def drain(contestant, storage, target, count, concurrency):
    """Jobs a second from the first call that changed something to the last, calls per job, and memory."""
    target.ask(0, "reset")
    target.ask(0, "groups", ["jobs"])
    contestant.fill(count, target)
    called = len(target.ask(0, "calls", 0))
    over = threading.Event()
    most, thread = watched(contestant, storage, over)
    try:
        contestant.start(concurrency)
        held = wait_for(target, count, 300)
        if held < count:
            raise Failure(f"{held} of {count} jobs were done in 300 s")
        instants = [at for at, kind, _, _ in target.ask(0, "events", 0) if kind == "add"]
        time.sleep(contestant.afterwards)
        calls = len(target.ask(0, "calls", called))
    finally:
        over.set()
        thread.join()
        contestant.stop()
    return (count - 1) / (max(instants) - min(instants)), calls / count, most


def recover(contestant, target, count, patience):
    """Kills in the middle: seconds from the new start to the first job and to the last, jobs not done, jobs done twice."""
    target.ask(0, "reset")
    target.ask(0, "groups", ["jobs"])
    contestant.fill(count, target)
    try:
        contestant.start(CALLS)
        if wait_for(target, count // 2, 120) < count // 2:
            raise Failure("half of the jobs were not done in 120 s")
        contestant.kill()
        time.sleep(0.1)  # what the dead one had sent is answered by then
        before = target.ask(0, "held")
        again = time.time()
        contestant.start(CALLS)
        held = wait_for(target, count, patience)
        events = target.ask(0, "events", 0)
        after = [at for at, kind, _, _ in events if kind == "add" and again < at]
        twice = sum(1 for _, kind, _, _ in events if kind == "again")
        if before == count:
            raise Failure("everything was done before the kill: too few jobs to measure")
        if not after:
            raise Failure(f"nothing was done in {patience} s after the restart; {before} before it")
        # The last ones may have been in the hands of the dead worker: they are what takes long.
        return min(after) - again, max(after) - again, count - held, twice
    finally:
        contestant.stop()


class Run:
    """All contestants, one after another."""

    def __init__(self, options, folder):
        self.options, self.folder, self.rows, self.number = options, folder, [], 0
        self.target = Targets(1, DELAY)
        self.postgres = Postgres(folder)
        self.rates = {}

    def new(self, make):
        self.number += 1
        return make(self.folder / f"{self.number}")

    def contestant(self, name, keeps, bare, make, storage=None, default=None, recovers=True):
        """Measures one; what goes wrong stands in its row, and the next one has its turn."""
        if self.options.only and not any(word.lower() in name.lower() for word in self.options.only):
            return
        cells = [name, keeps]
        try:
            rate, calls, most = drain(self.new(make), storage, self.target, self.options.jobs, CALLS)
            self.rates[name] = rate
            base = self.rates.get(bare)
            cells += [f"{rate:.0f}", f"{rate / base:.2f}" if base else "–", f"{rate / (CALLS / DELAY):.0%}", f"{calls:.2f}"]
            if default:
                slow, _, _ = drain(self.new(make), storage, self.target, max(50, self.options.jobs // 5), default)
                cells.append(f"{slow:.0f} ({default} at once)")
            else:
                cells.append("the same")
            if recovers:
                first, last, left, twice = recover(self.new(make), self.target, self.options.jobs // 2, self.options.patience)
                cells += [f"{first:.2f} s", f"{last:.1f} s", f"{left} not done after {self.options.patience:.0f} s" if left else "0", str(twice)]
            else:
                cells += ["–"] * 4
            worker, store = (f"{size / 2**20:.0f}" for size in most)
            cells.append(f"{worker} + {store} MiB" if storage else f"{worker} MiB")
        except (Failure, OSError, subprocess.CalledProcessError) as failure:
            cells.append(f"FAILED: {failure}")
            print(f"FAILED {name}: {failure}", file=sys.stderr)
        self.rows.append("| " + " | ".join(cells) + " |")
        print(self.rows[-1], flush=True)

    def all(self):
        log, pg = self.folder / "contestants.log", self.postgres
        redis_always = Redis(self.folder / "redis-always", "--appendonly", "yes", "--appendfsync", "always", "--save", "")
        redis_ships = Redis(self.folder / "redis-ships")

        def program(words, place):
            return lambda folder: Program(words, place() if callable(place) else place, log)

        def sqlite(words):
            return lambda folder: (folder.mkdir(), Program(words, folder / "jobs.db", log))[1]

        def redis(server):
            def make(_):
                subprocess.run(["redis-cli", "-p", str(server.port), "flushall"], check=True, stdout=subprocess.DEVNULL)
                return Program(["node", "bullmq.mjs"], server.port, log)
            return make

        try:
            self.contestant("bare call, no storage", "nothing", None, program([PYTHON, "bare.py", "none"], "0"), recovers=False)
            self.contestant("bare loop, SQLite", "WAL, `synchronous` FULL", "bare call, no storage", sqlite([PYTHON, "bare.py", "sqlite"]))
            self.contestant("bare loop, PostgreSQL", "`synchronous_commit` on", "bare call, no storage",
                            program([PYTHON, "bare.py", "postgres"], pg.database), pg)
            self.contestant("Accede, SQLite", "WAL, `synchronous` FULL", "bare loop, SQLite", lambda folder: Accede(folder, None))
            # A whole drain of it is a few calls, too short to be killed in the middle.
            self.contestant("Accede, SQLite, batches as by default", "the same", "bare loop, SQLite",
                            lambda folder: Accede(folder, None, True), recovers=False)
            self.contestant("Accede, PostgreSQL", "`synchronous_commit` on", "bare loop, PostgreSQL",
                            lambda folder: Accede(folder, pg.database()), pg)
            self.contestant("procrastinate", "`synchronous_commit` on", "bare loop, PostgreSQL",
                            program([PYTHON, "procrastinate_peer.py"], pg.database), pg, default=1)
            self.contestant("graphile-worker", "`synchronous_commit` on", "bare loop, PostgreSQL",
                            program(["node", "graphile.mjs"], pg.database), pg, default=1)
            self.contestant("BullMQ, durable Redis", "`appendfsync always`", "bare call, no storage", redis(redis_always), redis_always,
                            default=1)
            self.contestant("BullMQ, Redis as it ships", "snapshots only: minutes are lost with Redis", "bare call, no storage",
                            redis(redis_ships), redis_ships)
        finally:
            redis_always.stop()
            redis_ships.stop()

    def report(self):
        def version(*command):
            found = subprocess.run(command, capture_output=True, text=True).stdout.strip()
            return found.splitlines()[0] if found else "?"

        pinned = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split() if "==" in line)
        node = (HERE / "package.json").read_text()
        packages = ", ".join(line.strip().strip(",").replace('"', "") for line in node.splitlines()
                             if any(name in line for name in ("bullmq", "graphile", "ioredis")))
        return "\n".join([
            f"# Accede beside others, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC", "",
            f"{self.options.jobs} jobs, one call each to a target that answers in {DELAY * 1000:.0f} ms, {CALLS} at once (limit "
            f"{CALLS / DELAY:.0f}/s); {os.cpu_count()} processors shared by target, storage and worker, load average at the end "
            f"{os.getloadavg()[1]:.1f}. procrastinate {pinned['procrastinate']} with psycopg {pinned['psycopg']}; {packages}; "
            f"Node {version('node', '--version')}; {version('psql', '--version')}; {version('redis-server', '--version').split(' sha')[0]}.", "",
            HEAD, RULE, *self.rows, "", NOTES, ""])

    def stop(self):
        self.target.stop()
        self.postgres.stop()


HEAD = ("| | Keeps its jobs by | Jobs/s, 8 at once | Ratio to the bare loop of its storage | Of the limit | Calls a job | Jobs/s by default "
        "| kill −9: first job after | last job after | Not done | Done twice | Memory, worker + storage |")
RULE = "|" + "---|" * 12
NOTES = """- The bare loops are Python; the Redis rows stand beside the bare call, which keeps nothing.
- A job of the queues is a row; one of Accede is a request that is judged anew, delivered, read back after 2 s where the target can
  be read (the calls above one a job), with its timeline and audit record.
- *Done twice* counts calls that were repeated because the worker died between call and record. All of them promise at least once.
- procrastinate gets its documented task for jobs of dead workers, every minute; graphile-worker keeps a dead worker's jobs locked for
  four hours unless somebody unlocks them; BullMQ looks for stalled jobs every 30 s. Only workers are killed, not PostgreSQL or Redis."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tenth of the jobs, to see that it works")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--only", nargs="*", help="contestants whose name has one of these words")
    parser.add_argument("--patience", type=float, default=100, help="seconds that jobs of a dead worker are waited for")
    parser.add_argument("--report", type=pathlib.Path, help="where the report goes; .cache/peers/ with the date")
    options = parser.parse_args()
    options.jobs = options.jobs or (400 if options.small else 4000)
    report = options.report or ROOT / ".cache/peers" / f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M}.md"
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-peers-"))
    os.chmod(folder, 0o755)
    print(HEAD + "\n" + RULE, flush=True)
    run = Run(options, folder)
    try:
        run.all()
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(run.report())
        print(f"\n{NOTES}\n\nreport: {report}")
    finally:
        run.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if any("FAILED" in row for row in run.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
