/**
 * Sending a dismissal to the service, with retries.
 *
 * @import { ServiceError } from "../lib/service.js"
 */
import { backoff } from "../lib/backoff.js";

/** So many requests while the service cannot take it, about a minute in all. */
const TRIES = 6;
/** The same while it knows no such call: another instance may, and a tick later this one too. */
const TRIES_UNKNOWN = 3;

/**
 * Resolves to whether the service took it the first time. Otherwise it is sent again later, for as long as `isWanted()` says
 * that there is still something to dismiss.
 *
 * @param {() => Promise<unknown>} post  sends it, or fails with a ServiceError
 * @param {() => boolean} isWanted
 * @param {() => number} random  Math.random
 * @returns {Promise<boolean>}
 */
export async function sendDismissal(post, isWanted, random, tries = 1) {
  try {
    await post();
    return true;
  } catch (reason) {
    const error = /** @type {ServiceError} */ (reason);
    const unknown = error.status === 404;
    if ((error.temporary || unknown) && tries < (unknown ? TRIES_UNKNOWN : TRIES)) {
      setTimeout(() => isWanted() && sendDismissal(post, isWanted, random, tries + 1), backoff(tries - 1, random()));
    }
    return false;
  }
}
