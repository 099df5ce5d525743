/**
 * The status light in the header: what the feed knows of the stream, and what the service says of itself.
 *
 * @import { CallFeed } from "../feed/call-feed.js"
 * @import { Service } from "../lib/service.js"
 * @import { Health } from "./status-light.js"
 */
import { find } from "../lib/dom.js";
import { VisibleRefresh } from "../lib/visible-refresh.js";
import { statusLight } from "./status-light.js";

const READ_MS = 10_000;
/** The sentence contains lengths of time. */
const RENDER_MS = 1_000;

export class HealthMonitor {
  #place;
  #sentence;
  #feed;
  #service;
  /** @type {Health | null} */
  #health = null;
  #refresh = new VisibleRefresh(() => this.#load(), () => !document.hidden);

  /**
   * @param {HTMLElement} place
   * @param {CallFeed} feed
   * @param {Service} service
   */
  constructor(place, feed, service) {
    this.#place = place;
    this.#sentence = find(place, "span", HTMLElement);
    this.#feed = feed;
    this.#service = service;
    feed.addEventListener("change", () => this.#render());
    document.addEventListener("visibilitychange", () => this.#refresh.flush());
    setInterval(() => this.#refresh.request(), READ_MS);
    setInterval(() => this.#render(), RENDER_MS);
  }

  /** Reads at once, or as soon as the page is visible. */
  refresh() {
    this.#refresh.request();
  }

  async #load() {
    // Without an answer from here, the state of the stream says more.
    this.#health = await this.#service.readiness().catch(() => null);
    this.#render();
  }

  #render() {
    const { tone, text } = statusLight(this.#feed.status, this.#health, this.#feed.now());
    this.#place.dataset.tone = tone;
    if (this.#sentence.textContent !== text) this.#sentence.textContent = text;
  }
}
