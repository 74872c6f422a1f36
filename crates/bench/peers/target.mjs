// One call to the target for one job, over connections that stay open: what every Node contestant does.
import http from 'node:http';

export function caller(port, concurrency) {
    const agent = new http.Agent({ keepAlive: true, maxSockets: concurrency });
    const headers = { 'Content-Type': 'application/scim+json' };
    return (number) =>
        new Promise((resolve, reject) => {
            const body = JSON.stringify({
                schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
                Operations: [{ op: 'add', path: 'members', value: [{ value: `m${number}` }] }],
            });
            const options = { agent, host: '127.0.0.1', port, method: 'PATCH', path: '/scim/Groups/jobs' };
            const request = http.request(
                { ...options, headers: { ...headers, 'Content-Length': Buffer.byteLength(body) } },
                (answer) => {
                    answer.resume();
                    answer.on('end', () =>
                        answer.statusCode === 204 ? resolve() : reject(new Error(`${answer.statusCode}`)));
                });
            request.on('error', reject);
            request.end(body);
        });
}
