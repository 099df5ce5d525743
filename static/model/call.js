/**
 * The rules of a call: how events change the list of calls, and the words for what a call is.
 *
 * Everything here is a pure function of its arguments; no DOM, no I/O, no clock.
 */
import { formatNumber } from "../lib/format.js";

/**
 * @typedef {object} Customer  A customer that matches the other party's number.
 * @property {string | null} [id]
 * @property {string | null} [name]
 * @property {string | null} [email]
 */

/**
 * @typedef {"setup" | "ringing" | "connected" | "on_hold" | "parked" | "voicemail" | "ended"} CallStatus
 * @typedef {"answered" | "missed" | "voicemail" | "rejected" | "abandoned"} CallResult
 * @typedef {"ringing" | "connected" | "hold" | "missed" | "neutral"} Tone  The name of a colour.
 */

/**
 * @typedef {object} Call  The server's Call object; its API description says what each field means.
 * @property {string} id
 * @property {string | null} [session_id]
 * @property {string | null} [from_number]
 * @property {string | null} [from_display]
 * @property {string | null} [from_name]
 * @property {string | null} [to_number]
 * @property {string | null} [to_display]
 * @property {string | null} [to_name]
 * @property {string | null} [queue]
 * @property {string | null} [direction]
 * @property {CallStatus} status
 * @property {CallResult | null} [result]
 * @property {string} timestamp
 * @property {string | null} [answered_at]
 * @property {string | null} [ended_at]
 * @property {{ extension_id: string, name?: string | null } | null} [answered_by]
 * @property {string | null} [customer_id]
 * @property {string | null} [customer_name]
 * @property {string | null} [customer_email]
 * @property {Customer[]} [customers]
 * @property {string | null} [match]
 * @property {number} rev
 * @property {boolean} [dismissed]  Added by `reduce`: this viewer closed the call, here or on another device.
 */

/**
 * @typedef {object} CallEvent  One event of the stream, or one of this page's own: `snapshot` with the whole answer of
 *   active-calls, for viewers that poll, and `dismissed`, what this viewer does here.
 * @property {string} type
 * @property {Call} [call]
 * @property {Call[]} [calls]
 * @property {boolean} [resumed]
 * @property {string[]} [active]
 */

/** Calls off the screen that are kept, so that a late event cannot bring one back. Those on it are never dropped for space. */
const REMEMBERED = 50;
/** The same of calls this viewer dismissed that may still go on: more, because dismissing is final. */
const REMEMBERED_DISMISSED = 200;

/** @type {Record<string, [string, Tone]>} */
const STATUS = {
  setup: ["Starting", "neutral"],
  ringing: ["Ringing", "ringing"],
  connected: ["Connected", "connected"],
  on_hold: ["On hold", "hold"],
  parked: ["Parked", "hold"],
  voicemail: ["Voicemail", "hold"],
};

/** @type {Record<string, [string, Tone]>} */
const RESULT = {
  answered: ["Answered", "neutral"],
  missed: ["Missed", "missed"],
  abandoned: ["Abandoned", "missed"],
  voicemail: ["Voicemail", "hold"],
  rejected: ["Rejected", "neutral"],
};

/**
 * The list of calls, newest first, after one event.
 *
 * An event about a call whose `rev` is not higher than the known one is dropped, whatever order the network chose.
 * Returns the same array when nothing changed.
 *
 * @param {Call[]} calls
 * @param {CallEvent} event
 * @returns {Call[]}
 */
export function reduce(calls, event) {
  const { call } = event;
  switch (event.type) {
    case "connected":
      return event.resumed ? calls : startOver(calls, event.active);
    case "resync":
      return startOver(calls, event.active);
    case "snapshot": {
      const listed = event.calls ?? [];
      return listed.reduce((list, one) => put(list, one, false), keep(calls, listed.map(({ id }) => id)));
    }
    case "call":
    case "call_updated":
      return call ? put(calls, call, false) : calls;
    case "call_ended":
      // It left the screen. A call that is over, or back in a queue where no phone rings, says so; any other was dismissed by this viewer.
      return call ? put(calls, call, isOnScreen(call)) : calls;
    case "dismissed":
      return call ? put(calls, call, true) : calls;
    default:
      return calls;
  }
}

/**
 * @param {Call[]} calls
 * @param {Call} call
 * @param {boolean} dismissed
 */
