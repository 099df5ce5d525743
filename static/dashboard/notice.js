/** The sentence above the tables that says what went wrong, with a way out. */
import { el } from "../lib/dom.js";

export class Notice {
  #place;

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  /**
   * @param {string | null} sentence  null takes it away
   * @param {() => void} [retry]
   */
  showError(sentence, retry) {
    this.#place.hidden = !sentence;
    this.#place.replaceChildren(sentence ?? "");
    if (sentence && retry) this.#place.append(el("button", { className: "button", onclick: retry }, "Try again"));
  }
}
