/** What screen readers hear, on the least of a document. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Announcer, outcomeOf } from "../../static/widget/announcer.js";
import { call, pass, startClock, stopClock } from "./browser.js";

class Element {
  children = [];
  setAttribute() {}
  append(child) {
    this.children.push(child);
  }
  remove() {}
}

let count = 0;
let ringing;
beforeEach(() => {
  stopClock(Date.UTC(2025, 9, 19));
  globalThis.document = { createElement: () => new Element() };
  ringing = call({ id: `call-${++count}`, customer_name: "Sarah Customer", customer_id: "1", queue: "Sales" });
});
afterEach(() => {
  startClock();
  delete globalThis.document;
});

const answered = (name = "Dana P.", extension_id = "102") => ({ ...ringing, status: "connected", answered_by: { extension_id, name } });
const ended = (result) => ({ ...ringing, status: "ended", result });

async function heard(...announcers) {
  await pass(200);
  return announcers.flatMap(({ element }) => element.children.map(({ children }) => children.join("")));
}

test("a call and its outcome are said once each", async () => {
  const announcer = new Announcer();
  announcer.arrived(ringing);
  announcer.arrived(ringing);
  for (const state of [ringing, answered(), answered(), { ...answered(), status: "on_hold" }, ended("answered")]) announcer.outcome(state, []);
  assert.deepEqual(await heard(announcer), ["Incoming call from Sarah Customer, Sales", "Call from Sarah Customer answered by Dana P."]);
});

test("two popups on a page say it once between them", async () => {
  const both = [new Announcer(), new Announcer()];
  for (const one of both) one.arrived(ringing);
  for (const one of both) one.outcome(ended("missed"), []);
  assert.deepEqual(await heard(...both), ["Incoming call from Sarah Customer, Sales", "Missed call from Sarah Customer"]);
});

test("a popup that is not rendered leaves it to another", async () => {
  const [hidden, shown] = [new Announcer(), new Announcer()];
  hidden.element.checkVisibility = () => false;
  for (const one of [hidden, shown]) one.arrived(ringing);
  assert.equal((await heard(hidden)).length, 0);
  assert.equal((await heard(shown)).length, 1);
});

test("what the viewer did is no news to them", async () => {
  const announcer = new Announcer();
  announcer.outcome(answered("Me", "101"), ["101"]);
  announcer.outcome({ ...answered("Me", "101"), status: "ended", result: "answered" }, ["101"]);
  assert.deepEqual(await heard(announcer), []);
});

test("every end has its words", () => {
  const words = (one) => outcomeOf(one, []);
  assert.equal(words(ringing), null);
  assert.equal(words(ended("missed")), "Missed call from Sarah Customer");
  assert.equal(words(ended("abandoned")), "Missed call from Sarah Customer");
  assert.equal(words(ended("voicemail")), "Sarah Customer left a voicemail");
  assert.equal(words(ended("rejected")), "Call from Sarah Customer ended");
  assert.equal(words(answered(null)), "Call from Sarah Customer answered by Extension 102");
});
