/**
 * The words and rules of a call: labels, numbers, durations, what a card shows, and how events change the list of calls.
 *
 * Everything here is a pure function of its arguments; no DOM, no I/O, no clock. A *call* is the server's Call object,
 * to which `reduce` adds one field: `dismissed`, true once this viewer closed it here or on another device.
 */

/** Calls off the screen that are kept, so that a late event cannot bring one back. Those on it are never dropped for space. */
const REMEMBERED = 50;

/** How long a card stays to say what became of its call, in milliseconds. */
const ANSWERED_STAYS = 3_000;
const MISSED_STAYS = 5_000;

const STATUS = {
  setup: ["Starting", "neutral"],
  ringing: ["Ringing", "ringing"],
  connected: ["Connected", "connected"],
  on_hold: ["On hold", "hold"],
  parked: ["Parked", "hold"],
  voicemail: ["Voicemail", "hold"],
};

const RESULT = {
  answered: ["Answered", "neutral"],
  missed: ["Missed", "missed"],
  abandoned: ["Abandoned", "missed"],
  voicemail: ["Voicemail", "hold"],
  rejected: ["Rejected", "neutral"],
};

/**
 * The list of calls, newest first, after one event of the stream.
 *
 * An event about a call whose `rev` is not higher than the known one is dropped, whatever order the network chose.
 * Returns the same array when nothing changed. Beside the stream's events it knows `snapshot`, `{calls}`: the whole
 * answer of active-calls, for viewers that poll; and `dismissed`, `{call}`: what this viewer does here.
 */
export function reduce(calls, event) {
  switch (event.type) {
    case "connected":
      return event.resumed ? calls : anew(calls, event.active);
    case "resync":
      return anew(calls, event.active);
    case "snapshot":
      return event.calls.reduce((list, call) => put(list, call, false), keep(calls, event.calls.map((call) => call.id)));
    case "call":
    case "call_updated":
      return put(calls, event.call, false);
    case "call_ended":
      // It left the screen. Over, or back in a queue where no phone rings, it says so; anything else this viewer dismissed.
      return put(calls, event.call, isOnScreen(event.call));
    case "dismissed":
      return put(calls, event.call, true);
    default:
      return calls;
  }
}

function put(calls, call, dismissed) {
  const known = calls.find((other) => other.id === call.id);
  const stale = known && call.rev <= known.rev;
  if (stale && (!dismissed || known.dismissed)) return calls;
  const newer = { ...(stale ? known : call), dismissed: dismissed || Boolean(known?.dismissed) };
  const list = [newer, ...calls.filter((other) => other !== known)];
  list.sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp));
  let away = 0;
  return list.filter((other) => isShown(other) || ++away <= REMEMBERED);
}

/** Whoever begins anew believes what is told next, also where it is older: another instance may have known more. */
function anew(calls, ids = []) {
  return keep(calls, ids).map((call) => (ids.includes(call.id) ? { ...call, rev: 0 } : call));
}

function keep(calls, ids = []) {
  const kept = calls.filter((call) => !isShown(call) || ids.includes(call.id));
  return kept.length === calls.length ? calls : kept;
}

/** Whether a call of this status stands on screens. `setup` is one that nobody's phone rings for yet, or any more. */
const isOnScreen = (call) => call.status !== "setup" && call.status !== "ended";

/** Does this viewer see it: on screen, and not dismissed? */
export const isShown = (call) => isOnScreen(call) && !call.dismissed;

/**
 * The rows of an "active now" table: `{rows, silent}`, newest first.
 *
 * `followed` are the calls of the feed, `read` the last answer of active-calls. The stream says nothing more about calls
 * this viewer dismissed, so those come from `read` until it is read again; `silent` says that there are such rows.
 */
export function activeRows(followed, read) {
  const live = followed.filter(isShown);
  const told = (call) => followed.some((other) => other.id === call.id && supersedes(other, call));
  const other = read.filter((call) => isOnScreen(call) && !told(call));
  const rows = [...live, ...other].sort((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp));
  return { rows, silent: other.length > 0 };
}

/** Does the stream's last word on a call count, and not the reading? One that waits in a queue may ring again since. */
function supersedes(followed, read) {
  if (followed.status === "setup") return followed.rev >= read.rev;
  return followed.status === "ended" || !followed.dismissed;
}

/** `[label, tone]` of a call for a table; the tone names a colour: ringing, connected, hold, missed or neutral. */
export function stateOf(call) {
  return (call.status === "ended" ? RESULT[call.result] : STATUS[call.status]) ?? ["Ended", "neutral"];
}

/**
 * The person at the other end: `{name, number, customer, withheld}`.
 *
 * `name` is the customer's, or null; `number` is formatted, or null when it was withheld; `customer` is
 * `{id, name, email}` or null. What the network calls the caller is not a name we vouch for: see `callerId`.
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

/** The name a person would say for the other party. */
export function callerName(call) {
  const { name, number, callerId } = otherParty(call);
  return name ?? (number ? (callerId ?? "New caller") : "Withheld number");
}

