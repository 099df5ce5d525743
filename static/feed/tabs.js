/**
 * One leader among the tabs of a browser, and a channel between them all.
 *
 * The leader is the tab that holds a Web Lock. When it closes, the lock passes on. Another tab steals the lock when the leader
 * does not answer a ping: its timers may be throttled, but a channel's messages are not. Without Web Locks or BroadcastChannel
 * (plain http, old browsers) each tab leads itself.
 *
 * What a leader sends carries its term, which grows with every change of leader: a tab that lost the lock while its main thread
 * was blocked sends events for a moment before it knows.
 */

/** A live leader sends something every 2 s while no call is on, so it is asked after this much silence. */
const SILENCE_MS = 6_000;
/** How long it has for its answer. Together: another tab leads less than 15 s after the main thread of a leader hangs. */
const ANSWER_MS = 6_000;
/** The same on a page that was just shown or is online again: a person looks at it. */
const QUICK_ANSWER_MS = 3_000;
/** Tabs that wait for the same leader must not all steal at the same moment. */
const SPREAD_MS = 2_000;

/**
 * @typedef {object} TabsBrowser
 * @property {LockManager | undefined} locks
 * @property {typeof globalThis.BroadcastChannel | undefined} BroadcastChannel
 * @property {() => number} random
 *
 * @typedef {object} TabsListener
 * @property {() => void} lead  this tab leads from now on
 * @property {() => void} stepBack  another tab does
 * @property {(wake: string | null) => void} ping  another tab asked this leader; `wake` is why, when its page woke
 * @property {(message: any) => void} message  from another tab
 */

export class Tabs {
  /** Whether this tab is the leader. */
  leading = false;
  #browser;
  #on;
  #name = "";
  #term = 0;
  /** Whether a request of this tab waits for the lock. */
  #isQueued = false;
  /**
   * The request that holds the lock; null while another tab does.
   *
   * @type {object | null}
   */
  #grant = null;
  /** @type {AbortController | null} */
  #membership = null;
  /** @type {BroadcastChannel | null} */
  #channel = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {TabsBrowser} browser
   * @param {TabsListener} on
   */
  constructor(browser, on) {
    this.#browser = browser;
    this.#on = on;
  }

  /**
   * Joins the tabs of this name.
   *
   * @param {string | null} name  null for a tab that shares nothing
   */
  join(name) {
    const { locks, BroadcastChannel } = this.#browser;
    this.#membership = new AbortController();
    if (!name || !locks || !BroadcastChannel) return this.#lead();
    this.#name = name;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#onMessage(data);
    this.#follow(locks);
  }

  /** Another tab takes over. */
  leave() {
    this.#membership?.abort();
    this.#membership = null;
    this.leading = false;
    this.#isQueued = false;
    this.#grant = null;
    clearTimeout(this.#timer);
    this.#channel?.close();
    this.#channel = null;
  }

  /**
   * Sends a message to all other tabs.
   *
   * @param {object} message
   */
  post(message) {
    this.#channel?.postMessage(this.leading ? { ...message, term: this.#term } : message);
  }

  /**
   * Asks the leader now, because this page woke, and what the leader has may be as old as the sleep was long.
   *
   * @param {string} wake  why
   */
  ask(wake) {
    if (!this.leading && this.#membership) this.#ping(QUICK_ANSWER_MS, wake);
  }

  /** @param {any} message */
  #onMessage(message) {
    const { kind, term, wake } = message;
    if (term < this.#term && kind !== "dismiss") return;
    // A tab that was granted the lock and lost it again while it hung leads for a moment when it wakes, in a later term.
    if (this.leading) this.#term = Math.max(this.#term, (term ?? 0) + 1);
    else if (term !== undefined) {
      this.#term = term;
      this.#awaitSilence();
    }
    if (kind === "pong") return;
    if (kind !== "ping") return this.#on.message(message);
    if (!this.leading) return;
    this.post({ kind: "pong" });
    this.#on.ping(wake);
  }

  /** The leader is awake. */
  #awaitSilence() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ping(ANSWER_MS), SILENCE_MS + this.#browser.random() * 1_000);
  }

  /**
   * @param {number} patience
   * @param {string | null} wake
   */
  #ping(patience, wake = null) {
    clearTimeout(this.#timer);
    this.post({ kind: "ping", wake });
    this.#timer = setTimeout(() => this.#steal(), patience + this.#browser.random() * SPREAD_MS);
  }

  #steal() {
    const { locks } = this.#browser;
    if (locks) this.#follow(locks, { steal: true });
  }

  /** @param {LockManager} locks */
  #follow(locks, { steal = false } = {}) {
    const membership = this.#membership;
    if (!membership || this.leading) return;
    if (!steal) this.#awaitSilence();
    if (!steal && this.#isQueued) return;
    this.#isQueued ||= !steal;
    const grant = {};
    const held = () => {
      if (this.#membership !== membership) return undefined;
      if (!steal) this.#isQueued = false;
      // A waiting request may be granted while another of this tab steals; the later grant counts.
      this.#grant = grant;
      if (!this.leading) this.#lead();
      return new Promise((resolve) => membership.signal.addEventListener("abort", resolve));
    };
    // A lock that is being stolen cannot be waited for, so only a waiting request takes the signal.
    const options = steal ? { steal } : { signal: membership.signal };
    locks.request(this.#name, options, held).catch((error) => {
      if (this.#membership !== membership) return;
      if (error?.name !== "AbortError") return this.#lead();
      if (this.#grant === grant) this.#stepBack(locks);
    });
  }

  /**
   * Another tab stole the lock because this one did not answer: queues again.
   *
   * @param {LockManager} locks
   */
  #stepBack(locks) {
    this.#grant = null;
    this.leading = false;
    this.#term = 0;
    this.#on.stepBack();
    this.#follow(locks);
  }

  #lead() {
    clearTimeout(this.#timer);
    this.leading = true;
    this.#term = Math.max(Date.now(), this.#term + 1);
    // Those that were about to steal the lock as well wait again.
    this.post({ kind: "pong" });
    this.#on.lead();
  }
}
