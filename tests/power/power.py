#!/usr/bin/env python3
"""Power loss on SQLite: what was acknowledged survives, because it was flushed before.

`kill -9` proves nothing about flushing: what a dead process wrote is still in the machine's memory. Here a small library
(undo.c) is loaded into the serving process and remembers what stood in the database's files before each write, until the
write is flushed. Cutting the power is: kill -9, then play those records back, each 512-byte sector of an unflushed write
by chance lost or kept, so that writes are torn too.

The control runs the same on storage that ignores flushes. It must lose something; if it does not, the run fails.
"""

import argparse
import concurrent.futures
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import MANAGEMENT, Failure, Http, Scim, Server, check, people, prepare, submit  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
HEAD = struct.Struct("<5Q")
MAGIC = 0x0ACCEDED15C0FFEE
SECTOR = 512


def library(folder):
    built = folder / "undo.so"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", built, HERE / "undo.c", "-ldl", "-lpthread"],
                   check=True)
    return built


def records(file):
    """What was not flushed, oldest first: offset, length written, size before, bytes that stood there."""
    data, at, found = file.read_bytes(), 0, []
    while at + HEAD.size <= len(data):
        magic, offset, length, size, known = HEAD.unpack_from(data, at)
        if magic != MAGIC:
            raise Failure(f"{file} is not a list of records")
        at += HEAD.size
        if at + known > len(data):
            break  # the kill came between the record and its write: nothing was written
        found.append((offset, length, size, data[at:at + known]))
        at += known
    return found


def lose(data, undo, chance):
    """Takes back what was not flushed, sector by sector as chance has it; says how many writes that were."""
    count = 0
    for record in undo.iterdir():
        unflushed = records(record)
        count += len(unflushed)
        file = data / record.name
        if unflushed and file.exists():
            all_lost = chance.random() < 0.5
            with open(file, "r+b") as disk:
                for offset, length, size, before in reversed(unflushed):
                    for start in range(0, len(before), SECTOR):
                        if all_lost or chance.random() < 0.5:
                            disk.seek(offset + start)
                            disk.write(before[start:start + SECTOR])
                    if all_lost or chance.random() < 0.5:
                        disk.truncate(size)
        record.unlink()
    # Shared memory is no storage.
    for memory in data.glob("*-shm"):
        memory.unlink()
    return count


class Disk:
    """A server on a disk that can lose power, with a real SCIM server as its target."""

    def __init__(self, name, folder, built, chance, lies=False):
        self.data, self.undo, self.chance = folder / name, folder / f"{name}-undo", chance
        self.data.mkdir()
        self.undo.mkdir()
        environment = {"LD_PRELOAD": str(built), "POWER_FILES": str(self.data), "POWER_UNDO": str(self.undo)}
        if lies:
            environment["POWER_LIES"] = "yes"
        self.scim = Scim(folder / f"{name}-scim")
        self.group = self.scim.group("crew")
        self.server = Server(self.data, environment=environment)
        self.server.start()
        self.api = Http(f"http://127.0.0.1:{self.server.port}", self.server.token())

    def cut(self):
        """Power off, while something is being written if that can be hit, and on again; says how many writes were not
        flushed."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline and not any(file.stat().st_size for file in self.undo.iterdir()):
            pass
        self.server.kill()
        count = lose(self.data, self.undo, self.chance)
        self.server.start()
        return count

    def stop(self):
        self.server.stop()
        self.scim.stop()


def survive(folder, built, count, losses, chance):
    """Cuts the power in the middle of a drain; says how many writes were lost that nobody had been promised."""
    disk = Disk("sqlite", folder, built, chance)
    try:
        package, policy = prepare(disk.api, disk.scim, disk.group)
        users = people(disk.api, disk.server, count)
        unflushed = 0
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            submitting = pool.submit(submit, disk.api, package, policy, users)
            for _ in range(losses):
                time.sleep(chance.uniform(0.1, 0.9))
                unflushed += disk.cut()
            acknowledged = submitting.result()
        check("sqlite", disk.api, disk.scim, disk.group, package, acknowledged, count)
        if unflushed == 0:
            raise Failure("sqlite: the power was never lost while something was being written; this proves nothing")
        return unflushed
    finally:
        disk.stop()


def lies(folder, built, count, chance):
    """The same promise on storage that ignores flushes: fails with what is missing after one power loss."""
    disk = Disk("control", folder, built, chance, lies=True)
    try:
        package, policy = prepare(disk.api, disk.scim, disk.group)
        acknowledged = submit(disk.api, package, policy, people(disk.api, disk.server, count))
        disk.cut()
        for request in acknowledged.values():
            disk.api.must("GET", f"{MANAGEMENT}/assignmentRequests/{request}")
    finally:
        disk.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=150)
    parser.add_argument("--losses", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-power-"))
    passed = failed = 0
    try:
        built = library(folder)
        try:
            unflushed = survive(folder, built, options.requests, options.losses, random.Random(options.seed))
            print(f"sqlite: power lost {options.losses} times, {unflushed} writes had not been flushed: 0 lost, 0 doubled")
            passed += 1
        except Failure as failure:
            print(f"FAILED {failure}")
            failed += 1
        try:
            lies(folder, built, 20, random.Random(options.seed))
            print("FAILED control: storage that ignores flushes lost nothing; this test proves nothing")
            failed += 1
        except (Failure, OSError) as loss:
            print(f"control: storage that ignores flushes lost data, as it must ({str(loss).splitlines()[0][:160]})")
            passed += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
