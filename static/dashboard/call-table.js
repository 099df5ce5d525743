/**
 * A table of calls whose rows stay in place: they are kept by call id and only cells of calls that changed are written again,
 * so that a link a person is about to press does not vanish under the pointer.
 *
 * @import { Call } from "../model/call.js"
 */
import { bdi, el } from "../lib/dom.js";
import { formatDuration, formatWhen } from "../lib/format.js";
import { agentOf, callerName, dialled, lineOf, otherParty, stateOf } from "../model/call.js";
import { customerUrl } from "../model/card-view.js";

/**
 * @typedef {object} TableContext
 * @property {number} now  the service's clock
 * @property {string | null} customerUrl  where a customer's page is
 *
 * @typedef {Node | string | null | false} Line  One line of a cell; null and false are left out.
 * @typedef {{ heading: string, lines: (call: Call, context: TableContext) => Line[], ticks?: boolean }} Column
 *   `ticks`: the text depends on the clock
 * @typedef {{ element: HTMLTableRowElement, call: Call, template: string | null }} Row
 */

/** @type {Record<string, Column>} */
const COLUMNS = {
  status: { heading: "Status", lines: (call) => [pill(call)] },
  result: { heading: "Result", lines: (call) => [pill(call)] },
  caller: { heading: "Caller", lines: caller },
  line: { heading: "Line", lines: line },
  agent: { heading: "Agent", lines: agent },
  answeredBy: { heading: "Answered by", lines: agent },
  time: { heading: "Time", lines: (call, { now }) => [formatDuration(now - Date.parse(call.answered_at ?? call.timestamp))], ticks: true },
  talk: { heading: "Talk time", lines: (call) => [talk(call)] },
  when: { heading: "When", lines: (call, { now }) => [formatWhen(call.timestamp, now)], ticks: true },
};

/** Lines of the layout that is shown while calls are loaded. */
const SKELETON_ROWS = 3;

export class CallTable {
  #table;
  #names;
  #context;
  #body = el("tbody");
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /**
   * @param {HTMLTableElement} table
   * @param {string[]} names  of COLUMNS
   * @param {() => TableContext} context
   */
  constructor(table, names, context) {
    this.#table = table;
    this.#names = names;
    this.#context = context;
    // Below 640 px the rows are laid out as a list; the roles keep them a table for screen readers.
    table.setAttribute("role", "table");
    const headings = names.map((name) => el("th", { role: "columnheader", scope: "col", dataset: { column: name } }, COLUMNS[name].heading));
    table.replaceChildren(el("thead", {}, el("tr", { role: "row" }, ...headings)), this.#body);
    this.showLoading();
  }

  /** Grey lines where the rows will be. */
  showLoading() {
    this.#table.setAttribute("aria-busy", "true");
    this.#rows.clear();
    const rows = Array.from({ length: SKELETON_ROWS }, () => this.#emptyRow(() => el("span", { className: "skeleton" })));
    this.#body.replaceChildren(...rows);
  }

  /**
   * Shows these calls in this order.
   *
   * @param {Call[]} calls
   */
  show(calls) {
    const context = this.#context();
    const before = this.#rows;
    this.#rows = new Map(calls.map((call) => [call.id, this.#row(before.get(call.id), call, context)]));
    this.#table.setAttribute("aria-busy", "false");
    // Only what moved is moved, so that a page more of a long list costs no more than that page.
    let place = this.#body.firstElementChild;
    for (const { element } of this.#rows.values()) {
      if (element === place) place = place.nextElementSibling;
      else this.#body.insertBefore(element, place);
    }
    while (place) {
      const next = place.nextElementSibling;
      place.remove();
      place = next;
    }
  }

  /** Advances durations and moments. */
  tick() {
    const context = this.#context();
    for (const { element, call } of this.#rows.values()) this.#fill(element, call, context, (name) => Boolean(COLUMNS[name].ticks));
  }

  /**
   * @param {Row | undefined} known
   * @param {Call} call
   * @param {TableContext} context
   * @returns {Row}
   */
  #row(known, call, context) {
    const element = known?.element ?? this.#emptyRow(() => null);
    const template = context.customerUrl;
    if (known?.call !== call || known.template !== template) this.#fill(element, call, context, () => true);
    return { element, call, template };
  }

  /** @param {() => Line} content */
  #emptyRow(content) {
    return el("tr", { role: "row" }, ...this.#names.map((name) => el("td", { role: "cell", dataset: { column: name } }, content())));
  }

  /**
   * @param {HTMLTableRowElement} row
   * @param {Call} call
   * @param {TableContext} context
   * @param {(name: string) => boolean} wanted
   */
  #fill(row, call, context, wanted) {
    this.#names.forEach((name, at) => {
      if (!wanted(name)) return;
      const cell = row.children[at];
      const lines = COLUMNS[name].lines(call, context).filter((one) => one !== null && one !== false && one !== "");
      if (COLUMNS[name].ticks) {
        const text = String(lines[0] ?? "");
        if (cell.textContent !== text) cell.textContent = text;
      } else {
        cell.replaceChildren(...(lines.length ? lines.map(cut) : [el("span", { className: "none" }, "—")]));
      }
    });
  }
}

/**
 * @param {Call} call
 * @param {TableContext} context
 * @returns {Line[]}
 */
function caller(call, context) {
  const { number, customer } = otherParty(call);
  const href = customerUrl(context.customerUrl, customer, document.baseURI);
  const name = bdi(callerName(call));
  return [href ? el("a", { href }, name) : el("span", {}, name), number && secondary(number)];
}

/**
 * @param {Call} call
 * @returns {Line[]}
 */
function line(call) {
  const name = lineOf(call);
  const number = dialled(call);
  return [name && bdi(name, name === number), number && number !== name && secondary(number)];
}

/**
 * @param {Call} call
 * @returns {Line[]}
 */
function agent(call) {
  const name = agentOf(call);
  return [name && bdi(name)];
}

/** @param {Call} call */
function talk(call) {
  return call.answered_at && call.ended_at ? formatDuration(Date.parse(call.ended_at) - Date.parse(call.answered_at)) : null;
}

/** @param {Call} call */
function pill(call) {
  const [label, tone] = stateOf(call);
  return el("span", { className: "pill", dataset: { tone } }, label);
}

/** @param {string} number */
const secondary = (number) => el("span", { className: "secondary" }, bdi(number, true));

/**
 * One line that is cut where it does not fit, and whole in the title.
 *
 * @param {Line} content
 */
function cut(content) {
  const element = el("div", { className: "cut" }, content);
  element.title = element.textContent ?? "";
  return element;
}
