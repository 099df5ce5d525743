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
 * not reach: a JWT of the host application, or a function that returns one or a promise of one. A function is asked again
 * when its token is refused. Set it anew when another person signs in.
 *
 * Property `feed`: where the calls come from. By default a `CallFeed` on `src`; set another object with `calls`, `now()`,
 * `dismiss(id)` and a `change` event to bring your own (demo.html does).
 *
 * Events, bubbling and composed: `call-popup:view` `{call, customer}`, cancelable, before the link is followed, for
 * hosts with a router of their own; `call-popup:dismiss` `{call}`. Looks: see style.js.
 */
import { cardOf } from "../model/call.js";
import { CallCard } from "./call-card.js";
import { CallFeed } from "../feed/call-feed.js";
import { sheet } from "./style.js";

/** More cards than this are a wall; the rest wait behind "+2 more". */
const MOST = 4;
/** An announcement stays long enough for a screen reader that is in the middle of a sentence. */
const ANNOUNCED_MS = 15_000;
/** How many dismissed calls this tab remembers across page loads. */
const REMEMBERED = 50;
const STORE = "call-popup hidden";
/** The guide's; the service says its own. */
const CUSTOMER_URL = "/customers/{id}";

const DEFAULTS = {
  src: new URL("..", import.meta.url).href,
  position: "top-right",
  offset: "16",
  "auto-dismiss": "30",
  "customer-url": "",
  shortcut: "Alt+Shift+C",
  extension: "",
  theme: "",
};

export class CallPopup extends HTMLElement {
  static observedAttributes = Object.keys(DEFAULTS);

  #feed = null;
  #ownFeed = null;
  #token = null;
  #connection = null;
  #config = null;
  #cards = [];
  #hidden = new Set();
  #lapsed = new Set();
  #expanded = false;
  #cameFrom = null;
  #stack = document.createElement("section");
  #more = document.createElement("button");
  #announcer = document.createElement("div");

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    this.#stack.className = "stack empty";
    this.#stack.setAttribute("part", "stack");
    this.#stack.setAttribute("aria-label", "Calls");
    this.#more.className = "more";
    this.#more.setAttribute("part", "more");
    this.#more.type = "button";
    this.#more.hidden = true;
    this.#announcer.className = "announcer";
    this.#announcer.setAttribute("aria-live", "polite");
    this.#stack.append(this.#more);
    root.append(this.#stack, this.#announcer);
  }

