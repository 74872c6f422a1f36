#!/usr/bin/env python3
"""kill -9 in the middle of a drain: nothing acknowledged is lost, nothing is doubled.

A driver outside the server submits requests and keeps what was acknowledged. While they are delivered to a real SCIM
server (scim2-server), the serving process is killed at random moments and started again. In the end every
acknowledged request must be delivered, the SCIM server must hold one account per person and one membership per
account, and what Accede recorded must be what the target holds.
"""

import argparse
import concurrent.futures
import contextlib
import pathlib
import random
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import Failure, Http, Scim, Server, check, cluster, own_database, people, prepare, submit  # noqa: E402


def drain(name, database, count, kills, folder, seed):
    chance = random.Random(seed)
    data = folder / name
    data.mkdir()
    scim = Scim(folder / f"{name}-scim")
    group = scim.group("crew")
    server = Server(data, database)
    server.start()
    api = Http(f"http://127.0.0.1:{server.port}", server.token())
    try:
        package, policy = prepare(api, scim, group)
        users = people(api, server, count)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            submitting = pool.submit(submit, api, package, policy, users)
            for _ in range(kills):
                time.sleep(chance.uniform(0.05, 0.8))
                server.kill()
                server.start()
            acknowledged = submitting.result()
        check(name, api, scim, group, package, acknowledged, count)
    finally:
        server.stop()
        scim.stop()
    slowest = max(server.starts)
    print(f"{name}: {kills} kills in a drain of {count}: 0 lost, 0 doubled; restart to ready {slowest:.2f} s at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--engine", choices=["sqlite", "postgres"], action="append")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-crash-"))
    passed = failed = 0
    try:
        for engine in options.engine or ["sqlite", "postgres"]:
            with contextlib.ExitStack() as stack:
                database = None
                if engine == "postgres":
                    database = own_database(stack.enter_context(cluster()), "crash")
                try:
                    drain(engine, database, options.requests, options.kills, folder, options.seed)
                    passed += 1
                except Failure as failure:
                    print(f"FAILED {failure}")
                    failed += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