function put(calls, call, dismissed) {
  const known = calls.find((other) => other.id === call.id);
  const stale = known && call.rev <= known.rev;
  if (stale && (!dismissed || known.dismissed)) return calls;
  const newer = { ...(stale ? known : call), dismissed: dismissed || Boolean(known?.dismissed) };
  return forget(newestFirst([newer, ...calls.filter((other) => other !== known)]), newer);
}

/**
 * Drops those that left the screen longest ago. By when they did, not by when they began: the end of a long call comes late.
 *
 * @param {Call[]} calls
 * @param {Call} newest  the one that changed now
 */
function forget(calls, newest) {
  const gone = calls.filter((call) => !isShown(call));
  if (gone.length <= REMEMBERED) return calls;
  const leftAt = (/** @type {Call} */ call) => (call === newest ? Infinity : Date.parse(call.ended_at ?? call.answered_at ?? call.timestamp));
  gone.sort((a, b) => leftAt(b) - leftAt(a) || 0);
  const dismissed = gone.filter(isOnScreen).slice(REMEMBERED_DISMISSED);
  const others = gone.filter((call) => !isOnScreen(call)).slice(REMEMBERED);
  const dropped = new Set([...dismissed, ...others]);
  return calls.filter((call) => !dropped.has(call));
}

/**
 * A full set of events follows. It is accepted even where it is older: the instance before may have known more.
 *
 * @param {Call[]} calls
 * @param {string[]} [ids]
 */
function startOver(calls, ids = []) {
  return keep(calls, ids).map((call) => (ids.includes(call.id) ? { ...call, rev: 0 } : call));
}

/**
 * @param {Call[]} calls
 * @param {string[]} ids
 */
function keep(calls, ids) {
  const kept = calls.filter((call) => !isShown(call) || ids.includes(call.id));
  return kept.length === calls.length ? calls : kept;
}

/**
 * Sorts in place.
 *
 * @param {Call[]} calls
 */
export const newestFirst = (calls) => calls.sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp));

/**
 * Is a call of this status on screens? `setup` is one that rings no phone, not yet or not any more.
 *
 * @param {Call} call
 */
export const isOnScreen = (call) => call.status !== "setup" && call.status !== "ended";

/**
 * Does this viewer see it: on screen, and not dismissed?
 *
 * @param {Call} call
 */
export const isShown = (call) => isOnScreen(call) && !call.dismissed;

/**
 * `[label, tone]` of a call for a table.
 *
 * @param {Call} call
 * @returns {[string, Tone]}
 */
export function stateOf(call) {
  return (call.status === "ended" ? RESULT[call.result ?? ""] : STATUS[call.status]) ?? ["Ended", "neutral"];
}

/**
 * The person at the other end.
 *
 * `name` is the customer's, or null; `number` is formatted, or null when it was withheld. What the network calls the
 * caller is not a name we vouch for: see `callerId`.
 *
 * @param {Call} call
 */
export function otherParty(call) {
  const outbound = call.direction === "Outbound";
  const raw = outbound ? call.to_number : call.from_number;
  const number = (outbound ? call.to_display : call.from_display) || formatNumber(raw);
  const first = call.customers?.[0];
  const id = call.customer_id ?? first?.id ?? null;
  const email = call.customer_email ?? first?.email ?? null;
  const name = call.customer_name ?? first?.name ?? (id === null ? null : email);
  const customer = id === null && name === null ? null : { id, name, email };
  return { name, number, customer, withheld: !number, callerId: (outbound ? call.to_name : call.from_name) || null };
}

/**
 * The name a person would say for the other party.
 *
 * @param {Call} call
 */
export function callerName(call) {
  const { name, number, callerId } = otherParty(call);
  return name ?? (number ? (callerId ?? "New caller") : "Withheld number");
}

/**
 * The line or queue that was dialled, or null.
 *
 * @param {Call} call
 */
export function lineOf(call) {
  if (call.queue) return call.queue;
  return call.direction === "Outbound" ? null : call.to_name || dialled(call);
}

/**
 * The number that was dialled, for people, or null.
 *
 * @param {Call} call
 */
export const dialled = (call) => call.to_display || formatNumber(call.to_number);

/**
 * Who answered the call: a name, or the extension without one; null while the call is not answered.
 *
 * @param {Call} call
 */
export function agentOf(call) {
  return call.answered_by ? (call.answered_by.name ?? `Extension ${call.answered_by.extension_id}`) : null;
}
