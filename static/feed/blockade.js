/**
 * Why a page of another site does not reach the service at all. A script learns only that there was no answer; the reason is in
 * the page's own security policy, in the scheme of the two addresses, or in what the service allows.
 *
 * @typedef {object} BlockadeBrowser
 * @property {(url: string, options?: RequestInit) => Promise<Response>} fetch
 * @property {Pick<Location, "origin" | "protocol"> | undefined} location
 */
import { withDeadline } from "../lib/deadline.js";

const PROBE_MS = 5_000;
/** Browsers treat these as secure, also without https. */
const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export class Blockade {
  /**
   * The reason and its cure, as a sentence; null while nothing is known to be in the way.
   *
   * @type {string | null}
   */
  reason = null;
  #browser;
  #service;
  #wasReached = false;

  /**
   * @param {string} src  the base URL of the service
   * @param {BlockadeBrowser} browser
   */
  constructor(src, browser) {
    this.#service = new URL(src);
    this.#browser = browser;
  }

  /** The service was heard. */
  reached() {
    this.#wasReached = true;
    this.reason = null;
  }

  /**
   * Whether this is about a connection to the service.
   *
   * @param {Pick<SecurityPolicyViolationEvent, "effectiveDirective" | "blockedURI" | "disposition">} violation
   */
  take({ effectiveDirective, blockedURI, disposition }) {
    const { origin } = this.#service;
    const concerned = effectiveDirective === "connect-src" && disposition !== "report" && originOf(blockedURI) === origin;
    if (concerned) this.reason = `This page's Content-Security-Policy forbids connections to ${origin}. Add ${origin} to its connect-src.`;
    return concerned;
  }

  /** Finds out why there was no answer; resolves to whether there is a reason. What was reached before is only away. */
  async explain() {
    const { location, fetch } = this.#browser;
    const { origin, protocol, hostname, href } = this.#service;
    if (this.reason || this.#wasReached || !location || location.origin === origin) return this.reason !== null;
    if (location.protocol === "https:" && protocol === "http:" && !LOOPBACK.test(hostname)) {
      this.reason = `This page is served over https and may not connect to ${origin}. Serve the calls over https as well.`;
      return true;
    }
    // An answer that the page may not read still says that there is one.
    const answered = await withDeadline(PROBE_MS, (signal) => fetch(`${href}health/live`, { mode: "no-cors", cache: "no-store", credentials: "omit", signal }))
      .then(() => true, () => false);
    if (answered && !this.#wasReached) this.reason = `${origin} does not answer pages of ${location.origin}. Add ${location.origin} to its ALLOWED_ORIGINS.`;
    return this.reason !== null;
  }
}

/** @param {string} address */
function originOf(address) {
  try {
    return new URL(address).origin;
  } catch {
    return null;
  }
}
