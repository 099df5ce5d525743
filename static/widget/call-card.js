/**
 * One card of the popup: the DOM of a call, and the countdown at whose end it goes.
 *
 * A card knows nothing of its siblings or the server. It shows what `cardOf` says and calls back. Its countdown waits while a
 * person uses the card and while the page is hidden, and runs also behind "+2 more".
 *
 * @import { Call, Customer } from "../model/call.js"
 * @import { CardView } from "../model/card-view.js"
 */
import { bdi, el, icon } from "../lib/dom.js";
import { formatDuration } from "../lib/format.js";
import { cardOf, customerUrl } from "../model/card-view.js";
import { Countdown } from "./countdown.js";

const CROSS = "M4 4l8 8M12 4l-8 8";
/** As long as the transition of `.leaving`. */
const LEAVING_MS = 160;

/**
 * @typedef {object} CardOptions
 * @property {number} lifeMs  how long it stays by itself; 0 until it is dismissed
 * @property {() => string[]} extensions  the viewer's own
 * @property {() => string} urlTemplate  of the customer's page
 * @property {(event: MouseEvent) => void} onView
 * @property {() => void} onDismiss
 * @property {() => void} onGone  its time is over
 * @property {boolean} [keeps]  it is in the list of folded calls: it stays, and says when an ended call came
 */

export class CallCard {
  /** @type {Call} */
  call;
  /** @type {Customer | null} */
  customer = null;
  /** When the call began or was answered, in epoch milliseconds. */
  since = 0;
  element = el("article", { className: "card arriving", part: "card", tabIndex: -1 });

  #options;
  #parts;
  /** @type {Countdown | null} */
  #countdown = null;
  /** @type {number | string | undefined} */
  #countdownKind;
  #hovered = false;
  #focused = false;
  #lifeMs = 0;

  /**
   * @param {Call} call
   * @param {CardOptions} options
   */
  constructor(call, options) {
    this.call = call;
    this.#options = options;
    this.element.classList.toggle("keeps", Boolean(options.keeps));
    this.#parts = build(this.element);
    this.#listen();
    this.update(call);
  }

  /** A person points at it or has the focus in it: it must not change its place or go. */
  get inUse() {
    return this.#hovered || this.#focused;
  }

  set shown(/** @type {boolean} */ shown) {
    this.element.hidden = !shown;
  }

  /** Two lines instead of four. A card in use keeps its size. */
  set compact(/** @type {boolean} */ compact) {
    if (!this.inUse) this.element.classList.toggle("compact", compact);
  }

