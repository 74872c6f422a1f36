// graphile-worker with its defaults but for the concurrency.
//     graphile.mjs DATABASE fill COUNT
//     graphile.mjs DATABASE work PORT CONCURRENCY
import { makeWorkerUtils, Logger, run } from 'graphile-worker';
import { caller } from './target.mjs';

const [connectionString, verb, first, second] = process.argv.slice(2);
const logger = new Logger(() => () => {});
if (verb === 'fill') {
    const utils = await makeWorkerUtils({ connectionString, logger });
    await utils.migrate();
    await utils.withPgClient((client) => client.query(
        "select count(graphile_worker.add_job('call', json_build_object('number', n))) from generate_series(0, $1 - 1) n",
        [Number(first)]));
    await utils.release();
} else {
    const call = caller(Number(first), Number(second));
    const taskList = { call: ({ number }) => call(number) };
    await run({ connectionString, concurrency: Number(second), taskList, logger, noHandleSignals: true });
}
