/**
 * What proves to the service who this viewer is: the browser's cookie, or a token that the page gives.
 *
 * A page of another site needs the token, because browsers keep the cookie to the service's own pages. No DOM here.
 */
export class Credential {
  #fetch;
  #token = null;
  #held = null;

  /** `fetch` is the browser's. */
  constructor(fetch) {
    this.#fetch = fetch;
  }

  /** A token, or a function that returns one or a promise of one; nothing for the cookie. */
  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token || null;
    this.#held = null;
  }

  /** Fetches with the proof. A token that is refused is asked for again, once. */
  async fetch(url, request = {}) {
    if (!this.#token) return this.#fetch(url, { credentials: "include", ...request });
    const held = this.#hold();
    const answer = await this.#send(url, request, await held);
    if (answer.status !== 401 || typeof this.#token !== "function") return answer;
    if (this.#held === held) this.#held = null;
    return this.#send(url, request, await this.#hold());
  }

  /** Whose token it is, as a JWT says; null when there is none or it does not say. */
  async viewer() {
    try {
      const [, claims] = (await this.#hold()).split(".");
      return JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))).sub ?? null;
    } catch {
      return null;
    }
  }

  /** The token, asked for once by all who need it at the same time, and again after the page could not give one. */
  #hold() {
    if (this.#held) return this.#held;
    const token = this.#token;
    const held = (async () => (typeof token === "function" ? token() : token))();
    this.#held = held;
    const drop = () => this.#held === held && (this.#held = null);
    held.then((given) => given || drop(), drop);
    return held;
  }

  #send(url, request, token) {
    // Nobody is signed in on the page; the service would say the same.
    if (!token) return new Response(null, { status: 401 });
    const headers = { ...request.headers, Authorization: `Bearer ${token}` };
    return this.#fetch(url, { ...request, headers, credentials: "omit" });
  }
}
