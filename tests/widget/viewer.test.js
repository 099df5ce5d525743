/** Calls belong to a viewer: what one person saw is not for the next one on the same browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { answers, browser, call, eachTestHasABrowser, pass, settle, startBrowser } from "./browser.js";

eachTestHasABrowser();

const position = () => new URL(browser.stream.url).searchParams.get("last_event_id");

async function twoTabsWithACall() {
  const tabs = [await browser.connectedTab(), browser.tab()];
  await settle();
  browser.stream.says("call", { call: call() }, "of-dana-7");
  await settle();
  assert.deepEqual(tabs.map(({ calls }) => calls.length), [1, 1]);
  return tabs;
}

test("a viewer who is signed out sees no calls any more, in any tab, and the next viewer does not resume their stream", async () => {
  const tabs = await twoTabsWithACall();
  browser.answer = () => answers(401);
  browser.stream.breaks(2);
  await pass(1_500);
  browser.stream.breaks(2);
  await pass(500);
  assert.deepEqual(tabs.map(({ status, calls }) => [status.state, calls]), [["denied", []], ["denied", []]]);
  tabs[1].restart();
  await settle();
  assert.equal(position(), null);
  tabs[0].close();
  await settle();
  assert.equal(position(), null, "nor in the tab that leads next");
});

test("a viewer who signs in begins with nothing, in all tabs, whichever tab it was", async () => {
  for (const which of [0, 1]) {
    startBrowser();
    const tabs = await twoTabsWithACall();
    const before = browser.stream;
    const changed = [false, false];
    tabs.forEach((tab, at) => tab.addEventListener("viewerchange", () => (changed[at] = true)));
    tabs[which].restart({ viewerChanged: true });
    await settle();
    assert.deepEqual(changed, [true, true]);
    assert.equal(before.readyState, 2);
    assert.equal(position(), null);
    assert.deepEqual(tabs.map(({ status, calls }) => [status.state, calls]), [["connecting", []], ["connecting", []]]);
    browser.closeTabs();
  }
});

test("a viewer who only tries again resumes", async () => {
  const tabs = await twoTabsWithACall();
  tabs[0].addEventListener("viewerchange", () => assert.fail("it is the same person"));
  tabs[0].restart();
  assert.equal(position(), "of-dana-7");
  assert.equal(tabs[0].calls.length, 1);
});

test("an answer that was asked for before a sign-out is not shown after it", async () => {
  let reply;
  const tab = browser.tab();
  await settle();
  browser.answer = () => ({ ok: true, json: () => new Promise((resolve) => (reply = resolve)) });
  browser.stream.breaks(2);
  await pass(500);
  tab.restart({ viewerChanged: true });
  browser.answer = () => answers(401);
  browser.stream.breaks(2);
  await settle();
  reply({ calls: [call()] });
  await pass(500);
  assert.deepEqual([tab.status.state, tab.calls], ["denied", []]);
});
