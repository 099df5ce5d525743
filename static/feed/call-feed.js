/**
 * The calls of this browser, kept current: one EventSource for all tabs, and what to do when it fails.
 *
 * The leader of the tabs owns the stream and sends its state to the others after every event, so all tabs hold the same
 * list; the next leader resumes at the same event id. No DOM here; the popup and the dashboard listen to `change`.
 *
 * Calls belong to a viewer: after a sign-out, or when another person signs in, the feed starts with an empty list and
 * without a position.
 *
 * @import { Call } from "../model/call.js"
 * @import { StreamEvent } from "./stream-state.js"
 * @import { Token } from "./credential.js"
 * @import { TabsBrowser } from "./tabs.js"
 */
import { backoff } from "../lib/backoff.js";
import { Service, ServiceError } from "../lib/service.js";
import { reduce } from "../model/call.js";
import { CallPoll } from "./call-poll.js";
import { Credential } from "./credential.js";
import { sendDismissal } from "./dismissal.js";
import { NO_LINE, TIMEOUTS, advance, isOpen, shownState } from "./stream-state.js";
import { Tabs } from "./tabs.js";

/** A network that comes back does so for the whole office, so its browsers come back within this. */
const ONLINE_MS = 2_000;
/** How long an error of the service is shown while nothing but heartbeats follows. */
const TROUBLE_MS = 35_000;
/** Part of the name of the channel: tabs of a version whose messages differ do not share a stream. */
const PROTOCOL = "2";

const EVENTS = ["connected", "call", "call_updated", "call_ended", "heartbeat", "resync", "error"];

/**
 * @typedef {object} FeedStatus
 * @property {"connecting" | "live" | "polling" | "reconnecting" | "offline" | "denied"} state
 *   `polling`: a proxy holds the stream back; `denied`: the viewer has to sign in, or may not see calls
 * @property {{ code: string, message: string } | null} trouble  the service's own error
 * @property {number} troubleAt  when it came, in epoch milliseconds, like all times here
 * @property {number} heardAt  when the last event or answer came
 * @property {number} clockOffset  how far the service's clock is ahead of this one's
 *
 * @typedef {TabsBrowser & {
 *   EventSource: typeof globalThis.EventSource,
 *   fetch: (url: string, options?: RequestInit) => Promise<Response>,
 *   log: (line: string) => void,
 * }} FeedBrowser
 */

/**
 * Follows the calls of a service until `close()`.
 *
 * Events: `change`, the calls or the status changed; `resync`, a full set of calls begins (connected without resuming, or
 * resynchronised); `viewerchange`, another person may use this page now, or none, and what was known is cleared.
 */
export class CallFeed extends EventTarget {
  /**
   * As `reduce` keeps them, newest first; replaced, never changed in place.
   *
   * @type {Call[]}
   */
  calls = [];
  /** @type {FeedStatus} */
  status = { state: "connecting", trouble: null, troubleAt: 0, heardAt: 0, clockOffset: 0 };

  #src;
  /** @type {FeedBrowser} */
  #browser;
  /** @type {AbortController | null} */
  #life = null;
  #tabs;
  #credential;
  #service;
  #poll;
  #line = NO_LINE;
  /** @type {EventSource | null} */
  #source = null;
  #lastEventId = "";
  /** @type {string | null} */
  #viewer = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #onlineTimer;
  #loggedSharing = false;

