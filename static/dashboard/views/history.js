/**
 * The History view: every call that ended, newest first, a page at a time.
 *
 * @import { Call } from "../../model/call.js"
 * @import { ServiceError } from "../../lib/service.js"
 * @import { View, ViewContext } from "../router.js"
 */
import { find } from "../../lib/dom.js";
import { CallTable } from "../call-table.js";

const PAGE = 50;
const COLUMNS = ["result", "caller", "line", "answeredBy", "talk", "when"];

/** @implements {View} */
export class HistoryView {
  #context = /** @type {ViewContext} */ ({});
  #parts = /** @type {ReturnType<typeof partsOf>} */ ({});
  #table = /** @type {CallTable} */ ({});
  /** @type {Call[]} */
  #calls = [];
  /** @type {string | null} */
  #cursor = null;
  /** The newest request; the answers of those before it are outdated. */
  #request = {};

  /**
   * @param {HTMLElement} root
   * @param {ViewContext} context
   */
  mount(root, context) {
    this.#context = context;
    this.#parts = partsOf(root);
    this.#table = new CallTable(this.#parts.table, COLUMNS, context.tableContext);
    const { signal } = context;
    this.#parts.older.addEventListener("click", () => this.#loadMore(), { signal });
    context.settings.addEventListener("change", () => this.#calls.length && this.#render(), { signal });
  }

  /** Loads the newest page, whatever was shown before. */
  show() {
    this.#calls = [];
    this.#cursor = null;
    this.#loadMore();
  }

  unmount() {
    this.#parts.older.hidden = true;
    this.#table.showLoading();
  }

  async #loadMore() {
    const { service, signal, showError } = this.#context;
    const { older } = this.#parts;
    const request = (this.#request = {});
    const isOutdated = () => signal.aborted || request !== this.#request;
    const after = this.#cursor ? `&cursor=${encodeURIComponent(this.#cursor)}` : "";
    older.disabled = true;
    try {
      const page = await service.get(`api/ringcentral/calls?limit=${PAGE}${after}`, { signal });
      if (isOutdated()) return;
      showError(null);
      this.#calls = [...this.#calls, ...page.calls];
      this.#cursor = page.next_cursor;
      this.#render();
    } catch (reason) {
      const error = /** @type {ServiceError} */ (reason);
      if (!error.denied && !isOutdated()) showError(`The history could not be read. ${error.message}`, () => this.#loadMore());
    } finally {
      if (!isOutdated()) older.disabled = false;
    }
  }

  #render() {
    const { table, empty, older } = this.#parts;
    this.#table.show(this.#calls);
    table.hidden = this.#calls.length === 0;
    empty.hidden = !table.hidden;
    older.hidden = !this.#cursor;
  }
}

/** @param {HTMLElement} root */
const partsOf = (root) => ({
  table: find(root, "#past", HTMLTableElement),
  empty: find(root, "#past-empty", HTMLElement),
  older: find(root, "#older", HTMLButtonElement),
});
