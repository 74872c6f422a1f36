#!/usr/bin/env python3
"""kill -9 in the middle of a drain: nothing acknowledged is lost, nothing is doubled.

A driver outside the server submits requests and keeps what was acknowledged. While they are delivered to a real SCIM
server (scim2-server), the serving process is killed at random moments and started again. In the end every
acknowledged request must be delivered, the SCIM server must hold one account per person and one membership per
account, and what Accede recorded must be what the target holds.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "target" / "debug" / "accede"
MANAGEMENT = "/v1.0/identityGovernance/entitlementManagement"
READY_WITHIN = 2.0  # seconds; reported, and judged only with a wide margin because machines are noisy


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Failure(Exception):
    """Something did not hold."""


class Http:
    """JSON over HTTP with a bearer token."""

    def __init__(self, base, token):
        self.base, self.token = base, token

    def call(self, method, path, body=None, timeout=30):
        address = path if path.startswith("http") else self.base + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address.replace(" ", "%20"), data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            text = error.read()
            return error.code, json.loads(text) if text[:1] == b"{" else text.decode(errors="replace")

    def must(self, method, path, body=None):
        status, answer = self.call(method, path, body)
        if status >= 300:
            raise Failure(f"{method} {path} answered {status}: {answer}")
        return answer

    def pages(self, path):
        while path:
            page = self.must("GET", path)
            yield from page["value"]
            path = page.get("@odata.nextLink")


class Scim:
    """A real SCIM server, asked directly: the oracle."""

    def __init__(self, folder):
        folder.mkdir()
        port = free_port()
        self.base = f"http://127.0.0.1:{port}/v2"
        self.process = subprocess.Popen([ROOT / "tests/real/scim2-server", folder, str(port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.http = Http(self.base, "secret")
        for _ in range(100):
            try:
                self.http.must("GET", "/ServiceProviderConfig")
                return
            except (OSError, Failure):
                time.sleep(0.1)
        raise Failure("scim2-server did not start; run scripts/install")

    def group(self, name):
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name}
        return self.http.must("POST", "/Groups", body)["id"]

    def users(self):
        found, start = [], 1
        while True:
            page = self.http.must("GET", f"/Users?startIndex={start}&count=500")
            found += page.get("Resources", [])
            start += len(page.get("Resources", [])) or 1
            if start > page["totalResults"]:
                return found

    def members(self, group):
        return [member["value"] for member in self.http.must("GET", f"/Groups/{group}").get("members", [])]

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Server:
    """The process under test."""

    def __init__(self, data, database):
        self.data, self.database = data, database
        self.port = free_port()
        self.process = None
        self.starts = []

    def arguments(self):
        return ["--database", self.database] if self.database else []

    def start(self):
        environment = dict(os.environ, ACCEDE_EGRESS__ALLOW="127.0.0.0/8", ACCEDE_LOG__LEVEL="warn",
                           ACCEDE_DELIVERY__BACKOFF_BASE="PT0.2S", ACCEDE_DELIVERY__BACKOFF_CAP="PT1S")
        began = time.monotonic()
        log = open(self.data / "serve.log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", *self.arguments()],
            stdout=subprocess.PIPE, stderr=log, env=environment)
        line = self.process.stdout.readline().decode()
        if not line.startswith("ready "):
            raise Failure(f"the server did not become ready: {(self.data / 'serve.log').read_text()[-2000:]}")
        self.starts.append(time.monotonic() - began)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=15)

    def token(self):
        command = [BINARY, "token", "--data", self.data, "--app", "crash", "--lifetime", "PT4H", *self.arguments()]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def prepare(api, scim, group):
    target = {"name": "scim", "displayName": "SCIM", "kind": "scim",
              "settings": {"baseUrl": scim.base, "createAccounts": True, "batchMembers": 5},
              "secrets": {"bearerToken": "secret"}}
    api.must("POST", "/accede/v1/targets", target)
    catalog = api.must("POST", f"{MANAGEMENT}/catalogs", {"displayName": "Crash", "description": "kill -9"})["id"]
    api.must("POST", f"{MANAGEMENT}/resourceRequests", {
        "requestType": "adminAdd", "catalog": {"id": catalog},
        "resource": {"originId": group, "originSystem": "scim"}})
    found = api.must("GET", f"{MANAGEMENT}/catalogs/{catalog}/resources?$expand=roles,scopes")["value"][0]
    package = api.must("POST", f"{MANAGEMENT}/accessPackages", {
        "displayName": "Crash", "description": "kill -9", "catalog": {"id": catalog}})["id"]
    role = next(role for role in found["roles"] if role["originId"].startswith("Member_"))
    resource = {"id": found["id"], "originId": group, "originSystem": "scim"}
    api.must("POST", f"{MANAGEMENT}/accessPackages/{package}/resourceRoleScopes",
             {"role": {**role, "resource": resource}, "scope": found["scopes"][0]})
    policy = api.must("POST", f"{MANAGEMENT}/assignmentPolicies", {
        "displayName": "Direct", "description": "Administrators assign", "accessPackage": {"id": package}})["id"]
    return package, policy


def people(data, server, count):
    lines = ["userPrincipalName,displayName,mail"]
    lines += [f"p{n:05}@crash.example,Person {n:05},p{n:05}@crash.example" for n in range(count)]
    (data / "people.csv").write_text("\n".join(lines) + "\n")
    command = [BINARY, "users", "import", data / "people.csv", "--data", data, *server.arguments()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def submit(api, package, policy, users):
    """Submits for everybody, a few at a time; remembers what was acknowledged."""

    def one(user):
        body = {"requestType": "adminAdd", "assignment": {
            "targetId": user, "accessPackageId": package, "assignmentPolicyId": policy}}
        for _ in range(200):
            try:
                status, answer = api.call("POST", f"{MANAGEMENT}/assignmentRequests", body)
            except (OSError, ValueError):
                time.sleep(0.05)  # the server was just killed: nothing was acknowledged
                continue
            if status == 201:
                return user, answer["id"]
            if status == 409:
                return user, None  # an earlier try was kept though its answer was lost
            raise Failure(f"submitting answered {status}: {answer}")
        raise Failure("the server did not come back")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return dict(pool.map(one, users))


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
        people(data, server, count)
        users = [user["id"] for user in api.pages("/v1.0/users?$top=999&$select=id")]
        users = users[:count]
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
    if slowest > 5 * READY_WITHIN:
        raise Failure(f"{name}: a restart took {slowest:.1f} s")


def check(name, api, scim, group, package, acknowledged, count):
    pending, deadline = None, time.monotonic() + 240
    while time.monotonic() < deadline:
        filter_ = f"accessPackage/id eq '{package}' and state ne 'delivered'"
        status, pending = api.call("GET", f"{MANAGEMENT}/assignmentRequests/$count?$filter={filter_}")
        if status == 200 and int(pending) == 0:
            break
        time.sleep(1)
    requests = {request["id"]: request for request in api.pages(
        f"{MANAGEMENT}/assignmentRequests?$filter=accessPackage/id eq '{package}'&$top=500")}
    states = {}
    for request in requests.values():
        states[request["state"]] = states.get(request["state"], 0) + 1
    if states != {"delivered": count}:
        raise Failure(f"{name}: requests by state are {states}, not {count} delivered")
    lost = [user for user, request in acknowledged.items() if request and request not in requests]
    if lost:
        raise Failure(f"{name}: {len(lost)} acknowledged requests are gone")
    accounts = scim.users()
    externals = [account.get("externalId") for account in accounts]
    if len(accounts) != count or len(set(externals)) != count:
        raise Failure(f"{name}: {len(accounts)} accounts, {len(set(externals))} people, not {count}")
    members = scim.members(group)
    if len(members) != count or set(members) != {account["id"] for account in accounts}:
        raise Failure(f"{name}: {len(members)} memberships of {len(set(members))} accounts, not {count}")


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
    cluster = None
    try:
        for engine in options.engine or ["sqlite", "postgres"]:
            database = None
            if engine == "postgres":
                database = os.environ.get("ACCEDE_TEST_POSTGRES")
                if not database:
                    cluster = subprocess.run([ROOT / "scripts/postgres", "scratch"], check=True, capture_output=True,
                                             text=True).stdout.strip()
                    os.chmod(cluster, 0o755)
                    database = subprocess.run([ROOT / "scripts/postgres", "start", cluster], check=True,
                                              capture_output=True, text=True).stdout.strip()
                database = own_database(database)
            try:
                drain(engine, database, options.requests, options.kills, folder, options.seed)
                passed += 1
            except Failure as failure:
                print(f"FAILED {failure}")
                failed += 1
    finally:
        if cluster:
            subprocess.run([ROOT / "scripts/postgres", "stop", cluster], check=False)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def own_database(url):
    """A database of our own in the cluster."""
    name = f"crash_{os.getpid()}"
    subprocess.run(["psql", "--quiet", "--no-psqlrc", url, "--command", f"create database {name}"], check=True)
    before, _, query = url.partition("?")
    base = before.rsplit("/", 1)[0]
    return f"{base}/{name}" + (f"?{query}" if query else "")


if __name__ == "__main__":
    sys.exit(main())
