/**
 * What the popup adds to the heap of a dashboard whose pages change while calls ring: the example with it and without it, the same
 * navigations, the heap after forced collections. A program to run by hand, with `scripts/test-clients heap.js`; BENCHMARKS.md has the figures.
 *
 *   ROUNDS       how often it measures, 8 by default; the first round warms up
 *   NAVIGATIONS  between two measurements, 100 by default
 */
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CARDS, SECRET, Service, Stage, Tab, eventually, freePort, openBrowser, run, start } from "./support.js";

const ROUNDS = Number(process.env.ROUNDS ?? 8);
const NAVIGATIONS = Number(process.env.NAVIGATIONS ?? 100);
const example = fileURLToPath(new URL("../../examples/nextjs", import.meta.url));
const next = join(example, "node_modules/next/dist/bin/next");

/** A copy of the dashboard, built; without the popup and the count of calls, unless it is wanted. */
async function built(stage, hasPopup) {
  const folder = mkdtempSync(join(example, "heap-"));
  stage.after(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(join(example, "web-admin"), folder, { recursive: true, filter: (path) => basename(path) !== ".next" });
  if (!hasPopup) {
    const layout = join(folder, "components/DashboardLayout.tsx");
    const lines = readFileSync(layout, "utf8").split("\n");
    writeFileSync(layout, lines.filter((line) => !/CallPopup|CallsNow|Another person/.test(line)).join("\n"));
  }
  await run(process.execPath, [next, "build", folder], { cwd: example });
  return folder;
}

/** The heap after collections, and how many nodes and listeners the page has in all. */
async function measure(devtools) {
  for (let at = 0; at < 3; at++) await devtools.send("HeapProfiler.collectGarbage");
  const { usedSize } = await devtools.send("Runtime.getHeapUsage");
  const { nodes, jsEventListeners } = await devtools.send("Memory.getDOMCounters");
  return { kib: Math.round(usedSize / 1024), nodes, listeners: jsEventListeners };
}

async function figures(hasPopup) {
  const stage = new Stage();
  try {
    const folder = await built(stage, hasPopup);
    const port = await freePort();
    const site = `http://127.0.0.1:${port}`;
    const service = await Service.start(stage, [site]);
    const env = { CALLER_POPUP_URL: service.url, JWT_SECRET: SECRET, SESSION_SECRET: `${SECRET} too`, DEMO_USER: "dana", DEMO_PASSWORD: "secret" };
    await start(stage, site, process.execPath, [next, "start", folder, "--port", String(port), "--hostname", "127.0.0.1"], { cwd: example, env });
    const tab = await Tab.open(await openBrowser(stage), service, site);
    const heading = (text) => tab.until(`document.querySelector("h1")?.textContent === "${text}"`);
    await heading("Sign in");
    await tab.page.type("[name=name]", "dana");
    await tab.page.type("[name=password]", "secret");
    await tab.page.click("main button");
    await heading("Overview");
    if (hasPopup) await tab.untilLive();
    const devtools = await tab.page.createCDPSession();
    const found = [];
    const ringing = [];
    for (let at = 0; at < ROUNDS * NAVIGATIONS; at++) {
      if (at % 10 === 0) {
        const number = 1000 + (at % 9000);
        ringing.push(`heap-${at}`);
        await service.ring(ringing.at(-1), `+1416555${number}`);
        if (hasPopup) await tab.until(`(${CARDS}).some((card) => card.innerText.includes("555-${number}"))`);
      }
      if (at % 10 === 5 && ringing.length > 2) await service.hangUp(ringing.shift());
      const title = at % 2 ? "Overview" : "Customers";
      await tab.page.evaluate((text) => [...document.querySelectorAll("a")].find((a) => a.textContent === text).click(), title);
      await heading(title);
      if ((at + 1) % NAVIGATIONS) continue;
      // The same state at each measurement: no call rings, and no card is shown.
      while (ringing.length) await service.hangUp(ringing.shift());
      if (hasPopup) await tab.untilCards(0);
      found.push(await measure(devtools));
      console.log(`# ${hasPopup ? "with" : "without"} the popup, after ${at + 1} navigations: ${JSON.stringify(found.at(-1))}`);
    }
    assert.equal(tab.streams, hasPopup ? 1 : 0);
    await eventually("its streams", async () => (await service.viewers()) === tab.streams);
    assert.deepEqual(tab.complaints, []);
    return found;
  } finally {
    await stage.close();
  }
}

for (const hasPopup of [true, false]) {
  const [first, ...rest] = await figures(hasPopup);
  const growth = (rest.at(-1).kib - rest[0].kib) / (rest.length - 1);
  console.log(`# ${hasPopup ? "with" : "without"} the popup: ${growth.toFixed(0)} KiB in ${NAVIGATIONS} navigations after the first ${2 * NAVIGATIONS}; at first ${first.kib} KiB`);
}