  /**
   * @param {string} src  the base URL of the service
   * @param {Partial<FeedBrowser>} browser  what stands in for the browser in tests
   */
  constructor(src, browser = {}) {
    super();
    this.#src = new URL(src, globalThis.location?.href).href.replace(/\/?$/, "/");
    this.#browser = {
      EventSource: globalThis.EventSource,
      BroadcastChannel: globalThis.BroadcastChannel,
      locks: globalThis.navigator?.locks,
      fetch: (url, options) => globalThis.fetch(url, options),
      random: Math.random,
      log: (line) => console.log(line),
      ...browser,
    };
    this.#tabs = new Tabs(this.#browser, {
      lead: () => this.#step("open"),
      stepBack: () => this.#step("stop"),
      message: (message) => this.#onMessage(message),
    });
    this.#credential = new Credential(this.#browser.fetch);
    this.#service = new Service(this.#src, (url, options) => this.#credential.fetch(url, options));
    this.#poll = new CallPoll(() => this.#service.get("api/ringcentral/active-calls?dismissed=false"), this.#browser.random, {
      calls: (calls) => this.#set({ state: "polling", heardAt: Date.now() }, reduce(this.calls, { type: "snapshot", calls })),
      error: (error) => (error.denied ? this.#clear("denied") : this.#set({ state: "offline" })),
    });
  }

  /**
   * What proves who this viewer is where the cookie does not reach, on pages of other sites: a token, or a function that
   * returns one or a promise of one and is called again when the service refuses it. Another token may be another person's.
   *
   * @type {Token}
   */
  get token() {
    return this.#credential.token;
  }

  set token(token) {
    if (token === this.token) return;
    this.#credential.token = token;
    this.#changeViewer();
  }

  /** The service, asked as this viewer. */
  get service() {
    return this.#service;
  }

  /** How often to ask while no stream comes through, in milliseconds. */
  set pollMs(/** @type {number} */ ms) {
    this.#poll.intervalMs = ms;
  }

  /** Starts following; harmless when already started. */
  open() {
    if (this.#life) return;
    this.#life = new AbortController();
    this.status = { ...this.status, state: "connecting" };
    this.#followPage(this.#life.signal);
    if (this.token) this.#joinAsViewer(this.#life);
    else this.#join(this.#channelName);
  }

  /** Stops; another tab takes over. `open()` starts again with the calls known so far. */
  close() {
    this.#life?.abort();
    this.#life = null;
    this.#step("stop");
    this.#tabs.leave();
    clearTimeout(this.#onlineTimer);
    this.#viewer = null;
  }

  /** Connects at once, for all tabs. `viewerChanged` when a person signed in or out: nothing known so far is theirs. */
  restart({ viewerChanged = false } = {}) {
    if (!this.#tabs.leading) this.#tabs.post({ kind: "restart", viewerChanged });
    else this.#step("stop");
    if (viewerChanged) this.#clear("connecting");
    if (this.#tabs.leading) this.#step("restart");
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
   * A page in the back-forward cache must hold no lock and no stream; one whose network is back need not wait.
   *
   * @param {AbortSignal} signal
   */
  #followPage(signal) {
    const listen = globalThis.addEventListener?.bind(globalThis);
    listen?.("online", () => this.#onOnline(), { signal });
    listen?.("pagehide", () => {
      this.close();
      listen("pageshow", () => this.open(), { once: true });
    }, { signal });
  }

  #onOnline() {
    clearTimeout(this.#onlineTimer);
    const isWanted = () => this.#tabs.leading && this.status.state !== "live";
    if (isWanted()) this.#onlineTimer = setTimeout(() => isWanted() && this.restart(), this.#browser.random() * ONLINE_MS);
  }

  /** Another token: what is known belongs to the viewer before. */
  #changeViewer() {
    const wasOpen = Boolean(this.#life);
    this.close();
    this.#clear("connecting");
    this.#line = { ...this.#line, attempt: 0 };
    if (wasOpen) this.open();
  }

  /**
   * Another person uses this page now, or none.
   *
   * @param {FeedStatus["state"]} state
   */
  #clear(state) {
    this.#lastEventId = "";
    this.#set({ state, trouble: null }, [], "viewerchange");
  }

  /** @param {string} id */
  #dismissHere(id) {
    const call = this.calls.find((other) => other.id === id);
    if (!call || call.status === "ended") return;
    this.#set({}, reduce(this.calls, { type: "dismissed", call }));
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
    this.#viewer = viewer;
    this.#join(viewer === null ? null : `${this.#channelName} ${viewer}`);
  }

  /** @param {string | null} name */
  #join(name) {
    this.#tabs.join(name);
    this.#tabs.post({ kind: "hello" });
  }

  /** @param {any} message */
  #onMessage(message) {
    if (message.kind === "dismiss") return this.#dismissHere(message.id);
    if (this.#tabs.leading) {
      if (message.kind === "hello") this.#share();
      if (message.kind === "restart") this.restart(message);
    } else if (message.kind === "state") {
      this.#tabs.leaderIsAwake();
      this.#lastEventId = message.lastEventId;
      if (message.status.state === "live" && !this.#loggedSharing) {
        this.#loggedSharing = true;
        this.#browser.log("Call stream connected, shared with another tab");
      }
      this.#show(message.calls, message.status, message.event);
    }
  }

  /** @param {string | null} event */
  #share(event = null) {
    const { calls, status } = this;
    this.#tabs.post({ kind: "state", calls, status, lastEventId: this.#lastEventId, event });
  }

  /**
   * @param {Call[]} calls
   * @param {FeedStatus} status
   * @param {string | null} event  sent beside `change`, if any
   */
  #show(calls, status, event) {
    this.calls = calls;
    this.status = status;
    this.dispatchEvent(new Event("change"));
    if (event) this.dispatchEvent(new Event(event));
  }

  /**
   * @param {Partial<FeedStatus>} changes
   * @param {Call[]} calls
   * @param {string | null} event
   */
  #set(changes, calls = this.calls, event = null) {
    this.#show(calls, { ...this.status, ...changes }, event);
    if (this.#tabs.leading) this.#share(event);
  }

  // --- The leader's stream ---------------------------------------------------------------------------------------

  /**
   * Brings the stream, the poll and the timer into the state that follows.
   *
   * @param {StreamEvent} event
   */
  #step(event) {
    const line = advance(this.#line, event, Date.now());
    if (line === this.#line) return;
    this.#line = line;
    if (line.polling) this.#poll.start();
    else this.#poll.stop();
    this.#setTimer();
    if (line.state === "opening") this.#openStream();
    if (line.state === "waiting" || line.state === "idle") this.#closeStream();
  }

  /**
   * The line broke, or was given up.
   *
   * @param {StreamEvent} event
   */
  #fail(event) {
    this.#step(event);
    const state = shownState(this.#line);
    if (state) this.#set({ state });
  }

  #setTimer() {
    clearTimeout(this.#timer);
    const { state, attempt } = this.#line;
    const ms = state === "waiting" ? backoff(attempt - 1, this.#browser.random()) : TIMEOUTS[state];
    if (ms !== undefined) this.#timer = setTimeout(() => this.#fail("timeout"), ms);
  }

  #closeStream() {
    this.#source?.close();
    this.#source = null;
  }

  #openStream() {
    this.#closeStream();
    if (this.token) this.#openWithTicket();
    else this.#listen(null);
  }

  /** An EventSource sends no token, so each line is opened with a ticket that is had for the token. */
  async #openWithTicket() {
    const line = this.#line;
    let ticket = null;
    let denied = false;
    try {
      ({ ticket } = await this.#service.post("api/auth/ticket"));
    } catch (error) {
      denied = error instanceof ServiceError && error.denied;
    }
    const viewer = await this.#credential.viewer();
    // Closed, or opened again, while the ticket was asked for.
    if (this.#line !== line) return;
    if (ticket && viewer !== this.#viewer) return this.#changeViewer();
    if (ticket) return this.#listen(ticket);
    if (!denied) return this.#fail("failed");
    this.#clear("denied");
    this.#step("denied");
  }

  /** @param {string | null} ticket */
  #listen(ticket) {
    const { EventSource } = this.#browser;
    const url = new URL("api/ringcentral/call-stream", this.#src);
    if (this.#lastEventId) url.searchParams.set("last_event_id", this.#lastEventId);
    if (ticket) url.searchParams.set("ticket", ticket);
    const source = new EventSource(url.href, { withCredentials: !ticket });
    this.#source = source;
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        // The server's `error` and the browser's own arrive at the same listener; only the server's carries data.
        if (event.data === undefined) this.#fail(this.#breakOf(source));
        else this.#receive(event);
      });
    }
  }

  /**
   * The browser opens a broken line again by itself unless it is CLOSED, which is for good. A ticket opens one line, so a
   * line that had one is given up.
   *
   * @param {EventSource} source
   * @returns {StreamEvent}
   */
  #breakOf({ readyState }) {
    if (readyState === 2) return "closed";
    return this.token ? "failed" : "interrupted";
  }

  /** @param {MessageEvent} event */
  #receive(event) {
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    if (event.lastEventId) this.#lastEventId = event.lastEventId;
    const connected = data.type === "connected";
    if (connected) this.#browser.log("Call stream connected");
    this.#step(connected ? "connected" : "event");
    const changes = this.#changesBy(data);
    const state = isOpen(this.#line) && shownState(this.#line);
    if (state) changes.state = state;
    const full = data.type === "resync" || (connected && !data.resumed);
    this.#set(changes, reduce(this.calls, data), full ? "resync" : null);
  }

  /**
   * What an event of the server changes beside the calls.
   *
   * @param {any} data
   */
  #changesBy(data) {
    const now = Date.now();
    /** @type {Partial<FeedStatus>} */
    const changes = { heardAt: now };
    if (data.server_time) changes.clockOffset = Date.parse(data.server_time) - now || 0;
    const outlived = data.type === "heartbeat" && now - this.status.troubleAt > TROUBLE_MS;
    if (data.type === "error") Object.assign(changes, { trouble: data.error, troubleAt: now });
    else if (data.call || data.type === "connected" || data.type === "resync" || outlived) changes.trouble = null;
    return changes;
  }
}
