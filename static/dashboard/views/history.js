/**
 * The History view: every call that ended, newest first, a page at a time; what ends meanwhile is added on top.
 *
 * @import { ServiceError } from "../../lib/service.js"
 * @import { Page } from "../../model/past-calls.js"
 * @import { View, ViewContext } from "../router.js"
 */
import { find } from "../../lib/dom.js";
import { VisibleRefresh } from "../../lib/visible-refresh.js";
import { PastCalls } from "../../model/past-calls.js";
import { CallTable } from "../call-table.js";

const PAGE = 50;
/** What the stream does not say, such as the end of a call this viewer dismissed, is found by reading the newest page again. */
const READ_MS = 15_000;
/** What every dashboard reads after the same event, such as a restart of the service, is read within this. */
const SPREAD_MS = 4_000;
const COLUMNS = ["result", "caller", "line", "answeredBy", "talk", "when"];

/** @implements {View} */
export class HistoryView {
  #context = /** @type {ViewContext} */ ({});
  #parts = /** @type {ReturnType<typeof partsOf>} */ ({});
  #table = /** @type {CallTable} */ ({});
  #past = new PastCalls();
  #isKnown = false;
  #refresh = new VisibleRefresh(() => this.#loadNewest(), () => !document.hidden && !this.#parts.root.hidden);
  /** Changes when the list begins again: a page that was asked for before belongs to another list. */
  #list = {};

  /**
   * @param {HTMLElement} root
   * @param {ViewContext} context
   */
  mount(root, context) {
    this.#context = context;
    this.#parts = partsOf(root);
    this.#table = new CallTable(this.#parts.table, COLUMNS, context.tableContext);
    const { feed, settings, signal } = context;
    this.#parts.older.addEventListener("click", () => this.#loadOlder(), { signal });
    settings.addEventListener("change", () => this.#isKnown && this.#render(), { signal });
    feed.addEventListener("change", () => this.#isKnown && this.#past.follow(feed.calls) && this.#render(), { signal });
    feed.addEventListener("resync", () => this.#refresh.request(SPREAD_MS), { signal });
    document.addEventListener("visibilitychange", () => this.#refresh.flush(), { signal });
    const reading = setInterval(() => this.#refresh.request(), READ_MS);
    signal.addEventListener("abort", () => clearInterval(reading));
  }

  /** Loads the newest page, whatever was shown before. */
  show() {
    this.#startOver();
    this.#refresh.request();
  }

  unmount() {
    this.#refresh.cancel();
    this.#parts.older.hidden = true;
    this.#table.showLoading();
  }

  #startOver() {
    this.#list = {};
    this.#past = new PastCalls();
    this.#isKnown = false;
  }

  async #loadNewest() {
    const page = await this.#read("", () => this.#loadNewest());
    if (!page) return;
    if (this.#past.addNewest(page)) this.#list = {};
    this.#past.follow(this.#context.feed.calls);
    this.#isKnown = true;
    this.#render();
  }

  async #loadOlder() {
    const { older } = this.#parts;
    if (!this.#past.cursor) return;
    older.disabled = true;
    const page = await this.#read(`&cursor=${encodeURIComponent(this.#past.cursor)}`, () => this.#loadOlder());
    older.disabled = false;
    if (!page) return;
    this.#past.addOlder(page);
    this.#render();
  }

  /**
   * A page of the list as it is now; null when there is none, or when another list began meanwhile.
   *
   * @param {string} after
   * @param {() => void} retry
   * @returns {Promise<Page | null>}
   */
  async #read(after, retry) {
    const { service, signal, showError } = this.#context;
    const list = this.#list;
    const isOutdated = () => signal.aborted || list !== this.#list;
    try {
      const page = await service.get(`api/ringcentral/calls?limit=${PAGE}${after}`, { signal });
      if (isOutdated()) return null;
      showError(null);
      return page;
    } catch (reason) {
      const error = /** @type {ServiceError} */ (reason);
      if (!error.denied && !isOutdated()) showError(`The history could not be read. ${error.message}`, retry);
      return null;
    }
  }

  #render() {
    const { table, empty, older } = this.#parts;
    this.#table.show(this.#past.calls);
    table.hidden = this.#past.calls.length === 0;
    empty.hidden = !table.hidden;
    older.hidden = !this.#past.cursor;
  }
}

/** @param {HTMLElement} root */
const partsOf = (root) => ({
  root,
  table: find(root, "#past", HTMLTableElement),
  empty: find(root, "#past-empty", HTMLElement),
  older: find(root, "#older", HTMLButtonElement),
});
