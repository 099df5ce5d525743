/**
 * The cards on screen: their order, which of them are compact or behind "+2 more", and where the focus goes when one leaves.
 *
 * @import { CallCard } from "./call-card.js"
 */
import { el } from "../lib/dom.js";

/** More cards than this are a wall; the rest wait behind "+2 more". */
const MOST = 4;
/** So many cards are shown whole, the others compact; on a low screen the newest only. */
const WHOLE = 2;
const LOW_SCREEN = "(max-height: 720px)";

export class CardStack {
  /** @type {CallCard[]} */
  cards = [];
  element = el("div", { className: "cards" });
  more = el("button", { className: "small more", part: "more", type: "button", hidden: true, "aria-expanded": "false" });
  #crowded = false;
  #expanded = false;
  #lowScreen = globalThis.matchMedia?.(LOW_SCREEN);

  /** @param {AbortSignal} signal */
  follow(signal) {
    this.more.addEventListener("click", () => this.#expand(), { signal });
    this.#lowScreen?.addEventListener("change", () => this.arrange(), { signal });
    document.addEventListener("visibilitychange", () => this.cards.forEach((card) => card.pauseOrRun()), { signal });
  }

  /** Something else needs the room: only the newest card is shown whole. */
  set crowded(/** @type {boolean} */ crowded) {
    if (crowded === this.#crowded) return;
    this.#crowded = crowded;
    this.arrange();
  }

  /** @param {string} id */
  has(id) {
    return this.cards.some(({ call }) => call.id === id);
  }

  /**
   * Newest on top, but never above a card in use: it would slide from under the pointer.
   *
   * @param {CallCard} card
   * @param {boolean} atBottom  the stack grows from the bottom of the window
   */
  insert(card, atBottom) {
    const time = Date.parse(card.call.timestamp);
    const older = this.cards.findIndex((other) => Date.parse(other.call.timestamp) <= time);
    const byAge = older < 0 ? this.cards.length : older;
    const at = atBottom ? byAge : Math.max(byAge, this.cards.findLastIndex((other) => other.inUse) + 1);
    this.element.insertBefore(card.element, this.cards[at]?.element ?? null);
    this.cards.splice(at, 0, card);
  }

  /**
   * Takes a card out. If it had the focus, the next card gets it, then the one before; false when there is none left.
   *
   * @param {CallCard} card
   * @param {boolean} hadFocus
   */
  remove(card, hadFocus) {
    const at = this.cards.indexOf(card);
    if (at < 0) return true;
    this.cards.splice(at, 1);
    card.leave();
    this.arrange();
    if (!hadFocus) return true;
    const next = [this.cards[at], this.cards[at - 1], ...this.cards].find((other) => other && !other.element.hidden);
    next?.element.focus();
    return Boolean(next);
  }

  /** Shows the first four, those in use before all others, and says how many wait. */
  arrange() {
    this.#expanded &&= this.cards.length > MOST;
    const byUse = [...this.cards].sort((a, b) => Number(b.inUse) - Number(a.inUse));
    const first = byUse.slice(0, this.#expanded ? Infinity : MOST);
    const low = this.cards.length > WHOLE && this.#lowScreen?.matches;
    const whole = this.#crowded || low ? 1 : WHOLE;
    let shown = 0;
    for (const card of this.cards) {
      card.shown = first.includes(card);
      card.compact = first.includes(card) && ++shown > whole;
    }
    const waiting = this.cards.length - first.length;
    this.more.hidden = waiting === 0;
    this.more.textContent = `+${waiting} more`;
  }

  /** The one that arrived last, of those that are shown. */
  get newest() {
    return this.cards.filter((card) => !card.element.hidden).sort((a, b) => b.since - a.since)[0];
  }

  #expand() {
    this.#expanded = true;
    this.arrange();
    this.cards[MOST]?.element.focus();
  }
}
