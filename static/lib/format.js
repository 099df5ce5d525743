/**
 * Numbers, durations and moments as text. Pure.
 */

/**
 * `+14165551234` as `(416) 555-1234`; other numbers as they are; null for none.
 *
 * @param {string | null | undefined} number
 */
export function formatNumber(number) {
  if (!number) return null;
  const [, area, office, line] = number.match(/^\+1([2-9]\d\d)([2-9]\d\d)(\d{4})$/) ?? [];
  return area ? `(${area}) ${office}-${line}` : number;
}

/**
 * Milliseconds as `m:ss` or `h:mm:ss`; never negative, for clocks that disagree a little.
 *
 * @param {number} ms
 */
export function formatDuration(ms) {
  const seconds = wholeSeconds(ms);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/**
 * A length of time in its largest fitting unit: `12 s`, `5 min`, `3 h`, `6 days`.
 *
 * @param {number} ms
 */
export function formatSpan(ms) {
  const seconds = wholeSeconds(ms);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/**
 * A moment as people say it on the day of `now` (both epoch milliseconds or RFC 3339): `09:41`, `Yesterday 09:41`, `19 Oct 09:41`.
 *
 * @param {string | number} moment
 * @param {string | number} now
 */
export function formatWhen(moment, now) {
  const then = new Date(moment);
  if (Number.isNaN(then.getTime())) return "";
  const today = new Date(now);
  const time = then.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const midnight = (/** @type {Date} */ date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((midnight(today) - midnight(then)) / 86_400_000);
  if (days === 0) return time;
  if (days === 1) return `Yesterday ${time}`;
  /** @type {Intl.DateTimeFormatOptions} */
  const year = then.getFullYear() === today.getFullYear() ? {} : { year: "numeric" };
  return `${then.toLocaleDateString("en-GB", { day: "numeric", month: "short", ...year })} ${time}`;
}

/** @param {number} ms */
const wholeSeconds = (ms) => Math.max(0, Math.floor(ms / 1000)) || 0;
