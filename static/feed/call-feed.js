/**
 * The calls of this browser, kept current: one EventSource for all tabs, and what to do when it fails.
 *
 * The leader of the tabs owns the stream and sends its state to the others after every event, so all tabs hold the same
 * list; the next leader resumes at the same event id. No DOM here; the popup and the dashboard listen to `change`.
 *
 * Calls are somebody's: whoever may see them no more, or signs in anew, begins with an empty list and no position.
 */
import { backoff } from "../lib/backoff.js";
import { reduce } from "../model/call.js";
import { CallPoll } from "./call-poll.js";
import { Credential } from "./credential.js";
import { tellDismissal } from "./dismissal.js";
import { Tabs } from "./tabs.js";

/** The server says something at least every 15 s; two silent rounds and a little mean the line is dead. */
const SILENCE_MS = 35_000;
/** `connected` comes at once, so 10 s without it is a proxy that holds the answer back. */
const OPENING_MS = 10_000;
/** What comes with `connected` comes within this; a proxy may let that through and hold back all that follows. */
const BURST_MS = 1_000;
/** So many lines in a row that let nothing through, or nothing after the first burst, and we poll. */
const MUTE_LINES = 2;
/** The browser may obey a `retry:` of up to 30 s before it opens again by itself; then we take over. */
const BROWSER_RETRY_MS = 45_000;
/** A connection this old proved itself: the next failure starts with a short wait again. */
const PROVEN_MS = 30_000;
/** A network that comes back does so for the whole office, so its browsers come back within this. */
const ONLINE_MS = 2_000;

const EVENTS = ["connected", "call", "call_updated", "call_ended", "heartbeat", "resync", "error"];

/**
 * Follows `src` until `close()`.
 *
 * - `calls`: the calls as `reduce` keeps them, newest first; replaced, never changed in place.
 * - `status`: `{state, trouble, heardAt, clockOffset}`; `state` is `connecting`, `live`, `polling` (a proxy holds the
 *   stream back), `reconnecting`, `offline`, or `denied` (401, 403); `trouble` is the server's own `{code, message}` or
 *   null; times are epoch milliseconds; `clockOffset` is how far the server's clock is ahead of ours.
 * - Event `change`: either of them changed. Event `fresh`: a full picture begins (connected anew, or resynchronised).
 *   Event `anew`: somebody else may look at this page now, or nobody; what was known is forgotten.
 *
 * `options` stand in for the browser in tests: `EventSource`, `BroadcastChannel`, `locks`, `fetch`, `random`, `log`.
 */
export class CallFeed extends EventTarget {
  calls = [];
  status = { state: "connecting", trouble: null, troubleAt: 0, heardAt: 0, clockOffset: 0 };

  #src;
  #with;
  #life = null;
  #tabs;
  #source = null;
  #lastEventId = "";
  #credential;
  #poll;
  #viewer = null;
  #opening = null;
  #openedAt = 0;
  #attempt = 0;
  #proven = false;
  #unopened = 0;
  #muted = 0;
  #alarm;
  #onlineAlarm;
  #saidShared = false;

