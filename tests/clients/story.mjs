// The main job with Microsoft's Graph SDK for TypeScript, unmodified. Its core has the models of entitlement management but no
// builders for it (none could be had as a package), so requests are described by hand and sent through its adapter.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import path from "node:path";
import {
  BaseBearerTokenAuthenticationProvider, AllowedHostsValidator, RequestInformation, HttpMethod,
} from "@microsoft/kiota-abstractions";
import { GraphRequestAdapter } from "@microsoft/msgraph-sdk/graphRequestAdapter.js";
import * as models from "@microsoft/msgraph-sdk/models/index.js";
import { createODataErrorFromDiscriminatorValue } from "@microsoft/msgraph-sdk/models/oDataErrors/index.js";

const here = path.dirname(fileURLToPath(import.meta.url));
const python = path.join(here, "../../.cache/venv/bin/python");

function told(condition, what) {
  console.log(`  ${condition ? "ok" : "WRONG"}  ${what}`);
  if (!condition) throw new Error(what);
}

class Client {
  constructor(base, token) {
    const provider = {
      getAuthorizationToken: async () => token,
      getAllowedHostsValidator: () => new AllowedHostsValidator(new Set(["127.0.0.1"])),
    };
    this.adapter = new GraphRequestAdapter(new BaseBearerTokenAuthenticationProvider(provider));
    this.adapter.baseUrl = `${base}/v1.0`;
    this.management = `${base}/v1.0/identityGovernance/entitlementManagement`;
    this.errors = { XXX: createODataErrorFromDiscriminatorValue };
  }

  describe(method, url, body, serializer) {
    const request = new RequestInformation(method);
    request.URL = url;
    request.headers.add("Accept", "application/json");
    if (body) request.setContentFromParsable(this.adapter, "application/json", body, serializer);
    return request;
  }

  send(method, url, factory, body, serializer) {
    return this.adapter.send(this.describe(method, url, body, serializer), factory, this.errors);
  }

  act(method, url, body, serializer) {
    return this.adapter.sendNoResponseContent(this.describe(method, url, body, serializer), this.errors);
  }
}

async function main(world) {
  const graph = new Client(world.base, world.token);
  const at = (tail) => graph.management + tail;
  const post = (tail, name, body) => graph.send(
    HttpMethod.POST, at(tail), models[`create${name}FromDiscriminatorValue`], body, models[`serialize${name}`]);
  const get = (tail, name) => graph.send(HttpMethod.GET, at(tail), models[`create${name}FromDiscriminatorValue`]);

  const user = await graph.send(HttpMethod.POST, `${world.base}/v1.0/users`, models.createUserFromDiscriminatorValue, {
    accountEnabled: true, displayName: "Ida", mailNickname: "ida", userPrincipalName: "ida@harbourline.example",
    passwordProfile: { password: "correct horse battery staple" },
  }, models.serializeUser);
  told(typeof user.id === "string", "a user is made");

  const catalog = await post("/catalogs", "AccessPackageCatalog", { displayName: "Fleet", description: "Crews" });
  const added = await post("/resourceRequests", "AccessPackageResourceRequest", {
    requestType: "adminAdd", catalog: { id: catalog.id }, resource: { originId: world.group, originSystem: "hr" },
  });
  told(added.state === "delivered", "the resource is there at once");
  const resources = await get(`/catalogs/${catalog.id}/resources?$expand=roles,scopes`, "AccessPackageResourceCollectionResponse");
  const resource = resources.value[0];
  const role = resource.roles.find((one) => one.displayName === "Member");
  const accessPackage = await post("/accessPackages", "AccessPackage", {
    displayName: "Crew", description: "Crew access", catalog: { id: catalog.id },
  });
  await post(`/accessPackages/${accessPackage.id}/resourceRoleScopes`, "AccessPackageResourceRoleScope", {
    role: { ...role, resource: { id: resource.id, originId: world.group, originSystem: "hr" } }, scope: resource.scopes[0],
  });
  const policy = await post("/assignmentPolicies", "AccessPackageAssignmentPolicy", {
    displayName: "Direct", description: "Administrators assign", accessPackage: { id: accessPackage.id },
  });

  const made = await post("/assignmentRequests", "AccessPackageAssignmentRequest", {
    requestType: "adminAdd",
    assignment: { additionalData: { targetId: user.id, assignmentPolicyId: policy.id, accessPackageId: accessPackage.id } },
  });
  told(made.state === "submitted" && made.status === "Accepted", "a new request answers as accepted");
  let read;
  for (let tries = 0; tries < 150; tries++) {
    read = await get(`/assignmentRequests/${made.id}?$expand=requestor`, "AccessPackageAssignmentRequest");
    if (read.state === "delivered") break;
    await new Promise((wake) => setTimeout(wake, 200));
  }
  told(read.state === "delivered" && read.requestor.objectId === user.id, "it is delivered, and the requestor expands");
  const answer = await fetch(`${world.scim}/Groups/${world.group}`, { headers: { Authorization: "Bearer secret" } });
  told((await answer.json()).members.length === 1, "the SCIM server itself has the member, once");

  const page = await get(
    `/assignments?$filter=accessPackage/id eq '${accessPackage.id}' and state eq 'delivered'&$expand=target&$count=true`.replaceAll(" ", "%20"),
    "AccessPackageAssignmentCollectionResponse");
  told(page.odataCount === 1 && page.value[0].target.displayName === "Ida", "filter, expand and count are understood");
  await graph.act(HttpMethod.POST, at(`/assignments/${page.value[0].id}/reprocess`));
  told(true, "reprocess of the assignment is accepted without a body");
  try {
    await graph.act(HttpMethod.POST, at(`/assignmentRequests/${made.id}/reprocess`));
    throw new Error("a delivered request was reprocessed");
  } catch (error) {
    told(error.errorEscaped?.code === "RequestNotReprocessable", "an error has Graph's code");
  }
}

const helper = spawn(python, [path.join(here, "world.py")], { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: helper.stdout });
let status = 0;
try {
  const [line] = await once(lines, "line");
  await main(JSON.parse(line));
} catch (error) {
  console.error(error);
  status = 1;
}
helper.stdin.end();
await once(helper, "exit");
process.exit(status);
