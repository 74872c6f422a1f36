// A SCIM 2.0 server on the packages scimmy and scimmy-routers. The protocol is theirs; the memory is ours, and so
// is the only rule in it: a userName belongs to one user. With Express 5 it ignores count and startIndex, it keeps
// a member as often as it is added, compares userName by case and cannot filter by members. That is why it is here.
import { randomUUID } from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import ScimRouters from "scimmy-routers";

const port = Number(process.argv[2]);
const { Error: ScimError } = SCIMMY.Types;

/** Keeps one kind of resource in memory. `accepts` throws when a new state may not be. */
function keep(resource, accepts = () => {}) {
    const kept = new Map();
    const missing = (id) => new ScimError(404, null, `${resource.name} ${id} does not exist`);
    SCIMMY.Resources.declare(resource, {
        egress({ id, filter }) {
            if (id) {
                if (!kept.has(id)) throw missing(id);
                return kept.get(id);
            }
            return filter ? filter.match([...kept.values()]) : [...kept.values()];
        },
        ingress({ id }, given) {
            if (id && !kept.has(id)) throw missing(id);
            const now = new Date().toISOString();
            const state = { ...JSON.parse(JSON.stringify(given)), id: id ?? randomUUID() };
            accepts(state, [...kept.values()]);
            state.meta = { created: kept.get(id)?.meta.created ?? now, lastModified: now };
            kept.set(state.id, state);
            return state;
        },
        degress({ id }) {
            if (!kept.delete(id)) throw missing(id);
        },
    });
}

keep(SCIMMY.Resources.User, (user, all) => {
    const name = user.userName.toLowerCase();
    if (all.some((other) => other.id !== user.id && other.userName.toLowerCase() === name)) {
        throw new ScimError(409, "uniqueness", "this userName is taken");
    }
});
keep(SCIMMY.Resources.Group);

const handler = (request) => {
    if (request.header("Authorization") !== "Bearer secret") throw new Error("the token is wrong");
    return "accede";
};
express().use("/scim", new ScimRouters({ type: "bearer", handler })).listen(port, "127.0.0.1");
