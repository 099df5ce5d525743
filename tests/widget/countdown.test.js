import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Countdown } from "../../static/widget/countdown.js";
import { pass, startClock, stopClock } from "./browser.js";

let ended;
let countdown;
beforeEach(() => {
  stopClock(Date.UTC(2025, 9, 19));
  ended = 0;
  countdown = new Countdown(30_000, () => (ended += 1));
});
afterEach(startClock);

test("a countdown ends once, after its time", async () => {
  countdown.start();
  await pass(29_999);
  assert.equal(ended, 0);
  await pass(1);
  await pass(60_000);
  assert.equal(ended, 1);
});

test("the time of a pause does not count", async () => {
  countdown.start();
  await pass(20_000);
  countdown.pause();
  countdown.pause();
  await pass(60_000);
  countdown.start();
  countdown.start();
  await pass(9_999);
  assert.equal(ended, 0);
  await pass(1);
  assert.equal(ended, 1);
});
