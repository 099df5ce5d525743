import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Reading } from "../../static/lib/visible-refresh.js";
import { pass, startClock, stopClock } from "./browser.js";

let reads;
let wanted;
let reading;
beforeEach(() => {
  stopClock(Date.UTC(2025, 9, 19));
  reads = 0;
  wanted = true;
  reading = new Reading(() => (reads += 1), () => wanted, () => 0.75);
});
afterEach(startClock);

test("what is due now is read at once", () => {
  reading.due();
  assert.equal(reads, 1);
});

test("what is due soon is read once, at a moment of its own", async () => {
  reading.due(4_000);
  await pass(1_000);
  reading.due(4_000);
  await pass(1_999);
  assert.equal(reads, 0);
  await pass(1);
  assert.equal(reads, 1);
  await pass(60_000);
  assert.equal(reads, 1);
  reading.due(4_000);
  await pass(3_000);
  assert.equal(reads, 2);
});

test("what is due now need not be read again soon", async () => {
  reading.due(4_000);
  reading.due();
  await pass(60_000);
  assert.equal(reads, 1);
});

test("what nobody sees is read when somebody looks, and then at once", async () => {
  wanted = false;
  reading.due();
  reading.due(4_000);
  await pass(60_000);
  reading.look();
  assert.equal(reads, 0);
  wanted = true;
  reading.look();
  reading.look();
  assert.equal(reads, 1);
});

test("looking reads nothing that is not due", () => {
  reading.look();
  assert.equal(reads, 0);
});
