/**
 * The calls that were in the pill, or on cards, on the page before: they are put into the pill again. Only once the service was
 * heard: its clock says how long they are kept.
 *
 * @import { Call } from "../model/call.js"
 * @import { CallFeed } from "../feed/call-feed.js"
 */
import { KeptCalls } from "./kept-calls.js";

/** How many ended calls are looked through for those that were in the pill of the page before. */
const LOOKED_THROUGH = 100;

export class RestoredCalls {
  #kept = new KeptCalls();
  #isRestoring = false;
  /** @type {(call: Call, until: number) => void} */
  #add;
  /** @type {() => void} */
  #added;

  /**
   * @param {(call: Call, until: number) => void} add puts a call into the pill
   * @param {() => void} added all that were found are in it
   */
  constructor(add, added) {
    this.#add = add;
    this.#added = added;
  }

  /**
   * The feed has changed.
   *
   * @param {CallFeed} feed
   * @param {AbortSignal} signal aborted when the feed is another
   */
  update(feed, signal) {
    if (this.#kept.isLoaded) this.#restore(feed.calls, feed.now());
    else if (feed.status?.state === "live" || feed.status?.state === "polling") this.#load(feed, signal);
  }

  /**
   * Keeps these for the next page.
   *
   * @param {{ call: Call, until: number | null }[]} calls
   * @param {number} now
   */
  write(calls, now) {
    this.#kept.write(calls, now);
  }

  /** Another person uses this page. */
  clear() {
    this.#kept.clear();
    this.#isRestoring = false;
  }

  /** The feed is another. */
  reset() {
    this.#kept = new KeptCalls();
    this.#isRestoring = false;
  }

  /**
   * @param {CallFeed} feed
   * @param {AbortSignal} signal
   */
  async #load(feed, signal) {
    if (this.#isRestoring) return;
    this.#isRestoring = true;
    const isCurrent = () => this.#isRestoring && !signal.aborted;
    const viewer = await feed.viewer();
    if (!isCurrent()) return;
    this.#kept.load(viewer, feed.now());
    this.#restore(feed.calls, feed.now());
    if (!this.#kept.isIncomplete) return;
    const page = await feed.service.get(`api/ringcentral/calls?limit=${LOOKED_THROUGH}`, { signal }).catch(() => null);
    if (page && isCurrent()) this.#restore(page.calls, feed.now());
  }

  /**
   * @param {Call[]} calls
   * @param {number} now
   */
  #restore(calls, now) {
    if (!this.#kept.isIncomplete) return;
    for (const { call, until } of this.#kept.find(calls, now)) this.#add(call, until);
    this.#added();
  }
}
