/** The structure of static/: every import resolves, nothing is unused, and the service can join its scripts. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { exportsOf, files, graphOf, importsOf, linksOf, modules, pages, read, withoutComments } from "./tree.js";

/** Folders by layer: a module imports from its own folder and from those before it. */
const LAYERS = ["lib", "model", "feed", "widget", "dashboard", "pages"];
/** For programs outside: the types, the manifest, and what makes node and bundlers read modules. */
const FOR_TOOLS = ["call-popup.d.ts", "custom-elements.json", "package.json"];

const layerOf = (path) => LAYERS.indexOf(path.split("/")[0]);
const modulesOf = (page) => linksOf(page, "script", "src");

test("every import resolves, and to something that is exported", () => {
  for (const path of modules) {
    const imports = importsOf(path);
    assert.equal(imports.length, [...withoutComments(read(path)).matchAll(/^(?:import\b|export .* from\b)/gm)].length, `imports of ${path} are read`);
    for (const { path: target, names } of imports) {
      assert.ok(modules.includes(target), `${path} imports ${target}`);
      for (const name of names ?? []) assert.ok(exportsOf(target).includes(name), `${path} imports ${name} of ${target}`);
    }
  }
});

test("every file is used", () => {
  const used = new Set([...pages, ...FOR_TOOLS, "call-popup.js"]);
  for (const page of pages) for (const file of [...linksOf(page, "link", "href"), ...modulesOf(page)]) used.add(file);
  for (const entry of [...used].filter((path) => path.endsWith(".js"))) for (const path of graphOf(entry)) used.add(path);
  assert.deepEqual(files.filter((path) => !used.has(path)), []);
  assert.deepEqual([...used].filter((path) => !files.includes(path)), []);
});

test("every import and every export is used", () => {
  const tests = readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith(".js"));
  const inTests = tests.map((name) => readFileSync(new URL(name, import.meta.url), "utf8")).join("\n");
  const imported = new Set(modules.flatMap((path) => importsOf(path).flatMap(({ path: target, names }) => (names ?? exportsOf(target)).map((name) => `${target} ${name}`))));
  for (const path of modules) {
    const source = withoutComments(read(path));
    for (const name of importsOf(path).flatMap(({ names }) => names ?? [])) {
      assert.ok(source.match(new RegExp(`(?<![\\w.])${name}\\b`, "g")).length > 1, `${path} uses ${name}`);
    }
    for (const name of exportsOf(path)) {
      assert.ok(imported.has(`${path} ${name}`) || new RegExp(`\\b${name}\\b`).test(inTests), `${name} of ${path} is used elsewhere`);
    }
  }
});

test("imports point one way", () => {
  for (const path of modules.filter((one) => one.includes("/"))) {
    assert.ok(layerOf(path) >= 0, `${path} is in a folder with a layer`);
    for (const { path: target } of importsOf(path)) {
      assert.ok(layerOf(target) >= 0 && layerOf(target) <= layerOf(path), `${path} imports ${target}`);
    }
    assert.ok(!graphOf(path).some((target) => graphOf(target).includes(path)), `${path} is in a cycle`);
  }
});

test("a page has one script, and every script is of the forms that the service joins", () => {
  for (const page of pages) assert.equal(modulesOf(page).length, 1, `${page} has one script`);
  for (const path of modules) {
    for (const [line] of withoutComments(read(path)).matchAll(/^export .*$/gm)) {
      assert.match(line, /^export (?:\* from ".+";|(?:async )?(?:function|class|const|let) \w+.*)$/, path);
    }
  }
});

test("no module but dom.js makes elements", () => {
  for (const path of modules.filter((one) => one !== "lib/dom.js")) {
    assert.doesNotMatch(read(path), /createElement|innerHTML|insertAdjacentHTML/, path);
  }
});
