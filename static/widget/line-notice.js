/** The small pill "Calls are not arriving" with its reason, shown after a line has been broken for a while. */
import { el, icon } from "../lib/dom.js";
import { Countdown } from "./countdown.js";
import { PATIENCE_MS } from "./line-status.js";

const CROSS = "M4 4l8 8M12 4l-8 8";

export class LineNotice {
  #reason = el("span", { className: "reason" });
  #close = el("button", { className: "close", type: "button", "aria-label": "Hide this notice" }, icon(CROSS));
  element = el(
    "div",
    { className: "notice", part: "status", hidden: true },
    el("p", {}, el("strong", {}, "Calls are not arriving"), this.#reason),
    this.#close,
  );
  #on;
  /** @type {Countdown | null} */
  #countdown = null;

  /**
   * @param {object} on
   * @param {() => void} on.late  the line has been broken for long enough to say so
   * @param {() => boolean} on.isWanted  whether the page wants the notice
   */
  constructor(on) {
    this.#on = on;
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => void} onClose
   */
  follow(signal, onClose) {
    this.#close.addEventListener("click", () => {
      this.element.hidden = true;
      onClose();
    }, { signal });
    document.addEventListener("visibilitychange", () => this.#pauseOrRun(), { signal });
    signal.addEventListener("abort", () => this.update(true, ""));
  }

  /**
   * @param {boolean} arrives  whether calls arrive now
   * @param {string} reason  why not
   */
  update(arrives, reason) {
    this.#reason.textContent = reason;
    if (arrives) {
      this.#countdown?.pause();
      this.#countdown = null;
      this.element.hidden = true;
    } else if (!this.#countdown) {
      this.#countdown = new Countdown(PATIENCE_MS, () => this.#show());
      this.#pauseOrRun();
    }
  }

  get text() {
    return `Calls are not arriving. ${this.#reason.textContent}`;
  }

  #show() {
    this.element.hidden = !this.#on.isWanted();
    this.#on.late();
  }

  /** A person who is not looking at the page is not waiting for a call on it. */
  #pauseOrRun() {
    if (document.visibilityState === "hidden") this.#countdown?.pause();
    else this.#countdown?.start();
  }
}
