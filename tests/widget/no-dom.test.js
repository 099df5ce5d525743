/** On a server there is no DOM: importing the widget there, as frameworks do, must not matter. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { ROOT, modules } from "./tree.js";

/** They are the scripts of pages, and begin at once. */
const SCRIPTS = ["dashboard/main.js", "pages/api.js", "pages/customer.js", "pages/demo.js"];

/** Runs a script in a node of its own, in static/; what it wrote. */
async function inNode(script) {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], { cwd: ROOT });
  assert.equal(stderr, "");
  return JSON.parse(stdout);
}

test("importing the widget without a DOM defines nothing and throws nothing", async () => {
  const seen = await inNode(`
    const before = Reflect.ownKeys(globalThis);
    const module = await import("./call-popup.js");
    const added = Reflect.ownKeys(globalThis).filter((key) => !before.includes(key));
    const alive = process.getActiveResourcesInfo().filter((kind) => /Timeout|Socket|TCP/.test(kind));
    console.log(JSON.stringify([Object.keys(module), added, typeof customElements, alive]));
  `);
  assert.deepEqual(seen, [["CallPopup"], [], "undefined", []]);
});

test("every other module can be imported without a DOM too", async () => {
  const paths = modules.filter((path) => !SCRIPTS.includes(path)).map((path) => `./${path}`);
  const count = await inNode(`
    const loaded = await Promise.all(${JSON.stringify(paths)}.map((path) => import(path)));
    console.log(loaded.length);
  `);
  assert.equal(count, paths.length);
});

test("where the element is defined already, a second copy of the widget leaves it", async () => {
  const defined = await inNode(`
    const defined = [];
    globalThis.HTMLElement = class {};
    globalThis.customElements = { get: (name) => defined.find((one) => one === name), define: (name) => defined.push(name) };
    await import("./call-popup.js");
    await import("./widget/call-popup.js?second");
    console.log(JSON.stringify(defined));
  `);
  assert.deepEqual(defined, ["call-popup"]);
});
