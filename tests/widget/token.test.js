/** On pages of other sites there is no cookie: the page gives a token, and a ticket opens each line. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { SRC, answers, browser, call, eachTestHasABrowser, pass, settle } from "./browser.js";

eachTestHasABrowser();

/** A JWT of this person; `more` makes two of the same person differ. */
const jwt = (sub, more = "") => ["{}", JSON.stringify({ sub }), more].map((part) => Buffer.from(part).toString("base64url")).join(".");

const TICKET = ["POST", `${SRC}api/auth/ticket`];
const DISMISS = ["POST", `${SRC}api/ringcentral/calls/a/dismiss`];

let good;
let bearers;
let tickets;
beforeEach(() => {
  good = () => true;
  bearers = [];
  tickets = 0;
  browser.answer = (url, request) => {
    const bearer = request.headers?.Authorization?.replace("Bearer ", "");
    bearers.push(bearer);
    if (!bearer || !good(bearer)) return answers(401);
    if (url.endsWith("ticket")) return answers(200, { ticket: `ticket-${++tickets}`, expires_in: 30 });
    return answers(200, { calls: [] });
  };
});

function tab(token) {
  const feed = browser.tab();
  feed.token = token;
  return feed;
}

async function liveTab(token) {
  const feed = tab(token);
  await settle();
  browser.stream.says("connected", { resumed: false, active: [] }, "7");
  return feed;
}

const address = () => new URL(browser.stream.url).searchParams;

test("a token buys a ticket, which opens the line without a cookie", async () => {
  const feed = await liveTab(jwt("dana"));
  assert.deepEqual(browser.requests, [TICKET]);
  assert.equal(browser.lastRequest.credentials, "omit");
  assert.equal(address().get("ticket"), "ticket-1");
  assert.equal(browser.stream.options.withCredentials, false);
  assert.ok(!browser.stream.url.includes(feed.token), "a token is never part of an address");
  assert.equal(feed.status.state, "live");
});

test("each line has a ticket of its own and goes on where the one before was", async () => {
  await liveTab(jwt("dana"));
  browser.stream.breaks(0);
  assert.equal(browser.open.length, 0, "the browser must not come back with a used ticket");
  await pass(1_500);
  assert.deepEqual([browser.open.length, address().get("ticket"), address().get("last_event_id")], [1, "ticket-2", "7"]);
  browser.stream.says("connected", { resumed: true, active: [] });
  await pass(35_000);
  await pass(2_500);
  assert.equal(address().get("ticket"), "ticket-3", "after a silent line too");
});

test("what is asked and what is dismissed carry the token", async () => {
  const feed = await liveTab(jwt("dana"));
  browser.stream.says("call", { call: call() });
  assert.equal(await feed.dismiss("a"), true);
  await feed.service.get("api/ringcentral/config");
  assert.deepEqual(browser.requests.slice(1), [DISMISS, ["GET", `${SRC}api/ringcentral/config`]]);
  assert.deepEqual(new Set(bearers), new Set([jwt("dana")]));
});

test("a function is asked once, and again when its token is refused", async () => {
  let asked = 0;
  const feed = await liveTab(async () => jwt("dana", `${++asked}`));
  await Promise.all([feed.dismiss("x"), feed.dismiss("y")]);
  assert.equal(asked, 1);
  good = (bearer) => bearer !== jwt("dana", "1");
  assert.equal(await feed.dismiss("z"), true);
  assert.equal(asked, 2);
  assert.equal(bearers.at(-1), jwt("dana", "2"));
});

test("refused again, the viewer is denied, a ringing call stays, and a good token brings a full set of calls", async () => {
  const feed = await liveTab(() => jwt("dana"));
  feed.addEventListener("viewerchange", () => assert.fail("it is the same person"));
  browser.stream.says("call", { call: call() }, "8");
  browser.stream.says("call", { call: call({ id: "b" }) }, "9");
  good = () => false;
  browser.stream.breaks(2);
  await pass(1_500);
  assert.deepEqual([feed.status.state, feed.calls.length], ["denied", 2]);
  const before = browser.streams.length;
  good = () => true;
  await pass(4_000);
  assert.equal(browser.streams.length, before + 1);
  assert.equal(address().get("last_event_id"), null, "its rights may be others now");
  browser.stream.says("connected", { resumed: false, active: ["b"] });
  assert.deepEqual(feed.calls.map(({ id }) => id), ["b"], "what is over is gone");
});

test("a token that is replaced by another of the same person clears nothing and resumes", async () => {
  const feed = await liveTab(jwt("dana", "1"));
  browser.stream.says("call", { call: call() }, "8");
  feed.addEventListener("viewerchange", () => assert.fail("it is the same person"));
  feed.token = jwt("dana", "2");
  await settle();
  assert.deepEqual([feed.calls.length, address().get("last_event_id"), browser.open.length], [1, "8", 1]);
});

