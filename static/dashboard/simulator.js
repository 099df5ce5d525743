/**
 * "Simulate a call": one button for the usual call, and a menu of the other scenarios the service knows.
 */
import { get, post } from "../lib/service.js";

export class Simulator {
  #place = document.getElementById("simulate");
  #choose = document.getElementById("simulate-choose");
  #menu = document.getElementById("scenarios");
  #empty = document.getElementById("simulate-empty");
  #complain;

  constructor(complain) {
    this.#complain = complain;
    document.getElementById("simulate-one").addEventListener("click", () => this.#play("direct"));
    this.#empty.addEventListener("click", () => this.#play("direct"));
    this.#menu.addEventListener("beforetoggle", () => this.#placeMenu());
    this.#menu.addEventListener("toggle", (event) => event.newState === "open" && this.#menu.firstElementChild?.focus());
    this.#menu.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** Shows or hides everything about simulating; the service says whether it does that. */
  async offer(simulates) {
    this.#place.hidden = !simulates;
    this.#empty.hidden = !simulates;
    if (!simulates || this.#menu.childElementCount) return;
    const { scenarios } = await get("api/simulator/scenarios").catch(() => ({ scenarios: [] }));
    this.#menu.replaceChildren(...scenarios.map((scenario) => this.#item(scenario)));
    this.#choose.hidden = scenarios.length < 2;
  }

  #item({ name, title }) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    button.addEventListener("click", () => {
      this.#menu.hidePopover();
      this.#play(name);
    });
    return button;
  }

  async #play(scenario) {
    try {
      await post("api/simulator/calls", { scenario });
      this.#complain(null);
    } catch (error) {
      this.#complain(`The call could not be simulated. ${error.message}`);
    }
  }

  /** The menu is in the top layer, where nothing of the page anchors it. */
  #placeMenu() {
    const { bottom, right } = this.#choose.getBoundingClientRect();
    this.#menu.style.setProperty("--top", `${bottom + 4}px`);
    this.#menu.style.setProperty("--end", `${document.documentElement.clientWidth - right}px`);
  }

  #walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const items = [...this.#menu.children];
    items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
  }
}
