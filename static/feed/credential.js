/**
 * What proves to the service who this viewer is: the browser's cookie, or a token that the page gives.
 *
 * A page of another site needs the token, because browsers keep the cookie to the service's own pages. No DOM here.
 *
 * @typedef {string | null | undefined} MaybeToken
 * @typedef {MaybeToken | (() => MaybeToken | Promise<MaybeToken>)} Token  A token, or a function that returns one.
 */
import { withDeadline } from "../lib/deadline.js";
import { ServiceError } from "../lib/service.js";

/** How long the page may take to give a token; less than a request may take in all. */
const TOKEN_MS = 8_000;
/** The code of a refusal that the service never saw: the page has no token, so the person is not signed in there. */
export const NO_TOKEN = "no_token";

export class Credential {
  #fetch;
  /** @type {Token} */
  #token = null;
  /** @type {Promise<MaybeToken> | null} */
  #current = null;

  /** @param {(url: string, options?: RequestInit) => Promise<Response>} fetch  the browser's */
  constructor(fetch) {
    this.#fetch = fetch;
  }

  /** A token, or a function that returns one or a promise of one; nothing for the cookie. */
  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token || null;
    this.#current = null;
  }

  /**
   * Fetches with the proof. A function is called again, once, when its token is refused.
   *
   * @param {string} url
   * @param {RequestInit} [options]
   * @param {typeof inHeader} [add]  where in the request a token goes
   */
  async fetch(url, options = {}, add = inHeader) {
    if (!this.#token) return this.#fetch(url, { credentials: "include", ...options });
    const current = this.#read();
    const send = (/** @type {MaybeToken} */ token) => this.#send(url, options, token, add);
    const answer = await send(await current);
    if (answer.status !== 401 || typeof this.#token !== "function") return answer;
    if (this.#current === current) this.#current = null;
    return send(await this.#read());
  }

  /** The subject of the token, as a JWT says; null when there is none or it does not say. */
  async viewer() {
    return this.#read().then(subjectOf, () => null);
  }

  /** The same where the token is a text and no function. */
  get knownViewer() {
    return typeof this.#token === "string" ? subjectOf(this.#token) : null;
  }

  /**
   * The token, read once for all requests at the same time, and again after the page could not give one.
   *
   * @returns {Promise<MaybeToken>}
   */
  #read() {
    if (this.#current) return this.#current;
    const token = this.#token;
    const current = typeof token === "function" ? given(token) : Promise.resolve(token);
    this.#current = current;
    const drop = () => {
      if (this.#current === current) this.#current = null;
    };
    current.then((value) => value || drop(), drop);
    return current;
  }

  /**
   * @param {string} url
   * @param {RequestInit} options
   * @param {MaybeToken} token
   * @param {typeof inHeader} add
   */
  #send(url, options, token, add) {
    if (!token) return refusal(NO_TOKEN, "This page gives no token, so it shows no calls.");
    // An HTML page, as a login page in place of the token, is no value of a header, and fetch would refuse it without a reason.
    if (typeof token !== "string" || !HEADER_VALUE.test(token)) {
      return refusal("bad_token", "What this page gives as its token is no token. Its token endpoint has to answer with a JWT alone.");
    }
    return this.#fetch(url, { ...add(options, token), credentials: "omit" });
  }
}

/**
 * @param {RequestInit} options
 * @param {string} token
 * @returns {RequestInit}
 */
const inHeader = (options, token) => ({ ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } });

/**
 * @param {RequestInit} options  whose body is the rest of the form
 * @param {string} token
 * @returns {RequestInit}
 */
export const inForm = (options, token) => ({ ...options, body: new URLSearchParams([["token", token], .../** @type {URLSearchParams} */ (options.body)]) });

const HEADER_VALUE = /^[\x21-\x7e]+$/;

/**
 * What the page's function returns. When it fails, that is as if the service did not answer: it may work later.
 *
 * @param {() => MaybeToken | Promise<MaybeToken>} token
 * @returns {Promise<MaybeToken>}
 */
async function given(token) {
  try {
    return await withDeadline(TOKEN_MS, async () => token());
  } catch {
    throw new ServiceError("This page could not get a token.", 0, NO_TOKEN);
  }
}

/** @param {MaybeToken} token */
function subjectOf(token) {
  try {
    const [, claims] = String(token).split(".");
    return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))).sub ?? null;
  } catch {
    return null;
  }
}

/**
 * @param {string} code
 * @param {string} message
 */
const refusal = (code, message) => Promise.resolve(new Response(JSON.stringify({ error: { code, message } }), { status: 401 }));
