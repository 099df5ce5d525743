/** custom-elements.json and the README say what the widget has. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CallPopup } from "../../static/call-popup.js";
import { files, read } from "./tree.js";

const [module] = JSON.parse(read("custom-elements.json")).modules;
const [widget] = module.declarations;
const names = (list) => list.map(({ name }) => name).sort();
const found = (text, pattern) => [...new Set([...text.matchAll(pattern)].map(([, name]) => name))].sort();
const sources = files.filter((path) => path.startsWith("widget/") && path.endsWith(".js")).map(read).join("\n");

test("the manifest has every attribute, each with its property", () => {
  assert.deepEqual(names(widget.attributes), [...CallPopup.observedAttributes].sort());
  for (const { fieldName } of widget.attributes) assert.ok(fieldName in CallPopup.prototype, fieldName);
  for (const { name } of widget.members) assert.ok(name in CallPopup.prototype, name);
});

test("the manifest has every event, custom property and part", () => {
  assert.deepEqual(names(widget.events), found(sources, /popupEvent\("([^"]+)"/g));
  const used = [...found(sources, /var\((--call-popup-[a-z-]+)/g), ...found(sources, /colour\("([^"]+)"\)/g).map((name) => `--call-popup-${name}`)];
  assert.deepEqual(names(widget.cssProperties), used.sort());
  const documented = read("widget/style.js").match(/::part\(([^)]+)\)/)[1].split("|").sort();
  assert.deepEqual(names(widget.cssParts), documented);
});

test("the README lists the same attributes", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const table = readme.slice(readme.indexOf("## Put the popup"), readme.indexOf("A page of another site needs"));
  assert.deepEqual(found(table, /^\| `([a-z-]+)` \|/gm), names(widget.attributes));
});
