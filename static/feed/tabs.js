/**
 * One leader among the tabs of a browser, and a channel between them all.
 *
 * The leader is whoever holds a Web Lock. When its tab closes the lock passes on; when it sleeps another tab takes the lock.
 * Without Web Locks or BroadcastChannel (plain http, old browsers) each tab leads itself.
 */

/** Longer than a leader's longest honest pause, a full backoff and an opening. After that its lock is taken. */
const SILENCE_MS = 60_000;

export class Tabs {
  /** Whether this tab is the leader. */
  leading = false;
  #with;
  #on;
  #name;
  #life = null;
  #channel = null;
  #alarm;

  /** `browser` has `locks`, `BroadcastChannel` and `random`; `on` what happens: `lead()`, `stepBack()`, `message(data)`. */
  constructor(browser, on) {
    this.#with = browser;
    this.#on = on;
  }

  /** Joins the tabs of this name; with none, nobody. */
  join(name) {
    const { locks, BroadcastChannel } = this.#with;
    this.#life = new AbortController();
    this.#name = name;
    if (!name || !locks || !BroadcastChannel) return this.#lead();
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#on.message(data);
    this.#follow();
  }

  /** Another tab takes over. */
  leave() {
    this.#life?.abort();
    this.#life = null;
    this.leading = false;
    clearTimeout(this.#alarm);
    this.#channel?.close();
    this.#channel = null;
  }

  /** Tells all other tabs. */
  post(message) {
    this.#channel?.postMessage(message);
  }

  /** The leader spoke, so it is awake. */
  watch() {
    clearTimeout(this.#alarm);
    // Tabs that wait for the same leader must not all steal at the same moment.
    const patience = SILENCE_MS + this.#with.random() * 5_000;
    this.#alarm = setTimeout(() => this.#follow({ steal: true }), patience);
  }

  #follow({ steal = false } = {}) {
    const life = this.#life;
    const held = () => {
      if (this.#life !== life) return undefined;
      this.#lead();
      return new Promise((resolve) => life.signal.addEventListener("abort", resolve));
    };
    // A lock that is being stolen cannot be waited for, so only a waiting request takes the signal.
    const options = steal ? { steal } : { signal: life.signal };
    this.#with.locks.request(this.#name, options, held).catch((error) => {
      if (this.#life !== life) return;
      if (error?.name !== "AbortError") return this.#lead();
      // Another tab stole the lock because this one slept too long: step back and queue again.
      this.leading = false;
      this.#on.stepBack();
      this.#follow();
    });
    if (!steal) this.watch();
  }

  #lead() {
    clearTimeout(this.#alarm);
    this.leading = true;
    this.#on.lead();
  }
}
