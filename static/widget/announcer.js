/**
 * What screen readers hear of the calls: each arrives once and has one outcome, however many popups are on the page.
 *
 * @import { Call } from "../model/call.js"
 */
import { el } from "../lib/dom.js";
import { agentOf } from "../model/call.js";
import { cardOf } from "../model/card-view.js";

/** An announcement stays long enough for a screen reader that is in the middle of a sentence. */
const ANNOUNCED_MS = 15_000;
/** A live region that was moved a moment ago is not observed yet by some screen readers. */
const SETTLED_MS = 100;
/** How many announcements a page keeps, so that none is repeated. */
const REMEMBERED = 200;

/**
 * Of all popups of this page.
 *
 * @type {Set<string>}
 */
const announced = new Set();

/** @type {Record<string, (title: string) => string>} */
const OUTCOMES = {
  missed: (title) => `Missed call from ${title}`,
  abandoned: (title) => `Missed call from ${title}`,
  voicemail: (title) => `${title} left a voicemail`,
};

/**
 * What became of a call, or null while it rings or when the viewer knows it, having answered it.
 *
 * @param {Call} call
 * @param {string[]} extensions  the viewer's own
 */
export function outcomeOf(call, extensions) {
  const { title, mine } = cardOf(call, extensions);
  if (call.status === "ended") return (OUTCOMES[call.result ?? ""] ?? (() => `Call from ${title} ended`))(title);
  const agent = agentOf(call);
  if (mine || call.status === "ringing" || call.status === "setup") return null;
  return agent ? `Call from ${title} answered by ${agent}` : null;
}

export class Announcer {
  element = el("div", { className: "announcer", "aria-live": "polite" });

  /** @param {Call} call */
  arrived(call) {
    this.#once(`${call.id} rings`, cardOf(call).announcement);
  }

  /**
   * Says what became of a call, once: an end after an answer is no news.
   *
   * @param {Call} call
   * @param {string[]} extensions
   */
  outcome(call, extensions) {
    const words = outcomeOf(call, extensions);
    const own = cardOf(call, extensions).mine || extensions.includes(String(call.answered_by?.extension_id));
    if (words && !own) this.#once(`${call.id} is over`, words);
  }

  /** @param {string} words */
  say(words) {
    setTimeout(() => {
      const line = el("p", {}, words);
      this.element.append(line);
      setTimeout(() => line.remove(), ANNOUNCED_MS);
    }, SETTLED_MS);
  }

  /**
   * @param {string} key
   * @param {string} words
   */
  #once(key, words) {
    // A popup that is not rendered is not heard; another one on the page may be.
    if (announced.has(key) || this.element.checkVisibility?.() === false) return;
    announced.add(key);
    if (announced.size > REMEMBERED) announced.delete([...announced][0]);
    this.say(words);
  }
}
