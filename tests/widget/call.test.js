import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, formatNumber, formatSpan, formatWhen } from "../../static/lib/format.js";
import { agentOf, callerName, dialled, isShown, reduce, stateOf } from "../../static/model/call.js";
import { cardOf, customerUrl, initials } from "../../static/model/card-view.js";
import { activeRows, recentRows } from "../../static/model/rows.js";

const at = (seconds) => new Date(Date.UTC(2025, 9, 19, 0, 47, seconds)).toISOString();

function call(details = {}) {
  return {
    id: "a", session_id: "s-a", from_number: "+14165551234", from_name: null, from_display: "(416) 555-1234",
    to_number: "+15879876543", to_display: "(587) 987-6543", to_name: null, queue: null, direction: "Inbound", status: "ringing",
    timestamp: at(0), customer_id: null, customer_name: null, customer_email: null, extension_ids: ["101"], answered_by: null,
    answered_at: null, ended_at: null, result: null, customers: [], match: null, rev: 1, ...details,
  };
}

const sarah = { customer_id: "c1", customer_name: "Sarah Customer", customer_email: "sarah@example.com", match: "exact" };
const after = (...events) => events.reduce(reduce, []);
const rings = (details) => ({ type: "call", call: call(details) });
const updates = (details) => ({ type: "call_updated", call: call(details) });
const ends = (details) => ({ type: "call_ended", call: call(details) });

test("the newest call comes first, whatever order they arrive in", () => {
  const calls = after(rings({ id: "b", timestamp: at(5) }), rings({ id: "a", timestamp: at(1) }), rings({ id: "c", timestamp: at(9) }));
  assert.deepEqual(calls.map(({ id }) => id), ["c", "b", "a"]);
});

test("a change with a lower or equal rev is dropped and changes nothing at all", () => {
  const calls = after(updates({ status: "connected", rev: 3 }));
  assert.equal(reduce(calls, rings({ rev: 1 })), calls);
  assert.equal(reduce(calls, updates({ status: "on_hold", rev: 3 })), calls);
  assert.equal(reduce(calls, updates({ status: "on_hold", rev: 4 }))[0].status, "on_hold");
});

test("a call that ended does not ring again when an old event comes late", () => {
  const calls = after(rings(), ends({ status: "ended", result: "missed", rev: 2 }), rings({ rev: 1 }));
  assert.deepEqual(calls.map(({ status, dismissed }) => [status, dismissed]), [["ended", false]]);
});

test("a call that goes back to its queue is off the screen, and pops up when it rings again", () => {
  const waits = after(rings(), ends({ status: "setup", rev: 2 }));
  assert.deepEqual(waits.map(({ status, dismissed, rev }) => [status, dismissed, rev]), [["setup", false, 2]]);
  assert.equal(isShown(waits[0]), false);
  assert.equal(reduce(waits, rings({ rev: 1 })), waits, "an older event does not bring it back");
  const again = reduce(waits, rings({ rev: 3 }));
  assert.deepEqual([again[0].status, isShown(again[0])], ["ringing", true]);
});

test("a call that was dismissed does not pop up again after it was in the queue", () => {
  const calls = after(rings(), ends({ rev: 2 }), ends({ status: "setup", rev: 3 }), rings({ rev: 4 }));
  assert.equal(isShown(calls[0]), false);
  const there = after(rings(), ends({ status: "setup", rev: 2 }), { type: "dismissed", call: call() }, rings({ rev: 3 }));
  assert.equal(isShown(there[0]), false);
});

test("what is dismissed on another device stays dismissed, though its rev grows", () => {
  const calls = after(rings(), ends({ rev: 2 }), updates({ status: "connected", rev: 3 }));
  assert.deepEqual([calls[0].dismissed, isShown(calls[0])], [true, false]);
});

test("calls that wait in queues are forgotten past fifty, and a full picture does not forget them", () => {
  const waiting = Array.from({ length: 80 }, (_, n) => ends({ id: `q${n}`, status: "setup", timestamp: at(n) }));
  const calls = after(...waiting, { type: "resync", active: [] });
  assert.equal(calls.length, 50);
  assert.equal(after(...waiting, rings({ id: "q79", rev: 1 })).find(({ id }) => id === "q79").status, "setup");
});

test("an end that is not ended is this viewer's dismissal, though its rev did not grow", () => {
  const calls = after(rings(), ends({ rev: 1 }));
  assert.equal(calls[0].dismissed, true);
  assert.equal(calls[0].status, "ringing");
});

