import assert from "node:assert/strict";
import { test } from "node:test";
import { SRC, answers, browser, call, eachTestHasABrowser, pass, settle } from "./browser.js";

eachTestHasABrowser();

const connectedTab = (options) => browser.connectedTab(options);

test("two tabs open one stream and hold the same calls", async () => {
  const first = await connectedTab();
  const second = browser.tab();
  await settle();
  browser.stream.says("call", { call: call() });
  await settle();
  assert.equal(browser.streams.length, 1);
  assert.equal(second.calls[0].id, "a");
  assert.deepEqual(second.calls, first.calls);
  assert.equal(second.status.state, "live");
});

test("a tab that comes late gets the calls that ring already", async () => {
  await connectedTab();
  browser.stream.says("call", { call: call() });
  const late = browser.tab();
  await settle();
  assert.deepEqual(late.calls.map(({ id }) => id), ["a"]);
});

test("when the leader closes another tab resumes where it stopped", async () => {
  const first = await connectedTab();
  const second = browser.tab();
  await settle();
  browser.stream.says("call", { call: call() }, "epoch-7");
  await settle();
  first.close();
  await settle();
  assert.equal(browser.open.length, 1);
  assert.equal(new URL(browser.stream.url).searchParams.get("last_event_id"), "epoch-7");
  browser.stream.says("connected", { resumed: true, active: [] });
  assert.deepEqual(second.calls.map(({ id }) => id), ["a"]);
});

/** A tab whose main thread can be made to hang: what it sends is lost, and what it would do waits. */
function hangingTab(options) {
  const Channel = browser.broadcastChannel();
  const state = { hangs: false };
  const tab = browser.tab({
    BroadcastChannel: class extends Channel {
      postMessage(data) {
        if (!state.hangs) super.postMessage(data);
      }
      set onmessage(listener) {
        this.listener = listener;
      }
      get onmessage() {
        return (event) => !state.hangs && this.listener(event);
      }
    },
    ...options,
  });
  return { tab, state };
}

test("a leader that hangs loses its lock to a waiting tab, whose card comes within 20 s, and follows it when it wakes", async () => {
  const { tab: sleeper, state } = hangingTab();
  await settle();
  browser.stream.says("connected", { resumed: false, active: [] }, "1");
  const waiting = browser.tab();
  const third = browser.tab({ random: () => 0.9 });
  await settle();
  const old = browser.stream;
  state.hangs = true;
  await pass(15_000);
  assert.equal(browser.open.length, 1, "one of the waiting tabs leads");
  assert.equal(browser.streams.length, 2);
  assert.equal(old.readyState, 2, "the sleeper let its own stream go");
  browser.stream.says("connected", { resumed: true, active: [] });
  browser.stream.says("call", { call: call() });
  await settle();
  for (const tab of [waiting, third]) assert.deepEqual(tab.calls.map(({ id }) => id), ["a"]);
  state.hangs = false;
  browser.stream.says("heartbeat");
  await settle();
  assert.deepEqual(sleeper.calls, waiting.calls);
});

test("what a leader that lost its lock still sends is not believed", async () => {
  const tab = await connectedTab();
  await settle();
  const late = browser.tab();
  await settle();
  browser.stream.says("call", { call: call() });
  await settle();
  const channel = new (browser.broadcastChannel())(`caller-popup 4 ${SRC}`);
  channel.onmessage = () => {};
  channel.postMessage({ kind: "state", calls: [], status: tab.status, position: "0", begun: {}, term: 1 });
  await settle();
  assert.deepEqual(late.calls.map(({ id }) => id), ["a"]);
  channel.postMessage({ kind: "dismiss", id: "a", term: 1 });
  await settle();
  assert.equal(late.calls[0].dismissed, true, "but what its person did is done");
});

test("a leader that is silent because nothing happens answers, and keeps its lock", async () => {
  await connectedTab();
  browser.tab();
  await settle();
  const wait = browser.streams.length;
  for (let turn = 0; turn < 10; turn += 1) {
    await pass(14_000);
    browser.stream.says("heartbeat");
  }
  assert.equal(browser.streams.length, wait);
});

test("a leader that speaks keeps its lock for ever", async () => {
  await connectedTab();
  browser.tab();
  await settle();
  for (let beat = 0; beat < 20; beat += 1) {
    await pass(15_000);
    browser.stream.says("heartbeat");
    await settle();
  }
  assert.equal(browser.streams.length, 1);
});

