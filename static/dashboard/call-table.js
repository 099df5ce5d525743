/**
 * A table of calls that stays in place: rows are kept by call id and only cells of calls that changed are written again, so
 * that a link someone is about to press does not vanish under the pointer.
 */
import { agentOf, callerName, customerUrl, dialled, formatDuration, formatWhen, lineOf, otherParty, stateOf } from "../model/call.js";

/** Columns by name: the heading, and what goes into the cell for `(call, context)`, one or two lines of nodes or text. */
const COLUMNS = {
  status: ["Status", (call) => [pill(call)]],
  result: ["Result", (call) => [pill(call)]],
  caller: ["Caller", caller],
  line: ["Line", line],
  agent: ["Agent", agent],
  answeredBy: ["Answered by", agent],
  time: ["Time", (call, { now }) => [formatDuration(now - Date.parse(call.answered_at ?? call.timestamp))]],
  talk: ["Talk time", (call) => [talk(call)]],
  when: ["When", (call, { now }) => [formatWhen(call.timestamp, now)]],
};

/** Columns whose text depends on the clock. */
const TICKING = ["time", "when"];

export class CallTable {
  #table;
  #body;
  #columns;
  #context;
  #rows = new Map();

  /** `table` is an empty `<table>`; `columns` names from COLUMNS; `context()` gives `{now, customerUrl}`. */
  constructor(table, columns, context) {
    this.#table = table;
    this.#columns = columns;
    this.#context = context;
    this.#body = document.createElement("tbody");
    // Below 640 px the rows are laid out as a list; the roles keep them a table for screen readers.
    table.setAttribute("role", "table");
    const head = document.createElement("thead");
    head.append(row(columns.map((name) => cell("th", "columnheader", name, [COLUMNS[name][0]]))));
    table.replaceChildren(head, this.#body);
    this.load();
  }

  /** Grey lines where the rows will be. */
  load() {
    const empty = () => row(this.#columns.map((name) => cell("td", "cell", name, [skeleton()])));
    this.#table.setAttribute("aria-busy", "true");
    this.#rows.clear();
    this.#body.replaceChildren(empty(), empty(), empty());
  }

  /** Shows these calls in this order. */
  show(calls) {
    const context = this.#context();
    const before = this.#rows;
    this.#rows = new Map(calls.map((call) => [call.id, this.#row(before.get(call.id), call, context)]));
    this.#table.setAttribute("aria-busy", "false");
    const elements = [...this.#rows.values()].map(({ element }) => element);
    const same = elements.length === this.#body.children.length && elements.every((element, at) => element === this.#body.children[at]);
    if (!same) this.#body.replaceChildren(...elements);
  }

  /** Advances durations and moments. */
  tick() {
    const context = this.#context();
    for (const { element, call } of this.#rows.values()) this.#fill(element, call, context, TICKING);
  }

  #row(known, call, context) {
    const element = known?.element ?? row(this.#columns.map((name) => cell("td", "cell", name, [])));
    if (known?.call !== call || known?.template !== context.customerUrl) this.#fill(element, call, context, this.#columns);
    return { element, call, template: context.customerUrl };
  }

  #fill(element, call, context, names) {
    this.#columns.forEach((name, at) => {
      if (!names.includes(name)) return;
      const target = element.children[at];
      const lines = COLUMNS[name][1](call, context).filter(Boolean);
      if (TICKING.includes(name)) {
        if (target.textContent !== lines[0]) target.textContent = lines[0];
      } else {
        target.replaceChildren(...(lines.length ? lines.map((content) => block(content)) : [none()]));
      }
    });
  }
}

function caller(call, context) {
  const { number, customer } = otherParty(call);
  const url = customerUrl(context.customerUrl, customer, document.baseURI);
  const name = document.createElement(url ? "a" : "span");
  if (url) name.href = url;
  name.append(bdi(callerName(call)));
  return [name, number && secondary(number)];
}

function line(call) {
  const name = lineOf(call);
  const number = dialled(call);
  return [name === number ? name && numeral(name) : name && bdi(name), number && number !== name ? secondary(number) : null];
}

function agent(call) {
  const name = agentOf(call);
  return [name && bdi(name)];
}

function talk(call) {
  return call.answered_at && call.ended_at ? formatDuration(Date.parse(call.ended_at) - Date.parse(call.answered_at)) : null;
}

function pill(call) {
  const [label, tone] = stateOf(call);
  const element = document.createElement("span");
  element.className = "pill";
  element.dataset.tone = tone;
  element.textContent = label;
  return element;
}

function secondary(number) {
  const element = document.createElement("span");
  element.className = "secondary";
  element.append(numeral(number));
  return element;
}

/** `<bdi>` keeps names and numbers whole beside text of the other direction. */
function bdi(text) {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}

function numeral(text) {
  const element = bdi(text);
  element.dir = "ltr";
  return element;
}

function block(content) {
  const element = document.createElement("div");
  element.className = "cut";
  element.append(content);
  element.title = element.textContent;
  return element;
}

function none() {
  const element = document.createElement("span");
  element.className = "none";
  element.textContent = "—";
  return element;
}

function skeleton() {
  const element = document.createElement("span");
  element.className = "skeleton";
  return element;
}

function row(cells) {
  const element = document.createElement("tr");
  element.setAttribute("role", "row");
  element.append(...cells);
  return element;
}

function cell(tag, role, name, content) {
  const element = document.createElement(tag);
  element.setAttribute("role", role);
  element.dataset.column = name;
  if (tag === "th") element.scope = "col";
  element.append(...content);
  return element;
}
