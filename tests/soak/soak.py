#!/usr/bin/env python3
"""Soak: a served Accede under mixed load for a long time, while its targets and its own process are hurt on a schedule.

Real `accede serve` processes (one on SQLite, or three on one PostgreSQL) read, submit, remove and change at a given rate and
deliver to small SCIM targets that keep the truth in memory (`tests/lib/targets.py`). Over the length of the run one target is
down, one answers in five seconds, one hangs, one refuses all above two calls a second, one refuses our token; the server is
killed with -9 again and again, and PostgreSQL with it. Everything is measured from outside: by the clock of the driver and of
the targets. In the end the targets must hold exactly what the acknowledged requests say. Each bar passes or fails; the
report is Markdown.
"""

import argparse
import collections
import contextlib
import datetime
import os
import pathlib
import platform
import queue
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import (BINARY, MANAGEMENT, ROOT, Database, Failure, Http, Server, catalog_of, connect, package_of,  # noqa: E402
                    people, resource)
from targets import Targets  # noqa: E402

# What is done to which target, and when, as shares of the run. Targets above these stay healthy.
DOWN, SLOW, HANGING, THROTTLED, LOCKED = range(5)
NAMES = ["down", "slow", "hanging", "throttled", "locked"]
SCHEDULE = [
    (0.00, THROTTLED, "throttle", 2, "refuses all above 2 calls a second, to the end"),
    (0.30, DOWN, "down", None, "down: connections are cut"),
    (0.40, SLOW, "slow", 5, "answers after 5 s"),
    (0.45, HANGING, "hang", None, "takes calls and never answers"),
    (0.60, DOWN, "none", None, "is back"),
    (0.60, HANGING, "none", None, "answers again"),
    (0.62, LOCKED, "unauthorized", None, "refuses the token"),
    (0.70, SLOW, "none", None, "is fast again"),
    (0.72, LOCKED, "none", None, "takes a new token, which an administrator sets"),
]
BEFORE, ONE_DOWN, ALL_HURT = (0.05, 0.30), (0.30, 0.40), (0.45, 0.60)
LAST_KILL = 0.75  # what comes after it is one life of the process, in which its memory is judged
HOT = 5 * 60  # seconds of an outage after which a target may be asked once in 30 s only


def percentile(values, share):
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def shown(seconds):
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


class Pair:
    """A person's assignment to a package, as the driver knows it: at most given once and taken once."""

    __slots__ = ("person", "package", "state", "request", "given", "taken", "end")

    def __init__(self, person, package):
        self.person, self.package = person, package
        self.state, self.request = "unsure", None  # unsure | live | gone
        self.given = self.taken = self.end = None  # instants of acknowledgement


