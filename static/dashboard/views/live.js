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
import { isShown } from "../../model/call.js";
import { activeRows, recentRows } from "../../model/rows.js";
import { CallTable } from "../call-table.js";

/** The stream is silent about dismissed calls, so while one is still going on the list is read again this often. */
const SILENT_CALLS_MS = 5_000;
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
  #activeRefresh = new VisibleRefresh(() => this.#loadActive(), () => !document.hidden);
  #recentRefresh = new VisibleRefresh(() => this.#loadRecent(), () => !document.hidden && !this.#parts.root.hidden);
  /** @type {Call[]} */
  #followed = [];
  /**
   * The last answer of active-calls; null before the first.
   *
   * @type {Call[] | null}
   */
  #active = null;
  /**
   * The last answer of the call history; null before the first.
   *
   * @type {Call[] | null}
   */
  #recent = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silentTimer;

  /**
   * @param {HTMLElement} root
   * @param {ViewContext} context
   */
  mount(root, context) {
    const { feed, settings, signal, tableContext } = context;
    this.#context = context;
    this.#parts = partsOf(root);
    this.#followed = feed.calls;
    this.#activeTable = new CallTable(this.#parts.active, ["status", "caller", "line", "agent", "time"], tableContext);
    this.#recentTable = new CallTable(this.#parts.recent, ["result", "caller", "line", "answeredBy", "when"], tableContext);
    feed.addEventListener("change", () => this.#follow(), { signal });
    feed.addEventListener("resync", () => this.#requestBoth(SPREAD_MS), { signal });
    settings.addEventListener("change", () => this.#render(), { signal });
    document.addEventListener("visibilitychange", () => {
      this.#activeRefresh.flush();
      this.#recentRefresh.flush();
    }, { signal });
    const ticks = [
      setInterval(() => this.#activeTable.tick(), TICK_MS),
      setInterval(() => this.#recentTable.tick(), RECENT_TICK_MS),
    ];
    signal.addEventListener("abort", () => ticks.forEach(clearInterval));
    // Also while the page is hidden: the title says how many ring.
    this.#loadActive();
    this.#recentRefresh.request();
  }

  show() {
    this.#recentRefresh.flush();
  }

  unmount() {
    clearTimeout(this.#silentTimer);
    this.#activeRefresh.cancel();
    this.#recentRefresh.cancel();
    this.#activeTable.showLoading();
    this.#recentTable.showLoading();
    document.title = TITLE;
  }

  #requestBoth(withinMs = 0) {
    this.#activeRefresh.request(withinMs);
    this.#recentRefresh.request(withinMs);
  }

  #follow() {
    const before = this.#followed;
    this.#followed = this.#context.feed.calls;
    if (this.#followed === before) return;
    const now = new Map(this.#followed.map((call) => [call.id, call]));
    const live = before.filter(isShown);
    const lost = live.filter((call) => !now.has(call.id));
    // Dismissed just now: the row stays, from what is known. Gone without an end: the end was missed, and the history has it.
    const dismissed = live.filter((call) => now.get(call.id)?.dismissed);
    this.#active = [...(this.#active ?? []), ...dismissed].filter((call) => !lost.some((other) => other.id === call.id));
    if (lost.length) this.#recentRefresh.request(SPREAD_MS);
    this.#render();
  }

  #render() {
    if (this.#active) this.#renderActive(this.#active);
    if (this.#recent) this.#renderRecent(this.#recent);
  }

  /** @param {Call[]} read */
  #renderActive(read) {
    const { rows, silent } = activeRows(this.#followed, read);
    const { active, activeEmpty } = this.#parts;
    this.#activeTable.show(rows);
    active.hidden = rows.length === 0;
    activeEmpty.hidden = rows.length > 0;
    const ringing = rows.filter((call) => call.status === "ringing").length;
    document.title = ringing ? `(${ringing}) ${TITLE}` : TITLE;
    clearTimeout(this.#silentTimer);
    if (silent) this.#silentTimer = setTimeout(() => this.#activeRefresh.request(), SILENT_CALLS_MS);
  }

  /** @param {Call[]} read */
  #renderRecent(read) {
    const rows = recentRows(this.#followed, read, RECENT);
    const { recent, recentEmpty } = this.#parts;
    this.#recentTable.show(rows);
    recent.hidden = rows.length === 0;
    recentEmpty.hidden = rows.length > 0;
  }

  async #loadActive() {
    await this.#load("api/ringcentral/active-calls", (calls) => {
      const gone = (this.#active ?? []).some((call) => !calls.some((other) => other.id === call.id));
      this.#active = calls;
      if (gone) this.#recentRefresh.request(SPREAD_MS);
    });
  }

  async #loadRecent() {
    await this.#load(`api/ringcentral/calls?limit=${RECENT}`, (calls) => {
      this.#recent = calls;
    });
  }

  /**
   * @param {string} path
   * @param {(calls: Call[]) => void} keep
   */
  async #load(path, keep) {
    const { service, signal, showError, onAccepted, onDenied, retry } = this.#context;
    try {
      const { calls } = await service.get(path, { signal });
      if (signal.aborted) return;
      keep(calls);
      showError(null);
      this.#render();
      onAccepted();
    } catch (reason) {
      const error = /** @type {ServiceError} */ (reason);
      if (signal.aborted) return;
      if (error.denied) return onDenied(error);
      showError(`Calls could not be read. ${error.message}`, () => {
        this.#requestBoth();
        retry();
      });
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
