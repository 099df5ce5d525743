/**
 * "Simulate a call": one button for the usual call, and a menu of the other scenarios of the service.
 *
 * @import { Service, ServiceError } from "../lib/service.js"
 */
import { el, find } from "../lib/dom.js";
import { Menu } from "./menu.js";

/** The usual call. */
const DIRECT = "direct";

export class Simulator {
  #split;
  #choose;
  #list;
  #menu;
  #emptyButton;
  #service;
  #showError;

  /**
   * @param {ParentNode} page
   * @param {Service} service
   * @param {(sentence: string | null) => void} showError
   */
  constructor(page, service, showError) {
    this.#split = find(page, "#simulate", HTMLElement);
    this.#choose = find(page, "#simulate-choose", HTMLElement);
    this.#list = find(page, "#scenarios", HTMLElement);
    this.#menu = new Menu(this.#choose, this.#list);
    this.#emptyButton = find(page, "#simulate-empty", HTMLElement);
    this.#service = service;
    this.#showError = showError;
    find(page, "#simulate-one", HTMLElement).addEventListener("click", () => this.#play(DIRECT));
    this.#emptyButton.addEventListener("click", () => this.#play(DIRECT));
  }

  /**
   * Shows or hides everything about simulating.
   *
   * @param {boolean} available  whether the service simulates
   */
  async offer(available) {
    this.#split.hidden = !available;
    this.#emptyButton.hidden = !available;
    if (!available || this.#menu.items.length) return;
    const { scenarios } = await this.#service.get("api/simulator/scenarios").catch(() => ({ scenarios: [] }));
    this.#list.replaceChildren(...scenarios.map((/** @type {{ name: string, title: string }} */ scenario) => this.#item(scenario)));
    this.#choose.hidden = scenarios.length < 2;
  }

  /** @param {{ name: string, title: string }} scenario */
  #item({ name, title }) {
    return el("button", { type: "button", onclick: () => this.#play(name) }, title);
  }

  /** @param {string} scenario */
  async #play(scenario) {
    try {
      await this.#service.post("api/simulator/calls", { scenario });
      this.#showError(null);
    } catch (reason) {
      this.#showError(`The call could not be simulated. ${/** @type {ServiceError} */ (reason).message}`);
    }
  }
}
