// The journeys of the portal in a real browser, against `accede demo`: reprocess what failed, request,
// approve, give back. Axe looks at every page on the way, and no page may complain on its console.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { AxeBuilder } from "@axe-core/playwright";

const binary = join(import.meta.dirname, "../../target/debug/accede");
const demo = spawn(binary, ["demo", "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
const base = await new Promise((ready, failed) => {
  let text = "";
  demo.stdout.on("data", (piece) => {
    text += piece;
    const found = /Accede demo: (http:\/\/\S+)/.exec(text);
    if (found) ready(found[1]);
  });
  demo.on("exit", (code) => failed(new Error(`the demo ended with ${code}: ${text}`)));
});
demo.removeAllListeners("exit");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A browser of their own for a person of the demo, signed in; `scripts` says whether pages may run any. */
async function as(name, scripts = true) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, javaScriptEnabled: scripts });
  const tab = await context.newPage();
  tab.setDefaultTimeout(30_000);
  tab.complaints = [];
  tab.on("console", (message) => message.type() === "error" && tab.complaints.push(message.text()));
  tab.on("pageerror", (error) => tab.complaints.push(String(error)));
  await tab.goto(`${base}/signin`);
  await tab.getByRole("button", { name }).click();
  await tab.getByRole("button", { name: "Sign out" }).waitFor();
  return tab;
}

/** What is wrong with the page that a tab shows. */
async function look(tab) {
  const { violations } = await new AxeBuilder({ page: tab }).analyze();
  const wrong = violations.map((one) => `${one.id} at ${one.nodes.map((node) => node.target).slice(0, 3).join(", ")}`);
  if (wrong.length + tab.complaints.length > 0) throw new Error(`${tab.url()}: ${[...wrong, ...tab.complaints].join("; ")}`);
}

function holds(is, what) {
  if (!is) throw new Error(what);
}

/** Opens the failed requests of the package Campaign. */
async function failedOfCampaign(tab) {
  await tab.goto(`${base}/governance/packages`);
  await tab.getByRole("link", { name: "Campaign", exact: true }).click();
  await tab.locator("nav.tabs").getByRole("link", { name: "Requests" }).click();
  await tab.goto(`${tab.url()}?state=deliveryFailed&state=partiallyDelivered`);
}

