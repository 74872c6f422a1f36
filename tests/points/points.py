#!/usr/bin/env python3
"""The real program ends at every named crash point, one after another, and is started again.

The points are those of `crates/store/src/crash.rs`. For each the program is started with the point armed, and work is done
that passes it, until the program has ended there; a point that is not reached fails the run. Then it is started again
without it, and whoever asked asks again for what was not acknowledged, under the same `Idempotency-Key`. In the end every
acknowledged request must have come to its end, targets must hold what was decided and nothing twice, audit log and timeline
must tell of every step of every request exactly once, and the database must be sound.
"""

import argparse
import contextlib
import hashlib
import http.server
import itertools
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import scenes  # noqa: E402
from scenes import wait  # noqa: E402
from served import BINARY, MANAGEMENT, ROOT, Failure, Http, Server, cluster, own_database, people  # noqa: E402
from served import catalog_of, connect, package_of, resource  # noqa: E402
from targets import Targets  # noqa: E402

LIST = ROOT / "crates/store/src/crash.rs"
# How long a point may take to be reached, and everything to come to its end. After a crash in a call its lease must run out.
REACHED_WITHIN, SETTLED_WITHIN = 90, 180
PEOPLE = 400


def points():
    """The names of all points, as the program knows them."""
    return re.findall(r'^    \w+ => "([a-z-]+\.[a-z-]+)",$', LIST.read_text(), re.MULTILINE)


