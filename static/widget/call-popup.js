/**
 * `<call-popup>`: who is calling, in a corner of any page. Two lines are all it takes:
 *
 *     <script type="module" src="https://calls.example.com/call-popup.js"></script>
 *     <call-popup></call-popup>
 *
 * Attributes, each also a property in camelCase:
 *
 * | attribute      | default                 | |
 * |----------------|-------------------------|---|
 * | `src`          | where this file is from | base URL of the service |
 * | `position`     | `top-right`             | or `top-left`, `bottom-right`, `bottom-left` |
 * | `offset`       | `16`                    | pixels between the cards and that edge, for a fixed header |
 * | `auto-dismiss` | `30`                    | seconds until a card hides by itself on this page; `0` = never |
 * | `customer-url` | the service's setting   | where "View customer" goes; `{id}` is the customer's id |
 * | `shortcut`     | `Alt+Shift+C`           | goes to the newest card; empty = none |
 * | `extension`    | none                    | the viewer's own extension ids, by spaces: their cards stay while they talk |
 * | `theme`        | the page's color-scheme | `light`, `dark`, or `system` |
 *
 * Property `token`: what proves to the service who the viewer is on a page of another site, where the service's cookie does
 * not reach: a JWT of the host application, or a function that returns one or a promise of one. A function is called again
 * when its token is refused. Set it again when another person signs in.
 *
 * Property `feed`: where the calls come from. By default a `CallFeed` on `src`; set another object with `calls`, `now()`,
 * `dismiss(id)` and a `change` event to bring your own (demo.html does).
 *
 * Events, bubbling and composed: `call-popup:view` `{call, customer}`, cancelable, before the link is followed, for
 * hosts with a router of their own; `call-popup:dismiss` `{call}`. Looks: see style.js.
 *
 * Importing this module where there is no DOM, such as in server-side rendering, defines no element.
 *
 * @import { Call } from "../model/call.js"
 * @import { Token } from "../feed/credential.js"
 */
import { CallFeed } from "../feed/call-feed.js";
import { el } from "../lib/dom.js";
import { cardOf } from "../model/card-view.js";
import { PopupAttributes } from "./attributes.js";
import { CallCard } from "./call-card.js";
import { styleSheet } from "./style.js";

/** More cards than this are a wall; the rest wait behind "+2 more". */
const MOST = 4;
/** An announcement stays long enough for a screen reader that is in the middle of a sentence. */
const ANNOUNCED_MS = 15_000;
/** How many hidden calls this tab remembers across page loads. */
const REMEMBERED = 50;
const STORE = "call-popup hidden";
/** The guide's; the service has a setting of its own. */
const CUSTOMER_URL = "/customers/{id}";

/**
 * @typedef {EventTarget & { calls: Call[], now(): number, dismiss(id: string): unknown }} Feed
 */