test("a dismissed call stays dismissed when it changes later", () => {
  assert.equal(after(rings(), ends(), updates({ status: "connected", rev: 2 }))[0].dismissed, true);
});

test("a late dismissal does not take newer facts away", () => {
  const calls = after(updates({ ...sarah, rev: 4 }), ends({ rev: 2 }));
  assert.equal(calls[0].customer_name, "Sarah Customer");
  assert.equal(calls[0].dismissed, true);
});

test("a connection that does not resume drops every call it does not list", () => {
  const calls = after(rings({ id: "a" }), rings({ id: "b" }), { type: "connected", resumed: false, active: ["b"] });
  assert.deepEqual(calls.map(({ id }) => id), ["b"]);
});

test("after a full set begins, older revisions are accepted: another instance may have known more", () => {
  for (const full of [{ type: "connected", resumed: false, active: ["a"] }, { type: "resync", active: ["a"] }]) {
    const calls = after(rings({ id: "a", rev: 5 }), full, updates({ id: "a", rev: 3, status: "connected" }));
    assert.deepEqual(calls.map(({ rev, status }) => [rev, status]), [[3, "connected"]]);
  }
  const put = after(rings({ id: "a", rev: 5 }), { type: "dismissed", call: call({ id: "a", rev: 5 }) });
  const listed = [{ type: "resync", active: ["a"] }, rings({ id: "a", rev: 3 })].reduce(reduce, put);
  assert.equal(listed.some(isShown), false, "what was dismissed here stays dismissed");
});

test("a resumed connection keeps what was known", () => {
  assert.equal(after(rings(), { type: "connected", resumed: true, active: [] }).length, 1);
});

test("a resync drops what it does not list, and everything when it lists nothing", () => {
  assert.equal(after(rings(), { type: "resync", active: [] }).length, 0);
  assert.equal(after(rings(), { type: "resync" }).length, 0);
  assert.equal(after(rings(), { type: "resync", active: ["a"] }).length, 1);
});

test("a resync does not forget what was dismissed", () => {
  const calls = after(rings(), ends(), { type: "resync", active: [] }, { type: "snapshot", calls: [call()] });
  assert.equal(calls[0].dismissed, true);
});

test("a snapshot replaces the list and still obeys rev", () => {
  const before = after(rings({ id: "a" }), updates({ id: "b", status: "connected", rev: 5 }));
  const calls = reduce(before, { type: "snapshot", calls: [call({ id: "b", rev: 2 }), call({ id: "c" })] });
  assert.deepEqual(calls.map(({ id, status, dismissed }) => [id, status, dismissed]).sort(), [["b", "connected", false], ["c", "ringing", false]]);
});

test("heartbeats and unknown events leave the list alone", () => {
  const calls = after(rings());
  assert.equal(reduce(calls, { type: "heartbeat" }), calls);
  assert.equal(reduce(calls, { type: "from-the-future" }), calls);
});

test("ended calls are forgotten past fifty, active ones never", () => {
  const many = Array.from({ length: 80 }, (_, n) => n);
  const ended = many.map((n) => ends({ id: `e${n}`, status: "ended", result: "missed", timestamp: at(n) }));
  const active = many.map((n) => rings({ id: `r${n}`, timestamp: at(n) }));
  const calls = after(...ended, ...active);
  assert.equal(calls.filter(({ status }) => status === "ended").length, 50);
  assert.ok(calls.some(({ id }) => id === "e79") && !calls.some(({ id }) => id === "e0"));
  assert.equal(calls.filter(({ status }) => status === "ringing").length, 80);
});

test("the table keeps a dismissed call from the last reading and says the stream is silent about it", () => {
  const followed = after(rings({ id: "a" }), ends({ id: "a" }), rings({ id: "b", timestamp: at(9) }));
  const { rows, silent } = activeRows(followed, [call({ id: "a", status: "connected", rev: 2 })]);
  assert.deepEqual(rows.map(({ id, status }) => [id, status]), [["b", "ringing"], ["a", "connected"]]);
  assert.equal(silent, true);
  assert.deepEqual(activeRows(followed, []), { rows: rows.slice(0, 1), silent: false });
});

test("the table believes the stream before an older reading", () => {
  const followed = after(rings(), ends({ status: "ended", result: "answered", rev: 2 }));
  assert.deepEqual(activeRows(followed, [call()]), { rows: [], silent: false });
});

