/**
 * The page that *View customer* leads to by default: the customer of `?id=`, and this viewer's calls with them. Calls that end
 * while it is open are added on top, from the stream of the popup in the corner.
 *
 * @import { ServiceError } from "../lib/service.js"
 * @import { Page } from "../model/past-calls.js"
 */
import { CallFeed } from "../feed/call-feed.js";
import { bdi, el, find } from "../lib/dom.js";
import { Service } from "../lib/service.js";
import { VisibleRefresh } from "../lib/visible-refresh.js";
import { initials } from "../model/card-view.js";
import { otherParty } from "../model/call.js";
import { PastCalls } from "../model/past-calls.js";
import { CallTable } from "../dashboard/call-table.js";
import { keepBelow } from "../dashboard/keep-below.js";
import { Notice } from "../dashboard/notice.js";
import { CallPopup } from "../widget/call-popup.js";

/**
 * @typedef {object} CustomerDetails
 * @property {string} id
 * @property {string | null} name
 * @property {string | null} email
 * @property {{ number: string | null, display: string }[]} numbers
 */

const PAGE = 20;
const COLUMNS = ["result", "line", "answeredBy", "talk", "when"];
const TICK_MS = 10_000;
/** What every page reads after the same event, such as a restart of the service, is read within this. */
const SPREAD_MS = 4_000;

class CustomerPage {
  #id;
  #feed;
  #service = new Service();
  #notice = new Notice(find(document, "#notice", HTMLElement));
  #customer = find(document, "#customer", HTMLElement);
  #absent = find(document, "#absent", HTMLElement);
  #older = find(document, "#older", HTMLButtonElement);
  #element = find(document, "#calls", HTMLTableElement);
  #empty = find(document, "#calls-empty", HTMLElement);
  #table;
  #past = new PastCalls();
  #isKnown = false;
  /** Changes with each reading: the answers of those before are outdated. */
  #reading = {};

  /**
   * @param {string} id
   * @param {CallFeed} feed
   */
  constructor(id, feed) {
    this.#id = id;
    this.#feed = feed;
    this.#table = new CallTable(this.#element, COLUMNS, () => ({ now: feed.now(), customerUrl: null }));
    this.#older.addEventListener("click", () => this.#loadOlder());
    feed.addEventListener("change", () => this.#follow());
    // Calls may have ended while the line was broken.
    const refresh = new VisibleRefresh(() => this.load(), () => !document.hidden);
    feed.addEventListener("resync", () => refresh.request(SPREAD_MS));
    document.addEventListener("visibilitychange", () => refresh.flush());
    feed.addEventListener("viewerchange", () => {
      this.#clear();
      this.load();
    });
    setInterval(() => this.#table.tick(), TICK_MS);
  }

  async load() {
    const reading = (this.#reading = {});
    try {
      const [customer, calls] = await Promise.all([
        this.#service.get(`api/customers/${encodeURIComponent(this.#id)}`),
        this.#readCalls(""),
      ]);
      if (reading !== this.#reading) return;
      this.#notice.showError(null);
      this.#show(customer, calls);
    } catch (reason) {
      if (reading === this.#reading) this.#fail(/** @type {ServiceError} */ (reason));
    }
  }

  /**
   * @param {string} after
   * @returns {Promise<Page>}
   */
  #readCalls(after) {
    return this.#service.get(`api/ringcentral/calls?customer_id=${encodeURIComponent(this.#id)}&limit=${PAGE}${after}`);
  }

  async #loadOlder() {
    if (!this.#past.cursor) return;
    const reading = this.#reading;
    this.#older.disabled = true;
    try {
      const page = await this.#readCalls(`&cursor=${encodeURIComponent(this.#past.cursor)}`);
      if (reading !== this.#reading) return;
      this.#notice.showError(null);
      this.#past.addOlder(page);
      this.#render();
    } catch (reason) {
      const { message } = /** @type {ServiceError} */ (reason);
      if (reading === this.#reading) this.#notice.showError(`Older calls could not be read. ${message}`, () => this.#loadOlder());
    } finally {
      this.#older.disabled = false;
    }
  }

  #follow() {
    if (this.#isKnown && this.#past.follow(this.#ownCalls)) this.#render();
  }

  get #ownCalls() {
    return this.#feed.calls.filter((call) => otherParty(call).customer?.id === this.#id);
  }

  /**
   * @param {CustomerDetails} customer
   * @param {Page} calls
   */
  #show(customer, calls) {
    const name = customer.name ?? customer.email ?? customer.numbers[0]?.display ?? "Customer without a name";
    document.title = `${name} · Calls`;
    find(document, "#name", HTMLElement).replaceChildren(bdi(name));
    find(document, "#initials", HTMLElement).textContent = initials(customer.name ?? "");
    find(document, "#details", HTMLElement).replaceChildren(...detailsOf(customer));
    this.#customer.setAttribute("aria-busy", "false");
    this.#customer.hidden = false;
    this.#absent.hidden = true;
    this.#past.addNewest(calls);
    this.#past.follow(this.#ownCalls);
    this.#isKnown = true;
    this.#render();
  }

  #render() {
    const { calls, cursor } = this.#past;
    this.#table.show(calls);
    this.#element.hidden = calls.length === 0;
    this.#empty.hidden = calls.length > 0;
    this.#older.hidden = cursor === null;
  }

  /** @param {ServiceError} error */
  #fail({ status, denied, message }) {
    if (status === 404) return this.#showAbsent("There is no such customer", "Or none of your calls is with them.");
    if (denied) return this.#showAbsent("Sign in to see this customer", message);
    this.#notice.showError(`The customer could not be read. ${message}`, () => this.load());
    this.#customer.hidden = !this.#isKnown;
  }

  /** Rights may have ended, or another person uses this page. */
  #clear() {
    this.#isKnown = false;
    this.#past = new PastCalls();
    this.#customer.hidden = true;
  }

  /**
   * In place of a customer, also of one who was shown before.
   *
   * @param {string} title
   * @param {string} reason
   */
  #showAbsent(title, reason) {
    document.title = `${title} · Calls`;
    find(document, "#absent-title", HTMLElement).textContent = title;
    find(document, "#absent-reason", HTMLElement).textContent = reason;
    this.#notice.showError(null);
    this.#clear();
    this.#absent.hidden = false;
  }
}

/**
 * A list of terms and descriptions: numbers that a telephone program can dial, and the address.
 *
 * @param {CustomerDetails} customer
 */
function detailsOf({ numbers, email }) {
  const phones = numbers.map(({ number, display }) => el("dd", {}, number ? el("a", { href: `tel:${number}` }, bdi(display, true)) : bdi(display)));
  const mail = email && [el("dt", {}, "Email"), el("dd", {}, el("a", { href: `mailto:${encodeURIComponent(email).replace("%40", "@")}` }, bdi(email)))];
  return [...(phones.length ? [el("dt", {}, phones.length === 1 ? "Number" : "Numbers"), ...phones] : []), ...(mail || [])];
}

const popup = find(document, "call-popup", CallPopup);
// The customer is on top of the page; on a narrow one the cards would be in front.
const isNarrow = matchMedia("(max-width: 639px)");
const place = () => (popup.position = isNarrow.matches ? "bottom-right" : "top-right");
isNarrow.addEventListener("change", place);
place();
keepBelow(find(document, "header", HTMLElement), popup);
const { feed } = popup;
if (!(feed instanceof CallFeed)) throw new Error("the popup of this page has a feed of its own");
new CustomerPage(new URLSearchParams(location.search).get("id") ?? "", feed).load();
