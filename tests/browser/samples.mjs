// Looks at every page of `target/portal` (made by the ignored test `write_samples`) in light and
// dark, wide and narrow: axe must find nothing, the page must not scroll sideways, and a picture of
// each is kept under `target/portal/shots`.
import { createServer } from "node:http";
import { readFile, readdir, mkdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { chromium } from "playwright-core";
import { AxeBuilder } from "@axe-core/playwright";

const folder = join(import.meta.dirname, "../../target/portal");
const shots = join(folder, "shots");
const types = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";
const server = createServer(async (request, response) => {
  const path = new URL(request.url, "http://localhost").pathname;
  try {
    const body = await readFile(join(folder, path.includes(".") ? path : `${path}.html`));
    response.writeHead(200, { "content-type": types[extname(path)] ?? types[".html"], "content-security-policy": policy });
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const base = `http://127.0.0.1:${server.address().port}`;
await mkdir(shots, { recursive: true });

const wanted = process.argv.slice(2);
const names = (await readdir(folder)).filter((name) => name.endsWith(".html")).map((name) => name.slice(0, -5))
  .filter((name) => wanted.length === 0 || wanted.some((one) => name.startsWith(one)));
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
let passed = 0;
const failed = [];
for (const scheme of ["light", "dark"]) {
  for (const [size, viewport] of [["wide", { width: 1280, height: 800 }], ["narrow", { width: 390, height: 844 }]]) {
    const context = await browser.newContext({ colorScheme: scheme, viewport });
    const tab = await context.newPage();
    const errors = [];
    tab.on("console", (message) => message.type() === "error" && errors.push(message.text()));
    tab.on("pageerror", (error) => errors.push(String(error)));
    for (const name of names) {
      errors.length = 0;
      await tab.goto(`${base}/${name}`);
      await tab.screenshot({ path: join(shots, `${name}-${size}-${scheme}.png`), fullPage: true });
      const found = (await new AxeBuilder({ page: tab }).analyze()).violations
        .map((one) => `${one.id}: ${one.nodes.map((node) => node.target + " " + (node.any[0]?.message ?? "")).slice(0, 3).join(" | ")}`);
      const wide = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) found.push(`scrolls sideways by ${wide} px`);
      // A sample's job has no server behind it.
      found.push(...errors.filter((error) => !/events|EventSource|404/.test(error)));
      if (found.length === 0) passed += 1;
      else failed.push(`${name} ${size} ${scheme}: ${found.join("\n    ")}`);
    }
    await context.close();
  }
}
await browser.close();
server.close();
for (const line of failed) console.log(`FAIL ${line}`);
console.log(`${passed} passed, ${failed.length} failed`);
process.exitCode = failed.length === 0 ? 0 : 1;
