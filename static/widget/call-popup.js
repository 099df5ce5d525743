/**
 * `<call-popup>`: who is calling, in a corner of any page. Two lines are all it takes:
 *
 *     <script type="module" src="https://calls.example.com/call-popup.js"></script>
 *     <call-popup></call-popup>
 *
 * Attributes: see attributes.js.
 *
 * Property `token`: what proves to the service who the viewer is on a page of another site, where the service's cookie does
 * not reach: a JWT of the host application, or a function that returns one or a promise of one. A function is called again
 * when its token is refused. Set it again when another person signs in.
 *
 * Property `feed`: where the calls come from. By default a `CallFeed` on `src`; set another object with `calls`, `now()`,
 * `dismiss(id)` and a `change` event to bring your own (demo.html does). A `status` `{state, message}` with a `statuschange`
 * event is optional.
 *
 * Property `status`: whether calls arrive, `{state, message}`, read-only. `state` is `connecting`, `live`, `polling`,
 * `reconnecting`, `denied` (the token or the sign-in) or `blocked` (the page's Content-Security-Policy).
 *
 * Events, bubbling and composed: `call-popup:view` `{call, customer}`, cancelable, before the link is followed, for
 * hosts with a router of their own; `call-popup:dismiss` `{call}`; `call-popup:status` `{state, message}`, when `status` changed.
 * Looks: see style.js.
 *
 * Importing this module where there is no DOM, such as in server-side rendering, defines no element.
 *
 * @import { Call } from "../model/call.js"
 * @import { Token } from "../feed/credential.js"
 * @import { Feed } from "./line-monitor.js"
 */
import { CallFeed } from "../feed/call-feed.js";
import { el } from "../lib/dom.js";
import { cardOf } from "../model/card-view.js";
import { Announcer } from "./announcer.js";
import { PopupAttributes } from "./attributes.js";
import { CallCard } from "./call-card.js";
import { CardStack } from "./card-stack.js";
import { FoldedList } from "./folded-list.js";
import { LineMonitor } from "./line-monitor.js";
import { RestoredCalls } from "./restored-calls.js";
import { SeenCalls } from "./seen-calls.js";
import { popupEvent } from "./popup-event.js";
import { matchesShortcut } from "./shortcut.js";
import { styleSheet } from "./style.js";
import { TopLayer } from "./top-layer.js";

/** The guide's; the service has a setting of its own. */
const CUSTOMER_URL = "/customers/{id}";

export class CallPopup extends PopupAttributes {
  /**
   * The calls without cards, for pages that show them in their own way. It shares the stream of every popup and feed of this viewer.
   *
   * @param {string} src  base URL of the service
   */
  static createFeed(src) {
    return new CallFeed(src);
  }

