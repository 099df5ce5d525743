/**
 * A refresh that is deferred: to a random moment, so that many browsers spread out, and while the page is hidden, until it
 * is visible. What makes a refresh necessary often happens to every tab of every browser at once, such as a restart of the
 * service. No DOM here.
 */
export class VisibleRefresh {
  #refresh;
  #isVisible;
  #random;
  #requested = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => void} refresh
   * @param {() => boolean} isVisible  whether the result would be on screen now
   * @param {() => number} random
   */
  constructor(refresh, isVisible, random = Math.random) {
    this.#refresh = refresh;
    this.#isVisible = isVisible;
    this.#random = random;
  }

  /**
   * Refreshes once, at a random moment within this time, however often it is requested meanwhile. What is not visible then
   * waits for `flush`.
   */
  request(withinMs = 0) {
    this.#requested = true;
    if (withinMs === 0) return this.flush();
    this.#timer ??= setTimeout(() => this.flush(), this.#random() * withinMs);
  }

  /** Does a requested refresh now, if it is visible. To be called when something may have become visible. */
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#requested || !this.#isVisible()) return;
    this.#requested = false;
    this.#refresh();
  }

  /** Forgets what was requested. */
  cancel() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#requested = false;
  }
}
