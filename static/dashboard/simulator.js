/**
 * "Simulate a call": one button for the usual call, and a menu of the other scenarios of the service.
 *
 * @import { Service, ServiceError } from "../lib/service.js"
 */
import { el, find } from "../lib/dom.js";

/** The usual call. */
const DIRECT = "direct";

export class Simulator {
  #split;
  #choose;
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
    this.#menu = find(page, "#scenarios", HTMLElement);
    this.#emptyButton = find(page, "#simulate-empty", HTMLElement);
    this.#service = service;
    this.#showError = showError;
    find(page, "#simulate-one", HTMLElement).addEventListener("click", () => this.#play(DIRECT));
    this.#emptyButton.addEventListener("click", () => this.#play(DIRECT));
    this.#menu.addEventListener("beforetoggle", () => this.#placeMenu());
    this.#menu.addEventListener("toggle", (event) => {
      if (/** @type {ToggleEvent} */ (event).newState === "open") this.#items[0]?.focus();
    });
    this.#menu.addEventListener("keydown", (event) => this.#moveFocus(event));
  }

  /**
   * Shows or hides everything about simulating.
   *
   * @param {boolean} available  whether the service simulates
   */
  async offer(available) {
    this.#split.hidden = !available;
    this.#emptyButton.hidden = !available;
    if (!available || this.#items.length) return;
    const { scenarios } = await this.#service.get("api/simulator/scenarios").catch(() => ({ scenarios: [] }));
    this.#menu.replaceChildren(...scenarios.map((/** @type {{ name: string, title: string }} */ scenario) => this.#item(scenario)));
    this.#choose.hidden = scenarios.length < 2;
  }

  get #items() {
    return /** @type {HTMLElement[]} */ ([...this.#menu.children]);
  }

  /** @param {{ name: string, title: string }} scenario */
  #item({ name, title }) {
    const onclick = () => {
      this.#menu.hidePopover();
      this.#play(name);
    };
    return el("button", { type: "button", onclick }, title);
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

  /** The menu is in the top layer, where nothing of the page anchors it. */
  #placeMenu() {
    const { bottom, right } = this.#choose.getBoundingClientRect();
    this.#menu.style.setProperty("--top", `${bottom + 4}px`);
    this.#menu.style.setProperty("--end", `${document.documentElement.clientWidth - right}px`);
  }

  /** @param {KeyboardEvent} event */
  #moveFocus(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = this.#items;
    const focused = items.findIndex((item) => item === document.activeElement);
    items.at((focused + step) % items.length)?.focus();
  }
}
