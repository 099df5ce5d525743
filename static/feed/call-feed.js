/**
 * The calls of this browser, kept current: one stream for all tabs, and what each tab knows.
 *
 * The leader of the tabs owns the stream and sends its state to the others after every event, so all tabs hold the same
 * list; the next leader resumes at the same event id. No DOM here; the popup and the dashboard listen to `change`.
 *
 * Calls belong to a viewer: after a sign-out, or when another person signs in, the feed starts with an empty list and
 * without a position. While the line is broken, or a token has expired, the list stays as it was: a call is over when the
 * service says so.
 *
 * @import { Call, CallEvent } from "../model/call.js"
 * @import { BlockadeBrowser } from "./blockade.js"
 * @import { Token } from "./credential.js"
 * @import { FeedState, FeedStatus } from "./feed-status.js"
 * @import { PageBrowser } from "./page-events.js"
 * @import { StreamBrowser } from "./call-stream.js"
 * @import { ServiceError } from "../lib/service.js"
 * @import { TabsBrowser } from "./tabs.js"
 */
import { Service } from "../lib/service.js";
import { reduce } from "../model/call.js";
import { Blockade } from "./blockade.js";
import { CallStream } from "./call-stream.js";
import { Credential, NO_TOKEN } from "./credential.js";
import { sendDismissal } from "./dismissal.js";
import { NO_STATUS, isSameStatus, statusAfter } from "./feed-status.js";
import { followPage } from "./page-events.js";
import { Tabs } from "./tabs.js";

/** Part of the name of the channel: tabs of a version whose messages differ do not share a stream. */
const PROTOCOL = "4";

/**
 * @typedef {"resync" | "viewerchange"} Beginning  An event after which what was read over HTTP is to be read again.
 */
/** @type {Beginning[]} */
const BEGINNINGS = ["viewerchange", "resync"];

/**
 * @typedef {TabsBrowser & StreamBrowser & PageBrowser & BlockadeBrowser & { log: (line: string) => void }} FeedBrowser
 */

/**
 * Follows the calls of a service until `close()`.
 *
 * Events: `change`, the calls or the status changed; `statuschange`, with the status as its `detail`, only when its state or
 * message did; `resync`, a full set of calls begins (connected without resuming, or resynchronised); `viewerchange`, another
 * person may use this page now, or none, and what was known is cleared.
 */
export class CallFeed extends EventTarget {
  /**
   * As `reduce` keeps them, newest first; replaced, never changed in place.
   *
   * @type {Call[]}
   */
  calls = [];
  /** @type {FeedStatus} */
  status = NO_STATUS;

  #src;
  /** @type {FeedBrowser} */
  #browser;
  /** @type {AbortController | null} */
  #life = null;
  #tabs;
  #credential;
  #service;
  #stream;
  #blockade;
  /**
   * When each of these events came last, shared with the calls: a tab whose main thread hung, that led by mistake or was in
   * the back-forward cache finds out by it that it missed one. Null in a tab that has not followed anything yet.
   *
   * @type {Partial<Record<Beginning, number>> | null}
   */
  #begun = null;
  #loggedSharing = false;