/** The line or queue that was dialled, or null. */
export function lineOf(call) {
  if (call.queue) return call.queue;
  return call.direction === "Outbound" ? null : call.to_name || dialled(call);
}

/** The number that was dialled, for people, or null. */
export const dialled = (call) => call.to_display || formatNumber(call.to_number);

/** Who took the call: a name, "Answered" without one, or null while nobody did. */
export function agentOf(call) {
  return call.answered_by ? (call.answered_by.name ?? `Extension ${call.answered_by.extension_id}`) : null;
}

/**
 * What a card shows for a call.
 *
 * `extensions` are the viewer's own extension ids: a call they answered themselves stays on their screen.
 * `state` and `line` make the pill. `stays` is how long the card has still to live in milliseconds (0 = it goes now), or
 * null while the auto-dismiss timer decides; `mine` says the viewer is talking on it.
 */
export function cardOf(call, extensions = []) {
  const { name, number, customer, withheld, callerId } = otherParty(call);
  const line = lineOf(call);
  const title = name ?? number ?? "Withheld number";
  const subtitle = customer ? withMatch(number, call) : withheld ? null : "New caller - not in database";
  const to = dialled(call);
  const detail = customer?.email ?? (callerId && !customer && !withheld ? `${callerId} (caller ID)` : null);
  return {
    line,
    ...cardState(call, extensions),
    title,
    titleIsNumber: !name && !withheld,
    subtitle,
    subtitleIsNumber: Boolean(customer),
    detail: detail ?? (to && to !== line ? `To ${to}` : null),
    initials: name ? initials(name) : "?",
    customer,
    since: call.answered_at ?? call.timestamp,
    announcement: `Incoming call from ${title}${line ? `, ${line}` : ""}`,
  };
}

function cardState(call, extensions) {
  const [label, tone] = stateOf(call);
  if (call.status === "ringing") {
    return { state: call.direction === "Outbound" ? "Outgoing call" : "Incoming call", tone, stays: null, mine: false };
  }
  if (call.status === "ended") {
    const missed = ["missed", "abandoned", "voicemail"].includes(call.result);
    const words = { missed: "Missed call", abandoned: "Missed call", voicemail: "Left a voicemail" };
    return { state: words[call.result] ?? "Call ended", tone, stays: missed ? MISSED_STAYS : 0, mine: false };
  }
  const by = call.answered_by;
  const mine = Boolean(by) && extensions.includes(String(by.extension_id));
  if (!by || mine) return { state: label, tone, stays: null, mine };
  // Somebody else has it: the reader needs to know who, and then needs the room.
  const state = by.name ? `Answered by ${by.name}` : "Answered";
  return { state, line: null, tone: "connected", stays: ANSWERED_STAYS, mine };
}

function withMatch(number, call) {
  const note = { possible: "possible match", shared: `shared by ${call.customers?.length || "several"} customers` }[call.match];
  return [number, note].filter(Boolean).join(" · ") || null;
}

/** Up to two letters for an avatar; "?" when the name has none. */
export function initials(name) {
  const words = name.split(/\s+/).map((word) => word.match(/[\p{L}\p{N}]/u)?.[0]).filter(Boolean);
  const ends = words.length > 1 ? [words[0], words.at(-1)] : words;
  return ends.join("").toLocaleUpperCase() || "?";
}

/** `+14165551234` as `(416) 555-1234`; other numbers as they are; null for none. */
export function formatNumber(number) {
  if (!number) return null;
  const [, area, office, line] = number.match(/^\+1([2-9]\d\d)([2-9]\d\d)(\d{4})$/) ?? [];
  return area ? `(${area}) ${office}-${line}` : number;
}

/** Milliseconds as `m:ss` or `h:mm:ss`; never negative, for clocks that disagree a little. */
export function formatDuration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000)) || 0;
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A length of time in its largest fitting unit: `12 s`, `5 min`, `3 h`, `6 days`. */
export function formatSpan(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000)) || 0;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** A moment as people say it on the day of `now` (both epoch milliseconds or RFC 3339): `09:41`, `Yesterday 09:41`, `19 Oct 09:41`. */
export function formatWhen(moment, now) {
  const then = new Date(moment);
  if (Number.isNaN(then.getTime())) return "";
  const today = new Date(now);
  const time = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const days = Math.round((midnight(today) - midnight(then)) / 86_400_000);
  if (days === 0) return time;
  if (days === 1) return `Yesterday ${time}`;
  const year = then.getFullYear() === today.getFullYear() ? {} : { year: "numeric" };
  return `${then.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...year })} ${time}`;
}

/**
 * Where "View customer" goes: the template with `{id}` filled in, as an absolute URL; null when there is no customer
 * or when the result is anything but http or https, so that no setting can turn the button into a script.
 */
export function customerUrl(template, customer, base) {
  if (!template || !customer?.id) return null;
  try {
    const url = new URL(template.replaceAll("{id}", encodeURIComponent(customer.id)), base);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