  /**
   * Shows the newest state of the call. The countdown starts over only when its kind changes.
   *
   * @param {Call} call
   */
  update(call) {
    this.call = call;
    const view = cardOf(call, this.#options.extensions());
    const { element } = this;
    const { pill, avatar, name, number, detail, view: link, close } = this.#parts;
    element.dataset.tone = view.tone;
    element.dataset.call = call.id;
    element.classList.toggle("unknown", !view.customer);
    element.setAttribute("aria-label", `${view.state}: ${view.title}`);
    fillPill(pill, view.state, view.line);
    avatar.textContent = view.initials;
    fill(name, view.title, view.titleIsNumber);
    fill(number, view.subtitle, view.subtitleIsNumber);
    fill(detail, view.detail);
    close.setAttribute("aria-label", `Dismiss call from ${view.title}`);
    const url = customerUrl(this.#options.urlTemplate(), view.customer, document.baseURI);
    link.hidden = !url;
    if (url) link.href = url;
    else link.removeAttribute("href");
    this.customer = view.customer;
    this.since = Date.parse(view.since);
    this.#schedule(view);
  }

  /**
   * Advances the live timer, which stops once the call is over.
   *
   * @param {number} now  the server's clock
   */
  tick(now) {
    const { ended_at, timestamp } = this.call;
    const end = ended_at ? Date.parse(ended_at) : now;
    const came = this.#options.keeps && ended_at;
    this.#parts.timer.textContent = came ? timeOfDay(Date.parse(timestamp)) : formatDuration(end - this.since);
  }

  /** Lets the countdown run or wait, after the page was shown or hidden. */
  pauseOrRun() {
    const waits = this.inUse || document.visibilityState === "hidden";
    if (waits) this.#countdown?.pause();
    else this.#countdown?.start();
    this.element.classList.toggle("waits", waits);
  }

  /** The bar of a card that was moved starts again; this lets it show what is left. */
  syncBar() {
    if (!this.#countdown) return;
    const elapsed = this.#lifeMs - this.#countdown.leftMs;
    for (const animation of this.element.getAnimations({ subtree: true })) {
      if ("animationName" in animation && animation.animationName === "run-out") animation.currentTime = elapsed;
    }
  }

  /** Fades out while the others close up, and is removed; cannot be used meanwhile. */
  leave() {
    const { element } = this;
    this.#countdown?.pause();
    this.#countdown = null;
    element.inert = true;
    element.style.setProperty("--_height", `${element.offsetHeight}px`);
    element.classList.add("leaving");
    setTimeout(() => element.remove(), LEAVING_MS);
  }

  /** @param {CardView} view */
  #schedule({ stays, mine }) {
    const kind = stays ?? (mine ? "mine" : "auto");
    if (kind === this.#countdownKind) return;
    this.#countdownKind = kind;
    this.#countdown?.pause();
    const ms = stays ?? (mine ? 0 : this.#options.lifeMs);
    const never = this.#options.keeps || (stays === null && ms === 0);
    this.#lifeMs = ms;
    this.#countdown = never ? null : new Countdown(ms, () => this.#options.onGone());
    this.element.classList.toggle("still", never || stays !== null);
    this.element.style.setProperty("--_life", `${ms}ms`);
    this.pauseOrRun();
  }

  #listen() {
    const { element } = this;
    const { close, dismiss, view } = this.#parts;
    const on = (/** @type {string} */ type, /** @type {() => void} */ change) =>
      element.addEventListener(type, () => {
        change();
        this.pauseOrRun();
      });
    // The card's listeners live as long as its own element, so they need no signal.
    // Moved, not entered: a card that slides under a resting pointer is not in use.
    on("pointermove", () => (this.#hovered = true));
    on("pointerleave", () => (this.#hovered = false));
    on("focusin", () => (this.#focused = true));
    on("focusout", () => (this.#focused = false));
    for (const button of [close, dismiss]) {
      // A click with the mouse leaves the focus where the person types.
      button.addEventListener("mousedown", (event) => event.preventDefault());
      button.addEventListener("click", () => this.#options.onDismiss());
    }
    view.addEventListener("click", (event) => this.#options.onView(event));
    // Once: an element that is put back into the page must not arrive a second time.
    element.addEventListener("animationend", (event) => event.target === element && element.classList.remove("arriving"));
  }
}

/**
 * Fills the card's element, and returns the parts that change.
 *
 * @param {HTMLElement} card
 */
function build(card) {
  const parts = {
    pill: part("span", "pill"),
    close: part("button", "close", icon(CROSS)),
    avatar: part("span", "avatar"),
    name: part("p", "name"),
    number: part("p", "number"),
    detail: part("span", "detail"),
    timer: part("span", "timer"),
    view: part("a", "view", "View customer"),
    dismiss: part("button", "dismiss", "Dismiss"),
  };
  for (const button of [parts.close, parts.dismiss]) button.type = "button";
  for (const text of [parts.name, parts.number, parts.detail]) text.classList.add("cut");
  parts.avatar.setAttribute("aria-hidden", "true");
  card.append(
    part("div", "bar"),
    part("div", "top", parts.pill, parts.close),
    part("div", "caller", parts.avatar, part("div", "who", parts.name, parts.number)),
    part("div", "facts", parts.detail, parts.timer),
    part("div", "actions", parts.view, parts.dismiss),
  );
  return parts;
}

/** @param {number} at  epoch milliseconds */
const timeOfDay = (at) => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/**
 * An element that a host page can style by its `::part`.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name
 * @param {...(Node | string)} children
 */
const part = (tag, name, ...children) => el(tag, { className: name, part: name }, ...children);

/**
 * @param {HTMLElement} element
 * @param {string | null} text
 */
function fill(element, text, isNumber = false) {
  element.hidden = !text;
  element.title = text ?? "";
  element.replaceChildren(...(text ? [bdi(text, isNumber)] : []));
}

/**
 * @param {HTMLElement} pill
 * @param {string} state
 * @param {string | null} line
 */
function fillPill(pill, state, line) {
  pill.title = [state, line].filter(Boolean).join(" · ");
  pill.replaceChildren(el("span", { className: "cut" }, bdi(state), line && " · ", line && bdi(line)));
}