  connectedCallback() {
    this.#adoptEarlyProperties();
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    document.addEventListener("keydown", (event) => this.#onShortcut(event), { signal });
    this.shadowRoot.addEventListener("keydown", (event) => this.#onEscape(event), { signal });
    this.#more.addEventListener("click", () => this.#expand(), { signal });
    const clock = setInterval(() => this.#tick(), 1000);
    signal.addEventListener("abort", () => clearInterval(clock));
    if (!this.#feed) for (const id of remembered()) this.#hidden.add(id);
    this.#start();
  }

  disconnectedCallback() {
    this.#connection?.abort();
    this.#connection = null;
    this.#ownFeed?.close();
    this.#ownFeed = null;
    for (const card of this.#cards.splice(0)) card.leave();
  }

  attributeChangedCallback(name, before, after) {
    if (name === "offset") this.#stack.style.setProperty("--_offset", `${number(this.offset, 16)}px`);
    if (before === after || !this.#connection) return;
    if (name === "src") this.#start();
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

  get feed() {
    return this.#feed ?? this.#ownFeed;
  }

  set feed(feed) {
    this.#feed = feed;
    if (this.#connection) this.#start();
  }

  // --- From the feed to the cards --------------------------------------------------------------------------------

  #start() {
    this.#ownFeed?.close();
    this.#ownFeed = this.#feed ? null : new CallFeed(this.src);
    const { feed } = this;
    const { signal } = this.#connection;
    feed.addEventListener("change", () => feed === this.feed && this.#show(feed.calls), { signal });
    if (this.#ownFeed) this.#open(this.#ownFeed, signal);
    this.#show(feed.calls);
  }

  #open(feed, signal) {
    this.#config = null;
    feed.token = this.#token;
    // What one person put away may be another's to see.
    feed.addEventListener("anew", () => this.#bringBack(), { signal });
    feed.open();
    this.#configure(feed, signal);
    // Whoever had to sign in first is told the settings now.
    feed.addEventListener("fresh", () => this.#config || this.#configure(feed, signal), { signal });
  }

  async #configure(feed, signal) {
    try {
      const answer = await feed.fetch("api/ringcentral/config", { signal });
      if (!answer.ok || feed !== this.feed) return;
      this.#config = await answer.json();
      if (this.#config.poll_interval_ms) feed.pollMs = this.#config.poll_interval_ms;
      this.#refresh();
    } catch {
      // Without an answer the guide's defaults hold; the feed tells about the connection.
    }
  }

  #show(calls) {
    for (const card of [...this.#cards]) {
      const call = calls.find((other) => other.id === card.call.id);
      if (!call || call.dismissed || call.status === "setup") this.#remove(card);
      else if (call !== card.call) card.update(call);
    }
    // Put away by its timer, not by the person: when it rings anew, it is news again.
    for (const call of calls) if (call.status !== "ringing" && this.#lapsed.delete(call.id)) this.#unhide(call.id);
    // Oldest first, so that the newest ends on top.
    const arrived = calls.filter((call) => this.#arrives(call)).reverse();
    for (const call of arrived) this.#add(call);
    if (arrived.length) this.#arrange();
    this.#tick();
  }

  #arrives(call) {
    const known = this.#hidden.has(call.id) || this.#cards.some((card) => card.call.id === call.id);
    return call.status === "ringing" && !call.dismissed && !known;
  }

  #add(call) {
    const card = new CallCard(call, {
      lifeMs: this.autoDismiss * 1000,
      extensions: () => this.extension.split(/[\s,]+/).filter(Boolean),
      urlTemplate: () => this.customerUrl || this.#config?.customer_url || CUSTOMER_URL,
      onView: (event) => this.#view(event, card),
      onDismiss: () => this.#dismiss(card),
      onGone: (_, timedOut) => {
        if (timedOut) this.#lapse(card.call.id);
        this.#remove(card);
      },
    });
    const at = this.#placeFor(call);
    this.#stack.insertBefore(card.element, this.#cards[at]?.element ?? this.#more);
    this.#cards.splice(at, 0, card);
    this.#announce(cardOf(call).announcement);
  }

  /** Newest on top, but never above a card in use: it would slide from under the pointer. */
  #placeFor(call) {
    const older = this.#cards.findIndex((card) => Date.parse(card.call.timestamp) <= Date.parse(call.timestamp));
    const byAge = older < 0 ? this.#cards.length : older;
    if (this.position.startsWith("bottom")) return byAge;
    return Math.max(byAge, this.#cards.findLastIndex((card) => card.inUse) + 1);
  }

  #remove(card) {
    const at = this.#cards.indexOf(card);
    if (at < 0) return;
    const hadFocus = card.element.contains(this.shadowRoot.activeElement);
    this.#cards.splice(at, 1);
    card.leave();
    this.#arrange();
    if (hadFocus) this.#focusAfter(at);
  }

  /** Shows the first four, those in use before all others, and says how many wait. */
  #arrange() {
    this.#expanded &&= this.#cards.length > MOST;
    const first = [...this.#cards].sort((a, b) => b.inUse - a.inUse).slice(0, this.#expanded ? Infinity : MOST);
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

  #announce(words) {
    const line = document.createElement("p");
    line.textContent = words;
    this.#announcer.append(line);
    setTimeout(() => line.remove(), ANNOUNCED_MS);
  }

  // --- What a person does ----------------------------------------------------------------------------------------

  #view(event, card) {
    // With a modifier the browser opens another tab; that is the person's wish, not the host's navigation.
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (!this.#emit("call-popup:view", { call: card.call, customer: card.customer })) event.preventDefault();
  }

  #dismiss(card) {
    this.#hide(card.call.id);
    this.#emit("call-popup:dismiss", { call: card.call });
    this.#remove(card);
    this.feed.dismiss(card.call.id);
  }

  #emit(name, detail) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: name.endsWith("view") }));
  }

  #hide(id) {
    this.#hidden.add(id);
    if (this.#ownFeed) remember(this.#hidden);
  }

  #unhide(id) {
    this.#hidden.delete(id);
    if (this.#ownFeed) remember(this.#hidden);
  }

  #bringBack() {
    this.#hidden.clear();
    this.#lapsed.clear();
    remember(this.#hidden);
  }

  #lapse(id) {
    this.#lapsed.add(id);
    this.#hide(id);
  }

  #onEscape(event) {
    const card = this.#cards.find((other) => other.element.contains(event.target));
    if (event.key !== "Escape" || !card) return;
    // The card had the key; a dialog of the host page under it must not close as well.
    event.preventDefault();
    event.stopPropagation();
    this.#dismiss(card);
  }

  #onShortcut(event) {
    if (!matches(this.shortcut, event) || this.#cards.length === 0) return;
    event.preventDefault();
    if (document.activeElement !== this) this.#cameFrom = document.activeElement;
    const newest = this.#cards.filter((card) => !card.element.hidden).sort((a, b) => b.since - a.since)[0];
    newest.element.focus();
  }

  /** The focus was in the card that went: the next one gets it, then the one before, then where the person came from. */
  #focusAfter(at) {
    const visible = (card) => card && !card.element.hidden;
    const next = [this.#cards[at], this.#cards[at - 1], ...this.#cards].find(visible);
    if (next) next.element.focus();
    else if (this.#cameFrom?.isConnected) this.#cameFrom.focus();
    if (!next) this.#cameFrom = null;
  }

  /** A property set before this module was loaded sits on the object itself and hides the accessor. */
  #adoptEarlyProperties() {
    for (const name of ["feed", "token", "autoDismiss", ...Object.keys(DEFAULTS).map(camelCase)]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }
}

const camelCase = (name) => name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

for (const [attribute, fallback] of Object.entries(DEFAULTS)) {
  Object.defineProperty(CallPopup.prototype, camelCase(attribute), {
    get() {
      const value = this.getAttribute(attribute) ?? fallback;
      return attribute === "auto-dismiss" ? number(value, 30) : value;
    },
    set(value) {
      this.setAttribute(attribute, value);
    },
  });
}

function number(text, fallback) {
  const value = Number.parseFloat(text);
  return value >= 0 ? value : fallback;
}

/** Compares with the key's place as well: Alt+Shift turns a C into another letter on many keyboards. */
function matches(shortcut, event) {
  const keys = shortcut.toLowerCase().split("+").map((key) => key.trim());
  const key = keys.pop();
  const wanted = (...names) => names.some((name) => keys.includes(name));
  return Boolean(key)
    && (event.key?.toLowerCase() === key || event.code?.toLowerCase() === `key${key}`)
    && event.altKey === wanted("alt", "option")
    && event.shiftKey === wanted("shift")
    && event.ctrlKey === wanted("ctrl", "control")
    && event.metaKey === wanted("meta", "cmd", "command");
}

/** Calls put away in this tab, so that the next page of a site does not bring them back. */
function remembered() {
  try {
    return JSON.parse(sessionStorage.getItem(STORE)) ?? [];
  } catch {
    return [];
  }
}

function remember(ids) {
  try {
    sessionStorage.setItem(STORE, JSON.stringify([...ids].slice(-REMEMBERED)));
  } catch {
    // Storage can be forbidden; then the memory is as long as the page.
  }
}

if (!customElements.get("call-popup")) customElements.define("call-popup", CallPopup);
