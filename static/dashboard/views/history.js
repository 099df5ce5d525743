/**
 * The History view: every call that ended, newest first, a page at a time.
 */
import { CallTable } from "../call-table.js";
import { get } from "../../lib/service.js";

const PAGE = 50;

export class History {
  #table;
  #calls = [];
  #cursor = null;
  #asked = null;
  #complain;
  #older = document.getElementById("older");

  constructor(context, complain) {
    this.#table = new CallTable(document.getElementById("past"), ["result", "caller", "line", "answeredBy", "talk", "when"], context);
    this.#complain = complain;
    this.#older.addEventListener("click", () => this.#more());
  }

  /** Shows the newest page, whatever was shown before. */
  async load() {
    this.#calls = [];
    this.#cursor = null;
    await this.#more();
  }

  /** Shows nothing, until it is loaded for whoever comes next. */
  forget() {
    this.#calls = [];
    this.#cursor = null;
    this.#asked = null;
    this.#older.hidden = true;
    this.#table.load();
  }

  async #more() {
    const asked = (this.#asked = {});
    const after = this.#cursor ? `&cursor=${encodeURIComponent(this.#cursor)}` : "";
    this.#older.disabled = true;
    try {
      const page = await get(`api/ringcentral/calls?limit=${PAGE}${after}`);
      // Asked for anew meanwhile, or forgotten.
      if (asked !== this.#asked) return;
      this.#complain(null);
      this.#calls = [...this.#calls, ...page.calls];
      this.#cursor = page.next_cursor;
      this.#show();
    } catch (error) {
      if (!error.denied && asked === this.#asked) this.#complain(`The history could not be read. ${error.message}`, () => this.#more());
    } finally {
      if (asked === this.#asked) this.#older.disabled = false;
    }
  }

  #show() {
    const none = this.#calls.length === 0;
    this.#table.show(this.#calls);
    document.getElementById("past").hidden = none;
    document.getElementById("past-empty").hidden = !none;
    this.#older.hidden = !this.#cursor;
  }
}
