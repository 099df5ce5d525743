/**
 * Asking for the active calls at an interval, while no stream comes through.
 *
 * @import { Call } from "../model/call.js"
 * @import { ServiceError } from "../lib/service.js"
 */
import { backoff } from "../lib/backoff.js";

const POLL_MS = 2_000;

export class CallPoll {
  /** How often to ask, in milliseconds. */
  intervalMs = POLL_MS;
  #read;
  #random;
  #on;
  /** @type {object | null} */
  #run = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {() => Promise<{ calls: Call[] }>} read  asks the service, or fails with a ServiceError
   * @param {() => number} random
   * @param {{ calls: (calls: Call[]) => void, error: (error: ServiceError) => void }} on  what came of each request
   */
  constructor(read, random, on) {
    this.#read = read;
    this.#random = random;
    this.#on = on;
  }

  get running() {
    return this.#run !== null;
  }

  start() {
    if (this.running) return;
    const run = (this.#run = {});
    this.#timer = setTimeout(() => this.#poll(run, 0), this.#random() * 1_000);
  }

  stop() {
    this.#run = null;
    clearTimeout(this.#timer);
  }

  /**
   * @param {object} run
   * @param {number} failures  in a row
   */
  async #poll(run, failures) {
    const [calls, error] = await this.#read().then((answer) => [answer.calls, null], (reason) => [null, reason]);
    // An answer that was asked for before the last stop is outdated, and may be another viewer's.
    if (this.#run !== run) return;
    if (calls) this.#on.calls(calls);
    else this.#on.error(error);
    const next = calls ? 0 : failures + 1;
    this.#timer = setTimeout(() => this.#poll(run, next), next ? backoff(next, this.#random()) : this.intervalMs);
  }
}
