/** The table of the call stream's states: each transition, what it counts, and that nothing leads out of the table. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { BURST_MS, MUTE_LINES, NO_LINE, TIMEOUTS, TRANSITIONS, advance, isOpen, shownState } from "../../static/feed/stream-state.js";

const STATES = Object.keys(TRANSITIONS);
const EVENTS = ["open", "restart", "stop", "connected", "event", "interrupted", "closed", "failed", "denied", "timeout"];
const EARLY = BURST_MS;
const LATE = BURST_MS + 1;

/** A line after these events, each at the moment given before it, or at the moment of the one before. */
function after(...steps) {
  let line = NO_LINE;
  let now = 0;
  for (const step of steps) {
    if (typeof step === "number") now += step;
    else line = advance(line, step, now);
  }
  return line;
}

const WAYS = {
  idle: [],
  opening: ["open"],
  bursting: ["open", "connected"],
  live: ["open", "connected", LATE, "event"],
  reopening: ["open", "connected", "interrupted"],
  resuming: ["open", "connected", LATE, "event", "interrupted"],
  waiting: ["open", "failed"],
};
const next = (state, ...steps) => after(...WAYS[state], ...steps).state;

test("each state is reached", () => {
  assert.deepEqual(Object.keys(WAYS), STATES);
  for (const state of STATES) assert.equal(next(state), state);
});

test("what follows each event in each state", () => {
  const table = {
    //          connected   event      interrupted  closed     failed     denied     timeout
    idle:      ["idle",     "idle",     "idle",      "idle",    "idle",    "idle",    "idle"],
    opening:   ["bursting", "opening",  "reopening", "waiting", "waiting", "waiting", "waiting"],
    bursting:  ["bursting", "bursting", "reopening", "waiting", "waiting", "bursting", "waiting"],
    live:      ["live",     "live",     "resuming",  "waiting", "waiting", "live",    "waiting"],
    reopening: ["bursting", "reopening", "reopening", "waiting", "reopening", "reopening", "opening"],
    resuming:  ["live",     "resuming", "resuming",  "waiting", "resuming", "resuming", "opening"],
    waiting:   ["waiting",  "waiting",  "waiting",   "waiting", "waiting", "waiting", "opening"],
  };
  for (const [state, expected] of Object.entries(table)) {
    const events = ["connected", "event", "interrupted", "closed", "failed", "denied", "timeout"];
    assert.deepEqual(events.map((event) => next(state, event)), expected, state);
  }
});

test("in every state the feed can open, restart and stop", () => {
  for (const state of STATES) {
    assert.deepEqual(["open", "restart", "stop"].map((event) => next(state, event)), ["opening", "opening", "idle"], state);
  }
});

test("an event that means nothing in a state leaves the very same line", () => {
  for (const state of STATES) {
    for (const event of EVENTS) {
      const line = after(...WAYS[state]);
      const listed = event in TRANSITIONS[state] || ["open", "restart", "stop"].includes(event);
      if (!listed) assert.equal(advance(line, event, 0), line, `${event} in ${state}`);
    }
  }
});

test("the table leads to states of the table, and every state but idle ends by itself", () => {
  for (const [state, row] of Object.entries(TRANSITIONS)) {
    for (const [to] of Object.values(row)) assert.ok(STATES.includes(to), `${state} to ${to}`);
    assert.equal("timeout" in row, state !== "idle", state);
    assert.equal(state in TIMEOUTS, !["idle", "waiting"].includes(state), state);
  }
});

test("a line is live once an event comes after the burst", () => {
  assert.equal(next("bursting", EARLY, "event"), "bursting");
  assert.equal(next("bursting", LATE, "event"), "live");
  assert.equal(next("bursting", LATE, "connected", "event"), "bursting", "another connection has a burst of its own");
});

test("two lines in a row that never opened start polling, and one that opens ends it", () => {
  const unopened = ["open", "timeout", "timeout", "timeout"];
  assert.equal(after("open", "timeout").polling, false);
  assert.deepEqual([after(...unopened).unopened, after(...unopened).polling], [MUTE_LINES, true]);
  assert.equal(after(...unopened, "timeout").polling, true, "while the next one opens");
  const opened = after(...unopened, "timeout", "connected");
  assert.deepEqual([opened.polling, opened.unopened], [false, 0]);
});

test("two lines in a row that are silent after their burst start polling, until an event comes after a burst", () => {
  const mute = ["open", "connected", "timeout", "timeout", "connected", "timeout", "timeout"];
  assert.equal(after(...mute.slice(0, 3)).polling, false);
  assert.equal(after(...mute).polling, true);
  const again = after(...mute, "connected");
  assert.deepEqual([again.polling, shownState(again)], [true, null], "connected came before, and nothing followed");
  const proven = after(...mute, "connected", LATE, "event");
  assert.deepEqual([proven.polling, proven.mute, shownState(proven)], [false, 0, "live"]);
});

test("a refusal starts polling at once, because only an answer over HTTP says why", () => {
  assert.equal(after("open", "closed").polling, true);
  assert.equal(after(...WAYS.bursting, "closed").polling, false, "this one was open");
  assert.equal(after("open", "denied").polling, false, "here it is known why");
  assert.equal(after("open", "closed", "stop").polling, false);
});

test("failures are counted, until a connection was stable or a person tries again", () => {
  assert.equal(after("open", "timeout", "timeout", "timeout").attempt, 2);
  assert.equal(after("open", "timeout", "timeout", "connected", 30_000, "closed").attempt, 2, "30 s are not long enough");
  assert.equal(after("open", "timeout", "timeout", "connected", 30_001, "closed").attempt, 1);
  assert.equal(after("open", "timeout", "timeout", "connected", 30_001, "interrupted").attempt, 0);
  assert.equal(after("open", "timeout", "restart").attempt, 0);
  assert.equal(after("open", "timeout", "open").attempt, 1);
});

test("what the line says about the feed", () => {
  const shown = STATES.map((state) => [state, shownState(after(...WAYS[state]))]);
  assert.deepEqual(Object.fromEntries(shown), {
    idle: null, opening: null, bursting: "live", live: "live", reopening: "reconnecting", resuming: "reconnecting", waiting: "reconnecting",
  });
  assert.equal(shownState(after("open", "closed")), null, "while polling its answers say more");
  assert.deepEqual(STATES.filter((state) => isOpen(after(...WAYS[state]))), ["bursting", "live"]);
});
