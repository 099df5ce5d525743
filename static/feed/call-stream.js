/**
 * The leader's line to the service: one stream, opened again when it fails, and polling while none comes through.
 * stream-state.js has the states; here is what happens in each.
 *
 * With a cookie the stream is an EventSource. With a token it is the answer to a form; where that does not come through, as with
 * a service of a version before, it is an EventSource with a one-time ticket.
 *
 * @import { Call } from "../model/call.js"
 * @import { Credential } from "./credential.js"
 * @import { Service, ServiceError } from "../lib/service.js"
 * @import { StreamEvent } from "./stream-state.js"
 * @import { StreamedEvent } from "./event-stream-parser.js"
 */
import { backoff } from "../lib/backoff.js";
import { CallPoll } from "./call-poll.js";
import { NO_LINE, TIMEOUTS, advance, isOpen, shownState } from "./stream-state.js";
import { TokenStream } from "./token-stream.js";

/** The service says something at least every 15 s, so a line that was silent for longer is suspect once the page woke. */
const SILENT_MS = 16_000;
/** A network that comes back does so for the whole office, so its browsers come back within this. */
const ONLINE_MS = 2_000;
/** How long a line that was heard just before `online` has to show that it survived; heartbeats mostly come every 2 s. */
const PROBE_MS = 2_500;

/** The server's code for a token or session that has expired. */
const SIGNED_OUT = "signed_out";

const STREAM = "api/ringcentral/call-stream";
const EVENTS = ["connected", "call", "call_updated", "call_ended", "heartbeat", "resync", "error"];

/**
 * @typedef {object} StreamBrowser
 * @property {typeof globalThis.EventSource} EventSource
 * @property {boolean} streamsAnswers  whether the body of an answer can be read while it arrives
 * @property {() => number} random
 *
 * @typedef {object} StreamListener
 * @property {(data: any, state: "live" | null) => void} event  of the service; `state` is what it proves of the line
 * @property {(calls: Call[]) => void} calls  all active calls, as an answer of a poll says
 * @property {(error: ServiceError | null) => void} broken  the line broke, or the service does not answer as it should
 * @property {(error: ServiceError) => void} denied  the service refused this viewer
 * @property {() => void} otherViewer  the token is another person's by now
 */

export class CallStream {
  /** Where the next line resumes, as the last event says; empty to start over. */
  position = "";
  /**
   * Whose the calls are, as the token says.
   *
   * @type {string | null}
   */
  viewer = null;
  #src;
  #browser;
  #credential;
  #service;
  #on;
  #poll;
  #line = NO_LINE;
  /** @type {{ close: () => void } | null} */
  #source = null;
  #usesTickets;
  /**
   * How long to wait before the next line, in milliseconds, where the service said so.
   *
   * @type {number | null}
   */
  #retryMs = null;
  /** Whether the last event said that the token has expired. */
  #isSignedOut = false;
  /** When the line was opened, or last heard. */
  #heardAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #timeoutAt = Infinity;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #onlineTimer;

