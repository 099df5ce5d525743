/** A stream that is opened with the token in a form, which browsers send to other origins without a preflight. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { SRC, answers, browser, call, eachTestHasABrowser, pass, settle } from "./browser.js";

eachTestHasABrowser();

const jwt = (sub, more = "") => ["{}", JSON.stringify({ sub }), more].map((part) => Buffer.from(part).toString("base64url")).join(".");

const STREAM = `${SRC}api/ringcentral/call-stream`;
const OPEN = ["POST", STREAM];

let good;
beforeEach(() => {
  good = () => true;
  browser.streamsAnswers = true;
  browser.answer = (url, request) => {
    if (url === STREAM) return good(request.body.get("token")) ? browser.answerStream(url, request) : answers(401, { error: { code: "expired", message: "Your sign-in has ended." } });
    if (url.endsWith("ticket")) return answers(200, { ticket: "ticket-1", expires_in: 30 });
    return answers(200, { calls: [] });
  };
});

async function tab(token) {
  const feed = browser.tab();
  feed.token = token;
  await settle();
  return feed;
}

async function says(type, data, id) {
  browser.stream.says(type, data, id);
  await settle();
}

async function liveTab(token) {
  const feed = await tab(token);
  await says("connected", { resumed: false, active: [] }, "7");
  return feed;
}

const forms = () => browser.streams.map(({ form }) => Object.fromEntries(form));

test("one request that needs no preflight opens the line, and no secret is in its address", async () => {
  const feed = await liveTab(jwt("dana"));
  assert.deepEqual(browser.requests, [OPEN]);
  const { method, body, headers, credentials } = browser.lastRequest;
  assert.deepEqual([method, headers, credentials], ["POST", undefined, "omit"]);
  assert.ok(body instanceof URLSearchParams, "a form, whose type needs no header");
  assert.deepEqual(forms(), [{ token: jwt("dana") }]);
  assert.equal(feed.status.state, "live");
  await says("call", { call: call() }, "8");
  assert.deepEqual(feed.calls.map(({ id }) => id), ["a"]);
});

test("a line that ends is opened again after the time that the service asks for, and goes on where it was", async () => {
  const feed = await liveTab(jwt("dana"));
  await says("call", { call: call() }, "8");
  browser.stream.sends("retry: 9000\n\n");
  browser.stream.ends();
  await settle();
  assert.equal(feed.status.state, "reconnecting");
  await pass(8_900);
  assert.equal(browser.streams.length, 1);
  await pass(200);
  assert.deepEqual(forms()[1], { token: jwt("dana"), last_event_id: "8" });
  await says("connected", { resumed: true, active: [] });
  assert.deepEqual([feed.status.state, feed.calls.length], ["live", 1]);
});

test("a line that breaks says so, and without a word of the service comes back after a second or two", async () => {
  const feed = await liveTab(jwt("dana"));
  browser.stream.breaks();
  await settle();
  assert.equal(feed.status.state, "reconnecting");
  await pass(2_000);
  assert.equal(browser.streams.length, 2);
});

test("an event is the same wherever its bytes are cut", async () => {
  const feed = await liveTab(jwt("dana"));
  for (const part of ["event: ca", "ll\r", "\ndata: ", JSON.stringify({ type: "call", call: call() }), "\r\n\r"]) browser.stream.sends(part);
  await settle();
  assert.equal(feed.calls.length, 1);
});

test("a line that falls silent is given up and aborted like an EventSource", async () => {
  await liveTab(jwt("dana"));
  const [silent] = browser.streams;
  await pass(34_000);
  assert.equal(silent.readyState, 1);
  await pass(3_500);
  assert.deepEqual([silent.readyState, browser.streams.length], [2, 2]);
});

test("a token that expired is renewed at once, whatever the last line asked to wait", async () => {
  let asked = 0;
  const feed = await liveTab(() => jwt("dana", `${++asked}`));
  await says("call", { call: call() }, "8");
  good = (token) => token !== jwt("dana", "1");
  browser.stream.sends("retry: 25000\n");
  await says("error", { error: { code: "signed_out", message: "Your sign-in has ended." } });
  browser.stream.ends();
  await settle();
  await pass(2_000);
  assert.deepEqual(forms().at(-1), { token: jwt("dana", "2"), last_event_id: "8" });
  await says("connected", { resumed: true, active: [] });
  assert.deepEqual([asked, feed.status.state, feed.calls.length], [2, "live", 1]);
});

test("the service's sentence about a refused token is the feed's message, and a good one brings a full set of calls", async () => {
  const feed = await liveTab(() => jwt("dana"));
  await says("call", { call: call() }, "8");
  good = () => false;
  browser.stream.breaks();
  await settle();
  await pass(2_000);
  assert.deepEqual([feed.status.state, feed.status.message, feed.calls.length], ["denied", "Your sign-in has ended.", 1]);
  good = () => true;
  await pass(5_000);
  assert.deepEqual(forms().at(-1), { token: jwt("dana") }, "without a position: its rights may be others now");
});

test("another person's token, given unasked, opens a line without the calls of the one before", async () => {
  let token = jwt("dana");
  const feed = await liveTab(() => token);
  await says("call", { call: call() }, "8");
  token = jwt("kim");
  good = (one) => one === token;
  browser.stream.breaks();
  await settle();
  await pass(2_000);
  assert.deepEqual([feed.calls, forms().at(-1)], [[], { token: jwt("kim") }]);
  assert.equal(browser.open.length, 1, "the stream that resumed where the other was is closed");
});

test("a service of a version before gets a ticket instead, at once, and from then on", async () => {
  const { answer } = browser;
  for (const status of [404, 405]) {
    browser.requests = [];
    browser.answer = (url, request) => (url === STREAM ? answers(status) : answer(url, request));
    const feed = await tab(`opaque-${status}`);
    assert.equal(new URL(browser.stream.url).searchParams.get("ticket"), "ticket-1");
    browser.stream.says("connected", { resumed: false, active: [] });
    assert.equal(feed.status.state, "live");
    browser.stream.breaks(2);
    await pass(2_000);
    assert.deepEqual(browser.requests.filter(([, url]) => url === STREAM), [OPEN]);
    feed.close();
  }
});

test("where a proxy holds the answer back, the next line is asked for with a ticket, and the one after with a form", async () => {
  const { answer } = browser;
  browser.answer = (url, request) => (url === STREAM ? new Promise(() => {}) : answer(url, request));
  await tab(jwt("dana"));
  await pass(13_000);
  assert.equal(new URL(browser.stream.url).searchParams.get("ticket"), "ticket-1");
  await pass(14_000);
  assert.equal(browser.requests.filter(([, url]) => url === STREAM).length, 2);
});

test("what answers instead of the service is no stream", async () => {
  browser.answer = () => new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } });
  const feed = await tab(jwt("dana"));
  assert.deepEqual([feed.status.state, feed.status.message], ["reconnecting", "The service answered 200."]);
});

test("a service that does not answer is explained, and a feed that closes aborts its request", async () => {
  browser.answer = () => {
    throw new TypeError("network");
  };
  const feed = await tab(jwt("dana"));
  assert.deepEqual([feed.status.state, feed.status.message], ["reconnecting", "The service does not answer."]);
  let signal;
  browser.answer = (_, request) => new Promise(() => ({ signal } = request));
  await pass(3_000);
  feed.close();
  assert.equal(signal.aborted, true);
});

test("a page that gives no token, or an HTML page, sends nothing", async () => {
  for (const [token, message] of [[() => null, /no token/], [() => "<!doctype html>\n", /token endpoint/]]) {
    const feed = await tab(token);
    assert.equal(feed.status.state, "denied");
    assert.match(feed.status.message, message);
    feed.close();
  }
  assert.deepEqual(browser.requests, []);
});

test("tabs of one person share the line, and the next leader resumes it", async () => {
  const first = await liveTab(jwt("dana", "1"));
  const second = await tab(jwt("dana", "2"));
  await says("call", { call: call() }, "8");
  assert.deepEqual([browser.open.length, second.calls.length], [1, 1]);
  first.close();
  await settle();
  assert.deepEqual([browser.open.length, forms().at(-1)], [1, { token: jwt("dana", "2"), last_event_id: "8" }]);
});
