/** Calls that this tab has shown: the next page of a site does not show their cards again. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { SeenCalls } from "../../static/widget/seen-calls.js";

let stored;
beforeEach(() => {
  stored = new Map();
  globalThis.sessionStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };
});
afterEach(() => delete globalThis.sessionStorage);

function loaded() {
  const seen = new SeenCalls();
  seen.load();
  return seen;
}

test("the next page knows what was dismissed and what was folded", () => {
  const seen = loaded();
  seen.dismiss("a");
  seen.fold("b");
  const next = loaded();
  assert.deepEqual([next.isDismissed("a"), next.isFolded("a"), next.isDismissed("b"), next.isFolded("b")], [true, false, false, true]);
  next.unfold("b");
  next.fold("c");
  next.dismiss("c");
  assert.deepEqual([loaded().isFolded("b"), loaded().isFolded("c"), loaded().isDismissed("c")], [false, false, true]);
});

test("another person on the same page starts with nothing", () => {
  const seen = loaded();
  seen.dismiss("a");
  seen.fold("b");
  seen.clear();
  assert.deepEqual([loaded().isDismissed("a"), loaded().isFolded("b")], [false, false]);
});

test("a page that is fed by hand stores nothing, and storage that is forbidden is no failure", () => {
  new SeenCalls().dismiss("a");
  assert.equal(stored.size, 0);
  globalThis.sessionStorage = { getItem: () => { throw new Error("forbidden"); }, setItem: () => { throw new Error("forbidden"); } };
  const seen = loaded();
  seen.dismiss("a");
  assert.equal(seen.isDismissed("a"), true);
});
