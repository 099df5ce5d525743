/**
 * The call history as far as it was read: a page after another, and on top what ended since. No I/O here.
 *
 * @import { Call } from "./call.js"
 */
import { newestFirst } from "./call.js";

/** @typedef {{ calls: Call[], next_cursor: string | null }} Page  An answer of the call history. */

export class PastCalls {
  /**
   * Newest first; replaced, never changed in place.
   *
   * @type {Call[]}
   */
  calls = [];
  /**
   * Where the next older page begins; null when there is none.
   *
   * @type {string | null}
   */
  cursor = null;

  /**
   * The next older page was read.
   *
   * @param {Page} page
   */
  addOlder({ calls, next_cursor }) {
    this.#merge(calls);
    this.cursor = next_cursor;
  }

  /**
   * The newest page was read again. When more calls ended since than it holds, the list begins again with it, because those
   * between are unknown; returns whether it does.
   *
   * @param {Page} page
   */
  addNewest({ calls, next_cursor }) {
    const known = new Set(this.calls.map(({ id }) => id));
    const meets = calls.some(({ id }) => known.has(id));
    const startsOver = next_cursor === null || !meets;
    if (startsOver) {
      this.calls = [];
      this.cursor = next_cursor;
    }
    this.#merge(calls);
    return startsOver;
  }

  /**
   * What ended since, as the stream says; returns whether that changed anything. A call that began before the oldest one here
   * belongs to a page that was not read yet.
   *
   * @param {Call[]} followed  the calls of the feed
   */
  follow(followed) {
    const byId = new Map(this.calls.map((call) => [call.id, call]));
    const oldest = this.cursor === null ? -Infinity : Date.parse(this.calls.at(-1)?.timestamp ?? "");
    const news = followed.filter((call) => call.status === "ended" && Date.parse(call.timestamp) >= oldest && !((byId.get(call.id)?.rev ?? -1) >= call.rev));
    if (news.length) this.#merge(news);
    return news.length > 0;
  }

  /** @param {Call[]} calls */
  #merge(calls) {
    this.calls = newestFirst([...new Map([...this.calls, ...calls].map((call) => [call.id, call])).values()]);
  }
}
