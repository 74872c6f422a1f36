#!/usr/bin/env python3
"""Databases that are not the ones that their servers left, with the real program and a real SCIM server.

SQLite: access is given, a backup is written beside the running server, access is revoked and the target loses it; then
the backup is put back. PostgreSQL: a primary with a streaming standby is killed while requests are being delivered, and
the standby is promoted after it has missed a revocation. Both must start paused, call nothing, refuse changes, show what
differs, and after a confirmation give nothing again that was revoked, while what waited is delivered once.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from served import (BINARY, MANAGEMENT, ROOT, Failure, Http, Scim, Server, free_port, people,  # noqa: E402
                    prepare, submit)

DEPLOYMENT = "/accede/v1/deployment"


def must(condition, what):
    if not condition:
        raise Failure(what)


def wait(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.1)
    raise Failure(f"waited in vain: {what}")


def run(data, *arguments, code=0, environment=None):
    """Runs a command on a data directory; what it printed."""
    done = subprocess.run([BINARY, *arguments, "--data", data], capture_output=True, text=True,
                          env=dict(os.environ, ACCEDE_EGRESS__ALLOW="127.0.0.0/8", **(environment or {})))
    said = done.stdout + done.stderr
    must(done.returncode == code, f"{arguments} ended with {done.returncode}, not {code}: {said}")
    return said


def serve(data, database=None, environment=None):
    server = Server(data, database, environment)
    server.start()
    arguments = ["token", "--app", "operator", "--role", "Global Administrator", *server.arguments()]
    return server, Http(f"http://127.0.0.1:{server.port}", run(data, *arguments, environment=environment).strip())


def names(scim, group):
    """Who is in the group, by sign-in name."""
    accounts = {account["id"]: account["userName"] for account in scim.users()}
    return sorted(accounts[member].split("@")[0] for member in scim.members(group))


def delivered(api, package):
    """How many requests to give access are delivered."""
    filter_ = f"accessPackage/id eq '{package}' and state eq 'delivered' and requestType eq 'adminAdd'"
    return int(api.must("GET", f"{MANAGEMENT}/assignmentRequests/$count?$filter={filter_}"))


def remove(api, package, user):
    """Revokes somebody's access as an administrator does."""
    filter_ = f"target/objectId eq '{user}' and accessPackage/id eq '{package}'"
    found = api.must("GET", f"{MANAGEMENT}/assignments?$filter={filter_}")["value"]
    api.must("POST", f"{MANAGEMENT}/assignmentRequests",
             {"requestType": "adminRemove", "assignment": {"id": found[0]["id"]}})


def text(api, path):
    with urllib.request.urlopen(api.base + path, timeout=30) as answer:
        return answer.read().decode()


def paused(api, reason):
    """Holds that a deployment is paused and says so everywhere."""
    state = api.must("GET", DEPLOYMENT)
    must(state["state"] == "paused" and state["pause"]["reason"] == reason, f"not paused for {reason}: {state}")
    for probe in ("/readyz", "/healthz"):
        must("paused" in text(api, probe), f"{probe} does not say that it is paused")
    must("accede_paused 1" in text(api, "/metrics"), "the metrics do not say that it is paused")
    status, refusal = api.call("POST", f"{MANAGEMENT}/catalogs", {"displayName": "X", "description": "X"})
    must(status == 409 and refusal["error"]["code"] == "DeploymentPaused", f"a change was answered {status}: {refusal}")
    api.must("GET", f"{MANAGEMENT}/assignmentRequests")


def compare(api):
    """Has everything compared; the state with its figures."""
    api.must("POST", f"{DEPLOYMENT}/compare")
    wait("the comparison", lambda: (api.must("GET", DEPLOYMENT)["comparison"] or {}).get("completedDateTime"))
    return api.must("GET", DEPLOYMENT)["comparison"]


def differing(api, kind):
    found = api.pages(f"{DEPLOYMENT}/differences?kind={kind}&$top=2")
    return sorted(one["userPrincipalName"].split("@")[0] for one in found)


def confirm(api, **choice):
    api.must("POST", f"{DEPLOYMENT}/confirm", choice)
    wait("going on", lambda: api.must("GET", DEPLOYMENT)["state"] == "running")


