"""What is played at the crash points: for each area of points the work that passes them.

A scene prepares while the server runs and answers with two things: `work`, which is done while the point is armed and may
be cut off anywhere, and `finish`, which whoever was cut off does once the server is there again. Points that a command
passes, or a new deployment, have a strike of their own, see [OWN].
"""

import contextlib
import datetime
import json
import shutil
import signal
import sqlite3
import time

from served import MANAGEMENT, Failure, Http, Server, own_database, package_of

UUID = "lower(" + " || '-' || ".join(
    f"substr(hex({{0}}), {start}, {length})" for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))) + ")"


# What an import ends with when people wait for a second person.
HELD = 7


def parsed(text):
    return json.loads(text)


def nothing():
    pass


# A lease of a minute may have to run out first.
def wait(what, holds, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        if time.monotonic() > deadline:
            raise Failure(f"waited in vain: {what}")
        time.sleep(0.05)
    return found


def soon(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# Requests and their delivery.


def crew(world):
    """Somebody gets the package, and who got it last time loses it."""
    add = world.add(world.crew)
    asks = [add]
    if world.last:
        asks.append(world.remove(world.crew, world.last.user))
        world.must_hold(0, "crew", world.last.user, False)
        # Taken away before it was there: the request to give it ends canceled.
        world.last.ends = ("delivered", "canceled")
    world.must_hold(0, "crew", add.user, True)
    world.last = add

    def send():
        for ask in asks:
            ask.send()

    return send, send


def approval(world):
    """Somebody asks, and an approver decides."""
    asks, approve = pending(world)
    add = asks[0]
    add.send()
    world.must_hold(0, "crew", add.user, True)

    def decide():
        approve(add)

    return decide, decide


def pending(world):
    """A request that waits for an approver, and how they approve it, as often as it takes."""
    approver, user = next(world.people), next(world.people)
    package = package_of(world.api, world.catalog, f"Asked {user}", [world.roles["crm", "crew"]])
    policy = world.api.must("POST", f"{MANAGEMENT}/assignmentPolicies", {
        "displayName": "Asked", "description": "Somebody decides", "accessPackage": {"id": package[0]},
        "allowedTargetScope": "allMemberUsers", "requestorSettings": {"enableTargetsToSelfAddAccess": True},
        "requestApprovalSettings": {"isApprovalRequiredForAdd": True, "stages": [{
            "durationBeforeAutomaticDenial": "P5D",
            "primaryApprovers": [{"@odata.type": "#microsoft.graph.singleUser", "userId": approver}]}]}})["id"]

    def door(person):
        return Http(world.api.base, world.run("token", "--user", person).strip())

    asked, deciding = door(user), door(approver)
    body = {"requestType": "userAdd", "assignment": {"accessPackageId": package[0], "assignmentPolicyId": policy}}
    ask = world.ask(user, body, asked)

    def approve(ask):
        path = f"{MANAGEMENT}/accessPackageAssignmentApprovals/{ask.id}/stages"
        stage = deciding.must("GET", path)["value"][0]
        if stage["reviewResult"] == "NotReviewed":
            deciding.must("PATCH", f"{path}/{stage['id']}", {"reviewResult": "Approve", "justification": "fine"})

    return [ask], approve


# What the clock brings about.


def ending(world):
    end = {"type": "afterDateTime", "endDateTime": soon(3)}
    add = world.add(world.crew, schedule={"expiration": end})
    add.ends = ("delivered", "canceled")
    add.send()
    world.must_hold(0, "crew", add.user, False)
    return nothing, nothing


def beginning(world):
    add = world.add(world.crew, schedule={"startDateTime": soon(3)})
    add.send()
    world.must_hold(0, "crew", add.user, True)
    return nothing, nothing


def overdue(world):
    asks, _ = pending(world)
    asks[0].ends = ("denied",)
    asks[0].send()
    world.must_hold(0, "crew", asks[0].user, False)
    world.down.append(lambda: world.sql("update approval_stages set due_at_ms = 1 where status = 'InProgress'"))
    return nothing, nothing


# A target in trouble.


def target_id(world, name):
    return next(one["id"] for one in world.api.must("GET", "/accede/v1/targets")["value"] if one["name"] == name)


def trouble(world, count=1):
    """The second target is down, and somebody waits for it; how all is well again."""
    adds = [world.add(world.wiki) for _ in range(count)]
    for add in adds:
        world.must_hold(1, "crew", add.user, True)

    def send():
        for add in adds:
            add.send()

    def mend():
        send()
        # Their window may end before the target is well again.
        retry(world, adds)
        world.targets.fault(1, "none")
        world.api.must("POST", f"/accede/v1/targets/{target_id(world, 'wiki')}/check")

    # What an earlier scene left must not be what the target is tried with.
    wait("the second target", lambda: not world.sql("select 1 from circuits where state <> 'closed'"))
    world.targets.fault(1, "down")
    return adds, send, mend


def tripping(world):
    _, send, mend = trouble(world, 6)
    world.targets.fault(1, "none")

    def fail():
        world.targets.fault(1, "down")
        send()

    return fail, mend


def asking(world):
    _, send, mend = trouble(world)
    send()

    def check():
        world.api.must("POST", f"/accede/v1/targets/{target_id(world, 'wiki')}/check")

    return check, mend


def giving_up(world):
    _, send, mend = trouble(world, 3)
    send()
    is_open = "select 1 from circuits where state = 'open'"
    wait("the circuit to open", lambda: world.sql(is_open))
    return nothing, mend


def retry(world, asks):
    """Has requests that were given up tried again, once all of them came to rest."""
    ids = [ask.id for ask in asks]

    def rest():
        states = {world.state_of(id_) for id_ in ids}
        if states & {"deliveryFailed", "partiallyDelivered"}:
            plan = world.api.must("POST", "/accede/v1/reprocessPlans", {"ids": ids})
            world.api.must("POST", f"/accede/v1/reprocessPlans/{plan['id']}/run", {"digest": plan["digest"]})
        return states == {"delivered"}

    world.later.append((f"delivered after all: {ids}", rest))


def breaking_down(world):
    """Work on a delivery broke the server down twice, and does so once more."""
    _, send, mend = trouble(world)
    world.targets.fault(1, "hang")
    send()
    there = "phase = 'inFlight' and target_id = (select id from targets where name = 'wiki')"
    wait("the call", lambda: world.sql(f"select 1 from deliveries where {there}"))
    world.server.kill()
    world.sql(f"update deliveries set crashes = 2, ready_at_ms = 1, deadline_at_ms = 0 where {there}")
    return nothing, mend


# Jobs.


def job(world):
    """Requests that the target refused are tried again."""
    adds, send, mend = trouble(world, 3)
    world.targets.fault(1, "refuse")
    send()
    wait("the refusals", lambda: all(world.state_of(add.id) == "deliveryFailed" for add in adds))
    world.targets.fault(1, "none")
    known = {}

    def run():
        plan = known.get("plan") or world.api.must("POST", "/accede/v1/reprocessPlans", {"ids": [add.id for add in adds]})
        known["plan"] = plan
        known["job"] = world.api.must("POST", f"/accede/v1/reprocessPlans/{plan['id']}/run", {"digest": plan["digest"]})["id"]

    def again():
        # What a lease held back may be tried just when another scene has the target refuse.
        retry(world, adds)
        run()
        # The next scene refuses again.
        path = f"/accede/v1/reprocessJobs/{known['job']}"
        wait("the job", lambda: world.api.must("GET", path)["isOver"])

    return run, again


# Changes for many, held changes, imports.


def holders(world, roles, group):
    """A package of these roles with three holders."""
    package = package_of(world.api, world.catalog, f"Held {group} {time.monotonic()}", roles)
    adds = [world.add(package) for _ in range(3)]
    for add in adds:
        add.send()
    wait("three holders", lambda: all(world.state_of(add.id) == "delivered" for add in adds))
    return package, [add.user for add in adds]


def spread(world):
    package, users = holders(world, [world.roles["crm", "one"]], "one")
    for user in users:
        world.must_hold(0, "one", user, True)
        world.must_hold(0, "two", user, True)

    def add_role():
        given = world.api.must("GET", f"{MANAGEMENT}/accessPackages/{package[0]}?$expand=resourceRoleScopes")
        if len(given["resourceRoleScopes"]) == 1:
            world.api.must("POST", f"{MANAGEMENT}/accessPackages/{package[0]}/resourceRoleScopes", world.roles["crm", "two"])

    return add_role, add_role


def held(world):
    """A role of a package is removed: so many that a second person must see it. It is known as `world.held_change`."""
    package, users = holders(world, [world.roles["crm", "one"], world.roles["crm", "two"]], "two")
    for user in users:
        world.must_hold(0, "one", user, True)
        world.must_hold(0, "two", user, True)
    path = f"{MANAGEMENT}/accessPackages/{package[0]}"

    def remove_role():
        given = world.api.must("GET", f"{path}?$expand=resourceRoleScopes($expand=role)")["resourceRoleScopes"]
        if len(given) == 2:
            two = next(one for one in given if one["role"]["originId"] == world.roles["crm", "two"]["role"]["originId"])
            world.api.must("DELETE", f"{path}/resourceRoleScopes/{two['id']}")

    def again():
        remove_role()
        waiting = [one for one in world.api.must("GET", "/accede/v1/guards")["value"] if one["state"] == "held"]
        if len(waiting) != 1:
            raise Failure(f"the change is not held once: {waiting}")
        world.held_change = waiting[0]["id"], users

    return remove_role, again


def ruling(world):
    if not world.held_change:
        remove, again = held(world)
        remove()
        again()
    change, users = world.held_change
    world.held_change = None
    release = releasing(world, change)
    for user in users:
        world.must_hold(0, "two", user, False)
    return release, release


def releasing(world, change):
    second = next(world.people)
    door = Http(world.api.base, world.run("token", "--user", second, "--role", "Global Administrator").strip())

    def release():
        if door.must("GET", f"/accede/v1/guards/{change}")["state"] == "held":
            door.must("POST", f"/accede/v1/guards/{change}/release")

    return release


def names_of(world, users):
    return [world.api.must("GET", f"/v1.0/users/{user}?$select=userPrincipalName")["userPrincipalName"] for user in users]


def leavers(world):
    """A file that disables three holders of a package; who they are."""
    _, users = holders(world, [world.roles["crm", "one"]], "one")
    file = world.folder / "leavers.csv"
    lines = [f"{name},false" for name in names_of(world, users)]
    file.write_text("\n".join(["userPrincipalName,accountEnabled", *lines]) + "\n")
    return file, users


def leaving(world):
    file, users = leavers(world)
    world.run("users", "import", file, code=HELD)
    change = next(one["id"] for one in world.api.must("GET", "/accede/v1/guards")["value"] if one["state"] == "held")
    for user in users:
        world.must_hold(0, "one", user, False)
    release = releasing(world, change)
    return release, release


def importing(world, point, nth):
    """The command ends in the middle of an import, and is repeated."""
    if point == "import.held":
        file, users = leavers(world)
        world.run("users", "import", file, armed=point)
        world.run("users", "import", file, code=HELD)
        waiting = [one for one in world.api.must("GET", "/accede/v1/guards")["value"] if one["state"] == "held"]
        for one in waiting:
            releasing(world, one["id"])()
        for user in users:
            world.must_hold(0, "one", user, False)
        return
    file, mark = world.folder / "new.csv", f"{time.monotonic():.6f}".replace(".", "")
    lines = [f"n{mark}{n}@points.example,New {n},n{mark}0@points.example" for n in range(1, 5)]
    file.write_text("\n".join(["userPrincipalName,displayName,manager", f"n{mark}0@points.example,Boss,", *lines]) + "\n")
    world.run("users", "import", file, armed=point)
    world.run("users", "import", file)
    for n in range(5):
        found = world.api.must("GET", f"/v1.0/users?$filter=userPrincipalName eq 'n{mark}{n}@points.example'")["value"]
        if len(found) != 1:
            raise Failure(f"there are {len(found)} people of line {n}")
        status, boss = world.api.call("GET", f"/v1.0/users/{found[0]['id']}/manager")
        if (status == 200 and boss["displayName"] == "Boss") != (n > 0):
            raise Failure(f"the manager of line {n} is {boss}")


# Notices, drift.


def notice(world):
    def test():
        world.api.must("POST", "/accede/v1/notices/test")

    def again():
        test()
        world.later.append(("all notices are sent", lambda: world.sql(
            "select count(*) from notices where state <> 'sent'") == [["0"]]))

    # The lease of who ended while sending runs out in 90 s; nobody waits for that here.
    world.dead.append(lambda: world.sql("update notices set next_at_ms = 1 where state = 'pending'"))
    return test, again


def alarms(world):
    world.down.append(lambda: world.sql("delete from settings where key = 'turn.alarms'"))
    return nothing, nothing


def drift(world):
    """Somebody else gave a stranger a role in the target."""
    world.settle()
    name = f"stranger-{time.monotonic()}"
    scim = Http(world.targets.bases[0], "secret")
    account = scim.must("POST", "/Users", {"userName": name, "externalId": name})["id"]
    scim.must("PATCH", "/Groups/crew", {"Operations": [{"op": "add", "path": "members", "value": [{"value": account}]}]})
    path = f"/accede/v1/targets/{target_id(world, 'crm')}/compare"

    def compare():
        world.api.must("POST", path)

    def again():
        compare()
        world.later.append((f"{name} is found once", lambda: [
            one["holder"]["id"] for one in world.api.pages("/accede/v1/drift?$filter=state eq 'open'")
            if one.get("holder")].count(account) == 1))

    # The next turn after one that came to its end is a minute away, and a comparison that runs ends before another begins:
    # the server may have had a turn since the last point. That of a server that ended belongs to it for a quarter of an hour.
    world.down.append(lambda: world.sql("update drift_sweeps set turn_at_ms = 1, is_running = (1 = 0)"))
    world.dead.append(lambda: world.sql("update drift_sweeps set turn_at_ms = 1"))
    return compare, again


# A deployment that begins, and one that is told to stop.


def born(world, point, nth):
    """A new deployment ends while it is made; started again it is whole."""
    world.born += 1
    data = world.folder / f"born-{world.born}"
    data.mkdir()
    url = own_database(world.url, f"born_{world.born}_{world.name}") if world.url else None
    server = Server(data, url, {"ACCEDE_CRASH_AT": f"{point}:{nth}"})
    try:
        with contextlib.suppress(Failure):
            server.start()
        if server.process.wait(timeout=60) != -signal.SIGABRT or f"crash point `{point}`" not in (data / "serve.log").read_text():
            raise Failure(f"{point} was not reached by a new deployment")
        world.crashes += 1
        server.environment = {}
        server.start()
        api = Http(f"http://127.0.0.1:{server.port}", server.token("--role", "Global Administrator"))
        state = api.must("GET", "/accede/v1/deployment")
        catalogs = api.must("GET", f"{MANAGEMENT}/catalogs")["value"]
        if state["state"] != "running" or len(catalogs) != 1:
            raise Failure(f"it is not whole: {state}, {catalogs}")
        server.stop()
        server.start()
        if api.must("GET", "/accede/v1/deployment")["instanceId"] != state["instanceId"]:
            raise Failure("it is another one now")
    finally:
        server.stop()


def again(world, point, nth):
    """A deployment that was served before ends while it starts."""
    world.strike(point, lambda _: (nothing, nothing), nth)


def stopping(world, point, nth):
    add = world.add(world.crew)
    add.send()
    world.must_hold(0, "crew", add.user, True)

    def scene(_):
        return (lambda: world.server.process.send_signal(signal.SIGTERM)), nothing

    world.strike(point, scene, nth)


def token(world, point, nth):
    name = f"app-{time.monotonic()}"
    world.run("token", "--app", name, armed=point)
    Http(world.api.base, world.run("token", "--app", name).strip()).must("GET", f"{MANAGEMENT}/catalogs")
    if world.sql(f"select count(*) from apps where display_name = '{name}'") != [["1"]]:
        raise Failure("the application is not there once")


# Backups, and databases that are put back or copied.


def backup(world, point, nth):
    file = world.folder / "backup.db"
    world.run("backup", "--to", file, "--force", armed=point)
    world.run("backup", "--to", file, "--force")
    with contextlib.closing(sqlite3.connect(file)) as copy:
        if copy.execute("pragma integrity_check").fetchone() != ("ok",):
            raise Failure("the backup is not sound")


def databases(folder):
    """The people in every database file of a folder, by file; a log beside it counts."""
    found = {}
    for file in folder.glob("accede.db*"):
        if not file.name.endswith(("-wal", "-shm", "-journal")):
            scratch = folder / "scratch"
            scratch.mkdir()
            for end in ("", "-wal"):
                if (part := folder / (file.name + end)).exists():
                    shutil.copy(part, scratch / ("copy" + end))
            with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(scratch / "copy")) as copy:
                found[file.name] = {name for (name,) in copy.execute("select user_principal_name from users")}
            shutil.rmtree(scratch)
    return found


def restore(world, point, nth):
    """Putting a backup back is cut off. Whatever was there must still be somewhere, to its last commit; and who starts the
    server right then must not be served less than that without a word."""
    file, data = world.folder / "to-restore.db", world.folder / f"restored-{point}-{nth}"
    world.run("backup", "--to", file, "--force")
    key = ["--key", world.data / "accede.key"]
    if point == "restore.key":
        world.run("restore", "--from", file, *key, data=data, armed=point)
        # The database is there; what is missing is named, and the key is put beside it by hand.
        (data / "accede.key").write_bytes((world.data / "accede.key").read_bytes())
        (data / "accede.key").chmod(0o600)
    else:
        data.mkdir()
        shutil.copy(world.data / "accede.key", data)
        server = Server(data)
        server.start()
        command = Http(f"http://127.0.0.1:{server.port}", server.token())
        person = {"displayName": "Last", "userPrincipalName": "last@points.example", "mailNickname": "last",
                  "accountEnabled": True, "passwordProfile": {"password": "correct horse battery"}}
        command.must("POST", "/v1.0/users", person)
        server.kill()
        world.run("restore", "--from", file, "--force", data=data, armed=f"{point}:{nth}")
        served = databases(data).get("accede.db")
        started = served is not None and ("last@points.example" in served or "p00000@crash.example" in served)
        if not started:
            raise Failure(f"who starts the server now is served neither the former database nor the backup: {served}")
        world.run("restore", "--from", file, "--force", data=data)
        found = databases(data)
        if not any("last@points.example" in names for name, names in found.items() if name != "accede.db"):
            raise Failure(f"the last commit of the former database is in none of {sorted(found)}")
        if "last@points.example" in found["accede.db"]:
            raise Failure("the backup is not in its place")
    server = Server(data)
    server.start()
    try:
        state = Http(f"http://127.0.0.1:{server.port}", world.token).must("GET", "/accede/v1/deployment")
        if state["state"] != "paused":
            raise Failure("a backup was put back and the deployment is not paused")
    finally:
        server.stop()


def doubtful(world, point, nth):
    """A copy of the deployment is paused, compared and confirmed, and ends on the way."""
    if not (world.folder / "copied").exists():
        if not any(wanted for (number, group, _), wanted in world.members.items() if (number, group) == (0, "crew")):
            add = world.add(world.crew)
            add.send()
            world.must_hold(0, "crew", add.user, True)
        world.settle()
        world.stop()
        shutil.copytree(world.data, world.folder / "copied")
        world.start()
    data = world.folder / f"copy-{point}-{nth}"
    shutil.copytree(world.folder / "copied", data)
    gone = next(user for (number, group, user), wanted in world.members.items() if wanted and (number, group) == (0, "crew"))
    members = {world.persons.get(subject): account for account, subject in world.targets.ask(0, "accounts")}
    before = world.held()
    server = Server(data, environment=dict(world.environment, ACCEDE_DRIFT__EVERY="none"))
    api = Http(f"http://127.0.0.1:{server.port}", world.token)
    scim, deployment = Http(world.targets.bases[0], "secret"), "/accede/v1/deployment"
    # The original is not served meanwhile: somebody takes a role away, which the copy must not give again.
    world.stop()
    scim.must("PATCH", "/Groups/crew", {"Operations": [{"op": "remove", "path": f'members[value eq "{members[gone]}"]'}]})

    def go_on():
        state = api.must("GET", deployment)
        if state["state"] == "running":
            return True
        compared = (state["comparison"] or {}).get("completedDateTime")
        if not state["comparison"]:
            api.must("POST", f"{deployment}/compare")
        elif compared and not (state["pause"] or {}).get("choice"):
            status, answer = api.call("POST", f"{deployment}/confirm", {"choice": "resume"})
            if status >= 300 and answer["error"]["code"] != "DeploymentNotPaused":  # it went on a moment ago
                raise Failure(f"confirming answered {status}: {answer}")
        return False

    try:
        server.environment["ACCEDE_CRASH_AT"] = f"{point}:{nth}"
        with contextlib.suppress(Failure, OSError, ValueError):
            server.start()
            wait("the end", go_on)
        if server.process.wait(timeout=60) != -signal.SIGABRT or f"crash point `{point}`" not in (data / "serve.log").read_text():
            raise Failure(f"{point} was not reached")
        world.crashes += 1
        del server.environment["ACCEDE_CRASH_AT"]
        server.start()
        wait("going on", go_on)
        held_back = [one for one in api.pages(f"{deployment}/differences") if one["isHeld"]]
        if len(held_back) != 1:
            raise Failure(f"not exactly what was taken away is held: {held_back}")
        server.stop()
        server.start()
        if api.must("GET", deployment)["state"] != "running":
            raise Failure("it is paused again")
        if world.held() != before - {(0, "crew", gone)}:
            raise Failure("the copy changed its targets")
    finally:
        server.stop()
        scim.must("PATCH", "/Groups/crew", {"Operations": [{"op": "add", "path": "members", "value": [{"value": members[gone]}]}]})
        world.start()


SCENES = {
    "lite": crew, "pg": crew, "creation": crew, "request": crew, "audit": crew, "transition": crew, "begin": crew, "end": crew,
    "roll-up": crew, "delivery": crew, "approval": approval, "sweep.ended": ending, "sweep.began": beginning,
    "sweep.timed-out": overdue, "circuit.noted": tripping, "circuit.asked": asking, "circuit.gave-up": giving_up,
    "poison": breaking_down, "job": job, "spread": spread, "guard.held": held, "guard.ruled": ruling, "guard.left": leaving,
    "notice": notice, "notice.alarms": alarms, "drift": drift,
}
OWN = {
    "migrate": born, "key": born, "open": born, "epoch": again, "open.recovered": again, "open.listening": again,
    "stop": stopping, "token": token, "import": importing, "backup": backup, "restore": restore,
    "pause": doubtful, "compare": doubtful, "confirm": doubtful,
}
# A grant that waits for an open circuit is given up soon.
ENVIRONMENT = {"circuit.gave-up": {"ACCEDE_DELIVERY__GRANT_WINDOW": "PT1S"}}
# At which passings, where the first one is not all there is: at the start, and in the middle of work.
NTH = {"lite": (1, 12, 30), "delivery.claim": (3,), "migrate.applied": (1, 4), "migrate.marked": (1, 4), "migrate.committed": (1, 4), "begin.reason": (1,), "job.item": (2,), "job.marked": (2,),
       "spread.one": (2,), "guard.left": (2,), "confirm.one": (1,), "compare.step": (1, 2)}
# Files of SQLite alone, and a database that is changed behind the server's back.
SQLITE_ONLY = {"lite", "backup", "restore", "pause", "compare", "confirm", "poison"}
# Calls that are cut off take longest to come to their end, so they are first; what wants quiet is last.
FIRST, LAST = ("delivery", "poison", "job"), ("drift", "pause", "compare", "confirm")


def found(table, name):
    return table.get(name) or table.get(name.split(".")[0])


def is_of(engine, name):
    area = name.split(".")[0]
    return area != "lite" if engine == "postgres" and area not in SQLITE_ONLY else engine == "sqlite" and area != "pg"


def order(name):
    area = name.split(".")[0]
    return (0 if area in FIRST else 2 if area in LAST else 1), name


def strike(world, name, round_):
    """Has the program end at a point, at each of the passings that are tried; later rounds try later ones."""
    for nth in found(NTH, name) or (1,):
        if own := found(OWN, name):
            own(world, name, nth)
            continue
        scene = found(SCENES, name)
        if not scene:
            raise Failure(f"nothing is played for {name}; write a scene")
        world.strike(name, scene, nth + (round_ if name.split(".")[0] == "lite" else 0), **ENVIRONMENT.get(name, {}))