  /**
   * @param {string} src  the base URL of the service
   * @param {Partial<FeedBrowser>} browser  what stands in for the browser in tests
   */
  constructor(src, browser = {}) {
    super();
    this.#src = new URL(src, globalThis.location?.href).href.replace(/\/?$/, "/");
    this.#browser = { ...ownBrowser(), ...browser };
    this.#credential = new Credential(this.#browser.fetch);
    this.#service = new Service(this.#src, (url, options) => this.#credential.fetch(url, options));
    this.#blockade = new Blockade(this.#src, this.#browser);
    this.#tabs = new Tabs(this.#browser, {
      lead: () => this.#lead(),
      stepBack: () => this.#stepBack(),
      ping: (wake) => this.#onPing(wake),
      message: (message) => this.#onMessage(message),
    });
    this.#stream = new CallStream(this.#src, this.#browser, this.#credential, this.#service, {
      event: (data, state) => this.#onEvent(data, state),
      calls: (calls) => this.#onAnswer(calls),
      broken: (error) => this.#onBroken(error),
      denied: (error) => this.#onDenied(error),
      otherViewer: () => this.#changeViewer(),
    });
  }

  /**
   * What proves who this viewer is where the cookie does not reach, on pages of other sites: a token, or a function that
   * returns one or a promise of one and is called again when the service refuses it. Another person's token clears what is
   * known; a renewed one of the same person does not.
   *
   * @type {Token}
   */
  get token() {
    return this.#credential.token;
  }

  set token(token) {
    if (token === this.token) return;
    const viewer = this.#credential.knownViewer;
    this.#credential.token = token;
    if (viewer !== null && viewer === this.#credential.knownViewer) this.#reopen();
    else this.#changeViewer();
  }

  /** The service, asked as this viewer. */
  get service() {
    return this.#service;
  }

  /** Whose the calls are, as the token says; null where the cookie says it. */
  viewer() {
    return this.token ? this.#credential.viewer() : Promise.resolve(null);
  }

  /** How often to ask while no stream comes through, in milliseconds. */
  set pollMs(/** @type {number} */ ms) {
    this.#stream.pollMs = ms;
  }

  /** Starts following; harmless when already started. */
  open() {
    if (this.#life) return;
    this.#life = new AbortController();
    this.#show(this.calls, { ...this.status, state: "connecting", message: null });
    this.#followPage(this.#life.signal);
    if (this.token) this.#joinAsViewer(this.#life);
    else this.#join(this.#channelName);
  }

  /** Stops; another tab takes over. `open()` starts again with the calls known so far. */
  close() {
    this.#life?.abort();
    this.#life = null;
    this.#stream.stop();
    this.#tabs.leave();
    this.#stream.viewer = null;
  }

  /** Connects at once, for all tabs. `viewerChanged` when a person signed in or out: nothing known so far is theirs. */
  restart({ viewerChanged = false } = {}) {
    if (!this.#tabs.leading) this.#tabs.post({ kind: "restart", viewerChanged });
    else this.#stream.stop();
    if (viewerChanged) this.#clear("connecting");
    if (this.#tabs.leading) this.#stream.restart();
  }

  /** The service's idea of now, in epoch milliseconds. */
  now() {
    return Date.now() + this.status.clockOffset;
  }

  /**
   * Dismisses a call for this viewer: at once in every tab, and at the service for their other devices.
   * Resolves to whether the service took it; the card stays away in this browser either way, and the request is repeated
   * while the service cannot take it and the call goes on.
   *
   * @param {string} id
   */
  dismiss(id) {
    this.#tabs.post({ kind: "dismiss", id });
    this.#dismissHere(id);
    const life = this.#life;
    const isWanted = () => this.#life === life && this.calls.some((call) => call.id === id && call.dismissed && call.status !== "ended");
    // keepalive: "Dismiss" is often the last thing done before leaving the page.
    const post = () => this.#service.post(`api/ringcentral/calls/${encodeURIComponent(id)}/dismiss`, undefined, { keepalive: true });
    return sendDismissal(post, isWanted, this.#browser.random);
  }

  // --- The page and its viewer -----------------------------------------------------------------------------------

  /**
   * A page in the back-forward cache must hold no lock and no stream; one that woke or has another network checks its line.
   *
   * @param {AbortSignal} signal
   */
  #followPage(signal) {
    followPage(this.#browser, {
      online: () => (this.#tabs.leading ? this.#stream.checkOnline() : this.#tabs.ask("online")),
      wake: () => (this.#tabs.leading ? this.#stream.check() : this.#tabs.ask("wake")),
      hide: () => this.close(),
      show: () => this.open(),
      violation: (violation) => this.#blockade.take(violation) && this.#block(),
    }, signal);
  }

  /** @param {string | null} wake  why another tab asked */
  #onPing(wake) {
    // A tab gets `online` itself; that another tab is in front is known only from its ping.
    if (wake === "wake") this.#stream.check();
    else this.#stream.catchUp();
  }

  /** Another token: what is known belongs to the viewer before. */
  #changeViewer() {
    this.#reopen(() => {
      this.#clear("connecting");
      // The tabs of that viewer began at other times.
      this.#begun = null;
    });
  }

  /** @param {() => void} [meanwhile] */
  #reopen(meanwhile) {
    const wasOpen = Boolean(this.#life);
    this.close();
    meanwhile?.();
    this.#stream.forgetFailures();
    if (wasOpen) this.open();
  }

  /**
   * Another person uses this page now, or none.
   *
   * @param {FeedState} state
   * @param {string | null} message
   * @param {string | null} code
   */
  #clear(state, message = null, code = null) {
    this.#stream.position = "";
    this.#set({ state, message, code, unanswered: false, trouble: null }, [], "viewerchange");
  }

  /** @param {string} id */
  #dismissHere(id) {
    const call = this.calls.find((other) => other.id === id);
    if (!call || call.status === "ended") return;
    this.#set({}, reduce(this.calls, { type: "dismissed", call }));
  }

  // --- What the stream says --------------------------------------------------------------------------------------

  /**
   * @param {CallEvent & Record<string, any>} data
   * @param {"live" | null} state
   */
  #onEvent(data, state) {
    const connected = data.type === "connected";
    if (connected) this.#browser.log("Call stream connected");
    this.#blockade.reached();
    const full = data.type === "resync" || (connected && !data.resumed);
    this.#set(statusAfter(this.status, data, state, Date.now()), reduce(this.calls, data), full ? "resync" : null);
  }

  /** @param {Call[]} calls */
  #onAnswer(calls) {
    this.#blockade.reached();
    const changes = { message: null, code: null, unanswered: false, trouble: null, heardAt: Date.now() };
    this.#set({ state: "polling", ...changes }, reduce(this.calls, { type: "snapshot", calls }));
  }

  /** @param {ServiceError | null} error */
  #onBroken(error) {
    const { trouble, unanswered } = this.status;
    if (this.#blockade.reason) return this.#block();
    if (error) this.#set({ state: "reconnecting", message: error.message, unanswered: true });
    else if (!unanswered) this.#set({ state: "reconnecting", message: trouble?.message ?? null });
    if (error?.status === 0 && error.code === null) this.#explain();
  }

  async #explain() {
    const life = this.#life;
    if ((await this.#blockade.explain()) && this.#life === life && this.#tabs.leading) this.#block();
  }

  #block() {
    if (this.status.state !== "live") this.#set({ state: "blocked", message: this.#blockade.reason });
  }

  /**
   * A token that expired is soon renewed, and its calls go on meanwhile. Where there is none any more, the person signed out.
   *
   * @param {ServiceError} error
   */
  #onDenied({ message, code }) {
    this.#blockade.reached();
    const signedOut = this.token ? code === NO_TOKEN : code !== "expired";
    if (signedOut) return this.#clear("denied", message, code);
    // Rights may have changed with the token, so the next line begins with a full set of calls.
    this.#stream.position = "";
    this.#set({ state: "denied", message, code, unanswered: false, trouble: null });
  }

  // --- Among the tabs --------------------------------------------------------------------------------------------

  get #channelName() {
    return `caller-popup ${PROTOCOL} ${this.#src}`;
  }

  /**
   * The tabs of one person share a stream; a tab whose token does not say whose it is has its own.
   *
   * @param {AbortController} life
   */
  async #joinAsViewer(life) {
    const viewer = await this.#credential.viewer();
    if (this.#life !== life) return;
    this.#stream.viewer = viewer;
    this.#join(viewer === null ? null : `${this.#channelName} ${viewer}`);
  }

  /** @param {string | null} name */
  #join(name) {
    this.#tabs.join(name);
    this.#tabs.post({ kind: "hello" });
  }

  #lead() {
    this.#begun ??= {};
    this.#stream.open();
  }

  /** Another tab leads, and knows what this one missed. */
  #stepBack() {
    this.#stream.stop();
    this.#tabs.post({ kind: "hello" });
  }

  /** @param {any} message */
  #onMessage(message) {
    if (message.kind === "dismiss") return this.#dismissHere(message.id);
    if (this.#tabs.leading) {
      if (message.kind === "hello") this.#share();
      if (message.kind === "restart") this.restart(message);
    } else if (message.kind === "state") {
      this.#stream.position = message.position;
      if (message.status.state === "live" && !this.#loggedSharing) {
        this.#loggedSharing = true;
        this.#browser.log("Call stream connected, shared with another tab");
      }
      const known = this.#begun ?? message.begun;
      this.#begun = message.begun;
      this.#show(message.calls, message.status, BEGINNINGS.filter((event) => message.begun[event] !== known[event]));
    }
  }

  #share() {
    const { calls, status } = this;
    this.#tabs.post({ kind: "state", calls, status, position: this.#stream.position, begun: this.#begun });
  }

  /**
   * @param {Call[]} calls
   * @param {FeedStatus} status
   * @param {Beginning[]} events  sent beside `change`
   */
  #show(calls, status, events = []) {
    const before = this.status;
    this.calls = calls;
    this.status = status;
    this.dispatchEvent(new Event("change"));
    if (!isSameStatus(before, status)) this.dispatchEvent(new CustomEvent("statuschange", { detail: status }));
    for (const event of events) this.dispatchEvent(new Event(event));
  }

  /**
   * @param {Partial<FeedStatus>} changes
   * @param {Call[]} calls
   * @param {Beginning | null} event
   */
  #set(changes, calls = this.calls, event = null) {
    // Two within a millisecond are two.
    if (event) this.#begun = { ...this.#begun, [event]: Math.max(Date.now(), (this.#begun?.[event] ?? 0) + 1) };
    this.#show(calls, { ...this.status, ...changes }, event ? [event] : []);
    if (this.#tabs.leading) this.#share();
  }
}

/** @returns {FeedBrowser} */
const ownBrowser = () => ({
  EventSource: globalThis.EventSource,
  streamsAnswers: "ReadableStream" in globalThis,
  BroadcastChannel: globalThis.BroadcastChannel,
  locks: globalThis.navigator?.locks,
  fetch: (url, options) => globalThis.fetch(url, options),
  random: Math.random,
  log: (line) => console.log(line),
  window: /** @type {any} */ ("addEventListener" in globalThis ? globalThis : undefined),
  document: globalThis.document,
  location: globalThis.location,
});