const journeys = {
  "without scripts, everything that matches is planned": async () => {
    const rita = await as("Rita Okafor", false);
    await failedOfCampaign(rita);
    await rita.getByRole("button", { name: /^Reprocess all/ }).click();
    await rita.getByRole("heading", { name: "Reprocess plan" }).waitFor();
    holds(/Will be tried again/.test(await rita.innerText("main")), "the plan says what would be tried again");
  },
  "what failed is read, planned and reprocessed": async () => {
    const rita = await as("Rita Okafor");
    await failedOfCampaign(rita);
    await look(rita);
    const causes = await rita.innerText("tbody");
    holds(/no licence is left/.test(causes), `the cause is told: ${causes.slice(0, 200)}`);
    await rita.getByLabel("Select all on this page").check();
    await rita.getByRole("button", { name: "Reprocess…" }).click();
    await rita.getByRole("heading", { name: "Reprocess plan" }).waitFor();
    await look(rita);
    await rita.getByRole("button", { name: /^Reprocess \d+ requests?$/ }).click();
    await rita.waitForURL(/\/governance\/jobs\//);
    const job = rita.url();
    // The page is live until every request had its outcome, and then loads itself once more.
    for (let waited = 0; (await rita.locator("[data-live]").count()) > 0; waited += 1) {
      holds(waited < 60, "the job did not end");
      await rita.waitForTimeout(1_000);
      await rita.goto(job);
    }
    const delivered = await rita.locator('[data-text="delivered"]').innerText();
    holds(Number(delivered) > 0, `${delivered} requests were delivered`);
    await look(rita);
  },
  "a person requests, the manager approves, the person gives back": async () => {
    const uma = await as("Uma Patel");
    await look(uma);
    await uma.getByRole("link", { name: /Request.*Newsroom|Newsroom/ }).last().click();
    await look(uma);
    await uma.getByLabel(/Why do you need it/).fill("I write the harbour news");
    await uma.getByRole("button", { name: "Send the request" }).click();
    await uma.waitForURL(/\/my\/requests\//);
    await look(uma);
    const request = uma.url();

    const max = await as("Max Weber");
    await max.goto(`${base}/approvals`);
    await look(max);
    await max.locator("tr", { hasText: "I write the harbour news" }).getByRole("link").first().click();
    await look(max);
    await max.getByLabel(/reason|justification/i).first().fill("She does");
    await max.getByRole("button", { name: "Approve" }).click();
    await max.goto(`${base}/approvals/history`);
    holds(/Newsroom/.test(await max.innerText("main")), "the decision is in the history");
    await look(max);

    for (let waited = 0; ; waited += 1) {
      await uma.goto(request);
      if (/Delivered/.test(await uma.innerText("h1 + *, .head, main"))) break;
      holds(waited < 60, "the request was not delivered");
      await uma.waitForTimeout(500);
    }
    await look(uma);
    await uma.goto(`${base}/my/access`);
    await uma.locator("main").getByRole("link", { name: "Newsroom" }).first().click();
    await look(uma);
    await uma.getByRole("link", { name: /give.*back/i }).or(uma.getByRole("button", { name: /give.*back/i })).first().click();
    await look(uma);
    await uma.getByRole("button", { name: /give.*back/i }).first().click();
    await uma.waitForLoadState();
    await look(uma);
  },
  "without scripts, a package is made, given roles, and opened by its link": async () => {
    const olga = await as("Olga Petrova", false);
    // Axe needs scripts: she looks at the same pages in a second window.
    const seen = await as("Olga Petrova");
    const look2 = async () => { await seen.goto(olga.url()); await look(seen); };
    await olga.goto(`${base}/governance/packages`);
    await look2();
    await olga.getByRole("link", { name: "New access package" }).click();
    await look2();
    await olga.getByLabel("Description").fill("Writes the harbour's yearbook");
    await olga.getByRole("button", { name: "Create the access package" }).click();
    holds(/cannot be blank/i.test(await olga.innerText("main")), "the blank name is told");
    holds((await olga.getByLabel("Description").inputValue()) === "Writes the harbour's yearbook", "what was typed is kept");
    await olga.getByLabel(/^Name/).fill("Yearbook");
    await olga.getByLabel(/^Catalog/).selectOption({ label: "Marketing" });
    await olga.getByLabel(/^Hidden/).check();
    await olga.getByRole("button", { name: "Create the access package" }).click();
    await olga.getByRole("heading", { name: "Yearbook" }).waitFor();
    await look2();
    const overview = olga.url().split("?")[0];
    const link = await olga.getByLabel("Link to request it").inputValue();
    holds(link.startsWith(`${base}/my/packages/`), `the link is whole: ${link}`);

    await olga.locator("nav.tabs").getByRole("link", { name: "Resource roles" }).click();
    await olga.getByRole("link", { name: "Add a resource role" }).click();
    await look2();
    const first = olga.getByRole("button", { name: /^Add Member of / }).first();
    const role = (await first.getAttribute("aria-label")).replace("Add ", "");
    await first.click();
    await olga.getByRole("link", { name: `Remove ${role}` }).waitFor();
    await look2();
    await olga.getByRole("link", { name: "Add a resource role" }).click();
    holds((await olga.getByRole("button", { name: `Add ${role}`, exact: true }).count()) === 0, `${role} is offered once`);
    await olga.getByRole("button", { name: /^Add / }).first().click();
    await olga.getByRole("link", { name: /^Remove / }).last().click();
    await look2();
    holds(/Nobody has the access package/.test(await olga.innerText("main")), "it says who loses the role");
    await olga.getByRole("button", { name: "Remove the role" }).click();
    await olga.getByRole("link", { name: `Remove ${role}` }).waitFor();

    await olga.locator("nav.tabs").getByRole("link", { name: "Incompatible" }).click();
    await look2();
    await olga.getByRole("link", { name: "Add an access package" }).click();
    await olga.getByLabel("Access package", { exact: true }).fill("newsr");
    await olga.getByRole("button", { name: "Search" }).click();
    await look2();
    await olga.getByRole("button", { name: "Add Newsroom" }).click();
    await olga.getByRole("link", { name: "Add a group" }).click();
    await look2();
    holds(/There is no group to add/.test(await olga.innerText("main")), "the demo has no groups");
    await olga.getByRole("link", { name: "Back without adding" }).click();
    await look2();
    await olga.getByRole("link", { name: "Remove Newsroom" }).click();
    await look2();
    await olga.getByRole("button", { name: "Take it off the list" }).click();
    holds(/No access package is incompatible/.test(await olga.innerText("main")), "it is off the list");

    const uma = await as("Uma Patel");
    await uma.goto(link);
    await look(uma);
    holds(/no policy yet/.test(await uma.innerText("main")), "the link says that nobody is admitted");

    await olga.goto(overview);
    await olga.getByRole("link", { name: "Edit" }).click();
    await look2();
    await olga.getByLabel(/^Name/).fill("Year book");
    await olga.getByRole("button", { name: "Save" }).click();
    await olga.getByRole("heading", { name: "Year book" }).waitFor();
    await olga.getByRole("link", { name: "Delete" }).click();
    await look2();
    await olga.getByRole("button", { name: "Delete the access package" }).click();
    holds(/Deleted\./.test(await olga.innerText("main")), "it is deleted");
    const gone = await uma.goto(link);
    holds(gone.status() === 404, `a deleted package answers ${gone.status()}`);
  },
  "without scripts, a person is made, put into a group, assigned a package, and it is taken back": async () => {
    const ada = await as("Ada Lindqvist", false);
    // Axe is a script: it looks through another tab, at what a GET shows.
    const seen = await as("Ada Lindqvist");
    const look2 = async () => { await seen.goto(ada.url()); await look(seen); };
    await ada.goto(`${base}/governance/people`);
    await look2();
    await ada.getByRole("link", { name: "New person" }).click();
    await ada.getByLabel(/^Name/).fill("Nora Lindahl");
    await ada.getByLabel(/^Sign-in name/).fill("not a sign-in name");
    await ada.getByRole("button", { name: "Create the person" }).click();
    holds((await ada.getByLabel(/^Name/).inputValue()) === "Nora Lindahl", "what was typed is still there");
    await ada.getByLabel(/^Sign-in name/).fill("nora.lindahl@harbourline.example");
    await ada.getByRole("button", { name: "Create the person" }).click();
    await ada.getByRole("heading", { name: "Nora Lindahl" }).waitFor();
    await look2();

    await ada.goto(`${base}/governance/groups`);
    await look2();
    await ada.getByRole("link", { name: "New group" }).click();
    await look2();
    await ada.getByLabel(/^Name/).fill("Yearbook editors");
    await ada.getByRole("button", { name: "Create the group" }).click();
    await ada.getByRole("heading", { name: "Yearbook editors" }).waitFor();
    await ada.locator("#members").getByRole("link", { name: /^Add/ }).click();
    await look2();
    await ada.getByLabel(/^Sign-in name/).fill("nora.lindahl@harbourline.example");
    await ada.locator("form button.primary").click();
    await ada.locator("#members").getByRole("link", { name: "Nora Lindahl" }).waitFor();
    await look2();

    await ada.goto(`${base}/governance/packages`);
    await ada.getByRole("link", { name: "Newsroom", exact: true }).click();
    await ada.locator("nav.tabs").getByRole("link", { name: "Assignments" }).click();
    await ada.getByRole("link", { name: "New assignment" }).click();
    await look2();
    await ada.getByLabel(/^Who/).fill("nora.lindahl@harbourline.example\nnobody@harbourline.example");
    if (await ada.getByRole("group", { name: "Under which policy" }).count()) {
      await ada.getByRole("group", { name: "Under which policy" }).getByRole("radio").first().check();
    }
    await ada.getByRole("button", { name: "Assign" }).click();
    holds(/nobody@harbourline\.example/.test(await ada.innerText("main")), "whom it does not know is named");
    await ada.goto(`${base}/governance/people?text=nora.lindahl`);
    await ada.getByRole("link", { name: "Nora Lindahl" }).click();
    holds(/Newsroom/.test(await ada.innerText("main")), "the person's page shows the access");
    await look2();
    await ada.getByRole("link", { name: "Newsroom" }).first().click();
    await ada.getByRole("link", { name: "Remove the access of Nora Lindahl" }).click();
    await look2();
    await ada.getByRole("button", { name: "Remove this access" }).click();
    await look2();
    holds((await ada.getByRole("link", { name: "Remove the access of Nora Lindahl" }).count()) === 0, "it is taken back");
  },
  "without scripts, a target is paused only after a question": async () => {
    const ada = await as("Ada Lindqvist", false);
    await ada.goto(`${base}/governance/targets`);
    await ada.locator("tbody").getByRole("link").last().click();
    const target = ada.url();
    await ada.getByRole("link", { name: "Pause" }).click();
    await ada.getByRole("link", { name: "Keep it as it is" }).click();
    holds(ada.url() === target, "back at the target");
    await ada.getByRole("link", { name: "Pause" }).click();
    await ada.getByRole("button", { name: "Pause the target system" }).click();
    await ada.getByRole("button", { name: "Resume" }).click();
    await ada.getByRole("link", { name: "Pause" }).waitFor();
  },
  "a policy with two stages and questions is made, and a requestor answers them": async () => {
    const olga = await as("Olga Petrova");
    const olgaSignsInAs = await olga.locator(".who .upn").innerText();
    await olga.goto(`${base}/governance/packages/new`);
    await olga.getByLabel(/^Name/).fill("Slipway");
    await olga.getByLabel(/^Catalog/).selectOption({ label: "Marketing" });
    await olga.getByRole("button", { name: "Create the access package" }).click();
    const link = await olga.getByLabel("Link to request it").inputValue();
    await olga.locator("nav.tabs").getByRole("link", { name: "Policies" }).click();
    await look(olga);
    await olga.getByRole("link", { name: "New policy" }).click();
    await look(olga);
    holds(!(await olga.getByLabel("Days to decide in stage 1").isVisible()), "stages are shown once they count");
    await olga.getByLabel("People and groups", { exact: true }).fill("uma.patel@nowhere.example");
    await olga.getByLabel("Two stages, one after the other").check();
    const one = olga.getByRole("group", { name: "Managers who decide in stage 1" });
    await one.getByLabel("The requestor's manager", { exact: true }).check();
    await olga.getByLabel("People and groups who decide in stage 2").fill(olgaSignsInAs);
    await olga.getByLabel("Days to decide in stage 2").fill("3");
    await olga.getByLabel("A number of days").check();
    await olga.getByLabel("Days", { exact: true }).fill("90");
    await olga.getByLabel("Text of question 1").fill("Cost centre");
    await olga.getByLabel("Pattern of the answer to question 1").fill("[0-9]{4}");
    await olga.getByLabel("Question 1 must be answered").check();
    await olga.getByLabel("Text of question 2").fill("Which season?");
    await olga.getByLabel("Answer to question 2", { exact: true }).selectOption({ label: "One choice of a list" });
    await olga.getByLabel("Choices of question 2").fill("spring = The spring campaign\nautumn = The autumn campaign");
    await olga.getByRole("button", { name: "Create the policy" }).click();
    await olga.getByText("Give it a name").waitFor();
    // The console tells the status of a refused form, which is as it should be.
    const refused = () => { olga.complaints = olga.complaints.filter((one) => !/status of 4\d\d/.test(one)); };
    refused();
    await look(olga);
    await olga.getByLabel(/^Name/).fill("Those who paint");
    await olga.getByRole("button", { name: "Create the policy" }).click();
    await olga.getByText(/uma.patel@nowhere.example/).first().waitFor();
    holds(/no person has this sign-in name/i.test(await olga.innerText("main")), "who is not known is told");
    refused();
    await look(olga);
    holds((await olga.getByLabel("Text of question 3").count()) === 1, "there are always rows to fill in");
    await olga.getByLabel("People and groups", { exact: true }).fill(olgaSignsInAs.replace("olga.petrova", "uma.patel"));
    await olga.getByRole("button", { name: "Create the policy" }).click();
    await olga.getByRole("heading", { name: "Those who paint" }).waitFor();
    await look(olga);
    holds(/90 days/.test(await olga.innerText("main")), "it says for how long");
    const policy = olga.url().split("?")[0];
    await olga.getByRole("link", { name: "Edit" }).click();
    await look(olga);
    await olga.getByLabel("Description").fill("Everybody who paints hulls");
    await olga.getByRole("button", { name: "Save" }).click();
    await olga.getByText("Saved.").waitFor();

    const uma = await as("Uma Patel");
    await uma.goto(link);
    await look(uma);
    await uma.getByLabel(/^Cost centre/).fill("12");
    await uma.getByRole("button", { name: "Send the request" }).click();
    holds(/\/request$/.test(uma.url()), "an answer that does not match is refused");
    await uma.getByLabel(/^Cost centre/).fill("1234");
    await uma.getByLabel("The spring campaign").check();
    await uma.getByRole("button", { name: "Send the request" }).click();
    await uma.waitForURL(/\/my\/requests\//);
    holds(/1234/.test(await uma.innerText("main")), "the answers are in the request");

    const max = await as("Max Weber");
    for (const approver of [max, olga]) {
      await approver.goto(`${base}/approvals`);
      await approver.locator("tr", { hasText: "Slipway" }).getByRole("link").first().click();
      holds(/The spring campaign/.test(await approver.innerText("main")), "the approver reads the answers");
      await look(approver);
      await approver.getByRole("button", { name: "Approve" }).click();
      await approver.getByText("You approved the request.").waitFor();
    }
    await olga.goto(policy);
    await olga.getByRole("link", { name: "Delete" }).click();
    await look(olga);
    await olga.getByRole("button", { name: "Delete the policy" }).click();
    await olga.getByText(/(assignments have not expired|requests are open): 1/).waitFor();
    refused();
    await look(olga);
  },
  "targets, catalogs, failures and jobs can be read": async () => {
    const ada = await as("Ada Lindqvist");
    for (const path of ["targets", "targets/new", "targets/new?kind=scim", "catalogs", "catalogs/new", "packages/new", "failures", "jobs", "requests", "packages"]) {
      const answer = await ada.goto(`${base}/governance/${path}`);
      holds(answer.status() === 200, `${path} answers ${answer.status()}`);
      await look(ada);
    }
  },
  "a reader of a catalog cannot reprocess": async () => {
    const cora = await as("Cora Silva");
    await failedOfCampaign(cora);
    holds((await cora.getByRole("button", { name: /Reprocess/ }).count()) === 0, "no button to reprocess");
    holds(/you need to be/.test(await cora.innerText("main")), "it says which role it takes");
  },
};

let passed = 0, failed = 0;
for (const [name, journey] of Object.entries(journeys)) {
  try {
    await journey();
    passed += 1;
    console.log(`ok   ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}\n     ${String(error.stack ?? error).slice(0, 1500)}`);
  }
}
await browser.close();
demo.kill("SIGTERM");
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
