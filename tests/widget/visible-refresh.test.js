import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { VisibleRefresh } from "../../static/lib/visible-refresh.js";
import { pass, startClock, stopClock } from "./browser.js";

let refreshes;
let visible;
let refresh;
beforeEach(() => {
  stopClock(Date.UTC(2025, 9, 19));
  refreshes = 0;
  visible = true;
  refresh = new VisibleRefresh(() => (refreshes += 1), () => visible, () => 0.75);
});
afterEach(startClock);

test("a request without a delay refreshes at once", () => {
  refresh.request();
  assert.equal(refreshes, 1);
});

test("requests with a delay refresh once, at a random moment within it", async () => {
  refresh.request(4_000);
  await pass(1_000);
  refresh.request(4_000);
  await pass(1_999);
  assert.equal(refreshes, 0);
  await pass(1);
  assert.equal(refreshes, 1);
  await pass(60_000);
  assert.equal(refreshes, 1);
  refresh.request(4_000);
  await pass(3_000);
  assert.equal(refreshes, 2);
});

test("a refresh at once also serves the delayed request", async () => {
  refresh.request(4_000);
  refresh.request();
  await pass(60_000);
  assert.equal(refreshes, 1);
});

test("what is hidden is refreshed once it is visible, without another delay", async () => {
  visible = false;
  refresh.request();
  refresh.request(4_000);
  await pass(60_000);
  refresh.flush();
  assert.equal(refreshes, 0);
  visible = true;
  refresh.flush();
  refresh.flush();
  assert.equal(refreshes, 1);
});

test("flush refreshes nothing that was not requested", () => {
  refresh.flush();
  assert.equal(refreshes, 0);
});

test("what was cancelled is not refreshed", async () => {
  refresh.request(4_000);
  refresh.cancel();
  await pass(60_000);
  visible = false;
  refresh.request();
  refresh.cancel();
  visible = true;
  refresh.flush();
  assert.equal(refreshes, 0);
});
