/**
 * One leader among the tabs of a browser, and a channel between them all.
 *
 * The leader is the tab that holds a Web Lock. When it closes, the lock passes on; when it sleeps, another tab takes the lock.
 * Without Web Locks or BroadcastChannel (plain http, old browsers) each tab leads itself.
 */

/** Longer than a leader's longest pause, a full backoff and an opening. After that its lock is taken. */
const SILENCE_MS = 60_000;

/**
 * @typedef {object} TabsBrowser
 * @property {LockManager | undefined} locks
 * @property {typeof globalThis.BroadcastChannel | undefined} BroadcastChannel
 * @property {() => number} random
 *
 * @typedef {object} TabsListener
 * @property {() => void} lead  this tab leads from now on
 * @property {() => void} stepBack  another tab does
 * @property {(message: any) => void} message  from another tab
 */

export class Tabs {
  /** Whether this tab is the leader. */
  leading = false;
  #browser;
  #on;
  #name = "";
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
    this.#channel.onmessage = ({ data }) => this.#on.message(data);
    this.#follow(locks);
  }

  /** Another tab takes over. */
  leave() {
    this.#membership?.abort();
    this.#membership = null;
    this.leading = false;
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
    this.#channel?.postMessage(message);
  }

  /** A message of the leader came, so it is awake: its lock is not taken before another silence. */
  leaderIsAwake() {
    clearTimeout(this.#timer);
    // Tabs that wait for the same leader must not all steal at the same moment.
    const patience = SILENCE_MS + this.#browser.random() * 5_000;
    const { locks } = this.#browser;
    if (locks) this.#timer = setTimeout(() => this.#follow(locks, { steal: true }), patience);
  }

  /** @param {LockManager} locks */
  #follow(locks, { steal = false } = {}) {
    const membership = this.#membership;
    if (!membership) return;
    const held = () => {
      if (this.#membership !== membership) return undefined;
      this.#lead();
      return new Promise((resolve) => membership.signal.addEventListener("abort", resolve));
    };
    // A lock that is being stolen cannot be waited for, so only a waiting request takes the signal.
    const options = steal ? { steal } : { signal: membership.signal };
    locks.request(this.#name, options, held).catch((error) => {
      if (this.#membership !== membership) return;
      if (error?.name !== "AbortError") return this.#lead();
      // Another tab stole the lock because this one slept too long: step back and queue again.
      this.leading = false;
      this.#on.stepBack();
      this.#follow(locks);
    });
    if (!steal) this.leaderIsAwake();
  }

  #lead() {
    clearTimeout(this.#timer);
    this.leading = true;
    this.#on.lead();
  }
}
