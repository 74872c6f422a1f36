#!/usr/bin/env python3
"""Replicas: N times `accede serve` on one PostgreSQL, hurt one after another while they work.

Requests are submitted to all of them in turn and delivered to a real SCIM server. Meanwhile one is killed, one is paused
for longer than its lease and resumed with an old answer in its hands, all are cut off from the database, the database is
killed, a newer version adds to the schema under them, and each is restarted in turn. In the end every acknowledged request must be delivered, with one account
and one membership per person: nothing lost, nothing doubled.
"""

import argparse
import concurrent.futures
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import Database, Failure, Http, Scim, Server, Spread, check, people, prepare, submit  # noqa: E402


# What a newer version may do to a schema that older ones still work on: it adds.
NEWER = """
alter table deliveries add column of_a_newer_version bigint;
alter table requests add column of_a_newer_version text not null default 'x';
create index of_a_newer_version on assignments (created_at_ms, state);
insert into schema_migrations (number, name) values (9999, 'of a newer version')
"""


def outrun(database, replica):
    """A newer version updates the schema: those that run go on, and one of the old that is started then says why not."""
    database.ask(NEWER)
    replica.stop()
    try:
        replica.start()
    except Failure as refused:
        if "has schema 9999" not in str(refused):
            raise
    else:
        raise Failure("an old version started on the schema of a newer one")
    # Its place is taken by the newer version, which is this program again: it only knows of the mark.
    database.ask("update schema_migrations set number = 0 where number = 9999")
    replica.start()


def hurt(replicas, database, chance, pause):
    """One after another, everything that can happen to a replica; says what was done."""
    first, second, third = replicas
    steps = []

    def step(what, action):
        time.sleep(chance.uniform(0.2, 1.0))
        action()
        steps.append(what)

    step("paused one past its lease", lambda: second.process.send_signal(signal.SIGSTOP))
    step("killed one", first.kill)
    step("cut the connections", database.cut)
    step("started it again", first.start)
    step("killed the database", database.kill)
    time.sleep(pause)
    step("resumed the paused one", lambda: second.process.send_signal(signal.SIGCONT))
    step("updated the schema, and an old one did not start on it", lambda: outrun(database, third))
    for replica in (second, first):
        step("restarted one in turn", lambda replica=replica: (replica.stop(), replica.start()))
    return steps


def run(folder, database, count, chance, pause):
    scim = Scim(folder / "scim")
    group = scim.group("crew")
    replicas = []
    try:
        for number in range(3):
            data = folder / f"replica-{number}"
            data.mkdir()
            # One organization has one key; where it lies is each machine's matter.
            key = {} if number == 0 else {"ACCEDE_KEY_FILE": str(folder / "replica-0" / "accede.key")}
            replica = Server(data, database.url, key)
            replica.start()
            replicas.append(replica)
        token = replicas[0].token()
        apis = [Http(f"http://127.0.0.1:{replica.port}", token) for replica in replicas]
        package, policy = prepare(apis[0], scim, group)
        users = people(apis[0], replicas[0], count)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            half = len(users) // 2
            submitting = pool.submit(submit, Spread(apis), package, policy, users[:half])
            hurting = hurt(replicas, database, chance, pause)
            acknowledged = submitting.result()
        # What comes afterwards finds all three at work again.
        acknowledged |= submit(Spread(apis), package, policy, users[half:])
        check("replicas", apis[0], scim, group, package, acknowledged, count)
        return hurting
    finally:
        for replica in replicas:
            if replica.process and replica.process.poll() is None:
                replica.process.send_signal(signal.SIGCONT)
            replica.stop()
        scim.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--pause", type=float, default=65.0, help="seconds; a lease lasts 60")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    chance = random.Random(options.seed)
    passed = failed = 0
    for number in range(options.rounds):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-replicas-"))
        database = Database("replicas")
        try:
            steps = run(folder, database, options.requests, chance, options.pause)
            print(f"round {number + 1}: {', '.join(steps)}: {options.requests} requests, 0 lost, 0 doubled")
            passed += 1
        except (Failure, OSError) as failure:
            print(f"FAILED round {number + 1}: {failure}")
            failed += 1
        finally:
            database.stop()
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