test("the table leaves out a call that went back to its queue, until it is read as ringing again", () => {
  const followed = after(rings(), ends({ status: "setup", rev: 2 }));
  assert.deepEqual(activeRows(followed, [call()]), { rows: [], silent: false });
  assert.deepEqual(activeRows(followed, [call({ rev: 3 })]).rows.map(({ rev }) => rev), [3]);
});

test("a known caller is shown by name with the number once", () => {
  const card = cardOf(call({ ...sarah, queue: "Sales" }));
  assert.deepEqual(
    [card.state, card.line, card.title, card.subtitle, card.detail, card.initials],
    ["Incoming call", "Sales", "Sarah Customer", "(416) 555-1234", "sarah@example.com", "SC"],
  );
  assert.equal(card.announcement, "Incoming call from Sarah Customer, Sales");
});

test("a customer without a name is known by email, one without an id by name", () => {
  assert.equal(cardOf(call({ customer_id: "c1", customer_email: "sarah@example.com" })).title, "sarah@example.com");
  assert.equal(cardOf(call({ customer_email: "sarah@example.com" })).title, "(416) 555-1234");
  assert.deepEqual(cardOf(call({ customer_name: "Sarah" })).customer, { id: null, name: "Sarah", email: null });
});

test("the table names a stranger by caller ID, else as new", () => {
  assert.equal(callerName(call({ from_name: "Calgary, AB" })), "Calgary, AB");
  assert.equal(callerName(call()), "New caller");
  assert.equal(callerName(call({ ...sarah, from_name: "SARAH C" })), "Sarah Customer");
});

test("only a number is laid out as a number", () => {
  const isNumber = (details) => cardOf(call(details)).titleIsNumber;
  assert.deepEqual([isNumber({}), isNumber(sarah), isNumber({ from_number: null, from_display: null })], [true, false, false]);
});

test("numbers are as the server wrote them, or written here", () => {
  assert.equal(dialled(call({ to_display: "587 987 6543" })), "587 987 6543");
  assert.equal(dialled(call({ to_display: null })), "(587) 987-6543");
  assert.equal(dialled(call({ to_display: null, to_number: null })), null);
});

test("an unknown caller is a number that is not in the database", () => {
  const card = cardOf(call({ from_name: "Calgary, AB" }));
  assert.deepEqual(
    [card.title, card.subtitle, card.detail, card.initials, card.line, card.customer],
    ["(416) 555-1234", "New caller - not in database", "Calgary, AB (caller ID)", "?", "(587) 987-6543", null],
  );
});

test("a withheld caller is said to be withheld and is not called new", () => {
  const card = cardOf(call({ from_number: null, from_display: null, from_name: "Anonymous" }));
  assert.deepEqual([card.title, card.subtitle, card.detail], ["Withheld number", null, null]);
  assert.equal(callerName(call({ from_number: null, from_display: null })), "Withheld number");
});

test("a doubtful match says so beside the number", () => {
  assert.equal(cardOf(call({ ...sarah, match: "possible" })).subtitle, "(416) 555-1234 · possible match");
  const shared = cardOf(call({ ...sarah, match: "shared", customers: [{}, {}, {}] }));
  assert.equal(shared.subtitle, "(416) 555-1234 · shared by 3 customers");
});

test("our own call is shown by whom we call", () => {
  const card = cardOf(call({ direction: "Outbound", to_display: "(604) 555-0188" }));
  assert.deepEqual([card.state, card.title, card.line], ["Outgoing call", "(604) 555-0188", null]);
});

test("a call that another agent answered names them and goes after three seconds", () => {
  const card = cardOf(call({ status: "connected", answered_by: { extension_id: "102", name: "Dana P." } }), ["101"]);
  assert.deepEqual([card.state, card.line, card.tone, card.stays, card.mine], ["Answered by Dana P.", null, "connected", 3000, false]);
  assert.equal(cardOf(call({ status: "connected", answered_by: { extension_id: "102", name: null } })).state, "Answered");
});

test("a call the viewer answered stays", () => {
  const card = cardOf(call({ status: "connected", answered_by: { extension_id: "101", name: "Me" } }), ["101"]);
  assert.deepEqual([card.state, card.stays, card.mine], ["Connected", null, true]);
});

test("a call answered by an unknown agent says connected and stays for its timer", () => {
  const card = cardOf(call({ status: "connected" }));
  assert.deepEqual([card.state, card.stays, card.mine], ["Connected", null, false]);
  assert.deepEqual([call(), call({ status: "ended", result: "answered" })].map((other) => cardOf(other).mine), [false, false]);
});