test("without Web Locks each tab has its own stream", async () => {
  browser.tab({ locks: undefined });
  browser.tab({ BroadcastChannel: undefined });
  await settle();
  assert.equal(browser.open.length, 2);
});

test("a dismissal in one tab is one in all, at once, and is sent to the service once", async () => {
  const first = await connectedTab();
  const second = browser.tab();
  browser.stream.says("call", { call: call() });
  await settle();
  second.dismiss("a");
  await settle();
  assert.equal(first.calls[0].dismissed, true);
  assert.equal(second.calls[0].dismissed, true);
  assert.deepEqual(browser.requests, [["POST", `${SRC}api/ringcentral/calls/a/dismiss`]]);
});

test("dismissing outlives the page, and an unknown call disturbs nothing", async () => {
  const tab = await connectedTab();
  await tab.dismiss("never-seen");
  assert.deepEqual(tab.calls, []);
  assert.equal(browser.lastRequest.keepalive, true);
  assert.equal(browser.lastRequest.credentials, "include");
  assert.equal(browser.stream.options.withCredentials, true);
});

test("a dismissal the server did not get says so and still holds here", async () => {
  const tab = await connectedTab();
  browser.stream.says("call", { call: call() });
  browser.answer = () => {
    throw new TypeError("network");
  };
  assert.equal(await tab.dismiss("a"), false);
  assert.equal(tab.calls[0].dismissed, true);
});

test("connecting is logged once per connection", async () => {
  await connectedTab();
  browser.stream.says("heartbeat");
  assert.deepEqual(browser.logged, ["Call stream connected"]);
  browser.stream.says("connected", { resumed: true, active: [] });
  assert.equal(browser.logged.length, 2);
});

test("a tab that shares the stream says so once", async () => {
  await connectedTab();
  browser.tab();
  await settle();
  browser.stream.says("heartbeat");
  await settle();
  assert.deepEqual(browser.logged, ["Call stream connected", "Call stream connected, shared with another tab"]);
});

test("opening twice is opening once", async () => {
  const tab = await connectedTab();
  tab.open();
  await settle();
  assert.equal(browser.streams.length, 1);
});

test("a page in the back-forward cache holds no stream, and goes on when it is shown again", async () => {
  const listeners = {};
  globalThis.addEventListener = (name, listener) => (listeners[name] = listener);
  try {
    const tab = await connectedTab();
    listeners.pagehide();
    assert.equal(browser.open.length, 0);
    listeners.pageshow();
    await settle();
    assert.equal(browser.open.length, 1);
    assert.equal(tab.status.state, "connecting");
  } finally {
    delete globalThis.addEventListener;
  }
});

test("a network that is back ends the waiting, and a live stream is left alone", async () => {
  const listeners = {};
  globalThis.addEventListener = (name, listener) => (listeners[name] = listener);
  try {
    await connectedTab();
    listeners.online();
    assert.equal(browser.streams.length, 1);
    browser.stream.breaks(2);
    listeners.online();
    assert.equal(browser.open.length, 0, "the whole office is back at this moment");
    await pass(1_000);
    assert.equal(browser.open.length, 1);
    await pass(8_000);
    assert.equal(browser.streams.length, 2, "the old wait is over too");
  } finally {
    delete globalThis.addEventListener;
  }
});

test("a network that is back brings one stream of the browser back, at a moment of its own", async () => {
  const pages = [];
  globalThis.addEventListener = (name, listener) => name === "online" && pages.push(listener);
  try {
    browser.answer = () => answers(503);
    await connectedTab({ random: () => 0.999 });
    browser.tab({ random: () => 0 });
    await settle();
    for (let failure = 0; failure < 5; failure += 1) {
      browser.stream.breaks(2);
      await pass(30_000);
    }
    browser.stream.breaks(2);
    const before = browser.streams.length;
    for (const online of pages) online();
    await pass(1_900);
    assert.equal(browser.streams.length, before, "the follower does not hurry the leader");
    await pass(100);
    assert.equal(browser.streams.length, before + 1);
  } finally {
    delete globalThis.addEventListener;
  }
});

