/** The history as far as it was read: what ends is added on top, and no page is read twice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PastCalls } from "../../static/model/past-calls.js";

const at = (minute) => new Date(Date.UTC(2025, 9, 19, 0, minute)).toISOString();
const ended = (minute, more = {}) => ({ id: `c${minute}`, status: "ended", timestamp: at(minute), rev: 2, ...more });
const page = (minutes, next_cursor = null) => ({ calls: minutes.map((minute) => ended(minute)), next_cursor });
const ids = ({ calls }) => calls.map(({ id }) => id);

function read(...pages) {
  const past = new PastCalls();
  past.addNewest(pages[0]);
  for (const older of pages.slice(1)) past.addOlder(older);
  return past;
}

test("pages are put together, each call once, the newest first", () => {
  const past = read(page([9, 8], "8"), page([8, 7], "7"), page([6]));
  assert.deepEqual([ids(past), past.cursor], [["c9", "c8", "c7", "c6"], null]);
});

test("a call that ends is added where it belongs, once, and a later word on it replaces it", () => {
  const past = read(page([9, 7], "7"));
  const news = [ended(10, { result: null }), ended(8), { ...ended(11), status: "ringing" }];
  assert.equal(past.follow(news), true);
  assert.deepEqual(ids(past), ["c10", "c9", "c8", "c7"]);
  assert.equal(past.follow(news), false);
  assert.equal(past.follow([ended(10, { result: "missed", rev: 3 })]), true);
  assert.equal(past.calls[0].result, "missed");
});

test("an end of a call older than what was read waits for its page", () => {
  const past = read(page([9, 7], "7"));
  assert.equal(past.follow([ended(3)]), false);
  const whole = read(page([9, 7]));
  whole.follow([ended(3)]);
  assert.deepEqual(ids(whole), ["c9", "c7", "c3"]);
});

test("the newest page read again keeps the older ones and the place to read on", () => {
  const past = read(page([9, 8], "8"), page([7, 6], "6"));
  assert.equal(past.addNewest(page([10, 9], "9")), false);
  assert.deepEqual([ids(past), past.cursor], [["c10", "c9", "c8", "c7", "c6"], "6"]);
});

test("when more calls ended than a page holds, the list begins again, because those between are unknown", () => {
  const past = read(page([9, 8], "8"), page([7, 6], "6"));
  assert.equal(past.addNewest(page([30, 29], "29")), true);
  assert.deepEqual([ids(past), past.cursor], [["c30", "c29"], "29"]);
});

test("a newest page that is the whole history is all there is", () => {
  const past = read(page([9, 8]));
  past.addNewest(page([9]));
  assert.deepEqual(ids(past), ["c9"]);
});
