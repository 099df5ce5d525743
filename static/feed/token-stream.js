/**
 * One line to the service that is opened with a token, in a form: browsers send a form to another origin without a preflight, so
 * the stream is open after one round trip. With a ticket and an EventSource that takes three.
 *
 * @import { Credential } from "./credential.js"
 * @import { StreamedEvent } from "./event-stream-parser.js"
 */
import { ServiceError, errorOf } from "../lib/service.js";
import { inForm } from "./credential.js";
import { EventStreamParser } from "./event-stream-parser.js";

/** A service of a version before has no such route, and a proxy may not let it through. */
const UNSUPPORTED = [404, 405, 415, 501];

/**
 * @typedef {object} TokenStreamListener
 * @property {() => Promise<boolean>} opened  the service accepts; resolves to whether the events are wanted
 * @property {(event: StreamedEvent) => void} event
 * @property {(error: ServiceError | null, retryMs: number | null) => void} ended  the line broke, or never opened and `error` is
 *   why; `retryMs` is how long the service asks to wait before the next, in milliseconds
 * @property {() => void} unsupported  this service takes tickets only
 */

export class TokenStream {
  #on;
  #request = new AbortController();
  /** @type {number | null} */
  #retryMs = null;

  /** @param {TokenStreamListener} on */
  constructor(on) {
    this.#on = on;
  }

  /**
   * @param {string} url
   * @param {string} position  where the line before was; empty to start over
   * @param {Credential} credential
   */
  async open(url, position, credential) {
    const { signal } = this.#request;
    const form = new URLSearchParams(position ? { last_event_id: position } : {});
    const asked = credential.fetch(url, { method: "POST", body: form, cache: "no-store", signal }, inForm);
    const answer = await asked.catch((reason) => (reason instanceof ServiceError ? reason : new ServiceError("The service does not answer.", 0)));
    if (signal.aborted) return;
    if (answer instanceof ServiceError) return this.#end(answer);
    if (UNSUPPORTED.includes(answer.status)) return this.#on.unsupported();
    if (!answer.ok || !isEventStream(answer)) return this.#end(await errorOf(answer));
    if (await this.#on.opened()) await this.#read(answer, position);
    else this.close();
    this.#end(null);
  }

  close() {
    this.#request.abort();
  }

  /** @param {ServiceError | null} error */
  #end(error) {
    if (!this.#request.signal.aborted) this.#on.ended(error, this.#retryMs);
  }

  /**
   * Resolves when the line has ended, or broke: for an open line that is the same.
   *
   * @param {Response} answer
   * @param {string} position
   */
  async #read({ body }, position) {
    const { signal } = this.#request;
    const parser = new EventStreamParser({
      event: (event) => {
        if (!signal.aborted) this.#on.event(event);
      },
      retry: (ms) => (this.#retryMs = ms),
    }, position);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
    for (;;) {
      const { value } = await reader.read().catch(() => ({ value: undefined }));
      if (!value || signal.aborted) return;
      parser.push(value);
    }
  }
}

/** @param {Response} answer */
const isEventStream = ({ headers }) => (headers.get("Content-Type") ?? "").startsWith("text/event-stream");
