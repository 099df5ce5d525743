/**
 * The calls of the pill across the pages of a site. In sessionStorage are only their ids, until when each is kept and whose they
 * are, no names and no numbers: the calls are read from the service again, which sends what this viewer may see now.
 *
 * @import { Call } from "../model/call.js"
 * @import { Entry } from "./folded-calls.js"
 */
import { isShown } from "../model/call.js";
import { RECENT_MS } from "./folded-calls.js";

const KEY = "call-popup recent";

/** @typedef {{ viewer: string | null, calls: [id: string, until: number | null][] }} Kept  What is stored. */

export class KeptCalls {
  /** Whether `load` was called: before, nothing is written over what the page before kept. */
  isLoaded = false;
  /** @type {string | null} */
  #viewer = null;
  /**
   * Those of the page before that were not found yet, and until when they are kept.
   *
   * @type {Map<string, number>}
   */
  #missing = new Map();
  #written = "";

  /** Whether calls of the page before are still to be found. */
  get isIncomplete() {
    return this.#missing.size > 0;
  }

  /**
   * Reads what the page before kept, if that was for the same viewer.
   *
   * @param {string | null} viewer  the subject of the token; null where the cookie says who it is
   * @param {number} now
   */
  load(viewer, now) {
    this.isLoaded = true;
    this.#viewer = viewer;
    const kept = read();
    const calls = kept?.viewer === viewer && Array.isArray(kept.calls) ? kept.calls : [];
    this.#missing = new Map(calls.map(([id, until]) => [id, until ?? now + RECENT_MS]));
  }

  /**
   * Those of `calls` that were missing and belong into the pill. One that rings gets there, or on a card, by itself.
   *
   * @param {Call[]} calls
   * @param {number} now
   * @returns {{ call: Call, until: number }[]}
   */
  find(calls, now) {
    return calls.flatMap((call) => {
      const until = this.#missing.get(call.id);
      this.#missing.delete(call.id);
      if (until === undefined || call.status === "ringing" || !(isShown(call) || (call.status === "ended" && !call.dismissed))) return [];
      const latest = Math.min(until, (call.ended_at ? Date.parse(call.ended_at) : now) + RECENT_MS);
      return latest > now ? [{ call, until: latest }] : [];
    });
  }

  /**
   * @param {Entry[]} entries  the pill's, and those of cards, which are in the pill when they end
   * @param {number} now
   */
  write(entries, now) {
    if (!this.isLoaded) return;
    for (const [id, until] of this.#missing) if (until <= now) this.#missing.delete(id);
    const calls = [...entries.map(({ call, until }) => [call.id, until]), ...this.#missing];
    const text = JSON.stringify({ viewer: this.#viewer, calls });
    if (text === this.#written) return;
    this.#written = text;
    try {
      sessionStorage.setItem(KEY, text);
    } catch {
      // Storage can be forbidden; then the next page begins with an empty pill.
    }
  }

  /** Another person uses this page: they begin with nothing. */
  clear() {
    this.#missing.clear();
    // Also what was not read yet.
    this.isLoaded = true;
    this.write([], 0);
    this.isLoaded = false;
  }
}

/** @returns {Kept | null} */
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  } catch {
    return null;
  }
}
