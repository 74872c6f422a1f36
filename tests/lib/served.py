"""A served Accede with a real SCIM server as its target, for tests that hurt it from outside.

A driver outside the server submits requests and keeps what was acknowledged; afterwards [check] asks both the server and
the SCIM server whether anything was lost or doubled.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Another build of the server than the tests', for measuring.
BINARY = pathlib.Path(os.environ.get("ACCEDE_BINARY") or ROOT / "target" / "debug" / "accede")
MANAGEMENT = "/v1.0/identityGovernance/entitlementManagement"


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

    def call(self, method, path, body=None, timeout=30, headers=()):
        address = path if path.startswith("http") else self.base + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address.replace(" ", "%20"), data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        request.add_header("Content-Type", "application/json")
        for name, value in dict(headers).items():
            request.add_header(name, value)
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

    def __init__(self, data, database=None, environment=None):
        self.data, self.database = data, database
        self.environment = environment or {}
        self.port = free_port()
        self.process = None
        self.starts = []

    def arguments(self):
        return ["--database", self.database] if self.database else []

    def start(self):
        environment = dict(os.environ, ACCEDE_EGRESS__ALLOW="127.0.0.0/8", ACCEDE_LOG__LEVEL="warn",
                           ACCEDE_DELIVERY__BACKOFF_BASE="PT0.2S", ACCEDE_DELIVERY__BACKOFF_CAP="PT1S")
        environment.update(self.environment)
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
            self.process.wait(timeout=60)

    def token(self, *more):
        command = [BINARY, "token", "--data", self.data, "--app", "crash", "--lifetime", "PT4H", *more, *self.arguments()]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def connect(api, name, base, **settings):
    """A SCIM target that makes the accounts it lacks; its id."""
    target = {"name": name, "displayName": name, "kind": "scim", "secrets": {"bearerToken": "secret"},
              "settings": {"baseUrl": base, "createAccounts": True, **settings}}
    return api.must("POST", "/accede/v1/targets", target)["id"]


def catalog_of(api, name):
    """A catalog; its id."""
    return api.must("POST", f"{MANAGEMENT}/catalogs", {"displayName": name, "description": name})["id"]


def resource(api, catalog, target, group):
    """Adds a group of a target to a catalog; the member role of it as a package takes it."""
    api.must("POST", f"{MANAGEMENT}/resourceRequests", {
        "requestType": "adminAdd", "catalog": {"id": catalog},
        "resource": {"originId": group, "originSystem": target}})
    filter_ = f"originId eq '{group}' and originSystem eq '{target}'"
    found = api.must("GET", f"{MANAGEMENT}/catalogs/{catalog}/resources?$filter={filter_}&$expand=roles,scopes")["value"][0]
    role = next(role for role in found["roles"] if role["originId"].startswith("Member_"))
    place = {"id": found["id"], "originId": group, "originSystem": target}
    return {"role": {**role, "resource": place}, "scope": found["scopes"][0]}


def package_of(api, catalog, name, roles):
    """A package of these roles with a policy by which administrators assign; the ids of both."""
    package = api.must("POST", f"{MANAGEMENT}/accessPackages", {
        "displayName": name, "description": name, "catalog": {"id": catalog}})["id"]
    for role in roles:
        api.must("POST", f"{MANAGEMENT}/accessPackages/{package}/resourceRoleScopes", role)
    policy = api.must("POST", f"{MANAGEMENT}/assignmentPolicies", {
        "displayName": "Direct", "description": "Administrators assign", "accessPackage": {"id": package}})["id"]
    return package, policy


def prepare(api, scim, group):
    """A target, a catalog, a package of one role and a policy: the ids of the last two."""
    connect(api, "scim", scim.base, batchMembers=5)
    catalog = catalog_of(api, "Crash")
    return package_of(api, catalog, "Crash", [resource(api, catalog, "scim", group)])


def people(api, server, count):
    """Imports `count` people; their ids."""
    lines = ["userPrincipalName,displayName,mail"]
    lines += [f"p{n:05}@crash.example,Person {n:05},p{n:05}@crash.example" for n in range(count)]
    file = server.data / "people.csv"
    file.write_text("\n".join(lines) + "\n")
    command = [BINARY, "users", "import", file, "--data", server.data, *server.arguments()]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [user["id"] for user in api.pages("/v1.0/users?$top=999&$select=id")][:count]


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


def check(name, api, scim, group, package, acknowledged, count):
    """Waits until all is delivered; fails when something acknowledged is lost or something is doubled."""
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


@contextlib.contextmanager
def cluster():
    """The address of a PostgreSQL cluster: the run's own, or one for this test alone."""
    given = os.environ.get("ACCEDE_TEST_POSTGRES")
    if given:
        yield given
        return
    folder = subprocess.run([ROOT / "scripts/postgres", "scratch"], check=True, capture_output=True,
                            text=True).stdout.strip()
    os.chmod(folder, 0o755)
    try:
        yield subprocess.run([ROOT / "scripts/postgres", "start", folder], check=True, capture_output=True,
                             text=True).stdout.strip()
    finally:
        subprocess.run([ROOT / "scripts/postgres", "stop", folder], check=False)


def own_database(url, prefix):
    """A database of our own in the cluster."""
    name = f"{prefix}_{os.getpid()}"
    subprocess.run(["psql", "--quiet", "--no-psqlrc", url, "--command", f"create database {name}"], check=True)
    before, _, query = url.partition("?")
    base = before.rsplit("/", 1)[0]
    return f"{base}/{name}" + (f"?{query}" if query else "")


class Database:
    """A PostgreSQL cluster of one test alone, since it is killed."""

    def __init__(self, prefix):
        self.folder = pathlib.Path(self.script("scratch"))
        os.chmod(self.folder, 0o755)
        self.url = own_database(self.script("start", self.folder), prefix)

    @staticmethod
    def script(*arguments):
        command = [ROOT / "scripts/postgres", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def kill(self):
        """Kills the server and what it forked, and starts it again: it recovers from its log."""
        leader = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        children = subprocess.run(["pgrep", "-P", str(leader)], capture_output=True, text=True).stdout.split()
        for process in [leader, *map(int, children)]:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for _ in range(100):
            if not pathlib.Path(f"/proc/{leader}").exists():
                break
            time.sleep(0.05)
        self.script("resume", self.folder)

    def ask(self, sql):
        """Has the database run a statement, or several; says what it answers."""
        command = ["psql", "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", self.url, "--command", sql]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def cut(self):
        """Ends every connection to the database; says how many there were."""
        return int(self.ask("select count(pg_terminate_backend(pid)) from pg_stat_activity "
                            "where datname = current_database() and pid <> pg_backend_pid()"))

    def stop(self):
        self.script("stop", self.folder)


class Spread:
    """Speaks to the replicas in turn, and to the next when one does not answer."""

    def __init__(self, apis):
        self.apis, self.turn = apis, itertools.cycle(range(len(apis)))

    def call(self, method, path, body=None, timeout=30):
        last = None
        for _ in self.apis:
            try:
                status, answer = self.apis[next(self.turn)].call(method, path, body, timeout)
                if status != 503:
                    return status, answer
                last = Failure(f"503: {answer}")
            except OSError as error:
                last = error
        raise OSError(last)
