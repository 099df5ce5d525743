/**
 * The HTTP client of the dashboard, the pages and the widget. Answers are parsed JSON; every failure is a `ServiceError`.
 * Every request has a deadline: on a dead connection a browser would wait for minutes.
 */
import { withDeadline } from "./deadline.js";

/** The service answers in milliseconds; what takes this long is a connection that is dead. */
const DEADLINE_MS = 10_000;

/** A request that failed. `message` is a sentence for a person. */
export class ServiceError extends Error {
  /**
   * @param {string} message
   * @param {number} status  the HTTP status, or 0 when there was no answer at all
   * @param {string | null} code  the service's own name of the error, such as `not_found`
   */
  constructor(message, status, code = null) {
    super(message);
    this.name = "ServiceError";
    this.status = status;
    this.code = code;
  }

  /** The viewer has to sign in, or may not read this. */
  get denied() {
    return this.status === 401 || this.status === 403;
  }

  /** The same request may succeed later: no answer, too many requests, or a fault of the service. */
  get temporary() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// In two steps, because bundlers take `new URL("…", import.meta.url)` for a file to pack.
const here = import.meta.url;
/**
 * The address of the service that this copy of the front end is from, with a slash at its end: the service also works under a
 * path prefix, and its pages name their files by hashed addresses, `static/HASH/…`.
 */
export const base = new URL("..", here).href.replace(/static\/[0-9a-f]{16}\/$/, "");

export class Service {
  #fetch;

  /**
   * @param {string} src  the base URL of the service
   * @param {(url: string, options?: RequestInit) => Promise<Response>} fetch  the browser's, or one that adds a credential
   */
  constructor(src = base, fetch = (url, options) => globalThis.fetch(url, options)) {
    this.src = src;
    this.#fetch = fetch;
  }

  /**
   * `await service.get("api/ringcentral/config")`; the path is relative to the base URL.
   *
   * @param {string} path
   * @param {RequestInit} [options]
   */
  get(path, options) {
    return this.#request(path, options);
  }

  /**
   * `await service.post("api/simulator/calls", { scenario: "direct" })`
   *
   * @param {string} path
   * @param {object} [body]
   * @param {RequestInit} [options]
   */
  post(path, body, options) {
    const json = body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return this.#request(path, { method: "POST", ...json, ...options });
  }

  /**
   * `await service.remove("api/auth/session")`
   *
   * @param {string} path
   */
  remove(path) {
    return this.#request(path, { method: "DELETE" });
  }

  /** Readiness. A service that is not ready answers 503 with the same body, which is an answer and no failure here. */
  readiness() {
    return this.#request("health/ready", {}, (answer) => answer.status === 200 || answer.status === 503);
  }

  /**
   * @param {string} path
   * @param {RequestInit} options
   * @returns {Promise<any>}
   */
  async #request(path, options = {}, accepts = (/** @type {Response} */ answer) => answer.ok) {
    const { signal, ...rest } = options;
    const [answer, body] = await withDeadline(DEADLINE_MS, async (ends) => {
      const one = await this.#fetch(new URL(path, this.src).href, { cache: "no-store", ...rest, signal: ends });
      return [one, await bodyOf(one)];
    }, signal).catch((reason) => {
      throw reason instanceof ServiceError ? reason : new ServiceError("The service does not answer.", 0);
    });
    if (accepts(answer) && (body || answer.status === 204)) return body;
    throw refusal(answer, body);
  }
}

/**
 * Why this answer is a failure.
 *
 * @param {Response} answer
 */
export const errorOf = async (answer) => refusal(answer, await bodyOf(answer));

/**
 * @param {Response} answer
 * @param {any} body
 */
function refusal({ status }, body) {
  const { message, code } = body?.error ?? {};
  return new ServiceError(message ?? `The service answered ${status}.`, status, code);
}

/**
 * The JSON of an answer; null where there is none, such as in an error page of a proxy.
 *
 * @param {Response} answer
 * @returns {Promise<any>}
 */
async function bodyOf(answer) {
  try {
    return await answer.json();
  } catch {
    return null;
  }
}
