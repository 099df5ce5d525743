/** The calls of the pill across page loads: their ids and times are kept, the calls are read again. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { KeptCalls } from "../../static/widget/kept-calls.js";
import { call } from "./browser.js";

const MINUTE = 60_000;
const NOW = Date.UTC(2025, 9, 19, 1);
let stored;
beforeEach(() => {
  stored = new Map();
  globalThis.sessionStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };
});
afterEach(() => delete globalThis.sessionStorage);

const ended = (id, endedAt = NOW) => call({ id, status: "ended", result: "missed", from_number: "+14165551234", customer_name: "Sarah", ended_at: new Date(endedAt).toISOString() });
const entry = (one, until) => ({ call: one, until });

function page(viewer = "dana", now = NOW) {
  const kept = new KeptCalls();
  kept.load(viewer, now);
  return kept;
}
const found = (kept, calls, now = NOW) => kept.find(calls, now).map(({ call: { id }, until }) => [id, (until - NOW) / MINUTE]);

test("the next page finds the calls of the pill for as long as they had left", () => {
  page().write([entry(ended("a"), NOW + 5 * MINUTE), entry(ended("b"), NOW + MINUTE)], NOW);
  const next = page("dana", NOW + 2 * MINUTE);
  assert.equal(next.isIncomplete, true);
  assert.deepEqual(found(next, [ended("other"), ended("b"), ended("a")], NOW + 2 * MINUTE), [["a", 5]]);
  assert.equal(next.isIncomplete, false);
});

test("a call that rang and is over by now stays for five minutes after its end", () => {
  page().write([entry(call({ id: "a" }), null)], NOW);
  const later = NOW + 2 * MINUTE;
  assert.deepEqual(found(page("dana", later), [ended("a", NOW + MINUTE)], later), [["a", 6]]);
});

test("a call that still rings or was dismissed is left to the cards, one that is talked in is found", () => {
  const calls = ["rings", "dismissed", "queue", "talks"].map((id) => call({ id }));
  page().write(calls.map((one) => entry(one, null)), NOW);
  const now = [calls[0], { ...calls[1], status: "connected", dismissed: true }, { ...calls[2], status: "setup" }, { ...calls[3], status: "connected" }];
  assert.deepEqual(found(page(), now), [["talks", 5]]);
});

test("a page that is left before its calls were found keeps them for the next", () => {
  page().write([entry(ended("a"), NOW + 5 * MINUTE)], NOW);
  page().write([], NOW);
  assert.deepEqual(found(page(), [ended("a")]), [["a", 5]]);
  page().write([], NOW + 6 * MINUTE);
  assert.equal(page().isIncomplete, false, "but not beyond their time");
});

test("another person's token begins with an empty pill", () => {
  page("dana").write([entry(ended("a"), NOW + 5 * MINUTE)], NOW);
  assert.equal(page("erin").isIncomplete, false);
  const dana = page("dana");
  dana.clear();
  assert.equal(page("dana").isIncomplete, false);
  page("dana").write([entry(ended("a"), NOW + 5 * MINUTE)], NOW);
  new KeptCalls().clear();
  assert.equal(page("dana").isIncomplete, false);
});

test("no name and no number is stored, and nothing before it is known whose it is", () => {
  new KeptCalls().write([entry(ended("a"), NOW)], NOW);
  assert.equal(stored.size, 0);
  page().write([entry(ended("a"), NOW)], NOW);
  assert.doesNotMatch([...stored.values()].join(), /Sarah|416/);
});

test("storage that is forbidden, or holds something else, is no failure", () => {
  for (const text of ["", "{", "null", "7", '{"viewer":"dana"}']) {
    stored.set("call-popup recent", text);
    assert.equal(page().isIncomplete, false);
  }
  globalThis.sessionStorage = { getItem: () => { throw new Error("forbidden"); }, setItem: () => { throw new Error("forbidden"); } };
  page().write([entry(ended("a"), NOW)], NOW);
});
