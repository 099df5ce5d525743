/**
 * The Live view: the calls of now, and the recent ones.
 *
 * It reads through the popup's own feed, so a page has one picture of the calls and a browser one stream. What the stream
 * leaves out (calls this viewer dismissed, and calls from before) is read over HTTP.
 *
 * @import { Call } from "../../model/call.js"
 * @import { ServiceError } from "../../lib/service.js"
 * @import { View, ViewContext } from "../router.js"
 */
import { find } from "../../lib/dom.js";
import { VisibleRefresh } from "../../lib/visible-refresh.js";
import { recentRows } from "../../model/rows.js";
import { ActiveCalls } from "../active-calls.js";
import { CallTable } from "../call-table.js";

/** What every dashboard reads after the same event, such as a restart of the service, is read within this. */
const SPREAD_MS = 4_000;
const TICK_MS = 1_000;
const RECENT_TICK_MS = 10_000;
const RECENT = 10;
const TITLE = "Calls";

/** @implements {View} */
export class LiveView {
  #context = /** @type {ViewContext} */ ({});
  #parts = /** @type {ReturnType<typeof partsOf>} */ ({});
  #activeTable = /** @type {CallTable} */ ({});
  #recentTable = /** @type {CallTable} */ ({});
  #active = /** @type {ActiveCalls} */ ({});
  #recentRefresh = new VisibleRefresh(() => this.#loadRecent(), () => !document.hidden && !this.#parts.root.hidden);
  /**
   * The last answer of the call history; null before the first.
   *
   * @type {Call[] | null}
   */
  #recent = null;

  /**
   * @param {HTMLElement} root
   * @param {ViewContext} context
   */
  mount(root, context) {
    const { feed, settings, signal, tableContext } = context;
    this.#context = context;
    this.#parts = partsOf(root);
    const read = () => this.#read("api/ringcentral/active-calls");
    this.#active = new ActiveCalls(feed, { read, isVisible: () => !document.hidden }, signal);
    this.#activeTable = new CallTable(this.#parts.active, ["status", "caller", "line", "agent", "time"], tableContext);
    this.#recentTable = new CallTable(this.#parts.recent, ["result", "caller", "line", "answeredBy", "when"], tableContext);
    this.#active.addEventListener("change", () => this.#render(), { signal });
    this.#active.addEventListener("ended", () => this.#recentRefresh.request(SPREAD_MS), { signal });
    feed.addEventListener("resync", () => this.#requestBoth(SPREAD_MS), { signal });
    settings.addEventListener("change", () => this.#render(), { signal });
    document.addEventListener("visibilitychange", () => {
      this.#active.flush();
      this.#recentRefresh.flush();
    }, { signal });
    const ticks = [
      setInterval(() => this.#activeTable.tick(), TICK_MS),
      setInterval(() => this.#recentTable.tick(), RECENT_TICK_MS),
    ];
    signal.addEventListener("abort", () => ticks.forEach(clearInterval));
    // Also while the page is hidden: the title says how many ring.
    this.#active.load();
    this.#recentRefresh.request();
  }

  show() {
    this.#recentRefresh.flush();
  }

  unmount() {
    this.#recentRefresh.cancel();
    this.#activeTable.showLoading();
    this.#recentTable.showLoading();
    document.title = TITLE;
  }

  #requestBoth(withinMs = 0) {
    this.#active.request(withinMs);
    this.#recentRefresh.request(withinMs);
  }

  #render() {
    if (this.#active.isKnown) this.#renderActive();
    if (this.#recent) this.#renderRecent(this.#recent);
  }

  #renderActive() {
    const { rows, ringing } = this.#active;
    const { active, activeEmpty } = this.#parts;
    this.#activeTable.show(rows);
    active.hidden = rows.length === 0;
    activeEmpty.hidden = rows.length > 0;
    document.title = ringing ? `(${ringing}) ${TITLE}` : TITLE;
  }

  /** @param {Call[]} read */
  #renderRecent(read) {
    const rows = recentRows(this.#context.feed.calls, read, RECENT);
    const { recent, recentEmpty } = this.#parts;
    this.#recentTable.show(rows);
    recent.hidden = rows.length === 0;
    recentEmpty.hidden = rows.length > 0;
  }

  async #loadRecent() {
    const calls = await this.#read(`api/ringcentral/calls?limit=${RECENT}`);
    if (!calls) return;
    this.#recent = calls;
    this.#render();
  }

  /**
   * The calls of an answer; null when there is none, which is said on the page.
   *
   * @param {string} path
   * @returns {Promise<Call[] | null>}
   */
  async #read(path) {
    const { service, signal, showError, onAccepted, onDenied, retry } = this.#context;
    try {
      const { calls } = await service.get(path, { signal });
      if (signal.aborted) return null;
      showError(null);
      onAccepted();
      return calls;
    } catch (reason) {
      const error = /** @type {ServiceError} */ (reason);
      if (signal.aborted) return null;
      if (error.denied) onDenied(error);
      else {
        showError(`Calls could not be read. ${error.message}`, () => {
          this.#requestBoth();
          retry();
        });
      }
      return null;
    }
  }
}

/** @param {HTMLElement} root */
const partsOf = (root) => ({
  root,
  active: find(root, "#active", HTMLTableElement),
  activeEmpty: find(root, "#active-empty", HTMLElement),
  recent: find(root, "#recent", HTMLTableElement),
  recentEmpty: find(root, "#recent-empty", HTMLElement),
});
