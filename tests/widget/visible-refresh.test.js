import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { VisibleRefresh } from "../../static/lib/visible-refresh.js";
import { pass, startClock, stopClock } from "./browser.js";

let reads;
let wanted;
let refresh;
beforeEach(() => {
  stopClock(Date.UTC(2025, 9, 19));
  reads = 0;
  wanted = true;
  refresh = new VisibleRefresh(() => (reads += 1), () => wanted, () => 0.75);
});
afterEach(startClock);

test("what is due now is read at once", () => {
  refresh.request();
  assert.equal(reads, 1);
});

test("what is due soon is read once, at a moment of its own", async () => {
  refresh.request(4_000);
  await pass(1_000);
  refresh.request(4_000);
  await pass(1_999);
  assert.equal(reads, 0);
  await pass(1);
  assert.equal(reads, 1);
  await pass(60_000);
  assert.equal(reads, 1);
  refresh.request(4_000);
  await pass(3_000);
  assert.equal(reads, 2);
});

test("what is due now need not be read again soon", async () => {
  refresh.request(4_000);
  refresh.request();
  await pass(60_000);
  assert.equal(reads, 1);
});

test("what nobody sees is read when somebody looks, and then at once", async () => {
  wanted = false;
  refresh.request();
  refresh.request(4_000);
  await pass(60_000);
  refresh.flush();
  assert.equal(reads, 0);
  wanted = true;
  refresh.flush();
  refresh.flush();
  assert.equal(reads, 1);
});

test("looking reads nothing that is not due", () => {
  refresh.flush();
  assert.equal(reads, 0);
});
