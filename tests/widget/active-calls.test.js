/** The table of active calls: no row outlives its call, whatever the stream leaves out and the feed forgets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ActiveCalls } from "../../static/dashboard/active-calls.js";
import { reduce } from "../../static/model/call.js";
import { browser, call, eachTestHasABrowser, pass, settle } from "./browser.js";

eachTestHasABrowser();

/** A table on the feed of a connected tab; `server.calls` is what the service answers, and `server.reads` counts. */
async function openTable(calls = [], options = {}) {
  const server = { calls, reads: 0, fails: false };
  const feed = await browser.connectedTab();
  for (const one of calls) browser.stream.says("call", { call: one });
  const life = new AbortController();
  const read = async () => {
    server.reads += 1;
    return server.fails ? null : structuredClone(server.calls);
  };
  const table = new ActiveCalls(feed, { read, isVisible: () => true, ...options }, life.signal);
  await table.load();
  return { table, feed, server, life };
}

const ids = ({ rows }) => rows.map(({ id }) => id).sort();
const ended = (one) => ({ ...one, status: "ended", result: "missed", rev: one.rev + 1 });

test("the row of a dismissed call goes when the call ends, though the stream says nothing and heartbeats come", async () => {
  const { table, feed, server } = await openTable([call()]);
  feed.dismiss("a");
  assert.deepEqual(ids(table), ["a"]);
  assert.equal(table.ringing, 0, "what was dismissed is not counted in the title");
  await pass(10_000);
  server.calls = [];
  for (let beat = 0; beat < 2; beat += 1) {
    await pass(1_000);
    browser.stream.says("heartbeat");
    browser.stream.says("call", { call: call({ id: `other-${beat}` }) });
  }
  await pass(500);
  assert.deepEqual(ids(table), ["other-0", "other-1"]);
});

test("a dismissed call that goes back to its queue and rings again is in the table again", async () => {
  const { table, feed, server } = await openTable([call()]);
  feed.dismiss("a");
  server.calls = [];
  await pass(2_100);
  assert.deepEqual(ids(table), []);
  server.calls = [call({ rev: 3 })];
  await pass(2_100);
  assert.deepEqual(ids(table), ["a"]);
  server.calls = [];
  await pass(120_000);
  const { reads } = server;
  await pass(60_000);
  assert.equal(server.reads, reads, "but it is not looked for without end");
});

test("a dismissed call of which the stream still speaks is in the table when it rings again, however late", async () => {
  const { table, feed, server } = await openTable([call()]);
  browser.answer = () => ({ ok: false, status: 503, json: async () => ({}) });
  feed.dismiss("a");
  server.calls = [];
  browser.stream.says("call_ended", { call: call({ status: "setup", rev: 2 }) });
  for (let beat = 0; beat < 12; beat += 1) {
    await pass(10_000);
    browser.stream.says("heartbeat");
  }
  assert.deepEqual(ids(table), []);
  server.calls = [call({ rev: 3 })];
  browser.stream.says("call", { call: call({ rev: 3 }) });
  assert.deepEqual(ids(table), ["a"], "the service never got the dismissal");
  assert.equal(feed.calls[0].dismissed, true, "which stays final on the cards");
  server.calls = [];
  await pass(2_100);
  assert.deepEqual(ids(table), []);
});

test("after a failed reading the next word of the service brings the next reading forward", async () => {
  const { table, feed, server } = await openTable([call()]);
  feed.dismiss("a");
  server.fails = true;
  await pass(2_100);
  server.fails = false;
  server.calls = [call({ status: "connected", rev: 2 })];
  browser.stream.says("heartbeat");
  browser.stream.says("call", { call: call({ id: "other" }) });
  await pass(2_100);
  assert.deepEqual(table.rows.map(({ id, status }) => `${id} ${status}`).sort(), ["a connected", "other ringing"]);
});

test("calls that ended do not come back when the feed forgets them", async () => {
  const first = Array.from({ length: 20 }, (_, n) => call({ id: `first-${n}`, status: "connected" }));
  const { table, server } = await openTable(first);
  server.calls = [];
  server.fails = true;
  for (const one of first) browser.stream.says("call_ended", { call: ended(one) });
  for (let n = 0; n < 70; n += 1) {
    const later = call({ id: `later-${n}`, timestamp: new Date(Date.UTC(2025, 9, 20, 0, n)).toISOString() });
    browser.stream.says("call", { call: later });
    browser.stream.says("call_ended", { call: ended(later) });
  }
  assert.deepEqual(ids(table), [], "without another reading");
});

test("a call that was read and that the stream lost is gone, and the history is read", async () => {
  const { table } = await openTable([call()]);
  let ends = 0;
  table.addEventListener("ended", () => (ends += 1));
  browser.stream.says("resync", { active: [] });
  assert.deepEqual([ids(table), ends], [[], 1]);
});

test("nothing is read again while the stream says all there is", async () => {
  const { server } = await openTable([call()]);
  await pass(60_000);
  assert.equal(server.reads, 1);
});

test("a reading that fails is done again, and one that is over ends with its viewer", async () => {
  const { table, server, life } = await openTable([], {});
  server.calls = [call({ id: "dismissed on another device" })];
  await table.load();
  server.fails = true;
  await pass(10_000);
  server.fails = false;
  server.calls = [];
  await pass(6_000);
  assert.deepEqual(ids(table), []);
  server.calls = [call()];
  await table.load();
  life.abort();
  const { reads } = server;
  await pass(60_000);
  assert.equal(server.reads, reads);
});

test("of two readings the later request counts", async () => {
  const { feed } = await openTable();
  const replies = [];
  const table = new ActiveCalls(feed, { read: () => new Promise((resolve) => replies.push(resolve)), isVisible: () => true }, new AbortController().signal);
  table.load();
  table.load();
  replies[1]([call()]);
  await settle();
  replies[0]([call({ id: "outdated" })]);
  await settle();
  assert.deepEqual(ids(table), ["a"]);
});

test("a page that is hidden reads when it is shown", async () => {
  let visible = true;
  const { table, server, feed } = await openTable([call()], { isVisible: () => visible });
  feed.dismiss("a");
  visible = false;
  server.calls = [];
  await pass(60_000);
  assert.equal(server.reads, 1);
  visible = true;
  table.flush();
  await settle();
  assert.deepEqual(ids(table), []);
});

test("the end of a long call is remembered, however many shorter ones began after it", () => {
  const at = (minute) => new Date(Date.UTC(2025, 9, 19, 0, minute)).toISOString();
  const long = call({ id: "long", timestamp: at(0), status: "connected", rev: 5 });
  const short = Array.from({ length: 60 }, (_, n) => ended(call({ id: `short-${n}`, timestamp: at(n + 1), ended_at: at(n + 2) })));
  const calls = [...short, { ...ended(long), ended_at: at(90) }].reduce((list, one) => reduce(list, { type: "call_ended", call: one }), []);
  assert.equal(reduce(calls, { type: "call_updated", call: long }), calls, "a late event does not bring it back");
});

test("a dismissal is remembered while other calls come and end", () => {
  let calls = reduce([], { type: "call", call: call() });
  calls = reduce(calls, { type: "dismissed", call: call() });
  for (let n = 0; n < 100; n += 1) {
    const other = ended(call({ id: `other-${n}`, timestamp: new Date(Date.UTC(2025, 9, 20, 0, n)).toISOString() }));
    calls = reduce(calls, { type: "call_ended", call: other });
  }
  calls = reduce(calls, { type: "call_updated", call: call({ rev: 9, status: "connected" }) });
  assert.equal(calls.find(({ id }) => id === "a").dismissed, true);
});