  constructor(src, options = {}) {
    super();
    this.#src = new URL(src, globalThis.location?.href).href.replace(/\/?$/, "/");
    this.#with = {
      EventSource: globalThis.EventSource,
      BroadcastChannel: globalThis.BroadcastChannel,
      locks: globalThis.navigator?.locks,
      fetch: (...request) => globalThis.fetch(...request),
      random: Math.random,
      log: (line) => console.log(line),
      ...options,
    };
    this.#tabs = new Tabs(this.#with, {
      lead: () => this.#connect(),
      stepBack: () => this.#silence(),
      message: (message) => this.#hear(message),
    });
    this.#credential = new Credential(this.#with.fetch);
    const read = () => this.fetch("api/ringcentral/active-calls?dismissed=false", { cache: "no-store" });
    this.#poll = new CallPoll(read, this.#with.random, (answer) => this.#polled(answer));
  }

  /**
   * What proves who this viewer is where the cookie does not reach, on pages of other sites: a token, or a function that
   * returns one or a promise of one and is asked again when the service refuses it. Set anew, it may be another person's.
   */
  get token() {
    return this.#credential.token;
  }

  set token(token) {
    if (token === this.token) return;
    this.#credential.token = token;
    this.#beginAnew();
  }

  /** Starts following; harmless when already started. */
  open() {
    if (this.#life) return;
    this.#life = new AbortController();
    this.status = { ...this.status, state: "connecting" };
    this.#followPage(this.#life.signal);
    if (this.token) this.#introduce(this.#life);
    else this.#join(this.#name);
  }

  /** The tabs of one person share a stream; the tabs of somebody who is known by no name each have one. */
  async #introduce(life) {
    const viewer = await this.#credential.viewer();
    if (this.#life !== life) return;
    this.#viewer = viewer;
    this.#join(viewer === null ? null : `${this.#name} ${viewer}`);
  }

  #join(name) {
    this.#tabs.join(name);
    this.#tabs.post({ kind: "hello" });
  }

  /** Stops; another tab takes over. `open()` starts again with the calls known so far. */
  close() {
    this.#life?.abort();
    this.#life = null;
    this.#silence();
    this.#tabs.leave();
    clearTimeout(this.#onlineAlarm);
    this.#viewer = null;
  }

  /** Connects at once, for all tabs. `anew` when somebody signed in or out: nothing known so far is theirs. */
  restart({ anew = false } = {}) {
    if (!this.#tabs.leading) this.#tabs.post({ kind: "restart", anew });
    else this.#silence();
    if (anew) this.#forget("connecting");
    if (!this.#tabs.leading) return;
    this.#attempt = 0;
    this.#connect();
  }

  /** Somebody else, or nobody, looks at this page now. */
  #forget(state) {
    this.#lastEventId = "";
    this.#become({ state, trouble: null }, [], "anew");
  }

  /** Another token: what is known was for the one before. */
  #beginAnew() {
    const opened = Boolean(this.#life);
    this.close();
    this.#forget("connecting");
    this.#attempt = 0;
    if (opened) this.open();
  }

  /** How often to ask while no stream comes through, in milliseconds. */
  set pollMs(ms) {
    this.#poll.everyMs = ms;
  }

  /** Asks the service as this viewer; `path` is relative to `src`. */
  fetch(path, request) {
    return this.#credential.fetch(`${this.#src}${path}`, request);
  }

  /** A page in the back-forward cache must hold no lock and no stream; one whose network is back need not wait. */
  #followPage(signal) {
    const listen = globalThis.addEventListener?.bind(globalThis);
    listen?.("online", () => this.#comeBack(), { signal });
    listen?.("pagehide", () => {
      this.close();
      listen("pageshow", () => this.open(), { once: true });
    }, { signal });
  }

  #comeBack() {
    clearTimeout(this.#onlineAlarm);
    const wanted = () => this.#tabs.leading && this.status.state !== "live";
    if (wanted()) this.#onlineAlarm = setTimeout(() => wanted() && this.restart(), this.#with.random() * ONLINE_MS);
  }

  /** The server's idea of now, in epoch milliseconds. */
  now() {
    return Date.now() + this.status.clockOffset;
  }

  /**
   * Dismisses a call for this viewer: at once in every tab, and on the server for their other devices.
   * Resolves to whether the server took it; the card stays away in this browser either way, and the server is told again
   * while it cannot take it and the call goes on.
   */
  dismiss(id) {
    this.#tabs.post({ kind: "dismiss", id });
    this.#dismissHere(id);
    const life = this.#life;
    const goesOn = () => this.#life === life && this.calls.some((call) => call.id === id && call.dismissed && call.status !== "ended");
    // keepalive: "Dismiss" is often the last thing done before leaving the page.
    const post = () => this.fetch(`api/ringcentral/calls/${encodeURIComponent(id)}/dismiss`, { method: "POST", keepalive: true });
    return tellDismissal(post, goesOn, this.#with.random);
  }

  // --- Among the tabs --------------------------------------------------------------------------------------------

  get #name() {
    return `caller-popup ${this.#src}`;
  }

  #hear(message) {
    if (message.kind === "dismiss") return this.#dismissHere(message.id);
    if (this.#tabs.leading) {
      if (message.kind === "hello") this.#share();
      if (message.kind === "restart") this.restart(message);
    } else if (message.kind === "state") {
      this.#tabs.watch();
      this.#lastEventId = message.lastEventId;
      if (message.status.state === "live" && !this.#saidShared) {
        this.#saidShared = true;
        this.#with.log("Call stream connected, shared with another tab");
      }
      this.#show(message.calls, message.status, message.news);
    }
  }

  #share(news = null) {
    const { calls, status } = this;
    this.#tabs.post({ kind: "state", calls, status, lastEventId: this.#lastEventId, news });
  }

  /** `news` names the event beside `change`, if any. */
  #show(calls, status, news) {
    this.calls = calls;
    this.status = status;
    this.dispatchEvent(new Event("change"));
    if (news) this.dispatchEvent(new Event(news));
  }

  #become(changes, calls = this.calls, news = null) {
    this.#show(calls, { ...this.status, ...changes }, news);
    if (this.#tabs.leading) this.#share(news);
  }

  #dismissHere(id) {
    const call = this.calls.find((other) => other.id === id);
    if (!call || call.status === "ended") return;
    this.#become({}, reduce(this.calls, { type: "dismissed", call }));
  }

  // --- The leader's stream ---------------------------------------------------------------------------------------

  #connect() {
    this.#source?.close();
    this.#source = null;
    this.#openedAt = 0;
    this.#proven = false;
    this.#wake(OPENING_MS, () => {
      this.#countUnopened();
      this.#retry();
    });
    this.#opening = {};
    if (this.token) this.#connectWithTicket(this.#opening);
    else this.#listen(null);
  }

  /** An EventSource sends no token, so each line is opened with a ticket that the token buys. */
  async #connectWithTicket(opening) {
    const answer = await this.fetch("api/auth/ticket", { method: "POST" }).catch(() => ({ ok: false, status: 0 }));
    const ticket = answer.ok ? (await answer.json().catch(() => ({}))).ticket : null;
    const viewer = await this.#credential.viewer();
    if (this.#opening !== opening) return;
    if (ticket && viewer !== this.#viewer) return this.#beginAnew();
    if (ticket) return this.#listen(ticket);
    if (isDenied(answer.status)) {
      this.#forget("denied");
      return this.#wake(this.#waitAgain(), () => this.#connect());
    }
    this.#countUnopened();
    this.#retry();
  }

  #listen(ticket) {
    const { EventSource } = this.#with;
    const url = new URL("api/ringcentral/call-stream", this.#src);
    if (this.#lastEventId) url.searchParams.set("last_event_id", this.#lastEventId);
    if (ticket) url.searchParams.set("ticket", ticket);
    const source = new EventSource(url.href, { withCredentials: !ticket });
    this.#source = source;
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (source !== this.#source) return;
        // The server's `error` and the browser's own arrive at the same listener; only the server's carries data.
        if (event.data === undefined) this.#broken(source);
        else this.#receive(event);
      });
    }
  }

  #wake(ms, then) {
    clearTimeout(this.#alarm);
    this.#alarm = setTimeout(then, ms);
  }

  #receive(event) {
    let data;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    if (event.lastEventId) this.#lastEventId = event.lastEventId;
    const changes = { heardAt: Date.now() };
    if (data.server_time) changes.clockOffset = Date.parse(data.server_time) - Date.now() || 0;
    if (data.type === "connected") {
      this.#with.log("Call stream connected");
      this.#openedAt = Date.now();
      this.#unopened = 0;
      changes.trouble = null;
    } else if (this.#openedAt && Date.now() - this.#openedAt > BURST_MS) {
      this.#proven = true;
      this.#muted = 0;
    }
    if (this.#openedAt && this.#muted < MUTE_LINES) {
      this.#poll.stop();
      changes.state = "live";
    }
    if (this.#openedAt) this.#wake(SILENCE_MS, () => this.#silent());
    if (data.type === "error") Object.assign(changes, { trouble: data.error, troubleAt: Date.now() });
    if (data.type === "resync") changes.trouble = null;
    if (data.type === "heartbeat" && Date.now() - this.status.troubleAt > SILENCE_MS) changes.trouble = null;
    if (data.call) changes.trouble = null;
    const fresh = data.type === "resync" || (data.type === "connected" && !data.resumed);
    this.#become(changes, reduce(this.calls, data), fresh ? "fresh" : null);
  }

  /** The browser says the line broke. It comes back by itself unless it is CLOSED, which is for good: then we do. */
  #broken(source) {
    const refused = !this.#openedAt;
    this.#forgive();
    this.#openedAt = 0;
    // A ticket opens one line, so with one the browser must not come back by itself.
    if (source.readyState !== 2 && !this.token) {
      if (refused) this.#countUnopened();
      this.#become({ state: this.#poll.running ? this.status.state : "reconnecting" });
      return this.#wake(BROWSER_RETRY_MS, () => this.#connect());
    }
    // EventSource does not tell 401 from 502; asking for active-calls does, and brings the calls meanwhile.
    if (refused && source.readyState === 2) this.#poll.start();
    else if (refused) this.#countUnopened();
    this.#retry();
  }

  #countUnopened() {
    if (++this.#unopened >= MUTE_LINES) this.#poll.start();
  }

  #silent() {
    if (!this.#proven && ++this.#muted >= MUTE_LINES) this.#poll.start();
    this.#retry();
  }

  #forgive() {
    if (this.#openedAt && Date.now() - this.#openedAt > PROVEN_MS) this.#attempt = 0;
  }

  #retry() {
    this.#forgive();
    this.#source?.close();
    this.#source = null;
    if (!this.#poll.running) this.#become({ state: "reconnecting" });
    this.#wake(this.#waitAgain(), () => this.#connect());
  }

  #waitAgain() {
    return backoff(this.#attempt++, this.#with.random());
  }

  #polled({ status, calls }) {
    if (isDenied(status)) this.#forget("denied");
    else if (calls) this.#become({ state: "polling", heardAt: Date.now() }, reduce(this.calls, { type: "snapshot", calls }));
    else this.#become({ state: "offline" });
  }

  #silence() {
    clearTimeout(this.#alarm);
    this.#poll.stop();
    this.#opening = null;
    this.#source?.close();
    this.#source = null;
  }
}

/** The viewer has to sign in, or may not see calls. */
const isDenied = (status) => status === 401 || status === 403;