def of_sqlite(folder):
    """Yesterday's backup is put back."""
    scim = Scim(folder / "scim")
    group = scim.group("crew")
    data, backup = folder / "data", folder / "backup.db"
    data.mkdir()
    server, api = serve(data)
    try:
        package, policy = prepare(api, scim, group)
        users = people(api, server, 4)
        submit(api, package, policy, users[:3])
        wait("three grants", lambda: delivered(api, package) == 3)
        said = run(data, "backup", "--to", backup)
        must("checked" in said and "key is not in it" in said, f"the backup said: {said}")
        must(backup.stat().st_mode & 0o077 == 0, "others can read the backup")
        must("--force" in run(data, "backup", "--to", backup, code=5), "a backup was overwritten")
        must("already serves" in run(data, "restore", "--from", backup, "--force", code=1), "restored under a server")

        remove(api, package, users[0])
        wait("the revocation", lambda: names(scim, group) == ["p00001", "p00002"])
        submit(api, package, policy, users[3:])
        wait("a later grant", lambda: len(names(scim, group)) == 3)
        server.stop()

        stranger = folder / "stranger"
        run(stranger, "init")
        must("--force" in run(stranger, "restore", "--from", backup, code=5), "a database was overwritten")
        must("another key" in run(stranger, "restore", "--from", backup, "--force", code=1), "a wrong key was taken")
        damaged = folder / "damaged.db"
        damaged.write_bytes(backup.read_bytes()[:9000])
        must("no sound" in run(data, "restore", "--from", damaged, "--force", code=1), "a damaged backup was taken")
        said = run(data, "restore", "--from", backup, "--force")
        must("starts paused" in said and "is now" in said, f"the restore said: {said}")

        before = scim.members(group)
        server, api = serve(data)
        paused(api, "backup")
        status, refusal = api.call("POST", f"{DEPLOYMENT}/confirm", {"choice": "resume"})
        must(status == 409 and refusal["error"]["code"] == "ComparisonMissing", f"confirmed unseen: {refusal}")
        compared = compare(api)
        must((compared["compared"], compared["lacking"]) == (3, 1), f"it found {compared}")
        must(differing(api, "lacking") == ["p00000"], f"lacking is {differing(api, 'lacking')}")
        must("p00000" in run(data, "confirm"), "the command line does not list what differs")
        server.kill()
        server, api = serve(data)
        paused(api, "backup")
        must(scim.members(group) == before, "something was changed while paused")
        confirm(api, choice="resume")
        held = list(api.pages(f"{DEPLOYMENT}/differences"))
        must([one["isHeld"] for one in held] == [True], f"not held: {held}")
        time.sleep(2)
        must(sorted(scim.members(group)) == sorted(before), "the restored database changed the target")
        server.stop()
        server, api = serve(data)
        must(api.must("GET", DEPLOYMENT)["state"] == "running", "it is paused again")
        api.must("POST", f"{DEPLOYMENT}/differences/{held[0]['id']}/regrant")
        wait("what was given again", lambda: "p00000" in names(scim, group))
        server.stop()

        copy = folder / "staging"
        shutil.copytree(data, copy)
        members = scim.members(group)
        server, api = serve(copy)
        paused(api, "moved")
        original = api.must("GET", DEPLOYMENT)["instanceId"]
        must("of its own" in run(copy, "confirm", "--new-instance"), "the copy was not made its own")
        wait("the copy", lambda: api.must("GET", DEPLOYMENT)["state"] == "running")
        must(api.must("GET", DEPLOYMENT)["instanceId"] != original, "the copy kept its identity")
        targets = api.must("GET", "/accede/v1/targets")["value"]
        must(all(one["isPaused"] for one in targets if one["kind"] == "scim"), f"a target of the copy is called: {targets}")
        must(scim.members(group) == members, "the copy touched the target of its original")
        return "backup put back: paused, 1 revoked role held, nothing taken; copy: paused, targets rest"
    finally:
        server.stop()
        scim.stop()


