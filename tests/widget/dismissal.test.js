/** A dismissal is for all devices of the viewer, so one that the service could not take is sent again. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { answers, browser, call, eachTestHasABrowser, pass, settle } from "./browser.js";

eachTestHasABrowser();

let tab;
beforeEach(async () => {
  tab = await browser.connectedTab();
  browser.stream.says("call", { call: call() });
});

const sent = () => browser.requests.length;

/** A quarter of an hour on a stream that lives. */
async function passLong() {
  for (let beat = 0; beat < 30; beat += 1) {
    await pass(30_000);
    browser.stream.says("heartbeat");
  }
}

test("it is sent again while the service is away, until it is taken", async () => {
  for (const failing of [() => answers(503), () => Promise.reject(new TypeError("network"))]) {
    const before = sent();
    browser.answer = failing;
    assert.equal(await tab.dismiss("a"), false);
    await pass(1_499);
    assert.equal(sent() - before, 1);
    await pass(1);
    assert.equal(sent() - before, 2, "after a wait with jitter");
    browser.answer = () => answers(200);
    await passLong();
    assert.equal(sent() - before, 3, "taken once is enough");
    assert.equal(tab.calls[0].dismissed, true);
  }
});

test("it is sent a few times only, fewer for an unknown call, and once where it is refused", async () => {
  for (const [status, times] of [[503, 6], [429, 6], [404, 3], [401, 1], [403, 1], [400, 1]]) {
    const before = sent();
    browser.answer = () => answers(status);
    await tab.dismiss("a");
    await passLong();
    assert.equal(sent() - before, times, `${status}`);
  }
});

test("the waits grow and have jitter", async () => {
  browser.answer = () => answers(503);
  const waits = [];
  await tab.dismiss("a");
  for (let tries = 2; tries <= 6; tries += 1) {
    let waited = 0;
    for (; sent() < tries; waited += 100) await pass(100);
    waits.push(waited);
    browser.stream.says("heartbeat");
  }
  assert.deepEqual(waits, [1_500, 2_500, 4_500, 8_500, 15_500]);
});

test("a call that ended meanwhile is not dismissed again", async () => {
  browser.answer = () => answers(503);
  await tab.dismiss("a");
  browser.stream.says("call_ended", { call: call({ status: "ended", rev: 2 }) });
  await passLong();
  assert.equal(sent(), 1);
});

test("one person's dismissal is not sent as the next one's", async () => {
  browser.answer = () => answers(503);
  await tab.dismiss("a");
  tab.restart({ viewerChanged: true });
  await settle();
  browser.stream.says("connected", { resumed: false, active: ["a"] });
  browser.stream.says("call", { call: call() });
  await passLong();
  assert.equal(sent(), 1);
  assert.equal(tab.calls[0].dismissed, false);
});

test("a tab that is closed sends nothing any more", async () => {
  browser.answer = () => answers(503);
  await tab.dismiss("a");
  tab.close();
  await pass(60_000);
  assert.equal(sent(), 1);
});
