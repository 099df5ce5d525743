/**
 * The pill with the folded calls, and the list that it opens: a compact card for each, with the same actions.
 *
 * @import { Call } from "../model/call.js"
 * @import { CallCard } from "./call-card.js"
 */
import { el } from "../lib/dom.js";
import { FoldedCalls } from "./folded-calls.js";

export class FoldedList {
  calls = new FoldedCalls();
  pill = el("button", { className: "small folded", part: "recent", type: "button", hidden: true, "aria-expanded": "false" });
  element = el("div", { className: "list", role: "group", "aria-label": "Calls of the last minutes", hidden: true });
  /** @type {CallCard[]} */
  #cards = [];
  #makeCard;

  /** @param {(call: Call) => CallCard} makeCard */
  constructor(makeCard) {
    this.#makeCard = makeCard;
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => void} onToggle
   */
  follow(signal, onToggle) {
    this.pill.addEventListener("click", () => {
      this.isOpen = !this.isOpen;
      onToggle();
    }, { signal });
  }

  get isOpen() {
    return !this.element.hidden;
  }

  set isOpen(isOpen) {
    this.element.hidden = !isOpen;
    this.pill.setAttribute("aria-expanded", String(isOpen));
    this.render();
  }

  /** The newest card of the open list. */
  get first() {
    return this.#cards[0];
  }

  /** @param {string} id */
  cardOf(id) {
    return this.#cards.find(({ call }) => call.id === id);
  }

  /** @param {EventTarget | null} target */
  cardAround(target) {
    return this.#cards.find(({ element }) => target instanceof Node && element.contains(target));
  }

  /** Brings the pill and the list up to date with the calls. */
  render() {
    const { label, ringing, calls } = this.calls;
    this.pill.hidden = !label;
    this.pill.textContent = label;
    this.pill.dataset.tone = ringing ? "ringing" : "neutral";
    if (!label && this.isOpen) return (this.isOpen = false);
    const before = this.#cards;
    this.#cards = this.isOpen ? calls.map((call) => before.find((card) => card.call.id === call.id) ?? this.#makeCard(call)) : [];
    for (const card of before) if (!this.#cards.includes(card)) card.element.remove();
    for (const [at, card] of this.#cards.entries()) {
      if (card.call !== calls[at]) card.update(calls[at]);
      if (this.element.children[at] !== card.element) this.element.insertBefore(card.element, this.element.children[at] ?? null);
    }
  }

  /**
   * Advances the timers, and drops calls that have been over for long, unless they are being looked at.
   *
   * @param {number} now  the service's clock
   */
  tick(now) {
    if (!this.isOpen) this.calls.expire(now);
    this.render();
    for (const card of this.#cards) card.tick(now);
  }

  refresh() {
    for (const card of this.#cards) card.update(card.call);
  }
}
