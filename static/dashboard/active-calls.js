/**
 * The calls of the "active now" table: those of the feed, and those that only the service knows, because this viewer dismissed
 * them. The second are read again while there are any. No DOM here.
 *
 * @import { Call } from "../model/call.js"
 */
import { VisibleRefresh } from "../lib/visible-refresh.js";
import { isShown } from "../model/call.js";
import { activeRows, readAfter } from "../model/rows.js";

/** How often the list is read while it holds calls the stream says nothing about; what it shows is never older than this. */
const SILENT_MS = 2_000;
/**
 * How long they are looked for after they were there last: one that went back to its queue may ring again, and whether it
 * did or ended the stream does not say.
 */
const ABSENT_MS = 60_000;
/** After a failure. */
const FAILED_MS = 5_000;

/**
 * @typedef {EventTarget & { calls: Call[] }} FollowedFeed
 *
 * @typedef {object} Reader
 * @property {() => Promise<Call[] | null>} read  asks the service for its active calls; null when that failed, which it reports
 * @property {() => boolean} isVisible  whether the rows would be on screen now
 */

/** Events: `change`, the rows are others; `ended`, a call ended that the stream said nothing of. */
export class ActiveCalls extends EventTarget {
  /** @type {Call[]} */
  rows = [];
  /** Whether the service was read, so that no rows means no calls. */
  isKnown = false;
  #feed;
  #read;
  #signal;
  #refresh;
  /** @type {Call[]} */
  #followed;
  /** @type {Call[]} */
  #listed = [];
  /**
   * When calls this viewer dismissed were going on last, by id.
   *
   * @type {Map<string, number>}
   */
  #seenAt = new Map();
  /** The newest request; the answers of those before it are outdated. */
  #request = {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** When that timer is due. */
  #dueAt = 0;

  /**
   * @param {FollowedFeed} feed
   * @param {Reader} reader
   * @param {AbortSignal} signal  ends it
   */
  constructor(feed, { read, isVisible }, signal) {
    super();
    this.#feed = feed;
    this.#read = read;
    this.#signal = signal;
    this.#followed = feed.calls;
    this.#refresh = new VisibleRefresh(() => this.#load(), isVisible);
    feed.addEventListener("change", () => this.#follow(), { signal });
    signal.addEventListener("abort", () => {
      this.#refresh.cancel();
      clearTimeout(this.#timer);
    });
  }

  /** How many ring for this viewer. Only the feed's: it is current also while nothing is read because the page is hidden. */
  get ringing() {
    return this.#followed.filter((call) => isShown(call) && call.status === "ringing").length;
  }

  /** Reads now, also while the rows are not on screen. */
  load() {
    return this.#load();
  }

  /** Reads at a random moment within this time, if the rows are on screen then. */
  request(withinMs = 0) {
    this.#refresh.request(withinMs);
  }

  /** Does what was requested, when the rows may have come on screen. */
  flush() {
    this.#refresh.flush();
  }

  #follow() {
    const before = this.#followed;
    this.#followed = this.#feed.calls;
    if (this.#followed === before) return;
    const now = new Set(this.#followed.map(({ id }) => id));
    const lost = before.some((call) => isShown(call) && !now.has(call.id));
    this.#listed = readAfter(this.#listed, before, this.#followed);
    this.#update();
    // Gone without an end: the end was missed, and the history has it.
    if (lost) this.dispatchEvent(new Event("ended"));
  }

  async #load() {
    const request = (this.#request = {});
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const calls = await this.#read();
    if (this.#signal.aborted || request !== this.#request) return;
    if (!calls) return this.#readLater(FAILED_MS);
    const gone = this.#listed.some((call) => !calls.some((other) => other.id === call.id));
    this.#listed = calls;
    this.isKnown = true;
    this.#update();
    if (gone) this.dispatchEvent(new Event("ended"));
  }

  #update() {
    const { rows, silent } = activeRows(this.#followed, this.#listed);
    this.rows = rows;
    const absent = this.#isAnyAbsent();
    if (silent || absent) this.#readLater(SILENT_MS);
    this.dispatchEvent(new Event("change"));
  }

  /** Did a dismissed call leave the list so lately that it may come back? */
  #isAnyAbsent() {
    const now = Date.now();
    for (const call of this.#listed) if (!this.#followed.some((other) => other.id === call.id && isShown(other))) this.#seenAt.set(call.id, now);
    for (const [id, seenAt] of this.#seenAt) if (now - seenAt > ABSENT_MS) this.#seenAt.delete(id);
    return this.#seenAt.size > 0;
  }

  /**
   * A timer that is due before that is left alone: the feed changes with every heartbeat. One that is due later is not: it waits
   * after a failure, and the line that says something now shows that the service is there.
   *
   * @param {number} ms
   */
  #readLater(ms) {
    const dueAt = Date.now() + ms;
    if (this.#timer !== undefined && this.#dueAt <= dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#refresh.request();
    }, ms);
  }
}
