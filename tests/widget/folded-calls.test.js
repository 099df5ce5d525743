/** Calls whose card folded into the pill: they stay while the phone rings, and for some minutes after. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FoldedCalls } from "../../static/widget/folded-calls.js";
import { call } from "./browser.js";

const MINUTE = 60_000;
let folded;
beforeEach(() => (folded = new FoldedCalls()));

const named = (id, minute = 0) => call({ id, timestamp: new Date(Date.UTC(2025, 9, 19, 0, minute)).toISOString() });
const ended = (one, result = "missed") => ({ ...one, status: "ended", result, ended_at: "2025-10-19T01:00:00.000Z", rev: one.rev + 1 });
const ids = () => folded.calls.map(({ id }) => id);

test("the pill says how many ring, or how many were there", () => {
  assert.equal(folded.label, "");
  folded.add(named("a", 1), 0);
  assert.equal(folded.label, "1 call ringing");
  folded.add(named("b", 2), 0);
  assert.equal(folded.label, "2 calls ringing");
  folded.update([ended(named("b", 2)), named("a", 1)], 0);
  assert.equal(folded.label, "1 call ringing");
  folded.update([ended(named("b", 2)), ended(named("a", 1))], 0);
  assert.equal(folded.label, "2 recent calls");
  assert.deepEqual(ids(), ["b", "a"], "newest first");
});

test("a ringing call stays however long it rings, one that is over for five minutes", () => {
  folded.add(named("a"), 0);
  folded.expire(60 * MINUTE);
  assert.deepEqual(ids(), ["a"]);
  folded.update([ended(named("a"))], 60 * MINUTE);
  folded.update([ended(named("a"))], 64 * MINUTE);
  folded.expire(64.9 * MINUTE);
  assert.deepEqual(ids(), ["a"]);
  folded.expire(65 * MINUTE);
  assert.deepEqual(ids(), []);
});

test("what was dismissed elsewhere, or went back to a queue, or rings again, is not in the pill", () => {
  for (const change of [{ dismissed: true }, { status: "setup" }]) {
    folded.add(named("a"), 0);
    folded.update([{ ...named("a"), ...change, rev: 2 }], 0);
    assert.deepEqual(ids(), []);
  }
  folded.add({ ...named("a"), status: "connected" }, 0);
  folded.update([named("a")], 0);
  assert.deepEqual(ids(), []);
});

test("a call that the feed does not know any more is over", () => {
  folded.add(named("a"), 0);
  folded.update([], 0);
  assert.deepEqual([folded.label, folded.calls[0].status, folded.rings("a")], ["1 recent call", "ended", false]);
});

test("the oldest of many is dropped, but none that rings", () => {
  folded.add(named("rings"), 0);
  for (let minute = 1; minute <= 15; minute += 1) folded.add(ended(named(`over-${minute}`, minute)), 0);
  assert.equal(ids().length, 11);
  assert.deepEqual([ids()[0], ids().at(-1), ids().at(-2)], ["over-15", "rings", "over-6"]);
});
