"""Notices, from the outside: a served Accede, a mail server with STARTTLS and a password, a webhook that checks signatures.

Those who run the server try whether notices arrive. The webhook fails at first, and is called again with the same id; an
address that the mail server refuses is given up; what the mail says is the same as in the list of notices.
"""

import base64
import email
import hashlib
import hmac
import http.server
import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/lib"))
from served import BINARY, Failure, Http, Server, free_port  # noqa: E402

KEY = base64.b64encode(hashlib.sha256(b"a secret of the test").digest()).decode()


def certificates(folder):
    """An authority and a certificate of it for 127.0.0.1 and localhost."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Test authority",
            "-keyout", "ca.key", "-out", "ca.pem", "-addext", "basicConstraints=critical,CA:true")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", "mail.key", "-out", "mail.csr")
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "mail.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "ext", "-out", "mail.pem")


class Mailbox:
    """Takes mail for everybody but `nobody@`, after STARTTLS and a password."""

    def __init__(self, folder):
        self.mails = []
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "mail.pem", folder / "mail.key")

        def authenticate(server, session, envelope, mechanism, data):
            return AuthResult(success=(data.login, data.password) == (b"accede", b"p@ss"))

        class Strict(Controller):
            def factory(self):
                return SMTP(self.handler, tls_context=context, require_starttls=True, auth_required=True,
                            authenticator=authenticate)

        self.port = free_port()
        self.controller = Strict(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"


class Hook:
    """A webhook that checks what it gets, and fails the first time."""

    def __init__(self):
        self.calls, self.wrong = [], []
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                at = self.headers["webhook-timestamp"]
                signed = f"{self.headers['webhook-id']}.{at}.".encode() + body
                mac = hmac.new(base64.b64decode(KEY), signed, hashlib.sha256).digest()
                if self.headers["webhook-signature"] != "v1," + base64.b64encode(mac).decode():
                    hook.wrong.append("the signature is wrong")
                if abs(time.time() - int(at)) > 300:
                    hook.wrong.append("the timestamp is old")
                hook.calls.append((self.headers["webhook-id"], json.loads(body)))
                self.send_response(503 if len(hook.calls) == 1 else 204)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def until(what, holds, seconds=90):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.2)
    raise Failure(f"{what}: not within {seconds} s")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        certificates(folder)
        mailbox, hook = Mailbox(folder), Hook()
        data = folder / "data"
        data.mkdir()
        server = Server(data, environment={
            "SSL_CERT_FILE": str(folder / "ca.pem"),
            "ACCEDE_NOTICES__SMTP": f"smtp://accede:p%40ss@localhost:{mailbox.port}",
            "ACCEDE_NOTICES__FROM": "Accede <accede@harbourline.example>",
            "ACCEDE_NOTICES__TO": "ops@harbourline.example, nobody@harbourline.example",
            "ACCEDE_NOTICES__WEBHOOK": f"http://127.0.0.1:{hook.port}/accede",
            "ACCEDE_NOTICES__WEBHOOK_SECRET": "whsec_" + KEY,
            "ACCEDE_SERVER__PUBLIC_URL": "https://accede.harbourline.example",
        })
        server.start()
        try:
            check(server, mailbox, hook)
        finally:
            server.stop()
        log = (data / "serve.log").read_text()
        for secret in ("p@ss", "p%40ss", KEY):
            if secret in log:
                raise Failure("a secret stands in the log")


def check(server, mailbox, hook):
    command = [BINARY, "token", "--data", server.data, "--app", "ops", "--role", "Global Administrator"]
    token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    api = Http(f"http://127.0.0.1:{server.port}", token)
    told = api.must("POST", "/accede/v1/notices/test")
    if told["recipients"] != 3:
        raise Failure(f"three are to be told, not {told}")

    to, mail = until("the mail of the test", lambda: mailbox.mails and mailbox.mails[0])
    text = mail.get_payload(decode=True).decode()
    if to != ["ops@harbourline.example"] or mail["Subject"] != "[Accede] Notices of Accede arrive":
        raise Failure(f"the mail is to {to}, about {mail['Subject']}")
    if "https://accede.harbourline.example/governance/notices" not in text:
        raise Failure(f"the mail has no link: {text}")
    until("the webhook, once more after 503", lambda: len(hook.calls) >= 2)
    if hook.calls[0] != hook.calls[1] or hook.wrong:
        raise Failure(f"the second call is not the first again: {hook.calls[:2]}, {hook.wrong}")

    def states():
        found = api.must("GET", "/accede/v1/notices?$filter=topic eq 'test'")["value"]
        return {(notice["channel"], notice["recipient"]): notice["state"] for notice in found}

    expected = {("mail", "ops@harbourline.example"): "sent", ("mail", "nobody@harbourline.example"): "failed",
                ("webhook", None): "sent"}
    until(f"{expected}, not {states()}", lambda: states() == expected)
    print("a mail after STARTTLS, a refused address given up, a signed call made twice under one id")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"notices: {failure}")
