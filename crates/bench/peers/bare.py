#!/usr/bin/env python3
"""The least that a durable loop must do: claim a row and commit, call, mark it done and commit. The baseline of its engine.

    bare.py none|sqlite|postgres DATABASE fill COUNT
    bare.py none|sqlite|postgres DATABASE work PORT CONCURRENCY

`none` keeps nothing: it is the call alone.
"""

import asyncio
import contextlib
import sqlite3
import sys

import psycopg
from target import Caller

MAKE = "create table if not exists jobs (id bigint primary key, state bigint not null)"
INDEX = "create index if not exists jobs_waiting on jobs (id) where state = 0"
DONE = "update jobs set state = 2 where id = {0}"
# A single loop works: whatever was claimed when it starts is a dead one's.
TAKE_BACK = "update jobs set state = 0 where state = 1"
CLAIM = ("update jobs set state = 1 where id = (select id from jobs where state = 0 order by id limit 1 {lock}) "
         "and state = 0 returning id")


class Nothing:
    def __init__(self, place, _):
        self.count, self.next = int(place), iter(range(int(place)))

    async def claim(self):
        return next(self.next, None)

    async def done(self, _):
        pass


class Sqlite:
    """WAL and synchronous FULL, as Accede's; one connection, since it has one writer at a time anyway."""

    def __init__(self, place, _=1):
        self.database = sqlite3.connect(place, isolation_level=None)
        self.database.execute("pragma journal_mode = wal")
        self.database.execute("pragma synchronous = full")
        self.database.execute(MAKE)
        self.database.execute(INDEX)

    def fill(self, count):
        self.database.execute("begin")
        self.database.executemany("insert into jobs values (?, 0)", ((number,) for number in range(count)))
        self.database.execute("commit")

    async def start(self):
        self.database.execute(TAKE_BACK)

    async def claim(self):
        row = self.database.execute(CLAIM.format(lock="")).fetchall()
        return row[0][0] if row else None

    async def done(self, job):
        self.database.execute(DONE.format("?"), (job,))


class Postgres:
    """A connection for each call at once, every statement a transaction; durability as PostgreSQL has it by default."""

    def __init__(self, place, concurrency=1):
        self.place, self.concurrency, self.idle = place, concurrency, []

    def fill(self, count):
        with psycopg.connect(self.place, autocommit=True) as database:
            database.execute(MAKE)
            database.execute(INDEX)
            database.execute("insert into jobs select n, 0 from generate_series(0, %s) n", (count - 1,))
            database.execute("analyze jobs")

    async def start(self):
        for _ in range(self.concurrency):
            self.idle.append(await psycopg.AsyncConnection.connect(self.place, autocommit=True))
        await self.run(TAKE_BACK)

    async def run(self, text, values=()):
        database = self.idle.pop()
        cursor = await database.execute(text, values)
        row = await cursor.fetchone() if cursor.description else None
        self.idle.append(database)
        return row

    async def claim(self):
        row = await self.run(CLAIM.format(lock="for update skip locked"))
        return row[0] if row else None

    async def done(self, job):
        await self.run(DONE.format("%s"), (job,))


async def work(store, port, concurrency):
    caller = Caller(port)
    if hasattr(store, "start"):
        await store.start()

    async def one():
        while (job := await store.claim()) is not None:
            await caller.call(job)
            await store.done(job)

    await asyncio.gather(*(one() for _ in range(concurrency)))
    await asyncio.Event().wait()


def main():
    engine, place, verb, *rest = sys.argv[1:]
    kind = {"none": Nothing, "sqlite": Sqlite, "postgres": Postgres}[engine]
    if verb == "fill":
        if engine != "none":
            kind(place).fill(int(rest[0]))
        return
    port, concurrency = map(int, rest)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work(kind(place, concurrency), port, concurrency))


if __name__ == "__main__":
    main()
