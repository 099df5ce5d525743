/**
 * Calls whose card left the screen without being dismissed: those that still ring, and those that are over, for some minutes.
 * They are behind one pill. Pure, but for the clock that is passed in.
 *
 * @import { Call } from "../model/call.js"
 */

/** How long a call stays after it stopped ringing. */
export const RECENT_MS = 5 * 60_000;
/** Calls that are over, at most; a pill is no history. */
const MOST_RECENT = 10;

/**
 * @typedef {object} Entry
 * @property {Call} call
 * @property {number | null} until  when it is dropped, in epoch milliseconds; null while it rings
 */

export class FoldedCalls {
  /** @type {Entry[]} */
  #entries = [];

  get entries() {
    return this.#entries;
  }

  /** Newest first. */
  get calls() {
    return this.#entries.map(({ call }) => call);
  }

  get ringing() {
    return this.#entries.filter(({ until }) => until === null).length;
  }

  /** @param {string} id */
  has(id) {
    return this.#entries.some(({ call }) => call.id === id);
  }

  /** @param {string} id */
  rings(id) {
    return this.#entries.some(({ call, until }) => call.id === id && until === null);
  }

  /** The words on the pill; empty when there is nothing behind it. */
  get label() {
    const { ringing } = this;
    const count = ringing || this.#entries.length;
    if (count === 0) return "";
    const calls = count === 1 ? "call" : "calls";
    return ringing ? `${count} ${calls} ringing` : `${count} recent ${calls}`;
  }

  /**
   * @param {Call} call
   * @param {number} now
   * @param {number} until  when it is dropped, unless it rings
   */
  add(call, now, until = now + RECENT_MS) {
    this.remove(call.id);
    this.#entries.push({ call, until: call.status === "ringing" ? null : until });
    this.#entries.sort((a, b) => Date.parse(b.call.timestamp) - Date.parse(a.call.timestamp));
    const over = this.#entries.filter(({ until }) => until !== null);
    for (const { call: oldest } of over.slice(MOST_RECENT)) this.remove(oldest.id);
  }

  /** @param {string} id */
  remove(id) {
    this.#entries = this.#entries.filter(({ call }) => call.id !== id);
  }

  clear() {
    this.#entries = [];
  }

  /**
   * Brings the entries up to date with the feed. One that was dismissed, that went back to a queue or that rings again after it
   * had stopped is dropped; the last will be shown as a card.
   *
   * @param {Call[]} calls
   * @param {number} now
   */
  update(calls, now) {
    this.#entries = this.#entries.flatMap(({ call: before, until }) => {
      const call = calls.find(({ id }) => id === before.id) ?? over(before, now);
      const rings = call.status === "ringing";
      if (call.dismissed || call.status === "setup" || (rings && until !== null)) return [];
      return [{ call, until: rings ? null : (until ?? now + RECENT_MS) }];
    });
  }

  /**
   * Drops what has been over for long enough.
   *
   * @param {number} now
   */
  expire(now) {
    this.#entries = this.#entries.filter(({ until }) => until === null || until > now);
  }
}

/**
 * A call that is not in the feed any more is over, although its end was never seen.
 *
 * @param {Call} call
 * @param {number} now
 * @returns {Call}
 */
const over = (call, now) => (call.status === "ended" ? call : { ...call, status: "ended", ended_at: new Date(now).toISOString() });
