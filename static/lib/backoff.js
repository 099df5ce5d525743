/**
 * How long to wait before trying again. Pure.
 */
const MIN_MS = 1_000;
const MAX_MS = 30_000;

/**
 * Full jitter: anywhere between 1 s and a ceiling that doubles with every attempt up to 30 s, so that a thousand browsers
 * spread out.
 *
 * @param {number} attempt  counts from 0
 * @param {number} random  from 0 to 1
 */
export function backoff(attempt, random) {
  const ceiling = Math.min(MAX_MS, MIN_MS * 2 ** (attempt + 1));
  return MIN_MS + random * (ceiling - MIN_MS);
}
