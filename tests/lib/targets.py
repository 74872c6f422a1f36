#!/usr/bin/env python3
"""Small SCIM servers in one process that keep the truth in memory and can be hurt, for loads that real ones would not bear.

    targets.py --count 8 --delay 0.005

Each listens on a port of its own. On standard output one line of JSON says where: {"control": PORT, "targets": [PORT, …]}.
What is asked of the control port is in [Targets], its client: faults, groups, and what happened so far.
They do what RFC 7644 asks of what Accede calls, and one thing less on purpose: they do not refuse a second account of one
person, so that whoever makes accounts twice is found out. `tests/real` holds the servers that nobody here wrote.
"""

import argparse
import asyncio
import collections
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
CONFIG = {"patch": {"supported": True}, "filter": {"supported": True, "maxResults": 200},
          "bulk": {"supported": False}, "etag": {"supported": False}}
REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found",
           429: "Too Many Requests", 500: "Internal Server Error"}
TERM = re.compile(r'([A-Za-z.]+) eq "([^"]*)"')


class Target:
    """What one target holds, what happened to it, and how it behaves now."""

    def __init__(self, delay):
        self.delay = delay
        self.fault, self.fault_value, self.open = "none", 0.0, set()
        self.window = collections.deque()
        self.reset()

    def reset(self):
        self.users, self.by_external, self.by_name = {}, collections.defaultdict(list), collections.defaultdict(list)
        self.groups = {}
        self.events = []  # (instant, "add" | "remove" | "again", group, account)
        self.calls = []  # (instant, what, status); 0 is a connection that was cut, 1 a call that nobody answered

    # What it answers.

    def admit(self, method):
        """The status of a refusal, or None."""
        now = time.monotonic()
        if self.fault == "throttle":
            while self.window and self.window[0] <= now - 1:
                self.window.popleft()
            if len(self.window) >= self.fault_value:
                return 429
            self.window.append(now)
        if self.fault == "refuse":
            return 400 if method == "PATCH" else None
        return {"unauthorized": 401, "error": 500}.get(self.fault)

    def answer(self, method, path, body):
        path, _, query = path.partition("?")
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")][1:]
        query = dict(urllib.parse.parse_qsl(query))
        kind, id_ = (parts + ["", ""])[:2]
        if kind == "ServiceProviderConfig":
            return 200, CONFIG
        if kind == "Users":
            return self.accounts(method, id_, query, body)
        if kind == "Groups":
            return self.memberships(method, id_, query, body)
        return self.missing()

    @staticmethod
    def missing():
        return 404, {"schemas": [ERROR], "status": "404", "detail": "not found"}

    @staticmethod
    def listed(found, query):
        start, count = int(query.get("startIndex", 1)), int(query.get("count", 100))
        page = found[start - 1:start - 1 + count]
        return 200, {"schemas": [LIST], "totalResults": len(found), "startIndex": start,
                     "itemsPerPage": len(page), "Resources": page}

    def accounts(self, method, id_, query, body):
        if method == "POST":
            id_ = f"a{len(self.users):06}"
            user = {"schemas": [USER], **body, "id": id_}
            self.users[id_] = user
            self.by_external[user.get("externalId")].append(user)
            self.by_name[user["userName"].lower()].append(user)
            return 201, user
        if id_:
            return (200, self.users[id_]) if id_ in self.users else self.missing()
        if "filter" not in query:
            return self.listed(list(self.users.values()), query)
        found = {}
        for attribute, value in TERM.findall(query["filter"]):
            users = self.by_external[value] if attribute == "externalId" else self.by_name[value.lower()]
            found.update((user["id"], user) for user in users)
        return self.listed(list(found.values()), query)

    def memberships(self, method, id_, query, body):
        if not id_:
            if "filter" not in query:
                found = list(self.groups)
            else:
                terms = dict(TERM.findall(query["filter"]))
                group = terms.get("id")
                wanted = terms.get("members.value")
                here = group in self.groups and (wanted is None or wanted in self.groups[group])
                found = [group] if here else []
            return self.listed([{"schemas": [GROUP], "id": group, "displayName": group} for group in found], query)
        if id_ not in self.groups:
            return self.missing()
        members = self.groups[id_]
        if method == "GET":
            group = {"schemas": [GROUP], "id": id_, "displayName": id_}
            if query.get("excludedAttributes") != "members":
                group["members"] = [{"value": member} for member in members]
            return 200, group
        now = time.time()
        for operation in body.get("Operations") or []:
            if operation["op"].lower() == "add":
                for member in operation["value"]:
                    account = member["value"]
                    self.events.append((now, "again" if account in members else "add", id_, account))
                    members[account] = None
            else:
                account = operation["path"].split('"')[1]
                if account in members:
                    del members[account]
                    self.events.append((now, "remove", id_, account))
        return 204, None


