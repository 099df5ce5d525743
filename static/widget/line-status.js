/**
 * Whether calls arrive, as a page that embeds the popup can read, log and show it. No DOM here.
 *
 * @typedef {"connecting" | "live" | "polling" | "reconnecting" | "denied" | "blocked"} LineState
 * @typedef {{ state: LineState, message: string }} PopupStatus
 */

/** The line may break for a moment; people are not bothered with that. */
export const PATIENCE_MS = 20_000;

/** @type {Record<LineState, string>} */
const MESSAGES = {
  connecting: "Connecting to the service.",
  live: "Calls arrive as they ring.",
  polling: "Calls are read every few seconds, because the stream does not come through.",
  reconnecting: "The service does not answer. The popup keeps trying.",
  denied: "The service did not accept the sign-in of this page.",
  blocked: "This page may not connect to the service. Its Content-Security-Policy or ALLOWED_ORIGINS of the service forbids it.",
};

const TOKEN = "Give the popup a token that the service accepts: its `token` property is a JWT or a function that returns one, with `sub`, `exp` "
  + "in seconds, and `extension_ids` or `role`.";

/** @type {Record<string, (src: string, origin: string) => string>} */
const CURES = {
  denied: (src, origin) => (new URL(src).origin === origin ? "Sign in to the service." : TOKEN),
  // The feed's sentence names the cure.
  blocked: () => "",
  reconnecting: (src, origin) => `Open ${src}health/live to see whether the service is up, and check that ALLOWED_ORIGINS of the service lists ${origin}.`,
};

/** Do calls arrive in this state? */
export const arrives = (/** @type {LineState} */ state) => state === "live" || state === "polling";

/**
 * The status of a feed, with a sentence in any case; null for a feed of the host page that has none.
 *
 * @param {{ status?: { state: string, message?: string | null } }} feed
 * @returns {PopupStatus | null}
 */
export function statusOf(feed) {
  if (!feed.status) return null;
  const { state, message } = feed.status;
  const known = /** @type {LineState} */ (state in MESSAGES ? state : "reconnecting");
  return { state: known, message: message || MESSAGES[known] };
}

export class LineStatus {
  /** @type {PopupStatus} */
  current = { state: "connecting", message: MESSAGES.connecting };
  #on;
  /** @type {Set<LineState>} */
  #logged = new Set();

  /**
   * @param {object} on
   * @param {(status: PopupStatus) => void} on.change
   * @param {(line: string) => void} on.log  one line for the developer of the page
   * @param {() => { src: string, origin: string }} on.place  the service's address and the page's origin
   */
  constructor(on) {
    this.#on = on;
  }

  /** @param {PopupStatus} status */
  update(status) {
    const { state, message } = this.current;
    if (status.state === state && status.message === message) return;
    this.current = status;
    if (arrives(status.state)) this.#logged.clear();
    // No more time would cure these.
    if (status.state === "denied" || status.state === "blocked") this.#log();
    this.#on.change(status);
  }

  /** The line has been broken for long: that is logged, unless the reason was before. */
  late() {
    if (this.#logged.size === 0) this.#log();
  }

  /** Writes the reason and its cure to the console, once for each state until calls arrive again. */
  #log() {
    const { state, message } = this.current;
    if (arrives(state) || this.#logged.has(state)) return;
    this.#logged.add(state);
    const { src, origin } = this.#on.place();
    const cure = (CURES[state] ?? CURES.reconnecting)(src, origin);
    this.#on.log(`<call-popup> Calls are not arriving. ${message} ${cure}`.trim());
  }
}