class World:
    """The servers, the targets, and what the driver did to them."""

    def __init__(self, options, folder):
        self.options, self.folder, self.chance = options, folder, random.Random(options.seed)
        self.lock = threading.Lock()
        self.pairs, self.live = {}, []
        self.calls = []  # (instant, "read" | "write" | "change", seconds, status); status 0: nobody answered
        self.samples = []  # (instant, node, life, resident, files, processor seconds)
        self.sizes, self.backlogs, self.lives = [], [], collections.Counter()
        self.kills = []  # (instant, ready again, what)
        self.steps, self.refusals = [], collections.Counter()
        self.caused = []  # when the target that is down was first seen among the causes
        self.database, self.nodes, self.apis = None, [], []
        self.targets = Targets(options.targets)

    # Setting up.

    def start(self):
        # The settings of a production server: what served.py makes quicker for tests is put back.
        environment = {"ACCEDE_DELIVERY__BACKOFF_BASE": "PT5S", "ACCEDE_DELIVERY__BACKOFF_CAP": "PT1H"}
        url = None
        if self.options.postgres:
            self.database = Database("soak")
            url = self.database.url
        for number in range(3 if self.options.postgres else 1):
            data = self.folder / f"node-{number}"
            data.mkdir()
            key = {} if number == 0 else {"ACCEDE_KEY_FILE": str(self.folder / "node-0" / "accede.key")}
            node = Server(data, url, {**environment, **key})
            node.start()
            self.nodes.append(node)
        token = self.nodes[0].token()
        self.apis = [Http(f"http://127.0.0.1:{node.port}", token) for node in self.nodes]

    def name(self, target):
        return NAMES[target] if target < len(NAMES) else f"healthy-{target - len(NAMES) + 1}"

    def pace(self):
        """What each server may call in a minute at a target that admits two calls a second."""
        return 110 // len(self.nodes)

    def build(self):
        """Packages of two roles each: every tenth has a role in each of the targets that are hurt, the rest in healthy ones."""
        api, options = self.apis[0], self.options
        healthy = list(range(len(NAMES), options.targets))
        for target in range(options.targets):
            # Who connects a target that admits two calls a second says so, to each of the servers.
            pace = {"callsPerMinute": self.pace()} if target == THROTTLED and not options.unpaced else {}
            connect(api, self.name(target), self.targets.bases[target], externalId="objectId", **pace)
        self.places, self.packages = [], []
        catalog = catalog_of(api, "Soak")
        for number in range(options.packages):
            first = number % 10 if number % 10 < len(NAMES) else healthy[number % len(healthy)]
            rest = [target for target in healthy if target != first]
            places = [first, rest[number // 2 % len(rest)]]
            for target in places:
                self.targets.ask(target, "groups", [f"g{number}"])
            roles = [resource(api, catalog, self.name(target), f"g{number}") for target in places]
            self.places.append(places)
            self.packages.append(package_of(api, catalog, f"Package {number:03}", roles))
        self.people = people(api, self.nodes[0], options.people)

    # What the load does.

    def api(self):
        alive = [api for api, node in zip(self.apis, self.nodes) if node.process and node.process.poll() is None]
        return self.chance.choice(alive or self.apis)

    def call(self, kind, method, path, body=None):
        began = time.monotonic()
        try:
            status, answer = self.api().call(method, path, body, timeout=60)
        except (OSError, ValueError):
            status, answer = 0, None
        self.calls.append((time.time(), kind, time.monotonic() - began, status))
        return status, answer

    def give(self, dated=False):
        with self.lock:
            while True:
                person, package = self.chance.randrange(len(self.people)), self.chance.randrange(len(self.packages))
                if (person, package) not in self.pairs:
                    break
            pair = self.pairs[person, package] = Pair(person, package)
            lasts = self.chance.uniform(60, 120)
        package_id, policy = self.packages[package]
        body = {"requestType": "adminAdd", "assignment": {
            "targetId": self.people[person], "accessPackageId": package_id, "assignmentPolicyId": policy}}
        if dated:
            pair.end = int(time.time() + lasts)
            end = datetime.datetime.fromtimestamp(pair.end, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            body["schedule"] = {"expiration": {"type": "afterDateTime", "endDateTime": end}}
        status, answer = self.call("write", "POST", f"{MANAGEMENT}/assignmentRequests", body)
        if status == 201:
            pair.given, pair.request = time.time(), answer["id"]
            pair.state = "gone" if dated else "live"
            if not dated:
                with self.lock:
                    self.live.append(pair)
        elif status:
            self.refusals[f"give: {status} {code(answer)}"] += 1

    def take(self):
        with self.lock:
            for _ in range(20):
                if not self.live:
                    return
                index = self.chance.randrange(len(self.live))
                if self.live[index].given < time.time() - 30:
                    pair = self.live.pop(index)
                    break
            else:
                return
        status, answer = self.call("read", "GET", f"{MANAGEMENT}/assignmentRequests/{pair.request}?$expand=assignment")
        assignment = (answer or {}).get("assignment") if status == 200 else None
        if not assignment:
            with self.lock:
                self.live.append(pair)
            return
        pair.state = "unsure"
        body = {"requestType": "adminRemove", "assignment": {"id": assignment["id"]}}
        status, answer = self.call("write", "POST", f"{MANAGEMENT}/assignmentRequests", body)
        if status == 201:
            pair.taken, pair.state = time.time(), "gone"
        elif status:
            self.refusals[f"take: {status} {code(answer)}"] += 1
            pair.state = "live"

    def read(self):
        package = self.chance.choice(self.packages)[0]
        path = self.chance.choice([
            f"{MANAGEMENT}/assignmentRequests?$top=20&$orderby=createdDateTime desc",
            f"{MANAGEMENT}/assignmentRequests?$filter=state eq 'delivering'&$top=50",
            f"{MANAGEMENT}/assignments?$filter=accessPackage/id eq '{package}'&$expand=target&$top=50",
            f"{MANAGEMENT}/accessPackages?$top=50",
            f"/v1.0/users/{self.chance.choice(self.people)}",
            "/accede/v1/failures",
            "/accede/v1/targets",
        ])
        status, answer = self.call("read", "GET", path)
        if status >= 400:
            self.refusals[f"read: {status} {code(answer)}"] += 1

    def change(self):
        number = self.chance.randrange(10**6)
        if self.chance.random() < 0.5:
            path, body = f"/v1.0/users/{self.chance.choice(self.people)}", {"jobTitle": f"Title {number}"}
        else:
            package = self.chance.choice(self.packages)[0]
            path, body = f"{MANAGEMENT}/accessPackages/{package}", {"description": f"Changed {number}"}
        status, answer = self.call("change", "PATCH", path, body)
        if status >= 400:
            self.refusals[f"change: {status} {code(answer)}"] += 1

    def operate(self):
        """One operation of the mix: four of five read; what is given and taken balances at twice as many as there are people."""
        draw = self.chance.random()
        if draw < 0.8:
            self.read()
        elif draw < (0.88 if len(self.live) > 2 * len(self.people) else 0.94):
            self.give(dated=self.chance.random() < 0.1)
        else:
            self.take()

    def load(self, until):
        """An open loop: what is due is due, whether the server is quick or not."""
        work, workers = queue.Queue(), []

        def worker():
            while (action := work.get()) is not None:
                action()

        for _ in range(32):
            workers.append(threading.Thread(target=worker, daemon=True))
            workers[-1].start()
        next_operation = next_change = time.time()
        while time.time() < until:
            now = time.time()
            while next_operation <= now:
                work.put(self.operate)
                next_operation += 1 / self.options.rate
            while next_change <= now:
                work.put(self.change)
                next_change += 1 / self.options.changes
            time.sleep(0.005)
        for _ in workers:
            work.put(None)
        for thread in workers:
            thread.join()

    # What is done to them.

    def kill(self, number):
        """Kills a server with -9 and starts it again; says how long it was not there."""
        node, began = self.nodes[number], time.time()
        node.kill()
        self.lives[number] += 1
        node.start()
        self.kills.append((began, time.time(), "server killed"))

    def hurt(self, began, length, over):
        """Goes through the schedule."""
        span = self.options.kill_every * 60
        kills = [(at / length, "kill") for at in range(int(span), int(length * LAST_KILL), int(span))]
        databases = [(share, "database") for share in (0.22, 0.52, 0.74)] if self.database else []
        plan = sorted([(share, ("fault", *step)) for share, *step in SCHEDULE] + [(s, (w,)) for s, w in kills + databases],
                      key=lambda entry: entry[0])
        turn = 0
        for share, (what, *step) in plan:
            if over.wait(max(0, began + share * length - time.time())):
                return
            if what == "kill":
                self.kill(turn % len(self.nodes))
                turn += 1
            elif what == "database":
                at = time.time()
                self.database.kill()
                self.kills.append((at, time.time(), "PostgreSQL killed"))
            else:
                target, kind, value, words = step
                if kind == "none":
                    self.steps.append((time.time(), target, "recovers", self.targets.ask(target, "held")))
                self.targets.fault(target, kind, value)
                self.steps.append((time.time(), target, kind, words))
                if (target, kind) == (DOWN, "down"):
                    threading.Thread(target=self.await_cause, args=(over,), daemon=True).start()
                if target == LOCKED and kind == "none":
                    with contextlib.suppress(OSError, Failure):
                        self.api().must("PATCH", f"/accede/v1/targets/{self.name(target)}",
                                        {"secrets": {"bearerToken": "another"}})
            print(f"{(time.time() - began) / 60:6.1f} min  {what} {self.steps[-1][1:] if what == 'fault' else ''}",
                  file=sys.stderr, flush=True)

    def await_cause(self, over):
        """Asks for the causes, as an access manager does, until the target that is down is one of them."""
        while not self.caused and not over.wait(0.2):
            with contextlib.suppress(OSError, ValueError):
                status, answer = self.api().call("GET", "/accede/v1/failures", timeout=60)
                if status == 200 and any(cause["target"]["name"] == self.name(DOWN) for cause in answer["value"]):
                    self.caused.append(time.time())

    def watch(self, over):
        """Every five seconds memory, files and processor time of each server; every half minute sizes and backlogs."""
        turn = 0
        while not over.wait(5):
            for number, node in enumerate(self.nodes):
                with contextlib.suppress(OSError, AttributeError, IndexError, StopIteration):
                    place = pathlib.Path(f"/proc/{node.process.pid}")
                    status = (place / "status").read_text().splitlines()
                    resident = int(next(line for line in status if line.startswith("VmRSS")).split()[1]) * 1024
                    stat = (place / "stat").read_text().rsplit(")", 1)[1].split()
                    spent = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
                    files = len(list((place / "fd").iterdir()))
                    self.samples.append((time.time(), number, self.lives[number], resident, files, spent))
            if turn % 6 == 0:
                with contextlib.suppress(OSError, Failure, ValueError, subprocess.CalledProcessError):
                    self.sizes.append((time.time(), self.size()))
                    targets = self.api().must("GET", "/accede/v1/targets")["value"]
                    self.backlogs.append((time.time(), {target["name"]: target["backlog"] for target in targets}))
            turn += 1

    def size(self):
        if self.database:
            command = ["psql", "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", self.database.url, "--command",
                       "select pg_database_size(current_database())"]
            return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return sum(file.stat().st_size for file in self.nodes[0].data.glob("accede.db*"))

    def waiting(self):
        """What is on its way at each target, as the server says."""
        targets = self.apis[0].must("GET", "/accede/v1/targets")["value"]
        return {target["name"]: sum(target["backlog"][key] for key in ("due", "inFlight", "failed", "stuck"))
                for target in targets}

    def settle(self, patience, but=()):
        """Waits until nothing is on its way, but to these targets; how long that took, or None."""
        began = time.time()
        while time.time() - began < patience:
            with contextlib.suppress(OSError, Failure, ValueError):
                left = sum(count for name, count in self.waiting().items() if name not in but)
                counts = [] if but else [
                    self.apis[0].must("GET", f"{MANAGEMENT}/assignmentRequests/$count?$filter=state eq '{state}'")
                    for state in ("submitted", "delivering")]
                if left + sum(map(int, counts)) == 0:
                    return time.time() - began
            time.sleep(2)
        return None

    def stop(self):
        for node in self.nodes:
            node.stop()
        self.targets.stop()
        if self.database:
            self.database.stop()


def code(answer):
    return answer["error"]["code"] if isinstance(answer, dict) and "error" in answer else str(answer)[:60]


class Findings:
    """What the run came to: figures from the driver's journal and the targets' truth."""

    def __init__(self, world, began, length, settled, paced):
        self.world, self.began, self.length, self.settled, self.paced = world, began, length, settled, paced
        self.bars = []
        self.events, self.accounts, self.log = [], [], []
        for target in range(world.options.targets):
            self.events.append(world.targets.ask(target, "events", 0))
            self.accounts.append(world.targets.ask(target, "accounts"))
            self.log.append(world.targets.ask(target, "calls", 0))
        self.match()

    def at(self, share):
        return self.began + share * self.length

    def match(self):
        """For every change that was acknowledged, when it was in each of its targets."""
        world, seen = self.world, {}
        number = {person: index for index, person in enumerate(world.people)}
        for target, (events, accounts) in enumerate(zip(self.events, self.accounts)):
            whose = {account: number.get(person) for account, person in accounts}
            for instant, kind, group, account in events:
                seen.setdefault((kind, target, int(group[1:]), whose.get(account)), instant)
        self.grants, self.revokes, self.ends = [], [], []  # (promised, target, done or None)
        for pair in world.pairs.values():
            for target in world.places[pair.package]:
                place = (target, pair.package, pair.person)
                if pair.given:
                    self.grants.append((pair.given, target, seen.get(("add", *place))))
                if pair.taken:
                    self.revokes.append((pair.taken, target, seen.get(("remove", *place))))
                if pair.given and pair.end and ("add", *place) in seen:
                    self.ends.append((pair.end, target, seen.get(("remove", *place))))

    def near_a_kill(self, start, end):
        return any(start < ready + 15 and killed - 1 < end for killed, ready, _ in self.world.kills)

    def waits(self, changes, window=(0, 9), calm=False):
        """How long changes at healthy targets took that were promised within the window."""
        start, end = self.at(window[0]), self.at(window[1])
        return [max(0, done - promised) for promised, target, done in changes
                if target >= len(NAMES) and done and start <= promised < end
                and not (calm and self.near_a_kill(promised, done))]

    def bar(self, what, figure, bar, good):
        """`good` is None where the run was too short to judge."""
        self.bars.append((what, figure, bar, {True: "PASS", False: "FAIL", None: "not judged"}[good]))

    # The bars.

    def judge(self):
        self.judge_calls()
        self.judge_deliveries()
        self.judge_shift()
        self.judge_outage()
        self.judge_throttled()
        self.judge_process()
        self.judge_truth()

    def judge_calls(self):
        for name, kinds, most in (("reads", ("read",), 0.2), ("writes", ("write", "change"), 0.5)):
            took = [seconds for _, kind, seconds, status in self.world.calls if kind in kinds and status]
            figures = ", ".join(f"p{int(share * 100)} {shown(percentile(took, share))}" for share in (0.5, 0.95, 0.99))
            self.bar(f"{name} through the API, {len(took)} calls", figures, f"p99 ≤ {shown(most)}", percentile(took, 0.99) <= most)
        broken = [(at, status) for at, _, seconds, status in self.world.calls
                  if (status == 0 or status >= 500) and not self.near_a_kill(at - seconds, at)]
        unanswered = sum(1 for _, _, _, status in self.world.calls if status == 0)
        self.bar("calls that failed while no server was down", f"{len(broken)}; {unanswered} unanswered around kills", "0", not broken)

    def judge_deliveries(self):
        took = self.waits(self.grants)
        self.bar(f"acknowledged grant → in a healthy target, {len(took)}",
                 f"p50 {shown(percentile(took, 0.5))}, p95 {shown(percentile(took, 0.95))}, p99 {shown(percentile(took, 0.99))}",
                 "p50 ≤ 5 s, p99 ≤ 60 s", percentile(took, 0.5) <= 5 and percentile(took, 0.99) <= 60)
        took = self.waits(self.revokes)
        self.bar(f"acknowledged removal → gone from a healthy target, {len(took)}",
                 f"p50 {shown(percentile(took, 0.5))}, p99 {shown(percentile(took, 0.99))}",
                 "p99 ≤ 10 s", percentile(took, 0.99) <= 10 if took else None)
        took = self.waits(self.ends)
        self.bar(f"end of a dated assignment → gone from a healthy target, {len(took)}",
                 f"p50 {shown(percentile(took, 0.5))}, p99 {shown(percentile(took, 0.99))}",
                 "p99 ≤ 60 s", percentile(took, 0.99) <= 60 if took else None)

    def judge_shift(self):
        before = self.waits(self.grants, BEFORE, calm=True)
        middle = sum(BEFORE) / 2
        halves = [percentile(self.waits(self.grants, half, calm=True), 0.95) for half in ((BEFORE[0], middle), (middle, BEFORE[1]))]
        base = percentile(before, 0.95)
        noise = f"; the halves of that: {shown(halves[0])} and {shown(halves[1])}"
        for what, window in (("one target down", ONE_DOWN), ("one down, one slow, one hanging", ALL_HURT)):
            during = percentile(self.waits(self.grants, window, calm=True), 0.95)
            if base is None or during is None:
                continue
            shift = during / base - 1
            self.bar(f"healthy targets' p95 with {what}", f"{shown(during)}, {shift:+.0%} of {shown(base)} before{noise}",
                     "≤ +10 %", shift <= 0.1)

    def step(self, target, kind):
        return next(at for at, which, what, _ in self.world.steps if (which, what) == (target, kind))

    def judge_outage(self):
        down, back = self.step(DOWN, "down"), self.step(DOWN, "none")
        tries = [at for at, _, status in self.log[DOWN] if status == 0 and down <= at <= back]
        hot = [at for at in tries if down + HOT <= at]
        allowed = (back - down - HOT) / 30 * len(self.world.nodes) + 1
        text = f"{len(tries)} in {shown(back - down)}"
        if back - down > HOT + 60:
            self.bar("calls to the target that was down", f"{text}, {len(hot)} after the first 5 min",
                     f"≤ 1 in 30 s after 5 min: {allowed:.0f}", len(hot) <= allowed)
        else:
            self.bar("calls to the target that was down", text, "≤ 1 in 30 s after 5 min", None)
        if tries and self.world.caused:
            late = self.world.caused[0] - min(tries)
            self.bar("its cause is listed after the first call that failed", shown(max(0.0, late)), "≤ 5 s", late <= 5)
        waiting_grants = [(promised, done) for promised, target, done in self.grants
                          if target == DOWN and promised < back and not (done and done < back)]
        waiting_revokes = [(promised, done) for promised, target, done in self.revokes
                           if target == DOWN and promised < back and not (done and done < back)]
        waiting_revokes = [(p, d) for p, d in waiting_revokes if d]  # what was never there needs no removal
        done_grants = [done for _, done in waiting_grants if done]
        done_revokes = [done for _, done in waiting_revokes]
        everything = done_grants + done_revokes
        first = next((at for at, _, status in self.log[DOWN] if back <= at and status), None)
        drained = max(everything) - back if everything else None
        throttled = sum(1 for at, _, status in self.log[DOWN] if back <= at and status == 429)
        self.bar(f"drain after the outage: {len(done_grants)} grants, {len(done_revokes)} removals",
                 f"first call after {shown(first and first - back)}, all there after {shown(drained)}, {throttled} calls too many",
                 "≤ 30 min, no 429", drained is not None and drained <= 1800 and not throttled)
        if done_revokes and done_grants:
            medians = statistics.median(done_revokes) - back, statistics.median(done_grants) - back
            self.bar("removals before grants", f"half of the removals after {shown(medians[0])}, of the grants after {shown(medians[1])}",
                     "removals first", medians[0] <= medians[1])

    def judge_throttled(self):
        left, calls, until = self.paced
        log = self.log[THROTTLED][:calls]
        admitted = sum(1 for at, _, status in log if self.began <= at and status not in (0, 1, 429))
        refused = sum(1 for at, _, status in log if self.began <= at and status == 429)
        changes = sum(1 for at, kind, _, _ in self.events[THROTTLED] if self.began <= at < until and kind != "again")
        pace = "not set" if self.world.options.unpaced else self.world.pace()
        self.bar(f"target that takes 2 calls a second, `callsPerMinute` {pace}", f"{admitted} calls taken, {refused} refused "
                 f"({refused / max(1, refused + admitted):.0%}), {changes} changes made, {left} waiting at the end",
                 "none waiting at the end", left == 0)

    def judge_process(self):
        world, slopes, files = self.world, [], []
        hours = 0
        for number in range(len(world.nodes)):
            life = [s for s in world.samples if s[1] == number and s[2] == world.lives[number] and s[0] < self.at(1)]
            if len(life) < 20:
                continue
            rest = life[len(life) // 4:]
            hours = (rest[-1][0] - rest[0][0]) / 3600
            slope, _ = statistics.linear_regression([s[0] for s in rest], [s[3] for s in rest])
            slopes.append(slope * 3600 / statistics.mean(s[3] for s in rest))
            files.append((max(s[4] for s in life[:len(life) // 2]), max(s[4] for s in life[len(life) // 2:])))
        resident = [s[3] for s in world.samples]
        if slopes:
            growth = ", ".join(f"{slope:+.1%} an hour" for slope in slopes)
            self.bar("resident memory", f"{min(resident) / 2**20:.0f} to {max(resident) / 2**20:.0f} MiB; in the last life "
                     f"(seen for {hours * 60:.0f} min) {growth}", "≤ +1 % an hour, judged from 1 h on",
                     max(slopes) <= 0.01 if hours >= 1 else None)
            grown = ", ".join(f"{a} then {b}" for a, b in files)
            self.bar("open files, most in the halves of the last life", grown, "flat", all(b <= a * 1.2 + 5 for a, b in files))
        if world.sizes:
            first, last = world.sizes[0][1], world.sizes[-1][1]
            self.bar("database", f"{first / 2**20:.0f} MiB, then {last / 2**20:.0f} MiB", "reported", None)
        starts = [start for node in world.nodes for start in node.starts[1:]]
        if starts:
            self.bar(f"start to ready after kill -9, {len(starts)} times", f"{max(starts):.2f} s at most", "≤ 5 s", max(starts) <= 5)

    def judge_truth(self):
        world, lost, extra, broken = self.world, 0, 0, []
        truth = collections.defaultdict(set)
        for index, (package, _) in enumerate(world.packages):
            path = f"{MANAGEMENT}/assignments?$filter=accessPackage/id eq '{package}' and state eq 'delivered'&$expand=target&$top=500"
            truth[index] = {assignment["target"]["objectId"] for assignment in world.apis[0].pages(path)}
        for pair in world.pairs.values():
            there = world.people[pair.person] in truth[pair.package]
            if pair.state == "live" and not there or pair.state == "gone" and there:
                broken.append(pair)
        twice = again = 0
        for target in range(world.options.targets):
            whose = dict(self.accounts[target])
            doubled = collections.Counter(whose.values())
            twice += sum(count - 1 for count in doubled.values())
            again += sum(1 for _, kind, _, _ in self.events[target] if kind == "again")
            for group, members in world.targets.ask(target, "members").items():
                have = {whose[member] for member in members}
                lost += len(truth[int(group[1:])] - have)
                extra += len(have - truth[int(group[1:])])
        unsure = sum(1 for pair in world.pairs.values() if pair.state == "unsure")
        self.bar("all but that target settled after the load", shown(self.settled), "within the patience of the run", self.settled is not None)
        self.bar(f"{len(world.pairs)} assignments given, {sum(1 for p in world.pairs.values() if p.taken or p.end)} taken or ended",
                 f"{len(broken)} acknowledged changes not kept, {lost} memberships lost, {extra} too many, {twice} accounts doubled "
                 f"({unsure} unacknowledged; {again} calls repeated without effect)",
                 "0 lost, 0 doubled", not broken and not lost and not extra and not twice)

    # The report.

    def report(self):
        world, options = self.world, self.options_line()
        lines = [f"# Soak of {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC", "", options, "",
                 "| What | Figure | Bar | |", "|---|---|---|---|"]
        lines += [f"| {what} | {figure} | {bar} | {verdict} |" for what, figure, bar, verdict in self.bars]
        lines += ["", "What happened, in minutes after the start:", ""]
        happened = [(at, f"`{world.name(target)}` {words}") for at, target, kind, words in world.steps if kind != "recovers"]
        happened += [(at, f"{what}, there again after {ready - at:.1f} s") for at, ready, what in world.kills]
        lines += [f"- {(at - self.began) / 60:.1f}: {words}" for at, words in sorted(happened)]
        lines += ["", "Over the run, by tenths:", "",
                  "| From | healthy targets p50 | p95 | reads p99 | memory | waiting at `down` | `slow` | `hanging` | `throttled` | `locked` |",
                  "|---|---|---|---|---|---|---|---|---|---|"]
        lines += [self.tenth(number) for number in range(10)]
        if world.refusals:
            lines += ["", "Refused: " + ", ".join(f"{count} × {what}" for what, count in world.refusals.most_common(12)) + "."]
        failed = sum(1 for bar in self.bars if bar[3] == "FAIL")
        passed = sum(1 for bar in self.bars if bar[3] == "PASS")
        lines += ["", f"**{'FAIL' if failed else 'PASS'}**: {passed} bars passed, {failed} failed, "
                  f"{len(self.bars) - passed - failed} not judged."]
        return "\n".join(lines) + "\n", failed

    def options_line(self):
        options, world = self.world.options, self.world
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        where = "3 servers on one PostgreSQL" if options.postgres else "1 server on SQLite"
        spent = sum(max((s[5] for s in world.samples if s[1:3] == (n, life)), default=0)
                    for n in range(len(world.nodes)) for life in range(world.lives[n] + 1))
        return (f"{where}; {options.people} people, {options.packages} packages of 2 roles, {options.targets} targets; "
                f"{options.rate:g} operations (one in five writes) and {options.changes:g} changes a second for "
                f"{self.length / 60:.0f} minutes; seed {options.seed}. {os.cpu_count()} processors, {memory:.0f} GiB, "
                f"{platform.system()} {platform.release()}, load average at the end {os.getloadavg()[1]:.1f}; the servers used "
                f"{spent / self.length:.0%} of one processor. Binary: {BINARY.parent.name}.")

    def tenth(self, number):
        window = (number / 10, (number + 1) / 10)
        start, end = self.at(window[0]), self.at(window[1])
        took = self.waits(self.grants, window)
        reads = [seconds for at, kind, seconds, status in self.world.calls if kind == "read" and status and start <= at < end]
        memory = [s[3] for s in self.world.samples if start <= s[0] < end]
        cells = [f"{number * self.length / 600:.1f} min", shown(percentile(took, 0.5)), shown(percentile(took, 0.95)),
                 shown(percentile(reads, 0.99)), f"{max(memory) / 2**20:.0f} MiB" if memory else "–"]
        for target in range(len(NAMES)):
            most = [backlog[self.world.name(target)] for at, backlog in self.world.backlogs if start <= at < end]
            cells.append(str(max((b["due"] + b["inFlight"] + b["stuck"] for b in most), default=0)))
        return "| " + " | ".join(cells) + " |"


def soak(world):
    world.start()
    world.build()
    options, length = world.options, world.options.minutes * 60
    print(f"filling: {options.people} assignments", file=sys.stderr, flush=True)
    filling = [threading.Thread(target=lambda: [world.give() for _ in range(options.people // 8)]) for _ in range(8)]
    for thread in filling:
        thread.start()
    for thread in filling:
        thread.join()
    if world.settle(600) is None:
        raise Failure("what the organization began with was not delivered")
    world.calls.clear()
    over, began = threading.Event(), time.time()
    helpers = [threading.Thread(target=world.watch, args=(over,)),
               threading.Thread(target=world.hurt, args=(began, length, over))]
    for thread in helpers:
        thread.start()
    try:
        world.load(began + length)
        patience = time.time() + options.patience * 60
        settled = world.settle(options.patience * 60, {NAMES[THROTTLED]})
        paced = world.settle(patience - time.time())
        left = 0 if paced is not None else world.waiting()[NAMES[THROTTLED]]
        limited = len(world.targets.ask(THROTTLED, "calls", 0)), time.time()
        # Whether anything was lost is seen when nothing holds the rest up any longer.
        world.targets.fault(THROTTLED, "none")
        # Dated assignments that are still to end would be there rightly.
        time.sleep(max(0, max((pair.end or 0 for pair in world.pairs.values()), default=0) + 5 - time.time()))
        world.settle(options.patience * 60)
    finally:
        over.set()
        for thread in helpers:
            thread.join()
    findings = Findings(world, began, length, settled, (left, *limited))
    # What was there before the load began is judged for truth, not for how long it took.
    findings.grants = [grant for grant in findings.grants if began <= grant[0]]
    findings.judge()
    return findings.report()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--packages", type=int, default=50)
    parser.add_argument("--targets", type=int, default=9, help="five of them are hurt, so at least 7")
    parser.add_argument("--rate", type=float, default=20, help="operations a second, one in five writes")
    parser.add_argument("--changes", type=float, default=1, help="changes of people and packages a second")
    parser.add_argument("--kill-every", type=float, help="minutes between kill -9; 10, or a sixth of a shorter run")
    parser.add_argument("--patience", type=float, default=15, help="minutes to wait for everything to settle after the load")
    parser.add_argument("--unpaced", action="store_true", help="do not tell the server what the throttled target admits")
    parser.add_argument("--postgres", action="store_true", help="3 servers on one PostgreSQL, which is killed too")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--report", type=pathlib.Path, help="where the report goes; .cache/soak/ with the date")
    options = parser.parse_args()
    if options.targets < len(NAMES) + 2 or options.packages < 10:
        parser.error(f"at least {len(NAMES) + 2} targets and 10 packages, so that some are healthy")
    if options.people * options.packages < 4 * (options.people + options.minutes * 60 * options.rate / 5):
        parser.error("too few people and packages for so long a run: no assignment is given twice")
    if options.kill_every is None:
        options.kill_every = min(10, options.minutes / 6)
    engine = "postgres" if options.postgres else "sqlite"
    report = options.report or ROOT / ".cache/soak" / f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M}-{engine}.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-soak-"))
    os.chmod(folder, 0o755)
    world = World(options, folder)
    try:
        text, failed = soak(world)
    except Failure as failure:
        print(f"FAILED {failure}")
        return 1
    finally:
        world.stop()
        shutil.rmtree(folder, ignore_errors=True)
    report.write_text(text)
    print(text)
    print(f"report: {report}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
