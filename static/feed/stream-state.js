/**
 * The states of the call stream, as a table: what follows from what happens on the line. Pure; the feed does what it says.
 *
 * | state       | meaning |
 * |-------------|---------|
 * | `idle`      | this tab has no stream: closed, or another tab leads |
 * | `opening`   | a stream was asked for, `connected` is awaited |
 * | `bursting`  | `connected` came, and perhaps the burst of events that comes with it; a proxy may hold back all that follows |
 * | `live`      | an event came after the burst, so events come through as they happen |
 * | `reopening` | the line broke before it was `live`; the browser opens it again by itself |
 * | `resuming`  | the same after it was `live` |
 * | `waiting`   | the line was given up; the next is opened after a wait |
 *
 * Beside the state, `polling` says that active-calls is to be asked until a stream comes through.
 */

/** So many lines in a row that never opened, or nothing after the first burst, start polling. */
export const MUTE_LINES = 2;
/** What comes with `connected` comes within this. */
export const BURST_MS = 1_000;
/** A connection this old is stable: the next failure starts with a short wait again. */
const STABLE_MS = 30_000;

/**
 * @typedef {"idle" | "opening" | "bursting" | "live" | "reopening" | "resuming" | "waiting"} StreamState
 *
 * @typedef {"open" | "restart" | "stop" | "connected" | "event" | "late event" | "interrupted" | "closed" | "failed"
 *   | "denied" | "timeout"} StreamEvent  What happens:
 *   - `open`, `restart`, `stop`: the feed opens a stream, opens one at once because a person or the network wants it, or ends it
 *   - `connected`, `event`: an event of the server; `late event`: an `event` after the burst, which `advance` finds out
 *   - `interrupted`: the line broke, and the browser opens it again by itself
 *   - `closed`: the browser gave the line up. Before `connected` that is a refusal, whose reason it does not say
 *   - `failed`: no stream could be asked for, or its ticket is used up
 *   - `denied`: the service refused this viewer
 *   - `timeout`: nothing else happened for the time of the state
 *
 * @typedef {"opened" | "unopened" | "mute" | "proven" | "poll" | "first attempt" | "stop"} Effect
 *
 * @typedef {object} Line
 * @property {StreamState} state
 * @property {boolean} polling
 * @property {number} openedAt  when `connected` came, in epoch milliseconds; 0 while the line is not open
 * @property {number} unopened  lines in a row that never opened
 * @property {number} mute  lines in a row that were silent after their burst
 * @property {number} attempt  failures in a row, which make the waits longer
 */

/** @type {Readonly<Line>} */
export const NO_LINE = Object.freeze({ state: "idle", polling: false, openedAt: 0, unopened: 0, mute: 0, attempt: 0 });

/**
 * For each state what follows each event: the next state, and what is counted. An event that is not listed changes nothing.
 *
 * @type {Readonly<Record<StreamState, Partial<Record<StreamEvent, [StreamState, Effect?]>>>>}
 */
export const TRANSITIONS = {
  idle: {},
  opening: {
    connected: ["bursting", "opened"],
    interrupted: ["reopening", "unopened"],
    // EventSource reports 401 and 502 alike; asking for active-calls does, and brings the calls meanwhile.
    closed: ["waiting", "poll"],
    failed: ["waiting", "unopened"],
    denied: ["waiting"],
    timeout: ["waiting", "unopened"],
  },
  bursting: {
    connected: ["bursting", "opened"],
    event: ["bursting"],
    "late event": ["live", "proven"],
    interrupted: ["reopening"],
    closed: ["waiting"],
    failed: ["waiting"],
    timeout: ["waiting", "mute"],
  },
  live: {
    connected: ["live", "opened"],
    event: ["live"],
    "late event": ["live", "proven"],
    interrupted: ["resuming"],
    closed: ["waiting"],
    failed: ["waiting"],
    timeout: ["waiting"],
  },
  reopening: {
    connected: ["bursting", "opened"],
    interrupted: ["reopening", "unopened"],
    closed: ["waiting", "poll"],
    timeout: ["opening"],
  },
  resuming: {
    connected: ["live", "opened"],
    interrupted: ["resuming", "unopened"],
    closed: ["waiting", "poll"],
    timeout: ["opening"],
  },
  waiting: {
    timeout: ["opening"],
  },
};

/**
 * In every state: the feed opens or ends the stream as it needs.
 *
 * @type {Partial<Record<StreamEvent, [StreamState, Effect?]>>}
 */
const ALWAYS = {
  open: ["opening"],
  restart: ["opening", "first attempt"],
  stop: ["idle", "stop"],
};

/**
 * How long a state lasts without an event, in milliseconds; `waiting` lasts as long as the backoff says.
 *
 * @type {Partial<Record<StreamState, number>>}
 */
export const TIMEOUTS = {
  // `connected` comes at once, so 10 s without it is a proxy that holds the answer back.
  opening: 10_000,
  // The server says something at least every 15 s; two silent rounds and a little mean the line is dead.
  bursting: 35_000,
  live: 35_000,
  // The browser may obey a `retry:` of up to 30 s before it opens again by itself; then the feed does.
  reopening: 45_000,
  resuming: 45_000,
};

/**
 * The line after an event at `now`; the same object when the event changes nothing in this state.
 *
 * @param {Readonly<Line>} line
 * @param {StreamEvent} event
 * @param {number} now  epoch milliseconds
 * @returns {Readonly<Line>}
 */
export function advance(line, event, now) {
  const what = event === "event" && now - line.openedAt > BURST_MS ? "late event" : event;
  const [state, effect] = TRANSITIONS[line.state][what] ?? ALWAYS[what] ?? [];
  if (!state) return line;
  const next = { ...line, state };
  if (!isOpen(next)) {
    if (isOpen(line) && now - line.openedAt > STABLE_MS) next.attempt = 0;
    next.openedAt = 0;
  }
  if (state === "waiting") next.attempt += 1;
  count(next, effect, now);
  if (isOpen(next) && next.mute < MUTE_LINES) next.polling = false;
  return next;
}

/**
 * @param {Line} line
 * @param {Effect | undefined} effect
 * @param {number} now
 */
function count(line, effect, now) {
  if (effect === "opened") Object.assign(line, { openedAt: now, unopened: 0 });
  if (effect === "proven") line.mute = 0;
  if (effect === "unopened") line.unopened += 1;
  if (effect === "mute") line.mute += 1;
  if (effect === "first attempt") line.attempt = 0;
  if (effect === "stop") line.polling = false;
  const unheard = effect === "unopened" && line.unopened >= MUTE_LINES;
  const muted = effect === "mute" && line.mute >= MUTE_LINES;
  if (effect === "poll" || unheard || muted) line.polling = true;
}

/**
 * Did `connected` come, and nothing since that ended the line?
 *
 * @param {Readonly<Line>} line
 */
export const isOpen = ({ state }) => state === "bursting" || state === "live";

/**
 * What the line says about the feed as a whole; null where that stays as it is: while polling, whose answers say more, and
 * until `connected` comes.
 *
 * @param {Readonly<Line>} line
 * @returns {"live" | "reconnecting" | null}
 */
export function shownState(line) {
  if (isOpen(line)) return line.mute < MUTE_LINES ? "live" : null;
  const broken = line.state === "waiting" || line.state === "reopening" || line.state === "resuming";
  return broken && !line.polling ? "reconnecting" : null;
}