test("a person who signs out of the page leaves no calls there", async () => {
  let token = jwt("dana");
  const feed = await liveTab(() => token);
  browser.stream.says("call", { call: call() });
  token = null;
  good = () => false;
  browser.stream.breaks(2);
  await pass(1_500);
  assert.deepEqual([feed.status.state, feed.calls], ["denied", []]);
});

test("the server's sentence about a token is the feed's message, sent once as statuschange", async () => {
  browser.answer = () => answers(403, { error: { code: "no_rights", message: "This token says neither role nor extension_ids." } });
  const feed = tab(jwt("dana"));
  const said = [];
  feed.addEventListener("statuschange", ({ detail }) => said.push([detail.state, detail.message]));
  await settle();
  await pass(30_000);
  assert.deepEqual(said, [["denied", "This token says neither role nor extension_ids."]]);
  assert.equal(feed.status.message, said[0][1]);
});

test("an HTML page in place of a token is denied with the cure, and never sent", async () => {
  const feed = tab(() => "<!doctype html>\n<title>Sign in</title>");
  await settle();
  assert.equal(feed.status.state, "denied");
  assert.match(feed.status.message, /no token.*JWT/);
  assert.deepEqual(browser.requests, []);
});

test("a token that never comes is a broken line after ten seconds, and asked for again", async () => {
  let asked = 0;
  const feed = tab(() => {
    asked += 1;
    return new Promise(() => {});
  });
  await settle();
  await pass(30_000);
  assert.deepEqual([feed.status.state, feed.status.message], ["reconnecting", "This page could not get a token."]);
  assert.ok(asked > 1);
});

test("a page that cannot give a token is waited for like a network, and one that has none is signed out", async () => {
  const feed = await liveTab(jwt("dana"));
  feed.token = () => Promise.reject(new Error("the page's own server is away"));
  await settle();
  assert.equal(feed.status.state, "reconnecting");
  let token = null;
  feed.token = () => token;
  await settle();
  assert.equal(feed.status.state, "denied");
  token = jwt("dana");
  await pass(2_000);
  await settle();
  assert.equal(browser.open.length, 1);
});

test("the service being away is no refusal: what is known stays, and the list is asked for meanwhile", async () => {
  const feed = await liveTab(jwt("dana"));
  browser.stream.says("call", { call: call() });
  const { answer } = browser;
  browser.answer = (url) => (url.endsWith("ticket") ? answers(503) : answers(200, { calls: [call()] }));
  browser.stream.breaks(2);
  await pass(10_000);
  assert.deepEqual([feed.status.state, feed.calls.length], ["polling", 1]);
  browser.answer = answer;
  while (!browser.open.length) await pass(500);
  browser.stream.says("connected", { resumed: true, active: [] });
  assert.equal(feed.status.state, "live");
});

test("a ticket that comes too late opens nothing", async () => {
  let reply;
  const { answer } = browser;
  browser.answer = () => new Promise((resolve) => (reply = resolve));
  const feed = tab(jwt("dana"));
  await settle();
  feed.close();
  reply(answer(TICKET[1], { headers: { Authorization: "Bearer x" } }));
  await settle();
  assert.equal(browser.streams.filter(({ url }) => url.includes("ticket")).length, 0);
});

test("tabs of one person share a stream, and another person's tab has its own", async () => {
  const dana = await liveTab(jwt("dana", "1"));
  const danas = tab(jwt("dana", "2"));
  await settle();
  assert.equal(browser.open.length, 1);
  browser.stream.says("call", { call: call() });
  await settle();
  assert.equal(danas.calls.length, 1);
  const kim = tab(jwt("kim"));
  await settle();
  assert.equal(browser.open.length, 2);
  assert.deepEqual([kim.calls, dana.calls.length], [[], 1]);
});

test("a token that does not say whose it is shares nothing", async () => {
  await liveTab("an-opaque-token");
  tab("an-opaque-token");
  await settle();
  assert.equal(browser.open.length, 2);
});

test("another person's token ends what the one before saw, also when the page's function gives it unasked", async () => {
  const feed = await liveTab(jwt("dana"));
  browser.stream.says("call", { call: call() });
  feed.token = jwt("kim");
  assert.deepEqual(feed.calls, []);
  await settle();
  assert.deepEqual([bearers.at(-1), address().get("last_event_id")], [jwt("kim"), null]);

  let token = jwt("dana");
  feed.token = () => token;
  await settle();
  browser.stream.says("connected", { resumed: false, active: [] });
  browser.stream.says("call", { call: call() }, "9");
  token = jwt("kim", "later");
  good = (bearer) => bearer !== jwt("dana");
  browser.stream.breaks(2);
  await pass(1_500);
  assert.deepEqual([feed.calls, bearers.at(-1), address().get("last_event_id")], [[], jwt("kim", "later"), null]);
  assert.equal(browser.open.length, 1);
});
