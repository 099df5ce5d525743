/** Whether calls arrive: the state, the sentence, and one console line with the cure. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { LineStatus, arrives, statusOf } from "../../static/widget/line-status.js";

let line;
let changes;
let logged;
beforeEach(() => {
  changes = [];
  logged = [];
  const place = () => ({ src: "https://calls.example.com/", origin: "https://crm.example.com" });
  line = new LineStatus({ change: ({ state, message }) => changes.push([state, message]), log: (text) => logged.push(text), place });
});

const feed = (state, message) => ({ status: { state, message } });
const follow = (state, message) => line.update(statusOf(feed(state, message)));

test("each state is reported once, with the server's sentence or one of the popup's own", () => {
  follow("live");
  follow("live");
  follow("denied", "The token ended 3 minutes ago.");
  follow("denied", "The token is not signed with JWT_SECRET.");
  assert.deepEqual(changes.map(([state]) => state), ["live", "denied", "denied"]);
  assert.equal(changes[1][1], "The token ended 3 minutes ago.");
  assert.ok(changes[0][1], "a sentence in any case");
});

test("a feed of the host page needs no status, and an unknown one counts as a broken line", () => {
  assert.equal(statusOf({}), null);
  assert.equal(statusOf(feed("offline")).state, "reconnecting");
  assert.deepEqual(["live", "polling", "connecting", "reconnecting", "denied", "blocked"].filter(arrives), ["live", "polling"]);
});

test("a refused token has one line in the console, with the server's reason and the cure", () => {
  follow("denied", "The token has no exp.");
  follow("denied", "The token has no exp.");
  follow("connecting");
  follow("denied", "The token has no exp.");
  assert.equal(logged.length, 1);
  assert.match(logged[0], /The token has no exp\. .*token.*sub.*exp/);
  follow("live");
  follow("denied", "The token has no exp.");
  assert.equal(logged.length, 2, "again after it had worked");
});

test("a page that is kept from the service has one line too, which is the feed's", () => {
  follow("blocked", "This page forbids connections to https://calls.example.com. Add it to connect-src.");
  follow("reconnecting");
  follow("blocked", "This page forbids connections to https://calls.example.com. Add it to connect-src.");
  assert.deepEqual(logged, ["<call-popup> Calls are not arriving. This page forbids connections to https://calls.example.com. Add it to connect-src."]);
});

test("the reason is not logged again because the line stays broken", () => {
  follow("denied", "The token has no exp.");
  follow("reconnecting");
  line.late();
  assert.equal(logged.length, 1);
});

test("a service that is away is logged when that has lasted, with where to look", () => {
  follow("reconnecting");
  assert.deepEqual(logged, []);
  line.late();
  line.late();
  assert.equal(logged.length, 1);
  assert.match(logged[0], /https:\/\/calls\.example\.com\/health\/live.*ALLOWED_ORIGINS.*https:\/\/crm\.example\.com/);
});
