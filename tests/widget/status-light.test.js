import assert from "node:assert/strict";
import { test } from "node:test";
import { statusLight } from "../../static/dashboard/status-light.js";

const NOW = Date.UTC(2025, 9, 19, 12, 0, 0);
const ago = (seconds) => new Date(NOW - seconds * 1000).toISOString();
const live = { state: "live", message: null, unanswered: false, trouble: null };
const healthy = { ready: true, reasons: [], last_event_at: ago(12), subscription: { state: "active", expires_at: ago(-6.5 * 86_400), detail: null } };
const light = (feed, health) => statusLight({ ...live, ...feed }, health && { ...healthy, ...health }, NOW);
const subscription = (details) => light({}, { subscription: { ...healthy.subscription, ...details } });

test("all well is one green sentence", () => {
  assert.deepEqual(light({}, {}), { tone: "green", text: "Live · last event 12 s ago · subscription ends in 6 days" });
});

test("before health is known it only says what the stream knows", () => {
  assert.deepEqual(light({}, null), { tone: "green", text: "Live" });
});

test("a service without RingCentral credentials is live and says nothing of a subscription", () => {
  assert.deepEqual(light({}, { subscription: null, last_event_at: null }), { tone: "green", text: "Live · no event yet" });
});

test("a subscription in its last day is amber, an ended one red", () => {
  assert.equal(subscription({ expires_at: ago(-5 * 3600) }).tone, "amber");
  assert.match(subscription({ expires_at: ago(-5 * 3600) }).text, /ends in 5 h$/);
  assert.equal(subscription({ expires_at: ago(60) }).tone, "red");
});

test("a subscription is calm again a day before its end, and over at the moment it ends", () => {
  assert.equal(subscription({ expires_at: ago(-25 * 3600) }).tone, "green");
  assert.equal(subscription({ expires_at: ago(0) }).tone, "red");
});

test("a subscription that was not checked yet is no alarm", () => {
  assert.deepEqual(subscription({ state: "unknown" }), { tone: "green", text: "Live · last event 12 s ago · subscription not checked yet" });
  assert.match(subscription({ state: "unknown", detail: "Checked at the next start." }).text, /Checked at the next start\.$/);
});

test("a missing or blacklisted subscription says what to do", () => {
  assert.match(subscription({ state: "missing", expires_at: null }).text, /subscription ensure/);
  assert.equal(subscription({ state: "missing", expires_at: null }).tone, "amber");
  assert.equal(subscription({ state: "blacklisted" }).tone, "red");
  assert.match(subscription({ state: "blacklisted", detail: "The webhook answered 404." }).text, /The webhook answered 404\.$/);
});

test("a webhook that was turned away is shown for an hour, unless there is worse", () => {
  const refused = { last_refused_at: ago(300) };
  const text = "Live · last event 12 s ago · a webhook was turned away 5 min ago · check the verification token";
  assert.deepEqual(light({}, refused), { tone: "amber", text });
  assert.equal(light({}, { last_refused_at: ago(3_601) }).tone, "green");
  assert.equal(light({}, { ...refused, subscription: { ...healthy.subscription, state: "blacklisted" } }).tone, "red");
});

test("an index of customers that is being built is said unless there is worse", () => {
  const building = { customer_index: "building" };
  assert.deepEqual(light({}, building), { tone: "green", text: "Live · last event 12 s ago · customers’ numbers are being indexed, names may come late" });
  assert.match(light({}, { ...building, subscription: { ...healthy.subscription, expires_at: ago(60) } }).text, /subscription ended/);
  assert.match(light({}, { customer_index: "complete" }).text, /subscription ends/);
});

test("calls that wait for the database are shown", () => {
  assert.deepEqual(light({}, { spooled: 3 }).tone, "amber");
  assert.match(light({}, { spooled: 3 }).text, /wait on this machine’s disk/);
});

test("what the service complains about is said alone and in red", () => {
  assert.deepEqual(light({}, { ready: false, reasons: ["The database does not answer."] }), { tone: "red", text: "The database does not answer." });
  assert.equal(light({ trouble: { code: "store_lost", message: "The store is lost." } }, {}).text, "The store is lost.");
});

test("a service that does not answer outranks what it said before, and is outranked by why it is not ready", () => {
  const trouble = { code: "shutting_down", message: "The service is restarting." };
  for (const [feed, health] of [[{ unanswered: true }, {}], [{ unanswered: true }, null], [{}, null]]) {
    const shown = light({ state: "reconnecting", trouble, message: trouble.message, ...feed }, health);
    assert.deepEqual([shown.tone, shown.text.split(" · ")[0]], ["red", "No answer from the service"]);
  }
  assert.equal(light({ state: "reconnecting", unanswered: true }, { ready: false, reasons: ["The database does not answer."] }).text, "The database does not answer.");
  assert.equal(light({ state: "reconnecting", trouble }, {}).text, "The service is restarting.", "for the moment before it is away");
});

test("a viewer who may not see calls, and a page that cannot reach them, read the reason", () => {
  assert.deepEqual(light({ state: "denied", message: "Your sign-in has ended." }, {}), { tone: "red", text: "Your sign-in has ended." });
  assert.match(light({ state: "denied" }, {}).text, /sign in/);
  assert.equal(light({ state: "blocked", message: "Add it to connect-src.", trouble: { message: "The store is lost." } }, null).text, "Add it to connect-src.");
});

test("a broken stream is never called live", () => {
  for (const [state, tone] of [["connecting", "quiet"], ["reconnecting", "amber"], ["blocked", "red"], ["denied", "red"], ["polling", "amber"]]) {
    const shown = light({ state }, {});
    assert.equal(shown.tone, tone, state);
    assert.doesNotMatch(shown.text, /Live/, state);
  }
});
