/**
 * What a card of the popup shows for a call. Pure.
 *
 * @import { Call, Customer, Tone } from "./call.js"
 */
import { dialled, lineOf, otherParty, stateOf } from "./call.js";

/** How long a card stays to say what became of its call, in milliseconds. */
const ANSWERED_STAYS = 3_000;
const MISSED_STAYS = 5_000;

/** @typedef {ReturnType<typeof cardOf>} CardView */

/**
 * What a card shows for a call.
 *
 * `state` and `line` make the pill. `stays` is how long the card is still shown in milliseconds (0 = it goes now), or
 * null while the auto-dismiss timer decides; `mine` says the viewer is talking on it.
 *
 * @param {Call} call
 * @param {string[]} extensions  the viewer's own extension ids: a call they answered themselves stays on their screen
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

/**
 * @param {Call} call
 * @param {string[]} extensions
 * @returns {{ state: string, tone: Tone, stays: number | null, mine: boolean, line?: null }}
 */
function cardState(call, extensions) {
  const [label, tone] = stateOf(call);
  if (call.status === "ringing") {
    return { state: call.direction === "Outbound" ? "Outgoing call" : "Incoming call", tone, stays: null, mine: false };
  }
  if (call.status === "ended") {
    /** @type {Record<string, string>} */
    const unanswered = { missed: "Missed call", abandoned: "Missed call", voicemail: "Left a voicemail" };
    const state = unanswered[call.result ?? ""];
    return { state: state ?? "Call ended", tone, stays: state ? MISSED_STAYS : 0, mine: false };
  }
  const by = call.answered_by;
  const mine = Boolean(by && extensions.includes(String(by.extension_id)));
  if (!by || mine) return { state: label, tone, stays: null, mine };
  // Another agent answered: the viewer needs to know who, and then needs the room.
  const state = by.name ? `Answered by ${by.name}` : "Answered";
  return { state, line: null, tone: "connected", stays: ANSWERED_STAYS, mine };
}

/**
 * @param {string | null} number
 * @param {Call} call
 */
function withMatch(number, call) {
  /** @type {Record<string, string>} */
  const notes = { possible: "possible match", shared: `shared by ${call.customers?.length || "several"} customers` };
  return [number, notes[call.match ?? ""]].filter(Boolean).join(" · ") || null;
}

/**
 * Up to two letters for an avatar; "?" when the name has none.
 *
 * @param {string} name
 */
export function initials(name) {
  const letters = name.split(/\s+/).map((word) => word.match(/[\p{L}\p{N}]/u)?.[0]).filter(Boolean);
  const ends = letters.length > 1 ? [letters[0], letters.at(-1)] : letters;
  return ends.join("").toLocaleUpperCase() || "?";
}

/**
 * Where "View customer" goes: the template with `{id}` filled in, as an absolute URL; null when there is no customer
 * or when the result is anything but http or https, so that no setting can turn the button into a script.
 *
 * @param {string | null | undefined} template
 * @param {Customer | null} customer
 * @param {string} base
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
