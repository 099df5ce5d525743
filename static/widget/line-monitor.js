/**
 * Follows whether calls arrive: the feed's status, the console line and the notice about it.
 *
 * @import { Call } from "../model/call.js"
 * @import { PopupStatus } from "./line-status.js"
 */
import { LineNotice } from "./line-notice.js";
import { LineStatus, arrives, statusOf } from "./line-status.js";

/**
 * @typedef {EventTarget & {
 *   calls: Call[],
 *   now(): number,
 *   dismiss(id: string): unknown,
 *   status?: { state: string, message?: string | null },
 * }} Feed
 */

export class LineMonitor {
  #on;
  #status;
  #notice;

  /**
   * @param {object} on
   * @param {() => string} on.src  the service's address
   * @param {() => boolean} on.isWanted  whether the page wants the notice
   * @param {(status: PopupStatus) => void} on.change
   * @param {() => void} on.layOut  the notice was shown or hidden
   * @param {(words: string) => void} on.say  for screen readers
   */
  constructor(on) {
    this.#on = on;
    this.#status = new LineStatus({
      change: on.change,
      log: (line) => console.warn(line),
      place: () => ({ src: new URL(on.src(), document.baseURI).href, origin: location.origin }),
    });
    this.#notice = new LineNotice({
      isWanted: on.isWanted,
      late: () => {
        this.#status.late();
        if (on.isWanted()) on.say(this.#notice.text);
        on.layOut();
      },
    });
  }

  get current() {
    return this.#status.current;
  }

  get element() {
    return this.#notice.element;
  }

  /** @param {AbortSignal} signal */
  follow(signal) {
    this.#notice.follow(signal, this.#on.layOut);
  }

  /** @param {{ status?: { state: string, message?: string | null } }} feed */
  update(feed) {
    const status = statusOf(feed);
    if (!status) return this.#notice.update(true, "");
    this.#status.update(status);
    this.#notice.update(arrives(status.state), status.message);
  }
}
