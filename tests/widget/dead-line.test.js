/** A line that is dead without saying so, a page that slept, a request that is never answered, and a page that may not connect. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SRC, answers, browser, call, eachTestHasABrowser, pass, settle, sleep } from "./browser.js";

eachTestHasABrowser();

/** The window and document of a tab, whose events a test sends. */
function page(options = {}) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  return { window, document, location: new URL("https://crm.example.com/page"), ...options };
}
const happens = (target, name, details = {}) => target.dispatchEvent(Object.assign(new Event(name), details));
const never = () => new Promise(() => {});

test("a line that died while the machine slept is live again within 3 s of online", async () => {
  for (const random of [0, 0.5, 0.999]) {
    const dana = page();
    const tab = await browser.connectedTab({ ...dana, random: () => random });
    await pass(3_000);
    browser.stream.says("heartbeat");
    sleep(600_000);
    const before = browser.streams.length;
    happens(dana.window, "online");
    await pass(3_000);
    assert.ok(browser.streams.length > before, "another line");
    browser.stream.says("connected", { resumed: true, active: [] });
    assert.equal(tab.status.state, "live");
    assert.equal(browser.open.length, 1, "the dead one was let go");
    tab.close();
  }
});

test("a network that changed a moment ago makes a silent line suspect, and leaves one alone that still speaks", async () => {
  const dana = page();
  await browser.connectedTab(dana);
  await pass(2_000);
  browser.stream.says("heartbeat");
  happens(dana.window, "online");
  await pass(2_000);
  browser.stream.says("heartbeat");
  await pass(10_000);
  assert.equal(browser.streams.length, 1);
  happens(dana.window, "online");
  await pass(3_000);
  assert.equal(browser.streams.length, 2);
});

test("a page that is shown, resumed or comes back opens another line when the last heartbeat is older than 16 s", async () => {
  for (const [target, name] of [["document", "visibilitychange"], ["document", "resume"], ["window", "pageshow"]]) {
    for (const [silence, opened] of [[15_900, 0], [16_100, 1]]) {
      const dana = page();
      const tab = await browser.connectedTab(dana);
      await pass(2_000);
      browser.stream.says("heartbeat");
      const before = browser.streams.length;
      await pass(silence);
      happens(dana[target], name);
      assert.equal(browser.streams.length - before, opened, `${name} after ${silence} ms`);
      tab.close();
    }
  }
});

test("a page that becomes hidden opens nothing", async () => {
  const dana = page();
  await browser.connectedTab(dana);
  await pass(20_000);
  dana.document.visibilityState = "hidden";
  happens(dana.document, "visibilitychange");
  assert.equal(browser.streams.length, 1);
});

test("a machine that wakes without any event is noticed by its clock", async () => {
  await browser.connectedTab(page());
  await pass(2_000);
  browser.stream.says("heartbeat");
  sleep(300_000);
  await pass(5_000);
  assert.equal(browser.streams.length, 2);
});

test("a page that is looked at does not wait for the backoff", async () => {
  const dana = page();
  browser.answer = () => answers(503);
  await browser.connectedTab({ ...dana, random: () => 0.999 });
  for (let failure = 0; failure < 6; failure += 1) {
    browser.stream.breaks(2);
    await pass(30_000);
  }
  browser.stream.breaks(2);
  const before = browser.streams.length;
  happens(dana.document, "visibilitychange");
  assert.equal(browser.streams.length, before + 1);
});

test("a tab that is shown has the leader check its line, though the leader's timers are throttled", async () => {
  await browser.connectedTab(page());
  const dana = page();
  browser.tab(dana);
  await settle();
  sleep(20_000);
  happens(dana.document, "visibilitychange");
  await settle();
  assert.equal(browser.streams.length, 2);
});

test("a request that is never answered ends after ten seconds", async () => {
  browser.answer = never;
  const tab = browser.tab();
  await settle();
  let error;
  tab.service.get("api/ringcentral/config").catch((reason) => (error = reason));
  await pass(9_900);
  assert.equal(error, undefined);
  await pass(200);
  assert.deepEqual([error.status, error.temporary], [0, true]);
  assert.equal(browser.lastRequest.signal.aborted, true, "the browser is not left with it");
});

test("an answer whose body never ends is one that never came", async () => {
  browser.answer = () => ({ ok: true, status: 200, json: never });
  const tab = browser.tab();
  let error;
  tab.service.get("api/ringcentral/config").catch((reason) => (error = reason));
  await pass(10_100);
  assert.equal(error.status, 0);
});

test("a poll that is never answered is asked again", async () => {
  browser.answer = never;
  const tab = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(11_000);
  assert.deepEqual([tab.status.state, tab.status.unanswered], ["reconnecting", true]);
  browser.answer = () => answers(200, { calls: [call()] });
  await pass(3_000);
  assert.deepEqual([tab.status.state, tab.calls.length], ["polling", 1]);
});

const violation = { effectiveDirective: "connect-src", blockedURI: `${SRC}api/ringcentral/call-stream`, disposition: "enforce" };

test("a page whose policy forbids connecting is blocked, with the origin it has to allow, until it connects", async () => {
  const dana = page();
  browser.answer = () => {
    throw new TypeError("refused by the policy");
  };
  const tab = browser.tab(dana);
  const said = [];
  tab.addEventListener("statuschange", ({ detail }) => said.push(detail.state));
  await settle();
  happens(dana.document, "securitypolicyviolation", violation);
  assert.equal(tab.status.state, "blocked");
  assert.match(tab.status.message, /Content-Security-Policy.*Add https:\/\/calls\.example\.com to its connect-src/);
  browser.stream.breaks(2);
  await pass(60_000);
  assert.deepEqual(said, ["blocked"], "it stays so while every attempt fails alike");
  while (!browser.open.length) await pass(500);
  browser.stream.says("connected", { resumed: false, active: [] });
  assert.deepEqual([tab.status.state, tab.status.message], ["live", null]);
});

test("what a policy only reports, or forbids elsewhere, blocks nothing", async () => {
  const dana = page();
  const tab = browser.tab(dana);
  await settle();
  const others = [{ disposition: "report" }, { blockedURI: "https://other.example.com/x" }, { effectiveDirective: "img-src" }, { blockedURI: "inline" }];
  for (const other of others) happens(dana.document, "securitypolicyviolation", { ...violation, ...other });
  assert.equal(tab.status.state, "connecting");
});

test("a page whose origin the service does not allow is blocked; a service that is away is not", async () => {
  let isUp = true;
  browser.answer = (url, { mode }) => {
    if (!isUp || mode !== "no-cors") throw new TypeError("network");
    return { type: "opaque" };
  };
  const tab = browser.tab(page());
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  assert.equal(tab.status.state, "blocked");
  assert.match(tab.status.message, /Add https:\/\/crm\.example\.com to its ALLOWED_ORIGINS/);
  tab.close();
  isUp = false;
  const other = browser.tab(page());
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  assert.equal(other.status.state, "reconnecting");
});

test("a secure page cannot reach a service without https, and says so without asking", async () => {
  browser.answer = () => {
    throw new TypeError("mixed content");
  };
  const tab = browser.tab(page(), "http://calls.example.com/");
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  assert.equal(tab.status.state, "blocked");
  assert.match(tab.status.message, /https/);
});