test("a connection that proved itself starts with a short wait again, a flapping one does not", async () => {
  const waitAfter = async (alive) => {
    browser.stream.says("connected", { resumed: true, active: [] });
    await pass(alive);
    const before = browser.streams.length;
    browser.stream.breaks(2);
    let waited = 0;
    for (; browser.streams.length === before; waited += 100) await pass(100);
    return waited;
  };
  await connectedTab();
  const flapping = [await waitAfter(100), await waitAfter(100), await waitAfter(100)];
  assert.deepEqual(flapping, [1_500, 2_500, 4_500]);
  assert.equal(await waitAfter(31_000), 1_500);
});

test("a stream the browser gave up is opened again with the last id after a jittered wait", async () => {
  const tab = await connectedTab();
  browser.stream.says("heartbeat", {}, "epoch-9");
  browser.stream.breaks(2);
  assert.equal(tab.status.state, "reconnecting");
  await pass(1_499);
  assert.equal(browser.streams.length, 1);
  await pass(1);
  assert.equal(browser.streams.length, 2);
  assert.equal(new URL(browser.stream.url).searchParams.get("last_event_id"), "epoch-9");
});

test("the waits grow with every failure and stay between one and thirty seconds", async () => {
  browser.answer = () => ({ ok: false, status: 503 });
  browser.tab({ random: () => 0.999 });
  await settle();
  const waits = [];
  for (let failure = 0; failure < 8; failure += 1) {
    const before = browser.streams.length;
    browser.stream.breaks(2);
    let waited = 0;
    for (; browser.streams.length === before && waited < 60_000; waited += 100) await pass(100);
    waits.push(Math.round(waited / 1000));
  }
  assert.deepEqual(waits, [2, 4, 8, 16, 30, 30, 30, 30]);
});

test("while the browser reconnects by itself no second stream is opened", async () => {
  const tab = await connectedTab();
  browser.stream.breaks(0);
  assert.equal(tab.status.state, "reconnecting");
  await pass(44_000);
  assert.equal(browser.streams.length, 1);
  await pass(1_000);
  assert.equal(browser.open.length, 1);
  assert.equal(browser.streams.length, 2);
});

test("a server's error event is trouble to show, not a broken line", async () => {
  const tab = await connectedTab();
  browser.stream.says("error", { error: { code: "store_lost", message: "The store is lost." } });
  assert.equal(tab.status.state, "live");
  assert.equal(tab.status.trouble.code, "store_lost");
  await pass(10_000);
  assert.equal(browser.streams.length, 1);
  browser.stream.says("call", { call: call() });
  assert.equal(tab.status.trouble, null);
});

test("35 s of silence are a dead line, heartbeats keep it alive", async () => {
  const tab = await connectedTab();
  for (let beat = 0; beat < 5; beat += 1) {
    await pass(30_000);
    browser.stream.says("heartbeat");
  }
  assert.equal(browser.streams.length, 1);
  await pass(35_000);
  assert.equal(tab.status.state, "reconnecting");
  await pass(2_000);
  assert.equal(browser.streams.length, 2);
  assert.equal(browser.open.length, 1);
});

test("a proxy that lets nothing through twice is answered with polling, until a stream comes through", async () => {
  browser.answer = () => ({ ok: true, status: 200, json: async () => ({ calls: [call()] }) });
  const tab = browser.tab();
  await settle();
  await pass(10_000);
  assert.equal(browser.requests.length, 0, "once is not enough");
  await pass(1_500);
  await pass(10_000);
  await pass(500);
  assert.equal(tab.status.state, "polling");
  assert.deepEqual(tab.calls.map(({ id }) => id), ["a"]);
  await pass(2_000);
  const before = browser.requests.length;
  browser.stream.says("connected", { resumed: false, active: ["a"] });
  assert.equal(tab.status.state, "live");
  await pass(10_000);
  assert.equal(browser.requests.length, before);
});

