#!/usr/bin/env python3
"""procrastinate, as its documentation sets it up, with its own recipe for jobs of workers that died.

    procrastinate_peer.py DATABASE fill COUNT
    procrastinate_peer.py DATABASE work PORT CONCURRENCY
"""

import asyncio
import sys

import procrastinate
from target import Caller

database, verb, *rest = sys.argv[1:]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=database))
caller = Caller(int(rest[0]))


@app.task(name="call")
async def call(number):
    await caller.call(number)


# howto/production/retry_stalled_jobs of its documentation, every minute instead of every ten.
@app.periodic(cron="* * * * *")
@app.task(queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context, timestamp):
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


async def main():
    async with app.open_async():
        if verb == "fill":
            await app.schema_manager.apply_schema_async()
            await call.batch_defer_async(*({"number": number} for number in range(int(rest[0]))))
        else:
            await app.run_worker_async(concurrency=int(rest[1]))


asyncio.run(main())