class Primary:
    """A PostgreSQL primary with a streaming standby."""

    def __init__(self):
        def script(*arguments):
            command = [ROOT / "scripts/postgres", *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

        self.script = script
        self.primary = pathlib.Path(script("scratch"))
        os.chmod(self.primary, 0o755)
        self.url = script("start", self.primary)
        self.standby = pathlib.Path(script("scratch"))
        os.chmod(self.standby, 0o755)
        if os.getuid() == 0:
            shutil.chown(self.standby, "postgres")
        newest = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        self.binaries = newest
        self.as_owner("pg_basebackup", "--dbname", self.url, "--pgdata", self.standby / "data", "--write-recovery-conf",
                      "--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
        self.port = free_port()
        (self.standby / "port").write_text(f"{self.port}\n")
        script("resume", self.standby)
        self.standby_url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def as_owner(self, program, *arguments):
        command = [self.binaries / program, *arguments]
        if os.getuid() == 0:
            command = ["runuser", "-u", "postgres", "--", *command]
        subprocess.run(command, check=True, capture_output=True, cwd=self.standby)

    def ask(self, url, sql):
        command = ["psql", "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", url, "--command", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def catch_up(self):
        """Waits until the standby has everything, then cuts it off: what follows is lost."""
        here = self.ask(self.url, "select pg_current_wal_lsn()")
        wait("the standby", lambda: self.ask(
            self.standby_url, f"select pg_last_wal_replay_lsn() >= '{here}'::pg_lsn") == "t")

    def cut_off(self):
        self.ask(self.standby_url, "alter system set primary_conninfo = ''")
        self.ask(self.standby_url, "select pg_reload_conf()")
        wait("the cut", lambda: self.ask(self.url, "select count(*) from pg_stat_replication") == "0")

    def fail_over(self):
        leader = int((self.primary / "data/postmaster.pid").read_text().split()[0])
        os.kill(leader, signal.SIGQUIT)  # what a crash leaves, and with its children
        wait("the end of the primary", lambda: not pathlib.Path(f"/proc/{leader}").exists())
        self.ask(self.standby_url, "select pg_promote()")

    def stop(self):
        for folder in (self.primary, self.standby):
            self.script("stop", folder)


def of_postgres(folder):
    """The primary is killed in a drain, and a standby that lacks the newest changes takes over."""
    scim = Scim(folder / "scim")
    group = scim.group("crew")
    cluster, server = Primary(), None
    data = folder / "data"
    data.mkdir()
    try:
        server, api = serve(data, cluster.url)
        package, policy = prepare(api, scim, group)
        users = people(api, server, 60)
        submit(api, package, policy, users[:20])
        wait("twenty grants", lambda: delivered(api, package) == 20)
        # The target rests, so that a queue builds up of which the standby knows.
        target = next(one for one in api.must("GET", "/accede/v1/targets")["value"] if one["kind"] == "scim")
        api.must("POST", f"/accede/v1/targets/{target['id']}/pause")
        submit(api, package, policy, users[20:40])
        api.must("POST", f"/accede/v1/targets/{target['id']}/resume")
        cluster.catch_up()
        cluster.cut_off()
        # The standby misses this revocation, and who is given access from now on.
        remove(api, package, users[0])
        wait("the revocation", lambda: "p00000" not in names(scim, group))
        submit(api, package, policy, users[40:])
        server.kill()
        cluster.fail_over()
        before = set(names(scim, group))

        server, api = serve(data, cluster.standby_url)
        paused(api, "promoted")
        # Another server on the same database waits as well.
        other = folder / "other"
        other.mkdir()
        beside, api_beside = serve(other, cluster.standby_url, {"ACCEDE_KEY_FILE": str(data / "accede.key")})
        try:
            paused(api_beside, "promoted")
            must(set(names(scim, group)) == before, "something was changed while paused")
            compared = compare(api_beside)
            must("p00000" in differing(api, "lacking"), f"the lost revocation is not listed: {compared}")
            confirm(api, choice="resume", regrant="queued")
            wait("the queue", lambda: delivered(api, package) == 40, 90)
            wait("the other server", lambda: api_beside.must("GET", DEPLOYMENT)["state"] == "running")
        finally:
            beside.stop()
        after = names(scim, group)
        must(len(after) == len(set(after)), f"somebody is in twice: {after}")
        must("p00000" not in after, "what was revoked was given again")
        must(set(after) >= before, f"taken: {before - set(after)}")
        must(set(after) >= {f"p{n:05}" for n in range(1, 40)}, "the queue was not delivered whole")
        accounts = [account["userName"] for account in scim.users()]
        must(len(accounts) == len(set(accounts)), "an account was made twice")
        held = [one["userPrincipalName"][:6] for one in api.pages(f"{DEPLOYMENT}/differences?$top=50") if one["isHeld"]]
        must(held == ["p00000"], f"held is {held}")
        server.stop()
        server, api = serve(data, cluster.standby_url)
        must(api.must("GET", DEPLOYMENT)["state"] == "running", "it is paused again")
        return (f"standby promoted: paused, {compared['compared']} compared, {compared['lacking']} lacking; the queue was "
                "delivered once, the lost revocation held")
    finally:
        if server:
            server.stop()
        cluster.stop()
        scim.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help="sqlite, postgres; both without")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    parts = {"sqlite": of_sqlite, "postgres": of_postgres}
    passed = failed = 0
    for part in (options.part or list(parts)) * options.rounds:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="accede-restore-"))
        try:
            print(f"{part}: {parts[part](folder)}")
            passed += 1
        except (Failure, OSError, subprocess.CalledProcessError, KeyError, json.JSONDecodeError) as failure:
            print(f"FAILED {part}: {failure!r} {getattr(failure, 'stderr', '') or ''}")
            log = folder / "data" / "serve.log"
            if log.exists():
                print(log.read_text()[-3000:])
            failed += 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