test("a proxy that lets the first burst through and nothing after it is answered with polling beside the stream", async () => {
  browser.answer = () => ({ ok: true, status: 200, json: async () => ({ calls: [call()] }) });
  const tab = browser.tab();
  await settle();
  const mute = async () => {
    browser.stream.says("connected", { resumed: false, active: [] });
    browser.stream.says("call", { call: call({ id: "burst" }) });
    await pass(35_000);
  };
  await mute();
  await pass(3_000);
  assert.equal(browser.requests.length, 0, "once is not enough");
  await mute();
  await pass(500);
  assert.equal(tab.status.state, "polling");
  await pass(3_000);
  browser.stream.says("connected", { resumed: false, active: ["a"] });
  await pass(2_000);
  assert.equal(tab.status.state, "polling", "it said so before, and nothing followed");
  assert.deepEqual(tab.calls.map(({ id }) => id), ["a"]);
  browser.stream.says("heartbeat");
  assert.equal(tab.status.state, "live", "now something followed");
  const before = browser.requests.length;
  await pass(10_000);
  assert.equal(browser.requests.length, before);
});

test("a line that the browser cannot open again and again is answered with polling, until it opens", async () => {
  const tab = await connectedTab();
  browser.stream.breaks(0);
  assert.equal(tab.status.state, "reconnecting");
  browser.stream.breaks(0);
  await pass(600);
  assert.equal(browser.requests.length, 0, "once is not enough");
  browser.stream.breaks(0);
  await pass(600);
  assert.equal(tab.status.state, "polling");
  assert.equal(browser.open.length, 1, "the browser goes on by itself");
  browser.stream.says("connected", { resumed: true, active: [] });
  assert.equal(tab.status.state, "live");
});

test("polling leaves out what this viewer dismissed on another device", async () => {
  browser.answer = () => ({ ok: true, status: 200, json: async () => ({ calls: [call()] }) });
  const tab = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  assert.deepEqual(browser.requests.at(-1), ["GET", `${SRC}api/ringcentral/active-calls?dismissed=false`]);
  assert.equal(tab.calls.length, 1);
  browser.answer = () => ({ ok: true, status: 200, json: async () => ({ calls: [] }) });
  await pass(2_000);
  assert.deepEqual(tab.calls, []);
});

test("polling asks every two seconds, and less often without an answer", async () => {
  browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  const asked = () => browser.requests.length;
  assert.equal(asked(), 1);
  await pass(2_000);
  assert.equal(asked(), 2);
  browser.answer = () => {
    throw new TypeError("network");
  };
  await pass(2_000);
  assert.equal(asked(), 3);
  await pass(2_400);
  assert.equal(asked(), 3);
  await pass(100);
  assert.equal(asked(), 4);
  await pass(4_400);
  assert.equal(asked(), 4);
});

test("a poll that comes back after the stream does not undo it", async () => {
  let reply;
  browser.answer = () => ({ ok: true, json: () => new Promise((resolve) => (reply = resolve)) });
  const tab = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  await pass(1_000);
  browser.stream.says("connected", { resumed: false, active: [] });
  reply({ calls: [call()] });
  await settle();
  assert.equal(tab.status.state, "live");
  assert.deepEqual(tab.calls, []);
});

test("every tab sends an event for every change", async () => {
  const changes = [0, 0];
  const first = await connectedTab();
  const second = browser.tab();
  await settle();
  first.addEventListener("change", () => (changes[0] += 1));
  second.addEventListener("change", () => (changes[1] += 1));
  browser.stream.says("call", { call: call() });
  await settle();
  assert.deepEqual(changes, [1, 1]);
});

test("a poll under way when the feed closes changes nothing any more", async () => {
  let reply;
  browser.answer = () => ({ ok: true, json: () => new Promise((resolve) => (reply = resolve)) });
  const tab = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  tab.close();
  reply({ calls: [call()] });
  await settle();
  assert.deepEqual(tab.calls, []);
});

test("a poll that started before a dismissal does not undo it", async () => {
  let reply;
  browser.answer = (url) => (url.endsWith("dismiss") ? { ok: true } : { ok: true, json: () => new Promise((resolve) => (reply = resolve)) });
  const tab = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  reply({ calls: [call()] });
  await settle();
  await pass(2_000);
  tab.dismiss("a");
  reply({ calls: [call()] });
  await settle();
  assert.equal(tab.calls[0].dismissed, true);
});

