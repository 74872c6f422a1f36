// BullMQ with its defaults but for the concurrency.
//     bullmq.mjs PORT_OF_REDIS fill COUNT
//     bullmq.mjs PORT_OF_REDIS work PORT CONCURRENCY
import { Queue, Worker } from 'bullmq';
import { caller } from './target.mjs';

const [redis, verb, first, second] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(redis) };
if (verb === 'fill') {
    const queue = new Queue('jobs', { connection });
    for (let from = 0; from < Number(first); from += 500) {
        const chunk = Array.from({ length: Math.min(500, Number(first) - from) }, (_, n) => from + n);
        await queue.addBulk(chunk.map((number) => ({ name: 'call', data: { number } })));
    }
    await queue.close();
} else {
    const call = caller(Number(first), Number(second));
    const worker = new Worker('jobs', (job) => call(job.data.number), { connection, concurrency: Number(second) });
    worker.on('error', (error) => console.error(error.message));
}
