/**
 * What proves to the service who this viewer is: the browser's cookie, or a token that the page gives.
 *
 * A page of another site needs the token, because browsers keep the cookie to the service's own pages. No DOM here.
 *
 * @typedef {string | null | undefined} MaybeToken
 * @typedef {MaybeToken | (() => MaybeToken | Promise<MaybeToken>)} Token  A token, or a function that returns one.
 */
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
   */
  async fetch(url, options = {}) {
    if (!this.#token) return this.#fetch(url, { credentials: "include", ...options });
    const current = this.#read();
    const answer = await this.#send(url, options, await current);
    if (answer.status !== 401 || typeof this.#token !== "function") return answer;
    if (this.#current === current) this.#current = null;
    return this.#send(url, options, await this.#read());
  }

  /** The subject of the token, as a JWT says; null when there is none or it does not say. */
  async viewer() {
    try {
      const [, claims] = String(await this.#read()).split(".");
      return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))).sub ?? null;
    } catch {
      return null;
    }
  }

  /** The token, read once for all requests at the same time, and again after the page could not give one. */
  #read() {
    if (this.#current) return this.#current;
    const token = this.#token;
    const current = (async () => (typeof token === "function" ? token() : token))();
    this.#current = current;
    const drop = () => {
      if (this.#current === current) this.#current = null;
    };
    current.then((given) => given || drop(), drop);
    return current;
  }

  /**
   * @param {string} url
   * @param {RequestInit} options
   * @param {MaybeToken} token
   */
  #send(url, options, token) {
    // The person is not signed in on the page. The service would answer the same.
    if (!token) return Promise.resolve(new Response(null, { status: 401 }));
    const headers = { ...options.headers, Authorization: `Bearer ${token}` };
    return this.#fetch(url, { ...options, headers, credentials: "omit" });
  }
}