class Connection(asyncio.Protocol):
    """One connection of HTTP/1.1, kept alive. `handler(method, path, body)` answers or returns None for no answer."""

    def __init__(self, handler, target=None):
        self.handler, self.target, self.buffer = handler, target, b""

    def connection_made(self, transport):
        self.transport = transport
        if self.target:
            self.target.open.add(self)
            if self.target.fault == "down":
                self.target.calls.append((time.time(), "connect", 0))
                transport.abort()

    def connection_lost(self, _):
        if self.target:
            self.target.open.discard(self)

    def data_received(self, data):
        self.buffer += data
        while True:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            lines = head.decode("latin-1").split("\r\n")
            length = 0
            for line in lines[1:]:
                name, _, value = line.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            method, path, _ = lines[0].split(" ", 2)
            body = json.loads(rest[:length]) if length else None
            self.handler(self, method, path, body)

    def reply(self, status, body, more=()):
        if self.transport.is_closing():
            return
        data = b"" if body is None else json.dumps(body).encode()
        head = [f"HTTP/1.1 {status} {REASONS[status]}", "Content-Type: application/scim+json", *more]
        if status != 204:
            head.append(f"Content-Length: {len(data)}")
        self.transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)


def serving(target):
    """The handler of one target."""
    loop = asyncio.get_running_loop()

    def finish(connection, method, path, body):
        refused = target.admit(method)
        if refused:
            status, answer = refused, {"schemas": [ERROR], "status": str(refused), "detail": "not now"}
        else:
            try:
                status, answer = target.answer(method, path, body)
            except (KeyError, ValueError, TypeError, IndexError) as error:
                status, answer = 400, {"schemas": [ERROR], "status": "400", "detail": repr(error)}
        target.calls.append((time.time(), f"{method} {path.split('?')[0].split('/')[2]}", status))
        connection.reply(status, answer, ["Retry-After: 1"] if status == 429 else ())

    def handle(connection, method, path, body):
        if target.fault == "hang":
            target.calls.append((time.time(), f"{method} {path.split('?')[0].split('/')[2]}", 1))
            return
        delay = target.fault_value if target.fault == "slow" else target.delay
        if delay:
            loop.call_later(delay, finish, connection, method, path, body)
        else:
            finish(connection, method, path, body)

    return handle


def controlling(targets):
    """The handler of the control port: `POST /NUMBER/VERB`."""

    def handle(connection, _, path, body):
        number, verb = path.strip("/").split("/")
        target, answer = targets[int(number)], {}
        if verb == "fault":
            target.fault, target.fault_value = body["kind"], float(body.get("value") or 0)
            if target.fault == "down":
                for open_ in list(target.open):
                    open_.transport.abort()
        elif verb == "groups":
            target.groups.update((group, {}) for group in body)
        elif verb == "reset":
            target.reset()
        elif verb == "events":
            answer = target.events[body:]
        elif verb == "calls":
            answer = target.calls[body:]
        elif verb == "members":
            answer = {group: list(members) for group, members in target.groups.items()}
        elif verb == "accounts":
            answer = [[user["id"], user.get("externalId")] for user in target.users.values()]
        elif verb == "held":
            answer = sum(map(len, target.groups.values()))
        connection.reply(200, answer)

    return handle


async def serve(count, delay):
    loop = asyncio.get_running_loop()
    targets = [Target(delay) for _ in range(count)]

    async def listen(handler, target=None):
        server = await loop.create_server(lambda: Connection(handler, target), "127.0.0.1", 0, backlog=512)
        return server.sockets[0].getsockname()[1]

    ports = [await listen(serving(target), target) for target in targets]
    control = await listen(controlling(targets))
    print(json.dumps({"control": control, "targets": ports}), flush=True)
    await asyncio.Event().wait()


class Targets:
    """The client of a process of these targets, which it starts."""

    def __init__(self, count, delay=0.0):
        self.process = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__), "--count", str(count), "--delay", str(delay)],
            stdout=subprocess.PIPE)
        where = json.loads(self.process.stdout.readline())
        self.control = where["control"]
        self.bases = [f"http://127.0.0.1:{port}/scim" for port in where["targets"]]

    def ask(self, number, verb, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.control}/{number}/{verb}",
                                         json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def fault(self, number, kind, value=None):
        """`none`, `down` (connections are cut), `slow` (seconds), `hang`, `throttle` (calls a second), `unauthorized`,
        `error`, `refuse` (what changes something)."""
        self.ask(number, "fault", {"kind": kind, "value": value})

    def stop(self):
        self.process.terminate()
        self.process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds that each answer takes")
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.count, options.delay))
    except KeyboardInterrupt:
        pass
