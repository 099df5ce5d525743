/**
 * What happens to a page that matters to its connection. No DOM here beyond the events of `window` and `document`.
 */

/** How often the clock is read. A gap much longer than this is a machine that slept, or a page that was frozen. */
const TICK_MS = 5_000;
const GAP_MS = TICK_MS + 10_000;

/**
 * @typedef {object} PageBrowser
 * @property {Pick<EventTarget, "addEventListener"> | undefined} window
 * @property {(Pick<EventTarget, "addEventListener"> & { visibilityState?: string }) | undefined} document
 *
 * @typedef {object} PageListener
 * @property {() => void} online  the network is back, or is another one
 * @property {() => void} wake  the page was hidden, frozen or asleep, and is not any more
 * @property {() => void} hide  the page goes, perhaps into the back-forward cache
 * @property {() => void} show  it came back from there
 * @property {(event: SecurityPolicyViolationEvent) => void} violation  the page's Content-Security-Policy forbids something
 */

/**
 * Listens until the signal is aborted; `show` follows each `hide`, also after that.
 *
 * @param {PageBrowser} browser
 * @param {PageListener} on
 * @param {AbortSignal} signal
 */
export function followPage({ window, document }, on, signal) {
  window?.addEventListener("online", () => on.online(), { signal });
  window?.addEventListener("pagehide", () => {
    on.hide();
    window.addEventListener("pageshow", () => on.show(), { once: true });
  }, { signal });
  window?.addEventListener("pageshow", () => on.wake(), { signal });
  document?.addEventListener("visibilitychange", () => document.visibilityState !== "hidden" && on.wake(), { signal });
  document?.addEventListener("resume", () => on.wake(), { signal });
  document?.addEventListener("securitypolicyviolation", (event) => on.violation(/** @type {SecurityPolicyViolationEvent} */ (event)), { signal });
  followClock(on.wake, signal);
}

/**
 * Some machines wake without any event: with a cable instead of Wi-Fi, and the page in front.
 *
 * @param {() => void} wake
 * @param {AbortSignal} signal
 */
function followClock(wake, signal) {
  let before = Date.now();
  const tick = () => {
    const now = Date.now();
    if (now - before > GAP_MS) wake();
    before = now;
    timer = setTimeout(tick, TICK_MS);
  };
  let timer = setTimeout(tick, TICK_MS);
  signal.addEventListener("abort", () => clearTimeout(timer));
}