test("a missed call says so for five seconds and an answered one goes at once", () => {
  const missed = cardOf(call({ status: "ended", result: "missed" }));
  assert.deepEqual([missed.state, missed.tone, missed.stays], ["Missed call", "missed", 5000]);
  assert.equal(cardOf(call({ status: "ended", result: "answered" })).stays, 0);
});

test("the timer counts from the answer once there is one", () => {
  assert.equal(cardOf(call()).since, at(0));
  assert.equal(cardOf(call({ status: "connected", answered_at: at(7) })).since, at(7));
});

test("every status and result has a word and a tone", () => {
  const say = (details) => stateOf(call(details)).join(" ");
  assert.equal(say({ status: "on_hold" }), "On hold hold");
  assert.equal(say({ status: "ended", result: "abandoned" }), "Abandoned missed");
  assert.equal(say({ status: "ended", result: "answered" }), "Answered neutral");
  assert.equal(say({ status: "ended", result: null }), "Ended neutral");
});

test("an agent without a name is known by the extension", () => {
  assert.equal(agentOf(call()), null);
  assert.equal(agentOf(call({ answered_by: { extension_id: "102", name: null } })), "Extension 102");
});

test("North American numbers are written for people and others as they are", () => {
  assert.equal(formatNumber("+14165551234"), "(416) 555-1234");
  assert.equal(formatNumber("+442079460958"), "+442079460958");
  assert.equal(formatNumber("101"), "101");
  assert.equal(formatNumber(null), null);
});

test("initials are the first and the last word's, from letters only", () => {
  assert.equal(initials("Maria del Carmen Ruiz"), "MR");
  assert.equal(initials("sarah"), "S");
  assert.equal(initials("<img src=x onerror=alert(1)>"), "IO");
  assert.equal(initials("سارة الأحمد"), "سا");
  assert.equal(initials("***"), "?");
});

test("durations never run backwards and grow hours only when they need them", () => {
  assert.equal(formatDuration(7_900), "0:07");
  assert.equal(formatDuration(271_000), "4:31");
  assert.equal(formatDuration(3_723_000), "1:02:03");
  assert.equal(formatDuration(-5_000), "0:00");
  assert.equal(formatDuration(Number.NaN), "0:00");
});

test("spans of time are said in one unit", () => {
  assert.deepEqual([12_000, 90_000, 7_200_000, 47.9 * 3_600_000, 48 * 3_600_000].map(formatSpan), ["12 s", "1 min", "2 h", "47 h", "2 days"]);
});

test("a moment is a time today, Yesterday before, and a date further back", () => {
  const now = new Date(2025, 9, 19, 12, 0);
  assert.equal(formatWhen(new Date(2025, 9, 19, 9, 41), now), "09:41");
  assert.equal(formatWhen(new Date(2025, 9, 18, 23, 59), now), "Yesterday 23:59");
  assert.equal(formatWhen(new Date(2025, 7, 2, 9, 5), now), "2 Aug 09:05");
  assert.equal(formatWhen(new Date(2024, 11, 31, 9, 5), now), "31 Dec 2024 09:05");
  assert.equal(formatWhen("nonsense", now), "");
});

test("the customer's page is a web address with the id escaped, or none", () => {
  const customer = { id: "a/b?c" };
  const page = "https://crm.example.com/calls/";
  assert.equal(customerUrl("/customers/{id}", customer, page), "https://crm.example.com/customers/a%2Fb%3Fc");
  assert.equal(customerUrl("https://other.example/{id}#{id}", customer, page), "https://other.example/a%2Fb%3Fc#a%2Fb%3Fc");
  assert.equal(customerUrl("javascript:alert('{id}')", customer, page), null);
  assert.equal(customerUrl("data:text/html,{id}", customer, page), null);
  assert.equal(customerUrl("http://", customer, page), null);
  assert.equal(customerUrl("/customers/{id}", null, page), null);
  assert.equal(customerUrl("", customer, page), null);
});

test("recent calls are those that were read and those that ended since, each once, the newest first", () => {
  const ended = (id, seconds, more = {}) => call({ id, status: "ended", timestamp: at(seconds), ...more });
  const read = [ended("b", 2), ended("a", 1, { result: null })];
  const followed = [call({ id: "d", timestamp: at(9) }), ended("c", 3), ended("a", 1, { result: "missed" })];
  const rows = recentRows(followed, read, 3);
  assert.deepEqual(rows.map(({ id, result }) => [id, result]), [["c", null], ["b", null], ["a", "missed"]]);
  assert.deepEqual(recentRows(followed, read, 2).map(({ id }) => id), ["c", "b"]);
});