  /**
   * @param {string} src  the base URL of the service
   * @param {StreamBrowser} browser
   * @param {Credential} credential
   * @param {Service} service
   * @param {StreamListener} on
   */
  constructor(src, browser, credential, service, on) {
    this.#src = src;
    this.#browser = browser;
    this.#usesTickets = !browser.streamsAnswers;
    this.#credential = credential;
    this.#service = service;
    this.#on = on;
    this.#poll = new CallPoll(() => service.get("api/ringcentral/active-calls?dismissed=false"), browser.random, {
      calls: (calls) => on.calls(calls),
      error: (error) => (error.denied ? on.denied(error) : on.broken(error)),
    });
  }

  /** How often to ask while no stream comes through, in milliseconds. */
  set pollMs(/** @type {number} */ ms) {
    this.#poll.intervalMs = ms;
  }

  open() {
    this.#step("open");
  }

  /** Opens another line at once, because a person wants it. */
  restart() {
    this.#step("restart");
  }

  stop() {
    this.#step("stop");
    clearTimeout(this.#onlineTimer);
  }

  /** Another viewer starts with a short wait. */
  forgetFailures() {
    this.#line = { ...this.#line, attempt: 0 };
  }

  /** The page woke: opens another line unless this one was heard lately. A timer that is late, or throttled, is done now. */
  check() {
    const { state } = this.#line;
    if (state === "idle") return;
    if (Date.now() >= this.#timeoutAt) this.#fail("timeout");
    else if (state !== "opening" && !this.#isHeardLately) this.#step("open");
  }

  /** What a tab that is in front asks of a leader whose timers may be throttled. */
  catchUp() {
    if (Date.now() >= this.#timeoutAt) this.#fail("timeout");
  }

  /** The network is back, or is another one: a line that is silent from now on belonged to the one before. */
  checkOnline() {
    clearTimeout(this.#onlineTimer);
    if (this.#line.state === "idle") return;
    const since = Date.now();
    const wait = this.#isHeardLately ? PROBE_MS : 0;
    const spread = wait ? ONLINE_MS / 4 : ONLINE_MS;
    const isWanted = () => this.#line.state !== "idle" && !(isOpen(this.#line) && this.#heardAt > since);
    this.#onlineTimer = setTimeout(() => isWanted() && this.#step("restart"), wait + this.#browser.random() * spread);
  }

  get #isHeardLately() {
    return isOpen(this.#line) && Date.now() - this.#heardAt <= SILENT_MS;
  }

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
   * @param {ServiceError | null} error
   */
  #fail(event, error = null) {
    // A proxy may hold back the one and let the other through.
    const isHeldBack = event === "timeout" && this.#line.state === "opening";
    if (isHeldBack && this.#browser.streamsAnswers) this.#usesTickets = !this.#usesTickets;
    this.#step(event);
    if (shownState(this.#line) === "reconnecting") this.#on.broken(error);
  }

  #setTimer() {
    clearTimeout(this.#timer);
    const { state, attempt } = this.#line;
    const ms = state === "waiting" ? (this.#retryMs ?? backoff(attempt - 1, this.#browser.random())) : TIMEOUTS[state];
    this.#retryMs = null;
    this.#timeoutAt = ms === undefined ? Infinity : Date.now() + ms;
    if (ms !== undefined) this.#timer = setTimeout(() => this.#fail("timeout"), ms);
  }

  #closeStream() {
    this.#source?.close();
    this.#source = null;
  }

  #openStream() {
    this.#closeStream();
    if (!this.#credential.token) this.#listen(null);
    else if (this.#usesTickets) this.#openWithTicket();
    else this.#openWithToken();
  }

  #openWithToken() {
    const source = new TokenStream({
      opened: () => this.#isStillViewer(),
      event: (event) => this.#receive(event),
      ended: (error, retryMs) => this.#onEnded(error, retryMs),
      unsupported: () => {
        this.#usesTickets = true;
        this.#openWithTicket();
      },
    });
    this.#source = source;
    source.open(new URL(STREAM, this.#src).href, this.position, this.#credential);
  }

  /** Whether the token, which the page may have been asked for again, is still the same person's. */
  async #isStillViewer() {
    const line = this.#line;
    const viewer = await this.#credential.viewer();
    if (this.#line === line && viewer !== this.viewer) this.#on.otherViewer();
    return this.#line === line;
  }

  /**
   * @param {ServiceError | null} error
   * @param {number | null} retryMs
   */
  #onEnded(error, retryMs) {
    if (error) return this.#refused(error);
    // A new token opens the next line, so there is nothing to wait for.
    this.#retryMs = this.#isSignedOut ? null : retryMs;
    this.#fail("failed");
  }

  /** An EventSource sends no token, so each line is opened with a ticket that is had for the token. */
  async #openWithTicket() {
    const line = this.#line;
    /** @type {ServiceError | null} */
    let error = null;
    const ticket = await this.#service.post("api/auth/ticket").then((answer) => answer.ticket, (reason) => {
      error = reason;
    });
    const viewer = ticket ? await this.#credential.viewer() : null;
    // Closed, or opened again, while the ticket was asked for.
    if (this.#line !== line) return;
    if (!ticket) return this.#refused(error);
    if (viewer !== this.viewer) return this.#on.otherViewer();
    this.#listen(ticket);
  }

  /** @param {ServiceError | null} error */
  #refused(error) {
    if (!error?.denied) return this.#fail("failed", error);
    this.#step("denied");
    this.#on.denied(error);
  }

  /** @param {string | null} ticket */
  #listen(ticket) {
    const { EventSource } = this.#browser;
    const url = new URL(STREAM, this.#src);
    if (this.position) url.searchParams.set("last_event_id", this.position);
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
    return this.#credential.token ? "failed" : "interrupted";
  }

  /** @param {MessageEvent | StreamedEvent} event */
  #receive(event) {
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    if (event.lastEventId) this.position = event.lastEventId;
    this.#heardAt = Date.now();
    this.#isSignedOut = data.error?.code === SIGNED_OUT;
    this.#step(data.type === "connected" ? "connected" : "event");
    const isLive = isOpen(this.#line) && shownState(this.#line) === "live";
    this.#on.event(data, isLive ? "live" : null);
  }
}
