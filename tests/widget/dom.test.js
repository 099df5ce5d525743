/** Making elements, on the least of a document. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { bdi, el, find } from "../../static/lib/dom.js";

class Fake {
  dataset = {};
  attributes = {};
  children = [];
  constructor(tag) {
    this.tag = tag;
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  append(child) {
    this.children.push(child);
  }
}

before(() => (globalThis.document = { createElement: (tag) => new Fake(tag) }));
after(() => delete globalThis.document);

test("properties, data and attributes go where they belong", () => {
  const onclick = () => {};
  const made = el("button", { className: "more", part: "more", role: "button", "aria-label": "More", dataset: { tone: "hold" }, hidden: false, title: undefined, onclick });
  assert.deepEqual([made.tag, made.className, made.hidden, made.onclick], ["button", "more", false, onclick]);
  assert.deepEqual(made.attributes, { part: "more", role: "button", "aria-label": "More" });
  assert.deepEqual(made.dataset, { tone: "hold" });
  assert.ok(!("title" in made));
});

test("text stays text, and what is missing is left out", () => {
  assert.deepEqual(el("p", {}, "<b>", null, false, "", undefined, "0").children, ["<b>", "0"]);
});

test("a number is read from left to right, a name as its letters are", () => {
  assert.equal(bdi("+1 416", true).dir, "ltr");
  assert.ok(!("dir" in bdi("Sarah")));
});

test("a page without what a script needs says what is missing", () => {
  const page = { querySelector: (selector) => (selector === "#there" ? new Fake("p") : null) };
  assert.equal(find(page, "#there", Fake).tag, "p");
  assert.throws(() => find(page, "#gone", Fake), /no Fake at #gone/);
});
