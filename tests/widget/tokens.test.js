/** The colours are written once, in widget/style.js. The pages need them before any script, so tokens.css is derived from there. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { COLOURS } from "../../static/widget/style.js";
import { ROOT, files, linksOf, pages, read } from "./tree.js";

const lines = Object.entries(COLOURS).map(([name, [light, dark]]) => `  --${name}: light-dark(${light}, ${dark});`);
const derived = [
  "/* The colours, derived from COLOURS in widget/style.js: UPDATE=1 node --test tests/widget/tokens.test.js */",
  ":root {",
  ...lines,
  "}",
  "",
].join("\n");
if (process.env.UPDATE) writeFileSync(`${ROOT}tokens.css`, derived);

test("tokens.css has the colours of the widget", () => {
  assert.equal(read("tokens.css"), derived);
});

test("no other style sheet has a colour of its own", () => {
  // The host page that the demo plays has other colours on purpose.
  for (const path of files.filter((one) => one.endsWith(".css") && one !== "tokens.css")) {
    const sheet = read(path).replace(/#stage\.plum \{[^}]*\}/, "");
    assert.doesNotMatch(sheet, /#[0-9a-f]{6}\b|rgba?\(/i, path);
  }
});

test("every page loads the colours first", () => {
  for (const page of pages) assert.equal(linksOf(page, 'link rel="stylesheet"', "href")[0], "tokens.css", page);
});
