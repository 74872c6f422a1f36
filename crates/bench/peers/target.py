"""One call to the target for one job, over connections that stay open: what every Python contestant does."""

import asyncio
import json


class Caller:
    """As many connections as calls are made at once."""

    def __init__(self, port):
        self.port, self.idle = port, []

    async def call(self, number):
        """Gives membership `number`; the job is done when the target has acknowledged it."""
        body = json.dumps({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
            {"op": "add", "path": "members", "value": [{"value": f"m{number}"}]}]}).encode()
        head = (f"PATCH /scim/Groups/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/scim+json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode()
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 204"):
            raise RuntimeError(answer.split(b"\r\n", 1)[0].decode())
        self.idle.append((reader, writer))