  /** @type {Feed | null} */
  #feed = null;
  /** @type {CallFeed | null} */
  #ownFeed = null;
  /** @type {Token} */
  #token = null;
  /** @type {AbortController | null} */
  #connection = null;
  /** @type {AbortController | null} */
  #following = null;
  /** @type {{ customer_url?: string, poll_interval_ms?: number } | null} */
  #config = null;
  /** @type {HTMLElement | null} */
  #cameFrom = null;
  #seen = new SeenCalls();
  #stack = new CardStack();
  #folded = new FoldedList((call) => this.#makeFoldedCard(call));
  #restored = new RestoredCalls(
    (call, until) => {
      if (!this.#isKnown(call) && !this.#seen.isDismissed(call.id)) this.#folded.calls.add(call, this.#now(), until);
    },
    () => this.#renderFolded(),
  );
  #announcer = new Announcer();
  #line = new LineMonitor({
    src: () => this.src,
    isWanted: () => this.statusPill !== "off",
    change: (status) => this.dispatchEvent(popupEvent("call-popup:status", { ...status }, false)),
    layOut: () => this.#layOut(),
    say: (words) => this.#announcer.say(words),
  });
  #foldAll = el("button", { className: "small minimize", part: "minimize", type: "button" }, "Minimize");
  #section = el(
    "section",
    { className: "stack", part: "stack", "aria-label": "Calls" },
    this.#stack.element,
    el("div", { className: "footer" }, this.#stack.more, this.#foldAll, this.#folded.pill),
    this.#folded.element,
    this.#line.element,
  );
  #layer = el("div", { className: "layer" }, this.#section);
  #home = this.attachShadow({ mode: "open" });
  #top = new TopLayer(this.#home, this.#layer, [this.#announcer.element, this.#layer], () => this.#stack.cards.forEach((card) => card.syncBar()));

  constructor() {
    super();
    this.#home.adoptedStyleSheets = [styleSheet()];
    this.#home.append(this.#announcer.element, this.#layer);
    this.#applyLooks();
  }

  connectedCallback() {
    this.adoptEarlyProperties("feed", "token");
    this.#connection = new AbortController();
    const { signal } = this.#connection;
    // Captured, because a dialog of the page may keep key events to itself.
    document.addEventListener("keydown", (event) => this.#onShortcut(event), { signal, capture: true });
    this.#layer.addEventListener("keydown", (event) => this.#onEscape(event), { signal });
    this.#foldAll.addEventListener("click", () => [...this.#stack.cards].forEach((card) => this.#fold(card)), { signal });
    this.#stack.follow(signal);
    this.#folded.follow(signal, () => this.#tick());
    this.#line.follow(signal);
    this.#top.follow(signal);
    const clock = setInterval(() => this.#tick(), 1000);
    signal.addEventListener("abort", () => clearInterval(clock));
    if (!this.#feed) this.#seen.load();
    this.#start();
  }

  disconnectedCallback() {
    this.#connection?.abort();
    this.#connection = null;
    this.#following?.abort();
    this.#ownFeed?.close();
    this.#ownFeed = null;
    this.#clear();
  }

  /**
   * @param {string} name
   * @param {string | null} before
   * @param {string | null} after
   */
  attributeChangedCallback(name, before, after) {
    this.#applyLooks();
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

  /** @type {Feed | null} */
  get feed() {
    return this.#feed ?? this.#ownFeed;
  }

  set feed(feed) {
    this.#feed = feed;
    if (this.#connection) this.#start();
  }

  /** Whether calls arrive. */
  get status() {
    return this.#line.current;
  }

  // --- From the feed to the cards --------------------------------------------------------------------------------

  #start() {
    this.#following?.abort();
    this.#ownFeed?.close();
    this.#following = new AbortController();
    const { signal } = this.#following;
    const ownFeed = this.#feed ? null : new CallFeed(this.src);
    this.#ownFeed = ownFeed;
    const feed = this.#feed ?? ownFeed;
    if (!feed) return;
    this.#clear();
    feed.addEventListener("change", () => this.#update(feed), { signal });
    feed.addEventListener("statuschange", () => this.#update(feed), { signal });
    // Frameworks insert the element first and set its token after that, in the same task.
    if (ownFeed) queueMicrotask(() => signal.aborted || this.#open(ownFeed, signal));
    this.#update(feed);
  }

  /**
   * @param {CallFeed} feed
   * @param {AbortSignal} signal
   */
  #open(feed, signal) {
    this.#config = null;
    feed.token = this.#token;
    // What one person dismissed may be another's to see, and what one person saw is not.
    feed.addEventListener("viewerchange", () => this.#forget(), { signal });
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

  /** @param {Feed} feed */
  #update(feed) {
    this.#line.update(feed);
    this.#show(feed.calls);
    this.#tick();
    if (feed === this.#ownFeed && this.#following) this.#restored.update(this.#ownFeed, this.#following.signal);
  }

  /** @param {Call[]} calls */
  #show(calls) {
    const now = this.#now();
    for (const card of [...this.#stack.cards]) {
      const call = calls.find((other) => other.id === card.call.id);
      if (!call) this.#fold(card);
      else if (call.dismissed || call.status === "setup") this.#remove(card);
      else if (call !== card.call) card.update(call);
    }
    this.#folded.calls.update(calls, now);
    for (const call of calls) {
      if (call.status !== "ringing") this.#seen.unfold(call.id);
      if (this.#isKnown(call)) this.#announcer.outcome(call, this.extensionIds);
    }
    // Oldest first, so that the newest ends on top.
    for (const call of calls.filter((one) => this.#arrives(one)).reverse()) this.#add(call);
    this.#stack.arrange();
  }

  /** @param {Call} call */
  #isKnown = (call) => this.#stack.has(call.id) || this.#folded.calls.has(call.id);

  /**
   * A call that rings, and one that was folded while it rang and was answered by this viewer.
   *
   * @param {Call} call
   */
  #arrives(call) {
    if (call.dismissed || this.#seen.isDismissed(call.id) || this.#stack.has(call.id)) return false;
    if (this.#folded.calls.has(call.id)) return call.status === "connected" && cardOf(call, this.extensionIds).mine;
    return call.status === "ringing";
  }

  /** @param {Call} call */
  #add(call) {
    if (this.#seen.isFolded(call.id)) return this.#folded.calls.add(call, this.#now());
    this.#folded.calls.remove(call.id);
    /** @type {CallCard} */
    const card = new CallCard(call, {
      ...this.#cardOptions(() => card),
      lifeMs: this.autoDismiss * 1000,
      onGone: () => this.#fold(card),
    });
    this.#stack.insert(card, this.position.startsWith("bottom"));
    this.#announcer.arrived(call);
  }

  /** @param {Call} call */
  #makeFoldedCard(call) {
    /** @type {CallCard} */
    const card = new CallCard(call, { ...this.#cardOptions(() => card), lifeMs: 0, keeps: true, onGone: () => {} });
    card.compact = true;
    return card;
  }

  /** @param {() => CallCard} card */
  #cardOptions(card) {
    return {
      extensions: () => this.extensionIds,
      urlTemplate: () => this.customerUrl || this.#config?.customer_url || CUSTOMER_URL,
      onView: (/** @type {MouseEvent} */ event) => this.#view(event, card()),
      onDismiss: () => this.#dismiss(card()),
    };
  }

  /**
   * The card leaves, and its call is in the pill from now on.
   *
   * @param {CallCard} card
   */
  #fold(card) {
    this.#folded.calls.add(card.call, this.#now());
    // A call that the feed lost without its end is over.
    this.#folded.calls.update(this.feed?.calls ?? [], this.#now());
    if (this.#folded.calls.rings(card.call.id)) this.#seen.fold(card.call.id);
    this.#remove(card);
  }

  /** @param {CallCard} card */
  #remove(card) {
    const hadFocus = card.element.contains(this.#top.root.activeElement);
    const kept = this.#stack.remove(card, hadFocus);
    this.#renderFolded();
    if (!kept) this.#returnFocus();
  }

  /** Another person uses this page. */
  #forget() {
    this.#seen.clear();
    this.#restored.clear();
    this.#folded.calls.clear();
    this.#renderFolded();
  }

  #clear() {
    for (const card of this.#stack.cards.splice(0)) card.leave();
    this.#stack.arrange();
    this.#folded.calls.clear();
    this.#folded.render();
    this.#restored.reset();
  }

  #refresh() {
    for (const card of this.#stack.cards) card.update(card.call);
    this.#folded.refresh();
  }

  #tick() {
    const now = this.#now();
    for (const card of this.#stack.cards) card.tick(now);
    this.#folded.tick(now);
    this.#top.check();
    this.#layOut();
  }

  #now = () => this.feed?.now() ?? Date.now();

  // --- Where and how it is shown ---------------------------------------------------------------------------------

  #applyLooks() {
    this.#layer.dataset.position = this.position;
    this.#layer.dataset.theme = this.theme;
    this.#layer.style.setProperty("--_offset", `${this.offsetPixels}px`);
  }

  #renderFolded() {
    this.#folded.render();
    this.#layOut();
  }

  #layOut() {
    const { cards } = this.#stack;
    this.#stack.crowded = this.#folded.isOpen;
    this.#foldAll.hidden = cards.length === 0;
    this.#foldAll.classList.toggle("few", cards.length < 3);
    if (this.statusPill === "off") this.#line.element.hidden = true;
    this.#restored.write([...this.#folded.calls.entries, ...cards.map(({ call }) => ({ call, until: null }))], this.#now());
    this.#top.open = cards.length > 0 || !this.#folded.pill.hidden || !this.#line.element.hidden;
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
    if (!this.dispatchEvent(popupEvent("call-popup:view", { call, customer }, true))) event.preventDefault();
  }

  /** @param {CallCard} card */
  #dismiss(card) {
    const { call } = card;
    this.#seen.dismiss(call.id);
    this.dispatchEvent(popupEvent("call-popup:dismiss", { call }, false));
    if (this.#stack.cards.includes(card)) this.#remove(card);
    else this.#dismissFolded(card);
    if (call.status !== "ended") this.feed?.dismiss(call.id);
  }

  /** @param {CallCard} card */
  #dismissFolded(card) {
    const hadFocus = card.element.contains(this.#top.root.activeElement);
    this.#folded.calls.remove(card.call.id);
    this.#renderFolded();
    if (!hadFocus) return;
    if (this.#folded.first) this.#folded.first.element.focus();
    else this.#returnFocus();
  }

  /**
   * Escape dismisses the card that has the focus. In the list of the pill it closes the list, because there a call was not
   * asked for by its ringing.
   *
   * @param {KeyboardEvent} event
   */
  #onEscape(event) {
    if (event.key !== "Escape") return;
    const target = /** @type {Node} */ (event.target);
    const card = this.#stack.cards.find((other) => other.element.contains(target));
    const inList = this.#folded.element.contains(target) || (this.#folded.isOpen && target === this.#folded.pill);
    if (!card && !inList) return;
    // The popup had the key; a dialog of the host page under it must not close as well.
    event.preventDefault();
    event.stopPropagation();
    if (card) return this.#dismiss(card);
    this.#folded.pill.focus();
    this.#folded.isOpen = false;
    if (this.#cameFrom) this.#returnFocus();
  }

  /** @param {KeyboardEvent} event */
  #onShortcut(event) {
    const { newest } = this.#stack;
    if (!matchesShortcut(this.shortcut, event) || (!newest && this.#folded.pill.hidden)) return;
    event.preventDefault();
    if (!this.#top.root.activeElement) this.#cameFrom = /** @type {HTMLElement | null} */ (document.activeElement);
    this.#top.check();
    if (newest) return newest.element.focus();
    this.#folded.isOpen = true;
    this.#folded.tick(this.#now());
    this.#folded.first?.element.focus();
  }

  /** The focus was in a card that went and no other is left: it goes to the pill, or to where the person came from. */
  #returnFocus() {
    const { pill } = this.#folded;
    if (this.#cameFrom?.isConnected) this.#cameFrom.focus();
    else if (!pill.hidden) pill.focus();
    this.#cameFrom = null;
  }
}

if (globalThis.customElements && !customElements.get("call-popup")) customElements.define("call-popup", CallPopup);
