#!/usr/bin/env python3
"""The real process without what it needs: open files, and a clock that goes on evenly.

Files: with a small limit, connections are held open until no more is taken. The server must not burn a processor over it,
and once they are let go it answers again, has everything that it acknowledged, and delivers what waited.

Clock (libfaketime): a server that starts on a clock that stands behind what its deployment has seen, or whose clock jumps
while it runs, suspects it, as docs/operations.md says: nobody's access ends or begins by the clock alone, what people
decide goes on. A start far in the future is not suspect: a server may have been away that long.

A full disk and one that is read-only are in `crates/server/tests/it/faults.rs`.
"""

import argparse
import datetime
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import MANAGEMENT, Failure, Http, Server, catalog_of, connect, package_of, people, resource  # noqa: E402
from targets import Targets  # noqa: E402

FILES = 64
HOUR, DAY = 3600, 86400


def wait(what, holds, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise Failure(f"waited in vain: {what}")
        time.sleep(0.1)
    return found


def text(api, path):
    with urllib.request.urlopen(api.base + path, timeout=30) as answer:
        return answer.read().decode()


class World:
    """A deployment with one target and a package of one role."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.data.mkdir()
        self.targets = Targets(1)
        self.targets.ask(0, "groups", ["crew"])
        self.server = Server(self.data)
        self.server.start()
        self.api = Http(f"http://127.0.0.1:{self.server.port}", self.server.token("--role", "Global Administrator"))
        connect(self.api, "crm", self.targets.bases[0])
        catalog = catalog_of(self.api, "Resources")
        self.package = package_of(self.api, catalog, "Crew", [resource(self.api, catalog, "crm", "crew")])
        self.people = iter(people(self.api, self.server, 40))

    def add(self, **more):
        """Asks for access for one more person; the id of the request."""
        user, (package, policy) = next(self.people), self.package
        return self.api.must("POST", f"{MANAGEMENT}/assignmentRequests", {"requestType": "adminAdd", "assignment": {
            "targetId": user, "accessPackageId": package, "assignmentPolicyId": policy}, **more})["id"]

    def state(self, request):
        return self.api.must("GET", f"{MANAGEMENT}/assignmentRequests/{request}")["state"]

    def delivered(self, *requests):
        wait("the delivery", lambda: all(self.state(request) == "delivered" for request in requests))

    def holders(self):
        return len(self.targets.ask(0, "members")["crew"])

    def renew(self):
        """A token by the clock that the server has now."""
        outside = dict(os.environ)
        os.environ.update(self.server.environment)
        try:
            self.api.token = self.server.token()
        finally:
            os.environ.clear()
            os.environ.update(outside)

    def close(self):
        self.server.stop()
        self.targets.stop()


def cpu(process):
    """Seconds of processor time that a process has had."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def files(world):
    """No open file is left for one more connection."""
    kept = [world.add() for _ in range(3)]
    world.delivered(*kept)
    pid = str(world.server.process.pid)

    def limit(number):
        subprocess.run(["prlimit", "--pid", pid, f"--nofile={number}:"], check=True)

    limit(FILES)
    held = []
    try:
        # The kernel takes them before the server does, so more than there is room for.
        for _ in range(FILES + 20):
            connection = socket.create_connection(("127.0.0.1", world.server.port), timeout=5)
            held.append(connection)
        log = world.data / "serve.log"
        wait("the error in the log", lambda: "no connection can be taken" in log.read_text())
        before, began = cpu(world.server.process), time.monotonic()
        time.sleep(3)
        share = (cpu(world.server.process) - before) / (time.monotonic() - began)
        if share > 0.5:
            raise Failure(f"it burns {share:.0%} of a processor while no connection can be taken")
        if world.server.process.poll() is not None:
            raise Failure("it ended for want of files")
    finally:
        for connection in held:
            connection.close()

    def ready():
        try:
            return text(world.api, "/readyz").strip() == "ready"
        except OSError:
            return False

    wait("that it is ready again", ready)
    # The limit is still small: it serves and works within it.
    world.delivered(*kept, world.add())
    if world.holders() != 4:
        raise Failure(f"{world.holders()} people hold the role, not 4")
    return f"{len(held)} connections at {FILES} files: {share:.0%} of a processor meanwhile, then all went on"


def library():
    found = sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        raise Failure("libfaketime is missing; run scripts/install")
    return str(found[0])


def on_clock(folder, seconds):
    """The environment of a process whose clock is so far from the machine's; a file that changes that."""
    file = folder / "clock"
    file.write_text(f"{seconds:+d}\n")
    # Waiting is by the monotonic clock, which goes on evenly.
    return {"LD_PRELOAD": library(), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}, file


def at(seconds):
    """An instant so far from now, by the machine's clock."""
    then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ")


def suspect(world):
    return "suspect" in text(world.api, "/readyz") and "accede_clock_suspect 1" in text(world.api, "/metrics")


def people_decide(world):
    """What a person decides is done, whatever the clock says."""
    before = world.holders()
    request = world.add()
    world.delivered(request)
    made = world.api.must("GET", f"{MANAGEMENT}/assignmentRequests/{request}?$expand=assignment")["assignment"]["id"]
    removal = world.api.must("POST", f"{MANAGEMENT}/assignmentRequests",
                             {"requestType": "adminRemove", "assignment": {"id": made}})["id"]
    world.delivered(removal)
    if world.holders() != before:
        raise Failure("a decided removal was not done")


def ends_at(seconds):
    return {"schedule": {"expiration": {"type": "afterDateTime", "endDateTime": at(seconds)}}}


def started(world, folder, seconds):
    """Starts it again on a clock that is so far from the one before."""
    world.server.stop()
    environment, file = on_clock(folder, seconds)
    world.server.environment = environment
    world.server.start()
    world.renew()
    return file


def behind(world, folder, seconds):
    """It starts on a clock that stands behind."""
    access = world.add(**ends_at(DAY))
    world.delivered(access)
    started(world, folder, seconds)
    if not suspect(world):
        raise Failure("a clock that stands behind is not suspected")
    # By its clock this begins in a moment; it waits, because the clock alone asks for it.
    soon = world.add(schedule={"startDateTime": at(seconds + 2)})
    people_decide(world)
    time.sleep(3)
    if world.state(soon) != "scheduled":
        raise Failure(f"access began by a suspect clock: {world.state(soon)}")
    if world.holders() != 1:
        raise Failure("access was lost")
    world.server.stop()
    world.server.environment = {}
    world.server.start()
    world.renew()
    if suspect(world):
        raise Failure("a clock that is right again is suspected")
    world.delivered(soon)
    return "suspect; nothing began by it, decisions were carried out; right again, all went on"


def ahead(world, folder, seconds):
    """It starts far in the future: what should have ended ends, and the right clock is suspected afterwards."""
    gone, kept = world.add(**ends_at(DAY)), world.add()
    world.delivered(gone, kept)
    started(world, folder, seconds)
    if suspect(world):
        raise Failure("a server that was away for long suspects its clock")
    wait("the end of access", lambda: world.holders() == 1)
    world.server.stop()
    world.server.environment = {}
    world.server.start()
    world.renew()
    if not suspect(world):
        raise Failure("a clock that stands before the latest time is not suspected")
    time.sleep(3)
    if world.holders() != 1:
        raise Failure("what has ended began again when the clock went back")
    people_decide(world)
    return "what was over ended; back again, the clock is suspect and what ended stays ended"


def jumping(world, folder, seconds):
    """Its clock jumps while it runs."""
    file = started(world, folder, 0)
    if suspect(world):
        raise Failure("an even clock is suspected")
    dated, later = world.add(**ends_at(DAY)), world.add(schedule={"startDateTime": at(DAY)})
    world.delivered(dated)
    # Replaced in one step: the process reads it all the time.
    draft = folder / "clock.new"
    draft.write_text(f"{seconds:+d}\n")
    draft.rename(file)
    wait("the suspicion", lambda: suspect(world))
    world.renew()  # by the new clock: the old token is over, or not valid yet
    time.sleep(3)
    if world.holders() != 1 or world.state(later) != "scheduled":
        raise Failure(f"the clock alone ended or began access: {world.holders()} hold it, {world.state(later)}")
    people_decide(world)
    return "suspect; nothing ended or began by it, decisions were carried out"


PARTS = {
    "files": lambda world, folder: files(world),
    "starts an hour behind": lambda world, folder: behind(world, folder, -HOUR),
    "starts 400 days behind": lambda world, folder: behind(world, folder, -400 * DAY),
    "starts 400 days ahead": lambda world, folder: ahead(world, folder, 400 * DAY),
    "jumps an hour back": lambda world, folder: jumping(world, folder, -HOUR),
    "jumps 400 days ahead": lambda world, folder: jumping(world, folder, 400 * DAY),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    passed = failed = 0
    for part in (options.part or list(PARTS)) * options.rounds:
        folder, world = pathlib.Path(tempfile.mkdtemp(prefix="accede-resources-")), None
        began = time.monotonic()
        try:
            world = World(folder)
            print(f"{part}: {PARTS[part](world, folder)} ({time.monotonic() - began:.0f} s)", flush=True)
            passed += 1
        except (Failure, OSError, LookupError, ValueError, subprocess.SubprocessError) as failure:
            print(f"FAILED {part}: {failure!r} {getattr(failure, 'stderr', '') or ''}", flush=True)
            log = folder / "data" / "serve.log"
            if log.exists():
                print(log.read_text()[-3000:])
            failed += 1
        finally:
            if world:
                world.close()
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
