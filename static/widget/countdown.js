/** A timer that can be paused. Real time, not ticks: a background tab that is throttled ends on time all the same. */
export class Countdown {
  #leftMs;
  #onEnd;
  /** @type {number | null} */
  #startedAt = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {number} ms
   * @param {() => void} onEnd
   */
  constructor(ms, onEnd) {
    this.#leftMs = ms;
    this.#onEnd = onEnd;
  }

  get leftMs() {
    return this.#startedAt === null ? this.#leftMs : Math.max(0, this.#leftMs - (Date.now() - this.#startedAt));
  }

  start() {
    if (this.#startedAt !== null) return;
    this.#startedAt = Date.now();
    this.#timer = setTimeout(this.#onEnd, this.#leftMs);
  }

  /** Keeps what is left for the next `start`. */
  pause() {
    if (this.#startedAt === null) return;
    clearTimeout(this.#timer);
    this.#leftMs = this.leftMs;
    this.#startedAt = null;
  }
}