class Hook:
    """A webhook that remembers how often each notice came."""

    def __init__(self):
        self.calls = {}
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                id_ = self.headers["webhook-id"]
                hook.calls[id_] = hook.calls.get(id_, 0) + 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class World:
    """A deployment with two targets, what was asked of it, and what must be true in the end."""

    def __init__(self, folder, url=None):
        self.folder, self.data, self.url = folder, folder / "data", url
        self.data.mkdir(parents=True)
        self.targets, self.hook = Targets(2), Hook()
        self.environment = {
            "ACCEDE_NOTICES__WEBHOOK": f"http://127.0.0.1:{self.hook.server.server_port}/accede",
            "ACCEDE_NOTICES__WEBHOOK_SECRET": "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiBBY2NlZGU=",
            "ACCEDE_GUARDS__REVOCATIONS_LEAST": "2", "ACCEDE_GUARDS__REVOCATIONS_PERCENT": "0",
        }
        self.server = Server(self.data, url, dict(self.environment))
        self.server.start()
        self.token = self.run("token", "--app", "points", "--role", "Global Administrator", "--lifetime", "PT20H").strip()
        self.api = Http(f"http://127.0.0.1:{self.server.port}", self.token)
        self.crashes, self.born, self.name = 0, 0, f"{folder.parent.name}{os.getpid()}"
        self.last = self.held_change = None  # what one scene leaves to another
        self.down, self.dead = [], []  # what is done while the server is down, before it is armed and after it ended
        self.later = []  # what must become true in the end: a name and a question
        self.requests = []  # what was asked, see Ask
        self.members = {}  # who must be in a group of a target, and who must not
        for number, name in enumerate(("crm", "wiki")):
            self.targets.ask(number, "groups", ["crew", "one", "two"])
            connect(self.api, name, self.targets.bases[number])
        self.catalog = catalog_of(self.api, "Points")
        self.roles = {(name, group): resource(self.api, self.catalog, name, group)
                      for name, group in (("crm", "crew"), ("wiki", "crew"), ("crm", "one"), ("crm", "two"))}
        self.crew = package_of(self.api, self.catalog, "Crew", [self.roles["crm", "crew"]])
        self.wiki = package_of(self.api, self.catalog, "Wiki", [self.roles["wiki", "crew"]])
        self.people = iter(people(self.api, self.server, PEOPLE))
        # Targets know people by their subjects.
        self.persons = {subject: user for user, subject in self.sql(
            f"select {self.uuid('id')}, {self.uuid('subject_id')} from users")}

    def run(self, *arguments, armed=None, data=None, code=0):
        """Runs a command of the program; armed, it must end at that point."""
        environment = dict(os.environ, ACCEDE_EGRESS__ALLOW="127.0.0.0/8", **self.environment)
        if armed:
            environment["ACCEDE_CRASH_AT"] = armed
        more = ["--database", self.url] if self.url and not data else []
        done = subprocess.run([BINARY, *arguments, "--data", data or self.data, *more], capture_output=True, text=True,
                              env=environment, stdin=subprocess.DEVNULL)
        if armed:
            if done.returncode != -signal.SIGABRT or f"crash point `{armed.split(':')[0]}`" not in done.stderr:
                raise Failure(f"{armed} was not reached by {arguments}: {done.returncode} {done.stderr}")
            self.crashes += 1
        elif done.returncode != code:
            raise Failure(f"{arguments} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def sql(self, text):
        """Asks the database itself; rows of texts."""
        if self.url:
            command = ["psql", "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--field-separator", "\t", self.url]
            done = subprocess.run([*command, "--command", text], check=True, capture_output=True, text=True)
            return [line.split("\t") for line in done.stdout.splitlines()]
        with contextlib.closing(sqlite3.connect(self.data / "accede.db", timeout=10)) as database, database:
            return [[str(cell) for cell in row] for row in database.execute(text)]

    # The server.

    def stop(self):
        self.server.stop()

    def start(self, armed=None, **environment):
        self.server.environment = {**self.environment, **environment}
        if armed:
            self.server.environment["ACCEDE_CRASH_AT"] = armed
        self.server.start()

    def ended_at(self, point, seconds):
        """Waits until the server ended at a point."""
        try:
            code = self.server.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{point} was not reached within {seconds} s") from None
        log = (self.server.data / "serve.log").read_text()
        if code != -signal.SIGABRT or not log.rstrip().endswith(f"crash point `{point}`"):
            raise Failure(f"{point}: the server ended with {code}: {log[-1000:]}")
        self.crashes += 1

    def strike(self, point, scene, nth=1, **environment):
        """Has the server end at a point while a scene is played, and starts it again."""
        work, finish = scene(self)
        self.stop()
        for step in self.down:
            step()
        self.down = []
        try:
            self.start(f"{point}:{nth}", **environment)
            work()
        except (OSError, ValueError, Failure):
            pass  # whoever asked was not answered
        self.ended_at(point, REACHED_WITHIN)
        for step in self.dead:
            step()
        self.dead = []
        self.start()
        self.ready()
        finish()

    def ready(self):
        with urllib.request.urlopen(self.api.base + "/readyz", timeout=30) as answer:
            text = answer.read().decode()
        if text.strip() != "ready":
            raise Failure(f"it started again and is not ready: {text}")

    # What is asked of it.

    def add(self, package, user=None, **more):
        """A request that gives somebody a package."""
        user = user or next(self.people)
        return Ask(self, user, {"requestType": "adminAdd", "assignment": {
            "targetId": user, "accessPackageId": package[0], "assignmentPolicyId": package[1]}, **more})

    def ask(self, user, body, api):
        """A request that somebody makes at a door of their own."""
        return Ask(self, user, body, api)

    def assignment(self, user, package):
        filter_ = f"target/objectId eq '{user}' and accessPackage/id eq '{package[0]}'"
        found = wait("the assignment", lambda: self.api.must("GET", f"{MANAGEMENT}/assignments?$filter={filter_}")["value"])
        return found[0]["id"]

    def remove(self, package, user):
        """A request that takes it away."""
        return Ask(self, user, {"requestType": "adminRemove", "assignment": {"id": self.assignment(user, package)}})

    def must_hold(self, number, group, user, holds):
        self.members[number, group, user] = holds

    # What must be true in the end.

    def state_of(self, request):
        return self.api.must("GET", f"{MANAGEMENT}/assignmentRequests/{request}")["state"]

    def held(self):
        """Who is in which group, by person; fails when anybody has two accounts."""
        found = set()
        for number in range(2):
            accounts = self.targets.ask(number, "accounts")
            persons = {account: self.persons.get(subject, subject) for account, subject in accounts}
            if len(set(persons.values())) != len(accounts):
                raise Failure(f"target {number}: an account was made twice")
            for group, members in self.targets.ask(number, "members").items():
                found.update((number, group, persons.get(member)) for member in members)
        return found

    def wrong(self):
        """What is not yet as it must be."""
        # Whoever waits for something may do something about it.
        awaited = [name for name, holds in self.later if not holds()]
        held = self.held()
        for (number, group, user), wanted in self.members.items():
            if ((number, group, user) in held) != wanted:
                return f"{user} {'is not' if wanted else 'is'} in {group} of target {number}"
        expected = {key for key, wanted in self.members.items() if wanted}
        strangers = [key for key in held - expected if key[2] in {user for _, _, user in self.members}]
        if strangers:
            return f"they hold what nobody gave them: {strangers}"
        for ask in self.requests:
            state = self.state_of(ask.id)
            if state not in ask.ends:
                return f"the request {ask.id} ({ask.body['requestType']}) is {state}"
        return awaited[0] if awaited else None

    def settle(self):
        """Waits until everything came to its end, and looks whether the books are right."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while wrong := self.wrong():
            if time.monotonic() > deadline:
                raise Failure(f"in the end {wrong}")
            time.sleep(0.5)
        if twice := [id_ for id_, count in self.hook.calls.items() if count > 2]:
            raise Failure(f"notices came more than once a crash: {twice}")
        self.books()

    def books(self):
        """Audit log and timeline: every step of every request once, from where the last one ended."""
        steps, told = {}, {}
        for request, action, detail in self.sql(
                "select object_id, action, detail from audit where object_type = 'accessPackageAssignmentRequest'"):
            steps.setdefault(request, []).append((action, scenes.parsed(detail)))
        known = self.requests_by_id()
        for request, kind in self.sql(f"select {self.uuid('request_id')}, kind from history"):
            told.setdefault(request, []).append(kind)
        for request, (state, type_) in known.items():
            actions = [action for action, _ in steps.get(request, ())]
            # What the server asks for by itself begins with its first step.
            if actions.count("request submitted") != (type_ != "systemRemove"):
                raise Failure(f"the audit log says {actions.count('request submitted')} times that {request} was submitted")
            moves = [(detail["from"], detail["to"]) for action, detail in steps[request] if "from" in detail]
            # Each state but the first and the last is come to as often as it is left.
            balance = {}
            for before, after in moves:
                balance[before] = balance.get(before, 0) - 1
                balance[after] = balance.get(after, 0) + 1
            open_ = sorted((state, count) for state, count in balance.items() if count)
            ends = [state for state, count in open_ if count == 1]
            if len(open_) != 2 or len(ends) != 1:
                raise Failure(f"the audit log does not tell how {request} ({state}) went: {moves}")
            for action in set(actions) - {"request submitted"}:
                if told[request].count(action) != actions.count(action):
                    raise Failure(f"timeline and audit log of {request} differ: {sorted(told[request])}, {sorted(actions)}")
        if not self.url:
            if self.sql("pragma integrity_check") != [["ok"]] or self.sql("pragma foreign_key_check"):
                raise Failure("the database is not sound")

    def requests_by_id(self):
        return {request["id"]: (request["state"], request["requestType"]) for request in self.api.pages(f"{MANAGEMENT}/assignmentRequests?$top=500")}

    def uuid(self, column):
        """A column of ids, as text."""
        return f"{column}::text" if self.url else scenes.UUID.format(column)

    def close(self):
        self.stop()
        self.targets.stop()
        self.hook.server.shutdown()


class Ask:
    """A request that is sent until it is acknowledged, always under the same key."""

    numbers = itertools.count()

    def __init__(self, world, user, body, api=None, ends=("delivered",)):
        self.world, self.user, self.body, self.api, self.id = world, user, body, api or world.api, None
        self.key, self.ends = f"points-{next(Ask.numbers)}", ends
        world.requests.append(self)

    def send(self):
        if self.id:
            return
        status, answer = self.api.call("POST", f"{MANAGEMENT}/assignmentRequests", self.body,
                                       headers={"Idempotency-Key": self.key})
        if status != 201:
            raise Failure(f"asking answered {status}: {answer}")
        self.id = answer["id"]


def chosen(names, count):
    """Some of them, others for each commit, so that a run can be repeated and each has its turn."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return sorted(names, key=lambda name: hashlib.sha256(f"{commit} {name}".encode()).digest())[:count]


def play(engine, folder, url, names, round_):
    """Strikes all these points; the names of those that held, and what went wrong."""
    passed, failures = [], []
    world = World(folder / engine, url)
    try:
        for name in sorted(names, key=scenes.order):
            began = time.monotonic()
            try:
                scenes.strike(world, name, round_)
                passed.append(name)
                print(f"{engine} {name}: {time.monotonic() - began:.1f} s", flush=True)
            except (Failure, OSError, LookupError, StopIteration, ValueError, sqlite3.Error, subprocess.SubprocessError) as failure:
                failures.append(f"{engine} {name}: {failure!r} {getattr(failure, 'stderr', '') or ''}")
                print(f"FAILED {failures[-1]}", flush=True)
                if world.server.process.poll() is None:
                    world.server.kill()
                world.targets.fault(1, "none")
                world.start()
        try:
            began = time.monotonic()
            world.settle()
            print(f"{engine}: all came to its end: {time.monotonic() - began:.1f} s", flush=True)
        except Failure as failure:
            failures.append(f"{engine}, in the end: {failure}")
            print(f"FAILED {failures[-1]}", flush=True)
            print((world.data / "serve.log").read_text()[-3000:])
        return passed, failures, world.crashes
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("point", nargs="*", help="names or areas; without one, all of them")
    parser.add_argument("--engine", choices=["sqlite", "postgres"], action="append")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--all", action="store_true", help="all of them on PostgreSQL too")
    options = parser.parse_args()
    known = points()
    wanted = [name for name in known
              if not options.point or name in options.point or name.split(".")[0] in options.point]
    passed, failures = 0, []
    folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-points-"))
    try:
        for round_, engine in itertools.product(range(options.rounds), options.engine or ["sqlite", "postgres"]):
            names = [name for name in wanted if scenes.is_of(engine, name)]
            with contextlib.ExitStack() as stack:
                url = None
                if engine == "postgres":
                    if not (options.all or options.point):
                        names = chosen(names, 6)
                    url = own_database(stack.enter_context(cluster()), f"points_{round_}")
                began = time.monotonic()
                good, bad, crashes = play(engine, folder / str(round_), url, names, round_)
                passed, failures = passed + len(good), failures + bad
                print(f"{engine}: {crashes} crashes at {len(good)} points in {time.monotonic() - began:.0f} s", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
