/** Fast Refresh: the example under `next dev`, while its files are edited. */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { CARDS, SECRET, Service, Stage, Tab, eventually, freePort, listenersOf, openBrowser, start } from "./support.js";

const example = fileURLToPath(new URL("../../examples/nextjs", import.meta.url));
const stage = new Stage();
let folder;
let tab;
let service;

/** Rewrites a file of the dashboard as an editor does. */
function edit(file, from, to) {
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  assert.ok(text.includes(from), `${from} in ${file}`);
  writeFileSync(path, text.replace(from, to));
}

before(async () => {
  // Beside node_modules, and not the copy that is built.
  folder = mkdtempSync(join(example, "refresh-"));
  stage.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(example, "web-admin"), folder, { recursive: true, filter: (path) => basename(path) !== ".next" });
  const port = await freePort();
  const site = `http://localhost:${port}`;
  service = await Service.start(stage, [site]);
  const next = join(example, "node_modules/next/dist/bin/next");
  const env = { CALLER_POPUP_URL: service.url, JWT_SECRET: SECRET, SESSION_SECRET: `${SECRET} too`, DEMO_USER: "dana", DEMO_PASSWORD: "secret", NODE_ENV: "development" };
  await start(stage, site, process.execPath, [next, "dev", folder, "--port", String(port)], { cwd: example, env });
  tab = await Tab.open(await openBrowser(stage), service, site);
  await tab.until("document.querySelector('h1')?.textContent === 'Sign in'");
  await tab.page.type("[name=name]", "dana");
  await tab.page.type("[name=password]", "secret");
  await tab.page.click("main button");
  await tab.untilLive();
  // Next.js updates the modules that a document came with, and not those that a navigation of its router added.
  await tab.page.goto(site);
  await tab.untilLive();
  tab.streams = 0;
});
after(() => stage.close());

test("a file with <CallPopup> that is edited keeps the card, the stream and the count of listeners", async () => {
  await service.ring("edited");
  await tab.untilCards(1);
  await tab.page.evaluate(`(${CARDS})[0].isTheSame = true; window.isTheSame = true; document.querySelector("call-popup").isTheSame = true`);
  const listeners = await listenersOf(tab);
  for (let offset = 72; offset < 76; offset++) {
    edit("components/CallPopup.tsx", `offset={${offset}}`, `offset={${offset + 1}}`);
    await tab.until(`document.querySelector("call-popup")?.getAttribute("offset") === "${offset + 1}"`);
  }
  edit("components/DashboardLayout.tsx", "Web admin", "Web administration");
  await tab.until("document.querySelector('header strong')?.textContent === 'Web administration'");
  edit("components/CallsNow.tsx", "ringing`", "calls ring`");
  await tab.until("document.querySelector('output')?.textContent === '1 calls ring'");
  assert.deepEqual(await tab.page.evaluate(`[window.isTheSame, document.querySelector("call-popup").isTheSame, (${CARDS}).length, (${CARDS})[0].isTheSame]`), [true, true, 1, true]);
  assert.deepEqual(await listenersOf(tab), listeners);
  assert.equal(tab.streams, 0, "no second one");
  await eventually("one stream", async () => (await service.viewers()) === 1);
  assert.deepEqual(tab.complaints, []);
  // The handlers are those of the edited file.
  await tab.page.evaluate(`(${CARDS})[0].querySelector("[part~=dismiss]").click()`);
  await tab.untilCards(0);
  await tab.until("document.querySelector('output')?.textContent === '0 calls ring'");
});
