/**
 * Asking for the active calls again and again, while no stream comes through.
 */
import { backoff } from "../lib/backoff.js";

const POLL_MS = 2_000;

export class CallPoll {
  /** How often to ask, in milliseconds. */
  everyMs = POLL_MS;
  #read;
  #random;
  #onAnswer;
  #round = null;
  #alarm;

  /** `read()` resolves to the answer of active-calls; `onAnswer({status, calls})` hears of it, `calls` null without any. */
  constructor(read, random, onAnswer) {
    this.#read = read;
    this.#random = random;
    this.#onAnswer = onAnswer;
  }

  get running() {
    return this.#round !== null;
  }

  start() {
    if (this.running) return;
    const round = (this.#round = {});
    this.#alarm = setTimeout(() => this.#ask(round, 0), this.#random() * 1_000);
  }

  stop() {
    this.#round = null;
    clearTimeout(this.#alarm);
  }

  async #ask(round, failures) {
    const answer = await this.#answer();
    // What was asked before the last stop is of the past, perhaps even somebody else's.
    if (this.#round !== round) return;
    this.#onAnswer(answer);
    const next = answer.calls ? 0 : failures + 1;
    this.#alarm = setTimeout(() => this.#ask(round, next), next ? backoff(next, this.#random()) : this.everyMs);
  }

  /** `status` is 0 when nobody answered. */
  async #answer() {
    try {
      const answer = await this.#read();
      return { status: answer.status, calls: answer.ok ? (await answer.json()).calls : null };
    } catch {
      return { status: 0, calls: null };
    }
  }
}