test("a refused viewer and a server that is down are different states", async () => {
  browser.answer = () => ({ ok: false, status: 401 });
  const tab = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  assert.equal(tab.status.state, "denied");
  browser.answer = () => ({ ok: false, status: 403 });
  await pass(5_000);
  assert.deepEqual([tab.status.state, tab.status.unanswered], ["denied", false]);
  browser.answer = () => {
    throw new TypeError("network");
  };
  await pass(30_000);
  const { state, message, unanswered } = tab.status;
  assert.deepEqual([state, message, unanswered], ["reconnecting", "The service does not answer.", true]);
});

test("restart from any tab opens the stream at once", async () => {
  browser.answer = () => ({ ok: false, status: 401 });
  browser.tab();
  const other = browser.tab();
  await settle();
  browser.stream.breaks(2);
  await pass(500);
  assert.equal(browser.open.length, 0);
  other.restart();
  await settle();
  assert.equal(browser.open.length, 1);
});

test("a full set of calls sends resync, a resumed stream does not", async () => {
  const tab = browser.tab();
  let resyncs = 0;
  tab.addEventListener("resync", () => (resyncs += 1));
  await settle();
  browser.stream.says("connected", { resumed: false, active: [] });
  assert.equal(resyncs, 1);
  browser.stream.says("connected", { resumed: true, active: [] });
  assert.equal(resyncs, 1);
  browser.stream.says("heartbeat");
  assert.equal(resyncs, 1);
  let later = 0;
  browser.tab().addEventListener("resync", () => (later += 1));
  await settle();
  browser.stream.says("resync", { active: [] });
  await settle();
  assert.deepEqual([resyncs, later], [2, 1]);
});

test("a leader that hung while another tab got a full set of calls sends resync when it follows that tab", async () => {
  const { tab: sleeper, state } = hangingTab();
  let resyncs = 0;
  sleeper.addEventListener("resync", () => (resyncs += 1));
  await settle();
  browser.stream.says("connected", { resumed: false, active: [] }, "1");
  browser.tab();
  await settle();
  state.hangs = true;
  await pass(15_000);
  browser.stream.says("connected", { resumed: false, active: [] }, "9");
  await settle();
  assert.equal(resyncs, 1, "it hangs, or thinks that it leads");
  state.hangs = false;
  for (let beat = 0; beat < 2; beat += 1) {
    browser.stream.says("heartbeat");
    await settle();
    assert.equal(resyncs, 2);
  }
});

test("a page that was in the back-forward cache while another tab got a full set of calls, or another viewer, says so when it is shown", async () => {
  await connectedTab();
  const window = new EventTarget();
  const tab = browser.tab({ window });
  const said = [];
  for (const event of ["viewerchange", "resync"]) tab.addEventListener(event, () => said.push(event));
  await settle();
  window.dispatchEvent(new Event("pagehide"));
  browser.stream.says("resync", { active: [] });
  window.dispatchEvent(new Event("pageshow"));
  await settle();
  assert.deepEqual(said, ["resync"]);
  window.dispatchEvent(new Event("pagehide"));
  const other = browser.tab();
  await settle();
  other.restart({ viewerChanged: true });
  await settle();
  window.dispatchEvent(new Event("pageshow"));
  await settle();
  assert.deepEqual(said, ["resync", "viewerchange"]);
});

test("the clock follows the server's", async () => {
  const tab = await connectedTab();
  browser.stream.says("heartbeat", { server_time: "2025-10-19T00:00:05.000Z" });
  assert.equal(tab.now(), Date.UTC(2025, 9, 19, 0, 0, 5));
});

test("a closed feed is silent: no stream, no timer, no poll", async () => {
  const tab = await connectedTab();
  tab.close();
  await pass(120_000);
  assert.equal(browser.open.length, 0);
  assert.equal(browser.streams.length, 1);
  assert.equal(browser.requests.length, 0);
});

test("events of a stream that was replaced are ignored", async () => {
  const tab = await connectedTab();
  const old = browser.stream;
  old.breaks(2);
  await pass(2_000);
  old.says("call", { call: call() });
  assert.deepEqual(tab.calls, []);
});

test("a line that is not JSON is skipped", async () => {
  const tab = await connectedTab();
  const { stream } = browser;
  const say = JSON.stringify;
  JSON.stringify = () => "{broken";
  try {
    stream.says("call", { call: call() });
  } finally {
    JSON.stringify = say;
  }
  assert.equal(tab.status.state, "live");
  stream.says("call", { call: call() });
  assert.equal(tab.calls.length, 1);
});
