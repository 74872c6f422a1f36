"""Starts a served binary and real SCIM servers for a client's story, and stops them again."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "accede"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(method, address, token, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, method=method)
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        return json.loads(text) if text else None


class Scim:
    """A real SCIM server that can be stopped and started again; its memory goes with it."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir()
        self.base = f"http://127.0.0.1:{self.port}/v2"
        self.start()

    def start(self):
        self.process = subprocess.Popen([ROOT / "tests/real/scim2-server", self.folder, str(self.port)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            with contextlib.suppress(OSError):
                return call("GET", f"{self.base}/ServiceProviderConfig", "secret")
            time.sleep(0.1)
        raise RuntimeError("scim2-server did not start; run scripts/install")

    def group(self, name):
        body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name}
        return call("POST", f"{self.base}/Groups", "secret", body)["id"]

    def members(self, group):
        """The members' external ids, each as often as it is there."""
        found = call("GET", f"{self.base}/Groups/{group}", "secret").get("members", [])
        users = {user["id"]: user.get("externalId") for user in
                 call("GET", f"{self.base}/Users?count=500", "secret").get("Resources", [])}
        return [users.get(member["value"]) for member in found]

    def pause(self):
        self.process.send_signal(19)  # SIGSTOP: it accepts connections and answers nothing

    def go_on(self):
        self.process.send_signal(18)

    def stop(self):
        self.process.send_signal(18)
        self.process.terminate()
        self.process.wait()


class Server:
    """`accede serve` with quick retries."""

    def __init__(self, folder):
        self.data = folder
        environment = dict(
            os.environ, ACCEDE_EGRESS__ALLOW="127.0.0.0/8", ACCEDE_LOG__LEVEL="warn",
            ACCEDE_DELIVERY__GRANT_WINDOW="PT3S", ACCEDE_DELIVERY__BACKOFF_BASE="PT0.2S",
            ACCEDE_DELIVERY__BACKOFF_CAP="PT1S")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--data", folder, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=sys.stderr, env=environment)
        line = self.process.stdout.readline().decode().strip()
        if not line.startswith("ready "):
            raise RuntimeError("accede did not become ready")
        self.base = line.removeprefix("ready ")

    def token(self, *arguments):
        command = [BINARY, "token", "--data", self.data, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=15)


@contextlib.contextmanager
def world():
    """A served binary, two SCIM servers, and tokens."""
    with tempfile.TemporaryDirectory(prefix="accede-clients-") as folder:
        folder = pathlib.Path(folder)
        running = []
        try:
            hr, wiki = Scim(folder / "hr"), None
            running.append(hr)
            wiki = Scim(folder / "wiki")
            running.append(wiki)
            (folder / "data").mkdir()
            server = Server(folder / "data")
            running.append(server)
            yield server, hr, wiki
        finally:
            for one in reversed(running):
                one.stop()


def connect(server, token, name, scim):
    """Connects a SCIM server as a target; our own surface, so no Graph client knows it."""
    return call("POST", f"{server.base}/accede/v1/targets", token, {
        "name": name, "displayName": name, "kind": "scim",
        "settings": {"baseUrl": scim.base, "createAccounts": True},
        "secrets": {"bearerToken": "secret"}})


if __name__ == "__main__":
    # For stories in other languages: print what they need as one line of JSON, then wait for the end of input.
    with world() as (server, hr, wiki):
        app = server.token("--app", "story", "--role", "Global Administrator")
        connect(server, app, "hr", hr)
        connect(server, app, "wiki", wiki)
        print(json.dumps({"base": server.base, "token": app, "group": hr.group("crew"), "scim": hr.base,
                          "data": str(server.data), "binary": str(BINARY)}), flush=True)
        sys.stdin.read()