export class CallPopup extends PopupAttributes {
  /** @type {Feed | null} */
  #feed = null;
  /** @type {CallFeed | null} */
  #ownFeed = null;
  /** @type {Token} */
  #token = null;
  /** @type {AbortController | null} */
  #connection = null;
  /** @type {{ customer_url?: string, poll_interval_ms?: number } | null} */
  #config = null;
  /** @type {CallCard[]} */
  #cards = [];
  /** @type {Set<string>} */
  #hidden = new Set();
  /** @type {Set<string>} */
  #lapsed = new Set();
  #expanded = false;
  /** @type {HTMLElement | null} */
  #cameFrom = null;
  #more = el("button", { className: "more", part: "more", type: "button", hidden: true });
  #stack = el("section", { className: "stack empty", part: "stack", "aria-label": "Calls" }, this.#more);
  #announcer = el("div", { className: "announcer", "aria-live": "polite" });
  #root = this.attachShadow({ mode: "open" });

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [styleSheet()];
    this.#root.append(this.#stack, this.#announcer);
  }

  connectedCallback() {
    this.adoptEarlyProperties("feed", "token");
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    document.addEventListener("keydown", (event) => this.#onShortcut(event), { signal });
    this.#root.addEventListener("keydown", (event) => this.#onEscape(/** @type {KeyboardEvent} */ (event)), { signal });
    this.#more.addEventListener("click", () => this.#expand(), { signal });
    const clock = setInterval(() => this.#tick(), 1000);
    signal.addEventListener("abort", () => clearInterval(clock));
    if (!this.#feed) for (const id of rememberedIds()) this.#hidden.add(id);
    this.#start(signal);
  }

  disconnectedCallback() {
    this.#connection?.abort();
    this.#connection = null;
    this.#ownFeed?.close();
    this.#ownFeed = null;
    for (const card of this.#cards.splice(0)) card.leave();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(name, before, after) {
    if (name === "offset") this.#stack.style.setProperty("--_offset", `${this.offsetPixels}px`);
    if (before === after || !this.#connection) return;
    if (name === "src") this.#start(this.#connection.signal);
    if (name === "customer-url" || name === "extension") this.#refresh();
  }

  get token() {
    return this.#token;
  }

  set token(token) {
    if (token === this.#token) return;
    this.#token = token;
    if (this.#ownFeed) this.#ownFeed.token = token;
  }

  /** @type {Feed | null} */
  get feed() {
    return this.#feed ?? this.#ownFeed;
  }

  set feed(feed) {
    this.#feed = feed;
    if (this.#connection) this.#start(this.#connection.signal);
  }

  // --- From the feed to the cards --------------------------------------------------------------------------------

  /** @param {AbortSignal} signal */
  #start(signal) {
    this.#ownFeed?.close();
    this.#ownFeed = this.#feed ? null : new CallFeed(this.src);
    const feed = this.#feed ?? this.#ownFeed;
    if (!feed) return;
    feed.addEventListener("change", () => feed === this.feed && this.#show(feed.calls), { signal });
    if (this.#ownFeed) this.#open(this.#ownFeed, signal);
    this.#show(feed.calls);
  }

  /**
   * @param {CallFeed} feed
   * @param {AbortSignal} signal
   */
  #open(feed, signal) {
    this.#config = null;
    feed.token = this.#token;
    // What one person hid may be another's to see.
    feed.addEventListener("viewerchange", () => this.#unhideAll(), { signal });
    feed.open();
    this.#configure(feed, signal);
    // A viewer who had to sign in first could not read the settings before.
    feed.addEventListener("resync", () => this.#config || this.#configure(feed, signal), { signal });
  }

  /**
   * @param {CallFeed} feed
   * @param {AbortSignal} signal
   */
  async #configure(feed, signal) {
    try {
      const config = await feed.service.get("api/ringcentral/config", { signal });
      if (feed !== this.feed) return;
      this.#config = config;
      if (config.poll_interval_ms) feed.pollMs = config.poll_interval_ms;
      this.#refresh();
    } catch {
      // Without an answer the guide's defaults hold; the feed says what is wrong with the connection.
    }
  }

  /** @param {Call[]} calls */
  #show(calls) {
    for (const card of [...this.#cards]) {
      const call = calls.find((other) => other.id === card.call.id);
      if (!call || call.dismissed || call.status === "setup") this.#remove(card);
      else if (call !== card.call) card.update(call);
    }
    // Hidden by the timer, not by the person: when it rings again, it is shown again.
    for (const call of calls) if (call.status !== "ringing" && this.#lapsed.delete(call.id)) this.#unhide(call.id);
    // Oldest first, so that the newest ends on top.
    const arrived = calls.filter((call) => this.#arrives(call)).reverse();
    for (const call of arrived) this.#add(call);
    if (arrived.length) this.#arrange();
    this.#tick();
  }

  /** @param {Call} call */
  #arrives(call) {
    const known = this.#hidden.has(call.id) || this.#cards.some((card) => card.call.id === call.id);
    return call.status === "ringing" && !call.dismissed && !known;
  }

  /** @param {Call} call */
  #add(call) {
    const card = new CallCard(call, {
      lifeMs: this.autoDismiss * 1000,
      extensions: () => this.extension.split(/[\s,]+/).filter(Boolean),
      urlTemplate: () => this.customerUrl || this.#config?.customer_url || CUSTOMER_URL,
      onView: (event) => this.#view(event, card),
      onDismiss: () => this.#dismiss(card),
      onGone: (lapsed) => {
        if (lapsed) this.#lapse(card.call.id);
        this.#remove(card);
      },
    });
    const at = this.#placeFor(call);
    this.#stack.insertBefore(card.element, this.#cards[at]?.element ?? this.#more);
    this.#cards.splice(at, 0, card);
    this.#announce(cardOf(call).announcement);
  }

  /**
   * Newest on top, but never above a card in use: it would slide from under the pointer.
   *
   * @param {Call} call
   */
  #placeFor(call) {
    const older = this.#cards.findIndex((card) => Date.parse(card.call.timestamp) <= Date.parse(call.timestamp));
    const byAge = older < 0 ? this.#cards.length : older;
    if (this.position.startsWith("bottom")) return byAge;
    return Math.max(byAge, this.#cards.findLastIndex((card) => card.inUse) + 1);
  }

  /** @param {CallCard} card */
  #remove(card) {
    const at = this.#cards.indexOf(card);
    if (at < 0) return;
    const hadFocus = card.element.contains(this.#root.activeElement);
    this.#cards.splice(at, 1);
    card.leave();
    this.#arrange();
    if (hadFocus) this.#focusAfter(at);
  }

  /** Shows the first four, those in use before all others, and says how many wait. */
  #arrange() {
    this.#expanded &&= this.#cards.length > MOST;
    const byUse = [...this.#cards].sort((a, b) => Number(b.inUse) - Number(a.inUse));
    const first = byUse.slice(0, this.#expanded ? Infinity : MOST);
    for (const card of this.#cards) card.shown = first.includes(card);
    const waiting = this.#cards.length - first.length;
    this.#more.hidden = waiting === 0;
    this.#more.textContent = `+${waiting} more`;
    this.#stack.classList.toggle("empty", this.#cards.length === 0);
  }

  #expand() {
    this.#expanded = true;
    this.#arrange();
    this.#cards[MOST]?.element.focus();
  }

  #refresh() {
    for (const card of this.#cards) card.update(card.call);
  }

  #tick() {
    const now = this.feed?.now() ?? Date.now();
    for (const card of this.#cards) card.tick(now);
  }

  /** @param {string} words */
  #announce(words) {
    const line = el("p", {}, words);
    this.#announcer.append(line);
    setTimeout(() => line.remove(), ANNOUNCED_MS);
  }

  // --- What a person does ----------------------------------------------------------------------------------------

  /**
   * @param {MouseEvent} event
   * @param {CallCard} card
   */
  #view(event, card) {
    // With a modifier the browser opens another tab; that is the person's wish, not the host's navigation.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { call, customer } = card;
    const followed = this.dispatchEvent(popupEvent("call-popup:view", { call, customer }, true));
    if (!followed) event.preventDefault();
  }

  /** @param {CallCard} card */
  #dismiss(card) {
    this.#hide(card.call.id);
    this.dispatchEvent(popupEvent("call-popup:dismiss", { call: card.call }, false));
    this.#remove(card);
    this.feed?.dismiss(card.call.id);
  }

  /** @param {string} id */
  #hide(id) {
    this.#hidden.add(id);
    if (this.#ownFeed) rememberIds(this.#hidden);
  }

  /** @param {string} id */
  #unhide(id) {
    this.#hidden.delete(id);
    if (this.#ownFeed) rememberIds(this.#hidden);
  }

  #unhideAll() {
    this.#hidden.clear();
    this.#lapsed.clear();
    rememberIds(this.#hidden);
  }

  /** @param {string} id */
  #lapse(id) {
    this.#lapsed.add(id);
    this.#hide(id);
  }

  /** @param {KeyboardEvent} event */
  #onEscape(event) {
    const card = this.#cards.find((other) => other.element.contains(/** @type {Node} */ (event.target)));
    if (event.key !== "Escape" || !card) return;
    // The card had the key; a dialog of the host page under it must not close as well.
    event.preventDefault();
    event.stopPropagation();
    this.#dismiss(card);
  }

  /** @param {KeyboardEvent} event */
  #onShortcut(event) {
    if (!matches(this.shortcut, event) || this.#cards.length === 0) return;
    event.preventDefault();
    if (document.activeElement !== this) this.#cameFrom = /** @type {HTMLElement | null} */ (document.activeElement);
    const newest = this.#cards.filter((card) => !card.element.hidden).sort((a, b) => b.since - a.since)[0];
    newest.element.focus();
  }

  /**
   * The focus was in the card that went: the next one gets it, then the one before, then where the person came from.
   *
   * @param {number} at
   */
  #focusAfter(at) {
    const next = [this.#cards[at], this.#cards[at - 1], ...this.#cards].find((card) => card && !card.element.hidden);
    if (next) return next.element.focus();
    if (this.#cameFrom?.isConnected) this.#cameFrom.focus();
    this.#cameFrom = null;
  }
}

/**
 * @param {string} type
 * @param {object} detail
 * @param {boolean} cancelable
 */
const popupEvent = (type, detail, cancelable) => new CustomEvent(type, { detail, bubbles: true, composed: true, cancelable });

/**
 * Compares with the key's place as well: Alt+Shift turns a C into another letter on many keyboards.
 *
 * @param {string} shortcut
 * @param {KeyboardEvent} event
 */
function matches(shortcut, event) {
  const keys = shortcut.toLowerCase().split("+").map((key) => key.trim());
  const key = keys.pop();
  const wanted = (/** @type {string[]} */ ...names) => names.some((name) => keys.includes(name));
  return Boolean(key)
    && (event.key?.toLowerCase() === key || event.code?.toLowerCase() === `key${key}`)
    && event.altKey === wanted("alt", "option")
    && event.shiftKey === wanted("shift")
    && event.ctrlKey === wanted("ctrl", "control")
    && event.metaKey === wanted("meta", "cmd", "command");
}

/**
 * Calls hidden in this tab, so that the next page of a site does not bring them back.
 *
 * @returns {string[]}
 */
function rememberedIds() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE) ?? "[]") ?? [];
  } catch {
    return [];
  }
}

/** @param {Set<string>} ids */
function rememberIds(ids) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify([...ids].slice(-REMEMBERED)));
  } catch {
    // Storage can be forbidden; then they are remembered as long as the page lives.
  }
}

if (globalThis.customElements && !customElements.get("call-popup")) customElements.define("call-popup", CallPopup);
